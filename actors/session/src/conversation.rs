//! The conversation as a model gets it, from the session's messages. Pure.
//!
//! Answers stand right after the prompt that they answer, whatever came between; prompts that still wait are left out;
//! what a compaction summarised is replaced by its summary, but for prompts that were answered after it.

use crate::state::{Entry, State};
use kilo_ports::provider::{AssistantContent, ModelInfo, ModelMessage, ToolResult, UserContent};
use kilo_protocol::MessageId;
use kilo_protocol::data_url::DataUrl;
use kilo_protocol::model::{FilePart, Message, PartBody, ToolPart, ToolState};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// Which part of the conversation a model call is about.
pub struct Selection<'a> {
    /// The user message that is answered.
    pub prompt: &'a MessageId,
    /// The message that is being written; left out.
    pub answer: &'a MessageId,
}

/// The conversation up to the running answer.
pub fn conversation(
    messages: &[Arc<Entry>],
    queue: &[MessageId],
    selection: &Selection,
    model: &ModelInfo,
) -> Vec<ModelMessage> {
    let mut out = Vec::new();
    for entry in ordered(messages, queue, selection) {
        match &entry.info {
            Message::User(_) => push_user(&mut out, entry, model),
            Message::Assistant(_) => push_answer(&mut out, entry),
        }
    }
    if messages
        .iter()
        .any(|entry| entry.info.id() == selection.prompt && is_compaction(entry))
    {
        shorten(&mut out, model);
    }
    if matches!(out.last(), Some(ModelMessage::Assistant(_))) {
        // The turn was interrupted after this text; a conversation ends with what the model is to answer.
        out.push(ModelMessage::User(vec![UserContent::Text(
            crate::texts::GO_ON.into(),
        )]));
    }
    out
}

/// Bytes of one tool output in the material for a summary.
const SUMMARY_OUTPUT_BYTES: usize = 4_000;
/// Bytes that surely make a token; an estimate that rather leaves too much out.
const BYTES_PER_TOKEN: u64 = 3;

/// Makes room in the material for a summary: long tool outputs keep their beginning and end, files go, and where that is
/// not enough the oldest messages go, up to where a user's message begins.
fn shorten(out: &mut Vec<ModelMessage>, model: &ModelInfo) {
    for message in out.iter_mut() {
        match message {
            ModelMessage::Tool(results) => results.iter_mut().for_each(shorten_result),
            ModelMessage::User(content) => content.iter_mut().for_each(name_file),
            ModelMessage::Assistant(_) => {}
        }
    }
    if model.context == 0 {
        return;
    }
    let output = model.output.min(model.context / 4);
    let room = model
        .input_limit
        .unwrap_or(model.context - output)
        .saturating_mul(BYTES_PER_TOKEN);
    let sizes: Vec<u64> = out.iter().map(size).collect();
    let mut total: u64 = sizes.iter().sum();
    let mut from = 0;
    // The last message is the request itself.
    while total > room && from + 1 < out.len() {
        total -= sizes[from];
        from += 1;
    }
    while from > 0 && from + 1 < out.len() && !matches!(out[from], ModelMessage::User(_)) {
        from += 1;
    }
    out.drain(..from);
}

fn shorten_result(result: &mut ToolResult) {
    result.files.clear();
    if let Cow::Owned(cut) = kilo_ports::cut::ends(&result.output, SUMMARY_OUTPUT_BYTES) {
        result.output = cut;
    }
}

fn name_file(content: &mut UserContent) {
    if let UserContent::File { filename, mime, .. } = content {
        let name = filename.as_deref().unwrap_or("a file");
        *content = UserContent::Text(format!("(The user attached {name} ({mime}).)"));
    }
}

fn size(message: &ModelMessage) -> u64 {
    let bytes: usize = match message {
        ModelMessage::User(content) => content
            .iter()
            .map(|item| match item {
                UserContent::Text(text) => text.len(),
                UserContent::File { data, .. } => data.len(),
            })
            .sum(),
        ModelMessage::Assistant(content) => content
            .iter()
            .map(|item| match item {
                AssistantContent::Text(text) | AssistantContent::Reasoning { text, .. } => {
                    text.len()
                }
                AssistantContent::ToolCall { name, input, .. } => {
                    name.len() + input.to_string().len()
                }
            })
            .sum(),
        ModelMessage::Tool(results) => results.iter().map(|result| result.output.len()).sum(),
    };
    bytes as u64
}

