//! Watching of real folders.

#![allow(clippy::unwrap_used, reason = "tests")]

use kilo_watch::{Held, How, Seen, Watches};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

fn watched(folder: &Path) -> (Held, Receiver<Seen>) {
    let (sender, seen) = channel();
    let tell = Arc::new(move |_: &str, what| drop(sender.send(what)));
    let held = Watches::default()
        .hold(folder.to_str().unwrap(), tell)
        .unwrap();
    // It looks before it watches: a file that is written until it is told of shows that it does.
    for round in 0.. {
        std::fs::write(folder.join("probe"), round.to_string()).unwrap();
        if seen.recv_timeout(Duration::from_millis(200)).is_ok() {
            break;
        }
        assert!(round < 100, "nothing is seen");
    }
    while seen.recv_timeout(Duration::from_millis(300)).is_ok() {}
    (held, seen)
}

fn next(seen: &Receiver<Seen>) -> Seen {
    seen.recv_timeout(Duration::from_secs(10)).unwrap()
}

/// The next new file. Those in `told` were seen as they lay in a new folder; that somebody was still at work on them may be
/// told of too.
fn added(seen: &Receiver<Seen>, told: &BTreeSet<PathBuf>) -> PathBuf {
    loop {
        match next(seen) {
            Seen::File(file, How::Added | How::Changed) if told.contains(&file) => {}
            Seen::File(file, How::Added) => return file,
            other => panic!("{other:?}"),
        }
    }
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap();
    std::fs::create_dir_all(path.join(".git")).unwrap();
    std::fs::write(path.join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
    std::fs::write(path.join(".gitignore"), "*.log\n/out/\n").unwrap();
    std::fs::create_dir_all(path.join("out/deep")).unwrap();
    (folder, path)
}

#[test]
fn files_that_are_not_ignored_are_told_of() {
    let (_folder, path) = folder();
    let (_held, seen) = watched(&path);
    std::fs::write(path.join("a.log"), "x").unwrap();
    std::fs::write(path.join("out/b"), "x").unwrap();
    std::fs::write(path.join("a.txt"), "x").unwrap();
    assert_eq!(next(&seen), Seen::File(path.join("a.txt"), How::Added));
    std::fs::write(path.join("a.txt"), "y").unwrap();
    assert_eq!(next(&seen), Seen::File(path.join("a.txt"), How::Changed));
    std::fs::remove_file(path.join("a.txt")).unwrap();
    assert_eq!(next(&seen), Seen::File(path.join("a.txt"), How::Removed));
}

#[test]
fn a_new_folder_is_watched_with_what_is_in_it() {
    let (_folder, path) = folder();
    let (_held, seen) = watched(&path);
    std::fs::create_dir_all(path.join("new/deep")).unwrap();
    let (a, b) = (path.join("new/deep/a"), path.join("new/deep/b"));
    std::fs::write(&a, "x").unwrap();
    assert_eq!(added(&seen, &BTreeSet::new()), a);
    std::fs::write(&b, "x").unwrap();
    assert_eq!(added(&seen, &BTreeSet::from([a])), b);
}

/// The folder below comes before the upper one is watched, or after; neither may be lost.
#[test]
fn folders_that_come_with_folders_in_them_are_watched() {
    let (_folder, path) = folder();
    let (_held, seen) = watched(&path);
    let files = (0..200).map(|number| path.join(format!("new-{number}/deep/er/a")));
    let (mut files, mut told): (BTreeSet<_>, _) = (files.collect(), BTreeSet::new());
    for file in &files {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "x").unwrap();
    }
    while !files.is_empty() {
        let file = added(&seen, &told);
        assert!(files.remove(&file), "{file:?}");
        told.insert(file);
    }
}

#[test]
fn a_folder_with_another_name_is_watched_under_that() {
    let (_folder, path) = folder();
    let (_held, seen) = watched(&path);
    for number in 0..3 {
        std::fs::create_dir(path.join("old")).unwrap();
        std::fs::write(path.join("old/a"), "x").unwrap();
        let old = path.join("old/a");
        assert_eq!(added(&seen, &BTreeSet::new()), old);
        while seen.recv_timeout(Duration::from_millis(300)).is_ok() {}
        let new = path.join(format!("new-{number}"));
        std::fs::rename(path.join("old"), &new).unwrap();
        assert_eq!(added(&seen, &BTreeSet::new()), new.join("a"));
        std::fs::write(new.join("a"), "xx").unwrap();
        assert_eq!(next(&seen), Seen::File(new.join("a"), How::Changed));
    }
}

#[test]
fn another_branch_is_told_of_once() {
    let (_folder, path) = folder();
    let (_held, seen) = watched(&path);
    std::fs::write(path.join(".git/HEAD.lock"), "ref: refs/heads/work\n").unwrap();
    std::fs::rename(path.join(".git/HEAD.lock"), path.join(".git/HEAD")).unwrap();
    assert_eq!(next(&seen), Seen::Branch(Some("work".into())));
    std::fs::write(path.join(".git/index"), "").unwrap();
    assert!(seen.recv_timeout(Duration::from_millis(500)).is_err());
}
