//! `background_process`: commands that go on beside the session.

use super::bash;
use crate::call::{self, facts};
use crate::schema::{self, Positive};
use kilo_ports::BoxFuture;
use kilo_ports::background::{Background, BackgroundError, LogPiece, Ready, StartOrder};
use kilo_ports::tool::{Access, Tool, ToolCx, ToolError, ToolOutput, ToolSpec};
use kilo_protocol::process::{Lifetime, ProcessInfo, ProcessStatus};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// Lines of an answer of `logs`.
const LINES_DEFAULT: f64 = 200.0;
const LINES_MAX: f64 = 1_000.0;
/// Lines that other answers show.
const LINES_SHOWN: usize = 40;
/// Milliseconds that `monitor` waits.
const MONITOR_DEFAULT_MS: f64 = 120_000.0;
const MONITOR_MIN_MS: f64 = 5_000.0;
/// Milliseconds that readiness may take.
const READY_DEFAULT_MS: f64 = 30_000.0;
const WAIT_MAX_MS: f64 = 600_000.0;
/// Characters of a pattern.
const PATTERN_BYTES_MAX: usize = 1_000;

/// Orders a session's background processes.
///
/// Starting asks for what the command needs, as `bash` does; what is only looked at or ended asks nothing. Metadata:
/// `count` for lists; `process` (as on the wire) for one.
pub struct BackgroundProcess(pub Arc<dyn Background>);

#[derive(Deserialize, JsonSchema)]
struct BackgroundProcessInput {
    /// What to do
    action: Action,
    /// start: the command
    command: Option<String>,
    /// The process, for all but start and list
    id: Option<String>,
    /// start: the folder to run in (default: the session's)
    workdir: Option<String>,
    /// start: what it is for, in a few words
    description: Option<String>,
    /// start, monitor: when it counts as ready
    ready: Option<ReadyInput>,
    /// logs: how many lines (default 200, at most 1000)
    #[schemars(with = "Option<Positive>")]
    lines: Option<f64>,
    /// monitor: milliseconds to wait (default 120000, 5000 to 600000)
    #[schemars(with = "Option<Positive>")]
    timeout: Option<f64>,
    /// start: in a task, leave it to the session that gave the task
    inherit: Option<bool>,
    /// start: go on after the program ends
    persistent: Option<bool>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Action {
    Start,
    Monitor,
    List,
    Status,
    Logs,
    Stop,
    Restart,
}

#[derive(Clone, Deserialize, JsonSchema)]
struct ReadyInput {
    /// A regular expression that a line of the output matches
    pattern: Option<String>,
    /// A TCP port of this machine that takes connections
    #[schemars(with = "Option<Positive>")]
    port: Option<f64>,
    /// Milliseconds to wait for that (default 30000)
    #[schemars(with = "Option<Positive>")]
    timeout: Option<f64>,
}

impl Tool for BackgroundProcess {
    fn spec(&self) -> ToolSpec {
        schema::spec::<BackgroundProcessInput>(
            "background_process",
            include_str!("descriptions/background_process.md"),
            Access::Session,
        )
    }

    fn run(&self, input: Value, cx: ToolCx) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        let all = Arc::clone(&self.0);
        Box::pin(async move {
            let input = call::arguments("background_process", input)?;
            act(input, &*all, &cx).await
        })
    }
}

async fn act(
    input: BackgroundProcessInput,
    all: &dyn Background,
    cx: &ToolCx,
) -> Result<ToolOutput, ToolError> {
    let session = &cx.session;
    match input.action {
        Action::Start => {
            let order = order(&input, cx).await?;
            let started = call::or_stopped(cx, all.start(order)).await?;
            Ok(one(&started.map_err(failed)?, cx))
        }
        Action::List => Ok(list(&all.list(session).await, cx)),
        Action::Status => Ok(one(
            &all.get(session, id(&input)?).await.map_err(failed)?,
            cx,
        )),
        Action::Monitor => {
            let ready = input.ready.as_ref().map(ready).transpose()?;
            let limit = milliseconds(input.timeout, MONITOR_DEFAULT_MS, MONITOR_MIN_MS);
            let waited = all.monitor(session, id(&input)?, ready, limit);
            Ok(one(
                &call::or_stopped(cx, waited).await?.map_err(failed)?,
                cx,
            ))
        }
        Action::Logs => {
            let lines = input.lines.unwrap_or(LINES_DEFAULT).clamp(1.0, LINES_MAX);
            let piece = all.logs(session, id(&input)?, lines as usize).await;
            Ok(logs(id(&input)?, &piece.map_err(failed)?, cx))
        }
        Action::Stop => {
            let stopped = all.stop(session, id(&input)?).await;
            Ok(one(&stopped.map_err(failed)?, cx))
        }
        Action::Restart => {
            // What was allowed then may not be allowed now.
            let known = all.get(session, id(&input)?).await.map_err(failed)?;
            let folder = bash::folder(Some(&known.cwd), cx).await?;
            bash::permit(&known.command, known.description.as_deref(), &folder, cx).await?;
            let restarted = call::or_stopped(cx, all.restart(session, &known.id)).await?;
            Ok(one(&restarted.map_err(failed)?, cx))
        }
    }
}

