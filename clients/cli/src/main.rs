//! The `kilo` program: one binary that serves, runs prompts, attaches to daemons and manages them.
//!
//! It knows the command line, terminals and child processes of its own; what a session is, it only knows through
//! `kilo-client`, and the engine only as something that can be started ([`host`]). Start at [`command`]: one file per
//! command. [`run`] is the heart: it follows one turn and shows it.

mod args;
mod command;
mod connect;
mod context;
mod demo;
mod exit;
mod host;
mod logging;
mod options;
mod render;
mod run;
mod signals;
mod state;
mod terminal;
mod time;

use clap::{CommandFactory, Parser};
use command::Command;
use context::Context;
use exit::Exit;
use kilo_config::Environment;
use std::process::ExitCode;
use terminal::Terminal;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    let env = Environment::from_process();
    let log_name = cli.command.as_ref().map_or(command::LOG, Command::log_name);
    logging::start(&cli.logging, log_name, &env);
    let terminal = Terminal::of_stdout(&env);
    let cx = Context { env, terminal };
    let exit = match runtime().and_then(|runtime| runtime.block_on(run(cli.command, &cx))) {
        Ok(exit) => exit,
        Err(error) => report(&error, &cx),
    };
    exit.into()
}

async fn run(command: Option<Command>, cx: &Context) -> anyhow::Result<Exit> {
    match command {
        // On the heap: it holds what every command may hold.
        Some(command) => Box::pin(command::dispatch(command, args::Cli::command, cx)).await,
        None => Ok(command::welcome::execute(cx)),
    }
}

/// One thread is enough for a client; an engine in this process brings its own.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}

/// Shows an error with its causes, each only once.
fn report(error: &anyhow::Error, cx: &Context) -> Exit {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    let label = Terminal::of_stderr(&cx.env).red("error:");
    terminal::note(&format!("{label} {text}"));
    Exit::FAILED
}
