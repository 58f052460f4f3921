//! The log: every session is a sequence of records, and all sessions share one order.
//!
//! A record's body is JSON that only the session crate understands. The store adds the place: `pos`, the daemon-wide
//! append position (increasing, never reused within an epoch), and `seq`, gapless per session from 0.
//!
//! **What callers may rely on**, so that other back-ends than one log on one disk can serve them later: the records of a
//! session have one order, that of their appends; `pos` rises along each session and names a place to go on reading from;
//! a store is a shard, whole in itself. Not to be relied on: that records of different sessions stand in the order of
//! their appends, and that an append is over before others begin. Only the journal appends, so that it can become
//! asynchronous behind it.
//!
//! **Formats.** Records and views carry a format number beside their body, so that a reader knows what it has before it
//! reads it: 0 is what was written before there were numbers. A view in a format that its reader does not know, or that
//! does not parse, costs nothing: [`Store::load_whole`] gives the records to fold it anew. A record that cannot be read
//! is a loss, and [`Store::report`] shows it to the user as any other damage.

use crate::BoxFuture;
use bytes::Bytes;
use kilo_protocol::{Fault, FaultKind, Millis, SessionId};
use std::path::PathBuf;

/// The daemon-wide append position. The first record has position 1; 0 means "before everything".
pub type Pos = u64;
/// A record's number within its session, from 0.
pub type Seq = u64;

/// Bytes of bodies after which one read of [`Store::after`] ends: many large records must not lie in memory at once for
/// each client that catches up.
pub const AFTER_BYTES: usize = 8 << 20;

/// What the store has to know of a record besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// Kept as long as its session.
    Plain,
    /// As `Plain`; its entry also carries the session's new head.
    Head,
    /// Superseded by a later record of the session before any view covers it (a text delta by the whole part, live output
    /// by the call's end): rewriting a segment may drop it once a view does, and only it. A fold of all other records
    /// must come to the same state, for a view can turn out unreadable.
    Transient,
}

/// One record to append.
#[derive(Clone, Debug)]
pub struct Entry {
    /// How long it must be kept.
    pub kind: RecordKind,
    /// The format of `body`; see the module.
    pub format: u16,
    /// The record's JSON.
    pub body: Bytes,
    /// The session's head as JSON; present exactly when `kind` is `Head`. Stored with the record (it must survive a
    /// rebuild of the index), answered by [`Store::head`].
    pub head: Option<Bytes>,
}

/// One stored record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its place in the daemon's order.
    pub pos: Pos,
    /// Its session.
    pub session: SessionId,
    /// Its number within the session.
    pub seq: Seq,
    /// When it was appended.
    pub at: Millis,
    /// The format of `body`.
    pub format: u16,
    /// The record's JSON.
    pub body: Bytes,
}

/// Where an append ended up: the entries have consecutive positions and numbers from these on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The first entry's position.
    pub first_pos: Pos,
    /// The last entry's position.
    pub last_pos: Pos,
    /// The first entry's number within the session.
    pub first_seq: Seq,
}

/// A folded view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedView {
    /// It folds all records up to and including this one.
    pub seq: Seq,
    /// The format of `body`.
    pub format: u16,
    /// The folded state's JSON.
    pub body: Bytes,
}

/// A session as the store has it: the newest folded view and the records after it.
#[derive(Clone, Debug, Default)]
pub struct SessionLog {
    /// The view; `None` when there is none or it is damaged.
    pub view: Option<SavedView>,
    /// The records after the view, in order; without a view all that are left. Numbers that are left out belong to
    /// transient records that were dropped, or to damage, which is reported.
    pub tail: Vec<Stored>,
    /// Bytes of `tail`'s bodies.
    pub tail_bytes: u64,
}

/// Something whose bytes are whole and that its reader does not understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The session's newest view.
    View,
    /// The record at a position.
    Record(Pos),
}

/// Something that was found broken. Shown to the user; never silent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// The first bad byte.
    pub offset: u64,
    /// How many bytes were set aside.
    pub bytes: u64,
    /// The sessions known to have lost records.
    pub sessions: Vec<SessionId>,
    /// What is wrong, for people.
    pub what: String,
    /// Where the bad bytes were put.
    pub set_aside: Option<PathBuf>,
}

