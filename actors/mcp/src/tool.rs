//! A tool of a server, as sessions call it.

use crate::connection::StartError;
use crate::desk::Caller;
use crate::model::{Progress, ToolInfo};
use crate::output::{Shown, shown};
use crate::shared::{Reach, Shared};
use crate::wire::CallError;
use kilo_ports::BoxFuture;
use kilo_ports::tool::{Access, Ask, Tool, ToolCx, ToolError, ToolOutput, ToolSource, ToolSpec};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Bytes of data that clients get beside the text.
const DATA_BYTES_MAX: usize = 64 << 10;

/// A tool of a server.
pub struct McpTool {
    /// What models call it by.
    pub name: Arc<str>,
    /// What the server says about it.
    pub info: ToolInfo,
    /// The server.
    pub reach: Arc<Reach>,
    /// The pool.
    pub shared: Arc<Shared>,
}

impl McpTool {
    /// Changes with the description and the schema: who allowed the one has not allowed the other.
    fn fingerprint(&self) -> String {
        let said = format!("{}\0{}", self.info.description, self.info.schema);
        blake3::hash(said.as_bytes()).to_hex()[..16].to_owned()
    }
}

impl Tool for McpTool {
    fn spec(&self) -> ToolSpec {
        // Only what the user named himself is believed when it says that it changes nothing.
        let reads = self.info.read_only && self.reach.config.origin.is_trusted();
        ToolSpec {
            name: Arc::clone(&self.name),
            description: self.info.description.clone(),
            parameters: Arc::clone(&self.info.schema),
            access: if reads {
                Access::Reads
            } else {
                Access::Executes
            },
            source: ToolSource::Mcp {
                server: Arc::clone(&self.reach.name),
            },
        }
    }

    fn run(&self, input: Value, cx: ToolCx) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        let ask = Ask {
            permission: self.name.to_string(),
            patterns: vec!["*".into()],
            always: vec!["*".into()],
            version: Some(self.fingerprint()),
            ..Ask::default()
        };
        let call = Call {
            tool: self.info.name.clone(),
            reach: Arc::clone(&self.reach),
            shared: Arc::clone(&self.shared),
        };
        Box::pin(async move {
            let asking = cx.host.ask(&cx.call, ask);
            tokio::select! {
                allowed = asking => allowed?,
                () = cx.cancel.cancelled() => return Err(stopped()),
            }
            call.run(input, &cx).await
        })
    }
}

struct Call {
    tool: String,
    reach: Arc<Reach>,
    shared: Arc<Shared>,
}

fn stopped() -> ToolError {
    ToolError::Aborted {
        metadata: Map::new(),
    }
}

impl Call {
    async fn run(&self, input: Value, cx: &ToolCx) -> Result<ToolOutput, ToolError> {
        let name = &self.reach.name;
        let lease = tokio::select! {
            lease = self.shared.lease(&self.reach) => lease.map_err(|error| not_there(name, &error))?,
            () = cx.cancel.cancelled() => return Err(stopped()),
        };
        let _entered = lease.desk.enter(Caller {
            session: cx.session.clone(),
            call: cx.call.clone(),
            host: Arc::clone(&cx.host),
            wishes: Arc::default(),
        });
        let Value::Object(arguments) = input else {
            return Err(ToolError::Invalid("the arguments are no object".into()));
        };
        let progress = |news: Progress| {
            cx.host
                .progress(&cx.call, news.message.clone(), progress_metadata(&news));
        };
        let calling = lease.call(&self.tool, Some(arguments), &cx.cancel, progress);
        let answer = match lease.during(calling).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(CallError::Cancelled)) => return Err(stopped()),
            Ok(Err(CallError::Lost)) | Err(_) if cx.cancel.is_cancelled() => return Err(stopped()),
            Ok(Err(CallError::Lost)) => {
                // The connection is gone a moment before it is known why.
                let why = lease.why_gone().await;
                return Err(ended(name, &why));
            }
            Ok(Err(error)) => return Err(ToolError::failed(format!("{name}: {error}"))),
            Err(gone) => return Err(ended(name, &gone.0)),
        };
        let Shown { text, attachments } = shown(&answer);
        if answer.is_error {
            let text = if text.trim().is_empty() {
                format!("{name}: the tool failed and does not say why")
            } else {
                text
            };
            return Err(ToolError::failed(text));
        }
        let mut metadata = Map::new();
        if let Some(data) = answer.structured
            && data.to_string().len() <= DATA_BYTES_MAX
        {
            metadata.insert("structuredContent".into(), data);
        }
        Ok(ToolOutput {
            output: text,
            attachments,
            metadata,
            ..ToolOutput::default()
        })
    }
}

fn progress_metadata(news: &Progress) -> Map<String, Value> {
    let mut progress = json!({"progress": news.done});
    if let Some(total) = news.total {
        progress["total"] = total.into();
    }
    if let Some(message) = &news.message {
        progress["message"] = message.clone().into();
    }
    let mut metadata = Map::new();
    metadata.insert("progress".into(), progress);
    metadata
}

fn ended(name: &str, why: &str) -> ToolError {
    ToolError::failed(format!(
        "The MCP server {name} ended during this call: {why}. What the call did until then is not known. \
         The next call starts the server anew."
    ))
}

fn not_there(name: &str, error: &StartError) -> ToolError {
    ToolError::failed(match error {
        StartError::Unauthorized(_) => {
            format!("The MCP server {name} wants a sign-in: `kilo mcp auth {name}`")
        }
        StartError::Failed(why) => format!("The MCP server {name} cannot be started: {why}"),
    })
}
