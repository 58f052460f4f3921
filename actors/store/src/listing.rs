//! Which files the log consists of: listed, named as their headers say, one generation each.

use crate::damage::Broken;
use crate::files::make_folder;
use crate::folder::{LogFolders, unreadable};
use crate::meta::SegmentInfo;
use crate::segment::{Header, Segment, file_name, parse_name};
use kilo_ports::store::StoreError;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Number to generation and bytes of the file.
pub(crate) type Files = BTreeMap<u32, (u32, u64)>;

/// A file on its way to its right name.
const MOVING: &str = "moving";

/// The segment files below `log`. Left-over temporary files go; links and folders are not segments.
pub(crate) fn list(
    folders: &LogFolders,
    catalog: &BTreeMap<u32, SegmentInfo>,
) -> Result<Files, StoreError> {
    let mut found = Vec::new();
    for path in paths(&folders.log).map_err(|source| unreadable(&folders.log, source))? {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let meta = fs::symlink_metadata(&path).map_err(|source| unreadable(&path, source))?;
        match parse_name(name) {
            Some((number, generation)) if meta.is_file() => {
                found.push((number, generation, meta.len()));
            }
            Some(_) => tracing::warn!(path = %path.display(), "no plain file, hence no segment"),
            None if name.ends_with(".tmp") => {
                let _ = fs::remove_file(&path);
            }
            None => {}
        }
    }
    found.sort_unstable();
    Ok(one_generation(&folders.log, found, catalog))
}

fn paths(log: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(log)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect()
}

/// Where a rewriting was cut short, two generations of a segment are there; both are whole. The index says which one
/// it knows; without it the newer stays, unless that one is broken.
fn one_generation(
    log: &Path,
    listed: Vec<(u32, u32, u64)>,
    catalog: &BTreeMap<u32, SegmentInfo>,
) -> Files {
    let mut files = Files::new();
    for (number, generation, bytes) in listed {
        let Some((other, _)) = files.get(&number).copied() else {
            files.insert(number, (generation, bytes));
            continue;
        };
        let known = catalog.get(&number).map(|info| info.generation);
        let keep_other = known == Some(other) || !is_whole(log, number, generation, bytes);
        let goes = if keep_other { generation } else { other };
        if !keep_other {
            files.insert(number, (generation, bytes));
        }
        let _ = fs::remove_file(log.join(file_name(number, goes)));
    }
    files
}

/// Whether a rewritten segment is as it was when it got its name.
fn is_whole(log: &Path, number: u32, generation: u32, bytes: u64) -> bool {
    let header = Segment::existing(log, number, generation, 0).header();
    header.is_ok_and(|header| {
        header.is_some_and(|header| header.sealed == 0 || header.sealed == bytes)
    })
}

/// Gives every file whose header names another segment than its name does its right name, if that is free; a copy that
/// stands in another segment's place goes to `damaged/` and is reported. Swapped files would otherwise be read in the
/// wrong order, and records that seem to be repeated are left out.
pub(crate) fn put_in_order(folders: &LogFolders) -> Result<Vec<Broken>, StoreError> {
    let log = &folders.log;
    let unreadable = |source| unreadable(log, source);
    let mut misplaced = Vec::new();
    for path in paths(log).map_err(unreadable)? {
        let named = path.file_name().and_then(|name| name.to_str());
        let named = named.map(|name| (parse_name(name), name.ends_with(MOVING)));
        let Some((Some(_), _) | (None, true)) = named else {
            continue;
        };
        let header = header_of(&path);
        let right = header.map(|header| log.join(file_name(header.number, header.generation)));
        if let Some(right) = right.filter(|right| *right != path) {
            misplaced.push((path, right));
        }
    }
    // All of them leave their places first, for they may be in each other's.
    let mut moving = Vec::new();
    for (path, right) in misplaced {
        let aside = path.with_extension(MOVING);
        fs::rename(&path, &aside).map_err(unreadable)?;
        moving.push((path, aside, right));
    }
    let mut broken = Vec::new();
    for (path, aside, right) in moving {
        if !right.exists() {
            tracing::warn!(from = %path.display(), to = %right.display(), "segment had a wrong name");
            fs::rename(&aside, &right).map_err(unreadable)?;
        } else {
            broken.push(set_aside(folders, path, &aside));
        }
    }
    Ok(broken)
}

fn header_of(path: &Path) -> Option<Header> {
    let plain = fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file());
    let segment = Segment::at(path.to_owned(), 0, 0, 0);
    plain.then(|| segment.header().ok().flatten()).flatten()
}

fn set_aside(folders: &LogFolders, path: PathBuf, aside: &Path) -> Broken {
    let bytes = fs::metadata(aside).map_or(0, |meta| meta.len());
    let name = path.file_name().unwrap_or_default();
    let kept =
        make_folder(&folders.damaged).and_then(|()| fs::rename(aside, folders.damaged.join(name)));
    if let Err(error) = kept {
        tracing::warn!(%error, path = %aside.display(), "a copy of a segment was not put aside");
    }
    Broken {
        file: path,
        bytes,
        what: "a copy of another segment stood in this one's place".into(),
        ..Broken::default()
    }
}
