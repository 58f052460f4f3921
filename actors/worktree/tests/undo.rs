//! Undoing one session's edits while others go on.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use kilo_ports::checkpoint::{
    CheckpointError, Checkpoints, FileChange, LeftAlone, Restored, WhyLeft,
};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use support::{Project, init};

fn done(restored: &[PathBuf]) -> Restored {
    Restored {
        restored: restored.to_vec(),
        left: Vec::new(),
    }
}

fn left(paths: &[PathBuf], why: WhyLeft) -> Vec<LeftAlone> {
    let left = |path: &PathBuf| LeftAlone {
        path: path.clone(),
        why,
    };
    paths.iter().map(left).collect()
}

fn refused(conflicts: &[PathBuf]) -> Restored {
    Restored {
        restored: Vec::new(),
        left: left(conflicts, WhyLeft::ChangedByOthers),
    }
}

#[tokio::test]
async fn several_edits_go_back_and_redo_brings_them_again() {
    let project = Project::with(&[("a.txt", "one\r\ntwo\r\n")]);
    let first = project
        .edit("a.txt", || project.write("a.txt", "one\r\n2\r\n"))
        .await;
    let second = project
        .edit("a.txt", || project.write("a.txt", "1\r\n2\r\n3"))
        .await;
    let changes = [first, second];
    assert_eq!(project.undo(&changes).await, done(&[project.path("a.txt")]));
    assert_eq!(project.read("a.txt"), "one\r\ntwo\r\n");
    assert_eq!(project.redo(&changes).await, done(&[project.path("a.txt")]));
    assert_eq!(project.read("a.txt"), "1\r\n2\r\n3");
}

#[tokio::test]
async fn new_file_goes_with_the_folders_made_for_it() {
    let project = Project::with(&[("src/a.txt", "one\n")]);
    let change = project
        .edit("src/new/deep/n.txt", || {
            project.write("src/new/deep/n.txt", "new\n")
        })
        .await;
    project.write("src/mine.txt", "mine\n");
    let (path, changes) = (change.path.clone(), [change]);
    let path = std::slice::from_ref(&path);
    assert_eq!(project.undo(&changes).await, done(path));
    assert!(!project.exists("src/new") && project.exists("src/mine.txt"));
    assert_eq!(project.redo(&changes).await, done(path));
    assert_eq!(project.read("src/new/deep/n.txt"), "new\n");
}

