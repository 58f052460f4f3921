//! Worktrees in odd places: shallow and bare repositories, submodules, long and odd names, full disks.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;
mod trees_support;

use kilo_ports::sandbox::Exit;
use kilo_worktree::trees::{Answer, Copies, NewTree, Order, Place, Tree, TreeError};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use trees_support::{Yard, forced};

async fn make(yard: &Yard, place: &Place, name: &str) -> Result<Tree, TreeError> {
    let new = NewTree {
        name: Some(name.into()),
        ..NewTree::default()
    };
    let tree = yard.trees.create(place, new.clone()).await?;
    yard.trees.fill(place, tree, &new, Copies::default()).await
}

async fn end_and_restore(yard: &Yard, place: &Place, tree: &Tree) {
    fs::write(tree.directory.join("a.txt"), "changed\n").unwrap();
    let refused = yard
        .trees
        .remove(place, &tree.directory, Answer::default())
        .await;
    assert!(
        matches!(refused, Err(TreeError::WouldLose(_))),
        "{refused:?}"
    );
    yard.trees
        .remove(place, &tree.directory, forced())
        .await
        .unwrap();
    let back = yard.trees.restore(place, &tree.name).await.unwrap();
    assert_eq!(yard.read(&back, "a.txt"), "changed\n");
}

