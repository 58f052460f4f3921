//! A worktree's branch, changes and patches, in the shapes of the `/vcs` routes.
//!
//! Everything here blocks; paths in answers are relative to the worktree's top folder.

use crate::beneath::Beneath;
use crate::checkout::Checkout;
use crate::patch;
use crate::sparse::left_out;
use git2::{ApplyLocation, ApplyOptions, Commit, Delta, Diff, DiffOptions, Repository, Tree};
use kilo_protocol::model::FileDiff;
use serde::Serialize;
use std::collections::HashSet;
use std::path::Path;

/// Bytes of a raw diff.
const RAW_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of a patch that is applied.
const PATCH_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Lines of context that a patch may have.
const CONTEXT_MAX: u32 = 1_000_000;

/// Why version control did not answer.
#[derive(Debug, thiserror::Error)]
pub enum VcsError {
    /// The directory is not in a git repository.
    #[error("not in a git repository")]
    NotARepository,
    /// A name given for a commit is none.
    #[error("{0} names no commit")]
    UnknownCommit(String),
    /// The answer would be over 64 MiB.
    #[error("the changes are too large")]
    TooLarge,
    /// Git failed.
    #[error("git: {0}")]
    Git(#[from] git2::Error),
}

/// Why a patch was not applied; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Reason `non-git`.
    #[error("Not a git repository")]
    NonGit,
    /// Reason `not-clean`: the text is no patch, or does not fit the files.
    #[error("Patch can't be applied")]
    NotClean(#[source] Option<git2::Error>),
}

impl ApplyError {
    /// The reason as the wire names it.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NonGit => "non-git",
            Self::NotClean(_) => "not-clean",
        }
    }
}

/// The answer of `GET /vcs`; `{}` outside of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VcsInfo {
    /// The branch that is checked out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The branch that work starts from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_branch: Option<String>,
}

/// An entry of `GET /vcs/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileStatus {
    /// The path.
    pub file: String,
    /// Lines added since the last commit.
    pub additions: u64,
    /// Lines taken away since.
    pub deletions: u64,
    /// `added`, `deleted` or `modified`.
    pub status: String,
}

/// What a diff compares with the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiffMode {
    /// `git`: the last commit.
    Git,
    /// `branch`: where the branch left the default branch. Empty on the default branch itself.
    Branch,
    /// `last-commit`: the last commit with the one before; the files do not count.
    LastCommit,
}

impl DiffMode {
    /// Reads the `mode` query parameter.
    pub fn from_wire(text: &str) -> Option<Self> {
        match text {
            "git" => Some(Self::Git),
            "branch" => Some(Self::Branch),
            "last-commit" => Some(Self::LastCommit),
            _ => None,
        }
    }
}

/// Names the branch and the default branch of the repository around `directory`.
pub fn info(directory: &Path) -> VcsInfo {
    let Some(checkout) = Checkout::find(directory) else {
        return VcsInfo::default();
    };
    let default_branch = Repository::open(&checkout.root)
        .ok()
        .and_then(|repo| default_branch(&repo));
    VcsInfo {
        branch: checkout.branch(),
        default_branch,
    }
}

/// Lists the files that differ from the last commit, untracked ones included; empty outside of a repository.
pub fn status(directory: &Path) -> Result<Vec<FileStatus>, VcsError> {
    let files = diff(directory, DiffMode::Git, 0)?;
    let entry = |file: FileDiff| FileStatus {
        file: file.file,
        additions: file.additions,
        deletions: file.deletions,
        status: file.status.unwrap_or_else(|| "modified".into()),
    };
    Ok(files.into_iter().map(entry).collect())
}

/// Writes the changes that `mode` names, with `context` lines around each; empty outside of a repository.
pub fn diff(directory: &Path, mode: DiffMode, context: u32) -> Result<Vec<FileDiff>, VcsError> {
    let Some((_, repo)) = open(directory)? else {
        return Ok(Vec::new());
    };
    let head = head_commit(&repo)?;
    let mut options = patch::options(context.min(CONTEXT_MAX));
    match mode {
        DiffMode::Git => {
            let base = head.map(|head| head.tree()).transpose()?;
            Ok(patch::file_diffs(&with_files(
                &repo,
                base.as_ref(),
                options,
            )?)?)
        }
        DiffMode::Branch => match branch_base(&repo, head.as_ref())? {
            Some(base) => Ok(patch::file_diffs(&with_files(
                &repo,
                Some(&base),
                options,
            )?)?),
            None => Ok(Vec::new()),
        },
        DiffMode::LastCommit => {
            let Some(head) = head else {
                return Ok(Vec::new());
            };
            let before = head
                .parent(0)
                .ok()
                .map(|parent| parent.tree())
                .transpose()?;
            let diff =
                repo.diff_tree_to_tree(before.as_ref(), Some(&head.tree()?), Some(&mut options))?;
            Ok(patch::file_diffs(&diff)?)
        }
    }
}