/// Sizes for `kilo stats --disk` and tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Bytes of all segments.
    pub log_bytes: u64,
    /// Number of segments.
    pub segments: u64,
    /// Bytes of the index.
    pub index_bytes: u64,
    /// Bytes of the blobs.
    pub blob_bytes: u64,
    /// Sessions that are not deleted.
    pub sessions: u64,
}

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full. Nothing of the append is in the log.
    #[error("data folder is full")]
    Full {
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A write or a sync failed: the writer is closed for good and the daemon must restart.
    #[error("log writer failed")]
    Failed {
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A file of the log was removed, cut or replaced behind the store's back. Nothing of the append is in the log, and
    /// the writer is closed for good: what it wrote from then on would be lost.
    #[error("log file {file} was {what} while in use; nothing is stored until the next start")]
    Changed {
        /// The file.
        file: PathBuf,
        /// What happened to it, as in "it was …".
        what: &'static str,
    },
    /// The writer was closed by an earlier failure.
    #[error("log is closed after an earlier failure; nothing is stored until the next start")]
    Closed,
    /// Another daemon holds the folder.
    #[error("data folder {folder} is in use by process {pid} at {address}")]
    Locked {
        /// The folder.
        folder: PathBuf,
        /// The process that holds it.
        pid: u32,
        /// Where that process listens; empty when it said nothing.
        address: String,
    },
    /// The index or a segment could not be read.
    #[error("cannot read {what}")]
    Unreadable {
        /// What.
        what: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// No such session.
    #[error("session {0} does not exist")]
    NoSession(SessionId),
    /// The entry is over the limit.
    #[error("record of {bytes} bytes is over the limit of {limit}")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        match error {
            StoreError::Full { .. } => Fault::named(FaultKind::StorageFull, "StorageFull", message),
            StoreError::NoSession(id) => Fault::not_found("Session", id),
            StoreError::TooLarge { .. } => Fault::named(FaultKind::TooLarge, "TooLarge", message),
            _ => Fault::unavailable(message),
        }
    }
}

/// The log and what is derived from it.
///
/// All methods but [`Store::sync`] may block on the disk for as long as a `write` to the page cache takes; none waits
/// for a sync. `append` is called from one thread at a time per session, but from several threads at once.
pub trait Store: Send + Sync + 'static {
    /// Names this run of positions. It changes when acknowledged positions were lost (a torn tail), so that a client's
    /// old position is not taken for a new record.
    fn epoch(&self) -> u64;

    /// Appends the entries of one session in one write and returns their places (durability Process: survives
    /// SIGKILL). All or nothing. Whether it is on a disk is [`Store::sync`]'s to say, and only that: a caller that must
    /// know waits for it and never for the append to have been local.
    fn append(
        &self,
        session: &SessionId,
        at: Millis,
        entries: &[Entry],
    ) -> Result<Appended, StoreError>;

    /// Waits until everything up to `pos` is on the disk (durability Disk: survives power loss). Group commit: many
    /// waiters share one sync.
    fn sync(&self, pos: Pos) -> BoxFuture<'static, Result<(), StoreError>>;

    /// The position of the newest record; 0 when there is none.
    fn newest(&self) -> Pos;

    /// Reads a session: its newest view and what came after it. `NoSession` when unknown or deleted.
    fn load(&self, session: &SessionId) -> Result<SessionLog, StoreError>;

    /// Reads a session without its view: all of its records that are left, from the first on. For when the view cannot
    /// be read. Transient records that a view covers may be gone, which changes nothing (see [`RecordKind::Transient`]).
    fn load_whole(&self, session: &SessionId) -> Result<SessionLog, StoreError>;

    /// Reads up to `records_max` records after `pos`, in order of position, deleted sessions left out. Never more than
    /// [`AFTER_BYTES`] and the record that reaches them: only an empty answer says that nothing is left.
    fn after(&self, pos: Pos, records_max: usize) -> Result<Vec<Stored>, StoreError>;

    /// Keeps a folded view in place of the one before.
    fn save_view(&self, session: &SessionId, view: &SavedView) -> Result<(), StoreError>;

    /// Takes a report of something that cannot be understood, once: it is set aside and shown as [`Store::damage`] until
    /// the user has read it. `why` is for people, lowercase, without the session's content.
    fn report(&self, session: &SessionId, what: Unreadable, why: &str);

    /// The newest head of a session.
    fn head(&self, session: &SessionId) -> Option<Bytes>;

    /// The newest heads of these sessions, in their order; `None` for one that is gone or cannot be read. For lists: heads
    /// that lie close together may be read at once.
    fn heads_of(&self, sessions: &[SessionId]) -> Vec<Option<Bytes>> {
        sessions.iter().map(|session| self.head(session)).collect()
    }

    /// Calls `visit` with each session's newest head, in order of session id.
    fn heads(&self, visit: &mut dyn FnMut(&SessionId, &[u8])) -> Result<(), StoreError>;

    /// Deletes a session: a tombstone in the log; its records go when their segments are rewritten.
    fn delete(&self, session: &SessionId, at: Millis) -> Result<Appended, StoreError>;

    /// Keeps a small value under `table` and `key`. Logged: it survives a rebuild of the index.
    fn put(&self, table: &str, key: &str, value: &[u8], at: Millis) -> Result<(), StoreError>;

    /// Reads a small value.
    fn get(&self, table: &str, key: &str) -> Option<Bytes>;

    /// Removes a small value. Logged.
    fn remove(&self, table: &str, key: &str, at: Millis) -> Result<(), StoreError>;

    /// All keys and values of a table, in order of key.
    fn scan(&self, table: &str) -> Vec<(String, Bytes)>;

    /// Keeps a large value by its content and returns its name (lowercase hex of its BLAKE3 hash).
    fn put_blob(&self, body: &[u8]) -> Result<String, StoreError>;

    /// Reads a large value.
    fn get_blob(&self, name: &str) -> Result<Option<Bytes>, StoreError>;

    /// What was found broken and nobody has acknowledged.
    fn damage(&self) -> Vec<Damage>;

    /// Sizes.
    fn stats(&self) -> StoreStats;
}
