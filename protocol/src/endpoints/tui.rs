//! Remote control of the terminal client, and its settings.

use super::Operation;
use super::row::{get, patch, post};

pub(super) static ROWS: &[Operation] = &[
    post(
        "/tui/append-prompt",
        "tui.appendPrompt",
        "Adds text to the terminal client's prompt.",
    )
    .optional_body(),
    post(
        "/tui/open-help",
        "tui.openHelp",
        "Opens the terminal client's help.",
    ),
    post(
        "/tui/open-sessions",
        "tui.openSessions",
        "Opens the terminal client's session list.",
    ),
    post(
        "/tui/open-themes",
        "tui.openThemes",
        "Opens the terminal client's theme list.",
    ),
    post(
        "/tui/open-models",
        "tui.openModels",
        "Opens the terminal client's model list.",
    ),
    post(
        "/tui/submit-prompt",
        "tui.submitPrompt",
        "Submits the terminal client's prompt.",
    ),
    post(
        "/tui/clear-prompt",
        "tui.clearPrompt",
        "Empties the terminal client's prompt.",
    ),
    post(
        "/tui/execute-command",
        "tui.executeCommand",
        "Runs a command of the terminal client.",
    )
    .optional_body(),
    post(
        "/tui/show-toast",
        "tui.showToast",
        "Shows a short notice in the terminal client.",
    )
    .optional_body(),
    post(
        "/tui/publish",
        "tui.publish",
        "Sends an event to the terminal client.",
    )
    .optional_body(),
    post(
        "/tui/select-session",
        "tui.selectSession",
        "Opens a session in the terminal client.",
    )
    .optional_body(),
    get(
        "/tui/control/next",
        "tui.control.next",
        "Waits for the next request to the terminal client.",
    ),
    post(
        "/tui/control/response",
        "tui.control.response",
        "Answers a request to the terminal client.",
    )
    .optional_body(),
    get(
        "/tui/config",
        "tui.config.get",
        "Gets the terminal client's settings.",
    ),
    patch(
        "/tui/config",
        "tui.config.update",
        "Changes the terminal client's settings.",
    )
    .optional_body(),
    get(
        "/tui/keybinds",
        "tui.keybind.list",
        "Lists the terminal client's key bindings.",
    ),
];
