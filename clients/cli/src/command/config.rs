//! `kilo config`: looks the configuration over.

use crate::Context;
use crate::exit::Exit;
use crate::terminal::line;
use clap::Subcommand;

/// What `kilo config` takes.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Read all configuration files and say what is wrong with them.
    Check,
}

/// Prints the warnings; status 1 when there are any.
pub fn execute(command: &ConfigCommand, cx: &Context) -> anyhow::Result<Exit> {
    let ConfigCommand::Check = command;
    let paths = kilo_config::Paths::of(&cx.env);
    let worktree =
        kilo_config::project::worktree_of(&cx.env.cwd).unwrap_or_else(|| cx.env.cwd.clone());
    let loaded = kilo_config::load(&cx.env, &paths, &cx.env.cwd, &worktree);
    if loaded.warnings.is_empty() {
        line("No config warnings.");
        return Ok(Exit::OK);
    }
    for warning in &loaded.warnings {
        line(&format!(
            "{} {}: {}",
            cx.terminal.yellow("!"),
            warning.path,
            warning.message
        ));
        for detail in warning.detail.iter().flat_map(|detail| detail.lines()) {
            line(&cx.terminal.dim(&format!("    {detail}")));
        }
    }
    Ok(Exit::FAILED)
}
