//! Makes a client's prompt ready for the machine: chooses agent, model and ids, and reads attached files.

use crate::core::Core;
use crate::folder::Folder;
use crate::input::Prompt;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kilo_config::agent::Agent;
use kilo_protocol::data_url::{self, DataUrl};
use kilo_protocol::model::{
    Created, FilePart, ModelRef, Part, PartBody, Session, TextPart, UserMessage,
};
use kilo_protocol::requests::{self, InputPart, InputPartBody};
use kilo_protocol::{Fault, IdSource, MessageId, Millis, PartId, SessionId};
use kilo_runtime::limits::ATTACHMENT_BYTES_MAX;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Lines of an attached file that go into the prompt.
const LINES_MAX: usize = 2_000;
/// Bytes of an attached file that go into the prompt.
const BYTES_MAX: usize = 50 << 10;

/// Makes a prompt ready.
pub async fn prompt(
    core: &Core,
    folder: &Folder,
    info: &Session,
    body: requests::Prompt,
) -> Result<Prompt, Fault> {
    let agent = agent(folder, info, body.agent.as_deref())?;
    let model = model(folder, info, agent, body.model, body.variant, body.no_reply)?;
    let now = core.now();
    let ids = core.ledger.ids();
    let id = match body.message_id {
        Some(id) if is_plain_id(id.as_str(), "msg") => id,
        Some(_) => {
            return Err(Fault::bad_field(
                "a string starting with \"msg\"",
                "messageID",
            ));
        }
        None => ids.message(now),
    };
    let mut maker = Maker {
        ids,
        now,
        session: &info.id,
        message: &id,
        parts: Vec::new(),
    };
    for part in body.parts {
        maker.add(folder, part).await;
    }
    let parts = maker.parts;
    let message = UserMessage {
        id,
        session_id: info.id.clone(),
        time: Created { created: now },
        format: body
            .format
            .filter(|format| format.get("type").and_then(Value::as_str) == Some("json_schema")),
        summary: None,
        agent: agent.name.clone(),
        model,
        system: body.system,
        tools: body.tools,
        editor_context: body.editor_context,
    };
    Ok(Prompt {
        message,
        parts,
        no_reply: body.no_reply,
    })
}

fn agent<'a>(folder: &'a Folder, info: &Session, name: Option<&str>) -> Result<&'a Agent, Fault> {
    if let Some(name) = name {
        return folder.agent(name).ok_or_else(|| {
            let names: Vec<&str> = folder
                .agents
                .iter()
                .filter(|agent| !agent.hidden)
                .map(|agent| agent.name.as_str())
                .collect();
            Fault::unknown(format!(
                "Agent not found: \"{name}\". Available agents: {}",
                names.join(", ")
            ))
        });
    }
    if let Some(agent) = info.agent.as_deref().and_then(|name| folder.agent(name)) {
        return Ok(agent);
    }
    kilo_config::default_agent(&folder.loaded, &folder.agents)
        .map_err(|error| Fault::unknown(error.to_string()))
}

fn model(
    folder: &Folder,
    info: &Session,
    agent: &Agent,
    named: Option<ModelRef>,
    variant: Option<String>,
    no_reply: bool,
) -> Result<ModelRef, Fault> {
    let of_agent = || {
        agent.model.as_ref().map(|model| ModelRef {
            provider_id: model.provider_id.clone(),
            model_id: model.model_id.clone(),
            variant: agent.variant.clone(),
        })
    };
    let of_session = || {
        info.model.as_ref().map(|model| ModelRef {
            provider_id: model.provider_id.clone(),
            model_id: model.id.clone(),
            variant: model.variant.clone().filter(|variant| variant != "default"),
        })
    };
    let chosen = named
        .or_else(of_agent)
        .or_else(of_session)
        .or_else(|| folder.models.default_model());
    match chosen {
        Some(mut model) => {
            model.variant = variant.or(model.variant);
            Ok(model)
        }
        None if no_reply => Ok(ModelRef {
            provider_id: String::new(),
            model_id: String::new(),
            variant: None,
        }),
        None => Err(Fault::unknown(
            "No model is configured. Add a key with `kilo auth login`, start a local model server, or set `model` in the configuration.",
        )),
    }
}

struct Maker<'a> {
    ids: &'a IdSource,
    now: Millis,
    session: &'a SessionId,
    message: &'a MessageId,
    parts: Vec<Part>,
}

