//! Output as it comes: its last part in memory, the whole in a file once it is long.

use bytes::Bytes;
use kilo_ports::cut;
use kilo_ports::tool::ToolCx;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use tokio::io::AsyncWriteExt;

/// Characters of the running output that clients see.
const LIVE_CHARS_MAX: usize = 30_000;
/// Bytes kept in a file.
const FILE_BYTES_MAX: u64 = 1 << 30;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Collects the output of one command. Memory: the two windows and one message, whatever the command prints.
pub struct Collector {
    /// The last bytes, at least as many as either window needs.
    last: VecDeque<u8>,
    last_bytes_max: usize,
    /// Everything so far, until it is too long for the model.
    whole: Option<Vec<u8>>,
    file: File,
    bytes: u64,
    newlines: u64,
    lines_max: usize,
    bytes_max: usize,
    path: PathBuf,
}

enum File {
    NotNeeded,
    Open(tokio::io::BufWriter<tokio::fs::File>),
    /// The disk did not take it.
    Broken,
}

/// A finished output.
pub struct Kept {
    /// The last part, for clients.
    pub live: String,
    /// The last part, for the model.
    pub tail: String,
    /// Set when `tail` is not all.
    pub cut: Option<Cut>,
}

/// What was left out.
pub struct Cut {
    /// Where the whole is.
    pub path: Option<PathBuf>,
    lines: u64,
    bytes: u64,
    shown_lines: u64,
    file_is_short: bool,
}

impl Cut {
    /// Says what was left out and where it is, followed by an empty line.
    pub fn sentence(&self) -> String {
        let shown = format!(
            "[The output was cut: this is its end, {} of {} lines ({} bytes in all).",
            self.shown_lines, self.lines, self.bytes
        );
        match &self.path {
            Some(path) => {
                let whole = if self.file_is_short {
                    "Its first GiB"
                } else {
                    "The whole"
                };
                format!(
                    "{shown} {whole} is kept in {}. Search it with grep, or read a part of it with offset and limit.]\n\n",
                    path.display()
                )
            }
            None => format!("{shown} The whole could not be kept.]\n\n"),
        }
    }
}

impl Collector {
    /// A collector with the call's bounds.
    pub fn new(cx: &ToolCx) -> Self {
        Self {
            last: VecDeque::new(),
            last_bytes_max: (LIVE_CHARS_MAX * 4).max(cx.output_bytes_max.saturating_add(1)),
            whole: Some(Vec::new()),
            file: File::NotNeeded,
            bytes: 0,
            newlines: 0,
            lines_max: cx.output_lines_max,
            bytes_max: cx.output_bytes_max,
            path: cx.output_dir.join(file_name(cx)),
        }
    }

    /// Takes the next part.
    pub async fn add(&mut self, chunk: &Bytes) {
        self.bytes = self.bytes.saturating_add(chunk.len() as u64);
        self.newlines = self
            .newlines
            .saturating_add(chunk.iter().filter(|byte| **byte == b'\n').count() as u64);
        self.remember(chunk);
        match &mut self.whole {
            Some(whole) => {
                whole.extend_from_slice(chunk);
                if self.is_long() {
                    self.open().await;
                }
            }
            None => self.write(chunk).await,
        }
    }

    /// The last part so far, of so many bytes at most. A character of which only a part is here comes when it is whole:
    /// what is shown goes on where it was shown before.
    pub fn live(&self, bytes_max: usize) -> String {
        let text = self.text(self.last.len() - self.begun());
        let start = text.ceil_char_boundary(text.len().saturating_sub(bytes_max));
        text.get(start..).unwrap_or_default().to_owned()
    }

