//! Takes a worktree back to its base, and adopts, renames and clears.

use super::bring;
use super::create::{blank, reserve_as};
use super::error::{Losses, TreeError};
use super::index_lock::IndexLock;
use super::kept::{self, Kept};
use super::names;
use super::place::{Linked, Place, commit_of};
use super::record::{Stage, Tree};
use super::remove::{Answer, find};
use super::snapshot;
use super::{Inner, Trees, blocking};
use git2::{Repository, ResetType};
use std::path::Path;
use std::sync::Arc;

impl Trees {
    /// Takes a worktree back to where its base is now; ignored files and nested repositories stay. What goes is kept.
    ///
    /// # Errors
    /// [`TreeError::WouldLose`] when somebody works in it and the answer does not say that it may be.
    pub async fn reset(
        &self,
        place: &Place,
        directory: &Path,
        answer: Answer,
    ) -> Result<Kept, TreeError> {
        let (inner, here) = (Arc::clone(&self.0), place.clone());
        let directory = directory.to_path_buf();
        let prepared = blocking(move || {
            let (linked, tree) = find(&inner, &here, &directory)?;
            let hold = inner.hold(&linked.directory)?;
            if !answer.users.is_empty() && !answer.force {
                let users = answer.users;
                return Err(TreeError::WouldLose(Box::new(Losses {
                    users,
                    ..Losses::default()
                })));
            }
            let base = base_now(&here, tree.as_ref())?;
            let kept = kept::keep(&inner, &here, &linked, tree.as_ref(), "reset")?;
            if !kept.left.is_empty() && !answer.force {
                let untracked = kept.left;
                return Err(TreeError::WouldLose(Box::new(Losses {
                    untracked,
                    ..Losses::default()
                })));
            }
            inner.step("reset kept")?;
            Ok((hold, linked, base, kept))
        });
        let (_hold, linked, base, kept) = prepared.await?;
        let git = &self.0.git;
        git.run(&linked.directory, &["reset", "--hard", "--quiet", &base])
            .await?;
        self.0.step("reset done")?;
        git.run(&linked.directory, &["clean", "-fdq"]).await?;
        Ok(kept)
    }

    /// Takes a worktree that somebody else made into the list of ours. Its branch stays its owner's.
    ///
    /// # Errors
    /// [`TreeError::NotATree`].
    pub async fn adopt(&self, place: &Place, directory: &Path) -> Result<Tree, TreeError> {
        let (inner, place) = (Arc::clone(&self.0), place.clone());
        let directory = directory.to_path_buf();
        blocking(move || {
            let (linked, tree) = find(&inner, &place, &directory)?;
            if let Some(tree) = tree {
                return Ok(tree);
            }
            adopt(&inner, &place, &linked)
        })
        .await
    }

    /// Gives a worktree another name, and its branch too if that was made with it. Its folder stays where it is: sessions,
    /// terminals and editors are in it.
    ///
    /// # Errors
    /// [`TreeError::BadName`] when the name is taken or none.
    pub async fn rename(
        &self,
        place: &Place,
        directory: &Path,
        name: &str,
    ) -> Result<Tree, TreeError> {
        let (inner, here) = (Arc::clone(&self.0), place.clone());
        let (directory, wanted) = (directory.to_path_buf(), names::slug(name));
        let prepared = blocking(move || {
            let (linked, tree) = find(&inner, &here, &directory)?;
            let hold = inner.hold(&linked.directory)?;
            let tree = tree.ok_or(TreeError::NotATree {
                directory,
                why: "is not one of kilo's worktrees; adopt it first",
            })?;
            if wanted.is_empty() {
                return Err(TreeError::BadName("it needs a letter or digit".into()));
            }
            let renamed = renamed(&tree, &linked, &wanted);
            if !inner.records(&here).reserve(&renamed)? {
                return Err(TreeError::BadName(format!("{wanted} is taken")));
            }
            Ok((hold, linked, tree, renamed))
        });
        let (_hold, linked, tree, renamed) = prepared.await?;
        self.0.step("renamed record")?;
        if let (Some(old), Some(new)) = (&tree.branch, &renamed.branch)
            && old != new
        {
            let words = ["branch", "-m", old, new];
            let git = &self.0.git;
            let moved = git.run_in_turn(&place.common, &linked.directory, &words);
            if let Err(error) = moved.await {
                self.0.records(place).remove(&renamed.name);
                return Err(error);
            }
        }
        self.0.step("renamed branch")?;
        if renamed.name != tree.name {
            self.0.records(place).remove(&tree.name);
        }
        Ok(renamed)
    }