impl Maker<'_> {
    fn push(&mut self, id: Option<&str>, body: PartBody) {
        let id = match id {
            Some(id) if is_plain_id(id, "prt") => PartId::from_wire(id),
            _ => self.ids.part(self.now),
        };
        self.parts.push(Part {
            id,
            session_id: self.session.clone(),
            message_id: self.message.clone(),
            body,
        });
    }

    fn synthetic(&mut self, text: String) {
        self.push(
            None,
            PartBody::Text(TextPart {
                text,
                synthetic: true,
                ..Default::default()
            }),
        );
    }

    async fn add(&mut self, folder: &Folder, part: InputPart) {
        let id = part.id.as_deref();
        match part.body {
            InputPartBody::Text(text) => self.push(id, PartBody::Text(text)),
            InputPartBody::File(file) => self.file(folder, id, file).await,
            InputPartBody::Agent(agent) => {
                let hint = format!(
                    "The user named the subagent {}. Call the task tool with it for the work above.",
                    agent.name
                );
                self.push(id, PartBody::Agent(agent));
                self.synthetic(hint);
            }
            InputPartBody::Subtask(task) => self.push(id, PartBody::Subtask(task)),
        }
    }

    async fn file(&mut self, folder: &Folder, id: Option<&str>, mut file: FilePart) {
        if let Some(path) = file_path(&file.url, &folder.directory) {
            let name = path.display().to_string();
            let read = read_attachment(path, file.mime.clone()).await;
            match read {
                Ok(Attachment::Text(text)) => {
                    self.synthetic(format!(
                        "Called the read tool with {}",
                        serde_json::json!({"filePath": name})
                    ));
                    self.synthetic(text);
                }
                Ok(Attachment::Data(data)) => file.url = data_url::of_base64(&file.mime, &data),
                Err(why) => {
                    self.synthetic(format!("The attached file {name} could not be read: {why}"))
                }
            }
        } else if file.mime.starts_with("text/")
            && let Some(text) = inline_text(&file.url)
        {
            let name = file.filename.clone().unwrap_or_else(|| "file".into());
            self.synthetic(format!(
                "<file name=\"{name}\">\n{}\n</file>",
                kilo_ports::cut::start(&text, BYTES_MAX)
            ));
        }
        self.push(id, PartBody::File(file));
    }
}

fn file_path(url: &str, directory: &Path) -> Option<PathBuf> {
    let path = url.strip_prefix("file://")?;
    let path = path.split(['?', '#']).next().unwrap_or(path);
    let bytes: Vec<u8> = percent_decode_str(path).collect();
    // A path is bytes: one that is no UTF-8 is found as well.
    let path = PathBuf::from(OsString::from_vec(bytes));
    Some(if path.is_absolute() {
        path
    } else {
        directory.join(path)
    })
}

fn inline_text(url: &str) -> Option<String> {
    let bytes = DataUrl::parse(url)?.decode()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

enum Attachment {
    Text(String),
    Data(String),
}

/// Reads an attached file on a blocking thread: text and folders as the read tool shows them, the rest as base64.
async fn read_attachment(path: PathBuf, mime: String) -> Result<Attachment, String> {
    let read = move || -> Result<Attachment, String> {
        let meta = std::fs::metadata(&path).map_err(|error| error.to_string())?;
        if meta.is_dir() {
            let mut names: Vec<String> = std::fs::read_dir(&path)
                .map_err(|error| error.to_string())?
                .filter_map(Result::ok)
                .map(|entry| {
                    let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                    format!(
                        "{}{}",
                        entry.file_name().to_string_lossy(),
                        if is_folder { "/" } else { "" }
                    )
                })
                .collect();
            names.sort();
            names.truncate(LINES_MAX);
            let list = names.join("\n");
            return Ok(Attachment::Text(format!(
                "<path>{}</path>\n<type>directory</type>\n<entries>\n{list}\n</entries>",
                path.display()
            )));
        }
        if meta.len() > ATTACHMENT_BYTES_MAX {
            return Err(format!(
                "it has {} bytes, more than {ATTACHMENT_BYTES_MAX}",
                meta.len()
            ));
        }
        let bytes = std::fs::read(&path).map_err(|error| error.to_string())?;
        if mime.starts_with("image/") || mime == "application/pdf" {
            return Ok(Attachment::Data(STANDARD.encode(bytes)));
        }
        if bytes.iter().take(8_192).any(|byte| *byte == 0) {
            return Err("it is a binary file".into());
        }
        Ok(Attachment::Text(numbered(
            &path,
            &String::from_utf8_lossy(&bytes),
        )))
    };
    tokio::task::spawn_blocking(read)
        .await
        .map_err(|error| error.to_string())?
}

/// A file's text in the read tool's envelope.
fn numbered(path: &Path, text: &str) -> String {
    let total = text.lines().count();
    let mut out = format!(
        "<path>{}</path>\n<type>file</type>\n<content>\n",
        path.display()
    );
    let mut shown = 0;
    for (number, line) in text.lines().enumerate().take(LINES_MAX) {
        if out.len() + line.len() > BYTES_MAX {
            break;
        }
        out.push_str(&format!("{}: {line}\n", number + 1));
        shown = number + 1;
    }
    if shown < total {
        out.push_str(&format!(
            "\n(Shown: lines 1 to {shown} of {total}. Read the rest with offset {}.)\n</content>",
            shown + 1
        ));
    } else {
        out.push_str(&format!(
            "\n(End of file - total {total} lines)\n</content>"
        ));
    }
    out
}

/// The instruction files of a folder, as system texts.
pub fn instructions(folder: &Folder) -> Vec<String> {
    kilo_config::instructions::collect(&folder.environment, &folder.paths, &folder.loaded)
        .to_prompt()
}

/// The skills of a folder that a model is told about: name, description, path.
pub fn skills(folder: &Folder) -> Vec<(String, String, PathBuf)> {
    kilo_config::skills::skills(&folder.environment, &folder.paths, &folder.loaded)
        .into_iter()
        .filter_map(|skill| Some((skill.name, skill.description?, skill.location)))
        .collect()
}

/// An id that is safe to write anywhere: the prefix and then letters, digits, `_` and `-` only.
pub fn is_plain_id(id: &str, prefix: &str) -> bool {
    id.starts_with(prefix)
        && id.len() <= 128
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}
