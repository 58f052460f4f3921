//! The first words with a server: what we can, and what it can.

use crate::rpc::{CallError, Connection};
use serde_json::{Value, json};
use std::time::Duration;

/// How long a server may take to answer `initialize`.
const INITIALIZE: Duration = Duration::from_secs(40);

/// `initialize` and `initialized`; the server's capabilities.
pub async fn greet(
    connection: &Connection,
    uri: &str,
    name: &str,
    initialization: &Value,
) -> Result<Value, CallError> {
    let params = json!({
        "processId": std::process::id(),
        "clientInfo": {"name": "kilo", "version": env!("CARGO_PKG_VERSION")},
        "rootUri": uri,
        "workspaceFolders": [{"uri": uri, "name": name}],
        "initializationOptions": initialization,
        "capabilities": ours(),
    });
    let mut answer = connection.request("initialize", params, INITIALIZE).await?;
    connection.notify("initialized", json!({})).await?;
    if initialization.is_object() {
        let settings = json!({"settings": initialization});
        connection
            .notify("workspace/didChangeConfiguration", settings)
            .await?;
    }
    let capabilities = answer.get_mut("capabilities").map(Value::take);
    Ok(capabilities.unwrap_or_default())
}

/// What we can. Whatever is not here a server leaves out, and what is here it may ask for.
fn ours() -> Value {
    let dynamic = json!({"dynamicRegistration": true});
    json!({
        "workspace": {
            "applyEdit": false,
            "configuration": true,
            "workspaceFolders": true,
            "didChangeConfiguration": dynamic,
            "didChangeWatchedFiles": dynamic,
            "symbol": {},
            "diagnostics": {"refreshSupport": true},
        },
        "textDocument": {
            "synchronization": {"dynamicRegistration": true, "didSave": true},
            "publishDiagnostics": {"versionSupport": true, "relatedInformation": false},
            "diagnostic": {"dynamicRegistration": true, "relatedDocumentSupport": true},
            "hover": {"contentFormat": ["markdown", "plaintext"]},
            "definition": {"linkSupport": true},
            "implementation": {"linkSupport": true},
            "references": {},
            "documentSymbol": {"hierarchicalDocumentSymbolSupport": true},
            "callHierarchy": dynamic,
        },
        "window": {"workDoneProgress": true},
        "general": {"positionEncodings": ["utf-16"]},
        "experimental": {"serverStatusNotification": true},
    })
}
