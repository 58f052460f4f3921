//! `bash`: runs a command, shows its output while it runs, and bounds what the model gets.

mod collect;
mod left;
mod live;

use crate::after::after_command;
use crate::call;
use crate::place::Place;
use crate::schema::{self, Positive};
use collect::{Collector, Kept};
use kilo_ports::BoxFuture;
use kilo_ports::clock::{Clock, SystemClock};
use kilo_ports::sandbox::{Exit, ProcessSpec, SandboxError};
use kilo_ports::tool::{Access, Tool, ToolCx, ToolError, ToolOutput, ToolSpec};
use kilo_shell::{Context, judge};
use live::Live;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Milliseconds that a command may take when the call names no bound.
const TIMEOUT_DEFAULT_MS: u64 = 120_000;
/// The longest command; the system takes no longer argument.
pub(super) const COMMAND_BYTES_MAX: usize = 128 * 1024 - 1;
/// Output messages that wait between the command and this tool.
const CHUNKS_MAX: usize = 16;
/// What a command is told that seems to have left something running.
const ENDED_TOO: &str = "\n[What this command left running in the background was ended with it. To keep a server or a \
    watcher running, start it with background_process.]";
/// Characters of a title.
const TITLE_CHARS_MAX: usize = 200;

/// Runs a command with bash in the session's folder.
///
/// A command that fails, or that its bound ended, is a normal answer that says so. Metadata: `output` (the last 30,000
/// characters), `exit` (null when it was ended early), `description`, `truncated`, `outputPath` where the whole is kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bash;

#[derive(Deserialize, JsonSchema)]
struct BashInput {
    /// The command
    command: String,
    /// Milliseconds after which it is ended (default 120000)
    #[schemars(with = "Option<Positive>")]
    timeout: Option<f64>,
    /// The folder to run in (default: the session's)
    workdir: Option<String>,
    /// What it is for, in five to ten words
    description: Option<String>,
}

impl Tool for Bash {
    fn spec(&self) -> ToolSpec {
        schema::spec::<BashInput>(
            "bash",
            include_str!("descriptions/bash.md"),
            Access::Executes,
        )
    }

    fn run(&self, input: Value, cx: ToolCx) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        Box::pin(async move { bash(call::arguments("bash", input)?, &cx).await })
    }
}

async fn bash(input: BashInput, cx: &ToolCx) -> Result<ToolOutput, ToolError> {
    if input.command.len() > COMMAND_BYTES_MAX {
        return Err(ToolError::failed(
            "The command is over 128 KiB. Write it to a file with the write tool and run that file.",
        ));
    }
    let folder = folder(input.workdir.as_deref(), cx).await?;
    let left_out = permit(&input.command, input.description.as_deref(), &folder, cx).await?;
    let timeout_ms = timeout_ms(&input);
    let mut collector = Collector::new(cx);
    let since = SystemClock.now();
    let exit = execute(&input, left_out, folder, timeout_ms, cx, &mut collector).await?;
    let kept = collector.finish().await;
    if exit == Exit::Cancelled {
        return Err(aborted(&input, kept));
    }
    let mut answer = answer(&input, kept, exit, timeout_ms);
    answer.output.push_str(&told(left_out));
    if left::is_left_running(&input.command) {
        answer.output.push_str(ENDED_TOO);
    }
    let after = after_command(cx, since).await;
    answer.output.push_str(&after.note);
    if !after.diagnostics.is_empty() {
        let found = after.diagnostics.into();
        answer.metadata.insert("diagnostics".into(), found);
    }
    Ok(answer)
}

/// The folder to run in, checked; whether it may be left is asked together with the rest.
pub(super) async fn folder(workdir: Option<&str>, cx: &ToolCx) -> Result<PathBuf, ToolError> {
    let Some(wanted) = workdir.filter(|folder| !folder.is_empty()) else {
        return Ok(cx.directory.clone());
    };
    let place = Place::find(cx, wanted).await?;
    if !place.real.is_dir() {
        return Err(ToolError::failed(format!(
            "{} is not a folder",
            place.shown()
        )));
    }
    Ok(place.absolute)
}

/// Asks for what the command needs; gives the names that its searches must leave out.
pub(super) async fn permit(
    command: &str,
    description: Option<&str>,
    folder: &Path,
    cx: &ToolCx,
) -> Result<&'static [&'static str], ToolError> {
    let (command, description) = (command.to_owned(), description.map(str::to_owned));
    let (folder, judged) = (folder.to_path_buf(), cx.clone());
    let (rules, saved) = (cx.host.rules(), cx.host.saved_rules());
    let judgement = call::blocking(move || {
        let context = Context {
            start: &folder,
            directory: &judged.directory,
            worktree: &judged.worktree,
            home: &judged.home,
            guarded: &judged.guarded,
            rules: &rules,
            saved: &saved,
            cancelled: &|| judged.cancel.is_cancelled(),
        };
        Ok(judge(&command, description.as_deref(), context))
    })
    .await?;
    for ask in judgement.asks {
        call::ask(cx, ask).await?;
    }
    Ok(judgement.left_out)
}

/// The text to run: a search that would come across files with secrets leaves them out.
fn script(command: &str, left_out: &[&str]) -> String {
    if left_out.is_empty() {
        return command.to_owned();
    }
    let options: Vec<String> = left_out
        .iter()
        .map(|name| format!("--exclude='{name}'"))
        .collect();
    // On a line of its own, so that the command is read as it was judged.
    format!(
        "grep() {{ command grep {} \"$@\"; }}\n{command}",
        options.join(" ")
    )
}

