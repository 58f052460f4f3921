//! The daemon as a whole: health, events, instances, mirrored history.

use super::Operation;
use super::row::{get, patch, post};

pub(super) static ROWS: &[Operation] = &[
    // Clients that have no log of their own; the lines go to ours with their level.
    post("/log", "app.log", "Takes a log line of a client.").optional_body(),
    // Answers before the log is open: whoever starts a daemon waits for it.
    get(
        "/global/health",
        "global.health",
        "Tells that the daemon is up, and its version.",
    ),
    get(
        "/global/event",
        "global.event",
        "Streams the events of all directories.",
    )
    .sse(),
    get(
        "/global/config",
        "global.config.get",
        "Gets the user's own configuration.",
    ),
    patch(
        "/global/config",
        "global.config.update",
        "Changes the user's own configuration.",
    )
    .optional_body(),
    post("/global/dispose", "global.dispose", "Ends all instances."),
    // Installing programs is the package manager's.
    post(
        "/global/upgrade",
        "global.upgrade",
        "Installs a newer version of the program.",
    )
    .optional_body(),
    get(
        "/event",
        "event.subscribe",
        "Streams the events of one directory.",
    )
    .sse(),
    post(
        "/instance/dispose",
        "instance.dispose",
        "Ends the instance of a directory.",
    ),
    post(
        "/instance/reload",
        "instance.reload",
        "Ends and starts the instance of a directory.",
    ),
    post(
        "/sync/start",
        "sync.start",
        "Starts the mirroring of workspaces.",
    ),
    // Taking events of other daemons is for the day when a session can move; until then 501 says so.
    post(
        "/sync/replay",
        "sync.replay",
        "Takes durable events of another daemon.",
    )
    .optional_body()
    .with_content(),
    post(
        "/sync/steal",
        "sync.steal",
        "Takes a session over from another workspace.",
    )
    .optional_body(),
    // POST, for the client's positions may be thousands.
    post(
        "/sync/history",
        "sync.history.list",
        "Lists the durable events after given positions.",
    )
    .optional_body()
    .with_content(),
    post(
        "/remote/enable",
        "remote.enable",
        "Opens this daemon to the account's other devices.",
    ),
    post(
        "/remote/disable",
        "remote.disable",
        "Closes this daemon to the account's other devices.",
    ),
    get(
        "/remote/status",
        "remote.status",
        "Tells whether other devices may connect.",
    )
    .absent(r#"{"enabled":false,"connected":false}"#),
    // Nothing is measured and nothing sent: a success would claim otherwise.
    post(
        "/telemetry/capture",
        "telemetry.capture",
        "Takes a usage event of a client.",
    )
    .optional_body(),
    post(
        "/telemetry/setEnabled",
        "telemetry.setEnabled",
        "Switches usage events on or off.",
    )
    .optional_body(),
    // Ours alone: the reference has no socket. It carries what the two streams and the routes do.
    get(
        "/ws",
        "ws.connect",
        "Opens one socket that carries events with positions and takes commands.",
    )
    .websocket(),
    // Of all folders: who looks for what eats the machine does not know the folder.
    get(
        "/x/process",
        "x.process.list",
        "Lists the child processes that run now, of all folders.",
    ),
    get("/doc", "doc.get", "Gets this document."),
];
