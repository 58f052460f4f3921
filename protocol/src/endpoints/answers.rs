//! What waits for a person: permissions, questions, suggestions, the network.

use super::Operation;
use super::row::{get, post};

pub(super) static ROWS: &[Operation] = &[
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
    post(
        "/permission/{requestID}/always-rules",
        "permission.saveAlwaysRules",
        "Saves chosen rules of a permission request.",
    )
    .optional_body(),
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
