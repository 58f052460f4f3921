//! Where a path really leads.

use crate::budget::Budget;
use crate::expand::Text;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// Links that one path may lead through.
const LINKS_MAX: usize = 40;
/// Entries below a folder that is read whole.
const FOLDER_ENTRIES_MAX: usize = 4_000;
/// Files that one wildcard may name.
const MATCHES_MAX: usize = 1_000;

/// Whether a redirection there touches no file.
pub fn is_device(path: &str) -> bool {
    let device = path.strip_prefix("/dev/").unwrap_or_default();
    matches!(
        device,
        "null" | "stdin" | "stdout" | "stderr" | "tty" | "zero" | "full" | "random" | "urandom"
    ) || device
        .strip_prefix("fd/")
        .is_some_and(|fd| !fd.is_empty() && fd.chars().all(|c| c.is_ascii_digit()))
}

/// The folders whose inside is the project.
#[derive(Clone, Debug)]
pub struct Roots(Vec<PathBuf>);

impl Roots {
    /// Roots by their real paths; the whole disk is no project.
    pub fn new(folders: &[&Path]) -> Self {
        Self(
            folders
                .iter()
                .map(|folder| real(folder))
                .filter(|folder| folder.parent().is_some())
                .collect(),
        )
    }

    /// Whether a real path is inside.
    pub fn contains(&self, real: &Path) -> bool {
        !is_kernel(real) && self.0.iter().any(|root| real.starts_with(root))
    }
}

/// Below `/proc` and `/dev` a name means something else for each process.
fn is_kernel(path: &Path) -> bool {
    path.starts_with("/proc") || path.starts_with("/dev")
}

/// The path as the kernel would walk it: links are followed before `..` is; what does not exist is kept as written.
/// A path through too many links leads to `/`, which is inside of nothing.
pub fn real(path: &Path) -> PathBuf {
    let mut done = PathBuf::from("/");
    let mut waiting: VecDeque<OsString> = names(path);
    let mut links = 0;
    while let Some(name) = waiting.pop_front() {
        if name == ".." {
            done.pop();
            continue;
        }
        done.push(&name);
        if is_kernel(&done) {
            continue;
        }
        let Ok(target) = std::fs::read_link(&done) else {
            continue;
        };
        links += 1;
        if links > LINKS_MAX {
            return PathBuf::from("/");
        }
        done.pop();
        if target.is_absolute() {
            done = PathBuf::from("/");
        }
        for name in names(&target).into_iter().rev() {
            waiting.push_front(name);
        }
    }
    done
}

fn names(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        })
        .collect()
}

/// Takes `.` and `..` out by the text alone, as `cd` does.
pub fn flat(path: &Path) -> PathBuf {
    let mut flat = PathBuf::from("/");
    for name in names(path) {
        if name == ".." {
            flat.pop();
        } else {
            flat.push(name);
        }
    }
    flat
}

/// The files that a text with wildcards names now, as absolute paths; the text itself when there are none. `None` when
/// there are too many to look at.
pub fn matches(folder: &Path, text: &Text, budget: &Budget<'_>) -> Option<Vec<PathBuf>> {
    let mut found = vec![if text.0.first().is_some_and(|(c, _)| *c == '/') {
        "/".into()
    } else {
        folder.to_path_buf()
    }];
    for part in text
        .0
        .split(|(c, _)| *c == '/')
        .filter(|part| !part.is_empty())
    {
        let part = Text(part.to_vec());
        if !part.has_wildcard() {
            for path in &mut found {
                path.push(part.plain());
            }
            continue;
        }
        let mut next = Vec::new();
        for path in &found {
            for entry in budget.entries(path)?.iter() {
                let name: Vec<char> = entry.name.chars().collect();
                if fits(&part.0, &name) {
                    next.push(path.join(&entry.name));
                }
            }
        }
        // Each will be followed through its links.
        budget.take(next.len())?;
        (next.len() <= MATCHES_MAX).then_some(())?;
        found = next;
    }
    if found.is_empty() {
        found.push(folder.join(text.plain()));
    }
    Some(found)
}

