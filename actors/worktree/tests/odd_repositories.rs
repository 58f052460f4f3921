//! Worktrees of repositories that are set up in odd ways: hooks, filters, sparse files, a `.git` file, odd names.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;
mod trees_support;

use kilo_worktree::trees::{Copies, NewTree, Order, Place, Tree, TreeError};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use trees_support::{Yard, forced};

fn named(name: &str) -> NewTree {
    NewTree {
        name: Some(name.into()),
        ..NewTree::default()
    }
}

async fn make(yard: &Yard, place: &Place, new: NewTree) -> Result<Tree, TreeError> {
    let tree = yard.trees.create(place, new.clone()).await?;
    yard.trees.fill(place, tree, &new, Copies::default()).await
}

/// Makes one, changes it, brings it home, removes it and brings it back.
async fn whole_life(yard: &Yard, place: &Place, file: &str) -> Tree {
    let tree = make(yard, place, named("work")).await.unwrap();
    fs::write(tree.directory.join(file), "changed\n").unwrap();
    let landed = yard
        .trees
        .apply(place, &tree.directory, Order::default())
        .await
        .unwrap();
    assert_eq!(landed.files, [file]);
    assert_eq!(
        fs::read_to_string(place.root.join(file)).unwrap(),
        "changed\n"
    );
    yard.trees
        .remove(place, &tree.directory, forced())
        .await
        .unwrap();
    assert!(!tree.directory.exists());
    let back = yard.trees.restore(place, "work").await.unwrap();
    assert_eq!(
        fs::read_to_string(back.directory.join(file)).unwrap(),
        "changed\n"
    );
    let kept = yard.trees.reset(place, &back.directory, forced()).await;
    assert_eq!(kept.unwrap().name, "work");
    back
}

fn program(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

const HOOKS: [&str; 9] = [
    "post-checkout",
    "post-index-change",
    "reference-transaction",
    "pre-commit",
    "commit-msg",
    "post-commit",
    "post-merge",
    "pre-rebase",
    "post-rewrite",
];

#[tokio::test]
async fn no_hook_and_no_watcher_of_the_repository_runs() {
    let yard = Yard::new();
    let ran = yard.project.data.join("ran");
    fs::create_dir_all(&yard.project.data).unwrap();
    let says = |name: &str| format!("echo {name} >> '{}'", ran.display());
    let hooks = yard.project.data.join("hooks");
    for name in HOOKS {
        program(&hooks.join(name), &says(name));
        program(
            &yard.project.root.join(".git/hooks").join(name),
            &says(name),
        );
    }
    program(&hooks.join("watcher"), &says("watcher"));
    let root = &yard.project.root;
    let watcher = hooks.join("watcher").display().to_string();
    yard.git(root, &["config", "core.fsmonitor", &watcher]);
    for hooks_path in [None, Some(hooks.display().to_string())] {
        if let Some(path) = &hooks_path {
            yard.git(root, &["config", "core.hooksPath", path]);
        }
        let _ = fs::remove_file(&ran);
        let place = yard.place().await;
        let back = whole_life(&yard, &place, "a.txt").await;
        let text = format!("{hooks_path:?}\n");
        fs::write(back.directory.join("b.txt"), text).unwrap();
        let order = Order {
            how: kilo_worktree::trees::How::Merge,
            message: Some("b".into()),
            ..Order::default()
        };
        yard.trees
            .apply(&place, &back.directory, order)
            .await
            .unwrap();
        yard.trees
            .remove(&place, &back.directory, forced())
            .await
            .unwrap();
        let said = fs::read_to_string(&ran).unwrap_or_default();
        assert_eq!(said, "", "{hooks_path:?}");
        fs::write(root.join("a.txt"), "a\n").unwrap();
    }
}

#[tokio::test]
async fn filters_run_and_pointers_stay_where_their_program_is_missing() {
    let yard = Yard::new();
    let root = &yard.project.root;
    yard.project.write(
        ".gitattributes",
        "*.big filter=big\n*.lfs filter=lfs -text\n",
    );
    yard.project.write("x.big", "stored\n");
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    yard.project.write("y.lfs", pointer);
    yard.project.commit("filtered");
    yard.git(
        root,
        &["config", "filter.big.smudge", "sed s/stored/fetched/"],
    );
    yard.git(
        root,
        &["config", "filter.big.clean", "sed s/fetched/stored/"],
    );
    let place = yard.place().await;
    let tree = make(&yard, &place, named("work")).await.unwrap();
    assert_eq!(yard.read(&tree, "x.big"), "fetched\n");
    assert_eq!(yard.read(&tree, "y.lfs"), pointer);
    let losses = yard.trees.losses(&place, &tree.directory).await.unwrap();
    println!("{losses:?}");
    yard.git(root, &["config", "filter.big.smudge", "false"]);
    yard.git(root, &["config", "filter.big.required", "true"]);
    let failed = make(&yard, &place, named("fails")).await.unwrap_err();
    assert!(
        failed.to_string().contains("smudge filter big failed"),
        "{failed}"
    );
    let listed = yard.trees.list(&place, false).await.unwrap();
    assert_eq!(listed.len(), 1);
}

#[tokio::test]
async fn names_with_spaces_and_line_breaks() {
    let yard = Yard::new();
    let odd = yard.project.data.join("a place\nwith 'odd' \"names\"");
    fs::create_dir_all(&odd).unwrap();
    let from = yard.project.root.display().to_string();
    yard.git(&odd, &["clone", "-q", &from, "the repo"]);
    let repo = odd.join("the repo");
    let file = "a b\n\tc \\ \"d\" ü.txt";
    fs::write(repo.join(file), "odd\n").unwrap();
    yard.git(&repo, &["add", "-A"]);
    yard.git(
        &repo,
        &[
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@t",
            "commit",
            "-qm",
            "odd",
        ],
    );
    let place = yard.trees.place("project", &repo).await.unwrap();
    let back = whole_life(&yard, &place, file).await;
    assert_eq!(
        fs::read_to_string(back.directory.join(file)).unwrap(),
        "odd\n"
    );
    let listed = yard.trees.list(&place, true).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        listed[0].tree.as_ref().unwrap().origin,
        repo.canonicalize().unwrap()
    );
}