#[tokio::test]
async fn a_shallow_clone() {
    let yard = Yard::new();
    yard.project.write("a.txt", "second\n");
    yard.project.commit("second");
    let clone = yard.project.data.join("shallow");
    fs::create_dir_all(&yard.project.data).unwrap();
    let origin = format!("file://{}", yard.project.root.display());
    yard.git(
        &yard.project.data,
        &["clone", "-q", "--depth", "1", &origin, "shallow"],
    );
    let place = yard.trees.place("project", &clone).await.unwrap();
    let tree = make(&yard, &place, "work").await.unwrap();
    assert_eq!(yard.read(&tree, "a.txt"), "second\n");
    end_and_restore(&yard, &place, &tree).await;
    let clean = make(&yard, &place, "clean").await.unwrap();
    yard.trees
        .remove(&place, &clean.directory, Answer::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_bare_repository() {
    let yard = Yard::new();
    fs::create_dir_all(&yard.project.data).unwrap();
    let origin = yard.project.root.display().to_string();
    yard.git(
        &yard.project.data,
        &["clone", "-q", "--bare", &origin, "bare.git"],
    );
    let place = yard
        .trees
        .place("global", &yard.project.data.join("bare.git"))
        .await
        .unwrap();
    let tree = make(&yard, &place, "work").await.unwrap();
    assert_eq!(yard.read(&tree, "a.txt"), "a\n");
    assert_eq!(yard.trees.list(&place, true).await.unwrap().len(), 1);
    let home = yard
        .trees
        .apply(&place, &tree.directory, Order::default())
        .await;
    assert!(home.is_err(), "{home:?}");
    end_and_restore(&yard, &place, &tree).await;
    let with = NewTree {
        changes: true,
        ..NewTree::default()
    };
    let tree = yard.trees.create(&place, with.clone()).await.unwrap();
    yard.trees
        .fill(&place, tree, &with, Copies::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn submodules() {
    let yard = Yard::new();
    let inner = yard.project.data.join("inner");
    support::init(&inner);
    fs::write(inner.join("i.txt"), "inner\n").unwrap();
    support::commit(&git2::Repository::open(&inner).unwrap(), "inner");
    let allow = ["-c", "protocol.file.allow=always"];
    let add = [
        "submodule",
        "--quiet",
        "add",
        &inner.display().to_string(),
        "deps/inner",
    ];
    yard.git(&yard.project.root, &[&allow[..], &add[..]].concat());
    yard.git(&yard.project.root, &["commit", "-qm", "submodule"]);
    let tree = yard.make("work").await;
    assert_eq!(yard.git(&tree.directory, &["status", "--porcelain"]), "");
    yard.remove(&tree, Answer::default()).await.unwrap();

    let tree = yard.make("with").await;
    let init = ["submodule", "--quiet", "update", "--init"];
    yard.git(&tree.directory, &[&allow[..], &init[..]].concat());
    assert_eq!(yard.read(&tree, "deps/inner/i.txt"), "inner\n");
    let refused = yard.remove(&tree, Answer::default()).await;
    assert!(matches!(refused, Err(TreeError::WouldLose(losses)) if losses.nested.len() == 1));
    fs::write(tree.directory.join("a.txt"), "changed\n").unwrap();
    assert_eq!(
        yard.apply(&tree, Order::default()).await.unwrap().files,
        ["a.txt"]
    );
    yard.remove(&tree, forced()).await.unwrap();
    assert_eq!(
        yard.read(&yard.restore("with").await.unwrap(), "a.txt"),
        "changed\n"
    );
}

#[tokio::test]
async fn names_that_are_long_or_no_text() {
    let yard = Yard::new();
    let long = "n".repeat(200);
    let deep = format!("{long}/{long}/{long}.txt");
    let odd = OsStr::from_bytes(b"odd-\xff\xfe.txt");
    yard.project.write(&deep, "deep\n");
    fs::write(yard.project.root.join(odd), "odd\n").unwrap();
    yard.git(&yard.project.root, &["add", "."]);
    yard.git(&yard.project.root, &["commit", "-qm", "odd names"]);
    let tree = yard.make(&"w".repeat(250)).await;
    assert_eq!(tree.name.len(), 200);
    let read = |root: &Path, name: &OsStr| fs::read_to_string(root.join(name)).unwrap();
    assert_eq!(
        (yard.read(&tree, &deep), read(&tree.directory, odd)),
        ("deep\n".into(), "odd\n".into())
    );
    fs::write(tree.directory.join(odd), "changed\n").unwrap();
    fs::write(tree.directory.join(OsStr::from_bytes(b"new-\xff")), "new\n").unwrap();
    fs::write(tree.directory.join(&deep), "changed\n").unwrap();
    yard.remove(&tree, forced()).await.unwrap();
    let back = yard.restore(&tree.name).await.unwrap();
    assert_eq!(read(&back.directory, odd), "changed\n");
    assert_eq!(
        read(&back.directory, OsStr::from_bytes(b"new-\xff")),
        "new\n"
    );
    let landed = yard.apply(&back, Order::default()).await.unwrap();
    assert_eq!(landed.files.len(), 3);
    assert_eq!(read(&yard.project.root, odd), "changed\n");
    assert_eq!(yard.project.read(&deep), "changed\n");
}

#[tokio::test]
async fn a_full_disk_leaves_nothing_half_made_and_nothing_lost() {
    let yard = Yard::new();
    let small = yard.project.data.join("small");
    fs::create_dir_all(&small).unwrap();
    let mount = ["-t", "tmpfs", "-o", "size=1400k", "tmpfs", "."];
    let (mounted, why) = yard.program("mount", &small, &mount);
    if mounted != Exit::Code(0) {
        println!("not tested: no file system can be mounted here ({why})");
        return;
    }
    let trees = yard.trees_at(&small);
    let place = trees.place("project", &yard.project.root).await.unwrap();
    let new = |name: &str| NewTree {
        name: Some(name.into()),
        ..NewTree::default()
    };
    let fits = trees.create(&place, new("fits")).await.unwrap();
    let fits = trees
        .fill(&place, fits, &new("fits"), Copies::default())
        .await
        .unwrap();
    fs::write(
        yard.project.root.join("large.bin"),
        vec![7; 3 * 1024 * 1024],
    )
    .unwrap();
    yard.project.commit("large");
    let tree = trees.create(&place, new("full")).await.unwrap();
    let full = trees
        .fill(&place, tree.clone(), &new("full"), Copies::default())
        .await;
    let listed = trees.list(&place, false).await.unwrap();
    let branches = yard.git(&yard.project.root, &["branch", "--list", "opencode/full"]);
    let is_there = tree.directory.exists();
    // a removal needs no room there
    fs::write(fits.directory.join("a.txt"), "changed\n").unwrap();
    let removed = trees.remove(&place, &fits.directory, forced()).await;
    let (unmounted, _) = yard.program("umount", &yard.project.data, &["small"]);
    assert_eq!(unmounted, Exit::Code(0));
    assert!(
        matches!(&full, Err(error) if error.to_string().contains("no space is left")),
        "{full:?}"
    );
    assert_eq!((listed.len(), branches.as_str(), is_there), (1, "", false));
    removed.unwrap();
    assert_eq!(
        yard.read(&yard.restore("fits").await.unwrap(), "a.txt"),
        "changed\n"
    );
}

#[tokio::test]
async fn what_lies_where_a_worktree_was_is_left_alone() {
    let yard = Yard::new();
    let tree = yard.make("work").await;
    fs::remove_dir_all(&tree.directory).unwrap();
    fs::create_dir(&tree.directory).unwrap();
    fs::write(tree.directory.join("theirs.txt"), "theirs\n").unwrap();
    yard.remove(&tree, Answer::default()).await.unwrap();
    assert_eq!(yard.read(&tree, "theirs.txt"), "theirs\n");
    assert_eq!(yard.list().await, []);
}

#[tokio::test]
async fn repositories_in_a_worktree_are_named_and_go_only_by_force() {
    let yard = Yard::new();
    let tree = yard.make("work").await;
    support::init(&tree.directory.join("unborn"));
    let born = support::init(&tree.directory.join("born"));
    fs::write(tree.directory.join("born/b.txt"), "b\n").unwrap();
    support::commit(&born, "own");
    fs::write(tree.directory.join("n.txt"), "new\n").unwrap();
    let refused = yard.remove(&tree, Answer::default()).await;
    assert!(matches!(refused, Err(TreeError::WouldLose(losses)) if losses.nested.len() == 2));
    yard.trees
        .reset(&yard.place().await, &tree.directory, Answer::default())
        .await
        .unwrap();
    assert_eq!(yard.read(&tree, "born/b.txt"), "b\n");
    yard.remove(&tree, forced()).await.unwrap();
    let kept = yard.kept().await;
    assert_eq!(kept.len(), 2);
    assert_eq!(
        yard.read(&yard.restore(&kept[1].id).await.unwrap(), "n.txt"),
        "new\n"
    );
}