fn told(left_out: &[&str]) -> String {
    if left_out.is_empty() {
        return String::new();
    }
    format!(
        "\n[grep left out files with secrets: {}. Name one to ask for it.]",
        left_out.join(", ")
    )
}

fn timeout_ms(input: &BashInput) -> u64 {
    match input.timeout {
        // The schema allows whole numbers above zero only; a JSON number may still come as 1000.0.
        Some(wanted) if wanted >= 1.0 => wanted as u64,
        _ => TIMEOUT_DEFAULT_MS,
    }
}

async fn execute(
    input: &BashInput,
    left_out: &[&str],
    directory: PathBuf,
    timeout_ms: u64,
    cx: &ToolCx,
    collector: &mut Collector,
) -> Result<Exit, ToolError> {
    let spec = ProcessSpec {
        program: shell().into(),
        args: vec!["-c".into(), script(&input.command, left_out)],
        directory,
        env: Vec::new(),
        timeout_ms: Some(timeout_ms),
        stdin: None,
    };
    let (sender, mut chunks) = mpsc::channel(CHUNKS_MAX);
    let mut running = cx.sandbox.run(spec, sender, cx.cancel.clone());
    let mut ended = None;
    let mut live = Live::new(Instant::now());
    loop {
        tokio::select! {
            biased;
            // The last message may come after the command's end; the channel closes behind it.
            chunk = chunks.recv() => {
                let Some(chunk) = chunk else { break };
                collector.add(&chunk).await;
                live.add(chunk.len(), Instant::now());
            }
            exit = &mut running, if ended.is_none() => ended = Some(exit),
            // What is left when it has ended comes with the answer.
            () = until(live.due()), if ended.is_none() => {}
        }
        let now = Instant::now();
        if ended.is_none()
            && let Some(room) = live.room(now)
        {
            let text = collector.live(room);
            live.shown(text.len(), now);
            cx.host.progress(&cx.call, None, progress(input, text));
        }
    }
    let exit = match ended {
        Some(exit) => exit,
        None => running.await,
    };
    exit.map_err(|error| ToolError::Failed(sentence(&error)))
}

fn shell() -> &'static str {
    static SHELL: std::sync::OnceLock<&'static str> = std::sync::OnceLock::new();
    SHELL.get_or_init(|| {
        if Path::new("/bin/bash").exists() {
            "/bin/bash"
        } else {
            "/bin/sh"
        }
    })
}

fn sentence(error: &SandboxError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("The command did not run: {error}: {source}"),
        None => format!("The command did not run: {error}"),
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn progress(input: &BashInput, output: String) -> Map<String, Value> {
    let mut metadata = Map::new();
    metadata.insert("output".into(), output.into());
    describe(input, &mut metadata);
    metadata
}

fn describe(input: &BashInput, metadata: &mut Map<String, Value>) {
    if let Some(description) = &input.description {
        metadata.insert("description".into(), description.clone().into());
    }
}

fn aborted(input: &BashInput, kept: Kept) -> ToolError {
    let mut metadata = facts(input, &kept, Value::Null);
    metadata.insert("aborted".into(), true.into());
    ToolError::Aborted { metadata }
}

fn answer(input: &BashInput, kept: Kept, exit: Exit, timeout_ms: u64) -> ToolOutput {
    let (code, note) = match exit {
        Exit::Code(0) => (json!(0), None),
        Exit::Code(code) => (
            json!(code),
            Some(format!("The command ended with exit code {code}.")),
        ),
        Exit::Signal(signal) => (
            json!(128 + signal),
            Some(format!("The command was ended by signal {signal}.")),
        ),
        Exit::TimedOut | Exit::Cancelled => (Value::Null, Some(timed_out(timeout_ms))),
    };
    let metadata = facts(input, &kept, code);
    ToolOutput {
        title: title(input),
        output: text(kept, note),
        metadata,
        ..ToolOutput::default()
    }
}

fn timed_out(timeout_ms: u64) -> String {
    format!(
        "The command timed out: it was ended after {timeout_ms} ms with everything that it had started. \
         If it needs longer, call again with a larger timeout; a server that is to go on is for background_process."
    )
}

fn facts(input: &BashInput, kept: &Kept, exit: Value) -> Map<String, Value> {
    let mut metadata = Map::new();
    metadata.insert("output".into(), kept.live.clone().into());
    metadata.insert("exit".into(), exit);
    describe(input, &mut metadata);
    metadata.insert("truncated".into(), kept.cut.is_some().into());
    if let Some(path) = kept.cut.as_ref().and_then(|cut| cut.path.as_ref()) {
        metadata.insert("outputPath".into(), path.display().to_string().into());
    }
    metadata
}

/// What the model gets: what was cut, the last of the output, what became of the command.
fn text(kept: Kept, note: Option<String>) -> String {
    let mut text = kept.cut.map(|cut| cut.sentence()).unwrap_or_default();
    if kept.tail.is_empty() && note.is_none() {
        text.push_str("(no output)");
    }
    text.push_str(&kept.tail);
    if let Some(note) = note {
        let gap = if text.is_empty() || text.ends_with('\n') {
            ""
        } else {
            "\n"
        };
        text.push_str(&format!("{gap}\n[{note}]"));
    }
    text
}

fn title(input: &BashInput) -> String {
    let words = input
        .description
        .as_deref()
        .filter(|description| !description.trim().is_empty());
    let line = words
        .unwrap_or(&input.command)
        .trim()
        .lines()
        .next()
        .unwrap_or_default();
    line.chars().take(TITLE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests;
