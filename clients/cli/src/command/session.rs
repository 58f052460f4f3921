//! `kilo session`: lists and deletes sessions.

use crate::Context;
use crate::args::Remote;
use crate::connect::{self, Link};
use crate::exit::Exit;
use crate::terminal::line;
use crate::terminal::table::table;
use crate::time::{ago, now};
use clap::{Args, Subcommand, ValueEnum};
use kilo_client::SessionFilter;
use kilo_protocol::SessionId;
use kilo_protocol::model::Session;
use serde_json::json;

/// What `kilo session` takes.
#[derive(Clone, Debug, Subcommand)]
pub enum SessionCommand {
    /// List the sessions of this folder, newest first.
    List(ListArgs),
    /// Delete a session and the sessions of its tasks.
    Delete(DeleteArgs),
}

/// What `kilo session list` takes.
#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    /// At most this many.
    #[arg(short = 'n', long, value_name = "N")]
    pub max_count: Option<usize>,
    /// What is printed.
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
    /// The sessions of all projects.
    #[arg(short, long)]
    pub all: bool,
    /// Only sessions whose title holds this.
    #[arg(short, long, value_name = "TEXT")]
    pub search: Option<String>,
}

/// The form of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// For people.
    #[default]
    Table,
    /// An array of objects.
    Json,
}

/// What `kilo session delete` takes.
#[derive(Args, Clone, Debug)]
pub struct DeleteArgs {
    /// The sessions.
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,
}

/// Runs the command.
pub async fn execute(command: SessionCommand, cx: &Context) -> anyhow::Result<Exit> {
    let directory = cx.env.cwd.to_string_lossy().into_owned();
    let link = connect::open(cx, &Remote::default(), &directory).await?;
    let result = match command {
        SessionCommand::List(args) => list(&args, &link, cx).await,
        SessionCommand::Delete(args) => delete(&args, &link).await,
    };
    link.close().await;
    result
}

async fn list(args: &ListArgs, link: &Link, cx: &Context) -> anyhow::Result<Exit> {
    let filter = SessionFilter {
        roots: true,
        search: args.search.clone(),
        limit: args.max_count,
    };
    let sessions = if args.all {
        link.client.all_sessions(&filter).await?
    } else {
        link.client.sessions(&filter).await?
    };
    match args.format {
        ListFormat::Json => line(&serde_json::to_string_pretty(
            &sessions.iter().map(as_json).collect::<Vec<_>>(),
        )?),
        ListFormat::Table if sessions.is_empty() => line("No sessions here yet."),
        ListFormat::Table => {
            let now = now();
            let row =
                |s: &Session| vec![s.id.to_string(), ago(s.time.updated, now), s.title.clone()];
            let rows: Vec<_> = sessions.iter().map(row).collect();
            for row in table(&["SESSION", "UPDATED", "TITLE"], &rows, cx.terminal) {
                line(&row);
            }
        }
    }
    Ok(Exit::OK)
}

fn as_json(session: &Session) -> serde_json::Value {
    json!({
        "id": session.id,
        "title": session.title,
        "updated": session.time.updated,
        "created": session.time.created,
        "projectId": session.project_id,
        "directory": session.directory,
    })
}

async fn delete(args: &DeleteArgs, link: &Link) -> anyhow::Result<Exit> {
    for id in &args.ids {
        link.client
            .delete_session(&SessionId::from_wire(id.as_str()))
            .await?;
        line(&format!("Deleted {id}"));
    }
    Ok(Exit::OK)
}
