//! The list of sessions: a small entry each, kept in memory; the heads themselves stay in the store.

use bytes::Bytes;
use kilo_ports::store::{Store, StoreError};
use kilo_protocol::model::Session;
use kilo_protocol::{Millis, ProjectId, SessionId};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A session's head as the store has it.
#[derive(Serialize)]
struct HeadOut<'a> {
    open: bool,
    info: &'a Session,
}

#[derive(Deserialize)]
struct HeadIn<'a> {
    #[serde(default)]
    open: bool,
    #[serde(borrow)]
    info: &'a RawValue,
}

/// The stored head: the session, and whether a turn is open.
pub fn head_bytes(info: &Session, open: bool) -> Bytes {
    serde_json::to_vec(&HeadOut { open, info })
        .map(Bytes::from)
        .unwrap_or_default()
}

/// The session's JSON within a stored head.
pub fn info_json(head: &Bytes) -> Option<Bytes> {
    let parsed: HeadIn = serde_json::from_slice(head).ok()?;
    Some(head.slice_ref(parsed.info.get().as_bytes()))
}

/// What a list needs to know of a session.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its project.
    pub project: Arc<ProjectId>,
    /// Its folder.
    pub directory: Arc<str>,
    /// The same, from the project's root.
    pub path: Arc<str>,
    /// Its parent.
    pub parent: Option<SessionId>,
    /// Its title.
    pub title: String,
    /// When it last changed.
    pub updated: Millis,
    /// When it was made.
    pub created: Millis,
    /// It is archived.
    pub archived: bool,
}

fn is_below(top: &str, path: &str) -> bool {
    top.is_empty()
        || path
            .strip_prefix(top)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Which sessions, and how many.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this project.
    pub project: Option<String>,
    /// Of this folder.
    pub directory: Option<String>,
    /// Of this folder and those below it, from the project's root in any worktree; the empty path is the root.
    pub path: Option<String>,
    /// With these letters in the title, in any case.
    pub search: Option<String>,
    /// Without a parent.
    pub roots: bool,
    /// Updated at this time or later.
    pub start: Option<Millis>,
    /// Updated before this time.
    pub before: Option<Millis>,
    /// Archived ones too.
    pub archived: bool,
    /// At most so many.
    pub limit: Option<usize>,
}

/// All sessions.
#[derive(Default)]
pub struct Catalog {
    sessions: RwLock<HashMap<SessionId, Listed>>,
    names: RwLock<Names>,
}

/// The names of folders, so that each is kept once.
#[derive(Default)]
struct Names {
    known: HashSet<Arc<str>>,
    /// So many names were in use at the last look.
    used: usize,
}

/// New names before the first look which ones are still in use.
const NAMES_MIN: usize = 64;

impl Names {
    fn get(&mut self, text: &str) -> Arc<str> {
        if let Some(name) = self.known.get(text) {
            return Arc::clone(name);
        }
        // Looking when their number has doubled costs each new name the same, however many there are. A look at every
        // end of a session would miss the names that somebody else holds just then.
        if self.known.len() >= NAMES_MIN.max(2 * self.used) {
            self.known.retain(|name| Arc::strong_count(name) > 1);
            self.used = self.known.len();
        }
        let name: Arc<str> = text.into();
        self.known.insert(Arc::clone(&name));
        name
    }
}

impl Catalog {
    /// Reads all heads. Returns the sessions whose turn was open.
    pub fn load(&self, store: &dyn Store) -> Result<Vec<SessionId>, StoreError> {
        let mut open = Vec::new();
        store.heads(&mut |id, head| {
            let Ok(parsed) = serde_json::from_slice::<HeadIn>(head) else {
                return;
            };
            if let Ok(info) = serde_json::from_str::<Session>(parsed.info.get()) {
                self.put(&info);
                if parsed.open {
                    open.push(id.clone());
                }
            }
        })?;
        Ok(open)
    }

    /// One string for each folder, however many sessions it has.
    fn name(&self, text: &str) -> Arc<str> {
        if let Some(name) = self.names.read().known.get(text) {
            return Arc::clone(name);
        }
        self.names.write().get(text)
    }