/// The entries that count, each answer behind its prompt.
fn ordered<'a>(
    messages: &'a [Arc<Entry>],
    queue: &[MessageId],
    selection: &Selection,
) -> Vec<&'a Arc<Entry>> {
    let start = Start::find(messages, selection);
    let mut answers: HashMap<&MessageId, Vec<&Arc<Entry>>> = HashMap::new();
    for (place, entry) in messages.iter().enumerate() {
        if let Some(answer) = entry.info.assistant()
            && answer.id != *selection.answer
            && !answer.summary
            && start.keeps(place)
        {
            answers.entry(&answer.parent_id).or_default().push(entry);
        }
    }
    let mut out: Vec<&Arc<Entry>> = start.summary.into_iter().collect();
    for (place, entry) in messages.iter().enumerate() {
        let Some(user) = entry.info.user() else {
            continue;
        };
        let selected = user.id == *selection.prompt;
        let counts = !queue.contains(&user.id)
            && !is_compaction(entry)
            && (start.keeps(place) || answers.contains_key(&user.id));
        if !selected && !counts {
            continue;
        }
        out.push(entry);
        out.extend(answers.remove(&user.id).unwrap_or_default());
    }
    // The prompt that is answered comes last, even where a compaction was stored after it.
    let (mut rest, turn): (Vec<_>, Vec<_>) = out
        .into_iter()
        .partition(|entry| !belongs_to(entry, selection.prompt));
    rest.extend(turn);
    rest
}

/// The message stands for a request to summarise.
fn is_compaction(entry: &Entry) -> bool {
    entry
        .parts
        .iter()
        .any(|part| matches!(part.body, PartBody::Compaction(_)))
}

fn belongs_to(entry: &Entry, prompt: &MessageId) -> bool {
    match &entry.info {
        Message::User(user) => user.id == *prompt,
        Message::Assistant(answer) => answer.parent_id == *prompt && !answer.summary,
    }
}

/// Where the conversation begins: at the newest compaction that succeeded.
struct Start<'a> {
    summary: Option<&'a Arc<Entry>>,
    /// The compaction's own user message, and where its kept tail begins.
    compaction: Option<(usize, Option<usize>)>,
}

impl<'a> Start<'a> {
    fn find(messages: &'a [Arc<Entry>], selection: &Selection) -> Self {
        let summary = messages.iter().rev().find(|entry| {
            entry.info.assistant().is_some_and(|answer| {
                answer.summary
                    && answer.error.is_none()
                    && answer.finish.is_some()
                    && answer.id != *selection.answer
            })
        });
        let Some(summary) = summary else {
            return Self {
                summary: None,
                compaction: None,
            };
        };
        let place = |id: &MessageId| messages.iter().position(|entry| entry.info.id() == id);
        let Some(at) = summary
            .info
            .assistant()
            .and_then(|answer| place(&answer.parent_id))
        else {
            return Self {
                summary: None,
                compaction: None,
            };
        };
        let tail = messages[at].parts.iter().find_map(|part| match &part.body {
            PartBody::Compaction(compaction) => compaction.tail_start_id.as_ref().and_then(place),
            _ => None,
        });
        Self {
            summary: Some(summary),
            compaction: Some((at, tail)),
        }
    }

    fn keeps(&self, place: usize) -> bool {
        let Some((at, tail)) = self.compaction else {
            return true;
        };
        place > at || tail.is_some_and(|tail| place >= tail && place != at)
    }
}

fn push_user(out: &mut Vec<ModelMessage>, entry: &Entry, model: &ModelInfo) {
    let mut content = Vec::new();
    for part in &entry.parts {
        match &part.body {
            PartBody::Text(text) if !text.ignored && !text.text.is_empty() => {
                content.push(UserContent::Text(text.text.clone()));
            }
            PartBody::File(file) => content.extend(file_content(file, model)),
            PartBody::Compaction(_) => {
                content.push(UserContent::Text(crate::texts::SUMMARY_REQUEST.into()));
            }
            PartBody::Subtask(task) => content.push(UserContent::Text(format!(
                "Run this task with the subagent {} and report its result: {}",
                task.agent, task.prompt
            ))),
            _ => {}
        }
    }
    if !content.is_empty() {
        out.push(ModelMessage::User(content));
    }
}

/// A file as the model takes it; text files were read into text parts when the prompt came.
fn file_content(file: &FilePart, model: &ModelInfo) -> Option<UserContent> {
    if file.mime.starts_with("text/") || file.mime == "application/x-directory" {
        return None;
    }
    let takes = (file.mime.starts_with("image/") && model.images)
        || (file.mime == "application/pdf" && model.pdf);
    let name = file.filename.clone().unwrap_or_else(|| "a file".into());
    let data = DataUrl::parse(&file.url).map(|url| url.base64());
    Some(match data {
        Some(data) if takes => UserContent::File {
            mime: file.mime.clone(),
            filename: file.filename.clone(),
            data: data.into_owned(),
        },
        _ => UserContent::Text(format!(
            "(The user attached {name} ({}), which this model cannot read. Say so if it matters.)",
            file.mime
        )),
    })
}

