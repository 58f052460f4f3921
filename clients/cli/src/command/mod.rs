//! The commands, one file each.

pub mod agent;
pub mod attach;
pub mod auth;
pub mod completion;
pub mod config;
pub mod daemon;
pub mod demo;
pub mod export;
pub mod fleet;
pub mod import;
pub mod keep;
pub mod mcp;
pub mod models;
pub mod ps;
pub mod run;
pub mod serve;
pub mod session;
pub mod stats;
pub mod undo;
pub mod welcome;
pub mod worktree;

mod logs;
mod sanitize;

use crate::context::Context;
use crate::exit::Exit;
use clap::Subcommand;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show a whole session with a scripted model; needs nothing and changes nothing.
    Demo(demo::DemoArgs),
    /// Run a prompt and show its answer.
    Run(Box<run::RunArgs>),
    /// Serve the HTTP API in the foreground.
    Serve(serve::ServeArgs),
    /// Attach a terminal UI to a running server.
    Attach(attach::AttachArgs),
    /// Manage the background daemon.
    Daemon(daemon::DaemonArgs),
    /// List, show and delete sessions.
    #[command(subcommand)]
    Session(session::SessionCommand),
    /// Make folders for agents that work side by side.
    Worktree(worktree::WorktreeArgs),
    /// Run several versions of one prompt, each in a worktree of its own.
    Fleet(Box<fleet::FleetArgs>),
    /// Take back the last prompt of a session, with its changes of files.
    Undo(undo::UndoArgs),
    /// Do again what was taken back.
    Redo(undo::UndoArgs),
    /// Print a session as JSON.
    Export(export::ExportArgs),
    /// Store a session from a JSON file.
    Import(import::ImportArgs),
    /// Show tokens, costs and disk use.
    Stats(stats::StatsArgs),
    /// List what the daemon runs beside itself: servers, terminals, commands.
    Ps(ps::PsArgs),
    /// List the models that can be used.
    Models(models::ModelsArgs),
    /// Manage providers' credentials.
    #[command(subcommand, alias = "providers")]
    Auth(auth::AuthCommand),
    /// List the agents.
    #[command(subcommand)]
    Agent(agent::AgentCommand),
    /// Add, list and try MCP servers.
    #[command(subcommand)]
    Mcp(mcp::McpCommand),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Keep a process that outlives the daemon.
    #[command(hide = true)]
    Keep(keep::KeepArgs),
    /// Print a completion script for a shell.
    Completion(completion::CompletionArgs),
    /// Anything else: most likely a prompt.
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// The log file of everything but the background daemon.
pub const LOG: &str = "kilo.log";

impl Command {
    /// The name of the log file that the command writes: the background daemon has one of its own.
    pub fn log_name(&self) -> &'static str {
        match self {
            Self::Daemon(args) if args.is_server() => "daemon.log",
            _ => LOG,
        }
    }
}

/// Runs a command to its end. `program` describes the command line as a whole.
///
/// # Errors
/// Whatever keeps it from working; `main` shows it and ends with status 1.
pub async fn dispatch(
    command: Command,
    program: fn() -> clap::Command,
    cx: &Context,
) -> anyhow::Result<Exit> {
    match command {
        Command::Demo(args) => Box::pin(demo::execute(&args, cx)).await,
        Command::Run(args) => run::execute(&args, cx).await,
        Command::Serve(args) => serve::execute(args, cx).await,
        Command::Attach(args) => Ok(attach::execute(&args)),
        Command::Daemon(args) => daemon::execute(args, cx).await,
        Command::Session(command) => session::execute(command, cx).await,
        Command::Worktree(args) => Box::pin(worktree::execute(args, cx)).await,
        Command::Fleet(args) => Box::pin(fleet::execute(*args, cx)).await,
        Command::Undo(args) => undo::undo(&args, cx).await,
        Command::Redo(args) => undo::redo(&args, cx).await,
        Command::Export(args) => export::execute(&args, cx).await,
        Command::Import(args) => import::execute(&args, cx).await,
        Command::Stats(args) => stats::execute(&args, cx).await,
        Command::Ps(args) => ps::execute(&args, cx).await,
        Command::Models(args) => models::execute(&args, cx).await,
        Command::Auth(command) => auth::execute(command, cx).await,
        Command::Agent(command) => agent::execute(&command, cx),
        Command::Mcp(command) => mcp::execute(command, cx).await,
        Command::Config(command) => config::execute(&command, cx),
        Command::Keep(args) => Box::pin(keep::execute(&args, cx)).await,
        Command::Completion(args) => Ok(completion::execute(&args, program())),
        Command::Other(words) => Ok(welcome::no_command(&words, &program())),
    }
}
