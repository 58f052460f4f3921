//! Sign-ins on the disk: a file for each server and address, its owner's alone.

use serde::{Deserialize, Serialize};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use tokio::task::spawn_blocking;

/// Bytes of a file.
const FILE_BYTES_MAX: u64 = 256 << 10;

/// What is kept of a sign-in.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ticket {
    /// The server's name, for people.
    pub server: String,
    /// Its address: another one gets no token of this.
    pub url: String,
    /// The client that the server knows us as.
    pub client_id: Option<String>,
    /// Its secret, where there is one.
    pub client_secret: Option<String>,
    /// The address that the client was registered with.
    pub redirect_uri: Option<String>,
    /// Who gave the token out.
    pub issuer: Option<String>,
    /// Where tokens are renewed.
    pub token_endpoint: Option<String>,
    /// How the client shows its secret there: in the body, or as Basic credentials.
    pub secret_in_body: bool,
    /// The token.
    pub access_token: Option<String>,
    /// Gets another one.
    pub refresh_token: Option<String>,
}

/// The folder of sign-ins.
#[derive(Clone, Debug)]
pub struct Vault {
    folder: PathBuf,
}

impl Vault {
    /// Sign-ins below `folder`, which need not exist.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    fn path(&self, server: &str, url: &str) -> PathBuf {
        let hash = blake3::hash(format!("{server}\0{url}").as_bytes()).to_hex();
        self.folder.join(format!("{}.json", &hash[..32]))
    }

    /// What is kept for a server at an address.
    pub async fn read(&self, server: &str, url: &str) -> Option<Ticket> {
        let path = self.path(server, url);
        let read = spawn_blocking(move || {
            let size = std::fs::metadata(&path).ok()?.len();
            let text = (size <= FILE_BYTES_MAX).then(|| std::fs::read(&path).ok())??;
            serde_json::from_slice::<Ticket>(&text).ok()
        });
        let ticket = read.await.ok()??;
        (ticket.server == server && ticket.url == url).then_some(ticket)
    }

    /// Keeps a sign-in.
    pub async fn write(&self, server: &str, url: &str, mut ticket: Ticket) -> std::io::Result<()> {
        ticket.server = server.to_owned();
        ticket.url = url.to_owned();
        let (folder, path) = (self.folder.clone(), self.path(server, url));
        let text = serde_json::to_vec_pretty(&ticket).map_err(std::io::Error::other)?;
        let written = spawn_blocking(move || save(&folder, &path, &text));
        written.await.map_err(std::io::Error::other)?
    }

    /// Forgets a sign-in. False if there was none.
    pub async fn remove(&self, server: &str, url: &str) -> bool {
        let path = self.path(server, url);
        let removed = spawn_blocking(move || std::fs::remove_file(path).is_ok());
        removed.await.unwrap_or(false)
    }
}

/// Writes beside and renames: whoever reads meanwhile gets the old one whole.
fn save(folder: &Path, path: &Path, text: &[u8]) -> std::io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let beside = path.with_extension(format!("{:08x}", rand::random::<u32>()));
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?;
    let written = file
        .write_all(text)
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written
}
