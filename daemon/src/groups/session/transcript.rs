//! A session's messages as JSON, made while it leaves: a transcript of any length costs one piece of it at a time.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use kilo_edge::Reply;
use kilo_edge::held::{Held, NoRoom, PIECE_BYTES};
use kilo_protocol::Fault;
use kilo_protocol::model::Part;
use kilo_session::state::Entry;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;
use tokio::runtime::Handle;

/// A text of at most so many bytes is made on the spot; a longer one on the pool, when there is room for it.
const ON_THE_SPOT_BYTES: usize = 4 * PIECE_BYTES;

/// The entries as JSON; short ones are whole. `pool` makes the long texts of others.
pub async fn reply(entries: Vec<Arc<Entry>>, pool: Handle) -> Result<Reply, Fault> {
    let mut writer = Writer {
        entries,
        next: Next::Entry(0),
        pool,
    };
    let first = writer.fill(ON_THE_SPOT_BYTES).await;
    let mut first = first.map_err(|error| Fault::unavailable(error.to_string()))?;
    if writer.next == Next::Nothing && first.len() == 1 {
        return Ok(Reply::Json {
            status: 200,
            body: first.pop_front().unwrap_or_default(),
        });
    }
    let pieces = stream::unfold((writer, first), |(mut writer, mut ready)| async {
        loop {
            if let Some(piece) = ready.pop_front() {
                return Some((Ok(piece), (writer, ready)));
            }
            if writer.next == Next::Nothing {
                return None;
            }
            match writer.fill(PIECE_BYTES).await {
                Ok(more) => ready = more,
                Err(error) => {
                    writer.next = Next::Nothing;
                    return Some((Err(error), (writer, ready)));
                }
            }
        }
    });
    Ok(Reply::Streamed(pieces.boxed()))
}

/// Where a writer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Before an entry, or behind the last one.
    Entry(usize),
    /// Before a part of an entry, or behind its last one.
    Part(usize, usize),
    Nothing,
}

struct Writer {
    entries: Vec<Arc<Entry>>,
    next: Next,
    pool: Handle,
}

/// What is written at one go.
#[derive(Clone)]
enum Text {
    Info(Arc<Entry>),
    Part(Arc<Part>),
}

impl Text {
    fn write(&self, out: impl Write) -> serde_json::Result<()> {
        match self {
            Self::Info(entry) => serde_json::to_writer(out, &entry.info),
            Self::Part(part) => serde_json::to_writer(out, part),
        }
    }
}

impl Writer {
    /// The next pieces, `bytes` or a little more in all; or what there is up to a long text, and that text cut up.
    async fn fill(&mut self, bytes: usize) -> Result<VecDeque<Bytes>, NoRoom> {
        let mut piece = Vec::new();
        while piece.len() < bytes {
            let Some(text) = self.step(&mut piece) else {
                break;
            };
            if let Some(length) = put(&mut piece, &text) {
                let mut pieces = VecDeque::from([Bytes::from(piece)]);
                let mut long = self.long(text, length).await?;
                while !long.is_empty() {
                    pieces.push_back(long.split_to(long.len().min(PIECE_BYTES)));
                }
                return Ok(pieces);
            }
        }
        Ok(VecDeque::from([Bytes::from(piece)]))
    }

    /// Writes the signs up to the next text; none at the end.
    fn step(&mut self, out: &mut Vec<u8>) -> Option<Text> {
        loop {
            match self.next {
                Next::Entry(at) => {
                    out.extend_from_slice(if at == 0 { b"[" } else { b"" });
                    let Some(entry) = self.entries.get(at) else {
                        out.push(b']');
                        self.next = Next::Nothing;
                        return None;
                    };
                    out.extend_from_slice(if at == 0 {
                        b"{\"info\":"
                    } else {
                        b",{\"info\":"
                    });
                    self.next = Next::Part(at, 0);
                    return Some(Text::Info(Arc::clone(entry)));
                }
                Next::Part(at, part) => {
                    out.extend_from_slice(if part == 0 { b",\"parts\":[" } else { b"" });
                    let entry = self.entries.get(at)?;
                    let Some(found) = entry.parts.get(part) else {
                        out.extend_from_slice(b"]}");
                        // What has left is not kept: the conversation may have gone on without it.
                        self.next = Next::Entry(at + 1);
                        continue;
                    };
                    out.extend_from_slice(if part == 0 { b"" } else { b"," });
                    self.next = Next::Part(at, part + 1);
                    return Some(Text::Part(Arc::clone(found)));
                }
                Next::Nothing => return None,
            }
        }
    }