fn push_answer(out: &mut Vec<ModelMessage>, entry: &Entry) {
    let Some(info) = entry.info.assistant() else {
        return;
    };
    if info.summary {
        let text: String = entry
            .parts
            .iter()
            .filter_map(|part| plain_text(&part.body))
            .collect();
        out.push(ModelMessage::User(vec![UserContent::Text(format!(
            "{}\n\n{text}",
            crate::texts::SUMMARY_INTRO
        ))]));
        return;
    }
    let mut content = Vec::new();
    let mut results = Vec::new();
    for part in &entry.parts {
        match &part.body {
            PartBody::Text(text) if !text.text.is_empty() && !text.ignored => {
                content.push(AssistantContent::Text(text.text.clone()));
            }
            PartBody::Reasoning(reasoning) if info.error.is_none() => {
                content.push(AssistantContent::Reasoning {
                    text: reasoning.text.clone(),
                    metadata: reasoning.metadata.clone(),
                })
            }
            PartBody::Tool(tool) => {
                content.push(AssistantContent::ToolCall {
                    id: tool.call_id.clone(),
                    name: tool.tool.clone(),
                    input: tool.state.input().clone(),
                });
                results.push(tool_result(tool));
            }
            _ => {}
        }
    }
    if content
        .iter()
        .all(|item| matches!(item, AssistantContent::Reasoning { .. }))
    {
        return;
    }
    out.push(ModelMessage::Assistant(content));
    if !results.is_empty() {
        out.push(ModelMessage::Tool(results));
    }
}

fn plain_text(body: &PartBody) -> Option<&str> {
    match body {
        PartBody::Text(text) => Some(&text.text),
        _ => None,
    }
}

fn tool_result(tool: &ToolPart) -> ToolResult {
    let (output, is_error, files) = match &tool.state {
        ToolState::Completed {
            output,
            time,
            attachments,
            ..
        } => {
            if time.compacted.is_some() {
                (
                    "(This output was taken out to save room. Run the call again if it is needed.)"
                        .into(),
                    false,
                    vec![],
                )
            } else {
                let files = attachments.iter().flatten().filter_map(data_url).collect();
                (output.clone(), false, files)
            }
        }
        ToolState::Error {
            error, metadata, ..
        } => {
            let partial = metadata
                .as_ref()
                .and_then(|known| known.get("output"))
                .and_then(|text| text.as_str());
            let text = match partial {
                Some(partial) if !partial.is_empty() => {
                    format!("{error}\n\nOutput so far:\n{partial}")
                }
                _ => error.clone(),
            };
            (text, true, vec![])
        }
        ToolState::Pending { .. } | ToolState::Running { .. } => {
            ("(The call did not end.)".into(), true, vec![])
        }
    };
    ToolResult {
        id: tool.call_id.clone(),
        name: tool.tool.clone(),
        output,
        is_error,
        files,
    }
}

fn data_url(file: &serde_json::Value) -> Option<(String, String)> {
    let url = DataUrl::parse(file.get("url")?.as_str()?)?;
    Some((url.mime.to_string(), url.base64().into_owned()))
}

/// What the small model gets to make a title from: up to the last four user texts, each cut at 1,000 characters, and the
/// newest two tool outputs cut at 500.
pub fn title_material(state: &State) -> String {
    let cut = |text: &str, most: usize| text.chars().take(most).collect::<String>();
    let mut lines = Vec::new();
    let users: Vec<_> = state
        .messages
        .iter()
        .filter(|entry| entry.info.user().is_some())
        .collect();
    for entry in users.iter().rev().take(4).rev() {
        for part in &entry.parts {
            if let PartBody::Text(text) = &part.body
                && !text.synthetic
            {
                lines.push(format!("User: {}", cut(&text.text, 1_000)));
            }
        }
    }
    let outputs = state
        .messages
        .iter()
        .rev()
        .flat_map(|entry| entry.parts.iter().rev())
        .filter_map(|part| match &part.body {
            PartBody::Tool(ToolPart {
                tool,
                state: ToolState::Completed { output, .. },
                ..
            }) => Some((tool, output)),
            _ => None,
        });
    lines.extend(
        outputs
            .take(2)
            .map(|(tool, output)| format!("Output of {tool}: {}", cut(output, 500))),
    );
    lines.join("\n\n")
}

#[cfg(test)]
mod tests;
