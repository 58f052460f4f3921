//! The rows.

mod history;
mod life;
mod stream;
mod tool;

use crate::Bench;
use serde_json::Value;

/// All rows, in their order.
pub const NAMES: [&str; 12] = [
    "start",
    "memory",
    "create",
    "relay",
    "zero_delay",
    "concurrent",
    "fan_out",
    "tool_step",
    "first_token",
    "history",
    "run",
    "kill",
];

/// Measures one row.
pub async fn measure(name: &str, bench: &Bench) -> anyhow::Result<Value> {
    match name {
        "start" => life::start(bench).await,
        "memory" => life::memory(bench).await,
        "create" => life::create(bench).await,
        "relay" => stream::relay(bench).await,
        "zero_delay" => stream::zero_delay(bench).await,
        "concurrent" => stream::concurrent(bench).await,
        "fan_out" => stream::fan_out(bench).await,
        "tool_step" => tool::step(bench).await,
        "first_token" => stream::first_token(bench).await,
        "history" => history::history(bench).await,
        "run" => life::run(bench).await,
        "kill" => history::kill(bench).await,
        other => anyhow::bail!("no row {other}"),
    }
}
