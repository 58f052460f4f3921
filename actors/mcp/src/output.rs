//! What a model and a person get from a call's answer.

use crate::model::CallAnswer;
use kilo_protocol::data_url;
use serde_json::{Value, json};

/// Files of one answer, and bytes of an image or a document that every provider takes (5 MB as base64).
const FILES_MAX: usize = 20;
const FILE_BYTES_MAX: usize = 3_750_000;

/// What a file goes to models as that they cannot look at.
const UNSHOWN: &str = "application/octet-stream";

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
            kind @ ("image" | "audio") => {
                let file = file(field(block, "mimeType"), field(block, "data"));
                attach(file, kind, &mut texts, &mut attachments);
            }
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
    let uri = field(contents, "uri");
    let file = file(mime, field(contents, "blob")).map(|mut part| {
        part["filename"] = name_of(uri).into();
        part
    });
    attach(file, uri, texts, attachments);
}

fn attach(
    file: Result<Value, String>,
    what: &str,
    texts: &mut Vec<String>,
    attachments: &mut Vec<Value>,
) {
    match file {
        Ok(_) if attachments.len() >= FILES_MAX => {
            texts.push(format!(
                "[{what} is left out: at most {FILES_MAX} files are taken]"
            ));
        }
        Ok(part) => {
            let is_unshown = is_of(&part, UNSHOWN) && part["mime"] != UNSHOWN;
            if is_unshown {
                let mime = field(&part, "mime");
                texts.push(format!("[{what} is no {mime} that you can look at]"));
            }
            attachments.push(part);
        }
        Err(why) => texts.push(format!("[{what} is left out: {why}]")),
    }
}

/// Whether a file goes out as `mime`.
fn is_of(part: &Value, mime: &str) -> bool {
    let url = field(part, "url").strip_prefix("data:");
    url.is_some_and(|url| url.starts_with(mime))
}

fn link(block: &Value) -> String {
    let (name, uri) = (field(block, "name"), field(block, "uri"));
    match field(block, "description") {
        "" => format!("[{name}]({uri})"),
        what => format!("[{name}]({uri}): {what}"),
    }
}

/// A file part. An image is called what its bytes are: one that is none would make the provider refuse this request and all
/// that follow it in the session, so clients get it, and models are told of it.
///
/// Errors: why there is none, for the model.
fn file(mime: &str, data: &str) -> Result<Value, String> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(data.trim());
    let bytes = bytes.map_err(|_| "it is not base64")?;
    let is_type = mime.contains('/') && mime.bytes().all(|b| b.is_ascii_graphic() && b != b',');
    if !is_type {
        return Err("it has no media type".into());
    }
    let goes_to_models = mime.starts_with("image/") || mime == "application/pdf";
    if goes_to_models && bytes.len() > FILE_BYTES_MAX {
        let size = bytes.len();
        return Err(format!("{size} bytes, at most {FILE_BYTES_MAX} are taken"));
    }
    let (mime, sent_as) = match data_url::shown_type(&bytes) {
        Some(real) if goes_to_models => (real, real),
        _ if goes_to_models => (mime, UNSHOWN),
        _ => (mime, mime),
    };
    let url = data_url::of_bytes(sent_as, &bytes);
    Ok(json!({"type": "file", "mime": mime, "url": url}))
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
            "one\n\n[audio is left out: it is not base64]\n\ntwo\n\n[d](a://d): three"
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

    #[test]
    fn what_would_spoil_every_later_request_is_left_out() {
        use base64::Engine as _;
        let base64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
        let image = |mime: &str, bytes: &[u8]| {
            let block = json!({"type": "image", "mimeType": mime, "data": base64(bytes)});
            blocks([&block])
        };
        let left_out = |mime: &str, bytes: &[u8]| {
            let shown = image(mime, bytes);
            assert!(shown.attachments.is_empty(), "{mime}");
            shown.text
        };
        left_out("", b"\x89PNG");
        // Clients get what calls itself an image, models do not.
        for (mime, bytes) in [
            ("image/svg+xml", &b"<svg/>"[..]),
            ("image/png", b"not at all"),
        ] {
            let shown = image(mime, bytes);
            assert_eq!(
                shown.text,
                format!("[image is no {mime} that you can look at]")
            );
            let url = format!("data:application/octet-stream;base64,{}", base64(bytes));
            let part = json!({"type": "file", "mime": mime, "url": url});
            assert_eq!(shown.attachments, [part]);
        }
        let mut large = vec![0; FILE_BYTES_MAX + 1];
        large[..4].copy_from_slice(b"\x89PNG");
        assert!(left_out("image/png", &large).contains("3750001 bytes"));
        assert_eq!(
            image("image/png", b"\xFF\xD8\xFF").attachments[0]["mime"],
            "image/jpeg"
        );
        let pixel = json!({"type": "image", "mimeType": "image/png", "data": "iVBORw=="});
        let many = blocks(std::iter::repeat_n(&pixel, FILES_MAX + 2));
        assert_eq!(
            (many.attachments.len(), many.text.lines().count()),
            (FILES_MAX, 3)
        );
    }
}
