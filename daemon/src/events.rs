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
    ready: VecDeque<Bytes>,
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
            ready: VecDeque::new(),
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
        let framed = match (self.framing.form, &self.framing.scope) {
            (Form::Socket, _) => message(None, None, &json),
            (Form::EventStream, Scope::Directory(_)) => sse::frame(None, &json),
            (Form::EventStream, Scope::Global) => sse::wrapped(br#"{"payload":"#, &json, b"}"),
        };
        self.ready.push_back(framed);
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
            if let Some(piece) = self.take_ready() {
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
            let mut bytes = 0;
            while bytes < PIECE_BYTES && !self.ended && self.behind.is_none() {
                let Some(received) = self.subscription.try_next() else {
                    break;
                };
                self.take(received);
                bytes = self.ready.iter().map(Bytes::len).sum();
            }
        }
    }

    fn take_ready(&mut self) -> Option<Bytes> {
        let first = self.ready.pop_front()?;
        if self.ready.is_empty() || self.framing.form == Form::Socket {
            return Some(first);
        }
        let mut piece =
            BytesMut::with_capacity(PIECE_BYTES.min(first.len() * (self.ready.len() + 1)));
        piece.extend_from_slice(&first);
        while piece.len() < PIECE_BYTES {
            let Some(more) = self.ready.pop_front() else {
                break;
            };
            piece.extend_from_slice(&more);
        }
        Some(piece.freeze())
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
        if let Some(framed) = self.framing.framed(frame) {
            self.ready.push_back(framed);
        }
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
                self.ready.extend(missed.frames);
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
    frames: Vec<Bytes>,
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
        frames: Vec::new(),
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
    let mut bytes = 0;
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
            if let Some(framed) = framing.framed(&frame) {
                bytes += framed.len();
                missed.frames.push(framed);
            }
        }
        missed.up_to = record.pos;
        if bytes >= CATCH_UP_BYTES {
            break;
        }
    }
    Ok(Some(missed))
}

/// How one client's stream is written.
struct Framing {
    scope: Scope,
    form: Form,
    epoch: String,
}

impl Framing {
    fn framed(&self, frame: &Frame) -> Option<Bytes> {
        let id = frame.pos.map(|pos| format!("{}-{pos}", self.epoch));
        if self.form == Form::Socket {
            let shown = match &self.scope {
                Scope::Directory(directory) => frame
                    .directory
                    .as_deref()
                    .is_none_or(|place| place == directory),
                Scope::Global => true,
            };
            return shown.then(|| message(id.as_deref(), Some(frame), &frame.json));
        }
        match &self.scope {
            Scope::Directory(directory) => {
                let shown = frame
                    .directory
                    .as_deref()
                    .is_none_or(|place| place == directory);
                shown.then(|| sse::frame(id.as_deref(), &frame.json))
            }
            Scope::Global => {
                let directory = frame.directory.as_deref().unwrap_or("global");
                let mut head = format!("{{\"directory\":{},", json!(directory));
                if let Some(project) = &frame.project {
                    head.push_str(&format!("\"project\":{},", json!(project)));
                }
                head.push_str("\"payload\":");
                Some(sse::wrapped_at(
                    id.as_deref(),
                    head.as_bytes(),
                    &frame.json,
                    b"}",
                ))
            }
        }
    }
}

/// The position that an id names; none if it is of another log, or from the future.
fn position(id: &str, epoch: &str, newest: u64) -> Option<u64> {
    let (of, position) = id.rsplit_once('-')?;
    let position = position.parse().ok()?;
    (of == epoch && position <= newest).then_some(position)
}

/// An event as a message of a socket.
fn message(pos: Option<&str>, frame: Option<&Frame>, event: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(event.len() + 160);
    out.extend_from_slice(br#"{"type":"event","#);
    if let Some(pos) = pos {
        out.extend_from_slice(format!("\"pos\":\"{pos}\",").as_bytes());
    }
    if let Some(directory) = frame.and_then(|frame| frame.directory.as_deref()) {
        out.extend_from_slice(format!("\"directory\":{},", json!(directory)).as_bytes());
    }
    if let Some(project) = frame.and_then(|frame| frame.project.as_deref()) {
        out.extend_from_slice(format!("\"project\":{},", json!(project)).as_bytes());
    }
    out.extend_from_slice(b"\"event\":");
    out.extend_from_slice(event);
    out.extend_from_slice(b"}");
    out.freeze()
}
