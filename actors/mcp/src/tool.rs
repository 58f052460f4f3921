//! A tool of a server, as sessions call it.

use crate::connection::{Connection, StartError};
use crate::desk::{Caller, Entered};
use crate::model::{Progress, ToolInfo};
use crate::output::{Shown, shown};
use crate::shared::{Reach, Shared};
use crate::wire::CallError;
use kilo_ports::BoxFuture;
use kilo_ports::tool::{Access, Ask, Tool, ToolCx, ToolError, ToolOutput, ToolSource, ToolSpec};
use kilo_runtime::pool::Lease;
use serde_json::{Map, Value, json};
use std::sync::{Arc, OnceLock};
use tokio_util::sync::CancellationToken;

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
    /// See [`McpTool::fingerprint`]; made at the first call.
    pub version: OnceLock<String>,
}

impl McpTool {
    /// Changes with the description and the schema: who allowed the one has not allowed the other.
    fn fingerprint(&self) -> String {
        let mut said = format!("{}\0{}", self.info.description, self.info.schema);
        // A server that the project names gets nothing of what the user allowed one of his own, or an earlier one of
        // that name, however alike they describe themselves.
        if !self.reach.config.origin.is_trusted() {
            said += self.reach.identity();
        }
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
            version: Some(self.version.get_or_init(|| self.fingerprint()).clone()),
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

/// The call was taken back.
pub fn stopped() -> ToolError {
    ToolError::Aborted {
        metadata: Map::new(),
    }
}

/// A server in use by one call, which it may ask things of until this is dropped.
pub struct Used<'a> {
    /// The server.
    pub lease: Lease<Connection>,
    shared: &'a Shared,
    reach: &'a Reach,
    cancel: &'a CancellationToken,
    _entered: Entered,
}

impl<'a> Used<'a> {
    /// Starts the server if it does not run.
    pub async fn begin(
        shared: &'a Arc<Shared>,
        reach: &'a Arc<Reach>,
        cx: &'a ToolCx,
    ) -> Result<Self, ToolError> {
        let name = &*reach.name;
        let lease = tokio::select! {
            lease = shared.lease(reach) => lease.map_err(|error| not_there(name, &error))?,
            () = cx.cancel.cancelled() => return Err(stopped()),
        };
        let entered = lease.desk.enter(Caller {
            session: cx.session.clone(),
            call: cx.call.clone(),
            host: Arc::clone(&cx.host),
            wishes: Arc::default(),
        });
        Ok(Self {
            lease,
            shared,
            reach,
            cancel: &cx.cancel,
            _entered: entered,
        })
    }

    /// Waits for an answer of the server, unless the call is taken back or the server ends.
    pub async fn settle<T>(
        &self,
        work: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, ToolError> {
        let outcome = tokio::select! {
            biased;
            outcome = self.lease.during(work) => outcome,
            () = self.cancel.cancelled() => return Err(stopped()),
        };
        let name = &*self.reach.name;
        match outcome {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(CallError::Cancelled)) => Err(stopped()),
            Ok(Err(CallError::Unauthorized(challenge))) => {
                self.shared.wants_sign_in(self.reach, &challenge);
                Err(not_there(name, &StartError::Unauthorized(challenge)))
            }
            Ok(Err(CallError::Lost)) | Err(_) if self.cancel.is_cancelled() => Err(stopped()),
            Ok(Err(CallError::Lost)) => {
                // The connection is gone a moment before it is known why.
                let why = self.lease.why_gone().await;
                Err(ended(name, &why))
            }
            Ok(Err(error)) => Err(ToolError::failed(format!("{name}: {error}"))),
            Err(gone) => Err(ended(name, &gone.0)),
        }
    }
}

/// Names the watched resources that have changed, on lines of their own.
pub fn news(shared: &Shared, reach: &Reach, cx: &ToolCx) -> Option<String> {
    let news = shared.news(reach, cx.session.as_str());
    let lines = news.iter().map(|uri| {
        let name = &reach.name;
        format!("\n\n[The resource {uri} of {name} has changed since you read it.]")
    });
    (!news.is_empty()).then(|| lines.collect())
}

impl Call {
    async fn run(&self, input: Value, cx: &ToolCx) -> Result<ToolOutput, ToolError> {
        let Value::Object(arguments) = input else {
            return Err(ToolError::Invalid("the arguments are no object".into()));
        };
        let name = &self.reach.name;
        let used = Used::begin(&self.shared, &self.reach, cx).await?;
        let progress = |news: Progress| {
            cx.host
                .progress(&cx.call, news.message.clone(), progress_metadata(&news));
        };
        let calling = used
            .lease
            .call(&self.tool, Some(arguments), &cx.cancel, progress);
        let answer = used.settle(calling).await?;
        let Shown {
            mut text,
            attachments,
        } = shown(&answer);
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
        if let Some(news) = news(&self.shared, &self.reach, cx) {
            text += &news;
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
