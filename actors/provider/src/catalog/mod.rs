//! The public list of providers and models (models.dev), compiled in compressed and read one provider at a time.

mod pack;
pub mod refresh;
mod types;

pub use pack::{CatalogError, pack};
pub use types::{Cost, Head, Interleaved, Limit, Modalities, Model, ModelProvider, Provider, Tier};

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

/// The list that was current when this version was built; see `data/README.md`.
static BUILTIN: &[u8] = include_bytes!("../../data/catalog.bin");

/// A packed catalogue. It holds the compressed bytes only; each look-up inflates what it needs and keeps nothing.
#[derive(Clone, Debug)]
pub struct Catalog {
    packed: pack::Packed<Cow<'static, [u8]>>,
}

impl Catalog {
    /// The compiled-in list. Costs nothing.
    pub fn builtin() -> Self {
        // A damaged list would be a damaged program; it then behaves as an empty one.
        Self {
            packed: pack::Packed::open(Cow::Borrowed(BUILTIN)).unwrap_or_default(),
        }
    }

    /// A list without providers.
    pub fn empty() -> Self {
        Self {
            packed: pack::Packed::default(),
        }
    }

    /// Reads a list in the packed form or as the JSON that models.dev serves.
    ///
    /// Errors: bytes that are neither.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, CatalogError> {
        let packed = if pack::is_packed(&bytes) {
            bytes
        } else {
            pack(&bytes)?
        };
        Ok(Self {
            packed: pack::Packed::open(Cow::Owned(packed))?,
        })
    }

    /// Reads a list from a file; see [`Catalog::from_bytes`]. Blocks on the disk.
    pub fn from_path(path: &Path) -> Result<Self, CatalogError> {
        let length = std::fs::metadata(path)?.len();
        if length > pack::INFLATED_BYTES_MAX as u64 {
            return Err(CatalogError::Damaged("the file is too large"));
        }
        Self::from_bytes(std::fs::read(path)?)
    }

    /// The packed bytes, for a cache file.
    pub fn as_bytes(&self) -> &[u8] {
        self.packed.bytes()
    }

    /// The ids of all providers, sorted.
    pub fn provider_ids(&self) -> impl Iterator<Item = &str> {
        self.packed.ids()
    }

    /// One provider with its models; `None` for an id that the list does not know.
    pub fn provider(&self, id: &str) -> Option<Provider> {
        let json = self.packed.entry(id)?;
        serde_json::from_slice(&json)
            .inspect_err(|error| tracing::warn!(provider = id, %error, "catalogue entry"))
            .ok()
    }

    /// What all providers are called and which variables hold their keys, without models.
    pub fn heads(&self) -> BTreeMap<String, Head> {
        self.packed
            .heads()
            .and_then(|json| serde_json::from_slice(&json).ok())
            .unwrap_or_default()
    }

    /// All providers with their models, one after the other: only one is in memory at a time.
    pub fn all(&self) -> impl Iterator<Item = Provider> {
        self.provider_ids().filter_map(|id| self.provider(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiled_in_list_is_whole() {
        let catalog = Catalog::builtin();
        let ids: Vec<&str> = catalog.provider_ids().collect();
        assert!(
            ids.is_sorted() && ids.len() >= 132,
            "{} providers",
            ids.len()
        );
        assert_eq!(
            catalog.all().count(),
            ids.len(),
            "each provider can be read"
        );
        assert!(
            catalog
                .all()
                .map(|provider| provider.models.len())
                .sum::<usize>()
                >= 4_803
        );
        assert!(
            catalog.as_bytes().len() < 300_000,
            "{} bytes",
            catalog.as_bytes().len()
        );
        assert_eq!(catalog.heads().len(), ids.len());
    }

    #[test]
    fn one_provider_is_read_by_its_id() {
        let catalog = Catalog::builtin();
        let claude = &catalog.provider("anthropic").unwrap().models["claude-3-5-haiku-20241022"];
        assert_eq!(
            (claude.limit.context, claude.limit.output),
            (200_000, 8_192)
        );
        assert_eq!(
            (
                claude.cost.input,
                claude.cost.output,
                claude.cost.cache_read
            ),
            (0.8, 4.0, Some(0.08))
        );
        assert_eq!(claude.modalities.input, ["text", "image", "pdf"]);
        assert!(claude.tool_call && claude.attachment && !claude.reasoning);
        assert!(catalog.provider("no-such-provider").is_none());
        assert_eq!(catalog.heads()["anthropic"].env, ["ANTHROPIC_API_KEY"]);
    }

    #[test]
    fn other_lists_are_read_packed_and_plain_and_damage_is_noticed() {
        let json = br#"{"b":{"id":"b","name":"B","env":[],"npm":"x","models":{"m":{"id":"m","name":"M","interleaved":true,"new_field":1}}},"a":{"id":"a"}}"#;
        let plain = Catalog::from_bytes(json.to_vec()).unwrap();
        let packed = Catalog::from_bytes(plain.as_bytes().to_vec()).unwrap();
        assert_eq!(packed.provider_ids().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(packed.provider("b").unwrap().models["m"].name, "M");
        assert!(Catalog::from_bytes(b"not json".to_vec()).is_err());
        assert!(Catalog::from_bytes(b"[]".to_vec()).is_err());
        for length in 0..plain.as_bytes().len() {
            if let Ok(short) = Catalog::from_bytes(plain.as_bytes()[..length].to_vec()) {
                assert!(short.provider("b").is_none(), "cut at {length}");
            }
        }
    }
}
