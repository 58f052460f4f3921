//! A text file's numbered lines, streamed.

use super::Window;
use crate::call::{self, facts};
use crate::text::encoding::Format;
use kilo_ports::cut::{LINE_CHARS_MAX, LINE_CUT};
use kilo_ports::tool::{ToolError, ToolOutput};
use serde_json::json;
use std::io::Read;
use tokio_util::sync::CancellationToken;

/// Lines of a preview.
pub(super) const PREVIEW_LINES: usize = 20;
/// Bytes read at once.
const BLOCK_BYTES: usize = 64 * 1024;
/// Bytes read only to count the lines after the last one shown.
const COUNT_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Shows the wanted lines of a file. The whole file is read only to count its lines, and only up to a bound.
pub(super) fn show(
    mut file: impl Read,
    shown: &str,
    format: Format,
    window: Window,
    cancel: &CancellationToken,
) -> Result<ToolOutput, ToolError> {
    let failed = |error: std::io::Error| ToolError::failed(format!("Cannot read {shown}: {error}"));
    let mut decoder = format.encoding.new_decoder();
    let mut page = Page::new(window);
    let mut block = vec![0; BLOCK_BYTES];
    // Room for whatever one block decodes to, so that each block is taken whole.
    let mut text = String::with_capacity(
        decoder
            .max_utf8_buffer_length(BLOCK_BYTES)
            .unwrap_or(BLOCK_BYTES * 4),
    );
    let mut counted = 0;
    loop {
        if cancel.is_cancelled() {
            return Err(call::stopped());
        }
        let count = file.read(&mut block).map_err(failed)?;
        text.clear();
        let _ = decoder.decode_to_string(&block[..count], &mut text, count == 0);
        page.feed(&text);
        if count == 0 {
            page.finish();
            break;
        }
        counted += if page.full { count as u64 } else { 0 };
        if counted > COUNT_BYTES_MAX {
            page.uncounted = true;
            break;
        }
    }
    page.output(shown)
}

/// The lines being gathered.
struct Page {
    window: Window,
    lines: Vec<String>,
    bytes: usize,
    /// The line being read, as far as it is kept.
    line: String,
    line_chars: usize,
    line_open: bool,
    /// Whole lines so far.
    total: u64,
    /// A line that is wanted, or follows those, does not fit any more.
    full: bool,
    cut_by_bytes: bool,
    /// There are more lines than were counted.
    uncounted: bool,
}

impl Page {
    fn new(window: Window) -> Self {
        Self {
            window,
            lines: Vec::new(),
            bytes: 0,
            line: String::new(),
            line_chars: 0,
            line_open: false,
            total: 0,
            full: false,
            cut_by_bytes: false,
            uncounted: false,
        }
    }

    fn feed(&mut self, text: &str) {
        for piece in text.split_inclusive('\n') {
            let (body, ends) = piece
                .strip_suffix('\n')
                .map_or((piece, false), |body| (body, true));
            self.line_open = true;
            if !self.full && self.total + 1 >= self.window.first {
                self.keep(body);
            }
            if ends {
                self.end_line();
            }
        }
    }

    fn keep(&mut self, body: &str) {
        if self.line_chars > LINE_CHARS_MAX {
            return;
        }
        for c in body.chars() {
            self.line_chars += 1;
            if self.line_chars > LINE_CHARS_MAX {
                return;
            }
            self.line.push(c);
        }
    }

    fn end_line(&mut self) {
        self.total += 1;
        self.line_open = false;
        if self.full || self.total < self.window.first {
            return;
        }
        let mut line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.line_chars) > LINE_CHARS_MAX {
            line.push_str(LINE_CUT);
        } else if line.ends_with('\r') {
            line.pop();
        }
        let bytes = line.len() + 1;
        let too_many = self.lines.len() >= self.window.lines_max;
        self.cut_by_bytes = !too_many && self.bytes + bytes > self.window.bytes_max;
        if too_many || self.cut_by_bytes {
            self.full = true;
            return;
        }
        self.bytes += bytes;
        self.lines.push(line);
    }

    fn finish(&mut self) {
        if self.line_open {
            self.end_line();
        }
    }

    fn output(self, shown: &str) -> Result<ToolOutput, ToolError> {
        let (first, total) = (self.window.first, self.total);
        if first > total.max(1) {
            return Err(ToolError::failed(format!(
                "Offset {first} is past the end: {shown} has {total} lines"
            )));
        }
        let last = first + self.lines.len() as u64 - 1;
        let truncated = self.full;
        let footer = self.footer(last);
        let numbered: String = self
            .lines
            .iter()
            .zip(first..)
            .map(|(line, number)| format!("{number}: {line}\n"))
            .collect();
        let preview: Vec<&str> = self
            .lines
            .iter()
            .take(PREVIEW_LINES)
            .map(String::as_str)
            .collect();
        Ok(ToolOutput {
            output: format!(
                "<path>{shown}</path>\n<type>file</type>\n<content>\n{numbered}\n{footer}\n</content>"
            ),
            metadata: facts([
                ("preview", preview.join("\n").into()),
                ("truncated", truncated.into()),
                ("loaded", json!([])),
                (
                    "display",
                    json!({
                        "type": "file", "path": shown, "text": self.lines.join("\n"), "lineStart": first,
                        "lineEnd": last, "totalLines": total, "truncated": truncated,
                    }),
                ),
            ]),
            ..ToolOutput::default()
        })
    }

    fn footer(&self, last: u64) -> String {
        let (first, total) = (self.window.first, self.total);
        if !self.full {
            return format!("(End of file - total {total} lines)");
        }
        let why = if self.cut_by_bytes {
            format!("Cut at {} bytes. ", self.window.bytes_max)
        } else {
            String::new()
        };
        let least = if self.uncounted { "more than " } else { "" };
        format!(
            "({why}Showing lines {first}-{last} of {least}{total}. Use offset={} to continue.)",
            last + 1
        )
    }
}
