//! Writes differences as clients get them: one unified patch a file, with counted lines.

use git2::{Delta, Diff, DiffDelta, DiffOptions, FileMode, Oid, Patch};
use kilo_protocol::model::FileDiff;
use std::fmt::Write;

/// A file's patch over this size keeps its head only; the counts stay right.
pub(crate) const PATCH_BYTES_MAX: usize = 262_144;
/// All patches of one answer together; later files keep their heads only.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Files over this size count as binary.
const TEXT_BYTES_MAX: i64 = 16 * 1024 * 1024;
/// Files in one answer.
const FILES_MAX: usize = 10_000;

/// Options that all our differences share.
pub(crate) fn options(context: u32) -> DiffOptions {
    let mut options = DiffOptions::new();
    options
        .context_lines(context)
        .include_typechange(true)
        .ignore_submodules(true)
        .max_size(TEXT_BYTES_MAX);
    options
}

/// Writes each file of `diff`, by path. At most 10,000 files.
pub(crate) fn file_diffs(diff: &Diff<'_>) -> Result<Vec<FileDiff>, git2::Error> {
    let mut files = Vec::new();
    let mut bytes_left = ANSWER_BYTES_MAX;
    for index in 0..diff.deltas().len().min(FILES_MAX) {
        if let Some(file) = file_diff(diff, index, bytes_left.min(PATCH_BYTES_MAX))? {
            bytes_left = bytes_left.saturating_sub(file.patch.len());
            files.push(file);
        }
    }
    Ok(files)
}

/// Writes the whole of `diff` as one text that [`crate::vcs::apply`] takes, binary files included.
pub(crate) fn raw(diff: &Diff<'_>, bytes_max: usize) -> Result<Option<String>, git2::Error> {
    let mut text = Vec::new();
    let mut over = false;
    diff.print(git2::DiffFormat::Patch, |_, _, line| {
        if matches!(line.origin(), ' ' | '+' | '-') {
            text.push(line.origin() as u8);
        }
        text.extend_from_slice(line.content());
        over = text.len() > bytes_max;
        !over
    })
    .or_else(|error| if over { Ok(()) } else { Err(error) })?;
    Ok((!over).then(|| String::from_utf8_lossy(&text).into_owned()))
}

/// `added`, `deleted` or `modified`.
pub(crate) fn status(delta: Delta) -> Option<&'static str> {
    match delta {
        Delta::Added | Delta::Untracked | Delta::Copied => Some("added"),
        Delta::Deleted => Some("deleted"),
        Delta::Modified | Delta::Renamed | Delta::Typechange | Delta::Conflicted => {
            Some("modified")
        }
        Delta::Unmodified | Delta::Ignored | Delta::Unreadable => None,
    }
}

fn file_diff(
    diff: &Diff<'_>,
    index: usize,
    bytes_max: usize,
) -> Result<Option<FileDiff>, git2::Error> {
    let Some(delta) = diff.get_delta(index) else {
        return Ok(None);
    };
    let (Some(status), Some(file)) = (status(delta.status()), path_of(&delta)) else {
        return Ok(None);
    };
    if [delta.old_file().mode(), delta.new_file().mode()].contains(&FileMode::Commit) {
        return Ok(None);
    }
    let mut found = FileDiff {
        file,
        patch: String::new(),
        additions: 0,
        deletions: 0,
        status: Some(status.into()),
    };
    let Some(mut patch) = Patch::from_diff(diff, index)? else {
        found.patch = head(&found.file, &delta, false);
        return Ok(Some(found));
    };
    let (_, additions, deletions) = patch.line_stats()?;
    found.additions = additions as u64;
    found.deletions = deletions as u64;
    let is_text = patch.num_hunks() > 0;
    let body = body(&mut patch, bytes_max)?;
    found.patch = head(&found.file, &patch.delta(), is_text && body.is_some());
    found.patch.push_str(body.as_deref().unwrap_or_default());
    Ok(Some(found))
}

fn path_of(delta: &DiffDelta<'_>) -> Option<String> {
    let bytes = delta
        .new_file()
        .path_bytes()
        .or_else(|| delta.old_file().path_bytes())?;
    Some(String::from_utf8_lossy(bytes).into_owned())
}

/// The hunks, or the line about binary files; nothing when over `bytes_max`.
fn body(patch: &mut Patch<'_>, bytes_max: usize) -> Result<Option<String>, git2::Error> {
    let mut text = Vec::new();
    let mut over = false;
    let printed = patch.print(&mut |_, _, line| {
        match line.origin() {
            'F' => return true,
            origin @ (' ' | '+' | '-') => text.push(origin as u8),
            _ => {}
        }
        text.extend_from_slice(line.content());
        over = text.len() > bytes_max;
        !over
    });
    match printed {
        Err(error) if !over => Err(error),
        _ if over => Ok(None),
        _ => Ok(Some(String::from_utf8_lossy(&text).into_owned())),
    }
}

/// The lines before the hunks, as git writes them.
fn head(file: &str, delta: &DiffDelta<'_>, with_names: bool) -> String {
    let (old, new) = (delta.old_file(), delta.new_file());
    let (old_name, new_name) = (quoted("a/", file), quoted("b/", file));
    let (old_mode, new_mode) = (mode(old.mode()), mode(new.mode()));
    let mut text = format!("diff --git {old_name} {new_name}\n");
    let (added, deleted) = (
        status(delta.status()) == Some("added"),
        delta.status() == Delta::Deleted,
    );
    // writing to a String does not fail
    let _ = match (added, deleted) {
        (true, _) => writeln!(text, "new file mode {new_mode}"),
        (_, true) => writeln!(text, "deleted file mode {old_mode}"),
        _ if old_mode != new_mode => write!(text, "old mode {old_mode}\nnew mode {new_mode}\n"),
        _ => Ok(()),
    };
    if old.id() != new.id() {
        let same_mode = if !added && !deleted && old_mode == new_mode {
            format!(" {new_mode}")
        } else {
            String::new()
        };
        let _ = writeln!(
            text,
            "index {}..{}{same_mode}",
            short(old.id()),
            short(new.id())
        );
    }
    if with_names {
        let old_name = if added { "/dev/null" } else { &old_name };
        let new_name = if deleted { "/dev/null" } else { &new_name };
        let _ = write!(text, "--- {old_name}\n+++ {new_name}\n");
    }
    text
}

fn short(id: Oid) -> String {
    let mut text = id.to_string();
    text.truncate(7);
    text
}

fn mode(mode: FileMode) -> &'static str {
    match mode {
        FileMode::BlobExecutable => "100755",
        FileMode::Link => "120000",
        FileMode::Commit => "160000",
        _ => "100644",
    }
}

/// A name as git writes it in a patch: quoted only where a reader could not tell its end.
fn quoted(side: &str, file: &str) -> String {
    if !file.contains(|c: char| c.is_control() || c == '"' || c == '\\') {
        return format!("{side}{file}");
    }
    let mut text = format!("\"{side}");
    for c in file.chars() {
        match c {
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '"' | '\\' => text.extend(['\\', c]),
            c if c.is_control() => text.push_str(&format!("\\{:03o}", u32::from(c))),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}