#[tokio::test]
async fn deleted_file_comes_back_with_its_mode() {
    let project = Project::with(&[("bin/run.sh", "#!/bin/sh\n")]);
    fs::set_permissions(
        project.path("bin/run.sh"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    let change = project
        .edit("bin/run.sh", || {
            fs::remove_dir_all(project.path("bin")).unwrap()
        })
        .await;
    assert_eq!(
        project.undo(&[change]).await,
        done(&[project.path("bin/run.sh")])
    );
    assert_eq!(
        project
            .path("bin/run.sh")
            .metadata()
            .unwrap()
            .permissions()
            .mode()
            & 0o100,
        0o100
    );
}

#[tokio::test]
async fn put_back_file_keeps_its_permissions() {
    let project = Project::with(&[("secret.txt", "one\n")]);
    fs::set_permissions(
        project.path("secret.txt"),
        fs::Permissions::from_mode(0o600),
    )
    .unwrap();
    let change = project
        .edit("secret.txt", || project.write("secret.txt", "two\n"))
        .await;
    project.undo(&[change]).await;
    assert_eq!(project.read("secret.txt"), "one\n");
    assert_eq!(
        project
            .path("secret.txt")
            .metadata()
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o600
    );
}

#[tokio::test]
async fn others_lines_stay() {
    let project = Project::with(&[("a.txt", "a\nb\nc\n")]);
    let change = project
        .edit("a.txt", || project.write("a.txt", "a\nsession\nb\nc\n"))
        .await;
    project.write("a.txt", "person\na\nsession\nperson too\nb\nc\n");
    assert_eq!(
        project.undo(&[change]).await,
        done(&[project.path("a.txt")])
    );
    assert_eq!(project.read("a.txt"), "person\na\nperson too\nb\nc\n");
}

#[tokio::test]
async fn same_line_is_a_conflict_and_nothing_moves() {
    let project = Project::with(&[("a.txt", "a\nb\n"), ("b.txt", "a\n")]);
    let first = project
        .edit("a.txt", || project.write("a.txt", "a\nsession\n"))
        .await;
    let second = project
        .edit("a.txt", || project.write("a.txt", "session too\nsession\n"))
        .await;
    let other = project
        .edit("b.txt", || project.write("b.txt", "b\n"))
        .await;
    project.write("a.txt", "session too\nperson\n");
    let restored = project.undo(&[first, second, other]).await;
    assert_eq!(
        restored,
        Restored {
            restored: vec![project.path("b.txt")],
            left: left(&[project.path("a.txt")], WhyLeft::ChangedByOthers)
        }
    );
    assert_eq!(
        project.read("a.txt"),
        "session too\nperson\n",
        "not half of it either"
    );
}

#[tokio::test]
async fn file_that_somebody_deleted_stays_deleted() {
    let project = Project::with(&[("a.txt", "a\n")]);
    let change = project
        .edit("a.txt", || project.write("a.txt", "b\n"))
        .await;
    let new = project
        .edit("new.txt", || project.write("new.txt", "b\n"))
        .await;
    project.remove("a.txt");
    project.remove("new.txt");
    let restored = project.undo(&[change, new]).await;
    assert_eq!(
        restored,
        Restored {
            restored: vec![project.path("new.txt")],
            left: left(&[project.path("a.txt")], WhyLeft::ChangedByOthers)
        }
    );
    assert!(!project.exists("a.txt") && !project.exists("new.txt"));
}

#[tokio::test]
async fn file_that_a_rule_hid_is_never_deleted() {
    let project = Project::with(&[(".gitignore", ".env\nprivate/\n")]);
    project.write(".env", "KEY=1\n");
    project.write("private/key", "1\n");
    let large = "x".repeat(3 << 20);
    project.write("large.bin", &large);
    let before = project.track().await;
    project.write(".gitignore", "nothing\n"); // now they show up as new
    project.write("large.bin", "small now\n");
    let after = project.track().await;
    let paths = [".env", "private/key", "large.bin"].map(|path| project.path(path));
    let changed = project
        .keeper
        .changed(project.root.clone(), before.clone(), after.clone())
        .await
        .unwrap();
    let changed: Vec<_> = changed.into_iter().map(|change| change.path).collect();
    assert!(
        paths.iter().all(|path| changed.contains(path)),
        "{changed:?}"
    );
    let changes: Vec<_> = paths
        .iter()
        .map(|path| FileChange::new(path.clone(), before.clone(), after.clone()))
        .collect();
    let restored = project.undo(&changes).await;
    assert!(restored.restored.is_empty());
    let [env, key, large] = paths.clone();
    let expected = [
        left(&[large], WhyLeft::TooLarge),
        left(&[key, env], WhyLeft::Ignored),
    ];
    assert_eq!(restored.left, expected.concat());
    assert!(project.redo(&changes).await.restored.is_empty());
    assert!(paths.iter().all(|path| path.exists()));
}

#[tokio::test]
async fn links_out_of_the_worktree_are_not_followed() {
    let project = Project::with(&[("dir/a.txt", "one\n")]);
    let change = project
        .edit("dir/a.txt", || project.write("dir/a.txt", "two\n"))
        .await;
    let outside = project.data.join("outside");
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("a.txt"), "two\n").unwrap();
    fs::remove_dir_all(project.path("dir")).unwrap();
    symlink(&outside, project.path("dir")).unwrap();
    let before = change.before.clone();
    let (path, changes) = (change.path.clone(), [change]);
    let path = std::slice::from_ref(&path);
    assert_eq!(project.undo(&changes).await, refused(path));
    assert_eq!(project.redo(&changes).await, refused(path));
    assert_eq!(fs::read_to_string(outside.join("a.txt")).unwrap(), "two\n");
    let elsewhere = FileChange::new(outside.join("a.txt"), before.clone(), before);
    assert_eq!(
        project.undo(std::slice::from_ref(&elsewhere)).await.left,
        left(&[elsewhere.path], WhyLeft::Outside)
    );
}

#[tokio::test]
async fn binary_files_go_back_whole_or_not() {
    let project = Project::with(&[("a.bin", "a\0b")]);
    let change = project
        .edit("a.bin", || project.write("a.bin", "a\0c"))
        .await;
    project.write("a.bin", "x\0y");
    assert_eq!(
        project.undo(std::slice::from_ref(&change)).await,
        refused(&[project.path("a.bin")])
    );
    project.write("a.bin", "a\0c");
    assert_eq!(
        project.undo(&[change]).await,
        done(&[project.path("a.bin")])
    );
    assert_eq!(project.read("a.bin"), "a\0b");
}

/// Numbers that look random and depend on the seed alone.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % below
    }
}

