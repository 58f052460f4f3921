//! Watching of real folders.

#![allow(clippy::unwrap_used, reason = "tests")]

use kilo_watch::{Held, How, Seen, Wanted, Watches};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

fn watched(folder: &Path) -> (Held, Receiver<Seen>) {
    watched_as(folder, Wanted::default())
}

fn watched_as(folder: &Path, wanted: Wanted) -> (Held, Receiver<Seen>) {
    let (sender, seen) = channel();
    let tell = Arc::new(move |_: &str, what| drop(sender.send(what)));
    let held = Watches::default()
        .hold(folder.to_str().unwrap(), wanted, tell)
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
fn a_folder_that_came_in_the_place_of_another_is_watched_when_it_is_held_again() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().canonicalize().unwrap().join("tree");
    std::fs::create_dir(&path).unwrap();
    let watches = Watches::default();
    let (sender, seen) = channel();
    let tell = Arc::new(move |_: &str, what| drop(sender.send(what)));
    let hold = |wanted| watches.hold(path.to_str().unwrap(), wanted, Arc::clone(&tell) as _);
    let first = hold(Wanted::default()).unwrap();
    let heard = |name: &str| {
        // The watch begins a moment after the hold.
        for round in 0..100 {
            std::fs::write(path.join(name), round.to_string()).unwrap();
            let until = Duration::from_millis(200);
            while let Ok(what) = seen.recv_timeout(until) {
                if matches!(what, Seen::File(file, _) if file == path.join(name)) {
                    return true;
                }
            }
        }
        false
    };
    assert!(heard("a"));
    std::fs::remove_dir_all(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    // Held by the first still, and by whoever asks again.
    drop(hold(Wanted::default()).unwrap());
    assert!(watches.is_held(path.to_str().unwrap()));
    assert!(heard("b"));
    let wanted = Wanted {
        ignored: vec!["c".into()],
        ..Wanted::default()
    };
    drop(hold(wanted).unwrap());
    assert!(heard("d"));
    std::fs::write(path.join("c"), "x").unwrap();
    assert!(heard("e"));
    while let Ok(what) = seen.recv_timeout(Duration::from_millis(300)) {
        assert!(
            !matches!(&what, Seen::File(file, _) if file.ends_with("c")),
            "{what:?}"
        );
    }
    drop(first);
    assert!(!watches.is_held(path.to_str().unwrap()));
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

#[test]
fn what_the_user_does_not_want_is_not_told_of() {
    let (_folder, path) = folder();
    std::fs::create_dir_all(path.join("made/deep")).unwrap();
    let wanted = Wanted {
        ignored: ["made/**", "*.tmp", "!keep.tmp", "[", "\\"]
            .map(str::to_owned)
            .into(),
        ..Wanted::default()
    };
    let (_held, seen) = watched_as(&path, wanted);
    for name in ["made/a", "made/deep/b", "c.tmp", "keep.tmp"] {
        std::fs::write(path.join(name), "x").unwrap();
    }
    assert_eq!(next(&seen), Seen::File(path.join("keep.tmp"), How::Added));
    std::fs::write(path.join("d.txt"), "x").unwrap();
    assert_eq!(next(&seen), Seen::File(path.join("d.txt"), How::Added));
}

/// Whoever is told holds the thread up, so that its queue of 4,096 runs over.
#[test]
fn folders_that_come_in_a_flood_are_watched_in_the_end() {
    let (_folder, path) = folder();
    let (sender, seen) = channel();
    let (hold, held_up) = channel::<()>();
    let (stand, stands) = channel();
    let (held_up, first) = (std::sync::Mutex::new(held_up), std::sync::Once::new());
    let tell = Arc::new(move |_: &str, what| {
        if matches!(&what, Seen::File(file, _) if file.ends_with("stop")) {
            first.call_once(|| {
                stand.send(()).unwrap();
                let _ = held_up.lock().unwrap().recv();
            });
        }
        drop(sender.send(what));
    });
    let watches = Watches::default();
    let place = path.to_str().unwrap();
    let _held = watches.hold(place, Wanted::default(), tell).unwrap();
    for round in 0.. {
        std::fs::write(path.join("stop"), round.to_string()).unwrap();
        if stands.recv_timeout(Duration::from_millis(200)).is_ok() {
            break;
        }
        assert!(round < 100, "nothing is seen");
    }
    std::fs::create_dir(path.join("again")).unwrap();
    for number in 0..3_000 {
        std::fs::write(path.join(format!("flood-{number}")), "x").unwrap();
    }
    std::fs::remove_dir(path.join("again")).unwrap();
    for name in ["again/deep", "late/deep"] {
        std::fs::create_dir_all(path.join(name)).unwrap();
    }
    hold.send(()).unwrap();
    for name in ["again/deep/a", "late/deep/a"] {
        let file = path.join(name);
        let is_heard = (0..50).any(|round| {
            std::fs::write(&file, round.to_string()).unwrap();
            std::iter::from_fn(|| seen.recv_timeout(Duration::from_millis(200)).ok())
                .any(|what| matches!(what, Seen::File(told, _) if told == file))
        });
        assert!(is_heard, "{name}");
    }
}

/// In memory where there is such a place: it makes 6,000 files.
#[test]
fn of_too_many_folders_the_branch_is_watched_and_that_is_said() {
    let shared = Path::new("/dev/shm");
    let place = match shared.is_dir() {
        true => tempfile::tempdir_in(shared).unwrap(),
        false => tempfile::tempdir().unwrap(),
    };
    let path = place.path().canonicalize().unwrap();
    std::fs::create_dir_all(path.join(".git")).unwrap();
    std::fs::write(path.join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
    for number in 0..300 {
        let folder = path.join(format!("f{number}"));
        std::fs::create_dir(&folder).unwrap();
        for file in 0..20 {
            std::fs::write(folder.join(file.to_string()), "").unwrap();
        }
    }
    let wanted = Wanted {
        folders_max: 200,
        ..Wanted::default()
    };
    let (sender, seen) = channel();
    let tell = Arc::new(move |_: &str, what| drop(sender.send(what)));
    let watches = Watches::default();
    let _held = watches.hold(path.to_str().unwrap(), wanted, tell).unwrap();
    assert_eq!(next(&seen), Seen::Limited);
    std::fs::write(path.join("f0/0"), "x").unwrap();
    std::fs::create_dir(path.join("new")).unwrap();
    std::fs::write(path.join(".git/HEAD.lock"), "ref: refs/heads/work\n").unwrap();
    std::fs::rename(path.join(".git/HEAD.lock"), path.join(".git/HEAD")).unwrap();
    assert_eq!(next(&seen), Seen::Branch(Some("work".into())));
    assert!(seen.recv_timeout(Duration::from_millis(300)).is_err());
    // It is not the number of files that counts.
    let wanted = Wanted {
        folders_max: 302,
        ..Wanted::default()
    };
    let (_all, seen) = watched_as(&path, wanted);
    std::fs::write(path.join("f299/19"), "x").unwrap();
    assert_eq!(next(&seen), Seen::File(path.join("f299/19"), How::Changed));
}
