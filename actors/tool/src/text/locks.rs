use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Entries kept before those that nobody holds are dropped.
const ENTRIES_MAX: usize = 1_024;

/// One lock for each file that is being written, for all sessions of the daemon.
///
/// It is held only while a file is checked and written, never while a person is asked. Entries live as long as
/// somebody holds or awaits them, so there are never more than there are running calls, plus [`ENTRIES_MAX`] dead ones.
#[derive(Default)]
pub struct FileLocks {
    files: Mutex<HashMap<PathBuf, Weak<AsyncMutex<()>>>>,
}

/// Locked files; dropping it frees them.
pub struct Held(#[expect(dead_code, reason = "held for its drop")] Vec<OwnedMutexGuard<()>>);

impl FileLocks {
    /// Waits until all of `paths` are free and takes them, always in the same order.
    pub async fn hold(&self, paths: &[&Path]) -> Held {
        let mut paths = paths.to_vec();
        paths.sort_unstable();
        paths.dedup();
        let mut held = Vec::with_capacity(paths.len());
        for path in paths {
            let lock = self.lock_of(path);
            held.push(lock.lock_owned().await);
        }
        Held(held)
    }

    fn lock_of(&self, path: &Path) -> Arc<AsyncMutex<()>> {
        let mut files = self.files.lock();
        if let Some(lock) = files.get(path).and_then(Weak::upgrade) {
            return lock;
        }
        if files.len() >= ENTRIES_MAX {
            files.retain(|_, lock| lock.strong_count() > 0);
        }
        let lock = Arc::new(AsyncMutex::new(()));
        files.insert(path.to_path_buf(), Arc::downgrade(&lock));
        lock
    }
}

#[cfg(test)]
mod tests {
    use super::{ENTRIES_MAX, FileLocks};
    use std::path::{Path, PathBuf};

    #[tokio::test]
    async fn a_held_file_makes_others_wait_and_the_map_stays_small() {
        let locks = FileLocks::default();
        let held = locks
            .hold(&[Path::new("/a"), Path::new("/b"), Path::new("/a")])
            .await;
        let wanted = [Path::new("/b")];
        let mut second = Box::pin(locks.hold(&wanted));
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(held);
        drop(second.await);
        for index in 0..5 * ENTRIES_MAX {
            locks.hold(&[&PathBuf::from(format!("/f{index}"))]).await;
        }
        assert!(locks.files.lock().len() <= ENTRIES_MAX);
    }
}
