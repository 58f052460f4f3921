//! What a model and a person get from a call's answer.

use crate::model::CallAnswer;
use kilo_protocol::data_url;
use serde_json::{Value, json};

/// The text and the files of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shown {
    /// For the model.
    pub text: String,
    /// File parts with data URLs: images, audio, files.
    pub attachments: Vec<Value>,
}

/// An answer; its data counts where there is no text for it.
pub fn shown(answer: &CallAnswer) -> Shown {
    let mut shown = blocks(&answer.content);
    if shown.text.trim().is_empty()
        && let Some(data) = &answer.structured
    {
        shown.text = data.to_string();
    }
    shown
}

/// Texts one below the other, files as attachments, links as lines.
pub fn blocks<'a>(content: impl IntoIterator<Item = &'a Value>) -> Shown {
    let mut texts: Vec<String> = Vec::new();
    let mut attachments = Vec::new();
    for block in content {
        match field(block, "type") {
            "text" => texts.push(field(block, "text").to_owned()),
            "image" | "audio" => match file(field(block, "mimeType"), field(block, "data")) {
                Some(part) => attachments.push(part),
                None => texts.push(format!("[{} that cannot be read]", field(block, "type"))),
            },
            "resource" => resource(&block["resource"], &mut texts, &mut attachments),
            "resource_link" => texts.push(link(block)),
            _ => texts.push(block.to_string()),
        }
    }
    Shown {
        text: texts.join("\n\n"),
        attachments,
    }
}

/// The contents of a resource: text as text, the rest as files.
pub fn resource(contents: &Value, texts: &mut Vec<String>, attachments: &mut Vec<Value>) {
    if let Some(text) = contents.get("text").and_then(Value::as_str) {
        texts.push(text.to_owned());
        return;
    }
    let mime = match field(contents, "mimeType") {
        "" => "application/octet-stream",
        mime => mime,
    };
    match file(mime, field(contents, "blob")) {
        Some(mut part) => {
            part["filename"] = name_of(field(contents, "uri")).into();
            attachments.push(part);
        }
        None => texts.push(format!("[{} cannot be read]", field(contents, "uri"))),
    }
}

fn link(block: &Value) -> String {
    let (name, uri) = (field(block, "name"), field(block, "uri"));
    match field(block, "description") {
        "" => format!("[{name}]({uri})"),
        what => format!("[{name}]({uri}): {what}"),
    }
}

/// A file part, if `data` is base64 and `mime` a media type.
fn file(mime: &str, data: &str) -> Option<Value> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(data.trim());
    let is_type = mime.contains('/') && mime.bytes().all(|b| b.is_ascii_graphic() && b != b',');
    let url = data_url::of_bytes(mime, &bytes.ok().filter(|_| is_type)?);
    Some(json!({"type": "file", "mime": mime, "url": url}))
}

fn name_of(uri: &str) -> &str {
    let path = uri.split(['?', '#']).next().unwrap_or(uri);
    path.rsplit('/')
        .find(|part| !part.is_empty())
        .unwrap_or("resource")
}

fn field<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_files_links_and_data_are_shown() {
        let answer = CallAnswer {
            content: vec![
                json!({"type": "text", "text": "one"}),
                json!({"type": "image", "mimeType": "image/png", "data": "iVBORw=="}),
                json!({"type": "audio", "mimeType": "audio/wav", "data": "!!"}),
                json!({"type": "resource", "resource": {"uri": "a://b/c.txt", "text": "two"}}),
                json!({"type": "resource", "resource": {"uri": "a://b/c.bin", "blob": "AAA="}}),
                json!({"type": "resource_link", "uri": "a://d", "name": "d", "description": "three"}),
            ],
            structured: Some(json!({"n": 1})),
            is_error: false,
        };
        let shown = shown(&answer);
        assert_eq!(
            shown.text,
            "one\n\n[audio that cannot be read]\n\ntwo\n\n[d](a://d): three"
        );
        assert_eq!(
            shown.attachments,
            [
                json!({"type": "file", "mime": "image/png", "url": "data:image/png;base64,iVBORw=="}),
                json!({"type": "file", "mime": "application/octet-stream", "filename": "c.bin",
                       "url": "data:application/octet-stream;base64,AAA="}),
            ]
        );
        let data = CallAnswer {
            structured: Some(json!({"n": 1})),
            ..CallAnswer::default()
        };
        assert_eq!(super::shown(&data).text, "{\"n\":1}");
    }
}
