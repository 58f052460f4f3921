//! What a checkpoint holds, and how two of them differ.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use kilo_ports::checkpoint::{CheckpointError, Checkpoints};
use kilo_worktree::{GitCheckpoints, Limits};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;
use support::{Project, init, names};

#[tokio::test]
async fn checkpoint_is_the_tree_that_git_would_make() {
    let project = Project::with(&[
        ("a.txt", "one\n"),
        ("src/foo.rs", "fn foo() {}\n"),
        ("src.txt", "sorts before src/\n"),
    ]);
    assert_eq!(project.track().await, project.git_tree());
    project.write("ünï/täxt 日本.txt", "täxt\r\nwith CRLF\r\n");
    project.write("binary.dat", b"\0\x01\xff");
    project.write("run.sh", "#!/bin/sh\n");
    fs::set_permissions(project.path("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("a.txt", project.path("link")).unwrap();
    symlink("/nowhere/at/all", project.path("src/dangling")).unwrap();
    project.write("empty", "");
    fs::create_dir(project.path("empty-folder")).unwrap();
    assert_eq!(project.track().await, project.git_tree());
    project.remove("src/foo.rs");
    fs::rename(project.path("a.txt"), project.path("b.txt")).unwrap();
    assert_eq!(project.track().await, project.git_tree());
}

#[tokio::test]
async fn ignore_rules_are_gits() {
    let project = Project::with(&[
        (
            ".gitignore",
            "*.log\n!keep.log\n/build\ntarget/\n# note\ndoc/**/*.tmp\n\\#odd\nspace\\ \n",
        ),
        ("sub/.gitignore", "*.txt\n!important.txt\n"),
        ("sub/deep/.gitignore", "!*.txt\nlocal\n"),
        ("tracked.log.keep", "x\n"),
    ]);
    for path in [
        "a.log",
        "keep.log",
        "sub/keep.log",
        "build/x",
        "sub/build/y",
        "target/z",
        "sub/target/z",
        "target.txt",
        "doc/a.tmp",
        "doc/x/y/a.tmp",
        "#odd",
        "sub/a.txt",
        "sub/important.txt",
        "sub/deep/b.txt",
        "sub/deep/local",
        "sub/deep/a.log",
        "sub/target.rs",
        "excluded.by-info",
        "space ",
    ] {
        project.write(path, path);
    }
    project.write(".git/info/exclude", "*.by-info\n");
    assert_eq!(project.track().await, project.git_tree());
    project.write(".gitignore", "sub/deep\n");
    // git 2.47's own tree of these files; libgit2 looks into an ignored folder that holds a tracked file
    assert_eq!(
        project.track().await,
        "a152eb9e784392c31a7c5a8279d5633a4adfb3f3",
        "changed rules count at once"
    );
    project.remove("sub/.gitignore");
    project.write(".git/info/exclude", "");
    assert_eq!(
        project.track().await,
        "36c95feec384784fde4a5d3e46586c80b19433de"
    );
}

#[tokio::test]
async fn ignored_file_that_git_tracks_is_kept() {
    let project = Project::with(&[("logs/a.log", "one\n"), ("top.log", "one\n")]);
    project.write(".gitignore", "*.log\nlogs/\n");
    let before = project.track().await;
    project.write("logs/a.log", "two\n");
    project.write("logs/b.log", "never tracked\n");
    project.write("top.log", "two\n");
    let after = project.track().await;
    assert_eq!(
        project.diff(&before, &after).await,
        names(&["modified logs/a.log", "modified top.log"])
    );
}

#[tokio::test]
async fn unchanged_files_keep_the_hash_and_write_nothing() {
    let project = Project::with(&[("a.txt", "one\n")]);
    project.write("b.txt", "two\n");
    let first = project.track().await;
    let objects = count_objects(&project);
    assert_eq!(
        objects, 2,
        "one new blob and one tree: what git holds is not written again"
    );
    assert_eq!(project.track().await, first);
    assert_eq!(count_objects(&project), objects);
}

#[tokio::test]
async fn same_size_rewrite_in_the_same_instant_is_seen() {
    let project = Project::with(&[("a.txt", "0000\n")]);
    for round in 1..200 {
        project.write("a.txt", format!("{round:04}\n"));
        assert_eq!(project.track().await, project.git_tree(), "round {round}");
    }
}

#[tokio::test]
async fn files_are_kept_byte_by_byte_where_git_converts_line_ends() {
    let project = Project::empty();
    project
        .repo
        .config()
        .unwrap()
        .set_bool("core.autocrlf", true)
        .unwrap();
    project.write("a.txt", "one\r\ntwo\r\n");
    let file = fs::File::options()
        .write(true)
        .open(project.path("a.txt"))
        .unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000))
        .unwrap();
    project.commit("git keeps it with plain line ends");
    let removed = project.edit("a.txt", || project.remove("a.txt")).await;
    project.undo(&[removed]).await;
    assert_eq!(project.read("a.txt"), "one\r\ntwo\r\n");
}

