//! What is remembered about a project.

use super::Operation;
use super::row::{get, post};

pub(super) static ROWS: &[Operation] = &[
    // Clients ask for the state when they attach; with 501 they would show an error in place of "off".
    get(
        "/memory/status",
        "memory.status",
        "Tells the state of a project's memory.",
    )
    .described_as_absent(),
    get(
        "/memory/show",
        "memory.show",
        "Gets what is remembered about a project.",
    ),
    post(
        "/memory/enable",
        "memory.enable",
        "Switches a project's memory on.",
    ),
    post(
        "/memory/disable",
        "memory.disable",
        "Switches a project's memory off.",
    ),
    post(
        "/memory/configure",
        "memory.configure",
        "Changes the settings of a project's memory.",
    )
    .optional_body(),
    post(
        "/memory/rebuild",
        "memory.rebuild",
        "Builds a project's memory anew.",
    ),
    post(
        "/memory/remember",
        "memory.remember",
        "Adds something to a project's memory.",
    )
    .optional_body(),
    post(
        "/memory/correct",
        "memory.correct",
        "Corrects something in a project's memory.",
    )
    .optional_body(),
    post(
        "/memory/forget",
        "memory.forget",
        "Removes something from a project's memory.",
    )
    .optional_body(),
    post(
        "/memory/purge",
        "memory.purge",
        "Deletes a project's memory.",
    )
    .optional_body(),
];