    /// A long text, once there is room for it. The room is kept until its last byte has left.
    async fn long(&self, text: Text, length: usize) -> Result<Bytes, NoRoom> {
        let held = Held::soon(length).await?;
        let made = self.pool.spawn_blocking(move || {
            let mut bytes = Vec::with_capacity(length);
            text.write(&mut bytes).map(|()| bytes)
        });
        match made.await {
            Ok(Ok(bytes)) => Ok(Bytes::from_owner(Long { bytes, _held: held })),
            _ => Err(NoRoom),
        }
    }
}

struct Long {
    bytes: Vec<u8>,
    _held: Held,
}

impl AsRef<[u8]> for Long {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Writes a text, or, if it is long, leaves everything as it was and tells its length.
fn put(out: &mut Vec<u8>, text: &Text) -> Option<usize> {
    let before = out.len();
    let mut bounded = Bounded {
        out,
        before,
        length: 0,
    };
    // Nothing is refused by the writer, and all keys are strings.
    let _ = text.write(&mut bounded);
    let length = bounded.length;
    if length <= ON_THE_SPOT_BYTES {
        return None;
    }
    out.truncate(before);
    out.shrink_to(before);
    Some(length)
}

/// Keeps bytes up to a bound and counts the rest.
struct Bounded<'a> {
    out: &'a mut Vec<u8>,
    before: usize,
    length: usize,
}

impl Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.length += bytes.len();
        if self.length <= ON_THE_SPOT_BYTES {
            self.out.extend_from_slice(bytes);
        } else {
            self.out.truncate(self.before);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{ON_THE_SPOT_BYTES, reply};
    use bytes::Bytes;
    use futures_util::StreamExt as _;
    use kilo_edge::Reply;
    use kilo_edge::held::PIECE_BYTES;
    use kilo_session::state::Entry;
    use serde_json::{Value, json};
    use std::sync::Arc;
    use tokio::runtime::Handle;

    fn entry(number: usize, texts: &[String]) -> Arc<Entry> {
        let id = format!("msg_{number}");
        let parts: Vec<Value> = texts
            .iter()
            .map(|text| json!({"id": "prt_1", "messageID": id, "sessionID": "ses_1", "type": "text", "text": text}))
            .collect();
        let entry = json!({
            "info": {
                "id": id, "sessionID": "ses_1", "role": "user", "time": {"created": 1}, "agent": "code",
                "model": {"providerID": "p", "modelID": "m"},
            },
            "parts": parts,
        });
        Arc::new(serde_json::from_value(entry).expect("an entry"))
    }

    /// The bytes, and the longest piece.
    async fn gathered(entries: &[Arc<Entry>]) -> (Vec<u8>, usize) {
        match reply(entries.to_vec(), Handle::current())
            .await
            .expect("a reply")
        {
            Reply::Json { body, .. } => (body.to_vec(), 0),
            Reply::Streamed(pieces) => {
                let pieces: Vec<Bytes> = pieces.map(|piece| piece.expect("room")).collect().await;
                let longest = pieces.iter().skip(1).map(Bytes::len).max().unwrap_or(0);
                (pieces.concat(), longest)
            }
            _ => panic!("another reply"),
        }
    }

    #[tokio::test]
    async fn pieces_are_the_json_of_the_whole() {
        let short = "x".to_string();
        let long = "y".repeat(ON_THE_SPOT_BYTES * 3);
        let some = |count: usize| (0..count).map(|n| entry(n, &[short.clone(), short.clone()]));
        for entries in [
            vec![],
            some(3).collect(),
            some(10_000).collect(),
            vec![entry(1, &[])],
            vec![
                entry(1, &[long.clone(), short.clone()]),
                entry(2, &[]),
                entry(3, std::slice::from_ref(&long)),
            ],
        ] {
            let entries: Vec<Arc<Entry>> = entries;
            let (bytes, longest) = gathered(&entries).await;
            assert!(
                bytes == serde_json::to_vec(&entries).expect("JSON"),
                "{} entries",
                entries.len()
            );
            assert!(longest < PIECE_BYTES * 2, "{longest}");
        }
    }
}
