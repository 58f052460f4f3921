//! Reads one answer from the socket: bytes to events to chunks, with a watch on the time.

use crate::adapters::{Batch, Decoder};
use crate::errors;
use bytes::Bytes;
use futures_util::FutureExt;
use kilo_ports::provider::{
    BATCHES_MAX, ChunkBatch, ErrorClass, ModelInfo, Protocol, ProviderError,
};
use kilo_sse::TooLarge;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

/// Once the answer is complete, what still comes (usage, the end mark) may take this many milliseconds.
const TAIL_MS: u64 = 5_000;

/// The end of a body may take this many milliseconds after the end mark.
const DRAIN_MS: u64 = 1_000;

/// The most bytes behind the end mark that are read for the sake of the connection.
const DRAIN_BYTES_MAX: usize = 64 * 1024;

/// How many of the longest silences may pass with signs of life but without an event: a server that sends nothing but
/// pings has forgotten the call.
const SILENCES_MAX: u64 = 5;

/// The most bytes that make one batch: what lies ready is read at once, up to here.
const BATCH_BYTES_MAX: usize = 256 * 1024;

/// The most bytes that one event, or an answer that is no stream, may have.
const EVENT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The most bytes of a body without events that are kept, in case that it is a sentence.
const BEGIN_BYTES_MAX: usize = 2 * 1024;

/// The most pieces that are joined for a caller who is behind.
const PIECES_MAX: usize = 64;

/// How the body is built, seen from its first byte.
enum Form {
    Unknown,
    Events(kilo_sse::Decoder),
    /// A server that does not stream: one JSON document.
    Whole(Vec<u8>),
}

/// An answer on its way in.
pub(crate) struct Answer {
    response: reqwest::Response,
    decoder: Decoder,
    form: Form,
    batch: Batch,
    first_byte: Instant,
    first_byte_ms: u64,
    gap_ms: u64,
    /// A byte has come.
    begun: bool,
    /// An event has come.
    spoken: bool,
    /// When the last event came; at first, when the answer began.
    heard: Instant,
    /// The first bytes, as long as no event has come.
    begin: Vec<u8>,
}

/// What one read gave.
enum Read {
    Bytes(Bytes),
    End,
    Broken,
}

impl Answer {
    pub fn new(
        response: reqwest::Response,
        protocol: Protocol,
        first_byte: Instant,
        model: &ModelInfo,
    ) -> Self {
        Self {
            response,
            decoder: Decoder::new(protocol),
            form: Form::Unknown,
            batch: Batch::default(),
            first_byte,
            first_byte_ms: model.first_byte_ms,
            gap_ms: model.gap_ms,
            begun: false,
            spoken: false,
            heard: Instant::now(),
            begin: Vec::new(),
        }
    }

    /// Hands on the answer until its end; what came before an error is handed on before it.
    pub async fn pump(
        mut self,
        batches: &mpsc::Sender<ChunkBatch>,
    ) -> Result<reqwest::Response, ProviderError> {
        loop {
            let read = match self.read().await {
                Ok(read) => read,
                // The answer is there; an end mark that never comes must not turn it into an error.
                Err(_) if self.decoder.is_complete() => Read::End,
                Err(error) => return Err(error),
            };
            let mut outcome = self.take(read);
            if matches!(outcome, Ok(false)) && batches.capacity() < BATCHES_MAX {
                outcome = self.take_more().await;
            }
            if !self.batch.is_empty() {
                self.heard = Instant::now();
            }
            if !self.batch.is_empty() && batches.send(Ok(self.batch.take())).await.is_err() {
                return Ok(self.response); // nobody listens any more
            }
            if outcome? {
                return Ok(self.response);
            }
        }
    }

    /// Waits for bytes as long as the bounds allow.
    async fn read(&mut self) -> Result<Read, ProviderError> {
        let (deadline, waited_for, ms) = if self.decoder.is_complete() {
            let ms = self.gap_ms.min(TAIL_MS);
            (Instant::now() + Duration::from_millis(ms), "end", ms)
        } else if self.begun {
            (
                Instant::now() + Duration::from_millis(self.gap_ms),
                "further byte",
                self.gap_ms,
            )
        } else {
            (self.first_byte, "byte of its answer", self.first_byte_ms)
        };
        let patience = self.gap_ms.max(self.first_byte_ms) * SILENCES_MAX;
        if self.heard.elapsed() > Duration::from_millis(patience) {
            return Err(errors::stalled("event", patience));
        }
        match timeout_at(deadline, self.response.chunk()).await {
            Err(_) => Err(errors::stalled(waited_for, ms)),
            Ok(read) => Ok(Read::from(read)),
        }
    }

