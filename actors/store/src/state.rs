//! What an append changes: the open segment, positions, and the part of the index that sled has not been told yet.
//!
//! All of it stands under one short lock. An append and a replay change it by the same `fold_*` functions.

use crate::disk::Disk;
use crate::index::{Change, Index, segment_key, session_key, small_key};
use crate::meta::{Mark, SegmentInfo, SessionMeta, Small};
use crate::segment::Segment;
use bytes::Bytes;
use kilo_ports::store::{Pos, StoreError};
use kilo_protocol::SessionId;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Session entries kept in memory after a checkpoint.
const SESSIONS_KEPT_MAX: usize = 4_096;

/// A segment and its figures.
pub(crate) struct Slot {
    pub(crate) segment: Arc<Segment>,
    pub(crate) info: SegmentInfo,
    pub(crate) dirty: bool,
}

/// A session's entry in memory.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) meta: SessionMeta,
    pub(crate) dirty: bool,
}

/// Small values by index key; `None` is a removed one.
pub(crate) type SmallChanges = BTreeMap<Vec<u8>, Option<Small>>;

/// See the module.
pub(crate) struct State {
    pub(crate) index: Arc<Index>,
    pub(crate) log: PathBuf,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) segment_bytes: u64,
    pub(crate) slots: BTreeMap<u32, Slot>,
    /// The segment that takes appends; the next append makes one when there is none.
    pub(crate) active: Option<u32>,
    /// The highest number that was ever used, even if its file is lost.
    pub(crate) number_max: u32,
    pub(crate) newest: Pos,
    pub(crate) live_sessions: u64,
    pub(crate) sessions: HashMap<SessionId, Known>,
    pub(crate) small: SmallChanges,
    /// Being written to sled right now.
    small_leaving: Arc<SmallChanges>,
    /// Segments with bytes that no sync has covered, besides the active one.
    pub(crate) unsynced: Vec<Arc<Segment>>,
    pub(crate) unsynced_names: bool,
    /// Bytes since the last checkpoint.
    pub(crate) fresh_bytes: u64,
    pub(crate) changed: bool,
    /// A segment got its first record since somebody last took this note.
    pub(crate) begun: bool,
    pub(crate) closed: bool,
    pub(crate) index_failed: bool,
    pub(crate) buffer: Vec<u8>,
}

/// How far the log reaches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    /// The last segment, and its bytes up to the end of its last record.
    pub(crate) segment: u32,
    pub(crate) bytes: u64,
    pub(crate) newest: Pos,
}

/// What a checkpoint takes out of the state.
pub(crate) struct Checkpoint {
    pub(crate) changes: Vec<Change>,
    pub(crate) mark: Mark,
}

impl State {
    pub(crate) fn new(
        index: Arc<Index>,
        log: PathBuf,
        segment_bytes: u64,
        disk: Arc<dyn Disk>,
    ) -> Self {
        Self {
            index,
            log,
            disk,
            segment_bytes,
            slots: BTreeMap::new(),
            active: None,
            number_max: 0,
            newest: 0,
            live_sessions: 0,
            sessions: HashMap::new(),
            small: BTreeMap::new(),
            small_leaving: Arc::default(),
            unsynced: Vec::new(),
            unsynced_names: false,
            fresh_bytes: 0,
            changed: false,
            begun: false,
            closed: false,
            index_failed: false,
            buffer: Vec::new(),
        }
    }

    /// Forgets all that was derived from the log and goes on with `index`, which is empty.
    pub(crate) fn start_over(&mut self, index: Arc<Index>) {
        self.index = index;
        self.index_failed = false;
        self.live_sessions = 0;
        self.sessions.clear();
        self.small.clear();
        self.small_leaving = Arc::default();
        // What is dead, and the steps into the segment, are counted anew by the replay.
        for slot in self.slots.values_mut() {
            slot.info.dead = 0;
            slot.info.points.clear();
            slot.dirty = true;
        }
    }

