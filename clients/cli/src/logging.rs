//! Logs: to a file that rotates by size, or to standard error. The file is opened at the first line.

use crate::options::{LogFormat, LogLevel, Logging};
use kilo_config::{Environment, Paths};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;

const FILE_BYTES_MAX: u64 = 10 << 20;
const OLD_FILES_MAX: u32 = 3;

/// Sets up logging for the process. Lines of other crates are kept from warnings up.
pub fn start(options: &Logging, name: &str, env: &Environment) {
    let level = options.log_level.map_or(LevelFilter::INFO, filter);
    let targets = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("kilo", level);
    let writer = if options.print_logs {
        BoxMakeWriter::new(io::stderr)
    } else {
        BoxMakeWriter::new(Mutex::new(LogFile::at(file(env, name))))
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(false);
    let layer = match options.log_format {
        LogFormat::Text => lines.with_filter(targets).boxed(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_filter(targets)
            .boxed(),
    };
    // Fails only if a subscriber was set before, which nobody does.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer));
}

/// The log file called `name`: `~/.local/state/kilo/log/NAME`.
pub fn file(env: &Environment, name: &str) -> PathBuf {
    Paths::of(env).state.join("log").join(name)
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Trace => LevelFilter::TRACE,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    }
}

/// A file that is opened when it is first written and renamed to `NAME.1`, `NAME.2`, … when it is full.
pub struct LogFile {
    path: PathBuf,
    open: Option<(File, u64)>,
    bytes_max: u64,
}

impl LogFile {
    /// The file at `path`, not opened yet.
    pub fn at(path: PathBuf) -> Self {
        Self {
            path,
            open: None,
            bytes_max: FILE_BYTES_MAX,
        }
    }

    fn file(&mut self) -> io::Result<&mut (File, u64)> {
        if self
            .open
            .as_ref()
            .is_some_and(|(_, size)| *size >= self.bytes_max)
        {
            self.open = None;
            rotate(&self.path)?;
        }
        let opened = match self.open.take() {
            Some(opened) => opened,
            None => open(&self.path)?,
        };
        Ok(self.open.insert(opened))
    }
}

impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let (file, size) = self.file()?;
        let written = file.write(line)?;
        *size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.open.as_mut().map_or(Ok(()), |(file, _)| file.flush())
    }
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

fn rotate(path: &Path) -> io::Result<()> {
    let old = |n: u32| PathBuf::from(format!("{}.{n}", path.display()));
    for n in (1..OLD_FILES_MAX).rev() {
        if old(n).exists() {
            std::fs::rename(old(n), old(n + 1))?;
        }
    }
    std::fs::rename(path, old(1))
}

/// Opens the file called `name` for a child's standard error; a full one is rotated first.
pub fn for_child(env: &Environment, name: &str) -> io::Result<File> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let path = file(env, name);
    let (file, size) = open(&path)?;
    if size < FILE_BYTES_MAX {
        return Ok(file);
    }
    rotate(&path)?;
    Ok(open(&path)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_makes_room_and_the_oldest_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log").join("x.log");
        let mut log = LogFile {
            bytes_max: 4,
            ..LogFile::at(path.clone())
        };
        assert!(!path.exists());
        for line in ["one\n", "two\n", "three\n", "four\n", "five\n"] {
            log.write_all(line.as_bytes()).expect("a line");
        }
        let read = |name: &str| {
            std::fs::read_to_string(folder.path().join("log").join(name)).unwrap_or_default()
        };
        assert_eq!(
            [
                read("x.log"),
                read("x.log.1"),
                read("x.log.2"),
                read("x.log.3"),
                read("x.log.4")
            ],
            ["five\n", "four\n", "three\n", "two\n", ""]
        );
    }
}
