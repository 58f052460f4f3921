//! The second generation of session routes (`/api/session`).

use super::Operation;
use super::row::{get, post};

pub(super) static ROWS: &[Operation] = &[
    get(
        "/api/session",
        "v2.session.list",
        "Lists sessions page by page.",
    ),
    post("/api/session", "v2.session.create", "Makes a session.").required_body(),
    get(
        "/api/session/active",
        "v2.session.active",
        "Lists the sessions that run now.",
    ),
    get(
        "/api/session/{sessionID}",
        "v2.session.get",
        "Gets a session.",
    ),
    post(
        "/api/session/{sessionID}/agent",
        "v2.session.switchAgent",
        "Changes the agent of a session.",
    )
    .required_body(),
    post(
        "/api/session/{sessionID}/model",
        "v2.session.switchModel",
        "Changes the model of a session.",
    )
    .required_body(),
    post(
        "/api/session/{sessionID}/prompt",
        "v2.session.prompt",
        "Sends a prompt and does not wait for the answer.",
    )
    .required_body()
    .with_content(),
    post(
        "/api/session/{sessionID}/compact",
        "v2.session.compact",
        "Replaces the history by a summary.",
    ),
    post(
        "/api/session/{sessionID}/wait",
        "v2.session.wait",
        "Waits until the session is idle.",
    ),
    post(
        "/api/session/{sessionID}/revert/stage",
        "v2.session.revert.stage",
        "Prepares a revert to a message.",
    )
    .required_body(),
    post(
        "/api/session/{sessionID}/revert/clear",
        "v2.session.revert.clear",
        "Drops a prepared revert.",
    ),
    post(
        "/api/session/{sessionID}/revert/commit",
        "v2.session.revert.commit",
        "Carries out a prepared revert.",
    ),
    get(
        "/api/session/{sessionID}/context",
        "v2.session.context",
        "Gets what the model would see.",
    ),
    get(
        "/api/session/{sessionID}/history",
        "v2.session.history",
        "Lists the durable events of a session.",
    ),
    get(
        "/api/session/{sessionID}/event",
        "v2.session.events",
        "Streams the events of one session.",
    )
    .sse(),
    post(
        "/api/session/{sessionID}/interrupt",
        "v2.session.interrupt",
        "Stops the running turn.",
    ),
    get(
        "/api/session/{sessionID}/message/{messageID}",
        "v2.session.message",
        "Gets one message.",
    ),
    get(
        "/api/session/{sessionID}/message",
        "v2.session.messages",
        "Lists the messages of a session page by page.",
    ),
    post(
        "/api/session/{sessionID}/permission",
        "v2.session.permission.create",
        "Raises a permission request in a session.",
    )
    .required_body(),
    get(
        "/api/session/{sessionID}/permission",
        "v2.session.permission.list",
        "Lists the open permission requests of a session.",
    ),
    get(
        "/api/session/{sessionID}/permission/{requestID}",
        "v2.session.permission.get",
        "Gets a permission request.",
    ),
    post(
        "/api/session/{sessionID}/permission/{requestID}/reply",
        "v2.session.permission.reply",
        "Answers a permission request.",
    )
    .required_body(),
    get(
        "/api/session/{sessionID}/question",
        "v2.session.question.list",
        "Lists the open questions of a session.",
    ),
    post(
        "/api/session/{sessionID}/question/{requestID}/reply",
        "v2.session.question.reply",
        "Answers a question.",
    )
    .required_body(),
    post(
        "/api/session/{sessionID}/question/{requestID}/reject",
        "v2.session.question.reject",
        "Refuses to answer a question.",
    ),
];
