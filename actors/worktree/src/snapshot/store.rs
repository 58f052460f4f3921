//! A worktree's shadow repository: a bare git repository outside the worktree that holds blobs and trees, no commits.
//!
//! Blobs that the user's own repository has under the same path are referred to, not written again, so readers see
//! both object stores. Layout: `<snapshot folder>/<hash of the worktree's path>/` with git's own files, `worktree` (the
//! path, for people) and `omitted` (see [`super::omitted`]).

use super::private;
use super::workers::failed;
use crate::beneath::{Content, Kind};
use crate::checkout::Checkout;
use crate::stamp::{Stamp, kernel_now_ns};
use git2::{ObjectType, Odb, OdbLookupFlags, Oid, Repository, RepositoryInitOptions};
use kilo_ports::checkpoint::CheckpointError;
use parking_lot::Mutex;
use rustix::fs::{AtFlags, statat};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tracing::warn;

/// Open readers that are kept for the next call.
const READERS_MAX: usize = 4;

/// A shadow repository on disk.
pub(super) struct Store {
    pub folder: PathBuf,
    user_objects: Option<PathBuf>,
    readers: Mutex<Vec<Repository>>,
    bytes: AtomicU64,
}

/// The folder of a worktree's shadow repository.
pub(super) fn folder_of(snapshots: &Path, root: &Path) -> PathBuf {
    let hash = blake3::hash(root.as_os_str().as_encoded_bytes());
    snapshots.join(&hash.to_hex().as_str()[..32])
}

impl Store {
    /// Opens the shadow repository of `place`, making it if need be, and takes away what a killed process left.
    pub fn open(snapshots: &Path, checkout: &Checkout) -> Result<Self, CheckpointError> {
        let folder = folder_of(snapshots, &checkout.root);
        if !folder.join("HEAD").exists() {
            init(&folder)?;
        }
        // earlier versions left all of it to the umask; the objects are looked at below
        private::close(snapshots);
        private::close_all_but(&folder, "objects");
        // only for people who look into the folder
        let _ = private::write(
            &folder.join("worktree"),
            checkout.root.as_os_str().as_encoded_bytes(),
        );
        let bytes = sweep(&folder.join("objects"));
        let readers = Mutex::new(Vec::new());
        Ok(Self {
            user_objects: user_objects(checkout),
            bytes: AtomicU64::new(bytes),
            folder,
            readers,
        })
    }

    /// Opens the repository for writing: it sees its own objects only.
    pub fn writer(&self) -> Result<Repository, CheckpointError> {
        Repository::open_bare(&self.folder).map_err(failed)
    }

    /// The user's own objects, for looking whether a blob is there.
    pub fn user_odb(&self) -> Option<Odb<'static>> {
        let odb = Odb::new().ok()?;
        odb.add_disk_alternate(self.user_objects.as_ref()?.to_str()?)
            .ok()?;
        Some(odb)
    }

    /// Runs `work` on a repository that sees its own and the user's objects.
    pub fn read<T>(
        &self,
        work: impl FnOnce(&Repository) -> Result<T, CheckpointError>,
    ) -> Result<T, CheckpointError> {
        let kept = self.readers.lock().pop();
        let reader = match kept {
            Some(reader) => reader,
            None => self.open_reader()?,
        };
        let result = work(&reader);
        let mut readers = self.readers.lock();
        if readers.len() < READERS_MAX {
            readers.push(reader);
        }
        result
    }

    fn open_reader(&self) -> Result<Repository, CheckpointError> {
        let reader = self.writer()?;
        if let Some(path) = self.user_objects.as_ref().and_then(|path| path.to_str()) {
            reader
                .odb()
                .and_then(|odb| odb.add_disk_alternate(path))
                .map_err(failed)?;
        }
        Ok(reader)
    }

    /// Closes the kept readers, after objects went away under them.
    pub fn forget_readers(&self) {
        self.readers.lock().clear();
    }

    /// Bytes of all objects: counted when opened, then what was written (before compression) added.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Sets the count anew.
    pub fn recount(&self) -> u64 {
        let bytes = sweep(&self.folder.join("objects"));
        self.bytes.store(bytes, Ordering::Relaxed);
        bytes
    }

    /// Writes an object unless it is there already.
    pub fn put(
        &self,
        odb: &Odb<'_>,
        kind: ObjectType,
        bytes: &[u8],
    ) -> Result<Oid, CheckpointError> {
        let oid = Oid::hash_object(kind, bytes).map_err(failed)?;
        if !odb.exists_ext(oid, OdbLookupFlags::NO_REFRESH) {
            odb.write(kind, bytes).map_err(failed)?;
            self.close_object(oid);
            self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        Ok(oid)
    }

    /// Keeps others out of an object's file, which git leaves to the umask.
    fn close_object(&self, oid: Oid) {
        let name = oid.to_string();
        let (folder, file) = name.split_at(2);
        let folder = self.folder.join("objects").join(folder);
        private::close(&folder);
        private::close(&folder.join(file));
    }
}

