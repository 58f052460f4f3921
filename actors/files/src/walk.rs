//! Walks a tree the way ripgrep does: ignore files honoured, hidden files seen, `.git` left out, links not followed.

use ignore::{WalkBuilder, WalkState};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Threads of one walk.
const THREADS_MAX: usize = 4;
/// Files looked at by one walk.
const FILES_MAX: usize = 2_000_000;

/// Calls `visit` with the path of every file below `base`, relative to it; `false` ends the walk. Tells whether it got
/// through.
///
/// It goes by paths, so a folder that is swapped for a link meanwhile may bring in names from elsewhere: whoever shows or
/// opens a file does so below the held folder, where those names are not.
pub(crate) fn files(
    base: &Path,
    goes_on: &(dyn Fn() -> bool + Sync),
    visit: &(dyn Fn(&Path) -> bool + Sync),
) -> bool {
    let seen = AtomicUsize::new(0);
    let ended = AtomicBool::new(false);
    let walker = WalkBuilder::new(base)
        .hidden(false)
        .follow_links(false)
        .threads(THREADS_MAX)
        .filter_entry(|entry| entry.depth() == 0 || entry.file_name() != ".git")
        .build_parallel();
    walker.run(|| {
        Box::new(|entry| {
            if !goes_on() {
                return WalkState::Quit;
            }
            // A folder that cannot be read is left out, as any search would.
            let Ok(entry) = entry else {
                return WalkState::Continue;
            };
            if !entry.file_type().is_some_and(|kind| kind.is_file()) {
                return WalkState::Continue;
            }
            let Ok(below) = entry.path().strip_prefix(base) else {
                return WalkState::Continue;
            };
            if seen.fetch_add(1, Ordering::Relaxed) >= FILES_MAX || !visit(below) {
                ended.store(true, Ordering::Relaxed);
                return WalkState::Quit;
            }
            WalkState::Continue
        })
    });
    !ended.load(Ordering::Relaxed)
}