    fn index_get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.index.get(key).map_err(|error| {
            // Whoever holds the lock next makes the index anew (`Shared::with`); here it would be made under a reader.
            self.index_failed = true;
            StoreError::Unreadable {
                what: "index".into(),
                source: io::Error::other(error),
            }
        })
    }

    /// A session's entry; an empty one when it was never seen.
    pub(crate) fn known(&mut self, id: &SessionId) -> Result<&mut Known, StoreError> {
        if !self.sessions.contains_key(id) {
            let stored = self.index_get(&session_key(id.as_str()))?;
            let meta = stored
                .map(|bytes| SessionMeta::decode(&bytes))
                .unwrap_or_default();
            self.sessions
                .insert(id.clone(), Known { meta, dirty: false });
        }
        Ok(self.sessions.entry(id.clone()).or_default())
    }

    /// Where the session's last record begins, if it has one in that segment; its entry is in memory.
    pub(crate) fn last_in(&self, id: &SessionId, segment: u32) -> Option<u32> {
        let chain = self.sessions.get(id)?.meta.chains.last()?;
        (chain.segment == segment).then_some(chain.last)
    }

    /// The entry of a session that exists.
    pub(crate) fn existing(&mut self, id: &SessionId) -> Result<&SessionMeta, StoreError> {
        let known = self.known(id)?;
        if known.meta.exists() {
            Ok(&known.meta)
        } else {
            Err(StoreError::NoSession(id.clone()))
        }
    }

    /// Shows the ids and entries of all sessions that exist, in no order.
    pub(crate) fn each_session(
        &mut self,
        visit: &mut dyn FnMut(&SessionId, &SessionMeta),
    ) -> Result<(), StoreError> {
        let in_memory = &self.sessions;
        let walked = self.index.each(b"s", &mut |key, value| {
            let id = SessionId::from_wire(String::from_utf8_lossy(&key[1..]));
            let meta = SessionMeta::decode(value);
            // What is in memory is newer than what sled has.
            if meta.exists() && !in_memory.contains_key(&id) {
                visit(&id, &meta);
            }
        });
        if let Err(error) = walked {
            self.index_failed = true;
            return Err(StoreError::Unreadable {
                what: "index".into(),
                source: io::Error::other(error),
            });
        }
        for (id, known) in self
            .sessions
            .iter()
            .filter(|(_, known)| known.meta.exists())
        {
            visit(id, &known.meta);
        }
        Ok(())
    }

    /// A small value.
    pub(crate) fn small(&mut self, key: &[u8]) -> Result<Option<Small>, StoreError> {
        // Three layers, newest first: changes since the last checkpoint, those on their way to sled, sled.
        if let Some(fresh) = self.small.get(key).or_else(|| self.small_leaving.get(key)) {
            return Ok(fresh.clone());
        }
        Ok(self.index_get(key)?.map(|bytes| Small::decode(&bytes)))
    }

    /// All small values of a table, by key.
    pub(crate) fn table(&mut self, table: &str) -> Result<BTreeMap<String, Bytes>, StoreError> {
        let prefix = small_key(table, "");
        let name = |key: &[u8]| String::from_utf8_lossy(&key[prefix.len()..]).into_owned();
        let mut all = BTreeMap::new();
        let walked = self.index.each(&prefix, &mut |key, value| {
            all.insert(name(key), Small::decode(value).value);
        });
        if let Err(error) = walked {
            self.index_failed = true;
            return Err(StoreError::Unreadable {
                what: "index".into(),
                source: io::Error::other(error),
            });
        }
        // Oldest first, so that a later removal takes out what an earlier layer put in.
        for layer in [&*self.small_leaving, &self.small] {
            for (key, value) in layer
                .range(prefix.clone()..)
                .take_while(|(key, _)| key.starts_with(&prefix))
            {
                match value {
                    Some(value) => all.insert(name(key), value.value.clone()),
                    None => all.remove(&name(key)),
                };
            }
        }
        Ok(all)
    }

    /// Takes the changes since the last checkpoint. They stay visible here until [`State::checkpointed`].
    pub(crate) fn checkpoint(&mut self) -> Checkpoint {
        let mut changes = Vec::new();
        for (id, known) in self.sessions.iter_mut().filter(|(_, known)| known.dirty) {
            known.dirty = false;
            changes.push((session_key(id.as_str()), Some(known.meta.encode())));
        }
        // Shared and not moved: readers must find them while sled, outside the lock, takes its time.
        self.small_leaving = Arc::new(std::mem::take(&mut self.small));
        for (key, value) in self.small_leaving.iter() {
            changes.push((key.clone(), value.as_ref().map(Small::encode)));
        }
        for (number, slot) in self.slots.iter_mut().filter(|(_, slot)| slot.dirty) {
            slot.dirty = false;
            changes.push((segment_key(*number), Some(slot.info.encode())));
        }
        let end = self.end();
        self.changed = false;
        self.fresh_bytes = 0;
        let mark = Mark {
            segment: end.segment,
            offset: end.bytes,
            newest: end.newest,
            live_sessions: self.live_sessions,
            sum: 0,
        };
        Checkpoint { changes, mark }
    }

    /// The checkpoint's changes are in the index.
    pub(crate) fn checkpointed(&mut self) {
        self.small_leaving = Arc::default();
        // Only what sled has by now may go; the rest would be lost with it.
        if self.sessions.len() > SESSIONS_KEPT_MAX {
            self.sessions.retain(|_, known| known.dirty);
            self.sessions.shrink_to(SESSIONS_KEPT_MAX);
        }
    }

    /// Whether a long replay should write to the index what it has.
    pub(crate) fn is_crowded(&self) -> bool {
        self.sessions.len() + self.small.len() > 2 * SESSIONS_KEPT_MAX
    }

    /// Where the log ends.
    pub(crate) fn end(&self) -> End {
        let last = self.slots.last_key_value();
        let (segment, bytes) = last.map_or((0, 0), |(number, slot)| (*number, slot.info.len));
        End {
            segment,
            bytes,
            newest: self.newest,
        }
    }

    /// Marks a session's entry as changed outside a fold (a rewriting moved its records).
    pub(crate) fn change(
        &mut self,
        id: &SessionId,
        edit: impl FnOnce(&mut SessionMeta),
    ) -> Result<(), StoreError> {
        let known = self.known(id)?;
        edit(&mut known.meta);
        known.dirty = true;
        self.changed = true;
        Ok(())
    }
}
