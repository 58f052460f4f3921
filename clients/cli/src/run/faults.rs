//! What is wrong with the configuration, told before anything runs.

use crate::context::Context;
use crate::terminal::{Terminal, harmless, note};
use kilo_client::{Client, ConfigWarning};
use kilo_config::guard::ASKS;
use kilo_protocol::fault::LOG_DAMAGED;

/// Tells what the engine could not read, on standard error, and hands it back. An engine that does not know the question
/// has nothing to tell.
pub async fn tell(client: &Client, cx: &Context) -> Vec<ConfigWarning> {
    let warnings = client.config_warnings().await.unwrap_or_else(|error| {
        tracing::debug!(%error, "no warnings from this engine");
        Vec::new()
    });
    let paint = Terminal::of_stderr(&cx.env);
    for warning in &warnings {
        let text = harmless(&format!("{}: {}", warning.path, warning.message));
        note(&format!("{} {text}", paint.yellow("!")));
    }
    warnings
}

/// Tells what the log has lost, on standard error: a list that is empty because of that must not say "none yet" alone.
pub async fn tell_damage(client: &Client, cx: &Context) {
    let Ok(warnings) = client.config_warnings().await else {
        return;
    };
    let paint = Terminal::of_stderr(&cx.env);
    for warning in warnings {
        if warning.message.starts_with(LOG_DAMAGED) {
            let text = harmless(&format!("{}: {}", warning.path, warning.message));
            note(&format!("{} {text}", paint.yellow("!")));
        }
    }
}

/// Whether one of them could have forbidden something, had it been read.
pub fn may_forbid(warnings: &[ConfigWarning]) -> bool {
    warnings
        .iter()
        .any(|warning| warning.message.contains(ASKS))
}
