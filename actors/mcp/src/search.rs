//! Tools that are too many to be offered at once: a model looks for them, and gets those that it takes.

use kilo_ports::BoxFuture;
use kilo_ports::tool::{Access, Tool, ToolCx, ToolError, ToolOutput, ToolSource, ToolSpec};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What models call it by.
pub const NAME: &str = "tool_search";
/// Tools that one search shows.
const FOUND_MAX: usize = 20;
/// Tools that one session has taken; the oldest go.
const TAKEN_MAX: usize = 64;
/// Sessions that are remembered; one that is not looks again.
const SESSIONS_MAX: usize = 256;
/// Characters of a tool's line.
const LINE_CHARS_MAX: usize = 160;

/// Which tools each session has taken.
#[derive(Default)]
pub struct Taken(Mutex<VecDeque<(String, Vec<Arc<str>>)>>);

impl Taken {
    /// The names that a session took, oldest first.
    pub fn of(&self, session: &str) -> Vec<Arc<str>> {
        let sessions = self.0.lock();
        let found = sessions.iter().find(|(known, _)| known == session);
        found.map(|(_, names)| names.clone()).unwrap_or_default()
    }

    fn take(&self, session: &str, names: Vec<Arc<str>>) {
        let mut sessions = self.0.lock();
        let at = sessions.iter().position(|(known, _)| known == session);
        let (session, mut taken) = at
            .and_then(|at| sessions.remove(at))
            .unwrap_or_else(|| (session.to_owned(), Vec::new()));
        taken.retain(|name| !names.contains(name));
        taken.extend(names);
        let too_many = taken.len().saturating_sub(TAKEN_MAX);
        taken.drain(..too_many);
        sessions.push_back((session, taken));
        if sessions.len() > SESSIONS_MAX {
            sessions.pop_front();
        }
    }
}

/// The tool that finds tools.
pub struct ToolSearch {
    tools: Vec<ToolSpec>,
    taken: Arc<Taken>,
}

impl ToolSearch {
    /// A search among these.
    pub fn new(tools: Vec<ToolSpec>, taken: Arc<Taken>) -> Self {
        Self { tools, taken }
    }

    fn servers(&self) -> String {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for tool in &self.tools {
            if let ToolSource::Mcp { server } = &tool.source {
                *counts.entry(server).or_default() += 1;
            }
        }
        let counts = counts
            .iter()
            .map(|(name, count)| format!("{name} ({count})"));
        counts.collect::<Vec<_>>().join(", ")
    }

    /// Those that fit best: all words of the query count, in names more than in descriptions. Without words the first ones.
    fn find(&self, query: &str) -> Vec<&ToolSpec> {
        let query = query.to_lowercase();
        let words: Vec<&str> = query
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        let score = |tool: &ToolSpec| -> usize {
            let (name, text) = (tool.name.to_lowercase(), tool.description.to_lowercase());
            let worth = |word: &&str| {
                3 * usize::from(name.contains(*word)) + usize::from(text.contains(*word))
            };
            words.iter().map(worth).sum()
        };
        let mut scored: Vec<(usize, &ToolSpec)> =
            self.tools.iter().map(|tool| (score(tool), tool)).collect();
        if !words.is_empty() {
            scored.retain(|(score, _)| *score > 0);
            scored.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
        }
        scored.into_iter().map(|(_, tool)| tool).collect()
    }
}

fn line(tool: &ToolSpec) -> String {
    let what = tool
        .description
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty());
    let what: String = what
        .unwrap_or_default()
        .chars()
        .take(LINE_CHARS_MAX)
        .collect();
    format!("- {}: {what}", tool.name)
}

impl Tool for ToolSearch {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: NAME.into(),
            description: format!(
                "Finds tools of MCP servers that are not in your list, since there are too many for it: {} tools of {}. \
                 Give words in `query` to get names with a line each. Give exact names in `load` to get these tools: they \
                 are in your list from the next step on.",
                self.tools.len(),
                self.servers()
            ),
            parameters: Arc::new(json!({
                "type": "object",
                "properties": {
                    "query": {"type": "string", "description": "Words that the tool's name or description may have"},
                    "load": {"type": "array", "items": {"type": "string"}, "description": "Exact names of the tools to get"},
                },
            })),
            access: Access::Session,
            source: ToolSource::BuiltIn,
        }
    }

    fn run(&self, input: Value, cx: ToolCx) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        let names = input.get("load").and_then(Value::as_array);
        let wanted: Vec<&str> = names
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let mut lines: Vec<String> = Vec::new();
        if !wanted.is_empty() {
            let found: Vec<&ToolSpec> = self
                .tools
                .iter()
                .filter(|tool| wanted.contains(&&*tool.name))
                .collect();
            self.taken.take(
                cx.session.as_str(),
                found.iter().map(|tool| Arc::clone(&tool.name)).collect(),
            );
            for tool in &found {
                lines.push(format!(
                    "{} is in your list from the next step on.",
                    tool.name
                ));
            }
            for name in wanted {
                if !found.iter().any(|tool| &*tool.name == name) {
                    lines.push(format!("There is no tool {name}."));
                }
            }
        }
        let query = input.get("query").and_then(Value::as_str);
        if query.is_some() || lines.is_empty() {
            let found = self.find(query.unwrap_or_default());
            lines.extend(found.iter().take(FOUND_MAX).map(|tool| line(tool)));
            match found.len() {
                0 => lines.push("No tool fits.".into()),
                count if count > FOUND_MAX => {
                    lines.push(format!("({} more; use other words)", count - FOUND_MAX))
                }
                _ => {}
            }
        }
        Box::pin(std::future::ready(Ok(ToolOutput {
            title: query.unwrap_or_default().to_owned(),
            output: lines.join("\n"),
            ..ToolOutput::default()
        })))
    }
}
