//! Large values by their content: `blobs/ab/ab12…`, the name is the BLAKE3 hash in hex.

use crate::files::{self, sync_folder};
use crate::folder::{unreadable, write_error};
use bytes::Bytes;
use kilo_ports::store::StoreError;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The folder of blobs.
pub(crate) struct Blobs {
    root: PathBuf,
    temp: AtomicU64,
}

impl Blobs {
    /// Takes the folder; what a killed daemon left half-written goes.
    pub(crate) fn open(root: &Path) -> Self {
        let _ = fs::remove_dir_all(root.join("tmp"));
        Self {
            root: root.to_owned(),
            temp: AtomicU64::new(0),
        }
    }

    /// Keeps `body`; it is on the disk when this returns.
    pub(crate) fn put(&self, body: &[u8]) -> Result<String, StoreError> {
        let name = blake3::hash(body).to_hex().to_string();
        let path = self.path(&name);
        if fs::metadata(&path).is_ok_and(|meta| meta.len() == body.len() as u64) {
            return Ok(name);
        }
        self.write(&path, body).map_err(write_error)?;
        Ok(name)
    }

    /// Reads a blob. One that does not fit its name is damaged, and an error.
    pub(crate) fn get(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if name.len() != 64 || !name.bytes().all(hex) {
            return Ok(None);
        }
        let path = self.path(name);
        let body = match fs::read(&path) {
            Ok(body) => body,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(unreadable(&path, source)),
        };
        if blake3::hash(&body).to_hex().as_str() != name {
            let source =
                io::Error::new(io::ErrorKind::InvalidData, "content does not fit its name");
            return Err(unreadable(&path, source));
        }
        Ok(Some(body.into()))
    }

    /// Bytes of all blobs.
    pub(crate) fn bytes(&self) -> u64 {
        files::bytes_under(&self.root)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(&name[..2]).join(name)
    }

    fn write(&self, path: &Path, body: &[u8]) -> io::Result<()> {
        let temp = self
            .root
            .join("tmp")
            .join(self.temp.fetch_add(1, Ordering::Relaxed).to_string());
        let folder = path.parent().unwrap_or(&self.root);
        files::make_folder(&self.root.join("tmp"))?;
        let is_new = !folder.exists();
        files::make_folder(folder)?;
        let written = files::create(&temp).and_then(|mut file| {
            file.write_all(body)?;
            file.sync_all()?;
            fs::rename(&temp, path)?;
            sync_folder(folder)?;
            if is_new {
                sync_folder(&self.root)
            } else {
                Ok(())
            }
        });
        if written.is_err() {
            let _ = fs::remove_file(&temp);
        }
        written
    }
}
