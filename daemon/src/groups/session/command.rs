//! Commands: a template is filled in and becomes a prompt.

use super::super::Answer;
use super::super::catalog::{commands, prompts};
use crate::daemon::Daemon;
use kilo_config::agent::Mode;
use kilo_config::commands::{Command, Piece, pieces};
use kilo_edge::{Reply, Request};
use kilo_ports::sandbox::ProcessSpec;
use kilo_protocol::Fault;
use kilo_protocol::event::{CommandExecuted, Event};
use kilo_protocol::model::ModelRef;
use kilo_protocol::model::{FilePart, SubtaskPart};
use kilo_protocol::requests::{InputPart, InputPartBody, Prompt, RunCommand};
use kilo_session::Engine;
use kilo_session::folder::Folder;
use serde_json::Value;
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Time that one shell command of a template has.
const SHELL_MS: u64 = 30_000;
/// Bytes of its output that go into the prompt.
const SHELL_BYTES_MAX: usize = 64 << 10;
/// Shell commands of one template.
const SHELLS_MAX: usize = 16;
/// Files that one template mentions.
const FILES_MAX: usize = 32;

/// Fills the command's template in and prompts with it; answers like a prompt.
pub(super) async fn run(daemon: Arc<Daemon>, request: Request) -> Answer {
    let wanted: RunCommand = request.json()?;
    let engine = daemon.engine().await?;
    let session = Daemon::session_id(&request);
    let directory = engine.queries().session(&session)?.directory;
    let folder = engine.core().folder(&directory).await?;
    let commands = commands(&daemon, Arc::clone(&folder)).await?;
    let Some(command) = commands
        .iter()
        .find(|command| command.name == wanted.command)
    else {
        let names: Vec<&str> = commands
            .iter()
            .map(|command| command.name.as_str())
            .collect();
        let names = names.join(", ");
        return Err(Fault::unknown(format!(
            "Command not found: \"{}\". Available commands: {names}",
            wanted.command
        )));
    };
    let (text, files) = if command.source == prompts::SOURCE {
        let servers = daemon.folders.instance(&directory).await?.servers;
        let shown = prompts::fill(&servers, &command.name, &wanted.arguments).await?;
        (shown.text, shown.attachments)
    } else {
        let text = fill(&engine, &folder, command, &wanted.arguments).await?;
        (text, Vec::new())
    };
    let (name, arguments) = (command.name.clone(), wanted.arguments.clone());
    let body = daemon.blocking({
        let (folder, command) = (Arc::clone(&folder), command.clone());
        move || Ok(prompt(&folder, &command, wanted, text, files))
    });
    let (id, accepted) = engine.sessions().prompt(&session, body.await?).await?;
    let executed = Event::CommandExecuted(CommandExecuted {
        name: name.into(),
        session_id: Cow::Borrowed(&session),
        arguments: arguments.into(),
        message_id: Cow::Borrowed(&id),
    });
    engine.core().publish(Some(&directory), &executed);
    let answer = engine.sessions().answer(&session, &id, accepted);
    Reply::json(&request.unless_left(answer).await?)
}

fn prompt(
    folder: &Folder,
    command: &Command,
    wanted: RunCommand,
    text: String,
    files: Vec<Value>,
) -> Prompt {
    let chosen = command.model.clone().or(wanted.model);
    let model = chosen
        .as_deref()
        .and_then(|model| model.split_once('/'))
        .map(|(provider, model)| ModelRef {
            provider_id: provider.into(),
            model_id: model.into(),
            variant: None,
        });
    let (agent, parts) = match subagent(folder, command) {
        Some(name) => (
            wanted.agent,
            vec![
                InputPartBody::Subtask(SubtaskPart {
                    prompt: text,
                    description: command.description.clone().unwrap_or_default(),
                    agent: name,
                    command: Some(command.name.clone()),
                    ..SubtaskPart::default()
                })
                .into(),
            ],
        ),
        None => {
            let mut parts = vec![InputPart::text(text)];
            // What an argument mentions is the client's to attach, beside its parts.
            parts.extend(mentioned_files(folder, &command.template));
            parts.extend(files.into_iter().filter_map(file_part));
            (command.agent.clone().or(wanted.agent), parts)
        }
    };
    Prompt {
        message_id: wanted.message_id,
        model,
        agent,
        variant: command.variant.clone().or(wanted.variant),
        parts: parts.into_iter().chain(wanted.parts).collect(),
        ..Default::default()
    }
}

