//! The files of a folder that changed since a moment: what a command may have written. Bounded, since it is looked at
//! behind each command.

use ignore::WalkBuilder;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Entries that are looked at, and for how long.
const ENTRIES_MAX: usize = 20_000;
const TIME_MAX: Duration = Duration::from_millis(100);
/// The system stamps files with a clock that runs in steps.
const STEP_MS: u64 = 20;

/// The files below `top` that git does not ignore, that `fits` and that were made, written or moved at `since_ms` or later,
/// the newest first. In a large folder only those that were met in time. Blocks on the disk.
pub fn since(top: &Path, since_ms: u64, fits: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let (end, from) = (Instant::now() + TIME_MAX, since_ms.saturating_sub(STEP_MS));
    let walk = WalkBuilder::new(top)
        .require_git(false)
        .follow_links(false)
        .build();
    let mut found = Vec::new();
    for (number, entry) in walk.flatten().take(ENTRIES_MAX).enumerate() {
        if number % 256 == 255 && Instant::now() > end {
            break;
        }
        let is_file = entry.file_type().is_some_and(|kind| kind.is_file());
        if !is_file || !fits(entry.path()) {
            continue;
        }
        // Of the entry and not of its text: a file that is moved here keeps its text's time.
        let changed = entry.metadata().ok().and_then(|facts| {
            let seconds = u64::try_from(facts.ctime()).ok()?;
            Some(seconds * 1_000 + u64::try_from(facts.ctime_nsec()).ok()? / 1_000_000)
        });
        if let Some(at) = changed.filter(|at| *at >= from) {
            found.push((at, entry.into_path()));
        }
    }
    found.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
    found.into_iter().map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::{STEP_MS, since};
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn new_and_moved_files_are_found_and_ignored_ones_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["a.rs", "b.rs", "c.txt", "out.rs"] {
            fs::write(path(name), "").unwrap();
        }
        fs::write(path(".gitignore"), "out.rs\n").unwrap();
        let facts = fs::metadata(path("b.rs")).unwrap();
        let now = facts.ctime() as u64 * 1_000 + facts.ctime_nsec() as u64 / 1_000_000;
        let is_rust = |path: &std::path::Path| path.extension().is_some_and(|end| end == "rs");
        let later = now + STEP_MS + 1_000;
        assert!(since(folder.path(), later, is_rust).is_empty());
        let mut found = since(folder.path(), now, is_rust);
        found.sort();
        assert_eq!(found, [path("a.rs"), path("b.rs")]);
        fs::rename(path("a.rs"), path("z.rs")).unwrap();
        let mut found = since(folder.path(), now, is_rust);
        found.sort();
        assert_eq!(found, [path("b.rs"), path("z.rs")]);
    }
}
