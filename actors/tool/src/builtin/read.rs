//! `read`: shows a file or a folder.

mod folder;
mod kind;
mod lines;
mod near;

use crate::call::{self, ask_any, facts};
use crate::place::Place;
use crate::schema::{self, Whole};
use kilo_ports::BoxFuture;
use kilo_ports::tool::{Access, Tool, ToolCx, ToolError, ToolOutput, ToolSpec};
use kilo_protocol::data_url;
use kilo_protocol::model::Rule;
use kind::Kind;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Lines, or entries of a folder, that one call shows.
const LINES_MAX: usize = 2_000;

/// Shows a text file as numbered lines, a folder as a list, an image or a PDF as an attachment.
///
/// A file of any size is streamed: at most [`LINES_MAX`] lines of 2,000 characters and `cx.output_bytes_max` bytes are
/// kept. Asks for `read` with the path and, behind a link, with the place that it leads to. Instruction files near the
/// path that the session does not know yet come along.
pub struct Read;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ReadInput {
    /// The file or folder to read
    file_path: String,
    /// The first line to show, from 1
    #[schemars(with = "Option<Whole>")]
    offset: Option<f64>,
    /// How many lines to show (2000 at most)
    #[schemars(with = "Option<Whole>")]
    limit: Option<f64>,
}

/// Which part of a file is wanted.
#[derive(Clone, Copy, Debug)]
struct Window {
    /// The first line, from 1.
    first: u64,
    lines_max: usize,
    bytes_max: usize,
}

impl Tool for Read {
    fn spec(&self) -> ToolSpec {
        schema::spec::<ReadInput>("read", include_str!("descriptions/read.md"), Access::Reads)
    }

    fn run(&self, input: Value, cx: ToolCx) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        Box::pin(async move { read(call::arguments("read", input)?, &cx).await })
    }
}

async fn read(input: ReadInput, cx: &ToolCx) -> Result<ToolOutput, ToolError> {
    let place = Place::find(cx, &input.file_path).await?;
    place.admit(cx).await?;
    let request = facts([("filepath", place.shown().into())]);
    call::ask(cx, ask_any("read", place.patterns(), request)).await?;
    let limit = input.limit.map_or(0, |limit| limit as usize);
    let window = Window {
        first: input.offset.map_or(1, |offset| offset as u64).max(1),
        lines_max: if limit == 0 {
            LINES_MAX
        } else {
            limit.min(LINES_MAX)
        },
        bytes_max: cx.output_bytes_max,
    };
    let mut output = {
        let (place, cancel, rules) = (place.clone(), cx.cancel.clone(), cx.host.rules());
        call::blocking(move || look(&place, window, &rules, &cancel)).await?
    };
    output.title = place.relative.clone();
    let near = cx.host.nearby_instructions(place.absolute.clone()).await;
    add_instructions(&mut output, cx, near);
    Ok(output)
}

fn look(
    place: &Place,
    window: Window,
    rules: &[Rule],
    cancel: &tokio_util::sync::CancellationToken,
) -> Result<ToolOutput, ToolError> {
    let shown = place.shown();
    match kind::of(&*place.spot, &shown)? {
        Kind::Missing => Err(near::missing(place, rules)),
        Kind::Folder => folder::list(place, window, rules),
        Kind::Attachment { mime, bytes } => Ok(attachment(&shown, mime, &bytes)),
        Kind::Text { format, file } => lines::show(file, &shown, format, window, cancel),
    }
}

fn attachment(shown: &str, mime: &'static str, bytes: &[u8]) -> ToolOutput {
    let name = Path::new(shown)
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let what = if mime == "application/pdf" {
        "PDF"
    } else {
        "Image"
    };
    ToolOutput {
        output: format!("{what} read successfully"),
        metadata: facts([
            ("preview", format!("{what} read successfully").into()),
            ("truncated", false.into()),
            ("loaded", json!([])),
        ]),
        attachments: vec![
            json!({"type": "file", "mime": mime, "filename": name, "url": data_url::of_bytes(mime, bytes)}),
        ],
        ..ToolOutput::default()
    }
}

/// Appends instruction files that apply to the path and were not seen before.
fn add_instructions(output: &mut ToolOutput, cx: &ToolCx, near: Vec<(PathBuf, String)>) {
    if near.is_empty() {
        return;
    }
    let loaded: Vec<Value> = near
        .iter()
        .map(|(path, _)| path.display().to_string().into())
        .collect();
    output.metadata.insert("loaded".into(), loaded.into());
    output.output.push_str("\n\n<system-reminder>");
    for (path, text) in near {
        let text = kilo_ports::cut::head(text.trim(), cx.output_lines_max, cx.output_bytes_max);
        output.output.push_str(&format!(
            "\nInstructions from: {}\n{text}\n",
            path.display()
        ));
    }
    output.output.push_str("</system-reminder>");
}

#[cfg(test)]
#[path = "read/read_tests.rs"]
mod tests;
