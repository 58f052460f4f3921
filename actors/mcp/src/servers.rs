//! What the daemon holds: the servers of all folders.

use crate::folder::{FolderServers, Place};
use crate::shared::Shared;
pub use crate::shared::{Publish, Settings};
use kilo_ports::sandbox::Sandbox;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::runtime::Handle;

/// The servers of all folders. Clones are the same.
#[derive(Clone)]
pub struct Servers {
    shared: Arc<Shared>,
    folders: Arc<Mutex<HashMap<Place, Arc<FolderServers>>>>,
}

impl Servers {
    /// No folder yet, and nothing runs.
    pub fn new(handle: Handle, sandbox: Arc<dyn Sandbox>, settings: Settings) -> Self {
        Self {
            shared: Shared::new(handle, sandbox, settings),
            folders: Arc::default(),
        }
    }

    /// Says where events go; the first word counts.
    pub fn publish_with(&self, publish: Publish) {
        let _ = self.shared.publish.set(publish);
    }

    /// The servers of a folder, none yet when it is new.
    pub fn folder(&self, place: Place) -> Arc<FolderServers> {
        let mut folders = self.folders.lock();
        let new = || FolderServers::new(Arc::clone(&self.shared), place.clone());
        Arc::clone(folders.entry(place.clone()).or_insert_with(new))
    }

    /// The servers of a folder that nobody will ask for again.
    pub fn unlisted(&self, place: Place) -> Arc<FolderServers> {
        FolderServers::new(Arc::clone(&self.shared), place)
    }

    /// Folders that are not used any more: their servers end, unless others use them.
    pub fn close(&self, is_gone: impl Fn(&Place) -> bool) {
        let mut closed = Vec::new();
        self.folders.lock().retain(|place, folder| {
            let is_gone = is_gone(place);
            if is_gone {
                closed.push(Arc::clone(folder));
            }
            !is_gone
        });
        for folder in closed {
            folder.close();
        }
    }

    /// The processes that run, and the folders that use each.
    pub fn users(&self) -> Vec<(u32, Vec<Arc<str>>)> {
        let listed = self.shared.pool.list().into_iter();
        let running = listed.filter_map(|line| Some((line.pid?, line.users)));
        running.collect()
    }

    /// Ends all servers.
    pub async fn shut_down(&self) {
        self.shared.pool.shut_down().await;
    }
}
