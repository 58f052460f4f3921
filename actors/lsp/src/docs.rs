//! The documents that a server has open: what it was last told of each, and how that differs from the disk.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Documents that are open at a server at once; the one that was not used for longest is closed.
pub const OPEN_MAX: usize = 64;
/// Bytes of a document.
pub const DOCUMENT_BYTES_MAX: u64 = 4 << 20;

/// What a server was told.
#[derive(Default)]
pub struct Docs {
    open: HashMap<PathBuf, Doc>,
    uses: u64,
}

struct Doc {
    version: i64,
    stamp: Stamp,
    hash: u64,
    used: u64,
}

/// A file's time and length.
pub type Stamp = (Option<SystemTime>, u64);

/// A file as it is on the disk.
pub struct Text {
    /// Its text; what is not UTF-8 is replaced.
    pub text: String,
    /// When it was read.
    pub stamp: Stamp,
    hash: u64,
}

/// What has to be told of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// It is open and as told.
    Nothing(i64),
    /// It has to be opened as this version.
    Open(i64),
    /// It is open and another now.
    Change(i64),
}

impl Docs {
    /// Takes in what a file is now; what has to be told, and the document that has to be closed to make room.
    pub fn take(&mut self, path: &Path, text: &Text) -> (Telling, Option<PathBuf>) {
        self.uses += 1;
        let used = self.uses;
        if let Some(doc) = self.open.get_mut(path) {
            doc.used = used;
            doc.stamp = text.stamp;
            if doc.hash == text.hash {
                return (Telling::Nothing(doc.version), None);
            }
            doc.hash = text.hash;
            doc.version += 1;
            return (Telling::Change(doc.version), None);
        }
        let mut closed = None;
        if self.open.len() >= OPEN_MAX {
            let oldest = self.open.iter().min_by_key(|(_, doc)| doc.used);
            closed = oldest.map(|(path, _)| path.clone());
            self.open.retain(|path, _| Some(path) != closed.as_ref());
        }
        let doc = Doc {
            version: 1,
            stamp: text.stamp,
            hash: text.hash,
            used,
        };
        self.open.insert(path.to_owned(), doc);
        (Telling::Open(1), closed)
    }

    /// Forgets a document. False when it was not open.
    pub fn close(&mut self, path: &Path) -> bool {
        self.open.remove(path).is_some()
    }

    /// Every open document with its stamp, the one that was used last first.
    pub fn stamps(&self) -> Vec<(PathBuf, Stamp)> {
        let mut open: Vec<_> = self.open.iter().collect();
        open.sort_by_key(|(_, doc)| std::cmp::Reverse(doc.used));
        let stamps = open
            .into_iter()
            .map(|(path, doc)| (path.clone(), doc.stamp));
        stamps.collect()
    }
}

/// A file's stamp; an error when it is gone. Blocks on the disk.
pub fn stamp(path: &Path) -> io::Result<Stamp> {
    let facts = std::fs::metadata(path)?;
    if !facts.is_file() {
        return Err(io::Error::other("not a file"));
    }
    Ok((facts.modified().ok(), facts.len()))
}

/// Reads a file. Blocks on the disk. Errors: also for one of more than [`DOCUMENT_BYTES_MAX`].
pub fn read(path: &Path) -> io::Result<Text> {
    let stamp = stamp(path)?;
    if stamp.1 > DOCUMENT_BYTES_MAX {
        return Err(io::Error::other("too large for a language server"));
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(DOCUMENT_BYTES_MAX)
        .read_to_end(&mut bytes)?;
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    };
    Ok(Text {
        text,
        stamp,
        hash: hasher.finish(),
    })
}

#[cfg(test)]
mod tests {
    use super::{Docs, OPEN_MAX, Telling, read};
    use std::path::Path;

    #[test]
    fn versions_rise_with_each_change_and_only_then() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let mut docs = Docs::default();
        let mut tell = |text: &str| {
            std::fs::write(&path, text).unwrap();
            docs.take(&path, &read(&path).unwrap()).0
        };
        assert_eq!(tell("a"), Telling::Open(1));
        assert_eq!(tell("a"), Telling::Nothing(1));
        assert_eq!(tell("b"), Telling::Change(2));
        assert_eq!(tell("a"), Telling::Change(3));
        assert!(docs.close(&path) && !docs.close(&path));
        let text = read(&path).unwrap();
        for number in 0..OPEN_MAX {
            let name = format!("/{number}");
            assert_eq!(docs.take(Path::new(&name), &text), (Telling::Open(1), None));
        }
        docs.take(Path::new("/0"), &text);
        let (_, closed) = docs.take(Path::new("/new"), &text);
        assert_eq!(closed.as_deref(), Some(Path::new("/1")));
    }
}
