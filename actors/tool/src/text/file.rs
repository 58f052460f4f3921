use super::FileLocks;
use super::encoding::{self, Format, PLAIN};
use crate::call;
use crate::place::Place;
use kilo_ports::files::{Facts, Kind, Spot, Staged};
use kilo_ports::tool::ToolError;
use std::io::Read;
use std::sync::Arc;

/// The largest file that tools change. Reading has no such bound, for it streams.
pub const TEXT_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// A text file as it was when a call looked at it.
#[derive(Clone, Debug)]
pub struct TextFile {
    spot: Arc<dyn Spot>,
    /// The path for messages.
    pub shown: String,
    /// Its bytes; `None` when there is no such file.
    bytes: Option<Vec<u8>>,
    /// Its text; empty for a missing file.
    pub text: String,
    /// How it is written back.
    pub format: Format,
    /// What the disk says of it.
    pub facts: Facts,
    /// It lies in a folder that git takes for a repository's data, or makes it one.
    pub in_repository: bool,
}

impl TextFile {
    /// Reads the file of a judged place; a missing one is no error.
    ///
    /// Errors: a folder or device, over [`TEXT_BYTES_MAX`], bytes that could not be written back unharmed.
    pub async fn load(place: &Place) -> Result<Self, ToolError> {
        let (spot, shown) = (place.spot.clone(), place.shown());
        call::blocking(move || Self::load_now(spot, shown)).await
    }

    fn load_now(spot: Arc<dyn Spot>, shown: String) -> Result<Self, ToolError> {
        let (facts, bytes) = bytes_of(&*spot, &shown)?;
        let (text, format) = match &bytes {
            Some(bytes) => encoding::decode(bytes)
                .map_err(|error| ToolError::failed(format!("Cannot change {shown}: {error}")))?,
            None => (String::new(), PLAIN),
        };
        Ok(Self {
            in_repository: is_in_repository(&*spot),
            spot,
            shown,
            bytes,
            text,
            format,
            facts,
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
        if bytes_of(&*self.spot, &self.shown)?.1 == self.bytes {
            return Ok(());
        }
        Err(ToolError::failed(format!(
            "{} was changed by someone else after this call had read it, so nothing was written. Read it again.",
            self.shown
        )))
    }

    /// Puts `bytes` beside the file, to take its place. All names of a file that had several change.
    pub fn stage(&self, bytes: Vec<u8>) -> std::io::Result<Box<dyn Staged>> {
        let linked = (self.facts.names > 1).then_some(self.facts.id);
        self.spot.stage(bytes, linked)
    }

    /// Removes the file.
    pub fn remove(&self) -> std::io::Result<()> {
        self.spot.remove()
    }

    /// Replaces the file's content with `bytes`, unless it was changed since it was loaded. Gives it back as it was loaded.
    pub async fn replace(self, locks: &FileLocks, bytes: Vec<u8>) -> Result<Self, ToolError> {
        let held = locks.hold(&[self.spot.real()]).await;
        call::blocking(move || {
            let _held = held;
            self.still_same()?;
            let written = self.stage(bytes).and_then(Staged::commit);
            written.map_err(|error| {
                ToolError::failed(format!("Cannot write {}: {error}", self.shown))
            })?;
            Ok(self)
        })
        .await
    }
}

fn bytes_of(spot: &dyn Spot, shown: &str) -> Result<(Facts, Option<Vec<u8>>), ToolError> {
    let failed = |why: String| ToolError::failed(format!("Cannot open {shown}: {why}"));
    let facts = spot.facts().map_err(|error| failed(error.to_string()))?;
    match facts.kind {
        Kind::Missing => return Ok((facts, None)),
        Kind::Folder => return Err(failed("it is a folder, not a file".into())),
        Kind::Other => return Err(failed("it is not a regular file".into())),
        Kind::File => {}
    }
    if facts.bytes > TEXT_BYTES_MAX {
        return Err(failed(format!(
            "it has {} bytes, and {TEXT_BYTES_MAX} is the limit for changes",
            facts.bytes
        )));
    }
    let mut bytes = Vec::with_capacity(facts.bytes as usize + 1);
    let file = spot.open().map_err(|error| failed(error.to_string()))?;
    file.take(TEXT_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| failed(error.to_string()))?;
    if bytes.len() as u64 > TEXT_BYTES_MAX {
        return Err(failed(format!("it grew over {TEXT_BYTES_MAX} bytes")));
    }
    Ok((facts, Some(bytes)))
}

/// Whether a place lies in the data of a bare repository, or makes a folder one: git takes a folder for a repository by
/// its `HEAD`, whatever it is called.
fn is_in_repository(spot: &dyn Spot) -> bool {
    let name = spot.real().file_name();
    name.is_some_and(|name| name.eq_ignore_ascii_case("HEAD")) || spot.has_above("HEAD")
}
