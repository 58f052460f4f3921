//! One file's content, with what changed in it.

use super::open::{FileError, inside, read, relative};
use crate::{patch, vcs};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use git2::Patch;
use serde::Serialize;
use std::io;
use std::path::Path;

/// Bytes of a text whose changes are shown with it.
const CHANGED_BYTES_MAX: usize = 1024 * 1024;

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

/// Reads the file `path` of `directory`. A missing file is an empty text. A changed text carries its changes.
pub fn content(directory: &Path, path: &str) -> Result<FileContent, FileError> {
    let file = inside(directory, path)?;
    let bytes = match read(&file) {
        Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other?,
    };
    let mime_type = mime_type(&file);
    let text = if mime_type.starts_with("image/") && mime_type != "image/svg+xml" {
        None
    } else {
        text(&bytes)
    };
    let Some(text) = text else {
        let content = STANDARD.encode(&bytes);
        let (encoding, mime_type) = (Some("base64"), Some(mime_type));
        return Ok(FileContent {
            kind: "binary",
            content,
            encoding,
            mime_type,
            ..Default::default()
        });
    };
    let patch = changes(directory, &file, &bytes);
    let diff = patch.as_ref().map(written);
    let shown = text
        .strip_suffix('\n')
        .map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    Ok(FileContent {
        kind: "text",
        content: shown.to_owned(),
        diff,
        patch,
        ..Default::default()
    })
}

fn text(bytes: &[u8]) -> Option<&str> {
    if bytes.contains(&0) {
        None
    } else {
        std::str::from_utf8(bytes).ok()
    }
}

/// What changed in a text since the last commit, with the whole file as context.
fn changes(directory: &Path, file: &Path, bytes: &[u8]) -> Option<StructuredPatch> {
    let (checkout, repo) = vcs::open(directory).ok()??;
    let inside = file.strip_prefix(&checkout.root).ok()?;
    let old = vcs::blob(&repo, &vcs::head_commit(&repo).ok()??.tree().ok()?, inside)?;
    if old == bytes
        || old.len().max(bytes.len()) > CHANGED_BYTES_MAX
        || text(&old).is_none()
        || !file.exists()
    {
        return None;
    }
    let mut options = patch::options(CHANGED_BYTES_MAX as u32);
    options.force_text(true);
    let mut patch = Patch::from_buffers(&old, None, bytes, None, Some(&mut options)).ok()?;
    let name = relative(&directory.canonicalize().ok()?, file);
    let (old_header, new_header) = ("old".to_owned(), "new".to_owned());
    let hunks = hunks(&mut patch)?;
    Some(StructuredPatch {
        old_file_name: name.clone(),
        new_file_name: name,
        old_header,
        new_header,
        hunks,
    })
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
                origin @ (' ' | '+' | '-') => lines.push(format!(
                    "{origin}{}",
                    content.strip_suffix('\n').unwrap_or(&content)
                )),
                _ => lines.push("\\ No newline at end of file".to_owned()),
            }
        }
        hunks.push(PatchHunk {
            old_start,
            old_lines,
            new_start,
            new_lines,
            lines,
        });
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
        let (old, new) = (
            format!("{},{}", hunk.old_start, hunk.old_lines),
            format!("{},{}", hunk.new_start, hunk.new_lines),
        );
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
    let end = path
        .extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_ascii_lowercase();
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