/// Deletes the shadow repositories below `snapshots` whose worktree is gone and which nobody opened for `age`; returns
/// the bytes that were freed.
pub(super) fn remove_orphans(snapshots: &Path, age: Duration) -> u64 {
    let since_ns = kernel_now_ns() - i64::try_from(age.as_nanos()).unwrap_or(i64::MAX / 2);
    let mut bytes = 0;
    for entry in list(snapshots) {
        let note = entry.path().join("worktree");
        let opened_ns =
            statat(rustix::fs::CWD, &note, AtFlags::empty()).map(|stat| Stamp::of(&stat).mtime_ns);
        let Ok(root) = fs::read(&note) else { continue };
        let is_gone = !Path::new(OsStr::from_bytes(&root)).exists();
        if is_gone && opened_ns.is_ok_and(|opened_ns| opened_ns < since_ns) {
            bytes += sweep(&entry.path().join("objects"));
            if let Err(error) = fs::remove_dir_all(entry.path()) {
                warn!(%error, "the checkpoints of a worktree that is gone cannot be deleted");
            }
        }
    }
    bytes
}

/// Finds the tree that a checkpoint's hash names.
pub(super) fn tree<'repo>(
    repo: &'repo Repository,
    hash: &str,
) -> Result<git2::Tree<'repo>, CheckpointError> {
    Oid::from_str(hash)
        .and_then(|oid| repo.find_tree(oid))
        .map_err(|_| CheckpointError::Missing(hash.to_owned()))
}

/// The content of `path` in `tree`; nothing if the tree has no such file.
pub(super) fn content(
    repo: &Repository,
    tree: &git2::Tree<'_>,
    path: &Path,
) -> Result<Option<Content>, CheckpointError> {
    let entry = match tree.get_path(path) {
        Ok(entry) => entry,
        Err(error) if error.code() == git2::ErrorCode::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let kind = match entry.filemode() & 0o170_000 {
        0o120_000 => Kind::Link,
        0o100_000 if entry.filemode() & 0o100 != 0 => Kind::Executable,
        0o100_000 => Kind::Plain,
        _ => return Ok(None),
    };
    let bytes = repo
        .find_blob(entry.id())
        .map_err(failed)?
        .content()
        .to_vec();
    Ok(Some(Content { kind, bytes }))
}

fn init(folder: &Path) -> Result<(), CheckpointError> {
    private::make_folder(folder).map_err(failed)?;
    let mut options = RepositoryInitOptions::new();
    options.bare(true).external_template(false);
    let repo = Repository::init_opts(folder, &options).map_err(failed)?;
    let mut config = repo.config().map_err(failed)?;
    config.set_bool("core.autocrlf", false).map_err(failed)?;
    config.set_i32("core.looseCompression", 1).map_err(failed)?;
    config.set_i32("gc.auto", 0).map_err(failed)?;
    private::close_all_but(folder, "");
    Ok(())
}

/// The user's object store, unless its hashes are of another kind than ours.
fn user_objects(checkout: &Checkout) -> Option<PathBuf> {
    let config = fs::read_to_string(checkout.common_dir.join("config")).unwrap_or_default();
    let objects = checkout.common_dir.join("objects");
    (!config
        .to_ascii_lowercase()
        .contains("objectformat = sha256")
        && objects.is_dir())
    .then_some(objects)
}

/// Removes half-written and empty object files, takes the rights of others to the rest away (earlier versions left them to
/// the umask), and returns the bytes of the rest.
fn sweep(objects: &Path) -> u64 {
    private::close(objects);
    let mut bytes = 0;
    for entry in list(objects) {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("tmp_") {
            let _ = fs::remove_file(entry.path());
            continue;
        }
        private::close(&entry.path());
        if name == "pack" || name.len() == 2 {
            bytes += sweep_folder(&entry.path(), name == "pack");
        }
    }
    bytes
}

fn sweep_folder(folder: &Path, is_pack: bool) -> u64 {
    let mut bytes = 0;
    for entry in list(folder) {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let about = entry.metadata();
        let size = about.as_ref().map_or(0, |about| about.len());
        if about.is_ok_and(|about| private::is_open(&about)) {
            private::close(&entry.path());
        }
        let whole = if is_pack {
            name.starts_with("pack-")
                && (!name.ends_with(".pack") || entry.path().with_extension("idx").exists())
        } else {
            name.len() == 38
        };
        if whole && size > 0 {
            bytes += size;
        } else {
            let _ = fs::remove_file(entry.path());
        }
    }
    bytes
}

/// A folder's entries; none if it cannot be read.
pub(super) fn list(folder: &Path) -> Vec<fs::DirEntry> {
    fs::read_dir(folder)
        .map(|entries| entries.flatten().collect())
        .unwrap_or_default()
}
