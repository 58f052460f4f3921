//! Lines of JSON through a program's stdin and stdout.

use crate::channel::{Carried, Channel, Incoming, MESSAGE_BYTES_MAX, SendError, pair};
use bytes::{Bytes, BytesMut};
use kilo_ports::sandbox::{ByteReader, ByteWriter};
use memchr::memchr;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// Bytes that a read asks for, and that are kept between messages.
const READ_BYTES: usize = 8 << 10;
/// Bytes of the beginning and the end of a skipped message in which its id is looked for.
const ENDS_BYTES: usize = 512;
/// Bytes of stderr that are remembered, to say why a server ended.
const STDERR_BYTES: usize = 2 << 10;
/// Bytes of a line on stdout that is no message, for the same.
const STRAY_BYTES: usize = 200;

/// What a server wrote that is no message.
#[derive(Clone, Default)]
pub struct Remarks(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    stderr: Vec<u8>,
    stray: Option<String>,
}

impl Remarks {
    /// The last line on stderr that is not empty, or else the first on stdout that was no message.
    pub fn last_words(&self) -> Option<String> {
        let kept = self.0.lock();
        let stderr = String::from_utf8_lossy(&kept.stderr);
        let last = stderr.lines().map(str::trim).rfind(|line| !line.is_empty());
        last.map(|line| kilo_ports::cut::start(line, 500).to_owned())
            .or_else(|| {
                kept.stray
                    .as_ref()
                    .map(|line| format!("it printed {line:?}"))
            })
    }

    /// A line on stdout that is no message.
    pub fn stray(&self, line: &[u8]) {
        let mut kept = self.0.lock();
        if kept.stray.is_none() {
            let line = String::from_utf8_lossy(&line[..line.len().min(STRAY_BYTES)]);
            kept.stray = Some(line.into_owned());
        }
    }

    fn stderr(&self, bytes: &[u8]) {
        let mut kept = self.0.lock();
        kept.stderr.extend_from_slice(bytes);
        if kept.stderr.len() > 2 * STDERR_BYTES {
            let cut = kept.stderr.len() - STDERR_BYTES;
            kept.stderr.drain(..cut);
        }
    }
}

/// Carries messages on `handle` until the program closes its stdout; its stdin is closed when our end is dropped.
pub fn carry(
    handle: &Handle,
    stdin: ByteWriter,
    stdout: ByteReader,
    stderr: Option<ByteReader>,
    remarks: &Remarks,
) -> Channel {
    let (channel, Carried { out, incoming }) = pair();
    handle.spawn(write(stdin, out));
    handle.spawn(read(stdout, incoming, remarks.clone()));
    if let Some(stderr) = stderr {
        handle.spawn(listen(stderr, remarks.clone()));
    }
    channel
}

async fn write(mut stdin: ByteWriter, mut out: mpsc::Receiver<crate::channel::Outgoing>) {
    while let Some(message) = out.recv().await {
        let mut line = Vec::with_capacity(message.text.len() + 1);
        line.extend_from_slice(&message.text);
        line.push(b'\n');
        let written = async {
            stdin.write_all(&line).await?;
            stdin.flush().await
        };
        let result = written.await.map_err(|_| SendError::Closed);
        let failed = result.is_err();
        let _ = message.done.send(result);
        if failed {
            return;
        }
    }
}

async fn read(mut stdout: ByteReader, incoming: mpsc::Sender<Incoming>, remarks: Remarks) {
    let mut lines = Lines::default();
    loop {
        match stdout.read_buf(lines.room()).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        while let Some(line) = lines.next() {
            let message = match line {
                Line::Whole(line) if line.trim_ascii().is_empty() => continue,
                Line::Whole(line) => Incoming::Message(line),
                Line::Skipped { ends, bytes } => {
                    tracing::warn!(
                        bytes,
                        "a message of an MCP server is too large and was skipped"
                    );
                    match id_in(&ends) {
                        Some(id) => Incoming::Lost {
                            id,
                            why: too_large(bytes),
                        },
                        None => {
                            remarks.stray(&ends);
                            continue;
                        }
                    }
                }
            };
            if incoming.send(message).await.is_err() {
                return;
            }
        }
    }
}

/// What the caller is told of an answer that was not taken.
pub fn too_large(bytes: usize) -> String {
    format!(
        "the answer has {bytes} bytes; at most {} MiB are taken",
        MESSAGE_BYTES_MAX >> 20
    )
}

async fn listen(mut stderr: ByteReader, remarks: Remarks) {
    let mut buffer = vec![0; 1 << 10];
    loop {
        match stderr.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) => remarks.stderr(&buffer[..count]),
        }
    }
}

