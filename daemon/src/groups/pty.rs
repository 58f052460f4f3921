//! Terminals. A WebSocket carries text both ways; a binary message that begins with a zero byte tells the client the
//! position `{"cursor": n}` by which it may come back.

pub(super) mod socket;

use super::{Answer, routes};
use crate::daemon::Daemon;
use kilo_edge::{Reply, Request};
use kilo_protocol::terminal::{CreateTerminal, TerminalInfo, UpdateTerminal};
use kilo_protocol::{Fault, FaultKind};
use kilo_terminal::{CreateError, Program, TICKET_SECONDS, Terminal, Terminals};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use tokio::time::Instant;

/// A page of another origin cannot send these with a plain form.
const TICKET_FIELDS: [&str; 2] = ["x-kilo-ticket", "x-opencode-ticket"];

routes! {
    "pty.shells" => shells;
    "pty.list" => list;
    "pty.create" => create;
    "pty.get" => get;
    "pty.update" => update;
    "pty.remove" => remove;
    "pty.connectToken" => connect_token;
    "pty.connect" => socket::connect;
}

async fn shells(daemon: Arc<Daemon>, _: Request) -> Answer {
    let shells = daemon.blocking(|| Ok(kilo_terminal::shells())).await?;
    let shown: Vec<_> = shells
        .iter()
        .map(
            |shell| json!({"path": shell.path, "name": shell.name, "acceptable": shell.acceptable}),
        )
        .collect();
    Reply::json(&shown)
}

async fn list(daemon: Arc<Daemon>, request: Request) -> Answer {
    Reply::json(&listed(&daemon, &request))
}

/// The terminals of the request's folder.
pub(super) fn listed(daemon: &Daemon, request: &Request) -> Vec<TerminalInfo> {
    let directory = daemon.directory(request);
    let known = daemon.terminals.get();
    known.map(|all| all.list(&directory)).unwrap_or_default()
}

async fn create(daemon: Arc<Daemon>, request: Request) -> Answer {
    Reply::json(&start(&daemon, &request).await?)
}

/// Starts what the request's body names, or the user's shell.
pub(super) async fn start(daemon: &Daemon, request: &Request) -> Result<TerminalInfo, Fault> {
    let wanted: CreateTerminal = request.json()?;
    let directory = daemon.directory(request);
    let cwd = crate::paths::absolute(
        Path::new(&directory),
        wanted.cwd.as_deref().unwrap_or_default(),
    );
    let named = wanted.command.filter(|command| !command.is_empty());
    let (command, login) = match named {
        Some(command) => (command, false),
        None => (shell(daemon, request).await?, true),
    };
    let mut args = wanted.args.unwrap_or_default();
    if login && args.is_empty() {
        args.push("-l".into());
    }
    let program = Program {
        directory,
        command,
        args,
        cwd,
        title: wanted.title,
        env: wanted.env.unwrap_or_default().into_iter().collect(),
        size: wanted.size,
    };
    let made = daemon.terminals().await?.create(program).await;
    made.map_err(refused)
}

/// The user's shell. A project's configuration does not choose it: opening a terminal would run what it names.
async fn shell(daemon: &Daemon, request: &Request) -> Result<String, Fault> {
    let instance = daemon.instance(request).await?;
    let global = &instance.folder.loaded.global;
    let configured = global["shell"].as_str().map(str::to_owned);
    let environment = daemon.environment.get("SHELL").map(str::to_owned);
    daemon
        .blocking(move || {
            let user = rustix::process::geteuid().as_raw();
            Ok(kilo_terminal::preferred(
                configured.as_deref(),
                environment.as_deref(),
                user,
            ))
        })
        .await
}

fn refused(error: CreateError) -> Fault {
    match error {
        CreateError::TooMany => Fault::unavailable(error.to_string()),
        CreateError::Folder(_) | CreateError::Program { .. } => {
            Fault::bad_request("Payload", error.to_string())
        }
    }
}

fn missing(id: &str) -> Fault {
    Fault::tagged(
        FaultKind::NotFound,
        "PtyNotFoundError",
        format!("PTY session not found: {id}"),
        json!({"ptyID": id}),
    )
}

/// The terminal that the request's path names.
pub(super) fn find(daemon: &Daemon, request: &Request) -> Result<Arc<Terminal>, Fault> {
    let id = request.params.get("ptyID");
    let found = daemon.terminals.get().and_then(|all| all.get(id));
    found.ok_or_else(|| missing(id))
}

async fn get(daemon: Arc<Daemon>, request: Request) -> Answer {
    Reply::json(&find(&daemon, &request)?.info())
}

async fn update(daemon: Arc<Daemon>, request: Request) -> Answer {
    Reply::json(&change(&daemon, &request).await?)
}

/// Changes the terminal as the request's body says.
pub(super) async fn change(daemon: &Daemon, request: &Request) -> Result<TerminalInfo, Fault> {
    let update: UpdateTerminal = request.json()?;
    let id = request.params.get("ptyID");
    let all = daemon.terminals().await?;
    all.update(id, update).await.ok_or_else(|| missing(id))
}

async fn remove(daemon: Arc<Daemon>, request: Request) -> Answer {
    end(&daemon, &request)?;
    Reply::json(&true)
}

/// Ends the terminal.
pub(super) fn end(daemon: &Daemon, request: &Request) -> Result<(), Fault> {
    let id = request.params.get("ptyID");
    let known = daemon.terminals.get();
    match known.is_some_and(|all: &Terminals| all.remove(id)) {
        true => Ok(()),
        false => Err(missing(id)),
    }
}

async fn connect_token(daemon: Arc<Daemon>, request: Request) -> Answer {
    Reply::json(&ticket(&daemon, &request, "PtyForbiddenError")?)
}

/// A ticket for the terminal; `refusal` is the tag of the refusal without the field.
pub(super) fn ticket(
    daemon: &Daemon,
    request: &Request,
    refusal: &'static str,
) -> Result<Value, Fault> {
    let id = find(daemon, request)?.info().id;
    if TICKET_FIELDS
        .iter()
        .all(|field| request.header(field) != Some("1"))
    {
        return Err(Fault::tagged(
            FaultKind::Forbidden,
            refusal,
            "a ticket is given to requests with the header x-kilo-ticket: 1",
            json!({}),
        ));
    }
    let ticket = daemon.tickets.issue(&id, Instant::now());
    Ok(json!({"ticket": ticket, "expires_in": TICKET_SECONDS}))
}
