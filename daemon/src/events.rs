//! Event streams: from the log where a client was away, from the ring while it is here, without a gap between.

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream, StreamExt};
use kilo_edge::sse;
use kilo_ports::store::StoreError;
use kilo_protocol::Frame;
use kilo_protocol::event::{Event, Greeting, Nothing, Resync};
use kilo_runtime::{Received, Subscription, limits};
use kilo_session::Engine;
use kilo_session::catch_up::CatchUp;
use serde_json::json;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::{Instant, Interval, interval_at};

/// Pause between two heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Bytes of frames that are read from the log at a time.
const CATCH_UP_BYTES: usize = 1 << 20;
/// Bytes of frames that leave in one piece.
const PIECE_BYTES: usize = 64 << 10;
/// An event of so many bytes is not copied into a piece: it is one, and shared by all who follow.
const SHARED_BYTES: usize = 16 << 10;

/// Which events a stream shows.
#[derive(Clone, Debug)]
pub enum Scope {
    /// Those of one directory, bare.
    Directory(String),
    /// All, each wrapped with its directory and project.
    Global,
}

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Frames of an event stream, several in one piece.
    EventStream,
    /// Messages of a socket, one by one: `{"type":"event","pos"?,"directory"?,"project"?,"event"}`.
    Socket,
}

/// One client's stream.
pub struct Follower {
    engine: Arc<Engine>,
    handle: Handle,
    framing: Arc<Framing>,
    subscription: Subscription,
    /// Everything up to here was sent.
    sent: u64,
    /// Records between `sent` and here are to be read from the log.
    behind: Option<u64>,
    /// The reading of them that is under way.
    reading: Option<CatchUp>,
    ready: Pieces,
    heartbeat: Interval,
    ended: bool,
    /// False until a client that came back was told whether it goes on.
    is_greeted: bool,
    /// The folder is watched as long as the client follows.
    watched: Option<kilo_watch::Held>,
}

impl Follower {
    /// A stream that begins now, or after the position that the client names in `Last-Event-ID`.
    pub fn new(
        engine: Arc<Engine>,
        handle: Handle,
        scope: Scope,
        form: Form,
        last_event_id: Option<&str>,
    ) -> Self {
        let (subscription, newest) = engine.core().ledger.journal().subscribe();
        let epoch = format!("{:x}", engine.core().ledger.store().epoch());
        let known = last_event_id.map(|id| position(id, &epoch, newest));
        let mut follower = Self {
            engine,
            handle,
            framing: Arc::new(Framing { scope, form, epoch }),
            subscription,
            sent: newest,
            behind: None,
            reading: None,
            ready: Pieces::default(),
            heartbeat: interval_at(Instant::now() + HEARTBEAT, HEARTBEAT),
            ended: false,
            is_greeted: true,
            watched: None,
        };
        match known {
            None => follower.announce(&Event::Connected(Greeting::default())),
            // Whether it goes on there is known, and said, once the log was read.
            Some(Some(position)) => {
                follower.sent = position;
                follower.behind = Some(newest);
                follower.is_greeted = false;
            }
            Some(None) => {
                follower.is_greeted = false;
                follower.lost(newest, "the position is unknown here");
            }
        }
        follower
    }

    /// Keeps a folder watched as long as this stream is open.
    pub fn watching(mut self, held: Option<kilo_watch::Held>) -> Self {
        self.watched = held;
        self
    }

    /// Tells a client that came back with a position whether it goes on there; the reference's clients never ask.
    fn greet(&mut self, resumed: bool) {
        if !std::mem::replace(&mut self.is_greeted, true) {
            let resumed = Some(resumed);
            self.announce(&Event::Connected(Greeting { resumed }));
        }
    }

    /// Queues an event of the stream's own.
    fn announce(&mut self, event: &Event<'_>) {
        let now = kilo_ports::clock::Clock::now(&kilo_ports::clock::SystemClock);
        let mut json = Vec::with_capacity(256);
        event.write(&self.engine.core().ledger.ids().event(now), &mut json);
        self.framing.write_own(&json, &mut self.ready);
    }