const PERSON: usize = 3;

/// A file's lines, each with its owner in its text (`0:` to `2:` sessions, `3:` the person, `base:` nobody).
struct File {
    lines: Vec<String>,
    /// Lines of nobody that each owner took away.
    taken: [Vec<String>; 4],
    count: usize,
}

impl File {
    /// Lets `owner` insert a line, or change or delete one of its own or nobody's.
    fn edit(&mut self, owner: usize, dice: &mut Dice) {
        self.count += 1;
        let line = format!("{owner}:{}", self.count);
        let mine =
            |known: &String| known.starts_with(&format!("{owner}:")) || known.starts_with("base:");
        let own: Vec<usize> = (0..self.lines.len())
            .filter(|&at| mine(&self.lines[at]))
            .collect();
        if own.is_empty() || dice.roll(2) == 0 {
            let at = dice.roll(self.lines.len() + 1);
            return self.lines.insert(at, line);
        }
        let at = own[dice.roll(own.len())];
        let old = if dice.roll(2) == 0 {
            self.lines.remove(at)
        } else {
            std::mem::replace(&mut self.lines[at], line)
        };
        if old.starts_with("base:") {
            self.taken[owner].push(old);
        }
    }

    fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

#[tokio::test]
async fn undo_of_one_session_leaves_everybody_elses_lines() {
    let project = Project::empty();
    let (mut clean, mut redone) = (0, 0);
    for seed in 1..=60 {
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let lines = (0..12).map(|at| format!("base:{at}")).collect();
        let mut file = File {
            lines,
            taken: Default::default(),
            count: 0,
        };
        let name = format!("{seed}.txt");
        project.write(&name, file.text());
        let mut changes: [Vec<FileChange>; 3] = Default::default();
        for _ in 0..14 {
            let owner = dice.roll(4);
            file.edit(owner, &mut dice);
            if owner == PERSON {
                project.write(&name, file.text());
            } else {
                changes[owner].push(
                    project
                        .edit(&name, || project.write(&name, file.text()))
                        .await,
                );
            }
        }
        let undone = dice.roll(3);
        let restored = project.undo(&changes[undone]).await;
        let after: Vec<String> = project.read(&name).lines().map(str::to_owned).collect();
        if !restored.left.is_empty() {
            assert_eq!(
                after, file.lines,
                "seed {seed}: a conflict leaves the file alone"
            );
            continue;
        }
        clean += 1;
        let own = format!("{undone}:");
        let others: Vec<&String> = file
            .lines
            .iter()
            .filter(|line| !line.starts_with(&own))
            .collect();
        let back = &file.taken[undone];
        let found: Vec<&String> = after.iter().filter(|line| !back.contains(line)).collect();
        assert_eq!(
            found, others,
            "seed {seed}: others' lines, in order, and none of the session's"
        );
        assert!(
            back.iter().all(|line| after.contains(line)),
            "seed {seed}: what the session took away is back"
        );
        let undone_text = project.read(&name);
        let again = project.redo(&changes[undone]).await;
        if !again.left.is_empty() {
            assert_eq!(project.read(&name), undone_text, "seed {seed}: left alone");
            continue;
        }
        redone += 1;
        let mut lines: Vec<String> = project.read(&name).lines().map(str::to_owned).collect();
        let mut before = file.lines.clone();
        lines.sort();
        before.sort();
        assert_eq!(lines, before, "seed {seed}: every line is there again");
    }
    assert!(
        clean >= 40,
        "only {clean} of 60 were undone without a conflict"
    );
    assert!(redone >= 38, "only {redone} of {clean} were done again");
}

/// Files of a project as a text: a line for each, `path -> target` for a link.
fn files(project: &Project) -> String {
    let mut lines = Vec::new();
    let mut open = vec![project.root.clone()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(&project.root).unwrap().display();
            let about = path.symlink_metadata().unwrap();
            if name.to_string() == ".git" {
            } else if about.is_dir() {
                open.push(path);
            } else if about.is_symlink() {
                lines.push(format!(
                    "{name} -> {}",
                    fs::read_link(&path).unwrap().display()
                ));
            } else {
                lines.push(format!("{name}: {}", fs::read_to_string(&path).unwrap()));
            }
        }
    }
    lines.sort();
    lines.join("\n")
}

