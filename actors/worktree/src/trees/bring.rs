//! Brings changes of one worktree into the files of another, with whatever is there already: a three-way merge in memory
//! first, files only when all of it fits.

use super::error::{Conflict, TreeError};
use super::snapshot;
use git2::build::CheckoutBuilder;
use git2::{
    Delta, DiffOptions, FileMode, Index, IndexConflict, IndexEntry, ObjectType, Oid, Repository,
    Tree,
};
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

/// Merged texts over this are not shown.
const MERGED_BYTES_MAX: usize = 256 * 1024;

/// What was brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brought {
    /// The files that were written or deleted, relative, by path.
    pub files: Vec<String>,
}

/// Brings the uncommitted changes of `from` (a worktree's top folder) into the files of `into`.
pub(super) fn carry(from: &Path, into: &Path) -> Result<Brought, TreeError> {
    let source = Repository::open(from)?;
    if source.is_bare() {
        return Ok(Brought::default());
    }
    let state = snapshot::take(&source)?;
    let head = source.head()?.peel_to_tree()?.id();
    if head == state.files {
        return Ok(Brought::default());
    }
    bring(into, head, state.files, None)
}

/// Brings what differs between the trees `base` and `theirs` into the files of `into`; only the files named, if any are.
///
/// # Errors
/// [`TreeError::Conflicts`]; nothing was written.
pub(super) fn bring(
    into: &Path,
    base: Oid,
    theirs: Oid,
    only: Option<&[String]>,
) -> Result<Brought, TreeError> {
    let repo = Repository::open(into)?;
    let (ours, merged) = merged(&repo, base, theirs, only)?;
    write(&repo, &ours, &merged)
}

/// The same without writing anything: what would change.
pub(super) fn look(
    into: &Path,
    base: Oid,
    theirs: Oid,
    only: Option<&[String]>,
) -> Result<Brought, TreeError> {
    let repo = Repository::open(into)?;
    let (ours, merged) = merged(&repo, base, theirs, only)?;
    let diff = repo.diff_tree_to_tree(Some(&ours), Some(&merged), None)?;
    let paths = diff.deltas().filter_map(|delta| {
        let path = delta.new_file().path_bytes()?;
        Some(String::from_utf8_lossy(path).into_owned())
    });
    Ok(Brought {
        files: paths.collect(),
    })
}

/// The files of `repo`'s worktree as they are, and with the changes from `base` to `theirs`.
fn merged<'repo>(
    repo: &'repo Repository,
    base: Oid,
    theirs: Oid,
    only: Option<&[String]>,
) -> Result<(Tree<'repo>, Tree<'repo>), TreeError> {
    let ours = snapshot::take(repo)?;
    let (base, theirs) = (repo.find_tree(base)?, repo.find_tree(theirs)?);
    let theirs = match only {
        Some(files) => with_only(repo, &base, &theirs, files)?,
        None => theirs,
    };
    let ours = repo.find_tree(ours.files)?;
    let mut merged = repo.merge_trees(&base, &ours, &theirs, None)?;
    if merged.has_conflicts() {
        return Err(TreeError::Conflicts(conflicts(repo, &merged)?));
    }
    let merged = repo.find_tree(merged.write_tree_to(repo)?)?;
    Ok((ours, merged))
}

/// `base` with the named files (or all below a named folder) as `theirs` has them.
fn with_only<'repo>(
    repo: &'repo Repository,
    base: &Tree<'_>,
    theirs: &Tree<'_>,
    files: &[String],
) -> Result<Tree<'repo>, TreeError> {
    let mut index = Index::new()?;
    index.read_tree(base)?;
    let mut wanted = Index::new()?;
    wanted.read_tree(theirs)?;
    let is_named = |path: &[u8]| {
        files.iter().any(|file| {
            let file = file.trim_end_matches('/').as_bytes();
            path.strip_prefix(file)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        })
    };
    let gone: Vec<Vec<u8>> = index
        .iter()
        .filter(|entry| is_named(&entry.path))
        .map(|entry| entry.path)
        .collect();
    for path in gone {
        index.remove(Path::new(OsStr::from_bytes(&path)), 0)?;
    }
    for entry in wanted.iter().filter(|entry| is_named(&entry.path)) {
        index.add(&entry)?;
    }
    Ok(repo.find_tree(index.write_tree_to(repo)?)?)
}

/// Writes what differs between `from` (how the files are) and `to` into the files. The index stays as it is.
pub(super) fn write(
    repo: &Repository,
    from: &Tree<'_>,
    to: &Tree<'_>,
) -> Result<Brought, TreeError> {
    let root = repo.workdir().ok_or_else(|| TreeError::NotATree {
        directory: repo.path().to_path_buf(),
        why: "has no files",
    })?;
    let mut options = DiffOptions::new();
    let diff = repo.diff_tree_to_tree(Some(from), Some(to), Some(&mut options))?;
    let mut checkout = CheckoutBuilder::new();
    checkout
        .force()
        .update_index(false)
        .disable_pathspec_match(true);
    let mut files = Vec::new();
    let mut writes = false;
    let mut by_hand: Vec<Vec<u8>> = Vec::new();
    for delta in diff.deltas() {
        let file = match delta.status() {
            Delta::Deleted => delta.old_file(),
            _ => delta.new_file(),
        };
        let path = file.path_bytes().unwrap_or_default();
        files.push(String::from_utf8_lossy(path).into_owned());
        if delta.status() == Delta::Deleted {
            delete(root, Path::new(OsStr::from_bytes(path)))?;
        } else if is_plain(path) {
            writes = true;
            checkout.path(path);
        } else {
            by_hand.push(path.to_vec());
        }
    }
    if writes {
        repo.checkout_tree(to.as_object(), Some(&mut checkout))?;
    }
    for path in by_hand {
        put(repo, to, root, Path::new(OsStr::from_bytes(&path)))?;
    }
    Ok(Brought { files })
}