/// Checks what is to be started, and asks for it.
async fn order(input: &BackgroundProcessInput, cx: &ToolCx) -> Result<StartOrder, ToolError> {
    let command = input.command.as_deref().unwrap_or_default();
    if command.trim().is_empty() {
        return Err(invalid("start needs a command"));
    }
    if command.len() > bash::COMMAND_BYTES_MAX {
        return Err(invalid("the command is over 128 KiB"));
    }
    let ready = input.ready.as_ref().map(ready).transpose()?;
    let folder = bash::folder(input.workdir.as_deref(), cx).await?;
    bash::permit(command, input.description.as_deref(), &folder, cx).await?;
    Ok(StartOrder {
        session: cx.session.clone(),
        directory: cx.directory.clone(),
        command: command.to_owned(),
        cwd: folder,
        description: input.description.clone(),
        ready,
        lifetime: match (input.persistent, input.inherit) {
            (Some(true), _) => Lifetime::Persistent,
            (_, Some(true)) => Lifetime::Parent,
            _ => Lifetime::Session,
        },
    })
}

fn ready(input: &ReadyInput) -> Result<Ready, ToolError> {
    let pattern = input.pattern.clone().filter(|pattern| !pattern.is_empty());
    if pattern
        .as_ref()
        .is_some_and(|text| text.len() > PATTERN_BYTES_MAX)
    {
        return Err(invalid("ready.pattern is over 1000 bytes"));
    }
    let port = match input.port {
        Some(port) if !(1.0..=65_535.0).contains(&port) => {
            return Err(invalid("ready.port is no port"));
        }
        port => port.map(|port| port as u16),
    };
    if pattern.is_none() && port.is_none() {
        return Err(invalid("ready needs a pattern or a port"));
    }
    Ok(Ready {
        pattern,
        port,
        timeout: milliseconds(input.timeout, READY_DEFAULT_MS, 1.0),
    })
}

fn milliseconds(wanted: Option<f64>, default: f64, min: f64) -> Duration {
    Duration::from_millis(wanted.unwrap_or(default).clamp(min, WAIT_MAX_MS) as u64)
}

fn id(input: &BackgroundProcessInput) -> Result<&str, ToolError> {
    let id = input.id.as_deref().unwrap_or_default();
    match id.is_empty() {
        true => Err(invalid("this action needs the id of a process")),
        false => Ok(id),
    }
}

fn invalid(message: &str) -> ToolError {
    ToolError::Invalid(format!("background_process: {message}"))
}

fn failed(error: BackgroundError) -> ToolError {
    ToolError::failed(error.to_string())
}

fn list(infos: &[ProcessInfo], cx: &ToolCx) -> ToolOutput {
    let output = match infos.is_empty() {
        true => "No background processes are available for this session.".to_owned(),
        false => infos.iter().map(line).collect::<Vec<_>>().join("\n"),
    };
    shown(
        "Background processes",
        output,
        [("count", infos.len().into())],
        cx,
    )
}

fn logs(id: &str, piece: &LogPiece, cx: &ToolCx) -> ToolOutput {
    let text = match piece.text.is_empty() {
        true => "(no output)",
        false => &piece.text,
    };
    let output = format!(
        "[bytes {} to {} of the output]\n{text}",
        piece.from, piece.to
    );
    let position = json!({"from": piece.from, "to": piece.to});
    shown(
        &format!("Output of {id}"),
        output,
        [("position", position)],
        cx,
    )
}

fn one(info: &ProcessInfo, cx: &ToolCx) -> ToolOutput {
    let mut output = line(info);
    if info.status == ProcessStatus::Running && !info.ready {
        output.push_str("\nIt has not said that it is ready.");
    }
    let all = info.output.lines().count();
    let last = info.output.lines().skip(all.saturating_sub(LINES_SHOWN));
    let text = last.collect::<Vec<_>>().join("\n");
    let _ = match text.is_empty() {
        true => write!(output, "\n(no output yet)"),
        false => write!(output, "\n{text}"),
    };
    let title = info.description.as_deref().unwrap_or(&info.command);
    let title: String = title
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(200)
        .collect();
    shown(&title, output, [("process", json!(info))], cx)
}

/// `bgp_1: ready, pid 7, listens on 8080: npm run dev`
fn line(info: &ProcessInfo) -> String {
    let status = json!(info.status);
    let mut text = format!("{}: {}", info.id, status.as_str().unwrap_or_default());
    if let Some(pid) = info.pid.filter(|_| info.is_alive()) {
        let _ = write!(text, ", pid {pid}");
    }
    if !info.ports.is_empty() {
        let ports: Vec<String> = info.ports.iter().map(u16::to_string).collect();
        let _ = write!(text, ", listens on {}", ports.join(", "));
    }
    if let Some(code) = info.exit_code {
        let _ = write!(text, ", exit code {code}");
    }
    if let Some(signal) = &info.signal {
        let _ = write!(text, ", ended by {signal}");
    }
    if info.lifetime == Lifetime::Persistent {
        text.push_str(", persistent");
    }
    let _ = write!(text, ": {}", info.command);
    text
}

fn shown<const N: usize>(
    title: &str,
    output: String,
    metadata: [(&str, Value); N],
    cx: &ToolCx,
) -> ToolOutput {
    let mut live = Map::new();
    live.insert("output".into(), output.clone().into());
    cx.host.progress(&cx.call, None, live);
    ToolOutput {
        title: title.to_owned(),
        output,
        metadata: facts(metadata),
        ..ToolOutput::default()
    }
}