    /// The caller is behind: one bigger batch costs it less than many small ones. The connection's own task hands
    /// over piece by piece and gets its turn in between.
    async fn take_more(&mut self) -> Result<bool, ProviderError> {
        for _ in 0..PIECES_MAX {
            tokio::task::yield_now().await;
            let Some(next) = self.response.chunk().now_or_never() else {
                break;
            };
            if self.take(Read::from(next))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Decodes a read and all that lies ready behind it. Returns whether the answer is whole.
    fn take(&mut self, mut read: Read) -> Result<bool, ProviderError> {
        let mut taken = 0;
        loop {
            match read {
                Read::Bytes(bytes) => {
                    taken += bytes.len();
                    self.bytes(&bytes)?;
                }
                Read::End => return self.end(),
                Read::Broken => return self.broken(),
            }
            if self.decoder.is_done() {
                self.decoder.finish(&mut self.batch)?;
                return Ok(true);
            }
            if taken >= BATCH_BYTES_MAX {
                return Ok(false);
            }
            match self.response.chunk().now_or_never() {
                None => return Ok(false),
                Some(next) => read = Read::from(next),
            }
        }
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), ProviderError> {
        self.begun |= !bytes.is_empty();
        if !self.spoken {
            let room = BEGIN_BYTES_MAX.saturating_sub(self.begin.len());
            self.begin
                .extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
        if let Form::Unknown = self.form {
            match bytes.trim_ascii_start().first() {
                None => return Ok(()),
                // No event begins so, whatever the content type says.
                Some(b'{' | b'[') => self.form = Form::Whole(Vec::new()),
                // A base URL without its `/v1` often leads to the server's front page.
                Some(b'<') => return Err(web_page()),
                Some(_) => self.form = Form::Events(kilo_sse::Decoder::new(EVENT_BYTES_MAX)),
            }
        }
        let (decoder, batch, spoken) = (&mut self.decoder, &mut self.batch, &mut self.spoken);
        match &mut self.form {
            Form::Events(parser) => {
                parser.feed(bytes, |event| take_event(decoder, batch, spoken, event))
            }
            Form::Whole(body) if body.len() + bytes.len() > EVENT_BYTES_MAX => Err(TooLarge {
                bytes_max: EVENT_BYTES_MAX,
            }
            .into()),
            Form::Whole(body) => {
                body.extend_from_slice(bytes);
                Ok(())
            }
            Form::Unknown => Ok(()),
        }
        .map_err(Into::into)
    }

    /// The body is at its end: the answer is whole, or it was cut.
    fn end(&mut self) -> Result<bool, ProviderError> {
        let (decoder, batch, spoken) = (&mut self.decoder, &mut self.batch, &mut self.spoken);
        let mut whole = false;
        match &mut self.form {
            Form::Events(parser) => {
                parser.finish(|event| take_event(decoder, batch, spoken, event))?
            }
            Form::Whole(body) => {
                take_data(decoder, batch, spoken, body)?;
                whole = true;
            }
            Form::Unknown => {}
        }
        if whole || decoder.is_complete() {
            decoder.finish(batch)?;
            return Ok(true);
        }
        Err(if self.spoken {
            errors::stream_cut()
        } else {
            errors::from_body(&self.begin).unwrap_or_else(nothing_came)
        })
    }

    /// The connection broke.
    fn broken(&mut self) -> Result<bool, ProviderError> {
        if self.decoder.is_complete() {
            self.decoder.finish(&mut self.batch)?;
            return Ok(true);
        }
        Err(match self.spoken {
            true => errors::stream_cut(),
            false => errors::network(
                "The connection was lost before the answer began",
                Some("ECONNRESET"),
            ),
        })
    }
}

impl From<reqwest::Result<Option<Bytes>>> for Read {
    fn from(read: reqwest::Result<Option<Bytes>>) -> Self {
        match read {
            Ok(Some(bytes)) => Self::Bytes(bytes),
            Ok(None) => Self::End,
            Err(_) => Self::Broken,
        }
    }
}

/// An error on the way from bytes to chunks; boxed, since it is rare and the path is hot.
struct Failed(Box<ProviderError>);

impl From<TooLarge> for Failed {
    fn from(error: TooLarge) -> Self {
        Self(Box::new(ProviderError::new(
            ErrorClass::Malformed,
            format!("the stream is no sensible JSON: {error}"),
        )))
    }
}

impl From<Failed> for ProviderError {
    fn from(failed: Failed) -> Self {
        *failed.0
    }
}

/// Some servers mark an error by the event's name alone.
fn take_event(
    decoder: &mut Decoder,
    batch: &mut Batch,
    spoken: &mut bool,
    event: kilo_sse::Event,
) -> Result<(), Failed> {
    if event.name == "error" {
        return Err(Failed(Box::new(errors::named(event.data))));
    }
    take_data(decoder, batch, spoken, event.data)
}

fn take_data(
    decoder: &mut Decoder,
    batch: &mut Batch,
    spoken: &mut bool,
    data: &[u8],
) -> Result<(), Failed> {
    let failed = |error| Failed(Box::new(error));
    match decoder.event(data, batch) {
        // Servers that forget the blank line between events, or send a JSON document a line.
        Err(error) if error.class == ErrorClass::Malformed && data.contains(&b'\n') => {
            for line in data.split(|byte| *byte == b'\n') {
                let line = line.strip_prefix(b"data:").unwrap_or(line);
                decoder.event(line, batch).map_err(failed)?;
            }
        }
        outcome => outcome.map_err(failed)?,
    }
    *spoken = true;
    Ok(())
}

fn web_page() -> ProviderError {
    let message = "the address answers with a web page, not with a model's answer; check the provider's base URL";
    ProviderError::new(ErrorClass::InvalidRequest, message)
}

/// Gateways that shed load close so; hence a class that is tried again.
fn nothing_came() -> ProviderError {
    ProviderError::new(
        ErrorClass::Overloaded,
        "the provider closed the stream before it said anything",
    )
}

/// Reads what stands behind the end mark, so that the connection goes back to the pool.
pub(crate) async fn drain(mut response: reqwest::Response) {
    let read = async {
        let mut bytes = 0;
        while let Ok(Some(piece)) = response.chunk().await {
            bytes += piece.len();
            if bytes > DRAIN_BYTES_MAX {
                break;
            }
        }
    };
    let _ = timeout(Duration::from_millis(DRAIN_MS), read).await; // too slow: the connection is closed instead
}