#[tokio::test]
async fn large_untracked_file_is_left_out_but_a_tracked_one_counts() {
    let large = "x".repeat((2 << 20) + 1);
    let project = Project::with(&[("tracked.bin", &large)]);
    let before = project.track().await;
    project.write("untracked.bin", &large);
    project.write("just-fits.bin", &large[1..]);
    project.write("tracked.bin", large.replace('x', "y"));
    let after = project.track().await;
    assert_eq!(
        project.diff(&before, &after).await,
        names(&["added just-fits.bin", "modified tracked.bin"])
    );
}

#[tokio::test]
async fn repositories_inside_and_special_files_are_left_out() {
    let project = Project::with(&[("a.txt", "one\n")]);
    let before = project.track().await;
    init(&project.path("vendor/inner"));
    project.write("vendor/inner/file.txt", "inner\n");
    project.write("vendor/other.txt", "other\n");
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        project.path("pipe"),
        rustix::fs::Mode::from_raw_mode(0o600),
    )
    .unwrap();
    let after = project.track().await;
    assert_eq!(
        project.diff(&before, &after).await,
        names(&["added vendor/other.txt"])
    );
}

#[tokio::test]
async fn what_is_left_out_is_named_when_it_changes() {
    let project = Project::with(&[(".gitignore", "*.log\nbuild/\ndeps/\nnew/\n")]);
    project.write("app.log", "1\n");
    project.write("build/deep/out.txt", "1\n");
    for file in 0..100 {
        project.write(&format!("deps/{file}.js"), "1\n");
    }
    init(&project.path("vendor"));
    project.write("vendor/src/lib.c", "1\n");
    let large = "x".repeat(3 << 20);
    project.write("large.bin", &large);
    let (root, keeper) = (&project.root, &project.keeper);
    let look = async || {
        project.track().await;
        keeper.left_out(root.clone()).await.unwrap()
    };
    let start = look().await;
    assert_eq!(look().await, start, "nothing changed");
    let cases: [(&dyn Fn(), &[&str]); 9] = [
        (&|| project.write("app.log", "2\n"), &["app.log Ignored"]),
        (
            &|| project.write("build/deep/out.txt", "2\n"),
            &["build/deep/out.txt Ignored"],
        ),
        (
            &|| project.write("build/more.txt", "1\n"),
            &["build/more.txt Ignored"],
        ),
        (&|| project.remove("app.log"), &["app.log Ignored"]),
        (&|| project.write("deps/7.js", "22\n"), &["deps Ignored"]),
        (
            &|| project.write("vendor/src/lib.c", "2\n"),
            &["vendor Repository"],
        ),
        (
            &|| project.write("large.bin", format!("{large}y")),
            &["large.bin TooLarge"],
        ),
        (
            &|| {
                project.write("new/a.txt", "1\n");
                init(&project.path("other"));
            },
            &["new/a.txt Ignored", "other Repository"],
        ),
        (
            &|| {
                fs::remove_dir_all(project.path("build")).unwrap();
                project.write("kept.txt", "not left out\n");
            },
            &["build/deep/out.txt Ignored", "build/more.txt Ignored"],
        ),
    ];
    for (change, expected) in cases {
        let before = look().await;
        change();
        let after = look().await;
        let left = keeper.left_between(root.clone(), before, after);
        let left: Vec<String> = left
            .await
            .unwrap()
            .into_iter()
            .map(|left| {
                let path = left.path.strip_prefix(root).unwrap().display().to_string();
                format!("{path} {:?}", left.why)
            })
            .collect();
        assert_eq!(left, expected);
    }
    assert_eq!(
        keeper.left_between(root.clone(), 0, 9_999).await,
        Ok(Vec::new())
    );
}

