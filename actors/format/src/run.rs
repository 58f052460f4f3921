//! One run of one formatter on one file. Whatever goes wrong, the file is what the tool wrote.

use crate::found::Ready;
use crate::table::Text;
use kilo_ports::sandbox::{ByteReader, ByteWriter, Exit, Sandbox, SpawnSpec, Streams};
use rustix::fs::OFlags;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long one formatter may take for one file.
pub const RUN_TIME: Duration = Duration::from_secs(5);
/// Bytes of a file that is formatted at all.
pub const FILE_BYTES_MAX: u64 = 8 << 20;
/// Bytes of what a formatter prints about itself that are kept.
const WORDS_BYTES_MAX: usize = 16 << 10;
/// Characters of it that are shown.
const SHOWN_CHARS: usize = 400;

/// Why a file was not formatted.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The program could not be started.
    #[error("it cannot be started: {0}")]
    Start(String),
    /// It took too long.
    #[error("it took longer than {} s", RUN_TIME.as_secs())]
    TooLong,
    /// It said that it failed.
    #[error("{how}{words}")]
    Ended {
        /// Its exit.
        how: String,
        /// What it printed.
        words: String,
    },
    /// It left nothing of the text.
    #[error("it emptied the file")]
    Emptied,
    /// The file is not there, is too large, or cannot be read or written.
    #[error("{0}")]
    File(#[from] io::Error),
}

/// Runs it. `Ok(true)` when the file is another now.
pub async fn run(sandbox: &dyn Sandbox, ready: &Ready, file: &Path) -> Result<bool, Failure> {
    let before = read(file).await?;
    let mut kept = Kept {
        file: file.to_owned(),
        text: Some(before.clone()),
    };
    let work = tokio::time::timeout(RUN_TIME, ended(sandbox, ready, &before)).await;
    let output = work.map_err(|_| Failure::TooLong)??;
    let after = match ready.text {
        Text::InPlace => read(file).await?,
        Text::Rustfmt => output,
    };
    if is_blank(&after) && !is_blank(&before) {
        return Err(Failure::Emptied);
    }
    if after == before {
        kept.text = None;
        return Ok(false);
    }
    if ready.text == Text::Rustfmt {
        let file = file.to_owned();
        blocking(move || overwrite(&file, &after)).await?;
    }
    kept.text = None;
    Ok(true)
}

fn is_blank(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_whitespace)
}

/// Puts the text back unless it is taken out: after a failure, a run that was given up, or a panic.
struct Kept {
    file: PathBuf,
    text: Option<Vec<u8>>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        let Some(text) = self.text.take() else {
            return;
        };
        // At once and not later: whoever waits for the end of the run looks at the file next. One small write.
        let is_same = read_now(&self.file).is_ok_and(|now| now == text);
        if !is_same && let Err(error) = overwrite(&self.file, &text) {
            let file = self.file.display();
            tracing::warn!(%file, %error, "a formatter failed and what it left of the file stays");
        }
    }
}

/// Runs the program to its end; its output.
async fn ended(sandbox: &dyn Sandbox, ready: &Ready, text: &[u8]) -> Result<Vec<u8>, Failure> {
    let spec = SpawnSpec {
        title: format!("formatter {}", ready.name),
        program: ready.program.clone(),
        args: ready.args.clone(),
        directory: ready.directory.clone(),
        env: ready.env.clone(),
        streams: Streams::Separate,
    };
    let started = sandbox.spawn(spec).await;
    let child = started.map_err(|error| {
        let source = std::error::Error::source(&error);
        Failure::Start(source.map_or_else(|| error.to_string(), ToString::to_string))
    })?;
    let (input, keep) = match ready.text {
        Text::InPlace => (&[][..], WORDS_BYTES_MAX),
        Text::Rustfmt => (text, 2 * FILE_BYTES_MAX as usize),
    };
    let ((), output, errors, exit) = tokio::join!(
        fed(child.stdin, input),
        drained(Some(child.stdout), keep),
        drained(child.stderr, WORDS_BYTES_MAX),
        child.process.wait(),
    );
    if exit == Exit::Code(0) {
        return Ok(output);
    }
    let how = match exit {
        Exit::Code(code) => format!("exit code {code}"),
        Exit::Signal(signal) => format!("ended by signal {signal}"),
        Exit::TimedOut | Exit::Cancelled => "it was stopped".to_owned(),
    };
    let words = match ready.text {
        Text::InPlace if is_blank(&errors) => shown(&output),
        _ => shown(&errors),
    };
    Err(Failure::Ended { how, words })
}

async fn fed(mut stdin: ByteWriter, text: &[u8]) {
    // One that stops reading has said all with its exit.
    let _ = stdin.write_all(text).await;
    let _ = stdin.shutdown().await;
}

/// Reads to the end and keeps the first bytes.
async fn drained(stream: Option<ByteReader>, keep: usize) -> Vec<u8> {
    let (mut kept, mut buffer) = (Vec::new(), vec![0; 8 << 10]);
    let Some(mut stream) = stream else {
        return kept;
    };
    while let Ok(count) = stream.read(&mut buffer).await
        && count > 0
    {
        let room = keep.saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..count.min(room)]);
    }
    kept
}

/// What a program said, without colours and blank lines, cut; with `: ` in front unless it is empty.
fn shown(words: &[u8]) -> String {
    let text = String::from_utf8_lossy(words);
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(char) = rest.next() {
        match char {
            '\u{1b}' => {
                let _ = rest.find(|char| char.is_ascii_alphabetic());
            }
            '\n' => plain.push('\n'),
            char if char.is_control() => {}
            char => plain.push(char),
        }
    }
    let lines = plain
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty());
    let joined = lines.collect::<Vec<_>>().join("\n");
    let cut: String = joined.chars().take(SHOWN_CHARS).collect();
    match (cut.is_empty(), cut.len() < joined.len()) {
        (true, _) => cut,
        (false, true) => format!(": {cut}…"),
        (false, false) => format!(": {cut}"),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(io::Error::other(error)))
}

async fn read(file: &Path) -> io::Result<Vec<u8>> {
    let file = file.to_owned();
    blocking(move || read_now(&file)).await
}

/// Reads a file, never through a link in its last place: the tool wrote to where links lead.
fn read_now(path: &Path) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
        .open(path)?;
    let facts = file.metadata()?;
    if !facts.is_file() {
        return Err(io::Error::other("it is not a file any more"));
    }
    let mut text = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other("it is too large to be formatted"));
    }
    Ok(text)
}

fn overwrite(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
        .open(path)?;
    file.write_all(text)
}
