//! Resources of servers as tools of the model: one that lists them, one that reads and watches.

use crate::ask::harmless;
use crate::model::Offer;
use crate::output;
use crate::shared::{Reach, Shared};
use crate::tool::{self, news};
use crate::wire::CallError;
use kilo_ports::BoxFuture;
use kilo_ports::tool::{Access, Ask, Tool, ToolCx, ToolError, ToolOutput, ToolSource, ToolSpec};
use serde_json::{Value, json};
use std::sync::Arc;

/// What models call them by.
pub const LIST: &str = "mcp_list_resources";
pub const READ: &str = "mcp_read_resource";
/// Resources that one list shows.
const SHOWN_MAX: usize = 100;
/// Characters of a resource's line.
const LINE_CHARS_MAX: usize = 300;

/// The servers in use that have resources.
#[derive(Clone)]
pub struct Sources {
    servers: Arc<Vec<(Arc<Reach>, Arc<Offer>)>>,
    shared: Arc<Shared>,
}

impl Sources {
    /// Those of `offers` that have resources; `None` where there are none.
    pub fn of(offers: &[(Arc<Reach>, Arc<Offer>)], shared: &Arc<Shared>) -> Option<Self> {
        let has_some = |(_, offer): &&(Arc<Reach>, Arc<Offer>)| offer.facts.resources;
        let servers: Vec<_> = offers.iter().filter(has_some).cloned().collect();
        (!servers.is_empty()).then(|| Self {
            servers: Arc::new(servers),
            shared: Arc::clone(shared),
        })
    }

    /// Both tools.
    pub fn tools(self) -> [Arc<dyn Tool>; 2] {
        [Arc::new(List(self.clone())), Arc::new(Read(self))]
    }

    fn names(&self) -> String {
        let names = self.servers.iter().map(|(reach, _)| &*reach.name);
        names.collect::<Vec<_>>().join(", ")
    }

    fn server(&self, name: &str) -> Result<&(Arc<Reach>, Arc<Offer>), ToolError> {
        let found = self.servers.iter().find(|(reach, _)| &*reach.name == name);
        let names = || {
            format!(
                "no server {name:?} has resources; those are: {}",
                self.names()
            )
        };
        found.ok_or_else(|| ToolError::Invalid(names()))
    }
}

/// Lists what there is.
struct List(Sources);

fn line(place: &str, name: &str, what: Option<&str>, mime: Option<&str>) -> String {
    let mime = mime.map(|mime| format!(" ({mime})")).unwrap_or_default();
    let what = what.and_then(|what| what.lines().next());
    let what = what.map(|what| format!(" - {what}")).unwrap_or_default();
    let line = format!("{place}{mime}: {name}{what}");
    // Each on a line of its own, whatever it is called.
    let line = harmless(&line).replace(['\n', '\t'], " ");
    line.chars().take(LINE_CHARS_MAX).collect()
}

impl Tool for List {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: LIST.into(),
            description: format!(
                "Lists what the MCP servers {} have to read: addresses, and templates whose `{{blanks}}` you fill in.",
                self.0.names()
            ),
            parameters: Arc::new(json!({
                "type": "object",
                "properties": {
                    "server": {"type": "string", "description": "Only what this server has"},
                    "query": {"type": "string", "description": "Only lines with this text"},
                },
            })),
            access: Access::Session,
            source: ToolSource::BuiltIn,
        }
    }

    fn run(&self, input: Value, cx: ToolCx) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        Box::pin(std::future::ready(self.list(&input, &cx)))
    }
}

impl List {
    fn list(&self, input: &Value, cx: &ToolCx) -> Result<ToolOutput, ToolError> {
        let text = |key: &str| input.get(key).and_then(Value::as_str).unwrap_or_default();
        let only = text("server");
        if !only.is_empty() {
            self.0.server(only)?;
        }
        let query = text("query").to_lowercase();
        let mut lines = Vec::new();
        let mut notes = String::new();
        for (reach, offer) in self.0.servers.iter() {
            if !only.is_empty() && &*reach.name != only {
                continue;
            }
            let resources = offer.resources.iter().map(|one| {
                let (what, mime) = (one.description.as_deref(), one.mime_type.as_deref());
                line(&one.uri, &one.name, what, mime)
            });
            let templates = offer.templates.iter().map(|one| {
                let (what, mime) = (one.description.as_deref(), one.mime_type.as_deref());
                let place = format!("template {}", one.uri_template);
                line(&place, &one.name, what, mime)
            });
            let all = resources.chain(templates);
            let all = all.map(|line| format!("{} {line}", reach.name));
            lines.extend(all.filter(|line| line.to_lowercase().contains(&query)));
            notes += &news(&self.0.shared, reach, cx).unwrap_or_default();
        }
        let left = lines.len().saturating_sub(SHOWN_MAX);
        lines.truncate(SHOWN_MAX);
        if left > 0 {
            lines.push(format!("({left} more; name a server, or words in `query`)"));
        }
        if lines.is_empty() {
            lines.push("There are none.".into());
        }
        Ok(ToolOutput {
            title: only.to_owned(),
            output: lines.join("\n") + &notes,
            ..ToolOutput::default()
        })
    }
}

