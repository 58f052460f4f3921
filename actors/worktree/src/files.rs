//! Lists folders and reads files for people, in the shapes of the `/file` routes.
//!
//! Everything here blocks. Nothing outside of the project is shown: the project is the directory and the worktree
//! around it.

use crate::place::Place;
use crate::{patch, vcs};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use git2::{DiffOptions, Patch, Repository};
use serde::Serialize;
use std::cmp::Ordering;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

/// Entries of one folder.
const ENTRIES_MAX: usize = 10_000;
/// Bytes of a file that is shown.
const CONTENT_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Bytes of a text whose changes are shown with it.
const CHANGED_BYTES_MAX: usize = 1024 * 1024;

/// Why a file or folder is not shown.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The path, or what it links to, is not in the project.
    #[error("{0} is outside of the project")]
    Outside(PathBuf),
    /// The file is over 16 MiB.
    #[error("{0} is too large to show")]
    TooLarge(PathBuf),
    /// It is a folder, a pipe or the like.
    #[error("{0} is not a file")]
    NotAFile(PathBuf),
    /// The disk failed, or the folder does not exist.
    #[error("{path}: {source}")]
    Io {
        /// What was to be read.
        path: PathBuf,
        /// Why it was not.
        source: io::Error,
    },
    /// Git failed.
    #[error(transparent)]
    Vcs(#[from] vcs::VcsError),
}

/// An entry of `GET /file`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileNode {
    /// The last part of the path.
    pub name: String,
    /// Relative to the directory; a folder's ends in `/`.
    pub path: String,
    /// Without a slash at the end.
    pub absolute: String,
    /// `file` or `directory`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Git ignores it.
    pub ignored: bool,
}

/// The answer of `GET /file/content`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FileContent {
    /// `text` or `binary`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The text without its final newline, or base64.
    pub content: String,
    /// What changed since the last commit, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
    /// The same with the whole file as context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch: Option<StructuredPatch>,
    /// `base64`, for binary content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<&'static str>,
    /// For binary content.
    #[serde(rename = "mimeType", skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<&'static str>,
}

/// A change of one file, in pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StructuredPatch {
    /// The path.
    pub old_file_name: String,
    /// The path.
    pub new_file_name: String,
    /// `old`.
    pub old_header: String,
    /// `new`.
    pub new_header: String,
    /// The runs of lines.
    pub hunks: Vec<PatchHunk>,
}

/// A run of lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PatchHunk {
    /// Counted from 1.
    pub old_start: u32,
    /// How many.
    pub old_lines: u32,
    /// Counted from 1.
    pub new_start: u32,
    /// How many.
    pub new_lines: u32,
    /// Each with ` `, `+`, `-` or `\` in front and no newline.
    pub lines: Vec<String>,
}

/// An entry of `GET /file/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileChangeStatus {
    /// Relative to the directory.
    pub path: String,
    /// Lines.
    pub added: u64,
    /// Lines.
    pub removed: u64,
    /// `added`, `deleted` or `modified`.
    pub status: String,
}

/// Lists the folder `path` of `directory`: folders first, then by name; at most 10,000 entries.
pub fn list(directory: &Path, path: &str) -> Result<Vec<FileNode>, FileError> {
    let folder = inside(directory, path)?;
    let git = vcs::open(directory).ok().flatten();
    let entries = fs::read_dir(&folder).map_err(|source| FileError::Io { path: folder.clone(), source })?;
    let mut nodes = Vec::new();
    for entry in entries.flatten().take(ENTRIES_MAX) {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        nodes.push(node(directory, &entry.path(), is_folder, git.as_ref()));
    }
    nodes.sort_by(by_kind_and_name);
    Ok(nodes)
}

