//! Sessions, their messages and what a person does to them.

use super::Operation;
use super::row::{delete, get, patch, post};

pub(super) static ROWS: &[Operation] = &[
    get(
        "/session",
        "session.list",
        "Lists the sessions of the directory's project.",
    ),
    // An empty body is `{}` throughout: what the shape asks for is then named as missing, as the reference does, instead of a
    // 400 that says only that there is no JSON.
    post("/session", "session.create", "Makes a session.").optional_body(),
    get(
        "/session/status",
        "session.status",
        "Tells which sessions are busy or waiting to retry.",
    ),
    get("/session/{sessionID}", "session.get", "Gets a session."),
    delete(
        "/session/{sessionID}",
        "session.delete",
        "Deletes a session and its children.",
    ),
    // PATCH and not PUT: clients send one field, and whoever changed another meanwhile keeps it.
    patch(
        "/session/{sessionID}",
        "session.update",
        "Changes a session's title, permissions or archive time.",
    )
    .optional_body(),
    get(
        "/session/{sessionID}/children",
        "session.children",
        "Lists the children of a session.",
    ),
    get(
        "/session/{sessionID}/todo",
        "session.todo",
        "Gets the task list of a session.",
    ),
    get(
        "/session/{sessionID}/diff",
        "session.diff",
        "Gets what a session changed, file by file.",
    ),
    get(
        "/session/{sessionID}/message",
        "session.messages",
        "Lists the messages of a session with their parts.",
    ),
    // The call lasts as long as the turn. A client that hangs up loses the answer, not the turn.
    post(
        "/session/{sessionID}/message",
        "session.prompt",
        "Sends a prompt and waits for the answer.",
    )
    .optional_body()
    .with_content(),
    get(
        "/session/{sessionID}/message/{messageID}",
        "session.message",
        "Gets one message with its parts.",
    ),
    delete(
        "/session/{sessionID}/message/{messageID}",
        "session.deleteMessage",
        "Deletes a message.",
    ),
    post(
        "/session/{sessionID}/fork",
        "session.fork",
        "Copies a session up to a message.",
    )
    .optional_body(),
    post(
        "/session/{sessionID}/abort",
        "session.abort",
        "Stops the running turn.",
    ),
    post(
        "/session/{sessionID}/init",
        "session.init",
        "Writes the project's instructions file.",
    )
    .optional_body(),
    post(
        "/session/{sessionID}/share",
        "session.share",
        "Makes a public link to a session.",
    ),
    delete(
        "/session/{sessionID}/share",
        "session.unshare",
        "Takes back the public link of a session.",
    ),
    post(
        "/session/{sessionID}/summarize",
        "session.summarize",
        "Replaces the history by a summary.",
    )
    .optional_body(),
    // What editors use: the answer comes as events, so a broken connection costs nothing.
    post(
        "/session/{sessionID}/prompt_async",
        "session.prompt_async",
        "Sends a prompt and does not wait for the answer.",
    )
    .optional_body()
    .with_content(),
    post(
        "/session/{sessionID}/command",
        "session.command",
        "Runs a command and waits for the answer.",
    )
    .optional_body()
    .with_content(),
    post(
        "/session/{sessionID}/shell",
        "session.shell",
        "Runs a shell line in the session.",
    )
    .optional_body(),
    post(
        "/session/{sessionID}/revert",
        "session.revert",
        "Takes files and history back to a message.",
    )
    .optional_body(),
    post(
        "/session/{sessionID}/unrevert",
        "session.unrevert",
        "Undoes the last revert.",
    ),
    // Older clients answer here; the session in the path is not needed any more and not looked at.
    post(
        "/session/{sessionID}/permissions/{permissionID}",
        "permission.respond",
        "Answers a permission request (older form).",
    )
    .optional_body(),
    delete(
        "/session/{sessionID}/message/{messageID}/part/{partID}",
        "part.delete",
        "Deletes a part of a message.",
    ),
    // A part may be a tool's whole output, hence content.
    patch(
        "/session/{sessionID}/message/{messageID}/part/{partID}",
        "part.update",
        "Replaces a part of a message.",
    )
    .optional_body()
    .with_content(),
    // One word and no id, so it must not be taken for a session: fixed segments win over parameters whatever their order.
    post(
        "/session/viewed",
        "session.viewed",
        "Tells which sessions a client shows.",
    )
    .optional_body(),
    post(
        "/session/{sessionID}/branch-name",
        "branchName.generate",
        "Proposes a branch name for a session.",
    )
    .optional_body(),
    // Of the extension by its id, and of sessions by its path: the path decides in which table a row stands.
    get(
        "/session/{sessionID}/model-usage",
        "kilocode.sessionModelUsage",
        "Gets what each model used in a session.",
    ),
    get(
        "/session/{sessionID}/sandbox",
        "sandbox.status",
        "Tells whether a session's commands are isolated.",
    )
    .described_as_absent(),
    post(
        "/session/{sessionID}/sandbox/toggle",
        "sandbox.toggle",
        "Switches a session's isolation on or off.",
    ),
];
