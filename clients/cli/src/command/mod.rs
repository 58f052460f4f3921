//! The commands, one file each.

pub mod attach;
pub mod auth;
pub mod completion;
pub mod config;
pub mod daemon;
pub mod demo;
pub mod export;
pub mod import;
pub mod models;
pub mod run;
pub mod serve;
pub mod session;
pub mod stats;

mod sanitize;

use crate::Context;
use crate::args::Command;
use crate::exit::Exit;

/// Runs a command to its end.
///
/// # Errors
/// Whatever keeps it from working; `main` shows it and ends with status 1.
pub async fn dispatch(command: Command, cx: &Context) -> anyhow::Result<Exit> {
    match command {
        Command::Demo(args) => demo::execute(&args, cx).await,
        Command::Run(args) => run::execute(&args, cx).await,
        Command::Serve(args) => serve::execute(args, cx).await,
        Command::Attach(args) => Ok(attach::execute(&args)),
        Command::Daemon(args) => daemon::execute(args, cx).await,
        Command::Session(command) => session::execute(command, cx).await,
        Command::Export(args) => export::execute(&args, cx).await,
        Command::Import(args) => import::execute(&args, cx).await,
        Command::Stats(args) => stats::execute(&args, cx).await,
        Command::Models(args) => models::execute(&args, cx).await,
        Command::Auth(command) => auth::execute(command, cx).await,
        Command::Config(command) => config::execute(&command, cx),
        Command::Completion(args) => Ok(completion::execute(&args)),
    }
}
