//! `kilo daemon logs`: the end of the daemon's log, and what follows.

use crate::exit::Exit;
use crate::signals::Signals;
use crate::terminal::{line, note};
use anyhow::Context as _;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

/// How much of the end is read; the file itself is at most 10 MiB.
const TAIL_BYTES_MAX: u64 = 4 << 20;
const STEP: Duration = Duration::from_millis(200);

/// Prints the last `count` lines of `path`; with `follow` goes on until a signal.
pub async fn print(path: &Path, count: usize, follow: bool) -> anyhow::Result<Exit> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            note(&format!("no daemon has written to {} yet", path.display()));
            return Ok(Exit::FAILED);
        }
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", path.display()));
        }
    };
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES_MAX)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    for row in last(&text, count) {
        line(row);
    }
    if follow {
        go_on(path, file).await?;
    }
    Ok(Exit::OK)
}

fn last(text: &str, count: usize) -> Vec<&str> {
    let rows: Vec<&str> = text.lines().collect();
    rows[rows.len().saturating_sub(count)..].to_vec()
}

/// Prints what is added. A file that was put aside because it was full is followed by its successor.
async fn go_on(path: &Path, mut file: File) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    loop {
        let mut more = Vec::new();
        file.read_to_end(&mut more)?;
        let mut out = std::io::stdout().lock();
        if out.write_all(&more).and_then(|()| out.flush()).is_err() {
            return Ok(()); // nobody reads any more
        }
        drop(out);
        let position = file.stream_position()?;
        if std::fs::metadata(path).is_ok_and(|now| now.len() < position) {
            file = File::open(path)?;
            continue;
        }
        tokio::select! {
            _ = signals.next() => return Ok(()),
            () = tokio::time::sleep(STEP) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::last;

    #[test]
    fn the_last_lines_are_those_at_the_end() {
        assert_eq!(last("a\nb\nc\n", 2), ["b", "c"]);
        assert_eq!(last("a\n", 5), ["a"]);
        assert!(last("a\n", 0).is_empty() && last("", 3).is_empty());
    }
}
