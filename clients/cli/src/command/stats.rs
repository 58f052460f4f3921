//! `kilo stats`: tokens, costs, tools, disk.

use crate::connect::{self, Link};
use crate::context::Context;
use crate::exit::Exit;
use crate::options::Remote;
use crate::run::faults;
use crate::terminal::table::table;
use crate::terminal::{Terminal, line};
use crate::time::now;
use clap::Args;
use kilo_client::SessionFilter;
use kilo_config::Paths;
use kilo_protocol::Millis;
use kilo_protocol::model::{Message, MessageWithParts, PartBody, Session, Tokens, ToolState};
use std::collections::BTreeMap;
use std::path::Path;

const DAY_MS: Millis = 86_400_000;
const FOLDER_DEPTH_MAX: usize = 32;

/// What `kilo stats` takes.
#[derive(Args, Clone, Debug)]
pub struct StatsArgs {
    /// Only sessions changed in the last N days.
    #[arg(long, value_name = "N")]
    pub days: Option<u64>,
    /// Show the models, at most N.
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "1000")]
    pub models: Option<usize>,
    /// Show the tools, at most N.
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "1000")]
    pub tools: Option<usize>,
    /// Show what the data folder is made of.
    #[arg(long)]
    pub disk: bool,
}

/// Prints the figures of all projects.
pub async fn execute(args: &StatsArgs, cx: &Context) -> anyhow::Result<Exit> {
    let directory = cx.env.cwd.to_string_lossy().into_owned();
    let link = connect::open(cx, &Remote::default(), &directory).await?;
    faults::tell_damage(&link.client, cx).await;
    let result = usage(args, &link, cx).await;
    link.close().await;
    result?;
    if args.disk {
        disk(cx);
    }
    Ok(Exit::OK)
}

async fn usage(args: &StatsArgs, link: &Link, cx: &Context) -> anyhow::Result<()> {
    let since = args
        .days
        .map_or(0, |days| now().saturating_sub(days.saturating_mul(DAY_MS)));
    let mut sessions = link.client.all_sessions(&SessionFilter::default()).await?;
    sessions.retain(|session| session.time.updated >= since);
    for text in totals(&sessions) {
        line(&text);
    }
    if args.models.is_none() && args.tools.is_none() {
        return Ok(());
    }
    let mut counts = Counts::default();
    for session in &sessions {
        counts.add(&link.client.messages(&session.id).await?);
    }
    for text in counts.tables(args.models, args.tools, cx.terminal) {
        line(&text);
    }
    Ok(())
}

fn totals(sessions: &[Session]) -> Vec<String> {
    let mut tokens = Tokens::default();
    let mut cost = 0.0;
    for session in sessions {
        tokens.add(&session.tokens);
        cost += session.cost;
    }
    let cached = tokens.cache.read + tokens.cache.write;
    vec![
        format!("sessions  {}", sessions.len()),
        format!("cost      ${cost:.4}"),
        format!(
            "input     {}  (and {} from or into caches)",
            count(tokens.input),
            count(cached)
        ),
        format!(
            "output    {}  (and {} of reasoning)",
            count(tokens.output),
            count(tokens.reasoning)
        ),
    ]
}

#[derive(Default)]
struct Counts {
    models: BTreeMap<String, (u64, Tokens, f64)>,
    tools: BTreeMap<String, (u64, u64)>,
}

impl Counts {
    fn add(&mut self, messages: &[MessageWithParts]) {
        for message in messages {
            if let Message::Assistant(info) = &message.info {
                let name = format!("{}/{}", info.provider_id, info.model_id);
                let (calls, tokens, cost) = self.models.entry(name).or_default();
                *calls += 1;
                tokens.add(&info.tokens);
                *cost += info.cost;
            }
            for part in &message.parts {
                if let PartBody::Tool(call) = &part.body {
                    let (calls, failures) = self.tools.entry(call.tool.clone()).or_default();
                    *calls += 1;
                    *failures += u64::from(matches!(call.state, ToolState::Error { .. }));
                }
            }
        }
    }

