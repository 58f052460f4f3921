//! [`MemoryStore`]: the same promises without a disk, for tests of everything above the store.

use bytes::Bytes;
use futures_util::FutureExt;
use kilo_ports::BoxFuture;
use kilo_ports::store::{
    AFTER_BYTES, Appended, Damage, Entry, Pos, SavedView, Seq, SessionLog, Store, StoreError,
    StoreStats, Stored, Unreadable,
};
use kilo_protocol::{Millis, SessionId};
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// A store in memory. Everything is gone with it; every sync succeeds at once; there is no damage but what
/// is reported to it.
#[derive(Default)]
pub struct MemoryStore {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    newest: Pos,
    order: BTreeMap<Pos, Stored>,
    sessions: BTreeMap<SessionId, Session>,
    tables: BTreeMap<String, BTreeMap<String, Bytes>>,
    blobs: BTreeMap<String, Bytes>,
    reports: Vec<Damage>,
}

#[derive(Default)]
struct Session {
    positions: Vec<Pos>,
    next_seq: Seq,
    head: Option<Bytes>,
    view: Option<SavedView>,
    deleted: bool,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Inner {
    fn session(&mut self, id: &SessionId) -> Result<&mut Session, StoreError> {
        let found = self.sessions.get_mut(id).filter(|session| !session.deleted);
        found.ok_or_else(|| StoreError::NoSession(id.clone()))
    }

    fn log(&mut self, id: &SessionId, view: Option<SavedView>) -> Result<SessionLog, StoreError> {
        let positions = self.session(id)?.positions.clone();
        let floor = view.as_ref().map(|view| view.seq);
        let all = positions.iter().filter_map(|pos| self.order.get(pos));
        let tail: Vec<Stored> = all
            .filter(|stored| floor.is_none_or(|seq| stored.seq > seq))
            .cloned()
            .collect();
        let tail_bytes = tail.iter().map(|stored| stored.body.len() as u64).sum();
        Ok(SessionLog {
            view,
            tail,
            tail_bytes,
        })
    }
}

impl Store for MemoryStore {
    fn epoch(&self) -> u64 {
        1
    }

    fn append(
        &self,
        session: &SessionId,
        at: Millis,
        entries: &[Entry],
    ) -> Result<Appended, StoreError> {
        let mut inner = self.inner.lock();
        let Inner {
            newest,
            order,
            sessions,
            ..
        } = &mut *inner;
        if sessions.get(session).is_some_and(|known| known.deleted) {
            return Err(StoreError::NoSession(session.clone()));
        }
        if entries.is_empty() {
            let first_seq = sessions.get(session).map_or(0, |known| known.next_seq);
            return Ok(Appended {
                first_pos: *newest,
                last_pos: *newest,
                first_seq,
            });
        }
        let known = sessions.entry(session.clone()).or_default();
        let (first_pos, first_seq) = (*newest + 1, known.next_seq);
        for entry in entries {
            *newest += 1;
            let stored = Stored {
                pos: *newest,
                session: session.clone(),
                seq: known.next_seq,
                at,
                format: entry.format,
                body: entry.body.clone(),
            };
            order.insert(*newest, stored);
            known.positions.push(*newest);
            known.next_seq += 1;
            if let Some(head) = &entry.head {
                known.head = Some(head.clone());
            }
        }
        Ok(Appended {
            first_pos,
            last_pos: *newest,
            first_seq,
        })
    }

    fn sync(&self, _: Pos) -> BoxFuture<'static, Result<(), StoreError>> {
        std::future::ready(Ok(())).boxed()
    }

    fn newest(&self) -> Pos {
        self.inner.lock().newest
    }

    fn load(&self, session: &SessionId) -> Result<SessionLog, StoreError> {
        let mut inner = self.inner.lock();
        let view = inner.session(session)?.view.clone();
        inner.log(session, view)
    }

    fn load_whole(&self, session: &SessionId) -> Result<SessionLog, StoreError> {
        self.inner.lock().log(session, None)
    }