/// Writes what changed since the branch left `base` (a branch, tag or hash), files included.
///
/// Errors: [`VcsError::NotARepository`], [`VcsError::UnknownCommit`].
pub fn diff_since(directory: &Path, base: &str, context: u32) -> Result<Vec<FileDiff>, VcsError> {
    let (_, repo) = open(directory)?.ok_or(VcsError::NotARepository)?;
    let base = since(&repo, base)?;
    let options = patch::options(context.min(CONTEXT_MAX));
    let mut files = patch::file_diffs(&with_files(&repo, Some(&base), options)?)?;
    let left_out = left_out(
        &repo.index()?,
        repo.workdir().unwrap_or_else(|| repo.path()),
    );
    let is_shown = |file: &FileDiff| {
        file.status.as_deref() != Some("deleted") || !left_out.contains(file.file.as_bytes())
    };
    files.retain(is_shown);
    Ok(files)
}

/// The same of a worktree whose files are as its last commit; without lines around the changes.
///
/// Errors: as [`diff_since`].
pub fn committed_since(directory: &Path, base: &str) -> Result<Vec<FileDiff>, VcsError> {
    let (_, repo) = open(directory)?.ok_or(VcsError::NotARepository)?;
    let base = since(&repo, base)?;
    let head = head_commit(&repo)?.map(|head| head.tree()).transpose()?;
    let mut options = patch::options(0);
    let diff = repo.diff_tree_to_tree(Some(&base), head.as_ref(), Some(&mut options))?;
    Ok(patch::file_diffs(&diff)?)
}

/// The bytes of `file` (relative to the worktree's top folder) where the branch left `base`; nothing if it was not there.
///
/// Errors: [`VcsError::NotARepository`], [`VcsError::UnknownCommit`].
pub fn file_since(directory: &Path, base: &str, file: &Path) -> Result<Option<Vec<u8>>, VcsError> {
    let (_, repo) = open(directory)?.ok_or(VcsError::NotARepository)?;
    Ok(blob(&repo, &since(&repo, base)?, file))
}

/// Writes the changes since the last commit as one text that [`apply`] takes, untracked and binary files included; empty
/// outside of a repository.
///
/// Errors: [`VcsError::TooLarge`] over 64 MiB.
pub fn raw_diff(directory: &Path) -> Result<String, VcsError> {
    let Some((_, repo)) = open(directory)? else {
        return Ok(String::new());
    };
    let base = head_commit(&repo)?.map(|head| head.tree()).transpose()?;
    let mut options = patch::options(3);
    options.show_binary(true);
    let diff = with_files(&repo, base.as_ref(), options)?;
    patch::raw(&diff, RAW_BYTES_MAX)?.ok_or(VcsError::TooLarge)
}

/// Applies a patch in git's form to the files: wholly or not at all. The index stays as it is.
pub fn apply(directory: &Path, patch: &str) -> Result<(), ApplyError> {
    let checkout = Checkout::find(directory).ok_or(ApplyError::NonGit)?;
    let not_clean = |error| ApplyError::NotClean(Some(error));
    if patch.len() > PATCH_BYTES_MAX {
        return Err(ApplyError::NotClean(None));
    }
    let repo = Repository::open(&checkout.root).map_err(not_clean)?;
    let diff = Diff::from_buffer(patch.as_bytes()).map_err(not_clean)?;
    if diff.deltas().len() == 0 {
        return Err(ApplyError::NotClean(None));
    }
    if !stays_inside(&checkout, &diff) {
        return Err(ApplyError::NotClean(None));
    }
    repo.apply(
        &diff,
        ApplyLocation::WorkDir,
        Some(ApplyOptions::new().check(true)),
    )
    .map_err(not_clean)?;
    repo.apply(&diff, ApplyLocation::WorkDir, None)
        .map_err(not_clean)
}