    /// The frames as a body.
    pub fn into_stream(self) -> BoxStream<'static, Bytes> {
        stream::unfold(self, |mut follower| async move {
            let piece = follower.next().await?;
            Some((piece, follower))
        })
        .boxed()
    }

    /// The next piece; `None` when the stream ends.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(piece) = self.ready.take() {
                return Some(piece);
            }
            if self.ended {
                return None;
            }
            if let Some(target) = self.behind {
                self.catch_up(target).await;
                continue;
            }
            tokio::select! {
                biased;
                received = self.subscription.next() => self.take(received),
                _ = self.heartbeat.tick() => self.announce(&Event::Heartbeat(Nothing {})),
            }
            // What else is there already leaves in the same piece.
            while self.ready.bytes < PIECE_BYTES && !self.ended && self.behind.is_none() {
                let Some(received) = self.subscription.try_next() else {
                    break;
                };
                self.take(received);
            }
        }
    }

    fn take(&mut self, received: Received) {
        match received {
            Received::Frame(frame) => self.show(&frame),
            Received::Lagged(_) => {
                // The ring has gone on: join it anew and read what was missed from the log.
                let (subscription, newest) = self.engine.core().ledger.journal().subscribe();
                self.subscription = subscription;
                self.behind = Some(newest);
            }
            Received::Closed => self.ended = true,
        }
    }

    fn show(&mut self, frame: &Frame) {
        if frame.pos.is_some_and(|pos| pos <= self.sent) {
            return;
        }
        if let Some(pos) = frame.pos {
            self.sent = pos;
        }
        self.framing.write(frame, &mut self.ready);
        if frame.last
            && let Scope::Directory(directory) = &self.framing.scope
            && frame.directory.as_deref() == Some(directory.as_str())
        {
            self.ended = true;
        }
    }

    /// Reads the next records up to `target` from the log; their frames are made on the pool.
    async fn catch_up(&mut self, target: u64) {
        let (engine, after) = (Arc::clone(&self.engine), self.sent);
        let framing = Arc::clone(&self.framing);
        let mut reading = match self.reading.take() {
            Some(reading) => reading,
            None => engine.queries().catch_up(),
        };
        let read = self
            .handle
            .spawn_blocking(move || {
                let missed = missed(&engine, &mut reading, &framing, after, target)?;
                Ok::<_, StoreError>(missed.map(|missed| (missed, reading)))
            })
            .await;
        match read {
            Ok(Ok(Some((missed, reading)))) => {
                self.greet(true);
                self.ready.append(missed.pieces);
                self.sent = missed.up_to;
                match self.sent >= target {
                    true => self.behind = None,
                    false => self.reading = Some(reading),
                }
            }
            // What is missing cannot be shown any more. Whoever goes on without it has to know.
            Ok(Ok(None)) => self.lost(target, "part of what was missed is not in the log any more"),
            Ok(Err(error)) => {
                tracing::error!(%error, "a stream cannot go on where its client was");
                self.lost(target, "what was missed cannot be read");
            }
            Err(_) => self.lost(target, "what was missed cannot be read"),
        }
    }

    /// Goes on with what comes from now on, and says so.
    fn lost(&mut self, target: u64, why: &str) {
        self.greet(false);
        self.behind = None;
        self.sent = self.sent.max(target);
        let reason = format!("{why}, read everything again").into();
        self.announce(&Event::Resync(Resync { reason }));
    }
}

/// Frames of the log.
struct Missed {
    pieces: Pieces,
    /// The position of the last record that was looked at.
    up_to: u64,
}

/// Reads what lies behind `after`, [`CATCH_UP_BYTES`] or a little more of it, up to `target`; none if nothing is there.
fn missed(
    engine: &Engine,
    reading: &mut CatchUp,
    framing: &Framing,
    after: u64,
    target: u64,
) -> Result<Option<Missed>, StoreError> {
    let mut missed = Missed {
        pieces: Pieces::default(),
        up_to: after,
    };
    if after >= target {
        return Ok(Some(missed));
    }
    let records = engine
        .core()
        .ledger
        .store()
        .after(after, limits::CATCH_UP_RECORDS)?;
    if records.is_empty() {
        return Ok(None);
    }
    for record in records {
        if record.pos > target {
            missed.up_to = target;
            break;
        }
        let shown = match reading.parse(&record) {
            Some(logged) => reading.frames(&record, &logged)?,
            None => Vec::new(),
        };
        for frame in shown {
            framing.write(&frame, &mut missed.pieces);
        }
        missed.up_to = record.pos;
        if missed.pieces.bytes >= CATCH_UP_BYTES {
            break;
        }
    }
    Ok(Some(missed))
}

