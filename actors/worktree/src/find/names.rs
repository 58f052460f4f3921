//! Files by parts of their names, from lists that are kept as long as no folder and no ignore file in them changed.

use super::score::{Entry, Wanted};
use super::walk::{SEARCH_NS_MAX, shown, walk};
use crate::stamp::{Stamp, kernel_now_ns};
use ignore::gitignore::gitconfig_excludes_path;
use parking_lot::Mutex;
use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files and folders that a name is looked for in.
const NAMES_MAX: usize = 200_000;
/// Bytes of a query.
const QUERY_BYTES_MAX: usize = 256;
/// Names of one answer.
const FOUND_MAX: usize = 1_000;
/// Lists that are kept, the names of one, and its folders: each is looked at before the list is used again.
const LISTS_MAX: usize = 4;
const KEPT_NAMES_MAX: usize = 50_000;
const KEPT_FOLDERS_MAX: usize = 8_192;
/// One that was not used for so long goes with the next search.
const UNUSED_NS: i64 = 10 * 60 * 1_000_000_000;
/// Files whose rules say what is listed.
const RULES: [&str; 2] = [".gitignore", ".ignore"];

/// What [`Names::files`] looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// Files and folders.
    Any,
    /// Files only.
    File,
    /// Folders only.
    Folder,
}

/// The lists of names that were used last.
#[derive(Default)]
pub struct Names(Mutex<Vec<Arc<List>>>);

/// The names below a folder at a moment.
struct List {
    directory: PathBuf,
    entries: Vec<Entry>,
    /// The folders in it, and the files that say what is ignored, with their stamps; `None` for one that is not there.
    seen: Vec<(PathBuf, Option<Stamp>)>,
    /// When it was begun.
    at_ns: i64,
    used_ns: std::sync::atomic::AtomicI64,
}

impl Names {
    /// Finds files and folders below `directory` whose path holds the letters of `query` in order, best first; at most
    /// `limit` (and 1,000). Folders end in `/`. An empty query finds those nearest to the top. Blocks on the disk.
    pub fn files(
        &self,
        directory: &Path,
        query: &str,
        kind: NameKind,
        limit: usize,
    ) -> Vec<String> {
        let mut end = query.len().min(QUERY_BYTES_MAX);
        while !query.is_char_boundary(end) {
            end -= 1;
        }
        let wanted = Wanted::new(&query[..end]);
        let list = self.list(directory);
        let mut ranked: Vec<(Reverse<i64>, &str)> = Vec::new();
        for entry in &list.entries {
            if matches!(
                (kind, entry.is_folder()),
                (NameKind::File, true) | (NameKind::Folder, false)
            ) {
                continue;
            }
            if let Some(score) = wanted.score(entry) {
                ranked.push((Reverse(score), &entry.path));
            }
        }
        let limit = limit.min(FOUND_MAX);
        if ranked.len() > limit && limit > 0 {
            ranked.select_nth_unstable(limit - 1);
        }
        ranked.truncate(limit);
        ranked.sort_unstable();
        ranked
            .into_iter()
            .map(|(_, path)| path.to_owned())
            .collect()
    }

    fn list(&self, directory: &Path) -> Arc<List> {
        use std::sync::atomic::Ordering::Relaxed;
        let now_ns = kernel_now_ns();
        let known = {
            let mut kept = self.0.lock();
            kept.retain(|list| list.used_ns.load(Relaxed) + UNUSED_NS > now_ns);
            let mut kept = kept.iter();
            kept.find(|list| list.directory == directory).cloned()
        };
        if let Some(known) = known.filter(|known| known.is_as_it_was()) {
            known.used_ns.store(now_ns, Relaxed);
            return known;
        }
        let (list, is_whole) = List::read(directory, now_ns);
        let list = Arc::new(list);
        let mut kept = self.0.lock();
        kept.retain(|known| known.directory != directory);
        if is_whole {
            if kept.len() >= LISTS_MAX
                && let Some(oldest) = kept.iter().min_by_key(|list| list.used_ns.load(Relaxed))
            {
                let oldest = Arc::clone(oldest);
                kept.retain(|list| !Arc::ptr_eq(list, &oldest));
            }
            kept.push(Arc::clone(&list));
        }
        list
    }
}

impl List {
    /// Reads it; and whether it is whole and small enough to be kept.
    fn read(directory: &Path, at_ns: i64) -> (Self, bool) {
        let mut list = Self {
            directory: directory.to_owned(),
            entries: Vec::new(),
            seen: Vec::new(),
            at_ns,
            used_ns: at_ns.into(),
        };
        list.see_rules_above();
        list.see_folder(directory);
        let (mut is_whole, mut folders) = (true, 0);
        for (count, entry) in walk(directory, false).enumerate() {
            if count >= NAMES_MAX || count % 256 == 0 && kernel_now_ns() > at_ns + SEARCH_NS_MAX {
                is_whole = false;
                break;
            }
            let mut path = shown(directory, entry.path());
            if entry.file_type().is_some_and(|kind| kind.is_dir()) {
                path.push('/');
                folders += 1;
                if folders <= KEPT_FOLDERS_MAX {
                    list.see_folder(entry.path());
                }
            }
            list.entries.push(Entry::new(path));
        }
        let is_small = list.entries.len() <= KEPT_NAMES_MAX && folders <= KEPT_FOLDERS_MAX;
        (list, is_whole && is_small)
    }

    /// A folder, and the rules in it; rules that come later change the folder.
    fn see_folder(&mut self, folder: &Path) {
        self.seen.push((folder.to_owned(), stamp(folder)));
        for name in RULES {
            let path = folder.join(name);
            if let Some(stamp) = stamp(&path) {
                self.seen.push((path, Some(stamp)));
            }
        }
    }

    /// Those of the folders above, of the repository and of the user.
    fn see_rules_above(&mut self) {
        let directory = self.directory.clone();
        let above = directory.ancestors().skip(1);
        let mut paths: Vec<PathBuf> = above
            .flat_map(|folder| RULES.map(|name| folder.join(name)))
            .collect();
        let mut roots = directory.ancestors().map(|folder| folder.join(".git"));
        paths.extend(
            roots
                .find(|git| git.exists())
                .map(|git| git.join("info/exclude")),
        );
        paths.extend(gitconfig_excludes_path());
        for path in paths {
            let stamp = stamp(&path);
            self.seen.push((path, stamp));
        }
    }

    fn is_as_it_was(&self) -> bool {
        self.seen.iter().all(|(path, was)| {
            let is_sure = was.is_none_or(|was| was.is_settled(self.at_ns));
            is_sure && stamp(path) == *was
        })
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    rustix::fs::stat(path).ok().map(|stat| Stamp::of(&stat))
}