/// Reads the file `path` of `directory`. A missing file is an empty text. A changed text carries its changes.
pub fn content(directory: &Path, path: &str) -> Result<FileContent, FileError> {
    let file = inside(directory, path)?;
    let bytes = match read(&file) {
        Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other?,
    };
    let mime_type = mime_type(&file);
    let text = if mime_type.starts_with("image/") && mime_type != "image/svg+xml" { None } else { text(&bytes) };
    let Some(text) = text else {
        let content = STANDARD.encode(&bytes);
        let (encoding, mime_type) = (Some("base64"), Some(mime_type));
        return Ok(FileContent { kind: "binary", content, encoding, mime_type, ..Default::default() });
    };
    let patch = changes(directory, &file, &bytes);
    let diff = patch.as_ref().map(written);
    let shown = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    Ok(FileContent { kind: "text", content: shown.to_owned(), diff, patch, ..Default::default() })
}

/// Reads the bytes of the file `path` of `directory`, at most 16 MiB.
pub fn bytes(directory: &Path, path: &str) -> Result<Vec<u8>, FileError> {
    read(&inside(directory, path)?)
}

/// Lists the files that differ from the last commit; empty outside of a repository.
pub fn status(directory: &Path) -> Result<Vec<FileChangeStatus>, FileError> {
    let Some(place) = Place::find(directory) else { return Ok(Vec::new()) };
    let real = directory.canonicalize().unwrap_or_else(|_| directory.to_path_buf());
    let entry = |file: vcs::FileStatus| FileChangeStatus {
        path: relative(&real, &place.root.join(&file.file)),
        added: file.additions,
        removed: file.deletions,
        status: file.status,
    };
    Ok(vcs::status(directory)?.into_iter().map(entry).collect())
}

/// The absolute path of `path` in `directory`, if it is in the project, links followed.
fn inside(directory: &Path, path: &str) -> Result<PathBuf, FileError> {
    let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_path_buf());
    let mut wanted = directory.clone();
    for component in Path::new(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => _ = wanted.pop(),
            Component::RootDir | Component::Prefix(_) => wanted = PathBuf::from("/"),
            Component::Normal(name) => wanted.push(name),
        }
    }
    let top = Place::find(&directory).map_or_else(|| directory.clone(), |place| place.root);
    // the part that exists decides where a link leads
    let real = wanted.ancestors().find_map(|known| known.canonicalize().ok()).unwrap_or_default();
    let is_inside = |path: &Path| path.starts_with(&top) || path.starts_with(&directory);
    if is_inside(&wanted) && (is_inside(&real) || !directory.exists()) {
        Ok(wanted)
    } else {
        Err(FileError::Outside(wanted))
    }
}

fn node(directory: &Path, path: &Path, is_folder: bool, git: Option<&(Place, Repository)>) -> FileNode {
    let absolute = path.to_string_lossy().into_owned();
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let real = directory.canonicalize();
    let mut shown = relative(real.as_deref().unwrap_or(directory), path);
    if is_folder {
        shown.push('/');
    }
    let ignored = git.is_some_and(|(place, repo)| {
        let inside = path.strip_prefix(&place.root).unwrap_or(path);
        !inside.starts_with(".git") && repo.is_path_ignored(inside).unwrap_or(false)
    });
    FileNode { name, path: shown, absolute, kind: if is_folder { "directory" } else { "file" }, ignored }
}

fn by_kind_and_name(a: &FileNode, b: &FileNode) -> Ordering {
    let names = |node: &FileNode| (node.kind != "directory", node.name.to_lowercase());
    names(a).cmp(&names(b)).then_with(|| a.name.cmp(&b.name))
}

/// `path` as seen from `directory`, with `..` where it lies beside.
fn relative(directory: &Path, path: &Path) -> String {
    for (above, ancestor) in directory.ancestors().enumerate() {
        if let Ok(rest) = path.strip_prefix(ancestor) {
            return format!("{}{}", "../".repeat(above), rest.to_string_lossy());
        }
    }
    path.to_string_lossy().into_owned()
}

fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let failed = |source| FileError::Io { path: path.to_path_buf(), source };
    // a pipe must not make us wait
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = fs::OpenOptions::new().read(true).custom_flags(nonblocking).open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        return Err(FileError::NotAFile(path.to_path_buf()));
    }
    let mut bytes = Vec::new();
    if about.len() <= CONTENT_BYTES_MAX {
        file.take(CONTENT_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    }
    if about.len().max(bytes.len() as u64) > CONTENT_BYTES_MAX {
        return Err(FileError::TooLarge(path.to_path_buf()));
    }
    Ok(bytes)
}

fn text(bytes: &[u8]) -> Option<&str> {
    if bytes.contains(&0) { None } else { std::str::from_utf8(bytes).ok() }
}

/// What changed in a text since the last commit, with the whole file as context.
fn changes(directory: &Path, file: &Path, bytes: &[u8]) -> Option<StructuredPatch> {
    let (place, repo) = vcs::open(directory).ok()??;
    let inside = file.strip_prefix(&place.root).ok()?;
    let old = vcs::blob(&repo, &vcs::head_commit(&repo).ok()??.tree().ok()?, inside)?;
    if old == bytes || old.len().max(bytes.len()) > CHANGED_BYTES_MAX || text(&old).is_none() || !file.exists() {
        return None;
    }
    let mut options = patch_options();
    let mut patch = Patch::from_buffers(&old, None, bytes, None, Some(&mut options)).ok()?;
    let name = relative(&directory.canonicalize().ok()?, file);
    let (old_header, new_header) = ("old".to_owned(), "new".to_owned());
    let hunks = hunks(&mut patch)?;
    Some(StructuredPatch { old_file_name: name.clone(), new_file_name: name, old_header, new_header, hunks })
}

fn patch_options() -> DiffOptions {
    let mut options = patch::options(CHANGED_BYTES_MAX as u32);
    options.force_text(true);
    options
}

fn hunks(patch: &mut Patch<'_>) -> Option<Vec<PatchHunk>> {
    let mut hunks = Vec::new();
    for index in 0..patch.num_hunks() {
        let (hunk, count) = patch.hunk(index).ok()?;
        let (old_start, old_lines) = (hunk.old_start(), hunk.old_lines());
        let (new_start, new_lines) = (hunk.new_start(), hunk.new_lines());
        let mut lines = Vec::with_capacity(count);
        for at in 0..count {
            let line = patch.line_in_hunk(index, at).ok()?;
            let content = String::from_utf8_lossy(line.content()).into_owned();
            match line.origin() {
                origin @ (' ' | '+' | '-') => lines.push(format!("{origin}{}", content.strip_suffix('\n').unwrap_or(&content))),
                _ => lines.push("\\ No newline at end of file".to_owned()),
            }
        }
        hunks.push(PatchHunk { old_start, old_lines, new_start, new_lines, lines });
    }
    Some(hunks)
}

/// The change as a unified diff.
fn written(patch: &StructuredPatch) -> String {
    let mut text = format!(
        "Index: {}\n{}\n--- {}\t{}\n+++ {}\t{}\n",
        patch.new_file_name,
        "=".repeat(67),
        patch.old_file_name,
        patch.old_header,
        patch.new_file_name,
        patch.new_header
    );
    for hunk in &patch.hunks {
        let (old, new) = (format!("{},{}", hunk.old_start, hunk.old_lines), format!("{},{}", hunk.new_start, hunk.new_lines));
        text.push_str(&format!("@@ -{old} +{new} @@\n"));
        for line in &hunk.lines {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// A file's type by its name's end.
fn mime_type(path: &Path) -> &'static str {
    let end = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    match end.as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "bmp" => "image/bmp",
        "ico" => "image/x-icon",
        "avif" => "image/avif",
        "svg" => "image/svg+xml",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "gz" => "application/gzip",
        "wasm" => "application/wasm",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "ttf" => "font/ttf",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}