/// What is to be sent.
#[derive(Default)]
struct Pieces {
    whole: VecDeque<Bytes>,
    /// The last one, to which more is written.
    open: BytesMut,
    /// Of all together.
    bytes: usize,
}

impl Pieces {
    /// Adds text.
    fn put(&mut self, text: &[u8]) {
        self.bytes += text.len();
        if self.open.capacity() - self.open.len() < text.len() {
            // Events come in bursts: growing by twice would copy each byte once more.
            let room = (self.open.len() * 3).min(PIECE_BYTES);
            self.open.reserve(text.len().max(room));
        }
        self.open.extend_from_slice(text);
    }

    /// Adds text that others may hold too.
    fn share(&mut self, text: &Bytes) {
        if text.len() < SHARED_BYTES {
            return self.put(text);
        }
        self.end_piece();
        self.bytes += text.len();
        self.whole.push_back(text.clone());
    }

    /// What comes next begins a piece of its own.
    fn end_piece(&mut self) {
        if !self.open.is_empty() {
            self.whole.push_back(self.open.split().freeze());
        }
    }

    fn end_full_piece(&mut self) {
        if self.open.len() >= PIECE_BYTES {
            self.end_piece();
        }
    }

    fn append(&mut self, mut other: Self) {
        other.end_piece();
        self.end_piece();
        self.bytes += other.bytes;
        self.whole.append(&mut other.whole);
    }

    /// The next piece.
    fn take(&mut self) -> Option<Bytes> {
        let piece = match self.whole.pop_front() {
            Some(piece) => piece,
            None if self.open.is_empty() => return None,
            // Its room goes with it: a client that is quiet now holds none.
            None => std::mem::take(&mut self.open).freeze(),
        };
        self.bytes -= piece.len();
        Some(piece)
    }
}

impl std::fmt::Write for Pieces {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.put(text.as_bytes());
        Ok(())
    }
}

/// How one client's stream is written.
struct Framing {
    scope: Scope,
    form: Form,
    epoch: String,
}

impl Framing {
    fn shows(&self, frame: &Frame) -> bool {
        match (&self.scope, frame.directory.as_deref()) {
            (Scope::Directory(directory), Some(place)) => place == directory,
            _ => true,
        }
    }

    /// Writes a frame of the log or the ring, if this stream shows it.
    fn write(&self, frame: &Frame, out: &mut Pieces) {
        if !self.shows(frame) {
            return;
        }
        match self.form {
            Form::Socket => self.message(Some(frame), &frame.json, out),
            Form::EventStream => {
                if let Some(pos) = frame.pos {
                    // Writing to memory does not fail.
                    let _ = writeln!(out, "id: {}-{pos}", self.epoch);
                }
                out.put(b"data: ");
                match &self.scope {
                    Scope::Directory(_) => out.share(&frame.json),
                    Scope::Global => {
                        out.put(b"{\"directory\":");
                        quote(frame.directory.as_deref().unwrap_or("global"), out);
                        if let Some(project) = &frame.project {
                            out.put(b",\"project\":");
                            quote(project, out);
                        }
                        out.put(b",\"payload\":");
                        out.share(&frame.json);
                        out.put(b"}");
                    }
                }
                out.put(b"\n\n");
                out.end_full_piece();
            }
        }
    }