#[tokio::test]
async fn a_change_of_kind_goes_back_and_comes_again() {
    let file = |project: &Project| project.write("it", "a file\n");
    let folder = |project: &Project| {
        project.write("it/one.txt", "one\n");
        project.write("it/deep/two.txt", "two\n");
    };
    let link = |project: &Project| symlink("elsewhere", project.path("it")).unwrap();
    type Make<'a> = (&'a str, &'a dyn Fn(&Project));
    let kinds: [Make; 4] = [
        ("file", &file),
        ("folder", &folder),
        ("link", &link),
        ("nothing", &|_| {}),
    ];
    for (old_name, old) in kinds {
        for (new_name, new) in kinds {
            let project = Project::with(&[("elsewhere/mine.txt", "mine\n"), ("b.txt", "b\n")]);
            old(&project);
            let before = files(&project);
            let changes = project
                .command(|| {
                    let path = project.path("it");
                    if path.is_dir() && !path.is_symlink() {
                        fs::remove_dir_all(path).unwrap();
                    } else {
                        let _ = fs::remove_file(path);
                    }
                    new(&project);
                })
                .await;
            let after = files(&project);
            let what = format!("{old_name} to {new_name}");
            let undone = project.undo(&changes).await;
            assert_eq!(undone.left, [], "{what}");
            assert_eq!(files(&project), before, "{what}, undone");
            assert_eq!(project.redo(&changes).await.left, [], "{what}");
            assert_eq!(files(&project), after, "{what}, done again");
        }
    }
}

#[tokio::test]
async fn a_file_cannot_come_back_through_somebody_elses_folder() {
    let project = Project::with(&[("it", "a file\n")]);
    let changes = project
        .command(|| {
            project.remove("it");
            project.write("it/one.txt", "one\n");
        })
        .await;
    project.write("it/mine.txt", "mine\n");
    let before = files(&project);
    let undone = project.undo(&changes).await;
    assert!(undone.restored.is_empty());
    assert_eq!(
        undone.left,
        left(
            &[project.path("it/one.txt"), project.path("it")],
            WhyLeft::ChangedByOthers
        )
    );
    assert_eq!(files(&project), before, "neither is touched");
    project.remove("it/mine.txt");
    fs::create_dir_all(project.path("it/empty/inside")).unwrap();
    assert_eq!(project.undo(&changes).await.left, []);
    assert_eq!(
        files(&project),
        "it: a file\n",
        "empty folders are no obstacle"
    );
}

#[tokio::test]
async fn redo_keeps_what_a_person_added_meanwhile() {
    let project = Project::with(&[("a.txt", "a\n")]);
    let edited = [project
        .edit("a.txt", || project.write("a.txt", "a\nsession\n"))
        .await];
    let made = [project
        .edit("new.txt", || project.write("new.txt", "session\n"))
        .await];
    project.undo(&edited).await;
    project.write("a.txt", "a\nperson\n");
    assert_eq!(project.redo(&edited).await.left, []);
    assert_eq!(project.read("a.txt"), "a\nsession\nperson\n");
    // The person's line was there before the undo, which left it.
    project.write("new.txt", "session\nperson\n");
    assert_eq!(project.undo(&made).await.left, []);
    assert_eq!(project.read("new.txt"), "person\n");
    assert_eq!(project.redo(&made).await.left, []);
    assert_eq!(project.read("new.txt"), "session\nperson\n");
}

