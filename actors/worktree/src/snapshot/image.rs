//! Files kept one by one: what a tool is about to write, whatever git ignores.
//!
//! An image is a word: `file:none`, or `file:KIND:OID` with the blob in the shadow repository.

use super::paths::resolved;
use super::workers::failed;
use super::worktree::Worktree;
use crate::beneath::{Beneath, Content, Found, Kind};
use git2::{ObjectType, OdbLookupFlags, Oid, Repository};
use kilo_ports::checkpoint::{CheckpointError, WhyLeft};
use std::path::Path;

const NONE: &str = "file:none";

/// Keeps `file` as it is now. Does not wait for a walk: blobs are written beside it.
pub(super) fn keep(
    worktree: &Worktree,
    file: &Path,
    bytes_max: u64,
) -> Result<String, CheckpointError> {
    let path = resolved(&worktree.checkout.root, file).map_err(CheckpointError::NotKept)?;
    let beneath = Beneath::open(&worktree.checkout.root).map_err(failed)?;
    let content = match beneath.look(&path, bytes_max) {
        Ok(Found::File(content)) => content,
        Ok(Found::Nothing) => return Ok(NONE.into()),
        Ok(Found::Folder | Found::Behind(_)) => {
            return Err(CheckpointError::NotKept(WhyLeft::Special));
        }
        Err(error) => return Err(CheckpointError::NotKept(why_unreadable(&error, file))),
    };
    worktree.store()?.read(|repo| {
        let oid = Oid::hash_object(ObjectType::Blob, &content.bytes).map_err(failed)?;
        let odb = repo.odb().map_err(failed)?;
        if !odb.exists_ext(oid, OdbLookupFlags::NO_REFRESH) {
            let store = worktree.store()?;
            let writer = store.writer()?;
            store.put(
                &writer.odb().map_err(failed)?,
                ObjectType::Blob,
                &content.bytes,
            )?;
        }
        Ok(format!("file:{}:{oid}", letter(content.kind)))
    })
}

/// Why a file that is there was not read.
fn why_unreadable(error: &std::io::Error, file: &Path) -> WhyLeft {
    let Ok(about) = file.symlink_metadata() else {
        return WhyLeft::Unreadable;
    };
    match error.kind() {
        std::io::ErrorKind::InvalidInput if about.is_file() => WhyLeft::TooLarge,
        std::io::ErrorKind::InvalidInput => WhyLeft::Special,
        _ => WhyLeft::Unreadable,
    }
}

/// What `image` holds; `None` within for a file that was not there.
pub(super) fn content(repo: &Repository, image: &str) -> Result<Option<Content>, WhyLeft> {
    if image == NONE {
        return Ok(None);
    }
    let (kind, oid) = parse(image).ok_or(WhyLeft::Unreadable)?;
    let blob = repo.find_blob(oid).map_err(|_| WhyLeft::Unreadable)?;
    Ok(Some(Content {
        kind,
        bytes: blob.content().to_vec(),
    }))
}

/// The blob that `image` names.
pub(super) fn blob(image: &str) -> Option<Oid> {
    parse(image).map(|(_, oid)| oid)
}

fn parse(image: &str) -> Option<(Kind, Oid)> {
    let (kind, oid) = image.strip_prefix("file:")?.split_once(':')?;
    let kind = [Kind::Plain, Kind::Executable, Kind::Link]
        .into_iter()
        .find(|known| letter(*known) == kind)?;
    Some((kind, Oid::from_str(oid).ok()?))
}

fn letter(kind: Kind) -> &'static str {
    match kind {
        Kind::Plain => "plain",
        Kind::Executable => "executable",
        Kind::Link => "link",
    }
}
