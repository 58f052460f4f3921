//! The files around a folder that only a person may let be changed: the fixed list, and what the configuration adds.

use crate::folder::Folder;
use kilo_ports::guarded::Guarded;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The guarded files around `folder`.
pub fn guarded(folder: &Folder) -> Guarded {
    let paths = &folder.paths;
    let mut folders = vec![
        paths.config.clone(),
        paths.data.clone(),
        paths.state.clone(),
        paths.managed.clone(),
    ];
    folders.extend(paths.extra_config.clone());
    folders.extend(paths.config.parent().map(|folder| folder.join("opencode")));
    let files = folder
        .loaded
        .sources
        .iter()
        .filter(|source| source.kind == "file");
    let mut named: Vec<PathBuf> = files.filter_map(|source| source.path.clone()).collect();
    let mut patterns = Vec::new();
    let config = &folder.loaded.config;
    for entry in config.instructions.iter().chain(&config.skill_paths) {
        if entry.contains("://") {
            continue;
        }
        let entry = folder.environment.expand_home(entry);
        // A relative entry is tried in every folder from the root down.
        for base in folder.directory.ancestors() {
            add(
                &base.join(entry.trim_start_matches("./")),
                &mut named,
                &mut patterns,
            );
            if base == folder.worktree || Path::new(&entry).is_absolute() {
                break;
            }
        }
    }
    Guarded {
        roots: vec![folder.directory.clone(), folder.worktree.clone()],
        home: paths.home.clone(),
        folders,
        free: vec![
            paths.plans.clone(),
            paths.worktrees.clone(),
            paths.tool_output.clone(),
        ],
        named,
        patterns,
    }
}

/// Adds a path, or a pattern as the folder in which its files lie and their ending.
fn add(entry: &Path, named: &mut Vec<PathBuf>, patterns: &mut Vec<(PathBuf, Option<OsString>)>) {
    let is_plain = |step: &&std::path::Component<'_>| {
        !step
            .as_os_str()
            .to_string_lossy()
            .contains(['*', '?', '[', '{'])
    };
    let steps: Vec<_> = entry.components().collect();
    let plain: PathBuf = steps.iter().take_while(is_plain).collect();
    if plain == entry {
        named.push(plain);
        return;
    }
    let ending = entry
        .extension()
        .filter(|ending| !ending.to_string_lossy().contains(['*', '?', '[', '{', '}']));
    patterns.push((plain, ending.map(ToOwned::to_owned)));
}

#[cfg(test)]
mod tests {
    use super::add;
    use std::path::Path;

    #[test]
    fn patterns_are_taken_by_their_folder_and_ending() {
        let (mut named, mut patterns) = (Vec::new(), Vec::new());
        for entry in ["/p/a.md", "/p/docs/*.md", "/p/**/x.{md,txt}", "/p/r?"] {
            add(Path::new(entry), &mut named, &mut patterns);
        }
        assert_eq!(named, [Path::new("/p/a.md")]);
        assert_eq!(
            patterns,
            [
                ("/p/docs".into(), Some("md".into())),
                ("/p".into(), None),
                ("/p".into(), None)
            ]
        );
    }
}