/// Reads one.
struct Read(Sources);

impl Tool for Read {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: READ.into(),
            description: format!(
                "Reads a resource of an MCP server by its address, which {LIST} gives. With `watch`, later outputs of this \
                 server's tools say when it has changed.",
            ),
            parameters: Arc::new(json!({
                "type": "object",
                "properties": {
                    "server": {"type": "string", "description": "The server's name"},
                    "uri": {"type": "string", "description": "The address; of a template with its blanks filled in"},
                    "watch": {"type": "boolean", "description": "Say later when it has changed"},
                },
                "required": ["server", "uri"],
            })),
            access: Access::Reads,
            source: ToolSource::BuiltIn,
        }
    }

    fn run(&self, input: Value, cx: ToolCx) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        let text = |key: &str| input[key].as_str().unwrap_or_default().to_owned();
        let (server, uri) = (text("server"), text("uri"));
        let found = self.0.server(&server).cloned();
        let watch = input["watch"] == true;
        let shared = Arc::clone(&self.0.shared);
        Box::pin(async move {
            let (reach, offer) = found?;
            let mut ask = Ask {
                permission: READ.into(),
                patterns: vec![format!("{server}:{uri}")],
                always: vec![format!("{server}:*")],
                ..Ask::default()
            };
            ask.metadata.insert("server".into(), server.into());
            ask.metadata.insert("uri".into(), uri.clone().into());
            tokio::select! {
                allowed = cx.host.ask(&cx.call, ask) => allowed?,
                () = cx.cancel.cancelled() => return Err(tool::stopped()),
            }
            let reading = Reading {
                reach,
                shared,
                uri,
                watch: watch.then_some(offer.facts.subscribe),
            };
            reading.run(&cx).await
        })
    }
}

struct Reading {
    reach: Arc<Reach>,
    shared: Arc<Shared>,
    uri: String,
    /// To be watched; false where the server does not tell of changes.
    watch: Option<bool>,
}

impl Reading {
    async fn run(&self, cx: &ToolCx) -> Result<ToolOutput, ToolError> {
        let used = tool::Used::begin(&self.shared, &self.reach, cx).await?;
        let (client, timeout) = (Arc::clone(used.lease.client()), used.lease.timeout());
        // Watched first: what changes while it is read is news.
        let watching = match self.watch {
            Some(true) => used.settle(self.subscribe(&client, timeout, cx)).await?,
            Some(false) => Some("this server does not tell of changes".into()),
            None => None,
        };
        let contents = used.settle(client.read(&self.uri, timeout)).await?;
        let (mut texts, mut attachments) = (Vec::new(), Vec::new());
        for content in &contents {
            output::resource(content, &mut texts, &mut attachments);
        }
        if contents.is_empty() {
            texts.push("[the resource is empty]".into());
        }
        match (self.watch, watching) {
            (Some(_), Some(why)) => texts.push(format!("[It is not watched: {why}.]")),
            (Some(_), None) => texts.push(
                "[It is watched: outputs of this server's tools say when it has changed.]".into(),
            ),
            (None, _) => {}
        }
        let notes = news(&self.shared, &self.reach, cx).unwrap_or_default();
        Ok(ToolOutput {
            title: self.uri.clone(),
            output: texts.join("\n\n") + &notes,
            attachments,
            ..ToolOutput::default()
        })
    }

    /// Why it is not watched, or nothing.
    async fn subscribe(
        &self,
        client: &crate::wire::Client,
        timeout: std::time::Duration,
        cx: &ToolCx,
    ) -> Result<Option<String>, CallError> {
        let session = cx.session.as_str();
        self.shared.watch(&self.reach, &self.uri, session);
        match client.subscribe(&self.uri, timeout).await {
            Ok(()) => Ok(None),
            Err(CallError::Server { message, .. }) => Ok(Some(message)),
            Err(other) => Err(other),
        }
    }
}
