//! What waits for a person: permissions, questions, suggestions, the network.

use super::Operation;
use super::row::{get, post};

pub(super) static ROWS: &[Operation] = &[
    // Lists beside the events, for a client that comes later or whose event was cut must still be able to answer.
    get("/question", "question.list", "Lists the open questions."),
    post(
        "/question/{requestID}/reply",
        "question.reply",
        "Answers a question.",
    )
    .optional_body(),
    post(
        "/question/{requestID}/reject",
        "question.reject",
        "Refuses to answer a question.",
    ),
    get(
        "/permission",
        "permission.list",
        "Lists the open permission requests.",
    ),
    post(
        "/permission/{requestID}/reply",
        "permission.reply",
        "Answers a permission request.",
    )
    .optional_body(),
    // While the request is open: its rules are chosen one by one, and the reply follows.
    post(
        "/permission/{requestID}/always-rules",
        "permission.saveAlwaysRules",
        "Saves chosen rules of a permission request.",
    )
    .optional_body(),
    // Refused on a daemon without a password, as in the reference: any program of the user could switch it on.
    post(
        "/permission/allow-everything",
        "permission.allowEverything",
        "Switches the questions off or on again.",
    )
    .optional_body(),
    get(
        "/network",
        "network.list",
        "Lists the turns that wait for the network.",
    ),
    // A wait for the network is answered like a question, so that a person can cut it short.
    post(
        "/network/{requestID}/reply",
        "network.reply",
        "Lets a waiting turn try the network again.",
    ),
    post(
        "/network/{requestID}/reject",
        "network.reject",
        "Ends a turn that waits for the network.",
    ),
    get(
        "/suggestion",
        "suggestion.list",
        "Lists the open suggestions.",
    )
    .absent("[]"),
    post(
        "/suggestion/{requestID}/accept",
        "suggestion.accept",
        "Accepts a suggestion.",
    )
    .optional_body(),
    post(
        "/suggestion/{requestID}/dismiss",
        "suggestion.dismiss",
        "Dismisses a suggestion.",
    ),
];
