//! What a worktree changed since it left its base, in the shapes of the `/experimental/worktree/diff` routes.

use super::error::TreeError;
use crate::beneath::Beneath;
use crate::vcs::{self, VcsError};
use git2::{Repository, Status};
use kilo_protocol::model::FileDiff;
use serde::Serialize;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Texts over this are left out of an answer; their patch is there (256 KiB).
const TEXT_BYTES_MAX: u64 = 256 * 1024;
/// All texts of one answer (32 MiB).
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A changed file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Item {
    /// Its path below the worktree's top folder.
    pub file: String,
    /// The change as a patch; empty in a summary.
    pub patch: String,
    /// The text before; empty in a summary, for new and for binary files.
    pub before: String,
    /// The text after.
    pub after: String,
    /// Lines added.
    pub additions: u64,
    /// Lines taken away.
    pub deletions: u64,
    /// `added`, `deleted` or `modified`.
    pub status: String,
    /// Git knows it.
    pub tracked: bool,
    /// It looks like something that a program made.
    pub generated_like: bool,
    /// Size and time of change in milliseconds: another stamp, another content.
    pub stamp: String,
}

/// How much of each file is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Counts.
    Summary,
    /// Patch and texts.
    Whole,
}

/// The files that differ from where the branch of the worktree around `directory` left `base`, by path; only `file`, if one
/// is named.
///
/// # Errors
/// [`TreeError::NotGit`], [`TreeError::UnknownBase`].
pub fn compare(
    directory: &Path,
    base: &str,
    detail: Detail,
    only: Option<&str>,
) -> Result<Vec<Item>, TreeError> {
    let failed = |error| match error {
        VcsError::NotARepository => TreeError::NotGit(directory.to_path_buf()),
        VcsError::UnknownCommit(name) => TreeError::UnknownBase(name),
        VcsError::Git(error) => TreeError::Git(error),
        other => TreeError::Broken(other.to_string()),
    };
    let diffs = vcs::diff_since(directory, base, 3).map_err(failed)?;
    let (checkout, repo) = vcs::open(directory)
        .map_err(failed)?
        .ok_or_else(|| TreeError::NotGit(directory.to_path_buf()))?;
    let before = vcs::since(&repo, base).map_err(failed)?;
    let beneath = Beneath::open(&checkout.root).ok();
    let mut left = ANSWER_BYTES_MAX;
    let mut items = Vec::new();
    for diff in diffs {
        if only.is_some_and(|only| only != diff.file) {
            continue;
        }
        let path = Path::new(&diff.file);
        let mut item = item(&repo, &checkout.root, diff.clone());
        // a path through a link leads elsewhere: its file is not this worktree's
        let is_inside = beneath
            .as_ref()
            .is_some_and(|beneath| beneath.reaches(path));
        if detail == Detail::Whole {
            item.patch = diff.patch;
            item.before = text(vcs::blob(&repo, &before, path), &mut left);
            item.after = match is_inside {
                true => text(read(&checkout.root.join(path)), &mut left),
                false => String::new(),
            };
        }
        items.push(item);
    }
    Ok(items)
}

fn item(repo: &Repository, root: &Path, diff: FileDiff) -> Item {
    let about = root.join(&diff.file).symlink_metadata().ok();
    let stamp = about.map_or_else(
        || "0:0".into(),
        |about| {
            let nanos = about.mtime() * 1_000_000 + about.mtime_nsec() / 1_000;
            format!("{}:{}.{:03}", about.len(), nanos / 1_000, nanos % 1_000)
        },
    );
    let status = repo.status_file(Path::new(&diff.file));
    Item {
        patch: String::new(),
        before: String::new(),
        after: String::new(),
        additions: diff.additions,
        deletions: diff.deletions,
        status: diff.status.unwrap_or_else(|| "modified".into()),
        tracked: !status.is_ok_and(|status| status.contains(Status::WT_NEW)),
        generated_like: is_generated_like(&diff.file),
        file: diff.file,
        stamp,
    }
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let about = path.symlink_metadata().ok()?;
    if about.is_symlink() {
        use std::os::unix::ffi::OsStrExt;
        return Some(fs::read_link(path).ok()?.as_os_str().as_bytes().to_vec());
    }
    (about.is_file() && about.len() <= TEXT_BYTES_MAX)
        .then(|| fs::read(path).ok())
        .flatten()
}

/// The bytes as text; empty for what is none or too long.
fn text(bytes: Option<Vec<u8>>, left: &mut usize) -> String {
    let bytes = bytes.filter(|bytes| bytes.len() as u64 <= TEXT_BYTES_MAX && bytes.len() <= *left);
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.filter(|text| !text.contains('\0')).unwrap_or_default();
    *left -= text.len();
    text
}

/// Whether a file's name says that a program makes it: lock files, minified and bundled code, output folders.
fn is_generated_like(file: &str) -> bool {
    const NAMES: [&str; 10] = [
        "Cargo.lock",
        "Gemfile.lock",
        "bun.lock",
        "bun.lockb",
        "composer.lock",
        "go.sum",
        "package-lock.json",
        "pnpm-lock.yaml",
        "poetry.lock",
        "yarn.lock",
    ];
    const ENDS: [&str; 8] = [
        ".min.js", ".min.css", ".map", ".snap", ".pb.go", ".g.dart", "_pb2.py", ".lock",
    ];
    const FOLDERS: [&str; 6] = [
        "dist",
        "build",
        "generated",
        "__generated__",
        "vendor",
        "node_modules",
    ];
    let name = file.rsplit('/').next().unwrap_or(file);
    NAMES.contains(&name)
        || ENDS.iter().any(|end| name.ends_with(end))
        || file
            .split('/')
            .rev()
            .skip(1)
            .any(|folder| FOLDERS.contains(&folder))
}