    fn after(&self, pos: Pos, records_max: usize) -> Result<Vec<Stored>, StoreError> {
        let inner = self.inner.lock();
        let later = inner.order.range(pos.saturating_add(1)..);
        let mut bytes = 0;
        Ok(later
            .take(records_max)
            .take_while(|(_, stored)| {
                let has_room = bytes < AFTER_BYTES;
                bytes += stored.body.len();
                has_room
            })
            .map(|(_, stored)| stored.clone())
            .collect())
    }

    fn save_view(&self, session: &SessionId, view: &SavedView) -> Result<(), StoreError> {
        self.inner.lock().session(session)?.view = Some(view.clone());
        Ok(())
    }

    fn report(&self, session: &SessionId, what: Unreadable, why: &str) {
        let offset = match what {
            Unreadable::View => 0,
            Unreadable::Record(pos) => pos,
        };
        let damage = Damage {
            file: "memory".into(),
            offset,
            bytes: 0,
            sessions: vec![session.clone()],
            what: why.to_owned(),
            set_aside: None,
        };
        let mut inner = self.inner.lock();
        if !inner.reports.contains(&damage) {
            inner.reports.push(damage);
        }
    }

    fn head(&self, session: &SessionId) -> Option<Bytes> {
        self.inner.lock().session(session).ok()?.head.clone()
    }

    fn heads(&self, visit: &mut dyn FnMut(&SessionId, &[u8])) -> Result<(), StoreError> {
        let heads: Vec<_> = {
            let inner = self.inner.lock();
            let live = inner
                .sessions
                .iter()
                .filter(|(_, session)| !session.deleted);
            live.filter_map(|(id, session)| Some((id.clone(), session.head.clone()?)))
                .collect()
        };
        for (id, head) in &heads {
            visit(id, head);
        }
        Ok(())
    }

    fn delete(&self, session: &SessionId, _: Millis) -> Result<Appended, StoreError> {
        let mut inner = self.inner.lock();
        let known = inner.session(session)?;
        let first_seq = known.next_seq;
        let gone = std::mem::replace(
            known,
            Session {
                deleted: true,
                ..Session::default()
            },
        );
        for pos in gone.positions {
            inner.order.remove(&pos);
        }
        inner.newest += 1;
        Ok(Appended {
            first_pos: inner.newest,
            last_pos: inner.newest,
            first_seq,
        })
    }

    fn put(&self, table: &str, key: &str, value: &[u8], _: Millis) -> Result<(), StoreError> {
        let mut inner = self.inner.lock();
        inner.newest += 1;
        inner
            .tables
            .entry(table.into())
            .or_default()
            .insert(key.into(), Bytes::copy_from_slice(value));
        Ok(())
    }

    fn get(&self, table: &str, key: &str) -> Option<Bytes> {
        self.inner.lock().tables.get(table)?.get(key).cloned()
    }

    fn remove(&self, table: &str, key: &str, _: Millis) -> Result<(), StoreError> {
        let mut inner = self.inner.lock();
        if inner
            .tables
            .get_mut(table)
            .and_then(|values| values.remove(key))
            .is_some()
        {
            inner.newest += 1;
        }
        Ok(())
    }

    fn scan(&self, table: &str) -> Vec<(String, Bytes)> {
        let inner = self.inner.lock();
        let values = inner.tables.get(table).into_iter().flatten();
        values
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    fn put_blob(&self, body: &[u8]) -> Result<String, StoreError> {
        let name = blake3::hash(body).to_hex().to_string();
        self.inner
            .lock()
            .blobs
            .insert(name.clone(), Bytes::copy_from_slice(body));
        Ok(name)
    }

    fn get_blob(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        Ok(self.inner.lock().blobs.get(name).cloned())
    }

    fn damage(&self) -> Vec<Damage> {
        self.inner.lock().reports.clone()
    }

    fn stats(&self) -> StoreStats {
        let inner = self.inner.lock();
        let sessions = inner
            .sessions
            .values()
            .filter(|session| !session.deleted)
            .count() as u64;
        let log_bytes = inner
            .order
            .values()
            .map(|stored| stored.body.len() as u64)
            .sum();
        let blob_bytes = inner.blobs.values().map(|blob| blob.len() as u64).sum();
        StoreStats {
            log_bytes,
            segments: 0,
            index_bytes: 0,
            blob_bytes,
            sessions,
        }
    }
}