    /// Adds or replaces a session.
    pub fn put(&self, info: &Session) {
        let listed = Listed {
            project: Arc::new(info.project_id.clone()),
            directory: self.name(&info.directory),
            path: self.name(&info.path),
            parent: info.parent_id.clone(),
            title: info.title.clone(),
            updated: info.time.updated,
            created: info.time.created,
            archived: info.time.archived.is_some(),
        };
        self.sessions.write().insert(info.id.clone(), listed);
    }

    /// Takes a session away.
    pub fn remove(&self, session: &SessionId) {
        self.sessions.write().remove(session);
    }

    /// Whether there is such a session.
    pub fn contains(&self, session: &SessionId) -> bool {
        self.sessions.read().contains_key(session)
    }

    /// What the list knows of a session.
    pub fn get(&self, session: &SessionId) -> Option<Listed> {
        self.sessions.read().get(session).cloned()
    }

    /// The number of sessions.
    pub fn count(&self) -> usize {
        self.sessions.read().len()
    }

    /// The child sessions, oldest first.
    pub fn children(&self, parent: &SessionId) -> Vec<SessionId> {
        let sessions = self.sessions.read();
        let mut children: Vec<_> = sessions
            .iter()
            .filter(|(_, listed)| listed.parent.as_ref() == Some(parent))
            .map(|(id, listed)| (listed.created, id.clone()))
            .collect();
        children.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| b.1.cmp(&a.1)));
        children.into_iter().map(|(_, id)| id).collect()
    }

    /// The sessions that pass the filter, newest update first.
    pub fn list(&self, filter: &Filter) -> Vec<SessionId> {
        let needle = filter.search.as_ref().map(|text| text.to_lowercase());
        let sessions = self.sessions.read();
        let mut found: Vec<(Millis, &SessionId)> = sessions
            .iter()
            .filter(|(_, listed)| {
                filter
                    .project
                    .as_ref()
                    .is_none_or(|project| *listed.project == *project)
                    && filter
                        .directory
                        .as_ref()
                        .is_none_or(|directory| *listed.directory == **directory)
                    && filter
                        .path
                        .as_ref()
                        .is_none_or(|path| is_below(path, &listed.path))
                    && !(filter.roots && listed.parent.is_some())
                    && filter.start.is_none_or(|start| listed.updated >= start)
                    && filter.before.is_none_or(|before| listed.updated < before)
                    && (filter.archived || !listed.archived)
                    && needle
                        .as_ref()
                        .is_none_or(|needle| listed.title.to_lowercase().contains(needle))
            })
            .map(|(id, listed)| (listed.updated, id))
            .collect();
        found.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        found.truncate(filter.limit.unwrap_or(usize::MAX));
        found.into_iter().map(|(_, id)| id.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn put(catalog: &Catalog, number: usize) -> SessionId {
        let mut info = samples::session(0);
        info.id = SessionId::from_wire(format!("ses_{number}"));
        info.directory = format!("/work/{number}");
        info.path = format!("tree/{number}");
        catalog.put(&info);
        info.id
    }

    #[test]
    fn names_of_folders_without_a_session_are_forgotten() {
        let catalog = Catalog::default();
        for number in 0..1_000 {
            let session = put(&catalog, number);
            catalog.remove(&session);
        }
        assert!(catalog.names.read().known.len() <= NAMES_MIN);
    }

    #[test]
    fn names_in_use_stay_and_are_kept_once() {
        let catalog = Catalog::default();
        let sessions: Vec<SessionId> = (0..500).map(|number| put(&catalog, number)).collect();
        for number in 0..500 {
            put(&catalog, number);
        }
        assert_eq!(catalog.names.read().known.len(), 1_000);
        for session in &sessions {
            let listed = catalog.get(session).unwrap();
            assert!(Arc::ptr_eq(
                &listed.directory,
                &catalog.name(&listed.directory)
            ));
        }
    }
}
