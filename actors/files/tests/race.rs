//! A folder is swapped for a link that leads out, again and again, while files below it are used.
//!
//! `KILO_RACE_TRIES` sets how often each kind of use is tried; without it the tests stop after a short time.

#![allow(clippy::unwrap_used, reason = "a test")]

use kilo_files::Disk;
use kilo_ports::files::{Files, Spot};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// How long one test goes on at most.
const TIME_MAX: Duration = Duration::from_millis(1_500);

/// A project with `d/`, an outside folder with the same names in it, and `swap`, the link that takes `d`'s place.
struct Arena {
    _folder: tempfile::TempDir,
    project: PathBuf,
    outside: PathBuf,
}

impl Arena {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let (project, outside) = (base.join("project"), base.join("outside"));
        for (root, word) in [(project.join("d"), "inside"), (outside.clone(), "secret")] {
            std::fs::create_dir_all(root.join("e")).unwrap();
            for name in ["f.txt", "e/f.txt"] {
                std::fs::write(root.join(name), word).unwrap();
            }
        }
        std::fs::write(outside.join("only-outside.txt"), "secret").unwrap();
        std::os::unix::fs::symlink(&outside, project.join("swap")).unwrap();
        Self {
            _folder: folder,
            project,
            outside,
        }
    }

    /// Runs `attempt` with the number of the try, while the folder and the link change places.
    fn race(&self, attempt: impl Fn(usize)) -> usize {
        #[allow(
            clippy::disallowed_methods,
            reason = "a longer run is asked for by hand"
        )]
        let tries_max = std::env::var("KILO_RACE_TRIES").ok();
        let tries_max: Option<usize> = tries_max.and_then(|tries| tries.parse().ok());
        #[allow(
            clippy::disallowed_methods,
            reason = "it bounds a test, not what is tested"
        )]
        let started = std::time::Instant::now();
        let (ended, swaps) = (AtomicBool::new(false), AtomicUsize::new(0));
        let mut tries = 0;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (one, two) = (self.project.join("d"), self.project.join("swap"));
                while !ended.load(Ordering::Relaxed) {
                    renameat_with(CWD, &one, CWD, &two, RenameFlags::EXCHANGE).unwrap();
                    swaps.fetch_add(1, Ordering::Relaxed);
                }
            });
            let _end = Ending(&ended);
            while tries_max.map_or(started.elapsed() < TIME_MAX, |max| tries < max) {
                attempt(tries);
                tries += 1;
            }
        });
        assert!(swaps.load(Ordering::Relaxed) > 10, "nothing was swapped");
        tries
    }

    /// The place, if it was judged to be in the project: all others are asked about.
    fn inside(&self, disk: &Disk, path: &str) -> Option<Arc<dyn Spot>> {
        let spot = disk.find(&self.project.join(path)).ok()?;
        spot.real().starts_with(&self.project).then_some(spot)
    }

    fn files_outside(&self) -> BTreeMap<PathBuf, String> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.outside.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path.clone());
                    files.insert(path, String::new());
                } else {
                    let text = std::fs::read_to_string(&path).unwrap();
                    files.insert(path, text);
                }
            }
        }
        files
    }
}

/// Ends the other thread, also where an assertion fails.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn both(test: impl Fn(&Arena, &Disk)) {
    for disk in [Disk::default(), Disk::by_steps()] {
        test(&Arena::new(), &disk);
    }
}

fn read(spot: &dyn Spot) -> Option<String> {
    let mut text = String::new();
    spot.open().ok()?.read_to_string(&mut text).ok()?;
    Some(text)
}

#[test]
fn nothing_is_written_outside() {
    both(|arena, disk| {
        let before = arena.files_outside();
        let written = AtomicUsize::new(0);
        let tries = arena.race(|number| {
            let path = match number % 4 {
                0 => "d/f.txt".to_owned(),
                1 => "d/e/f.txt".to_owned(),
                2 => format!("d/new{number}/deep/f.txt"),
                _ => format!("d/e/n{number}.txt"),
            };
            let Some(spot) = arena.inside(disk, &path) else {
                return;
            };
            let staged = spot.stage(b"written".to_vec(), None);
            if staged.and_then(|staged| staged.commit()).is_ok() {
                written.fetch_add(1, Ordering::Relaxed);
                let _ = (number % 4 == 3).then(|| spot.remove());
            }
        });
        assert_eq!(arena.files_outside(), before);
        let written = written.into_inner();
        assert!(written > 0, "none of {tries} writes went through");
    });
}

#[test]
fn nothing_is_read_listed_or_found_from_outside() {
    both(|arena, disk| {
        let read_times = AtomicUsize::new(0);
        arena.race(|number| {
            if let Some(spot) = arena.inside(disk, ["d/f.txt", "d/e/f.txt"][number % 2])
                && let Some(text) = read(&*spot)
            {
                assert_eq!(text, "inside");
                read_times.fetch_add(1, Ordering::Relaxed);
            }
            if let Some(spot) = arena.inside(disk, "d") {
                let names = spot.entries(100).unwrap_or_default();
                assert!(names.iter().all(|entry| entry.name != "only-outside.txt"));
            }
            if let Some(spot) = arena.inside(disk, "d/none") {
                let names = spot.beside(100).unwrap_or_default();
                assert!(names.iter().all(|name| name != "only-outside.txt"));
            }
        });
        assert!(read_times.into_inner() > 0);
    });
}

#[test]
fn a_walk_opens_nothing_outside() {
    both(|arena, disk| {
        let opened = AtomicUsize::new(0);
        arena.race(|_| {
            let Some(spot) = arena.inside(disk, "") else {
                return;
            };
            let visit = |path: &Path| {
                if let Ok(mut file) = spot.below(path) {
                    assert!(!path.ends_with("only-outside.txt"));
                    let mut text = String::new();
                    file.read_to_string(&mut text).unwrap();
                    assert_eq!(text, "inside");
                    opened.fetch_add(1, Ordering::Relaxed);
                }
                true
            };
            spot.walk(&|| true, &visit).unwrap();
        });
        assert!(opened.into_inner() > 0);
    });
}
