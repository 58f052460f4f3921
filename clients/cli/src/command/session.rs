//! `kilo session`: lists, shows and deletes sessions.

use crate::connect::{self, Link};
use crate::context::Context;
use crate::exit::Exit;
use crate::options::Remote;
use crate::render::transcript;
use crate::run::{choose, faults};
use crate::terminal::table::table;
use crate::terminal::{harmless, line};
use crate::time::{ago, now};
use clap::{Args, Subcommand, ValueEnum};
use futures_util::StreamExt;
use kilo_client::{Client, SessionFilter};
use kilo_protocol::SessionId;
use kilo_protocol::model::Session;
use serde_json::json;

/// What `kilo session` takes.
#[derive(Clone, Debug, Subcommand)]
pub enum SessionCommand {
    /// List the sessions of this folder, newest first.
    List(ListArgs),
    /// Show a session's conversation.
    Show(ShowArgs),
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

/// What `kilo session show` takes.
#[derive(Args, Clone, Debug)]
pub struct ShowArgs {
    /// The session; else the one used last in this folder.
    #[arg(value_name = "ID")]
    pub id: Option<String>,
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
    faults::tell_damage(&link.client, cx).await;
    let result = match command {
        SessionCommand::List(args) => list(&args, &link, cx).await,
        SessionCommand::Show(args) => show(&args, &link, cx).await,
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
            let titles = titles(&sessions, &link.client).await;
            let row = |(session, title): (&Session, String)| {
                vec![
                    session.id.to_string(),
                    ago(session.time.updated, now),
                    title,
                ]
            };
            let rows: Vec<_> = sessions.iter().zip(titles).map(row).collect();
            for row in table(&["SESSION", "UPDATED", "TITLE"], &rows, cx.terminal) {
                line(&row);
            }
        }
    }
    Ok(Exit::OK)
}

/// A title for each session. One that never got its own (a plain question gets none) is called by its first prompt.
async fn titles(sessions: &[Session], client: &Client) -> Vec<String> {
    /// Conversations that are read for it.
    const READ_MAX: usize = 50;
    const AT_ONCE: usize = 8;
    let title = async |(index, session): (usize, &Session)| {
        let own = harmless(&session.title);
        if index >= READ_MAX || !own.starts_with("New session - ") {
            return own;
        }
        let messages = client.messages(&session.id).await.unwrap_or_default();
        let prompt = messages
            .iter()
            .find(|message| message.info.assistant().is_none());
        let said = prompt.map(choose::text_of).unwrap_or_default();
        match said.trim() {
            "" => own,
            said => harmless(said.lines().next().unwrap_or_default()),
        }
    };
    futures_util::stream::iter(sessions.iter().enumerate())
        .map(title)
        .buffered(AT_ONCE)
        .collect()
        .await
}

async fn show(args: &ShowArgs, link: &Link, cx: &Context) -> anyhow::Result<Exit> {
    let session = choose::existing(&link.client, args.id.as_deref()).await?;
    let hidden_from = session
        .revert
        .as_ref()
        .map(|revert| revert.message_id.as_str());
    let updated = ago(session.time.updated, now());
    let paint = cx.terminal;
    line(&format!(
        "{}  {}",
        paint.bold(&harmless(&session.title)),
        paint.dim(&updated)
    ));
    line(&paint.dim(&format!("{} in {}", session.id, session.directory)));
    for message in link.client.messages(&session.id).await? {
        if hidden_from.is_some_and(|hidden| message.info.id().as_str() >= hidden) {
            line("");
            line(&paint.dim("(what follows is taken back; `kilo redo` does it again)"));
            break;
        }
        for row in transcript::lines(&message, paint) {
            line(&row);
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
