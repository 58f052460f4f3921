//! A stored conversation as a person reads it.

use crate::render::tool::{self, Detail};
use crate::terminal::{Terminal, harmless};
use kilo_protocol::model::{Message, MessageWithParts, PartBody};

/// The lines of one message: a prompt behind a mark, an answer with its calls.
pub fn lines(message: &MessageWithParts, terminal: Terminal) -> Vec<String> {
    let mut lines = vec![String::new()];
    let is_prompt = message.info.assistant().is_none();
    for part in &message.parts {
        match &part.body {
            PartBody::Text(text) if text.synthetic || text.ignored => {}
            PartBody::Text(text) => {
                let rows = harmless(text.text.trim());
                let rows = rows.lines().enumerate();
                lines.extend(rows.map(|(index, row)| match (is_prompt, index) {
                    (true, 0) => terminal.bold(&format!("> {row}")),
                    (true, _) => terminal.bold(&format!("  {row}")),
                    (false, _) => row.to_owned(),
                }));
            }
            PartBody::File(file) => {
                let name = file.filename.as_deref().unwrap_or("a file");
                lines.push(terminal.dim(&format!("  + {}", harmless(name))));
            }
            PartBody::Tool(call) => lines.extend(tool::lines(call, Detail::SHORT, terminal)),
            _ => {}
        }
    }
    if let Message::Assistant(answer) = &message.info
        && let Some(error) = &answer.error
    {
        let text = error.data.get("message").and_then(|text| text.as_str());
        let text = harmless(text.unwrap_or(&error.name));
        lines.push(format!("{} {text}", terminal.red("error:")));
    }
    if lines.len() == 1 { Vec::new() } else { lines }
}
