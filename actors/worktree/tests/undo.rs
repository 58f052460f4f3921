//! Undoing one session's edits while others go on.

mod support;

use kilo_ports::checkpoint::{Checkpoints, FileChange, Restored};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use support::Project;

fn done(restored: &[PathBuf]) -> Restored {
    Restored {
        restored: restored.to_vec(),
        conflicts: Vec::new(),
    }
}

fn refused(conflicts: &[PathBuf]) -> Restored {
    Restored {
        restored: Vec::new(),
        conflicts: conflicts.to_vec(),
    }
}

#[tokio::test]
async fn several_edits_go_back_and_restore_brings_them_again() {
    let project = Project::with(&[("a.txt", "one\r\ntwo\r\n")]);
    let first = project
        .edit("a.txt", || project.write("a.txt", "one\r\n2\r\n"))
        .await;
    let second = project
        .edit("a.txt", || project.write("a.txt", "1\r\n2\r\n3"))
        .await;
    let last = second.after.clone();
    assert_eq!(
        project.undo(&[first, second]).await,
        done(&[project.path("a.txt")])
    );
    assert_eq!(project.read("a.txt"), "one\r\ntwo\r\n");
    project
        .keeper
        .restore(project.root.clone(), last, vec![project.path("a.txt")])
        .await
        .unwrap();
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
    let path = change.path.clone();
    let after = change.after.clone();
    assert_eq!(
        project.undo(&[change]).await,
        done(std::slice::from_ref(&path))
    );
    assert!(!project.exists("src/new") && project.exists("src/mine.txt"));
    project
        .keeper
        .restore(project.root.clone(), after, vec![path])
        .await
        .unwrap();
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
            conflicts: vec![project.path("a.txt")]
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
            conflicts: vec![project.path("a.txt")]
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
    assert!(
        paths.iter().all(|path| changed.contains(path)),
        "{changed:?}"
    );
    let changes: Vec<_> = paths
        .iter()
        .map(|path| FileChange {
            path: path.clone(),
            before: before.clone(),
            after: after.clone(),
        })
        .collect();
    let conflicts: Vec<_> = paths.iter().rev().cloned().collect();
    assert_eq!(project.undo(&changes).await, refused(&conflicts));
    project
        .keeper
        .restore(project.root.clone(), before, paths.to_vec())
        .await
        .unwrap();
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
    let path = change.path.clone();
    assert_eq!(
        project.undo(&[change]).await,
        refused(std::slice::from_ref(&path))
    );
    assert!(
        project
            .keeper
            .restore(project.root.clone(), before.clone(), vec![path])
            .await
            .is_err()
    );
    assert_eq!(fs::read_to_string(outside.join("a.txt")).unwrap(), "two\n");
    let elsewhere = FileChange {
        path: outside.join("a.txt"),
        before: before.clone(),
        after: before,
    };
    assert_eq!(
        project.undo(std::slice::from_ref(&elsewhere)).await,
        refused(&[elsewhere.path])
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
    let mut clean = 0;
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
        let kept = project.track().await;
        let restored = project.undo(&changes[undone]).await;
        let after: Vec<String> = project.read(&name).lines().map(str::to_owned).collect();
        if !restored.conflicts.is_empty() {
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
        project
            .keeper
            .restore(project.root.clone(), kept, vec![project.path(&name)])
            .await
            .unwrap();
        assert_eq!(project.read(&name), file.text(), "seed {seed}: redo");
    }
    assert!(
        clean >= 40,
        "only {clean} of 60 were undone without a conflict"
    );
}
