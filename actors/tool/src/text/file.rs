use super::encoding::{self, Format, PLAIN};
use super::{FileLocks, Staged};
use crate::call;
use crate::guard::is_in_repository;
use crate::place::Place;
use kilo_ports::tool::ToolError;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The largest file that tools change. Reading has no such bound, for it streams.
pub const TEXT_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// A text file as it was when a call looked at it.
#[derive(Clone, Debug)]
pub struct TextFile {
    /// Its real path.
    pub path: PathBuf,
    /// The path for messages.
    pub shown: String,
    /// Its bytes; `None` when there is no such file.
    bytes: Option<Vec<u8>>,
    /// Its text; empty for a missing file.
    pub text: String,
    /// How it is written back.
    pub format: Format,
    /// How many names it has on the disk; 0 for a missing file.
    pub names: u64,
    /// It lies in a folder that git takes for a repository's data.
    pub in_repository: bool,
}

impl TextFile {
    /// Reads the file of a judged place; a missing one is no error.
    ///
    /// Errors: a folder or device, over [`TEXT_BYTES_MAX`], bytes that could not be written back unharmed.
    pub async fn load(place: &Place) -> Result<Self, ToolError> {
        let (path, shown) = (place.real.clone(), place.shown());
        call::blocking(move || Self::load_now(path, shown)).await
    }

    fn load_now(path: PathBuf, shown: String) -> Result<Self, ToolError> {
        let in_repository = is_in_repository(&path);
        let Some(bytes) = bytes_of(&path, &shown)? else {
            return Ok(Self {
                path,
                shown,
                bytes: None,
                text: String::new(),
                format: PLAIN,
                names: 0,
                in_repository,
            });
        };
        let (text, format) = encoding::decode(&bytes)
            .map_err(|error| ToolError::failed(format!("Cannot change {shown}: {error}")))?;
        Ok(Self {
            names: path.metadata().map_or(1, |facts| facts.nlink()),
            path,
            shown,
            bytes: Some(bytes),
            text,
            format,
            in_repository,
        })
    }

    /// Whether there is such a file.
    pub fn exists(&self) -> bool {
        self.bytes.is_some()
    }

    /// The bytes of a new text for this file.
    pub fn encode(&self, text: &str) -> Result<Vec<u8>, ToolError> {
        encoding::encode(text, self.format)
            .map_err(|error| ToolError::failed(format!("Cannot change {}: {error}", self.shown)))
    }

    /// Fails when the file is not as it was when this was loaded.
    pub fn still_same(&self) -> Result<(), ToolError> {
        if bytes_of(&self.path, &self.shown)? == self.bytes {
            return Ok(());
        }
        Err(ToolError::failed(format!(
            "{} was changed by someone else after this call had read it, so nothing was written. Read it again.",
            self.shown
        )))
    }

    /// Replaces the file's content with `bytes`, unless it was changed since it was loaded.
    pub async fn replace(self, locks: &FileLocks, bytes: Vec<u8>) -> Result<(), ToolError> {
        let held = locks.hold(&[&self.path]).await;
        call::blocking(move || {
            let _held = held;
            self.still_same()?;
            let written = Staged::new(&self.path, &bytes).and_then(Staged::commit);
            written
                .map_err(|error| ToolError::failed(format!("Cannot write {}: {error}", self.shown)))
        })
        .await
    }
}

fn bytes_of(path: &Path, shown: &str) -> Result<Option<Vec<u8>>, ToolError> {
    let failed = |why: String| ToolError::failed(format!("Cannot open {shown}: {why}"));
    let facts = match path.metadata() {
        Ok(facts) => facts,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error.to_string())),
    };
    if facts.is_dir() {
        return Err(failed("it is a folder, not a file".into()));
    }
    if !facts.is_file() {
        return Err(failed("it is not a regular file".into()));
    }
    if facts.len() > TEXT_BYTES_MAX {
        return Err(failed(format!(
            "it has {} bytes, and {TEXT_BYTES_MAX} is the limit for changes",
            facts.len()
        )));
    }
    std::fs::read(path)
        .map(Some)
        .map_err(|error| failed(error.to_string()))
}