    /// Brings the uncommitted changes of `from` into the worktree `into`; both are top folders.
    ///
    /// # Errors
    /// [`TreeError::Conflicts`]; nothing was written.
    pub async fn carry(&self, from: &Path, into: &Path) -> Result<bring::Brought, TreeError> {
        let (from, into) = (from.to_path_buf(), into.to_path_buf());
        blocking(move || bring::carry(&from, &into)).await
    }

    /// Takes the files of a worktree, the main one too, back to the last commit. What goes is kept.
    pub async fn clear(&self, place: &Place) -> Result<Kept, TreeError> {
        let (inner, place) = (Arc::clone(&self.0), place.clone());
        blocking(move || {
            let repo = place.open()?;
            let linked = Linked {
                admin: repo.path().to_path_buf(),
                directory: place.root.clone(),
                locked: None,
            };
            let _hold = inner.hold(&place.root)?;
            let kept = kept::keep(&inner, &place, &linked, None, "moved")?;
            inner.step("cleared kept")?;
            let head = repo.head()?.peel_to_commit()?;
            // a git program that is at work there would leave index and files apart
            drop(IndexLock::take(&repo)?);
            let files = snapshot::take(&repo)?.files;
            bring::write(&repo, &repo.find_tree(files)?, &head.tree()?)?;
            repo.reset(head.as_object(), ResetType::Mixed, None)?;
            Ok(kept)
        })
        .await
    }
}

/// Where the base of a worktree is now: its branch, else the commit that it started from.
fn base_now(place: &Place, tree: Option<&Tree>) -> Result<String, TreeError> {
    let repo = Repository::open(&place.common)?;
    let named = tree.and_then(|tree| tree.base.as_deref());
    let moved = named.and_then(|name| commit_of(&repo, Some(name)).ok());
    if let Some(commit) = moved {
        return Ok(commit.to_string());
    }
    match tree {
        Some(tree) => Ok(tree.commit.clone()),
        None => Ok(commit_of(&repo, None)?.to_string()),
    }
}

fn adopt(inner: &Inner, place: &Place, linked: &Linked) -> Result<Tree, TreeError> {
    let not = |why| TreeError::NotATree {
        directory: linked.directory.clone(),
        why,
    };
    if !linked.is_there() {
        return Err(not("is gone"));
    }
    let repo = Repository::open(&linked.directory)?;
    let name = linked.directory.file_name().unwrap_or_default();
    let main = Repository::open(&place.common)?;
    let base = main.head().ok();
    let base = base.and_then(|head| head.shorthand().ok().map(str::to_owned));
    let commit = commit_of(&repo, None)?;
    let left = base
        .as_deref()
        .and_then(|base| commit_of(&repo, Some(base)).ok())
        .and_then(|base| main.merge_base(base, commit).ok());
    let mut tree = reserve_as(inner, place, &repo, &name.to_string_lossy(), |_| Tree {
        branch: linked.branch(),
        base: base.clone(),
        commit: left.unwrap_or(commit).to_string(),
        stage: Stage::Ready,
        adopted: true,
        origin: place.main(),
        ..blank(inner, place)
    })?;
    tree.directory = linked.directory.clone();
    inner.records(place).write(&tree)?;
    inner.forget_ports();
    Ok(tree)
}

fn renamed(tree: &Tree, linked: &Linked, name: &str) -> Tree {
    let own = tree.owns_branch && linked.branch() == tree.branch;
    Tree {
        name: name.to_owned(),
        branch: match own {
            true => Some(format!("opencode/{name}")),
            false => tree.branch.clone(),
        },
        ..tree.clone()
    }
}
