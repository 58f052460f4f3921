//! `edit`: replaces one text of a file by another.

mod lines;
mod matchers;
mod replacement;

use crate::after::{Written, after_write};
use crate::call::{self, facts};
use crate::diff::Change;
use crate::guard::{Wanted, ask_edit};
use crate::place::Place;
use crate::schema;
use crate::text::ending::Ending;
use crate::text::{FileLocks, TextFile};
use kilo_ports::BoxFuture;
use kilo_ports::tool::{Access, Tool, ToolCx, ToolError, ToolOutput, ToolSpec};
use kilo_protocol::model::FileChangeKind;
use matchers::{Found, find, is_disproportionate};
use replacement::replacement;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

/// Replaces text in a file.
///
/// The text is searched exactly, then with growing forgiveness (see `matchers`). Several places are an error unless
/// `replaceAll`. An empty `oldString` makes a new file. Encoding, mark and line endings are kept. The change is shown
/// with the request for permission and written only if the file is still the one that the change was made from.
pub struct Edit {
    locks: Arc<FileLocks>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct EditInput {
    /// The file to change
    file_path: String,
    /// The text to replace, as it stands in the file
    old_string: String,
    /// The text to put in its place
    new_string: String,
    /// Replace every occurrence (default false)
    #[serde(default)]
    replace_all: bool,
}

impl Edit {
    /// The tool, with the locks that all writers share.
    pub fn new(locks: Arc<FileLocks>) -> Self {
        Self { locks }
    }
}

impl Tool for Edit {
    fn spec(&self) -> ToolSpec {
        schema::spec::<EditInput>("edit", include_str!("descriptions/edit.md"), Access::Writes)
    }

    fn run(&self, input: Value, cx: ToolCx) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        let locks = self.locks.clone();
        Box::pin(async move { edit(call::arguments("edit", input)?, &cx, &locks).await })
    }
}

async fn edit(input: EditInput, cx: &ToolCx, locks: &FileLocks) -> Result<ToolOutput, ToolError> {
    if input.old_string == input.new_string {
        return Err(ToolError::failed(
            "oldString and newString are the same, so there is nothing to change",
        ));
    }
    let place = Place::find(cx, &input.file_path).await?;
    super::refuse_reserved(&place)?;
    place.admit(cx).await?;
    let file = TextFile::load(&place).await?;
    let exists = file.exists();
    let (new, mut change) = {
        let (old, shown) = (file.text.clone(), file.shown.clone());
        call::blocking(move || {
            let new = changed_text(&old, &shown, exists, &input)?;
            let change = Change::between(&shown, &old, &new);
            Ok((new, change))
        })
        .await?
    };
    let bytes = file.encode(&new)?;
    let wanted = Wanted {
        place: &place,
        file: &file,
        new: Some(&new),
    };
    ask_edit(cx, &[wanted], change.request()).await?;
    call::or_stopped(cx, cx.host.will_change(place.changed())).await?;
    let file = file.replace(locks, bytes).await?;
    let written = Written {
        place: &place,
        old: &file.text,
        new: &new,
        change: &mut change,
    };
    let after = after_write(cx, &mut [written]).await;
    let known = facts([
        ("diff", change.patch.clone().into()),
        ("filediff", change.filediff()),
        ("diagnostics", after.diagnostics.clone().into()),
    ]);
    cx.host.progress(&cx.call, None, known);
    let how = FileChangeKind::of_write(exists);
    cx.host.file_edited(place.absolute.clone(), how);
    Ok(ToolOutput {
        title: place.relative.clone(),
        output: format!("Edit applied successfully.{}", after.note),
        metadata: facts([
            ("diagnostics", after.diagnostics.into()),
            ("diff", change.patch.clone().into()),
            ("filediff", change.filediff()),
        ]),
        changed: vec![place.changed()],
        ..ToolOutput::default()
    })
}

fn changed_text(
    text: &str,
    shown: &str,
    exists: bool,
    input: &EditInput,
) -> Result<String, ToolError> {
    if input.old_string.is_empty() {
        return match text {
            "" => Ok(input.new_string.clone()),
            _ => Err(ToolError::failed(format!(
                "{shown} exists already. An empty oldString only makes a new file: give the text to replace, or use write."
            ))),
        };
    }
    if !exists {
        return Err(ToolError::failed(format!("File not found: {shown}")));
    }
    let ending = Ending::of(text);
    let (wanted, new) = (
        ending.apply(&input.old_string),
        ending.apply(&input.new_string),
    );
    let Found::Places { ranges, exact } = find(text, &wanted) else {
        return Err(ToolError::failed(format!(
            "Could not find oldString in {shown}. Read the file and copy the text to replace from it, with its blanks."
        )));
    };
    if ranges.len() > 1 && !input.replace_all {
        return Err(ToolError::failed(format!(
            "Found {} matches for oldString in {shown}. Add lines around it until it is unique, or set replaceAll.",
            ranges.len()
        )));
    }
    if !exact
        && ranges
            .iter()
            .any(|range| is_disproportionate(&wanted, &text[range.clone()]))
    {
        return Err(ToolError::failed(format!(
            "oldString fits {shown} only loosely, and the match is far larger than oldString. Give the exact text."
        )));
    }
    let mut result = String::with_capacity(text.len() + ranges.len() * new.len());
    let mut end = 0;
    for range in &ranges {
        let new = replacement(text, range, &wanted, &new, exact, shown).ok_or_else(|| {
            ToolError::failed(format!(
                "oldString stands in {shown} with another indentation, and newString cannot be put into it for certain. \
                 Read the file and give both texts indented as the file is."
            ))
        })?;
        result.push_str(&text[end..range.start]);
        result.push_str(&new);
        end = range.end;
    }
    result.push_str(&text[end..]);
    if result == text {
        return Err(ToolError::failed(format!(
            "The edit changes nothing in {shown}: oldString and newString differ in their line ends only, or the file has \
             the new text already."
        )));
    }
    Ok(result)
}

#[cfg(test)]
#[path = "edit/edit_tests.rs"]
mod tests;