#[tokio::test]
async fn a_branch_that_is_checked_out_elsewhere_is_refused_and_a_free_one_is_not() {
    let yard = Yard::new();
    let root = &yard.project.root;
    let place = yard.place().await;
    let here = yard.git(root, &["branch", "--show-current"]);
    let taken = NewTree {
        checkout: Some(here.trim().into()),
        ..NewTree::default()
    };
    let refused = make(&yard, &place, taken).await.unwrap_err().to_string();
    assert!(
        refused.contains("already") && refused.contains(here.trim()),
        "{refused}"
    );
    assert_eq!(yard.trees.list(&place, false).await.unwrap(), []);
    assert_eq!(yard.git(root, &["branch", "--show-current"]), here);
    yard.git(root, &["branch", "free/one"]);
    let free = NewTree {
        checkout: Some("free/one".into()),
        ..NewTree::default()
    };
    let tree = make(&yard, &place, free.clone()).await.unwrap();
    assert_eq!(tree.branch.as_deref(), Some("free/one"));
    make(&yard, &place, free).await.unwrap_err();
    yard.trees
        .remove(&place, &tree.directory, forced())
        .await
        .unwrap();
    assert!(
        yard.git(root, &["branch", "--list", "free/one"])
            .contains("free/one")
    );
}

#[tokio::test]
async fn a_detached_head_is_a_place_to_start_and_to_come_home_to() {
    let yard = Yard::new();
    yard.git(&yard.project.root, &["checkout", "-q", "--detach"]);
    let place = yard.place().await;
    let back = whole_life(&yard, &place, "a.txt").await;
    assert_eq!(back.base, None);
    assert_eq!(
        yard.git(&yard.project.root, &["branch", "--show-current"]),
        ""
    );
}

