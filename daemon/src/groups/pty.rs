//! Terminals. A WebSocket carries text both ways; a binary message that begins with a zero byte tells the client the
//! position `{"cursor": n}` by which it may come back.

mod socket;

use super::{Answer, routes};
use crate::daemon::Daemon;
use kilo_edge::{Reply, Request};
use kilo_protocol::terminal::{CreateTerminal, UpdateTerminal};
use kilo_protocol::{Fault, FaultKind};
use kilo_terminal::{CreateError, Program, TICKET_SECONDS, Terminal, Terminals};
use serde_json::json;
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
    let directory = daemon.directory(&request);
    let known = daemon.terminals.get();
    Reply::json(&known.map(|all| all.list(&directory)).unwrap_or_default())
}

async fn create(daemon: Arc<Daemon>, request: Request) -> Answer {
    let wanted: CreateTerminal = request.json()?;
    let directory = daemon.directory(&request);
    let cwd = crate::paths::absolute(
        Path::new(&directory),
        wanted.cwd.as_deref().unwrap_or_default(),
    );
    let named = wanted.command.filter(|command| !command.is_empty());
    let (command, login) = match named {
        Some(command) => (command, false),
        None => (shell(&daemon, &request).await?, true),
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
    Reply::json(&made.map_err(refused)?)
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

fn find(daemon: &Daemon, request: &Request) -> Result<Arc<Terminal>, Fault> {
    let id = request.params.get("ptyID");
    let found = daemon.terminals.get().and_then(|all| all.get(id));
    found.ok_or_else(|| missing(id))
}

async fn get(daemon: Arc<Daemon>, request: Request) -> Answer {
    Reply::json(&find(&daemon, &request)?.info())
}

async fn update(daemon: Arc<Daemon>, request: Request) -> Answer {
    let update: UpdateTerminal = request.json()?;
    let id = request.params.get("ptyID");
    let all = daemon.terminals().await?;
    let updated = all.update(id, update).await;
    Reply::json(&updated.ok_or_else(|| missing(id))?)
}

async fn remove(daemon: Arc<Daemon>, request: Request) -> Answer {
    let id = request.params.get("ptyID");
    match daemon
        .terminals
        .get()
        .is_some_and(|all: &Terminals| all.remove(id))
    {
        true => Reply::json(&true),
        false => Err(missing(id)),
    }
}

async fn connect_token(daemon: Arc<Daemon>, request: Request) -> Answer {
    let id = find(&daemon, &request)?.info().id;
    if TICKET_FIELDS
        .iter()
        .all(|field| request.header(field) != Some("1"))
    {
        return Err(Fault::tagged(
            FaultKind::Forbidden,
            "PtyForbiddenError",
            "a ticket is given to requests with the header x-kilo-ticket: 1",
            json!({}),
        ));
    }
    let ticket = daemon.tickets.issue(&id, Instant::now());
    Reply::json(&json!({"ticket": ticket, "expires_in": TICKET_SECONDS}))
}
