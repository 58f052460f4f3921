//! A client's connection to a terminal.

use super::super::Answer;
use super::find;
use crate::daemon::Daemon;
use bytes::Bytes;
use kilo_edge::{Incoming, Reply, Request, Socket, SocketReceiver, SocketSender};
use kilo_protocol::Fault;
use kilo_terminal::{Shown, Terminal};
use serde_json::json;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

/// Pieces on their way from the terminal to the socket.
const PIECES_MAX: usize = 2;
/// Bytes typed that the program has not read; more are not taken in.
const INPUT_BYTES_MAX: usize = 1 << 20;
/// How long the program may leave that much unread before the client is let go.
const INPUT_WAIT_MAX: Duration = Duration::from_secs(60);

/// Opens a terminal.
pub(in crate::groups) async fn connect(daemon: Arc<Daemon>, request: Request) -> Answer {
    let terminal = find(&daemon, &request)?;
    if let Some(ticket) = request.query.get("ticket") {
        let id = request.params.get("ptyID");
        if !daemon.tickets.redeem(id, ticket, Instant::now()) {
            return Err(Fault::forbidden("the ticket is unknown, used or too old"));
        }
    }
    let cursor = match request.query.get("cursor") {
        None | Some("") => None,
        Some(text) => Some(
            text.parse::<i64>()
                .map_err(|_| Fault::bad_query("a whole number", "cursor"))?,
        ),
    };
    let handle = daemon.handle.clone();
    Ok(Reply::Socket(Box::new(move |socket| {
        Box::pin(talk(socket, terminal, cursor, handle))
    })))
}

async fn talk(socket: Socket, terminal: Arc<Terminal>, cursor: Option<i64>, handle: Handle) {
    let (sender, receiver) = socket.split();
    let (pieces, shown) = mpsc::channel(PIECES_MAX);
    let viewed = Arc::clone(&terminal);
    // Off this thread: a screen takes longer to make than a thread that serves may be held.
    handle.spawn(async move {
        let mut view = viewed.view(cursor);
        loop {
            let piece = tokio::select! {
                piece = view.next() => piece,
                () = pieces.closed() => return,
            };
            let Some(piece) = piece else { return };
            if pieces.send(piece).await.is_err() {
                return;
            }
        }
    });
    tokio::select! {
        () = show(sender, shown) => {}
        () = take_input(receiver, terminal.input()) => {}
    }
}

async fn show(mut sender: SocketSender, mut shown: mpsc::Receiver<Shown>) {
    while let Some(piece) = shown.recv().await {
        let sent = match piece {
            Shown::Text(text) => sender.text_bytes(text.into()).await,
            Shown::Caught(cursor) => {
                let mut frame = vec![0];
                frame.extend_from_slice(json!({"cursor": cursor}).to_string().as_bytes());
                sender.binary(frame.into()).await
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Hands on what the client types, until it goes.
async fn take_input(mut receiver: SocketReceiver, input: mpsc::Sender<Bytes>) {
    let mut waiting: VecDeque<Bytes> = VecDeque::new();
    let mut bytes = 0;
    loop {
        if bytes >= INPUT_BYTES_MAX {
            match timeout(INPUT_WAIT_MAX, input.reserve()).await {
                Ok(Ok(permit)) => bytes -= hand_on(&mut waiting, permit),
                // The program is gone, and so is what was typed.
                Ok(Err(_)) => (waiting, bytes) = (VecDeque::new(), 0),
                Err(_) => return,
            }
            continue;
        }
        tokio::select! {
            message = receiver.recv() => match message {
                Some(Incoming::Text(text)) if !input.is_closed() => {
                    bytes += text.len();
                    waiting.push_back(text.into());
                }
                Some(Incoming::Binary(typed)) if !input.is_closed() => {
                    bytes += typed.len();
                    waiting.push_back(typed);
                }
                Some(_) => {}
                None => return,
            },
            permit = input.reserve(), if !waiting.is_empty() => match permit {
                Ok(permit) => bytes -= hand_on(&mut waiting, permit),
                Err(_) => (waiting, bytes) = (VecDeque::new(), 0),
            },
        }
    }
}

fn hand_on(waiting: &mut VecDeque<Bytes>, permit: mpsc::Permit<'_, Bytes>) -> usize {
    let Some(next) = waiting.pop_front() else {
        return 0;
    };
    let bytes = next.len();
    permit.send(next);
    bytes
}