/// The folder of a text up to its first wildcard.
pub fn base(folder: &Path, text: &Text) -> PathBuf {
    let wild = text
        .0
        .iter()
        .position(|(c, active)| *active && matches!(c, '*' | '?' | '['))
        .unwrap_or(text.0.len());
    let head = text.0.get(..wild).unwrap_or_default();
    let slash = head
        .iter()
        .rposition(|(c, _)| *c == '/')
        .map_or(0, |at| at + 1);
    let head: String = head
        .get(..slash)
        .unwrap_or_default()
        .iter()
        .map(|(c, _)| c)
        .collect();
    folder.join(head)
}

/// Whether a name fits a pattern of `*`, `?` and `[...]`; a leading dot must be named. A set is taken as any character:
/// that can only make more files count.
fn fits(pattern: &[(char, bool)], name: &[char]) -> bool {
    let hidden = name.first() == Some(&'.');
    if hidden && pattern.first().is_some_and(|(c, _)| *c != '.' && *c != '[') {
        return false;
    }
    fits_from(&tokens(pattern), name)
}

#[derive(Clone, Copy, PartialEq)]
enum Token {
    Char(char),
    Any,
    Run,
}

fn tokens(pattern: &[(char, bool)]) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut index = 0;
    while let Some((c, active)) = pattern.get(index) {
        index += 1;
        match (c, active) {
            ('*', true) => tokens.push(Token::Run),
            ('?', true) => tokens.push(Token::Any),
            ('[', true) => {
                let close = pattern.iter().skip(index + 1).position(|(c, _)| *c == ']');
                match close {
                    Some(close) => {
                        index += close + 2;
                        tokens.push(Token::Any);
                    }
                    None => tokens.push(Token::Char('[')),
                }
            }
            _ => tokens.push(Token::Char(*c)),
        }
    }
    tokens
}

fn fits_from(tokens: &[Token], name: &[char]) -> bool {
    let (mut t, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(c) = name.get(n) {
        match tokens.get(t) {
            Some(Token::Run) => {
                star = Some((t, n));
                t += 1;
            }
            Some(Token::Any) => (t, n) = (t + 1, n + 1),
            Some(Token::Char(wanted)) if wanted == c => (t, n) = (t + 1, n + 1),
            _ => {
                let Some((at, taken)) = star else {
                    return false;
                };
                star = Some((at, taken + 1));
                (t, n) = (at + 1, taken + 1);
            }
        }
    }
    tokens
        .get(t..)
        .unwrap_or_default()
        .iter()
        .all(|token| *token == Token::Run)
}

/// The first file below `folder` that `wanted` accepts by its path and name, the nearest folders first. `None` when there
/// is too much to look at all of it.
pub fn first_below(
    folder: &Path,
    budget: &Budget<'_>,
    mut wanted: impl FnMut(&Path, &str) -> bool,
) -> Option<Option<PathBuf>> {
    let mut folders = VecDeque::from([folder.to_path_buf()]);
    let mut left = FOLDER_ENTRIES_MAX;
    while let Some(folder) = folders.pop_front() {
        let entries = budget.entries(&folder)?;
        left = left.checked_sub(entries.len())?;
        for entry in entries.iter() {
            let path = folder.join(&entry.name);
            if entry.is_folder {
                if !matches!(entry.name.as_str(), ".git" | "node_modules" | "target") {
                    folders.push_back(path);
                }
            } else if wanted(&path, &entry.name) {
                return Some(Some(path));
            }
        }
    }
    Some(None)
}

/// Whether git would find another repository from `real` than the one at `worktree`: it obeys that one's configuration.
pub fn has_own_repository(folder: &Path, worktree: &Path) -> bool {
    let own = real(worktree);
    for above in folder.ancestors() {
        if above == own {
            return false;
        }
        let bare = above.join("HEAD").is_file() && above.join("objects").is_dir();
        if bare || above.join(".git").exists() {
            return true;
        }
    }
    false
}