    /// Writes an event of the stream's own.
    fn write_own(&self, event: &[u8], out: &mut Pieces) {
        match (self.form, &self.scope) {
            (Form::Socket, _) => self.message(None, event, out),
            (Form::EventStream, Scope::Directory(_)) => out.put(&sse::frame(None, event)),
            (Form::EventStream, Scope::Global) => {
                out.put(&sse::wrapped(br#"{"payload":"#, event, b"}"));
            }
        }
    }

    /// Writes an event as a message of a socket: a piece of its own.
    fn message(&self, frame: Option<&Frame>, event: &[u8], out: &mut Pieces) {
        out.end_piece();
        out.put(br#"{"type":"event","#);
        if let Some(pos) = frame.and_then(|frame| frame.pos) {
            let _ = write!(out, "\"pos\":\"{}-{pos}\",", self.epoch);
        }
        if let Some(directory) = frame.and_then(|frame| frame.directory.as_deref()) {
            out.put(b"\"directory\":");
            quote(directory, out);
            out.put(b",");
        }
        if let Some(project) = frame.and_then(|frame| frame.project.as_deref()) {
            out.put(b"\"project\":");
            quote(project, out);
            out.put(b",");
        }
        out.put(b"\"event\":");
        out.put(event);
        out.put(b"}");
        out.end_piece();
    }
}

/// Writes a text as JSON.
fn quote(text: &str, out: &mut Pieces) {
    let is_plain = |byte: &u8| !byte.is_ascii_control() && !matches!(byte, b'"' | b'\\');
    match text.as_bytes().iter().all(is_plain) {
        true => {
            out.put(b"\"");
            out.put(text.as_bytes());
            out.put(b"\"");
        }
        false => out.put(json!(text).to_string().as_bytes()),
    }
}

/// The position that an id names; none if it is of another log, or from the future.
fn position(id: &str, epoch: &str, newest: u64) -> Option<u64> {
    let (of, position) = id.rsplit_once('-')?;
    let position = position.parse().ok()?;
    (of == epoch && position <= newest).then_some(position)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(form: Form, scope: Scope) -> Framing {
        Framing {
            scope,
            form,
            epoch: "e".into(),
        }
    }

    fn frame(json: impl Into<Bytes>) -> Frame {
        Frame {
            pos: Some(7),
            directory: Some("/a\"b".into()),
            project: None,
            json: json.into(),
            last: false,
        }
    }

    fn taken(pieces: &mut Pieces) -> Vec<Bytes> {
        std::iter::from_fn(|| pieces.take()).collect()
    }

    #[test]
    fn small_events_leave_together_and_messages_one_by_one() {
        let mut pieces = Pieces::default();
        let stream = framing(Form::EventStream, Scope::Global);
        stream.write(&frame("1"), &mut pieces);
        stream.write_own(b"2", &mut pieces);
        let first = "id: e-7\ndata: {\"directory\":\"/a\\\"b\",\"payload\":1}\n\n";
        let all = format!("{first}data: {{\"payload\":2}}\n\n");
        assert_eq!(pieces.bytes, all.len());
        assert_eq!(taken(&mut pieces), [all]);
        let socket = framing(Form::Socket, Scope::Directory("/c".into()));
        socket.write(&frame("1"), &mut pieces);
        assert!(taken(&mut pieces).is_empty(), "of another folder");
        let socket = framing(Form::Socket, Scope::Global);
        socket.write(&frame("1"), &mut pieces);
        socket.write_own(b"2", &mut pieces);
        let directory = r#""directory":"/a\"b""#;
        let first = format!(r#"{{"type":"event","pos":"e-7",{directory},"event":1}}"#);
        assert_eq!(
            taken(&mut pieces),
            [first.as_str(), r#"{"type":"event","event":2}"#]
        );
        assert_eq!(pieces.bytes, 0);
    }

    /// Each of many clients would hold a copy of its own as long as it does not read.
    #[test]
    fn a_large_event_is_shared_by_all_who_follow() {
        let large = Bytes::from(vec![b'x'; SHARED_BYTES]);
        let mut pieces = Pieces::default();
        framing(Form::EventStream, Scope::Directory("/a\"b".into()))
            .write(&frame(large.clone()), &mut pieces);
        let taken = taken(&mut pieces);
        assert_eq!(taken.len(), 3);
        assert_eq!(taken[1].as_ptr(), large.as_ptr());
        assert_eq!(
            (&taken[0][..], &taken[2][..]),
            (&b"id: e-7\ndata: "[..], &b"\n\n"[..])
        );
    }
}
