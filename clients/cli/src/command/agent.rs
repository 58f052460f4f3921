//! `kilo agent`: the agents that can be used here.

use crate::context::Context;
use crate::exit::Exit;
use crate::terminal::table::table;
use crate::terminal::{harmless, line};
use clap::Subcommand;
use kilo_config::agent::Mode;
use kilo_config::{Agent, Paths};

/// What `kilo agent` takes.
#[derive(Clone, Debug, Subcommand)]
pub enum AgentCommand {
    /// List the agents, the default one first.
    #[command(alias = "ls")]
    List,
}

/// Runs the command.
pub fn execute(command: &AgentCommand, cx: &Context) -> anyhow::Result<Exit> {
    let AgentCommand::List = command;
    let paths = Paths::of(&cx.env);
    let worktree =
        kilo_config::project::worktree_of(&cx.env.cwd).unwrap_or_else(|| cx.env.cwd.clone());
    let loaded = kilo_config::load(&cx.env, &paths, &cx.env.cwd, &worktree);
    let agents = kilo_config::agents(&cx.env, &paths, &loaded);
    let rows: Vec<Vec<String>> = agents
        .iter()
        .filter(|agent| !agent.hidden)
        .map(row)
        .collect();
    for row in table(&["AGENT", "STARTED BY", "FOR"], &rows, cx.terminal) {
        line(&row);
    }
    line(
        &cx.terminal
            .dim("`kilo run --agent NAME` uses one that you may start"),
    );
    Ok(Exit::OK)
}

fn row(agent: &Agent) -> Vec<String> {
    let by = match agent.mode {
        Mode::Primary => "you",
        Mode::Subagent => "agents",
        Mode::All => "both",
    };
    let about = agent.description.as_deref().unwrap_or_default();
    vec![agent.name.clone(), by.into(), harmless(about)]
}
