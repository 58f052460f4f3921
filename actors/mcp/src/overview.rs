//! What a folder's servers are, where they come from, and what they cost with each request to a model.

use crate::config::{ServerConfig, Transport};
use crate::folder::FolderServers;
use kilo_protocol::secrets;
use serde_json::{Value, json};

/// Bytes that are about one token of English text and schemas.
const BYTES_PER_TOKEN: usize = 4;

/// About how many tokens so many bytes are.
fn tokens(bytes: usize) -> usize {
    bytes.div_ceil(BYTES_PER_TOKEN)
}

/// The command or the address, for people: without what may be a secret.
pub fn what(config: &ServerConfig) -> String {
    match &config.transport {
        Transport::Local { command, .. } => {
            let words = command.iter().map(|word| secrets::masked_text(word));
            words.collect::<Vec<_>>().join(" ")
        }
        Transport::Remote { url, .. } => secrets::masked_text(url),
    }
}

impl FolderServers {
    /// All servers and their cost: `{servers: [{name, status, error?, from, what, enabled, tools, bytes, tokens, pid?, users}],
    /// cost: {bytes, tokens, schemaBytes, budgetBytes, search}}`. `bytes` of a server are its descriptions, schemas and
    /// instructions; `cost.bytes` is what goes with each request now, before a session takes tools of the search; tokens
    /// are a guess, four bytes each.
    pub fn overview(&self) -> Value {
        let offered = self.offered();
        let servers = self.lines();
        let instructions: usize = self.instructions().iter().map(|(_, text)| text.len()).sum();
        let weight = |tool: &std::sync::Arc<dyn kilo_ports::tool::Tool>| {
            let spec = tool.spec();
            spec.name.len() + spec.description.len() + spec.parameters.to_string().len()
        };
        let always = offered.search.iter().chain(&offered.resources);
        let shown = match &offered.search {
            Some(_) => 0,
            None => offered.bytes,
        };
        let bytes = always.map(weight).sum::<usize>() + shown + instructions;
        json!({
            "servers": servers,
            "cost": {
                "bytes": bytes,
                "tokens": tokens(bytes),
                "schemaBytes": offered.bytes,
                "budgetBytes": self.schema_budget(),
                "search": offered.search.is_some(),
            },
        })
    }

    fn lines(&self) -> Vec<Value> {
        let lines = self.described().into_iter().map(|(name, known)| {
            let mut line = known.status.wire();
            line["name"] = name.into();
            let config = known.config.as_ref().ok();
            line["from"] = config.map(|config| config.origin.text()).into();
            line["what"] = config.map(what).into();
            line["enabled"] = config.is_some_and(|config| config.enabled).into();
            let offer = known.offer.as_deref();
            line["tools"] = offer.map_or(0, |offer| offer.tools.len()).into();
            let bytes = offer.map_or(0, |offer| {
                let tools = offer.tools.iter();
                let tools = tools.map(|tool| tool.weight()).sum::<usize>();
                tools + offer.facts.instructions.as_ref().map_or(0, String::len)
            });
            line["bytes"] = bytes.into();
            line["tokens"] = tokens(bytes).into();
            if let Some(running) = known.running {
                line["pid"] = running.pid.into();
                line["users"] = json!(running.users.iter().map(|user| &**user).collect::<Vec<_>>());
            }
            line
        });
        lines.collect()
    }
}