    /// Closes the file and gives what there is to show.
    pub async fn finish(mut self) -> Kept {
        if let File::Open(file) = &mut self.file
            && let Err(error) = file.flush().await
        {
            self.give_up(&error);
        }
        let text = self.text(self.last.len());
        let live = cut::last_chars(&text, LIVE_CHARS_MAX).to_owned();
        let long = self.is_long();
        let tail = if long {
            cut::tail(&text, self.lines_max, self.bytes_max).to_owned()
        } else {
            text
        };
        let cut = long.then(|| Cut {
            path: matches!(self.file, File::Open(_)).then(|| self.path.clone()),
            lines: self.lines(),
            bytes: self.bytes,
            shown_lines: tail.lines().count() as u64,
            file_is_short: self.bytes > FILE_BYTES_MAX,
        });
        Kept { live, tail, cut }
    }

    fn lines(&self) -> u64 {
        let open = self.last.back().is_some_and(|byte| *byte != b'\n');
        self.newlines + u64::from(open)
    }

    fn is_long(&self) -> bool {
        self.bytes > self.bytes_max as u64 || self.lines() > self.lines_max as u64
    }

    fn remember(&mut self, chunk: &[u8]) {
        let kept = chunk
            .get(chunk.len().saturating_sub(self.last_bytes_max)..)
            .unwrap_or_default();
        let over = (self.last.len() + kept.len()).saturating_sub(self.last_bytes_max);
        self.last.drain(..over.min(self.last.len()));
        self.last.extend(kept);
    }

    /// Bytes of the last character if its end has not come yet.
    fn begun(&self) -> usize {
        for (behind, byte) in self.last.iter().rev().take(3).enumerate() {
            let whole = match byte {
                0b1000_0000..=0b1011_1111 => continue,
                0b1100_0000..=0b1101_1111 => 2,
                0b1110_0000..=0b1110_1111 => 3,
                0b1111_0000..=0b1111_0111 => 4,
                _ => return 0,
            };
            return if behind + 1 < whole { behind + 1 } else { 0 };
        }
        0
    }

    /// The first of the bytes at hand as text; a character that the window cuts in two is left out.
    fn text(&self, bytes: usize) -> String {
        let bytes: Vec<u8> = self.last.iter().take(bytes).copied().collect();
        let cut_off = self.bytes > self.last.len() as u64;
        let continued = |byte: &&u8| **byte & 0b1100_0000 == 0b1000_0000;
        let skipped = if cut_off {
            bytes.iter().take(3).take_while(continued).count()
        } else {
            0
        };
        String::from_utf8_lossy(bytes.get(skipped..).unwrap_or_default()).into_owned()
    }

    async fn open(&mut self) {
        let whole = self.whole.take().unwrap_or_default();
        match create(&self.path).await {
            Ok(file) => {
                self.file = File::Open(tokio::io::BufWriter::with_capacity(64 * 1024, file));
                self.write_at(&whole, 0).await;
            }
            Err(error) => self.give_up(&error),
        }
    }

    async fn write(&mut self, chunk: &[u8]) {
        let before = self.bytes.saturating_sub(chunk.len() as u64);
        self.write_at(chunk, before).await;
    }

    async fn write_at(&mut self, bytes: &[u8], before: u64) {
        let File::Open(file) = &mut self.file else {
            return;
        };
        let room = usize::try_from(FILE_BYTES_MAX.saturating_sub(before)).unwrap_or(usize::MAX);
        let bytes = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        if let Err(error) = file.write_all(bytes).await {
            self.give_up(&error);
        }
    }

    fn give_up(&mut self, error: &std::io::Error) {
        tracing::warn!(%error, path = %self.path.display(), "cannot keep the whole output of a command");
        self.file = File::Broken;
    }
}

async fn create(path: &Path) -> std::io::Result<tokio::fs::File> {
    if let Some(folder) = path.parent() {
        tokio::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .await?;
    }
    tokio::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .await
}

/// `tool_` and 26 characters that no other call has.
fn file_name(cx: &ToolCx) -> String {
    let call = format!("{}\n{}\n{}", cx.session, cx.message, cx.call);
    let hash = blake3::hash(call.as_bytes());
    let letters = hash.as_bytes().iter().take(26);
    let letters = letters.map(|byte| {
        char::from(
            *BASE62
                .get(usize::from(*byte) % BASE62.len())
                .unwrap_or(&b'0'),
        )
    });
    format!("tool_{}", letters.collect::<String>())
}
