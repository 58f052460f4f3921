//! `lsp`: what the servers know of a place in the code.

mod show;

use crate::choose::Ready;
use crate::folder::Folder;
use crate::problems::uri_of;
use crate::server::LanguageServer;
use kilo_ports::BoxFuture;
use kilo_ports::files::Kind;
use kilo_ports::tool::{Access, Ask, Tool, ToolCx, ToolError, ToolOutput, ToolSource, ToolSpec};
use kilo_runtime::pool::Lease;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long one question may take.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// How long a server that starts or indexes is waited for before it is asked.
const LOADING_TIME: Duration = Duration::from_secs(20);
/// Symbols of a workspace that are shown.
const WORKSPACE_SYMBOLS_MAX: usize = 10;
/// Calls of one function that are followed.
const CALLS_OF_MAX: usize = 4;

const DESCRIPTION: &str = "Asks a language server about code: where a name is defined, used or implemented, its type and \
documentation, the symbols of a file or of the project, who calls a function and whom it calls. Lines and characters count \
from 1, as in an editor; the place must be on the name itself. Needs a language server for the file's language; without one \
it says so.";

/// The tool of one folder.
pub struct LspTool(pub Arc<Folder>);

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
enum Operation {
    GoToDefinition,
    FindReferences,
    Hover,
    DocumentSymbol,
    WorkspaceSymbol,
    GoToImplementation,
    PrepareCallHierarchy,
    IncomingCalls,
    OutgoingCalls,
}

