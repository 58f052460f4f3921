//! Heavy ignored folders on file systems whose files can share blocks: Btrfs and XFS in images of this test's own.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;
mod trees_support;

use kilo_ports::sandbox::Exit;
use kilo_worktree::trees::{Copies, NewTree, Share};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;
use trees_support::Yard;

const FILES: usize = 200;
const FILE_BYTES: usize = 256 << 10;

/// A file system in an image; unmounted with this value.
struct Mounted<'a> {
    yard: &'a Yard,
    folder: PathBuf,
}

impl<'a> Mounted<'a> {
    /// None, and said why, where such a file system cannot be made or mounted.
    fn new(yard: &'a Yard, kind: &str) -> Option<Self> {
        let data = &yard.project.data;
        let (image, folder) = (data.join(format!("{kind}.img")), data.join(kind));
        fs::create_dir_all(&folder).unwrap();
        fs::File::create(&image)
            .unwrap()
            .set_len(512 << 20)
            .unwrap();
        let script = format!(
            "PATH=$PATH:/usr/sbin:/sbin; mkfs.{kind} -q {kind}.img && mount -o loop {kind}.img {kind}"
        );
        let (exit, said) = yard.program("sh", data, &["-c", &script]);
        if exit != Exit::Code(0) {
            println!("not tested on {kind}: it cannot be made or mounted here ({said})");
            return None;
        }
        Some(Self { yard, folder })
    }

    fn used(&self) -> u64 {
        let disk = rustix::fs::statvfs(&self.folder).unwrap();
        rustix::fs::sync();
        (disk.f_blocks - disk.f_bfree) * disk.f_frsize
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let name = self.folder.file_name().unwrap().to_string_lossy();
        let _ = self
            .yard
            .program("umount", &self.yard.project.data, &[&name]);
    }
}

fn heavy(repo: &Path) {
    for number in 0..FILES {
        let folder = repo.join("heavy").join(format!("d{}", number % 10));
        fs::create_dir_all(&folder).unwrap();
        let bytes: Vec<u8> = (0..FILE_BYTES)
            .map(|at| (at * 31 + number * 7) as u8)
            .collect();
        fs::write(folder.join(format!("f{number}")), bytes).unwrap();
    }
    std::os::unix::fs::symlink("d1/f1", repo.join("heavy/link")).unwrap();
}

#[tokio::test]
async fn a_heavy_folder_shares_its_blocks_until_one_side_writes() {
    for kind in ["btrfs", "xfs"] {
        let yard = Yard::new();
        let Some(disk) = Mounted::new(&yard, kind) else {
            continue;
        };
        let repo = disk.folder.join("repo");
        let from = yard.project.root.to_string_lossy().into_owned();
        yard.git(&disk.folder, &["clone", "-q", &from, "repo"]);
        heavy(&repo);
        let trees = yard.trees_at(&disk.folder.join("trees"));
        let place = trees.place("project", &repo).await.unwrap();
        let new = NewTree {
            name: Some("work".into()),
            ..NewTree::default()
        };
        let copies = Copies {
            folders: vec!["heavy".into()],
            share: Share::Reflink,
            ..Copies::default()
        };
        rustix::fs::sync();
        let (before, begun) = (disk.used(), Instant::now());
        let tree = trees.create(&place, new.clone()).await.unwrap();
        let tree = trees.fill(&place, tree, &new, copies).await.unwrap();
        let took = begun.elapsed();
        rustix::fs::sync();
        let more = disk.used().saturating_sub(before);
        let whole = (FILES * FILE_BYTES) as u64;
        println!("{kind}: {more} of {whole} bytes more, {took:?}");
        assert!(more < whole / 5, "{kind}: {more} of {whole} bytes more");
        let (there, here) = (tree.directory.join("heavy/d1/f1"), repo.join("heavy/d1/f1"));
        assert!(fs::read(&there).unwrap() == fs::read(&here).unwrap());
        assert_eq!(
            fs::read_link(tree.directory.join("heavy/link")).unwrap(),
            Path::new("d1/f1")
        );
        let whole = fs::read(&here).unwrap();
        fs::write(&there, "written there").unwrap();
        assert!(fs::read(&here).unwrap() == whole);
        fs::write(repo.join("heavy/d2/f2"), "written here").unwrap();
        assert_eq!(
            fs::read(tree.directory.join("heavy/d2/f2")).unwrap().len(),
            FILE_BYTES
        );
    }
}

#[tokio::test]
async fn where_blocks_cannot_be_shared_a_heavy_folder_is_left_out() {
    let yard = Yard::new();
    let small = yard.project.data.join("tmpfs");
    fs::create_dir_all(&small).unwrap();
    let mount = ["-t", "tmpfs", "-o", "size=8m", "tmpfs", "."];
    let (mounted, why) = yard.program("mount", &small, &mount);
    if mounted != Exit::Code(0) {
        println!("not tested: no file system can be mounted here ({why})");
        return;
    }
    let trees = yard.trees_at(&small);
    yard.project.write("heavy/a/b.js", "module\n");
    let place = trees.place("project", &yard.project.root).await.unwrap();
    let mut found = Vec::new();
    for share in [Share::Reflink, Share::Hardlink] {
        let new = NewTree {
            name: Some("work".into()),
            ..NewTree::default()
        };
        let copies = Copies {
            folders: vec!["heavy".into()],
            share,
            ..Copies::default()
        };
        // neither goes over the border of a file system
        let tree = trees.create(&place, new.clone()).await.unwrap();
        let tree = trees.fill(&place, tree, &new, copies).await.unwrap();
        let mut names: Vec<_> = fs::read_dir(&tree.directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        found.push(names);
    }
    let (unmounted, _) = yard.program("umount", &yard.project.data, &["tmpfs"]);
    assert_eq!(unmounted, Exit::Code(0));
    let wanted = [".git", ".gitignore", "a.txt", "gone.txt"];
    assert_eq!(found, [wanted, wanted]);
}
