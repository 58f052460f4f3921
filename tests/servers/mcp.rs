//! A small MCP server over stdio, for tests: `kilo-test-mcp [NAME]`. Its tools do what a test has to see.

use serde_json::{Value, json};
use std::io::{BufRead as _, Write as _};

fn main() {
    let mut lines = std::io::stdin().lock().lines();
    while let Some(Ok(line)) = lines.next() {
        let Ok(message) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        let Some(id) = message.get("id").cloned() else {
            continue;
        };
        let result = match message["method"].as_str().unwrap_or_default() {
            "initialize" => json!({
                "protocolVersion": message["params"]["protocolVersion"],
                "capabilities": {"tools": {}, "resources": {"subscribe": true}, "prompts": {}},
                "serverInfo": {"name": "test", "version": "1"},
            }),
            "tools/list" => json!({"tools": [
                tool("echo", "Gives the text back"), tool("pid", "Tells its process"),
                tool("sample", "Asks a model"), tool("elicit", "Asks the user"), tool("crash", "Ends the server"),
            ]}),
            "resources/list" => json!({"resources": [{"uri": "note://a", "name": "a note"}]}),
            "resources/templates/list" => json!({"resourceTemplates": []}),
            "resources/read" => {
                json!({"contents": [{"uri": "note://a", "mimeType": "text/plain", "text": "noted"}]})
            }
            "prompts/list" => json!({"prompts": []}),
            "tools/call" => match call(&message["params"], &mut lines) {
                Some(text) => json!({"content": [{"type": "text", "text": text}]}),
                None => return,
            },
            _ => json!({}),
        };
        send(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
    }
}

fn tool(name: &str, what: &str) -> Value {
    let text = json!({"text": {"type": "string"}});
    json!({"name": name, "description": what, "inputSchema": {"type": "object", "properties": text}})
}

fn send(message: &Value) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{message}").and_then(|()| out.flush());
}

/// What a call says; nothing when the server ends.
fn call(
    params: &Value,
    lines: &mut impl Iterator<Item = std::io::Result<String>>,
) -> Option<String> {
    let mut ask = |method: &str, params: Value| {
        send(&json!({"jsonrpc": "2.0", "id": "ask", "method": method, "params": params}));
        let reply: Value = serde_json::from_str(&lines.next()?.ok()?).ok()?;
        Some(reply.to_string())
    };
    match params["name"].as_str().unwrap_or_default() {
        "pid" => Some(std::process::id().to_string()),
        "crash" => None,
        "sample" => {
            let content = json!({"type": "text", "text": params["arguments"]["text"]});
            let messages = json!([{"role": "user", "content": content}]);
            ask(
                "sampling/createMessage",
                json!({"messages": messages, "maxTokens": 50}),
            )
        }
        "elicit" => {
            let colour = json!({"type": "string", "enum": ["red", "blue"]});
            let schema =
                json!({"type": "object", "properties": {"colour": colour}, "required": ["colour"]});
            ask(
                "elicitation/create",
                json!({"message": "Which?", "requestedSchema": schema}),
            )
        }
        _ => {
            let text = params["arguments"]["text"].as_str().unwrap_or_default();
            Some(format!("Echo: {text}"))
        }
    }
}