#[tokio::test]
async fn a_worktree_of_a_worktree_brings_its_result_to_that_one() {
    let yard = Yard::new();
    let place = yard.place().await;
    let first = make(&yard, &place, named("first")).await.unwrap();
    fs::write(first.directory.join("first.txt"), "first\n").unwrap();
    yard.git(&first.directory, &["add", "-A"]);
    yard.git(&first.directory, &["commit", "-qm", "first"]);
    let inner = yard.trees.place("project", &first.directory).await.unwrap();
    assert_eq!(inner.common, place.common);
    let back = whole_life(&yard, &inner, "first.txt").await;
    assert_eq!(back.origin, first.directory);
    assert!(!yard.project.root.join("first.txt").exists());
    assert_eq!(yard.trees.list(&place, true).await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_a_sparse_checkout_leaves_out_is_not_lost() {
    let yard = Yard::new();
    let root = &yard.project.root;
    yard.project.write("in/a.txt", "in\n");
    yard.project.write("out/b.txt", "out\n");
    yard.project.commit("folders");
    yard.git(root, &["sparse-checkout", "set", "in"]);
    assert!(!root.join("out").exists());
    let place = yard.place().await;
    let tree = make(&yard, &place, named("work")).await.unwrap();
    fs::write(tree.directory.join("in/a.txt"), "changed\n").unwrap();
    let losses = yard.trees.losses(&place, &tree.directory).await.unwrap();
    assert_eq!(losses.modified, ["in/a.txt"]);
    let landed = yard
        .trees
        .apply(&place, &tree.directory, Order::default())
        .await
        .unwrap();
    assert_eq!(landed.files, ["in/a.txt"]);
    yard.trees
        .remove(&place, &tree.directory, forced())
        .await
        .unwrap();
    let back = yard.trees.restore(&place, "work").await.unwrap();
    assert_eq!(yard.read(&back, "in/a.txt"), "changed\n");
    assert_eq!(
        yard.git(&back.directory, &["show", "HEAD:out/b.txt"]),
        "out\n"
    );
    let changed = yard.git(&back.directory, &["status", "--porcelain"]);
    assert_eq!(changed.trim(), "M in/a.txt");
}

#[tokio::test]
async fn a_repository_whose_git_folder_is_elsewhere() {
    let yard = Yard::new();
    fs::create_dir_all(&yard.project.data).unwrap();
    let from = yard.project.root.display().to_string();
    let git: PathBuf = yard.project.data.join("elsewhere.git");
    let separate = format!("--separate-git-dir={}", git.display());
    yard.git(
        &yard.project.data,
        &["clone", "-q", &separate, &from, "repo"],
    );
    let repo = yard.project.data.join("repo");
    assert!(repo.join(".git").is_file());
    let place = yard.trees.place("project", &repo).await.unwrap();
    whole_life(&yard, &place, "a.txt").await;
}

#[tokio::test]
async fn while_a_git_program_is_at_work_nothing_comes_home_by_halves() {
    let yard = Yard::new();
    let place = yard.place().await;
    let tree = make(&yard, &place, named("work")).await.unwrap();
    fs::write(tree.directory.join("a.txt"), "changed\n").unwrap();
    let order = || Order {
        how: kilo_worktree::trees::How::Merge,
        message: Some("work".into()),
        ..Order::default()
    };
    let lock = yard.project.root.join(".git/index.lock");
    fs::write(&lock, "").unwrap();
    let before = yard.git(&yard.project.root, &["rev-parse", "HEAD"]);
    for _ in 0..2 {
        let refused = yard.trees.apply(&place, &tree.directory, order()).await;
        assert!(matches!(refused, Err(TreeError::Busy)), "{refused:?}");
        assert!(lock.exists(), "it is not ours");
        assert_eq!(yard.project.read("a.txt"), "a\n");
        assert_eq!(yard.git(&yard.project.root, &["rev-parse", "HEAD"]), before);
    }
    yard.project.write("mine.txt", "mine\n");
    let cleared = yard.trees.clear(&place).await;
    assert!(matches!(cleared, Err(TreeError::Busy)), "{cleared:?}");
    assert_eq!(yard.project.read("mine.txt"), "mine\n");
    fs::remove_file(&lock).unwrap();
    yard.trees
        .apply(&place, &tree.directory, order())
        .await
        .unwrap();
    assert_eq!(yard.project.read("a.txt"), "changed\n");
    assert!(!lock.exists() && !yard.project.root.join(".git/index.kilo").exists());
    assert_eq!(
        yard.git(&yard.project.root, &["status", "--porcelain"]),
        "?? mine.txt\n"
    );
}
