//! What a place holds: text, a folder, something to attach, something to refuse.

use crate::text::encoding::{self, Format};
use kilo_ports::files::{self, Spot};
use kilo_ports::tool::ToolError;
use kilo_protocol::data_url;
use std::io::{Cursor, ErrorKind, Read};
use std::path::Path;

/// Bytes that decide the encoding.
const SAMPLE_BYTES: u64 = 64 * 1024;
/// Bytes that decide whether a file is binary.
const BINARY_SAMPLE_BYTES: usize = 4_096;
/// Percent of control bytes from which a file is binary.
const CONTROL_PERCENT_MAX: usize = 30;
/// The largest attachment.
const ATTACHMENT_BYTES_MAX: u64 = 10 * 1024 * 1024;

const BINARY_ENDINGS: [&str; 34] = [
    "zip", "tar", "gz", "bz2", "xz", "zst", "7z", "rar", "exe", "dll", "so", "dylib", "class",
    "jar", "war", "doc", "docx", "xls", "xlsx", "ppt", "pptx", "odt", "ods", "odp", "bin", "dat",
    "obj", "o", "a", "lib", "wasm", "pyc", "pyo", "sqlite",
];

/// What a place holds.
pub(super) enum Kind {
    Missing,
    Folder,
    /// An image that models take, or a PDF.
    Attachment {
        mime: &'static str,
        bytes: Vec<u8>,
    },
    /// A text, from its beginning.
    Text {
        format: Format,
        file: Box<dyn Read + Send>,
    },
}

/// Looks at the file's facts, its ending and its first bytes. It is opened once, so that all of them are of one file.
pub(super) fn of(spot: &dyn Spot, shown: &str) -> Result<Kind, ToolError> {
    let failed = |error: std::io::Error| ToolError::failed(format!("Cannot read {shown}: {error}"));
    let facts = match spot.facts() {
        Ok(facts) => facts,
        Err(error) if error.kind() == ErrorKind::NotADirectory => return Ok(Kind::Missing),
        Err(error) => return Err(failed(error)),
    };
    match facts.kind {
        files::Kind::Missing => return Ok(Kind::Missing),
        files::Kind::Folder => return Ok(Kind::Folder),
        files::Kind::Other => {
            return Err(ToolError::failed(format!(
                "Cannot read {shown}: it is not a regular file"
            )));
        }
        files::Kind::File => {}
    }
    let mut file = spot.open().map_err(failed)?;
    let mut sample = Vec::new();
    (&mut file)
        .take(SAMPLE_BYTES)
        .read_to_end(&mut sample)
        .map_err(failed)?;
    if let Some(mime) = data_url::shown_type(&sample) {
        if facts.bytes > ATTACHMENT_BYTES_MAX {
            return Err(ToolError::failed(format!(
                "Cannot attach {shown}: it has {} bytes, and {ATTACHMENT_BYTES_MAX} is the limit",
                facts.bytes
            )));
        }
        let mut bytes = sample;
        file.take(ATTACHMENT_BYTES_MAX - bytes.len() as u64)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        return Ok(Kind::Attachment { mime, bytes });
    }
    let format = encoding::detect(&sample);
    if is_binary(spot.real(), &sample, format) {
        return Err(ToolError::failed(format!(
            "Cannot read binary file: {shown}"
        )));
    }
    let file = Box::new(Cursor::new(sample).chain(file));
    Ok(Kind::Text { format, file })
}

fn is_binary(path: &Path, sample: &[u8], format: Format) -> bool {
    let ending = path
        .extension()
        .map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    if ending.is_some_and(|ending| BINARY_ENDINGS.contains(&ending.as_str())) {
        return true;
    }
    if format.bom {
        return false;
    }
    let sample = &sample[..sample.len().min(BINARY_SAMPLE_BYTES)];
    let control = |byte: &&u8| matches!(byte, 0..=8 | 14..=31);
    sample.contains(&0)
        || sample.iter().filter(control).count() * 100 > sample.len() * CONTROL_PERCENT_MAX
}