#[tokio::test]
async fn a_file_that_a_tool_names_goes_back_whatever_git_ignores() {
    let project = Project::with(&[(".gitignore", ".env\nbuild/\n")]);
    project.write(".env", "KEY=1\n");
    let large = "x".repeat(3 << 20);
    project.write("large.bin", &large);
    init(&project.path("vendor"));
    project.write("vendor/lib.c", "int a;\n");
    let changes = [
        project
            .named(".env", || project.write(".env", "KEY=2\n"))
            .await,
        project
            .named("large.bin", || project.write("large.bin", "small"))
            .await,
        project
            .named("build/out.txt", || project.write("build/out.txt", "new\n"))
            .await,
        project
            .named("vendor/lib.c", || project.write("vendor/lib.c", "int b;\n"))
            .await,
    ];
    let after = files(&project);
    project.write("build/mine.txt", "mine\n");
    assert_eq!(project.undo(&changes).await.left, []);
    assert_eq!(project.read(".env"), "KEY=1\n");
    assert_eq!(project.read("large.bin"), large);
    assert_eq!(project.read("vendor/lib.c"), "int a;\n");
    assert!(!project.exists("build/out.txt") && project.exists("build/mine.txt"));
    project.remove("build/mine.txt");
    assert_eq!(project.redo(&changes).await.left, []);
    assert_eq!(files(&project), after);
}

#[tokio::test]
async fn what_is_not_kept_says_why() {
    let project = Project::with(&[("a.txt", "a\n")]);
    let keeper = project.keeper.clone().with_limits(kilo_worktree::Limits {
        named_file_bytes_max: 10,
        ..Default::default()
    });
    let outside = project.data.join("x.txt");
    fs::create_dir_all(&project.data).unwrap();
    fs::write(&outside, "x").unwrap();
    project.write("large.txt", "more than ten bytes");
    project.write("folder/a.txt", "a");
    symlink(&project.data, project.path("out")).unwrap();
    for (path, why) in [
        (outside, WhyLeft::Outside),
        (project.path("out/x.txt"), WhyLeft::Outside),
        (project.path("large.txt"), WhyLeft::TooLarge),
        (project.path("folder"), WhyLeft::Special),
        (project.path("a.txt/below"), WhyLeft::Special),
        (project.path(".git/config"), WhyLeft::Repository),
    ] {
        assert_eq!(
            keeper.keep(project.root.clone(), path.clone()).await,
            Err(CheckpointError::NotKept(why)),
            "{}",
            path.display()
        );
    }
}

#[tokio::test]
async fn odd_names_and_kinds_go_back_or_are_named() {
    let project = Project::with(&[("a.txt", "a\n"), ("dir/b.txt", "b\n")]);
    symlink("nowhere/at all", project.path("dangling")).unwrap();
    let bytes = project.root.join(OsStr::from_bytes(b"dir/\xff\xfe name"));
    fs::write(&bytes, "bytes\n").unwrap();
    for name in ["Case.txt", "case.txt", "a b\nc", "-rf", "*", "ünï"] {
        project.write(name, "before\n");
    }
    let before = files(&project);
    let changes = project
        .command(|| {
            fs::write(&bytes, "session\n").unwrap();
            project.remove("dangling");
            symlink("a.txt", project.path("dangling")).unwrap();
            for name in ["Case.txt", "a b\nc", "-rf", "*", "ünï"] {
                project.write(name, "session\n");
            }
            project.remove("case.txt");
            let deep = format!("{}end.txt", "deep/".repeat(60));
            project.write(&deep, "deep\n");
        })
        .await;
    assert_eq!(changes.len(), 9);
    assert_eq!(project.undo(&changes).await.left, []);
    assert_eq!(files(&project), before);
    assert!(!project.exists("deep"));

    // What is there now is no file: it is somebody else's, and is not waited for.
    let changes = project
        .command(|| project.write("a.txt", "session\n"))
        .await;
    project.remove("a.txt");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, project.path("a.txt"), mode).unwrap();
    assert_eq!(
        project.undo(&changes).await,
        refused(&[project.path("a.txt")])
    );
    let kept = project
        .keeper
        .keep(project.root.clone(), project.path("a.txt"));
    assert_eq!(kept.await, Err(CheckpointError::NotKept(WhyLeft::Special)));
}
