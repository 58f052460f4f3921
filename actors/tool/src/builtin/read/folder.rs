//! A folder's list.

use super::Window;
use crate::call::facts;
use crate::place::Place;
use crate::rules;
use kilo_ports::tool::{ToolError, ToolOutput};
use kilo_protocol::model::Rule;
use serde_json::json;
use std::path::Path;

/// Entries of a folder that are looked at.
const ENTRIES_MAX: usize = 100_000;

/// Lists a folder by name, `/` after folders (links to folders included). What a rule denies to read is left out.
pub(super) fn list(place: &Place, window: Window, rules: &[Rule]) -> Result<ToolOutput, ToolError> {
    let shown = place.shown();
    let failed = |error: std::io::Error| ToolError::failed(format!("Cannot list {shown}: {error}"));
    let mut names = place.spot.entries(ENTRIES_MAX).map_err(failed)?;
    names.retain(|entry| {
        let paths = place.patterns_of(Path::new(&entry.name));
        !paths.iter().any(|path| rules::is_denied(rules, path))
    });
    names.sort_unstable_by(|one, two| one.name.cmp(&two.name));
    let first = usize::try_from(window.first).unwrap_or(usize::MAX);
    if first > names.len().max(1) {
        return Err(ToolError::failed(format!(
            "Offset {first} is past the end: {shown} has {} entries",
            names.len()
        )));
    }
    let mut entries: Vec<String> = Vec::new();
    let mut bytes = 0;
    for entry in names.iter().skip(first - 1).take(window.lines_max) {
        let mark = if entry.is_folder { "/" } else { "" };
        let entry = format!("{}{mark}", entry.name.to_string_lossy());
        bytes += entry.len() + 1;
        if bytes > window.bytes_max {
            break;
        }
        entries.push(entry);
    }
    let last = first - 1 + entries.len();
    let truncated = last < names.len();
    let footer = if truncated {
        format!(
            "(Showing entries {first}-{last} of {}. Use offset={} to continue.)",
            names.len(),
            last + 1
        )
    } else {
        format!("({} entries)", names.len())
    };
    let body: String = entries.iter().map(|entry| format!("{entry}\n")).collect();
    let preview: Vec<&str> = entries
        .iter()
        .take(super::lines::PREVIEW_LINES)
        .map(String::as_str)
        .collect();
    Ok(ToolOutput {
        output: format!(
            "<path>{shown}</path>\n<type>directory</type>\n<entries>\n{body}\n{footer}\n</entries>"
        ),
        metadata: facts([
            ("preview", preview.join("\n").into()),
            ("truncated", truncated.into()),
            ("loaded", json!([])),
            (
                "display",
                json!({
                    "type": "directory", "path": shown, "entries": entries, "offset": first,
                    "totalEntries": names.len(), "truncated": truncated,
                }),
            ),
        ]),
        ..ToolOutput::default()
    })
}