    fn tables(
        &self,
        models: Option<usize>,
        tools: Option<usize>,
        terminal: Terminal,
    ) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(most) = models {
            let mut used: Vec<_> = self.models.iter().collect();
            used.sort_by_key(|(_, (calls, ..))| std::cmp::Reverse(*calls));
            let row = |(name, (calls, tokens, cost)): &(&String, &(u64, Tokens, f64))| {
                vec![
                    calls.to_string(),
                    count(tokens.input),
                    count(tokens.output),
                    format!("${cost:.4}"),
                    (*name).clone(),
                ]
            };
            let rows: Vec<_> = used.iter().take(most).map(row).collect();
            lines.push(String::new());
            lines.extend(table(
                &["CALLS", "INPUT", "OUTPUT", "COST", "MODEL"],
                &rows,
                terminal,
            ));
        }
        if let Some(most) = tools {
            let mut used: Vec<_> = self.tools.iter().collect();
            used.sort_by_key(|(_, (calls, _))| std::cmp::Reverse(*calls));
            let row = |(name, (calls, failures)): &(&String, &(u64, u64))| {
                vec![calls.to_string(), failures.to_string(), (*name).clone()]
            };
            let rows: Vec<_> = used.iter().take(most).map(row).collect();
            lines.push(String::new());
            lines.extend(table(&["CALLS", "FAILED", "TOOL"], &rows, terminal));
        }
        lines
    }
}

fn disk(cx: &Context) {
    let paths = Paths::of(&cx.env);
    let places = [
        ("log", paths.engine.join("log")),
        ("index", paths.engine.join("index")),
        ("blobs", paths.engine.join("blobs")),
        ("checkpoints", paths.snapshots.clone()),
        ("worktrees", paths.worktrees.clone()),
        ("tool output", paths.tool_output.clone()),
        ("logs", paths.state.join("log")),
        ("cache", paths.cache.clone()),
    ];
    let rows: Vec<_> = places
        .iter()
        .map(|(name, path)| {
            vec![
                bytes(size(path, FOLDER_DEPTH_MAX)),
                (*name).to_owned(),
                path.display().to_string(),
            ]
        })
        .collect();
    line("");
    for row in table(&["SIZE", "WHAT", "WHERE"], &rows, cx.terminal) {
        line(&row);
    }
}

/// Bytes of the files below `path`, links not followed; what cannot be read counts as nothing.
fn size(path: &Path, depth: usize) -> u64 {
    let Ok(about) = path.symlink_metadata() else {
        return 0;
    };
    if !about.is_dir() {
        return about.len();
    }
    let Ok(entries) = path.read_dir() else {
        return 0;
    };
    if depth == 0 {
        return 0;
    }
    entries
        .flatten()
        .map(|entry| size(&entry.path(), depth - 1))
        .sum()
}

/// A number as people read it: `950`, `12.3 k`, `4.5 M`.
fn count(n: u64) -> String {
    match n {
        0..10_000 => n.to_string(),
        10_000..10_000_000 => format!("{}.{} k", n / 1_000, n % 1_000 / 100),
        _ => format!("{}.{} M", n / 1_000_000, n % 1_000_000 / 100_000),
    }
}

fn bytes(n: u64) -> String {
    match n {
        0..1_024 => format!("{n} B"),
        1_024..1_048_576 => format!("{} KiB", n / 1_024),
        _ => format!("{}.{} MiB", n / 1_048_576, n % 1_048_576 * 10 / 1_048_576),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [9_999, 12_345, 45_600_000].map(count),
            ["9999", "12.3 k", "45.6 M"]
        );
        assert_eq!(
            [1_023, 2_048, 1_572_864].map(bytes),
            ["1023 B", "2 KiB", "1.5 MiB"]
        );
    }

    #[test]
    fn calls_are_counted_by_model_and_tool() {
        let message: MessageWithParts = serde_json::from_value(json!({
            "info": {"role": "assistant", "id": "msg_1", "sessionID": "ses_1", "time": {"created": 1}, "parentID": "msg_0",
                "modelID": "m", "providerID": "p", "mode": "code", "agent": "code", "path": {"cwd": "/", "root": "/"},
                "cost": 0.5, "tokens": {"input": 10, "output": 2, "reasoning": 0, "cache": {"read": 0, "write": 0}}},
            "parts": [{"id": "prt_1", "sessionID": "ses_1", "messageID": "msg_1", "type": "tool", "callID": "c", "tool": "bash",
                "state": {"status": "error", "input": {}, "error": "no", "time": {"start": 1, "end": 2}}}]
        }))
        .expect("a message");
        let mut counts = Counts::default();
        counts.add(&[message.clone(), message]);
        assert_eq!(
            counts.tables(Some(9), Some(9), Terminal::plain()),
            [
                "",
                "CALLS  INPUT  OUTPUT  COST     MODEL",
                "2      20     4       $1.0000  p/m",
                "",
                "CALLS  FAILED  TOOL",
                "2      2       bash"
            ]
        );
    }

    #[test]
    fn a_folder_is_as_large_as_its_files() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("a")).expect("a folder");
        std::fs::write(folder.path().join("a/b"), "12345").expect("a file");
        assert_eq!(size(folder.path(), 2), 5);
        assert_eq!(size(&folder.path().join("none"), 2), 0);
    }
}
