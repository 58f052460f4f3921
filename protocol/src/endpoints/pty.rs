//! Terminals.

use super::Operation;
use super::row::{delete, get, post, put};

pub(super) static ROWS: &[Operation] = &[
    get(
        "/pty/shells",
        "pty.shells",
        "Lists the shells of this machine.",
    ),
    get("/pty", "pty.list", "Lists the terminals of a directory."),
    post("/pty", "pty.create", "Starts a program in a terminal.").optional_body(),
    get("/pty/{ptyID}", "pty.get", "Gets a terminal."),
    put(
        "/pty/{ptyID}",
        "pty.update",
        "Changes a terminal's title or size.",
    )
    .optional_body(),
    delete("/pty/{ptyID}", "pty.remove", "Ends a terminal."),
    post(
        "/pty/{ptyID}/connect-token",
        "pty.connectToken",
        "Makes a ticket that opens one terminal for a minute.",
    ),
    get(
        "/pty/{ptyID}/connect",
        "pty.connect",
        "Opens a terminal as a WebSocket.",
    )
    .websocket(),
];