/// Whether no path of `diff` leads through a link, one that is there or one that `diff` itself makes: libgit2 would follow
/// it out of the worktree.
fn stays_inside(checkout: &Checkout, diff: &Diff<'_>) -> bool {
    let Ok(beneath) = Beneath::open(&checkout.root) else {
        return false;
    };
    let written: HashSet<_> = diff
        .deltas()
        .filter(|delta| delta.status() != Delta::Deleted)
        .filter_map(|delta| delta.new_file().path())
        .collect();
    for delta in diff.deltas() {
        for path in [delta.old_file().path(), delta.new_file().path()]
            .into_iter()
            .flatten()
        {
            let is_below_a_file = path
                .ancestors()
                .skip(1)
                .any(|above| written.contains(above));
            if is_below_a_file || !beneath.reaches(path) {
                return false;
            }
        }
    }
    true
}

/// The worktree and its repository; nothing outside of one.
pub(crate) fn open(directory: &Path) -> Result<Option<(Checkout, Repository)>, VcsError> {
    let Some(checkout) = Checkout::find(directory) else {
        return Ok(None);
    };
    let repo = Repository::open(&checkout.root)?;
    Ok(Some((checkout, repo)))
}

/// The bytes of `file` in `tree`.
pub(crate) fn blob(repo: &Repository, tree: &Tree<'_>, file: &Path) -> Option<Vec<u8>> {
    let entry = tree.get_path(file).ok()?;
    Some(repo.find_blob(entry.id()).ok()?.content().to_vec())
}

/// The last commit; nothing before the first.
pub(crate) fn head_commit(repo: &Repository) -> Result<Option<Commit<'_>>, git2::Error> {
    use git2::ErrorCode::{NotFound, UnbornBranch};
    match repo.head().and_then(|head| head.peel_to_commit()) {
        Ok(commit) => Ok(Some(commit)),
        Err(error) if matches!(error.code(), UnbornBranch | NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The repository for walks over its history. libgit2 looks for the ends of a shallow one in the folder of the worktree, and
/// they are in the one that all worktrees share.
pub(crate) fn history(repo: &Repository) -> Result<Repository, git2::Error> {
    Repository::open(repo.commondir())
}

/// Compares the files with `base`, untracked ones included.
fn with_files<'repo>(
    repo: &'repo Repository,
    base: Option<&Tree<'_>>,
    mut options: DiffOptions,
) -> Result<Diff<'repo>, git2::Error> {
    options
        .include_untracked(true)
        .recurse_untracked_dirs(true)
        .show_untracked_content(true);
    repo.diff_tree_to_workdir_with_index(base, Some(&mut options))
}

/// The remote's HEAD, what the configuration names, or `main` or `master`: the first that exists.
fn default_branch(repo: &Repository) -> Option<String> {
    let remote = repo.find_reference("refs/remotes/origin/HEAD").ok();
    let remote = remote
        .as_ref()
        .and_then(|head| head.symbolic_target().ok().flatten());
    if let Some(name) = remote.and_then(|target| target.strip_prefix("refs/remotes/origin/")) {
        return Some(name.to_owned());
    }
    let configured = repo
        .config()
        .and_then(|config| config.get_string("init.defaultBranch"))
        .ok();
    let candidates = configured
        .into_iter()
        .chain(["main".to_owned(), "master".to_owned()]);
    let exists = |name: &String| repo.find_branch(name, git2::BranchType::Local).is_ok();
    candidates.into_iter().find(exists)
}

/// Where the branch left the default branch; nothing on that branch, or if the two share nothing.
fn branch_base<'repo>(
    repo: &'repo Repository,
    head: Option<&Commit<'_>>,
) -> Result<Option<Tree<'repo>>, git2::Error> {
    let (Some(head), Some(default)) = (head, default_branch(repo)) else {
        return Ok(None);
    };
    let on_default = repo.head()?.shorthand().is_ok_and(|name| name == default);
    if on_default {
        return Ok(None);
    }
    let tip = repo
        .revparse_single(&default)
        .or_else(|_| repo.revparse_single(&format!("origin/{default}")));
    let Ok(tip) = tip.and_then(|tip| tip.peel_to_commit()) else {
        return Ok(None);
    };
    match history(repo)?.merge_base(tip.id(), head.id()) {
        Ok(base) => Ok(Some(repo.find_commit(base)?.tree()?)),
        Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

pub(crate) fn since<'repo>(repo: &'repo Repository, base: &str) -> Result<Tree<'repo>, VcsError> {
    let unknown = |_| VcsError::UnknownCommit(base.to_owned());
    let tip = repo
        .revparse_single(base)
        .and_then(|tip| tip.peel_to_commit())
        .map_err(unknown)?;
    let Some(head) = head_commit(repo)? else {
        return Ok(tip.tree()?);
    };
    let merge_base = history(repo)?
        .merge_base(tip.id(), head.id())
        .map_err(unknown)?;
    Ok(repo.find_commit(merge_base)?.tree()?)
}
