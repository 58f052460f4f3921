//! The packed form of a list: an index, then each provider deflated by itself.
//!
//! ```text
//! "KILOCAT1"                                   8 bytes
//! heads: offset, length                        2 × u32 (little endian, as all numbers)
//! count                                        u32
//! count × { id length u16, id, offset u32, length u32 }, sorted by id
//! deflated JSON of the heads and of each provider
//! ```

use flate2::Compression;
use flate2::read::{DeflateDecoder, DeflateEncoder};
use serde_json::{Map, Value};
use std::io::Read;

const MAGIC: &[u8; 8] = b"KILOCAT1";

/// The most bytes that a list or one part of it may inflate to.
pub const INFLATED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The most providers in a list.
const PROVIDERS_MAX: usize = 10_000;

/// A list cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The file cannot be read.
    #[error("the catalogue cannot be read")]
    Io(#[from] std::io::Error),
    /// The bytes are no JSON object of providers.
    #[error("the catalogue is no JSON of providers")]
    Json(#[from] serde_json::Error),
    /// The packed form is damaged.
    #[error("the catalogue is damaged: {0}")]
    Damaged(&'static str),
    /// The address cannot be asked.
    #[error("the catalogue cannot be fetched: {0}")]
    Fetch(String),
}

/// Whether `bytes` begin like the packed form.
pub fn is_packed(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Packs the JSON that models.dev serves: an object of providers by id.
///
/// Errors: no such object; nothing in it that looks like a provider.
pub fn pack(json: &[u8]) -> Result<Vec<u8>, CatalogError> {
    let providers: std::collections::BTreeMap<String, Map<String, Value>> =
        serde_json::from_slice(json)?;
    if providers.len() > PROVIDERS_MAX {
        return Err(CatalogError::Damaged("it has too many providers"));
    }
    let (mut index, mut heads) = (Vec::new(), Map::new());
    let mut blobs = Vec::new();
    for (id, mut provider) in providers {
        let blob = deflate(&serde_json::to_vec(&provider)?)?;
        provider.remove("models");
        index.push((id.clone(), blob.len()));
        heads.insert(id, provider.into());
        blobs.extend(blob);
    }
    let heads = deflate(&serde_json::to_vec(&heads)?)?;
    Ok(assemble(&index, &heads, &blobs))
}

fn assemble(index: &[(String, usize)], heads: &[u8], blobs: &[u8]) -> Vec<u8> {
    let index_bytes: usize = index.iter().map(|(id, _)| 2 + id.len() + 8).sum();
    let mut offset = MAGIC.len() + 12 + index_bytes;
    let mut out = MAGIC.to_vec();
    let number = |out: &mut Vec<u8>, n: usize| out.extend((n as u32).to_le_bytes());
    number(&mut out, offset);
    number(&mut out, heads.len());
    number(&mut out, index.len());
    offset += heads.len();
    for (id, length) in index {
        out.extend((id.len() as u16).to_le_bytes());
        out.extend(id.as_bytes());
        number(&mut out, offset);
        number(&mut out, *length);
        offset += length;
    }
    out.extend(heads);
    out.extend(blobs);
    out
}

fn deflate(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    DeflateEncoder::new(bytes, Compression::best()).read_to_end(&mut out)?;
    Ok(out)
}

fn inflate(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len() * 8);
    let most = INFLATED_BYTES_MAX as u64;
    let read = DeflateDecoder::new(bytes)
        .take(most)
        .read_to_end(&mut out)
        .ok()?;
    ((read as u64) < most).then_some(out)
}

/// An opened list: the bytes, and where each part lies in them.
#[derive(Clone, Debug, Default)]
pub(super) struct Packed<B> {
    bytes: B,
    heads: (usize, usize),
    /// Id, offset and length; sorted by id.
    index: Vec<(Box<str>, usize, usize)>,
}

impl<B: AsRef<[u8]>> Packed<B> {
    pub fn open(bytes: B) -> Result<Self, CatalogError> {
        let (heads, index) =
            read_index(bytes.as_ref()).ok_or(CatalogError::Damaged("its index is cut off"))?;
        if !index.is_sorted_by(|a, b| a.0 < b.0) {
            return Err(CatalogError::Damaged("its index is not sorted"));
        }
        Ok(Self {
            bytes,
            heads,
            index,
        })
    }

    pub fn bytes(&self) -> &[u8] {
        self.bytes.as_ref()
    }

    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.index.iter().map(|(id, ..)| &**id)
    }

    /// The JSON of one provider.
    pub fn entry(&self, id: &str) -> Option<Vec<u8>> {
        let at = self
            .index
            .binary_search_by(|(known, ..)| (**known).cmp(id))
            .ok()?;
        let (_, offset, length) = self.index[at];
        inflate(self.part(offset, length)?)
    }

    /// The JSON of all providers without their models.
    pub fn heads(&self) -> Option<Vec<u8>> {
        inflate(self.part(self.heads.0, self.heads.1)?)
    }

    fn part(&self, offset: usize, length: usize) -> Option<&[u8]> {
        self.bytes().get(offset..offset.checked_add(length)?)
    }
}

type Index = Vec<(Box<str>, usize, usize)>;

fn read_index(bytes: &[u8]) -> Option<((usize, usize), Index)> {
    let mut rest = bytes.strip_prefix(MAGIC)?;
    let heads = (number(&mut rest)?, number(&mut rest)?);
    let count = number(&mut rest).filter(|count| *count <= PROVIDERS_MAX)?;
    let mut index = Vec::with_capacity(count);
    for _ in 0..count {
        let (length, tail) = rest.split_first_chunk::<2>()?;
        let (id, tail) = tail.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        rest = tail;
        index.push((
            std::str::from_utf8(id).ok()?.into(),
            number(&mut rest)?,
            number(&mut rest)?,
        ));
    }
    Some((heads, index))
}

fn number(rest: &mut &[u8]) -> Option<usize> {
    let (number, tail) = rest.split_first_chunk::<4>()?;
    *rest = tail;
    Some(u32::from_le_bytes(*number) as usize)
}