/// A file of a server's prompt.
fn file_part(file: Value) -> Option<InputPart> {
    let part: FilePart = serde_json::from_value(file).ok()?;
    Some(InputPartBody::File(part).into())
}

/// The subagent that a command is for, if it is to run as a task of its own.
fn subagent(folder: &Folder, command: &Command) -> Option<String> {
    let named = command.agent.as_deref().and_then(|name| folder.agent(name));
    match (command.subtask, named) {
        (Some(false), _) => None,
        (Some(true), Some(agent)) => Some(agent.name.clone()),
        (Some(true), None) => folder.agent("general").map(|agent| agent.name.clone()),
        (None, named) => named
            .filter(|agent| agent.mode == Mode::Subagent)
            .map(|agent| agent.name.clone()),
    }
}

/// The text of a command. Its shell commands run only if the user wrote it: those of a project's file stay as they are.
async fn fill(
    engine: &Engine,
    folder: &Folder,
    command: &Command,
    arguments: &str,
) -> Result<String, Fault> {
    let mut text = String::new();
    let mut shells = 0;
    for piece in pieces(&command.template, arguments) {
        match piece {
            Piece::Text(piece) => text.push_str(&piece),
            Piece::Shell(shell) if command.trusted && shells < SHELLS_MAX => {
                shells += 1;
                text.push_str(&output_of(engine, &folder.directory, &shell).await);
            }
            Piece::Shell(shell) => text.push_str(&format!("!`{shell}`")),
        }
    }
    Ok(text)
}

/// What a shell command prints; what goes wrong is said in its place.
async fn output_of(engine: &Engine, directory: &Path, shell: &str) -> String {
    let spec = ProcessSpec {
        program: "sh".into(),
        args: vec!["-c".into(), shell.into()],
        directory: directory.into(),
        env: Vec::new(),
        timeout_ms: Some(SHELL_MS),
        stdin: None,
    };
    let (sender, mut receiver) = mpsc::channel(64);
    let running = engine
        .core()
        .ports
        .sandbox
        .run(spec, sender, CancellationToken::new());
    let collecting = async {
        let mut output: Vec<u8> = Vec::new();
        while let Some(piece) = receiver.recv().await {
            let room = SHELL_BYTES_MAX.saturating_sub(output.len());
            output.extend_from_slice(&piece[..piece.len().min(room)]);
        }
        output
    };
    match tokio::join!(running, collecting) {
        (Ok(_), output) => String::from_utf8_lossy(&output).trim_end().to_string(),
        (Err(error), _) => format!("(the command `{shell}` did not run: {error})"),
    }
}

/// The files and folders that a template names with `@path`, as parts. Only what lies in the worktree counts.
fn mentioned_files(folder: &Folder, template: &str) -> Vec<InputPart> {
    let mut found: Vec<PathBuf> = Vec::new();
    for name in mentions(template) {
        let Ok(path) = folder.directory.join(name).canonicalize() else {
            continue;
        };
        let root = folder
            .worktree
            .canonicalize()
            .unwrap_or_else(|_| folder.worktree.clone());
        if path.starts_with(&root) && !found.contains(&path) && found.len() < FILES_MAX {
            found.push(path);
        }
    }
    let part = |path: PathBuf| {
        let mime = if path.is_dir() {
            "application/x-directory"
        } else {
            "text/plain"
        };
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let escaped =
            percent_encoding::utf8_percent_encode(&path.to_string_lossy(), PATH).to_string();
        InputPartBody::File(FilePart {
            mime: mime.into(),
            filename: name,
            url: format!("file://{escaped}"),
            source: None,
        })
        .into()
    };
    found.into_iter().map(part).collect()
}

/// What would end or change the path of a URL.
const PATH: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS
    .add(b' ')
    .add(b'%')
    .add(b'?')
    .add(b'#');

/// The words after an `@` that begins a word, without the punctuation that ends a sentence.
fn mentions(template: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for word in template.split(|letter: char| {
        letter.is_whitespace() || matches!(letter, '`' | '(' | ')' | '"' | '\'')
    }) {
        let Some(name) = word.strip_prefix('@') else {
            continue;
        };
        let name = name.trim_end_matches([',', '.', ';', ':', '!', '?']);
        if !name.is_empty() && !name.contains('$') {
            found.push(name);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::mentions;

    #[test]
    fn mentions_are_words_with_an_at_sign() {
        let text = "See @src/main.rs, (@docs/a.md) and me@example.org or @$1. Then @notes.";
        assert_eq!(mentions(text), ["src/main.rs", "docs/a.md", "notes"]);
    }
}
