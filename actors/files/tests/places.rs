//! Places on a quiet disk: what is kept, made, refused.

#![allow(clippy::unwrap_used, reason = "a test")]

use kilo_files::Disk;
use kilo_ports::files::{Files, Kind};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

struct Stage {
    _folder: tempfile::TempDir,
    root: PathBuf,
    disk: Disk,
}

fn stages() -> [Stage; 2] {
    [Disk::default(), Disk::by_steps()].map(|disk| {
        let folder = tempfile::tempdir().unwrap();
        Stage {
            root: folder.path().canonicalize().unwrap(),
            _folder: folder,
            disk,
        }
    })
}

impl Stage {
    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn write(&self, name: &str, text: &str) -> std::io::Result<()> {
        let spot = self.disk.find(&self.path(name))?;
        spot.stage(text.as_bytes().to_vec(), None)?.commit()
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn names(&self) -> usize {
        std::fs::read_dir(&self.root).unwrap().count()
    }
}

#[test]
fn the_mode_is_kept_and_nothing_is_left_behind() {
    for stage in stages() {
        let path = stage.path("run.sh");
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o750)).unwrap();
        let spot = stage.disk.find(&path).unwrap();
        drop(spot.stage(b"dropped".to_vec(), None).unwrap());
        assert_eq!(stage.text("run.sh"), "old");
        stage.write("run.sh", "new").unwrap();
        assert_eq!(stage.text("run.sh"), "new");
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o750);
        let deep = stage.disk.find(&stage.path("a/b/c.txt")).unwrap();
        drop(deep.stage(b"dropped".to_vec(), None).unwrap());
        assert_eq!(stage.names(), 1);
        stage.write("a/b/c.txt", "x").unwrap();
        assert_eq!(stage.text("a/b/c.txt"), "x");
    }
}

#[test]
fn other_names_of_a_file_change_only_where_that_is_wanted() {
    for stage in stages() {
        std::fs::write(stage.path("one"), "old").unwrap();
        std::fs::hard_link(stage.path("one"), stage.path("two")).unwrap();
        let spot = stage.disk.find(&stage.path("one")).unwrap();
        let facts = spot.facts().unwrap();
        assert_eq!((facts.kind, facts.names), (Kind::File, 2));
        let staged = spot.stage(b"both".to_vec(), Some(facts.id)).unwrap();
        staged.commit().unwrap();
        assert_eq!(
            (stage.text("one"), stage.text("two")),
            ("both".into(), "both".into())
        );
        spot.stage(b"mine".to_vec(), None)
            .unwrap()
            .commit()
            .unwrap();
        assert_eq!(
            (stage.text("one"), stage.text("two")),
            ("mine".into(), "both".into())
        );
    }
}

#[test]
fn links_are_followed_when_a_path_is_judged_and_never_after() {
    for stage in stages() {
        std::fs::create_dir_all(stage.path("real/deep")).unwrap();
        std::fs::write(stage.path("real/f"), "f").unwrap();
        symlink(stage.path("real"), stage.path("link")).unwrap();
        symlink(stage.path("real/new/g"), stage.path("dangling")).unwrap();
        let real = |name: &str| {
            stage
                .disk
                .find(&stage.path(name))
                .unwrap()
                .real()
                .to_owned()
        };
        assert_eq!(real("link/f"), stage.path("real/f"));
        assert_eq!(real("link/none/x"), stage.path("real/none/x"));
        assert_eq!(real("dangling"), stage.path("real/new/g"));
        assert_eq!(
            stage.disk.find(Path::new("/")).unwrap().real(),
            Path::new("/")
        );

        let file = stage.disk.find(&stage.path("real/f")).unwrap();
        let missing = stage.disk.find(&stage.path("real/later/x")).unwrap();
        std::fs::remove_file(stage.path("real/f")).unwrap();
        symlink("/etc/hostname", stage.path("real/f")).unwrap();
        symlink("/etc", stage.path("real/later")).unwrap();
        assert!(file.open().is_err() && file.facts().is_err());
        assert!(missing.open().is_err() && missing.stage(Vec::new(), None).is_err());
    }
}

#[test]
fn nothing_is_written_into_a_folder_that_was_moved() {
    for stage in stages() {
        std::fs::create_dir(stage.path("d")).unwrap();
        let spot = stage.disk.find(&stage.path("d/f")).unwrap();
        let staged = spot.stage(b"x".to_vec(), None).unwrap();
        std::fs::rename(stage.path("d"), stage.path("away")).unwrap();
        assert!(spot.stage(b"x".to_vec(), None).is_err());
        assert!(spot.remove().is_err());
        assert!(staged.commit().is_err());
        assert_eq!(std::fs::read_dir(stage.path("away")).unwrap().count(), 0);
    }
}

#[test]
fn special_files_and_circles_are_refused() {
    for stage in stages() {
        let pipe = stage.path("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let spot = stage.disk.find(&pipe).unwrap();
        assert_eq!(spot.facts().unwrap().kind, Kind::Other);
        assert!(spot.open().is_err());
        symlink(stage.path("two"), stage.path("one")).unwrap();
        symlink(stage.path("one"), stage.path("two")).unwrap();
        assert!(stage.disk.find(&stage.path("one")).is_err());
        std::fs::write(stage.path("file"), "x").unwrap();
        assert!(stage.write("file/below", "x").is_err());
        assert_eq!(stage.text("file"), "x");
    }
}