/// Whether libgit2 finds a file by this name: it reads names as patterns of a `.gitignore`, also where they are not to be
/// matched as such.
fn is_plain(path: &[u8]) -> bool {
    let (first, last) = (path.first(), path.last());
    let is_blank = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_whitespace);
    let is_mark = matches!(first, Some(b'!' | b'#'));
    let has_odd = path
        .iter()
        .any(|byte| *byte == b'\\' || byte.is_ascii_control());
    !(is_blank(first) || is_blank(last) || is_mark || has_odd)
}

/// Writes one file as `tree` has it, without filters.
fn put(repo: &Repository, tree: &Tree<'_>, root: &Path, path: &Path) -> Result<(), TreeError> {
    let full = root.join(path);
    let failed = |error| TreeError::io(format!("cannot write {}", full.display()))(error);
    let entry = tree.get_path(path)?;
    if entry.kind() != Some(ObjectType::Blob) {
        return Ok(()); // a submodule has its own history
    }
    let blob = repo.find_blob(entry.id())?;
    if let Some(folder) = full.parent() {
        let leads_out = |above: &Path| {
            let about = root.join(above).symlink_metadata();
            about.is_ok_and(|about| about.is_symlink())
        };
        if path
            .ancestors()
            .skip(1)
            .any(|above| above != Path::new("") && leads_out(above))
        {
            return Err(failed(std::io::ErrorKind::NotADirectory.into()));
        }
        fs::create_dir_all(folder).map_err(failed)?;
    }
    match fs::remove_file(&full) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    if entry.filemode() == i32::from(FileMode::Link) {
        return symlink(OsStr::from_bytes(blob.content()), &full).map_err(failed);
    }
    let mode = match entry.filemode() == i32::from(FileMode::BlobExecutable) {
        true => 0o777,
        false => 0o666,
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&full)
        .map_err(failed)?;
    file.write_all(blob.content()).map_err(failed)
}

/// Deletes a file, and the folders that are empty then.
fn delete(root: &Path, path: &Path) -> Result<(), TreeError> {
    let full = root.join(path);
    if let Err(error) = fs::remove_file(&full)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(TreeError::io(format!("cannot delete {}", full.display()))(
            error,
        ));
    }
    for above in path
        .ancestors()
        .skip(1)
        .filter(|above| *above != Path::new(""))
    {
        if fs::remove_dir(root.join(above)).is_err() {
            break;
        }
    }
    Ok(())
}

/// The conflicts of a merge, file by file.
pub(super) fn conflicts(repo: &Repository, merged: &Index) -> Result<Vec<Conflict>, TreeError> {
    let mut found = Vec::new();
    for conflict in merged.conflicts()? {
        let conflict = conflict?;
        let kind = match (&conflict.ancestor, &conflict.our, &conflict.their) {
            (_, None, _) => "deleted-here",
            (_, _, None) => "deleted-there",
            (None, _, _) => "both-added",
            _ => "both-changed",
        };
        found.push(Conflict {
            file: path_of(&conflict).to_string_lossy().into_owned(),
            kind: kind.into(),
            merged: merged_text(repo, &conflict),
        });
    }
    Ok(found)
}

fn path_of(conflict: &IndexConflict) -> PathBuf {
    let sides = [&conflict.our, &conflict.their, &conflict.ancestor];
    let path = sides.into_iter().flatten().map(|side| side.path.as_slice());
    PathBuf::from(OsStr::from_bytes(
        path.into_iter().next().unwrap_or_default(),
    ))
}

/// Both sides in one text, with marks; none where a side is missing or no text.
fn merged_text(repo: &Repository, conflict: &IndexConflict) -> Option<String> {
    let (ours, theirs) = (conflict.our.as_ref()?, conflict.their.as_ref()?);
    let text = |entry: &IndexEntry| {
        let blob = repo.find_blob(entry.id).ok()?;
        (blob.size() <= MERGED_BYTES_MAX && !blob.is_binary()).then(|| blob.content().to_vec())
    };
    let before = match &conflict.ancestor {
        Some(ancestor) => text(ancestor)?,
        None => Vec::new(),
    };
    let (ours, theirs) = (text(ours)?, text(theirs)?);
    let mut options = git2::MergeFileOptions::new();
    options.our_label("here").their_label("worktree");
    let mut inputs = [
        git2::MergeFileInput::new(),
        git2::MergeFileInput::new(),
        git2::MergeFileInput::new(),
    ];
    let [ancestor, our, their] = &mut inputs;
    ancestor.content(&before);
    our.content(&ours);
    their.content(&theirs);
    let merged = git2::merge_file(ancestor, our, their, Some(&mut options)).ok()?;
    String::from_utf8(merged.content().to_vec()).ok()
}
