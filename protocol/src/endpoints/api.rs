//! The second generation of all other routes (`/api`).

use super::Operation;
use super::row::{delete, get, patch, post, put};

pub(super) static ROWS: &[Operation] = &[
    get(
        "/api/health",
        "v2.health.get",
        "Tells that the daemon is up.",
    ),
    get(
        "/api/location",
        "v2.location.get",
        "Gets the directory and the project in use.",
    ),
    get("/api/agent", "v2.agent.list", "Lists the agents."),
    get(
        "/api/model",
        "v2.model.list",
        "Lists the models that can be used.",
    ),
    get("/api/provider", "v2.provider.list", "Lists the providers."),
    get(
        "/api/provider/{providerID}",
        "v2.provider.get",
        "Gets a provider.",
    ),
    get(
        "/api/integration",
        "v2.integration.list",
        "Lists the integrations.",
    ),
    get(
        "/api/integration/{integrationID}",
        "v2.integration.get",
        "Gets an integration.",
    ),
    post(
        "/api/integration/{integrationID}/connect/key",
        "v2.integration.connect.key",
        "Connects an integration with a key.",
    )
    .required_body(),
    post(
        "/api/integration/{integrationID}/connect/oauth",
        "v2.integration.connect.oauth",
        "Starts the sign-in of an integration.",
    )
    .required_body(),
    get(
        "/api/integration/attempt/{attemptID}",
        "v2.integration.attempt.status",
        "Tells how far a sign-in is.",
    ),
    delete(
        "/api/integration/attempt/{attemptID}",
        "v2.integration.attempt.cancel",
        "Gives a sign-in up.",
    ),
    post(
        "/api/integration/attempt/{attemptID}/complete",
        "v2.integration.attempt.complete",
        "Finishes a sign-in with a code.",
    )
    .required_body(),
    patch(
        "/api/credential/{credentialID}",
        "v2.credential.update",
        "Changes the label of stored credentials.",
    )
    .required_body(),
    delete(
        "/api/credential/{credentialID}",
        "v2.credential.remove",
        "Forgets stored credentials.",
    ),
    get(
        "/api/permission/request",
        "v2.permission.request.list",
        "Lists the open permission requests of a location.",
    ),
    get(
        "/api/permission/saved",
        "v2.permission.saved.list",
        "Lists the saved permissions.",
    ),
    delete(
        "/api/permission/saved/{id}",
        "v2.permission.saved.remove",
        "Deletes a saved permission.",
    ),
    get("/api/fs/read/*", "v2.fs.read", "Gets the bytes of a file."),
    get("/api/fs/list", "v2.fs.list", "Lists a folder."),
    get("/api/fs/find", "v2.fs.find", "Searches file names."),
    get("/api/command", "v2.command.list", "Lists the commands."),
    get("/api/skill", "v2.skill.list", "Lists the skills."),
    get(
        "/api/event",
        "v2.event.subscribe",
        "Streams the events of all locations.",
    )
    .sse(),
    get(
        "/api/pty",
        "v2.pty.list",
        "Lists the terminals of a location.",
    ),
    post(
        "/api/pty",
        "v2.pty.create",
        "Starts a program in a terminal.",
    )
    .required_body(),
    get("/api/pty/{ptyID}", "v2.pty.get", "Gets a terminal."),
    put(
        "/api/pty/{ptyID}",
        "v2.pty.update",
        "Changes a terminal's title or size.",
    )
    .required_body(),
    delete("/api/pty/{ptyID}", "v2.pty.remove", "Ends a terminal."),
    post(
        "/api/pty/{ptyID}/connect-token",
        "v2.pty.connectToken",
        "Makes a ticket that opens one terminal for a minute.",
    ),
    get(
        "/api/pty/{ptyID}/connect",
        "v2.pty.connect",
        "Opens a terminal as a WebSocket.",
    )
    .websocket(),
    get(
        "/api/question/request",
        "v2.question.request.list",
        "Lists the open questions of a location.",
    ),
    get(
        "/api/reference",
        "v2.reference.list",
        "Lists the reference folders.",
    )
    .described_as_absent(),
];
