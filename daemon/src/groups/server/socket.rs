//! `/ws`: one socket that carries events with positions and takes commands.
//!
//! It opens with `?directory=` for one folder's events or `?scope=global` for all, and `?after=EPOCH-POS` to go on after a
//! position. It sends `{"type":"event","pos"?,"directory"?,"project"?,"event":{id,type,properties}}`. It takes
//! `{"id","op","params"?,"query"?,"directory"?,"body"?}`, where `op` is an operation id of the document at `/doc`, and
//! answers `{"type":"reply","id","status","body"}`. Commands of one socket run side by side, at most
//! [`COMMANDS_MAX`]; operations that are streams themselves are refused.

use super::super::Answer;
use crate::daemon::Daemon;
use crate::events::{Follower, Form, Scope};
use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use kilo_edge::{Incoming, Left, Params, Query, Reply, Request, Router, Socket, SocketSender};
use kilo_protocol::endpoints::{self, Stream};
use kilo_protocol::{Fault, FaultKind};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::rc::Rc;
use std::sync::Arc;

/// Commands of one socket that run at the same time.
const COMMANDS_MAX: usize = 32;

/// Adds the socket to a router; commands go to the handlers that the router has by then.
pub fn mount(router: Router, daemon: &Arc<Daemon>) -> Router {
    let (handlers, daemon) = (Rc::new(router.clone()), Arc::clone(daemon));
    router.on("ws.connect", move |request| {
        connect(Arc::clone(&daemon), Rc::clone(&handlers), request)
    })
}

async fn connect(daemon: Arc<Daemon>, handlers: Rc<Router>, request: Request) -> Answer {
    let scope = match request.query.get("scope") {
        Some("global") => Scope::Global,
        None | Some("directory") => Scope::Directory(daemon.directory(&request)),
        Some(_) => return Err(Fault::bad_query("\"global\" | \"directory\"", "scope")),
    };
    let directory = daemon.directory(&request);
    let engine = daemon.engine().await?;
    let after = request.query.get("after");
    let watched = super::event::watched(&daemon, &scope).await?;
    let follower =
        Follower::new(engine, daemon.handle.clone(), scope, Form::Socket, after).watching(watched);
    Ok(Reply::Socket(Box::new(move |socket| {
        Box::pin(talk(socket, follower, handlers, directory))
    })))
}

async fn talk(socket: Socket, mut follower: Follower, handlers: Rc<Router>, directory: String) {
    let (sender, mut receiver) = socket.split();
    let events = async {
        let mut sender = sender.clone();
        while let Some(message) = follower.next().await {
            if sender.text_bytes(message).await.is_err() {
                return;
            }
        }
    };
    let commands = async {
        let mut running = FuturesUnordered::new();
        loop {
            tokio::select! {
                message = receiver.recv(), if running.len() < COMMANDS_MAX => match message {
                    Some(Incoming::Text(text)) => {
                        running.push(run(text, Rc::clone(&handlers), directory.clone(), sender.clone()));
                    }
                    Some(Incoming::Binary(_)) => {}
                    None => return,
                },
                Some(()) = running.next(), if !running.is_empty() => {}
            }
        }
    };
    tokio::select! {
        () = events => {}
        () = commands => {}
    }
}

/// A command as it comes in.
#[derive(Deserialize)]
struct Command {
    #[serde(default)]
    id: Value,
    op: String,
    #[serde(default)]
    params: Map<String, Value>,
    #[serde(default)]
    query: Map<String, Value>,
    directory: Option<String>,
    body: Option<Value>,
}

async fn run(text: String, handlers: Rc<Router>, directory: String, mut sender: SocketSender) {
    let (id, outcome) = match serde_json::from_str::<Command>(&text) {
        Ok(command) => (
            command.id.clone(),
            execute(command, &handlers, directory).await,
        ),
        Err(error) => (
            Value::Null,
            Err(Fault::bad_request("Payload", error.to_string())),
        ),
    };
    let whole = match outcome {
        Ok(reply) => reply.whole().await,
        Err(fault) => Err(fault),
    };
    let (status, body, _held) = match whole {
        Ok((status, body, held)) => (status, body, Some(held)),
        Err(fault) => (
            fault.kind.status(),
            Bytes::from(fault.body.to_string()),
            None,
        ),
    };
    let mut out =
        format!("{{\"type\":\"reply\",\"id\":{id},\"status\":{status},\"body\":").into_bytes();
    if body.is_empty() {
        out.extend_from_slice(b"null");
    } else {
        out.extend_from_slice(&body);
    }
    out.push(b'}');
    let _ = sender.text_bytes(out.into()).await;
}

async fn execute(command: Command, handlers: &Router, directory: String) -> Answer {
    let unknown = || {
        Fault::named(
            FaultKind::NotFound,
            "NotFoundError",
            format!("Operation not found: {}", command.op),
        )
    };
    let op = endpoints::find(&command.op).ok_or_else(unknown)?;
    if op.stream != Stream::No {
        return Err(Fault::bad_request(
            "Payload",
            "an operation that is a stream cannot be a command",
        ));
    }
    let handler = handlers
        .handler(op.id)
        .ok_or_else(|| Fault::not_implemented(op.id))?;
    let body = command
        .body
        .map(|body| Bytes::from(body.to_string()))
        .unwrap_or_default();
    let (params, query) = (
        Params::from_iter(pairs(command.params)),
        Query::from_iter(pairs(command.query)),
    );
    let (_client, left) = Left::new();
    let directory = Some(command.directory.unwrap_or(directory));
    handler(Request::command(op, params, query, directory, left, body)?).await
}

fn pairs(fields: Map<String, Value>) -> impl Iterator<Item = (String, String)> {
    fields.into_iter().map(|(name, value)| match value {
        Value::String(text) => (name, text),
        other => (name, other.to_string()),
    })
}
