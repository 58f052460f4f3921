//! Gets a newer list, at most once an hour, and keeps it packed in the cache folder.

use super::{Catalog, CatalogError};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the list is served: the default for `KILO_MODELS_URL`.
pub const URL: &str = "https://models.dev/api.json";

/// The cache file's name in the cache folder.
pub const CACHE_FILE: &str = "models.bin";

/// Milliseconds that a cached list counts as new.
pub const FRESH_MS: u64 = 3_600_000;

/// Milliseconds for the whole download.
const FETCH_MS: u64 = 30_000;

/// The most bytes of a download.
const FETCH_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Where lists come from. All of it is the caller's to decide; nothing is read from the environment.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// A file that replaces every other source (`KILO_MODELS_PATH`).
    pub path: Option<PathBuf>,
    /// Where a newer list is served (`KILO_MODELS_URL`); a base address gets `/api.json` at its end. `None` is [`URL`].
    pub url: Option<String>,
    /// Never ask the network (`KILO_DISABLE_MODELS_FETCH`).
    pub offline: bool,
    /// The cache folder; `None` keeps nothing.
    pub cache: Option<PathBuf>,
}

impl Source {
    /// The best list that is at hand without the network: the file, else the cached list, else the compiled-in one.
    /// Blocks on the disk for the first two.
    pub fn load(&self) -> Catalog {
        let cached = self.cache.as_ref().map(|folder| folder.join(CACHE_FILE));
        for path in [self.path.as_ref(), cached.as_ref()]
            .into_iter()
            .flatten()
            .filter(|path| path.exists())
        {
            match Catalog::from_path(path) {
                Ok(catalog) => return catalog,
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "catalogue is left out")
                }
            }
        }
        Catalog::builtin()
    }

    /// Fetches a newer list if the cached one is older than an hour, and caches it. `now_ms` is since 1970.
    ///
    /// `None` if nothing was to do: a file is set, the network is off, or the cached list is new.
    pub async fn refresh(&self, now_ms: u64) -> Result<Option<Catalog>, CatalogError> {
        if self.offline || self.path.is_some() || self.is_fresh(now_ms) {
            return Ok(None);
        }
        let json = fetch(&self.address()).await?;
        let folder = self.cache.clone();
        let packed = tokio::task::spawn_blocking(move || keep(json, folder.as_deref()));
        packed
            .await
            .map_err(|error| CatalogError::Fetch(error.to_string()))?
            .map(Some)
    }

    fn address(&self) -> String {
        match &self.url {
            None => URL.into(),
            Some(url) if url.ends_with(".json") => url.clone(),
            Some(url) => format!("{}/api.json", url.trim_end_matches('/')),
        }
    }

    fn is_fresh(&self, now_ms: u64) -> bool {
        let Some(folder) = &self.cache else {
            return false;
        };
        let modified = std::fs::metadata(folder.join(CACHE_FILE)).and_then(|file| file.modified());
        let since = modified
            .ok()
            .and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        since.is_some_and(|since| now_ms.abs_diff(since.as_millis() as u64) < FRESH_MS)
    }
}

/// Packs a list and puts it in the cache folder, whole or not at all.
fn keep(json: Vec<u8>, folder: Option<&Path>) -> Result<Catalog, CatalogError> {
    let catalog = Catalog::from_bytes(json)?;
    if catalog.provider_ids().next().is_none() {
        return Err(CatalogError::Damaged("it has no providers"));
    }
    if let Some(folder) = folder {
        std::fs::create_dir_all(folder)?;
        let unfinished = folder.join(format!("{CACHE_FILE}.{}.tmp", std::process::id()));
        std::fs::write(&unfinished, catalog.as_bytes())?;
        std::fs::rename(&unfinished, folder.join(CACHE_FILE))?;
    }
    Ok(catalog)
}

async fn fetch(url: &str) -> Result<Vec<u8>, CatalogError> {
    let failed = |error: reqwest::Error| CatalogError::Fetch(error.to_string());
    let http = crate::net::Http::default();
    let client = http
        .for_url(url)
        .map_err(|error| CatalogError::Fetch(error.message))?;
    let request = client
        .get(url)
        .timeout(Duration::from_millis(FETCH_MS))
        .send();
    let mut response = request
        .await
        .and_then(reqwest::Response::error_for_status)
        .map_err(failed)?;
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(failed)? {
        if body.len() + piece.len() > FETCH_BYTES_MAX {
            return Err(CatalogError::Damaged("it is too large"));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}