/// Cuts bytes into lines and forgets the middle of those that are too long.
#[derive(Default)]
struct Lines {
    buffer: BytesMut,
    /// So many bytes at the buffer's begin hold no line end.
    searched: usize,
    skipping: Option<Skipping>,
}

struct Skipping {
    head: Vec<u8>,
    bytes: usize,
}

enum Line {
    Whole(Bytes),
    Skipped { ends: Vec<u8>, bytes: usize },
}

impl Lines {
    fn room(&mut self) -> &mut BytesMut {
        self.buffer.reserve(READ_BYTES);
        &mut self.buffer
    }

    fn next(&mut self) -> Option<Line> {
        let Some(at) = memchr(b'\n', &self.buffer[self.searched..]) else {
            self.searched = self.buffer.len();
            self.skip_if_long();
            self.shrink();
            return None;
        };
        let line = self.buffer.split_to(self.searched + at + 1).freeze();
        self.searched = 0;
        let line = line.slice(..line.len() - 1);
        let Some(skipping) = self.skipping.take() else {
            return Some(Line::Whole(line));
        };
        let mut ends = skipping.head;
        ends.push(b' ');
        ends.extend_from_slice(&line[line.len().saturating_sub(ENDS_BYTES)..]);
        Some(Line::Skipped {
            ends,
            bytes: skipping.bytes + line.len(),
        })
    }

    fn skip_if_long(&mut self) {
        let held = self.buffer.len();
        match &mut self.skipping {
            // The end of the line may hold its id: so much of it stays.
            Some(skipping) if held > READ_BYTES => {
                let gone = held - ENDS_BYTES;
                skipping.bytes += gone;
                let _ = self.buffer.split_to(gone);
            }
            None if held > MESSAGE_BYTES_MAX => {
                let gone = held - ENDS_BYTES;
                let start = self.buffer.split_to(gone);
                self.skipping = Some(Skipping {
                    head: start[..ENDS_BYTES].to_vec(),
                    bytes: gone,
                });
            }
            _ => {}
        }
        self.searched = self.buffer.len();
    }

    /// A large message is rare, and a server may stay for days.
    fn shrink(&mut self) {
        if self.buffer.len() < READ_BYTES && self.buffer.capacity() > 8 * READ_BYTES {
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
    }
}

/// The number behind `"id":` of a message of which only the ends are known. Servers write it first or last; one that
/// stands behind `result` at the begin belongs to the result.
fn id_in(ends: &[u8]) -> Option<i64> {
    let text = String::from_utf8_lossy(ends);
    let first = text.find("\"id\"");
    let result = text.find("\"result\"").unwrap_or(usize::MAX);
    let at_begin = first.filter(|at| *at < result);
    at_begin
        .and_then(|at| number_behind(&text[at..]))
        .or_else(|| {
            text.rfind("\"id\"")
                .and_then(|at| number_behind(&text[at..]))
        })
}

fn number_behind(text: &str) -> Option<i64> {
    let value = text
        .strip_prefix("\"id\"")?
        .trim_start()
        .strip_prefix(':')?;
    let value = value.trim_start();
    let end = value.find(|c: char| !c.is_ascii_digit());
    value[..end.unwrap_or(value.len())].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(lines: &mut Lines, bytes: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        for piece in bytes.chunks(READ_BYTES) {
            lines.room().extend_from_slice(piece);
            while let Some(line) = lines.next() {
                found.push(match line {
                    Line::Whole(line) => String::from_utf8_lossy(&line).into_owned(),
                    Line::Skipped { ends, bytes } => format!("{bytes} {:?}", id_in(&ends)),
                });
            }
        }
        found
    }

    #[test]
    fn lines_are_cut_and_too_long_ones_are_skipped_with_flat_memory() {
        let mut lines = Lines::default();
        assert_eq!(feed(&mut lines, b"{}\n[1"), ["{}"]);
        assert_eq!(feed(&mut lines, b"]\r\n\n"), ["[1]\r", ""]);
        let long = "x".repeat(MESSAGE_BYTES_MAX + 1_000_000);
        let first = format!("{{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":\"{long}\"}}\n");
        let last =
            format!("{{\"result\":{{\"id\":\"{long}\"}},\"jsonrpc\":\"2.0\", \"id\" : 8}}\nnext\n");
        let size = |text: &str| text.lines().next().map_or(0, str::len);
        assert_eq!(
            feed(&mut lines, first.as_bytes()),
            [format!("{} Some(7)", size(&first))]
        );
        assert_eq!(
            feed(&mut lines, last.as_bytes()),
            [format!("{} Some(8)", size(&last)), "next".into()]
        );
        assert!(lines.buffer.capacity() <= 8 * READ_BYTES);
        let none = format!("{long}\n");
        assert_eq!(
            feed(&mut lines, none.as_bytes()),
            [format!("{} None", long.len())]
        );
    }
}
