//! `kilo config`: looks the configuration over.

use crate::context::Context;
use crate::exit::Exit;
use crate::terminal::{line, note};
use clap::Subcommand;
use kilo_config::{Loaded, Paths};
use kilo_protocol::secrets;

/// What `kilo config` takes.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Read all configuration files and say what is wrong with them.
    Check,
    /// Print the configuration of this folder, all files merged, without its secrets.
    Show,
}

/// Runs the command.
pub fn execute(command: &ConfigCommand, cx: &Context) -> anyhow::Result<Exit> {
    let paths = Paths::of(&cx.env);
    let worktree =
        kilo_config::project::worktree_of(&cx.env.cwd).unwrap_or_else(|| cx.env.cwd.clone());
    let loaded = kilo_config::load(&cx.env, &paths, &cx.env.cwd, &worktree);
    match command {
        ConfigCommand::Check => Ok(check(&loaded, &paths, cx)),
        ConfigCommand::Show => show(&loaded, cx),
    }
}

/// Prints the warnings, the keys that mean nothing and the instructions that are left out; status 1 when there are any.
fn check(loaded: &Loaded, paths: &Paths, cx: &Context) -> Exit {
    let warned = loaded.warnings.iter().chain(&loaded.unknown);
    let mut found: Vec<String> = warned
        .map(|warning| format!("{}: {}", warning.path, warning.message))
        .collect();
    let instructions = kilo_config::instructions::collect(&cx.env, paths, loaded);
    found.extend(instructions.skipped.iter().map(|(path, reason)| {
        let path = path.display();
        format!("{path}: these instructions are left out: {reason}")
    }));
    if found.is_empty() {
        line("No config warnings.");
        return Exit::OK;
    }
    for text in found {
        line(&format!("{} {text}", cx.terminal.yellow("!")));
    }
    Exit::FAILED
}

fn show(loaded: &Loaded, cx: &Context) -> anyhow::Result<Exit> {
    let merged = secrets::masked(&loaded.merged);
    line(&serde_json::to_string_pretty(&merged)?);
    if !loaded.warnings.is_empty() {
        let count = loaded.warnings.len();
        let said = format!("{count} warnings: `kilo config check` has them");
        note(&format!("{} {said}", cx.terminal.yellow("!")));
    }
    Ok(Exit::OK)
}
