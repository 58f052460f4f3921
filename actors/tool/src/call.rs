//! What every call does alike: reads its arguments, asks, waits, gives up when it is told to.

use kilo_ports::tool::{Ask, ToolCx, ToolError};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::future::Future;

/// Reads a call's arguments. The schema check came before, so an error here names a gap between the two.
pub fn arguments<T: DeserializeOwned>(tool: &str, input: Value) -> Result<T, ToolError> {
    serde_json::from_value(input).map_err(|error| {
        ToolError::Failed(crate::check::invalid_arguments(tool, &error.to_string()))
    })
}

/// Asks for a permission; ends early when the call is stopped.
pub async fn ask(cx: &ToolCx, ask: Ask) -> Result<(), ToolError> {
    or_stopped(cx, cx.host.ask(&cx.call, ask)).await?
}

/// A request whose `always` allows everything of its kind.
pub fn ask_any(permission: &str, patterns: Vec<String>, metadata: Map<String, Value>) -> Ask {
    Ask {
        permission: permission.into(),
        patterns,
        always: vec!["*".into()],
        metadata,
        must_ask: false,
        version: None,
    }
}

/// Waits for `future` or the call's end, whichever is first.
pub async fn or_stopped<T>(cx: &ToolCx, future: impl Future<Output = T>) -> Result<T, ToolError> {
    tokio::select! {
        biased;
        () = cx.cancel.cancelled() => Err(stopped()),
        done = future => Ok(done),
    }
}

/// The error of a stopped call that knows nothing yet.
pub fn stopped() -> ToolError {
    ToolError::Aborted {
        metadata: Map::new(),
    }
}

/// Runs file work where it may block.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ToolError> + Send + 'static,
) -> Result<T, ToolError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(ToolError::failed(format!("The tool broke down: {error}"))),
    }
}

/// A map of facts, in the order given.
pub fn facts<const N: usize>(facts: [(&str, Value); N]) -> Map<String, Value> {
    facts
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}