#[tokio::test]
async fn patches_are_written_as_git_writes_them() {
    let project = Project::with(&[
        ("a.txt", "hello world\nsecond line\n"),
        ("gone.txt", "bye\n"),
        ("mode.sh", "x\n"),
        ("ünï.txt", "a\n"),
    ]);
    let before = project.track().await;
    project.write("a.txt", "hello changed\n");
    project.write("r.txt", "v1\n");
    project.remove("gone.txt");
    fs::set_permissions(project.path("mode.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    project.write("binary", b"a\0b");
    project.write("ünï.txt", "b");
    let after = project.track().await;
    let files = project
        .keeper
        .diff(project.root.clone(), before, after)
        .await
        .unwrap();
    let patches: Vec<&str> = files.iter().map(|file| file.patch.as_str()).collect();
    assert_eq!(
        patches,
        [
            "diff --git a/a.txt b/a.txt\nindex f0e9ea9..47688cf 100644\n--- a/a.txt\n+++ b/a.txt\n@@ -1,2 +1 @@\n-hello world\n-second line\n+hello changed\n",
            "diff --git a/binary b/binary\nnew file mode 100644\nindex 0000000..20b5be9\nBinary files /dev/null and b/binary differ\n",
            "diff --git a/gone.txt b/gone.txt\ndeleted file mode 100644\nindex b023018..0000000\n--- a/gone.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-bye\n",
            "diff --git a/mode.sh b/mode.sh\nold mode 100644\nnew mode 100755\n",
            "diff --git a/r.txt b/r.txt\nnew file mode 100644\nindex 0000000..626799f\n--- /dev/null\n+++ b/r.txt\n@@ -0,0 +1 @@\n+v1\n",
            "diff --git a/ünï.txt b/ünï.txt\nindex 7898192..63d8dbd 100644\n--- a/ünï.txt\n+++ b/ünï.txt\n@@ -1 +1 @@\n-a\n+b\n\\ No newline at end of file\n",
        ]
    );
    let counts: Vec<_> = files
        .iter()
        .map(|file| (file.additions, file.deletions))
        .collect();
    assert_eq!(counts, [(1, 2), (0, 0), (0, 1), (0, 0), (1, 0), (1, 1)]);
}

#[tokio::test]
async fn patch_over_the_limit_keeps_its_head_and_counts() {
    let project = Project::with(&[("a.txt", "one\n")]);
    let before = project.track().await;
    project.write("long.txt", "0123456789\n".repeat(30_000));
    let after = project.track().await;
    let files = project
        .keeper
        .diff(project.root.clone(), before, after)
        .await
        .unwrap();
    assert_eq!(files[0].additions, 30_000);
    assert!(
        files[0]
            .patch
            .starts_with("diff --git a/long.txt b/long.txt\nnew file mode 100644\nindex 0000000..")
    );
    assert_eq!(files[0].patch.lines().count(), 3);
}

#[tokio::test]
async fn changed_paths_are_absolute_and_seen_from_the_top() {
    let project = Project::with(&[("src/a.txt", "one\n"), ("b.txt", "one\n")]);
    let below = project.path("src");
    let before = project.keeper.track(below.clone()).await.unwrap();
    project.write("src/a.txt", "two\n");
    project.write("b.txt", "two\n");
    let after = project.track().await;
    let changed = project.keeper.changed(below, before, after).await.unwrap();
    let changed: Vec<_> = changed.into_iter().map(|change| change.path).collect();
    assert_eq!(changed, [project.path("b.txt"), project.path("src/a.txt")]);
}

#[tokio::test]
async fn the_total_of_changes_is_of_their_files_alone() {
    let project = Project::with(&[("a.txt", "a\n"), ("b.txt", "b\n"), ("odd[*].txt", "o\n")]);
    let first = project
        .edit("a.txt", || project.write("a.txt", "a\nsession\n"))
        .await;
    project.write("mine.txt", "a person's\n");
    project.write("b.txt", "b\nbefore the session came to it\n");
    let mut changes = vec![first];
    for (name, text) in [
        ("a.txt", "a\nsession\ntwice\n"),
        ("b.txt", "b\nbefore the session came to it\nsession\n"),
        ("odd[*].txt", "odd\n"),
        ("new/n.txt", "n\n"),
    ] {
        changes.push(project.edit(name, || project.write(name, text)).await);
    }
    let total = async || {
        let total = project
            .keeper
            .diff_of(project.root.clone(), changes.clone());
        total.await.unwrap()
    };
    let files = total().await;
    let lines: Vec<String> = files
        .iter()
        .map(|file| format!("{} +{} -{}", file.file, file.additions, file.deletions))
        .collect();
    assert_eq!(
        lines,
        [
            "a.txt +2 -0",
            "b.txt +1 -0",
            "new/n.txt +1 -0",
            "odd[*].txt +1 -1"
        ]
    );
    assert_eq!(total().await, files);
    let nothing = project.keeper.diff_of(project.root.clone(), Vec::new());
    assert_eq!(nothing.await, Ok(Vec::new()));
}

#[tokio::test]
async fn folders_that_are_no_worktree_are_refused() {
    let project = Project::with(&[("a.txt", "one\n")]);
    let outside = tempfile::tempdir().unwrap();
    let refused = |folder: std::path::PathBuf| Err(CheckpointError::NotARepository(folder));
    assert_eq!(
        project.keeper.track(outside.path().into()).await,
        refused(outside.path().into())
    );
    let missing = outside.path().join("missing");
    assert_eq!(
        project.keeper.track(missing.clone()).await,
        refused(missing)
    );
    let keeper = project.keeper.clone().refusing([project.root.clone()]);
    assert_eq!(
        keeper.track(project.root.clone()).await,
        refused(project.root.clone())
    );
    let unknown = "0123456789012345678901234567890123456789".to_owned();
    let tree = project.track().await;
    assert_eq!(
        project
            .keeper
            .changed(project.root.clone(), tree, unknown.clone())
            .await,
        Err(CheckpointError::Missing(unknown))
    );
}

#[tokio::test]
async fn too_much_new_data_is_refused_before_it_is_written() {
    let project = Project::with(&[("a.txt", "one\n")]);
    let limits = Limits {
        walk_bytes_max: 1 << 20,
        ..Limits::default()
    };
    let keeper = GitCheckpoints::new(project.data.join("snapshot")).with_limits(limits);
    for file in 0..3 {
        project.write(&format!("{file}.bin"), "x".repeat(400 << 10));
    }
    let error = keeper.track(project.root.clone()).await.unwrap_err();
    assert!(
        error.to_string().contains("over the limit of 1 MiB"),
        "{error}"
    );
    assert_eq!(count_objects(&project), 0);
    project.remove("0.bin");
    assert_eq!(
        keeper.track(project.root.clone()).await.unwrap(),
        project.git_tree()
    );
}

#[tokio::test]
async fn linked_worktrees_have_checkpoints_of_their_own() {
    let project = Project::with(&[("a.txt", "one\n")]);
    let linked = project.data.join("linked");
    fs::create_dir_all(&project.data).unwrap();
    project.repo.worktree("linked", &linked, None).unwrap();
    let before = project.track().await;
    assert_eq!(project.keeper.track(linked.clone()).await.unwrap(), before);
    fs::write(linked.join("a.txt"), "two\n").unwrap();
    assert_ne!(project.keeper.track(linked).await.unwrap(), before);
    assert_eq!(project.track().await, before);
}

#[tokio::test]
async fn prune_keeps_what_is_named_and_drops_the_rest() {
    let project = Project::with(&[("a.txt", "one\n")]);
    let mut trees = Vec::new();
    for round in 0..6 {
        project.write("a.txt", format!("round {round}\n"));
        project.write(&format!("new/{round}.txt"), format!("new {round}\n"));
        trees.push(project.track().await);
    }
    let keep = vec![trees[1].clone(), trees[2].clone()];
    let report = project
        .keeper
        .prune(project.root.clone(), keep, Duration::ZERO)
        .await
        .unwrap();
    assert!(
        report.objects_removed > 0 && report.bytes_after < report.bytes_before,
        "{report:?}"
    );
    assert_eq!(
        project.diff(&trees[1], &trees[2]).await,
        names(&["modified a.txt", "added new/2.txt"])
    );
    assert_eq!(
        project.diff(&trees[2], &trees[5]).await.len(),
        4,
        "the last one is always kept"
    );
    let gone = project
        .keeper
        .changed(project.root.clone(), trees[0].clone(), trees[3].clone())
        .await;
    assert_eq!(gone, Err(CheckpointError::Missing(trees[0].clone())));
    project.write("a.txt", "round 3\n");
    for round in 4..6 {
        project.remove(&format!("new/{round}.txt"));
    }
    assert_eq!(
        project.track().await,
        trees[3],
        "what was dropped is written again"
    );
    assert_eq!(
        project.diff(&trees[2], &trees[3]).await,
        names(&["modified a.txt", "added new/3.txt"])
    );
}

#[tokio::test]
async fn prune_packs_many_objects_and_they_stay_readable() {
    let project = Project::empty();
    for file in 0..1_200 {
        project.write(
            &format!("d{}/{file}.txt", file % 10),
            format!("text {file}\n"),
        );
    }
    let first = project.track().await;
    let report = project
        .keeper
        .prune(project.root.clone(), vec![first.clone()], Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(report.objects_removed, 0);
    assert!(count_objects(&project) == 0, "all packed");
    project.write("d1/1.txt", "changed\n");
    let second = project.track().await;
    assert_eq!(second, project.git_tree());
    assert_eq!(
        project.diff(&first, &second).await,
        names(&["modified d1/1.txt"])
    );
    let report = project
        .keeper
        .prune(project.root.clone(), vec![], Duration::ZERO)
        .await
        .unwrap();
    assert!(report.objects_removed > 0, "{report:?}");
    let fresh = GitCheckpoints::new(project.data.join("snapshot"));
    assert_eq!(fresh.track(project.root.clone()).await.unwrap(), second);
}

#[tokio::test]
async fn what_a_killed_process_left_is_taken_away() {
    let project = Project::with(&[("a.txt", "one\n")]);
    project.write("b.txt", "two\n");
    let tree = project.track().await;
    let store = fs::read_dir(project.data.join("snapshot"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let leftovers = [
        store.join("objects/tmp_object_git2_x"),
        store.join("objects/pack/pack_git2_x"),
    ];
    for path in &leftovers {
        fs::write(path, "half").unwrap();
    }
    let blob = store.join("objects").join(&tree[..2]).join(&tree[2..]);
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, "").unwrap(); // power went away before the bytes arrived
    project.write(".kilo-undo-1-2.tmp", "half");
    let fresh = GitCheckpoints::new(project.data.join("snapshot"));
    assert_eq!(fresh.track(project.root.clone()).await.unwrap(), tree);
    assert!(leftovers.iter().all(|path| !path.exists()) && !project.exists(".kilo-undo-1-2.tmp"));
    assert!(blob.metadata().unwrap().len() > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_gets_a_walk_that_began_before_it_asked() {
    let project = Project::with(&[("a.txt", "one\n")]);
    let keeper = project.keeper.clone();
    let before = project.track().await;
    let callers: Vec<_> = (0..40)
        .map(|caller| {
            let (keeper, root, before) = (keeper.clone(), project.root.clone(), before.clone());
            tokio::spawn(async move {
                for round in 0..5 {
                    let path = root.join(format!("{caller}-{round}.txt"));
                    fs::write(&path, "mine\n").unwrap();
                    let tree = keeper.track(root.clone()).await.unwrap();
                    let changed = keeper
                        .changed(root.clone(), before.clone(), tree)
                        .await
                        .unwrap();
                    let seen = changed.iter().any(|change| change.path == path);
                    assert!(seen, "{}", path.display());
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
}

fn count_objects(project: &Project) -> usize {
    let store = fs::read_dir(project.data.join("snapshot"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let folders = fs::read_dir(store.join("objects")).unwrap().flatten();
    folders
        .filter(|folder| folder.file_name().len() == 2)
        .map(|folder| fs::read_dir(folder.path()).unwrap().count())
        .sum()
}

#[tokio::test]
async fn checkpoints_of_a_worktree_that_is_gone_are_removed() {
    let project = Project::with(&[("a.txt", "one\n")]);
    project.write("a.txt", "two\n");
    project.track().await;
    let stores = || fs::read_dir(project.data.join("snapshot")).unwrap().count();
    assert_eq!(
        project.keeper.remove_orphans(Duration::ZERO).await.unwrap(),
        0
    );
    fs::remove_dir_all(&project.root).unwrap();
    let day = Duration::from_secs(86_400);
    assert_eq!(
        project.keeper.remove_orphans(day).await.unwrap(),
        0,
        "it may come back"
    );
    assert_eq!(stores(), 1);
    assert!(project.keeper.remove_orphans(Duration::ZERO).await.unwrap() > 0);
    assert_eq!(stores(), 0);
}

#[tokio::test]
async fn removed_checkpoints_start_anew() {
    let project = Project::with(&[("a.txt", "one\n")]);
    project.write("a.txt", "two\n");
    let old = project.track().await;
    assert!(project.keeper.remove(project.root.clone()).await.unwrap() > 0);
    let gone = project
        .keeper
        .changed(project.root.clone(), old.clone(), old.clone())
        .await;
    assert_eq!(gone, Err(CheckpointError::Missing(old.clone())));
    assert_eq!(project.track().await, old);
    assert_eq!(project.diff(&old, &old).await, []);
}

/// What others could read or list below `folder`.
fn open_to_others(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut open = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(path) = folders.pop() {
        let about = path.symlink_metadata().unwrap();
        if about.permissions().mode() & 0o077 != 0 {
            open.push(path.clone());
        }
        if about.is_dir() {
            folders.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
    }
    open
}

/// The tests run with an ordinary umask, and git itself leaves its files to that.
#[tokio::test]
async fn checkpoints_are_their_owners_alone() {
    let project = Project::with(&[("a.txt", "one\n"), (".gitignore", "secret\n")]);
    let snapshots = project.data.join("snapshot");
    let first = project.track().await;
    project.write("secret", "key\n");
    let change = project
        .named("secret", || project.write("secret", "other\n"))
        .await;
    assert!(change.images.is_some());
    for number in 0..40 {
        project.write(&format!("files/{number}"), format!("{number}\n"));
        project.track().await;
    }
    let changes = project.command(|| project.write("a.txt", "two\n")).await;
    let kept = project.track().await;
    project.undo(&changes).await;
    assert_eq!(open_to_others(&snapshots), Vec::<std::path::PathBuf>::new());
    let keep = vec![first, kept];
    let pruned = project
        .keeper
        .prune(project.root.clone(), keep, Duration::ZERO);
    pruned.await.unwrap();
    project.track().await;
    assert_eq!(open_to_others(&snapshots), Vec::<std::path::PathBuf>::new());
    // Of an earlier version, which left them to the umask: the next process to use them takes that away.
    let store = fs::read_dir(&snapshots).unwrap().next().unwrap().unwrap();
    let mut opened = vec![
        snapshots.clone(),
        store.path(),
        store.path().join("objects"),
    ];
    opened.extend(list(&store.path().join("objects")));
    for folder in list(&store.path().join("objects")) {
        opened.extend(list(&folder));
    }
    for path in opened {
        let mode = if path.is_dir() { 0o755 } else { 0o444 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let keeper = GitCheckpoints::new(snapshots.clone());
    keeper.track(project.root.clone()).await.unwrap();
    assert_eq!(open_to_others(&snapshots), Vec::<std::path::PathBuf>::new());
}

fn list(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}