impl Operation {
    /// The request, and what a server that answers it says it can.
    fn request(self) -> (&'static str, &'static str) {
        match self {
            Self::GoToDefinition => ("textDocument/definition", "definitionProvider"),
            Self::FindReferences => ("textDocument/references", "referencesProvider"),
            Self::Hover => ("textDocument/hover", "hoverProvider"),
            Self::DocumentSymbol => ("textDocument/documentSymbol", "documentSymbolProvider"),
            Self::WorkspaceSymbol => ("workspace/symbol", "workspaceSymbolProvider"),
            Self::GoToImplementation => ("textDocument/implementation", "implementationProvider"),
            Self::PrepareCallHierarchy | Self::IncomingCalls | Self::OutgoingCalls => {
                ("textDocument/prepareCallHierarchy", "callHierarchyProvider")
            }
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    operation: Operation,
    file_path: String,
    line: Option<f64>,
    character: Option<f64>,
    query: Option<String>,
}

impl Tool for LspTool {
    fn spec(&self) -> ToolSpec {
        let operations = [
            "goToDefinition",
            "findReferences",
            "hover",
            "documentSymbol",
            "workspaceSymbol",
            "goToImplementation",
            "prepareCallHierarchy",
            "incomingCalls",
            "outgoingCalls",
        ];
        let place = |what: &str| json!({"type": "integer", "minimum": 1, "description": what});
        let parameters = json!({
            "type": "object",
            "properties": {
                "operation": {"type": "string", "enum": operations, "description": "What to ask"},
                "filePath": {"type": "string", "description": "The file; for workspaceSymbol any file of the language"},
                "line": place("The line, from 1"),
                "character": place("The character in the line, from 1"),
                "query": {"type": "string", "description": "For workspaceSymbol: the name to look for"},
            },
            "required": ["operation", "filePath"],
            "additionalProperties": false,
        });
        ToolSpec {
            name: "lsp".into(),
            description: DESCRIPTION.into(),
            parameters: Arc::new(parameters),
            access: Access::Reads,
            source: ToolSource::BuiltIn,
        }
    }

    fn run(&self, input: Value, cx: ToolCx) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        let folder = Arc::clone(&self.0);
        Box::pin(async move {
            let input: Input = serde_json::from_value(input).map_err(|error| {
                ToolError::Invalid(format!("The arguments of lsp do not fit: {error}"))
            })?;
            let cancel = cx.cancel.clone();
            tokio::select! {
                done = ask(folder, input, &cx) => done,
                () = cancel.cancelled() => Err(ToolError::Aborted { metadata: Map::new() }),
            }
        })
    }
}

async fn ask(folder: Arc<Folder>, input: Input, cx: &ToolCx) -> Result<ToolOutput, ToolError> {
    let file = admitted(&input, cx).await?;
    let (ready, mut notes) = folder.ready_for(&file).await;
    let (method, capability) = input.operation.request();
    let mut is_asked = false;
    for ready in ready {
        let server = match folder.lease(&ready).await {
            Ok(server) => server,
            Err(note) => {
                notes.extend(note);
                continue;
            }
        };
        if !server.can(capability, method) {
            continue;
        }
        is_asked = true;
        match server.during(answer(&server, &file, &input)).await {
            Ok(Ok(found)) if !is_empty(&found) => {
                return Ok(shown(&input, &file, &found, &ready, cx));
            }
            Ok(Ok(_)) => {}
            Ok(Err(why)) => notes.push(format!("{} failed: {why}.", ready.id)),
            Err(gone) => notes.push(format!("{} ended: {gone}.", ready.id)),
        }
    }
    if !is_asked && notes.is_empty() {
        notes.push(format!(
            "No language server here answers this for {}.",
            file.display()
        ));
    }
    if !is_asked {
        return Err(ToolError::failed(notes.join("\n")));
    }
    notes.insert(0, "Nothing was found.".into());
    Ok(output(
        &input,
        &file,
        notes.join("\n"),
        Value::Array(Vec::new()),
        cx,
    ))
}

fn is_empty(found: &Value) -> bool {
    match found {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// The file, once reading it was allowed: servers show what is in it.
async fn admitted(input: &Input, cx: &ToolCx) -> Result<PathBuf, ToolError> {
    let path = match input.file_path.strip_prefix("~/") {
        Some(rest) => cx.home.join(rest),
        None => cx.directory.join(&input.file_path),
    };
    if input.file_path.is_empty() || input.file_path.contains('\0') {
        return Err(ToolError::failed("filePath is not a path"));
    }
    let (files, named) = (Arc::clone(&cx.files), path.clone());
    let looking = tokio::task::spawn_blocking(move || {
        let spot = files.find(&named)?;
        let is_file = spot.facts().is_ok_and(|facts| facts.kind == Kind::File);
        Ok::<_, std::io::Error>((spot.real().to_path_buf(), is_file))
    });
    let found = looking
        .await
        .map_err(|_| ToolError::failed("the look broke down"))?;
    let (real, is_file) = found
        .map_err(|error| ToolError::failed(format!("Cannot follow {}: {error}", path.display())))?;
    let inside = [&cx.worktree, &cx.directory].into_iter().any(|root| {
        let root = root.canonicalize().unwrap_or_else(|_| root.clone());
        root.parent().is_some() && real.starts_with(root)
    });
    if !inside {
        let parent = real.parent().unwrap_or(&real);
        let pattern = parent.join("*").display().to_string();
        request(cx, "external_directory", vec![pattern.clone()], &pattern).await?;
    }
    let below = |path: &Path| {
        let below = path.strip_prefix(&cx.worktree).unwrap_or(path);
        below.display().to_string()
    };
    // As it was named and where it leads: a rule may speak of either.
    let mut patterns = vec![below(&path), below(&real)];
    patterns.dedup();
    request(cx, "read", patterns, "*").await?;
    request(cx, "lsp", vec!["*".into()], "*").await?;
    if !is_file {
        return Err(ToolError::failed(format!(
            "File not found: {}",
            path.display()
        )));
    }
    Ok(real)
}

async fn request(
    cx: &ToolCx,
    permission: &str,
    patterns: Vec<String>,
    always: &str,
) -> Result<(), ToolError> {
    let ask = Ask {
        permission: permission.into(),
        patterns,
        always: vec![always.to_owned()],
        ..Ask::default()
    };
    cx.host.ask(&cx.call, ask).await
}

/// What the server says. The error is for the model.
async fn answer(
    server: &Lease<LanguageServer>,
    file: &Path,
    input: &Input,
) -> Result<Value, String> {
    let text = |error: crate::rpc::CallError| error.to_string();
    server.sync(&[file.to_owned()]).await.map_err(text)?;
    loaded(server).await;
    let (method, _) = input.operation.request();
    let document = json!({"uri": uri_of(file)});
    let from_one = |number: Option<f64>| number.map_or(0, |number| (number.max(1.0) as u64) - 1);
    let position = json!({"line": from_one(input.line), "character": from_one(input.character)});
    let params = match input.operation {
        Operation::WorkspaceSymbol => json!({"query": input.query.as_deref().unwrap_or_default()}),
        Operation::DocumentSymbol => json!({"textDocument": document}),
        Operation::FindReferences => json!({
            "textDocument": document, "position": position, "context": {"includeDeclaration": true},
        }),
        _ => json!({"textDocument": document, "position": position}),
    };
    let found = server
        .request(method, params, ANSWER_TIME)
        .await
        .map_err(text)?;
    let follow = match input.operation {
        Operation::IncomingCalls => "callHierarchy/incomingCalls",
        Operation::OutgoingCalls => "callHierarchy/outgoingCalls",
        Operation::WorkspaceSymbol => return Ok(first(found, WORKSPACE_SYMBOLS_MAX)),
        _ => return Ok(found),
    };
    let mut calls = Vec::new();
    for item in found.as_array().into_iter().flatten().take(CALLS_OF_MAX) {
        let asking = server.request(follow, json!({"item": item}), ANSWER_TIME);
        if let Value::Array(more) = asking.await.map_err(text)? {
            calls.extend(more);
        }
    }
    Ok(Value::Array(calls))
}

fn first(found: Value, max: usize) -> Value {
    match found {
        Value::Array(mut items) => {
            items.truncate(max);
            Value::Array(items)
        }
        other => other,
    }
}

/// Waits while the server loads the project, within a bound: what it says before that is half of it.
async fn loaded(server: &LanguageServer) {
    let end = Instant::now() + LOADING_TIME;
    let mut changes = server.state().changes();
    while server.state().busy().is_some() {
        tokio::select! {
            _ = changes.changed() => {}
            () = tokio::time::sleep_until(end) => return,
        }
    }
}

fn shown(input: &Input, file: &Path, found: &Value, ready: &Ready, cx: &ToolCx) -> ToolOutput {
    let text = show::text(found, &cx.directory);
    let mut output = output(input, file, text, found.clone(), cx);
    output
        .metadata
        .insert("server".into(), ready.id.clone().into());
    output
}

fn output(input: &Input, file: &Path, mut text: String, found: Value, cx: &ToolCx) -> ToolOutput {
    let shown = file.strip_prefix(&cx.directory).unwrap_or(file).display();
    let place = match (input.line, input.character) {
        (Some(line), Some(character)) => format!(":{line}:{character}"),
        _ => String::new(),
    };
    let is_cut = show::cut(&mut text, cx.output_lines_max, cx.output_bytes_max);
    let operation = format!("{:?}", input.operation);
    let found = if is_cut { Value::Null } else { found };
    let mut metadata = Map::new();
    metadata.insert("result".into(), found);
    metadata.insert("truncated".into(), is_cut.into());
    ToolOutput {
        title: format!("{operation} {shown}{place}"),
        output: text,
        metadata,
        ..ToolOutput::default()
    }
}
