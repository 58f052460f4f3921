//! `kilo export`: a session as one JSON document on standard output.

use super::sanitize::sanitize;
use crate::connect::{self, Link};
use crate::context::Context;
use crate::exit::Exit;
use crate::options::Remote;
use crate::run::faults;
use crate::terminal::{line, note};
use anyhow::bail;
use clap::Args;
use kilo_client::SessionFilter;
use kilo_protocol::SessionId;

/// What `kilo export` takes.
#[derive(Args, Clone, Debug)]
pub struct ExportArgs {
    /// The session; else the one used last in this folder.
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// Leave out texts, paths, and what tools read and wrote.
    #[arg(long)]
    pub sanitize: bool,
}

/// Prints `{info, messages: [{info, parts}]}`.
pub async fn execute(args: &ExportArgs, cx: &Context) -> anyhow::Result<Exit> {
    let directory = cx.env.cwd.to_string_lossy().into_owned();
    let link = connect::open(cx, &Remote::default(), &directory).await?;
    faults::tell_damage(&link.client, cx).await;
    let result = export(args, &link).await;
    link.close().await;
    result
}

async fn export(args: &ExportArgs, link: &Link) -> anyhow::Result<Exit> {
    let id = match &args.id {
        Some(id) => SessionId::from_wire(id.as_str()),
        None => last(link).await?,
    };
    let mut transcript = link.client.export_session(&id).await?;
    if args.sanitize {
        sanitize(&mut transcript);
    }
    line(&serde_json::to_string_pretty(&transcript)?);
    Ok(Exit::OK)
}

async fn last(link: &Link) -> anyhow::Result<SessionId> {
    let filter = SessionFilter {
        roots: true,
        limit: Some(1),
        ..SessionFilter::default()
    };
    let Some(session) = link.client.sessions(&filter).await?.into_iter().next() else {
        bail!("there is no session here to export");
    };
    note(&format!("exporting {}: {}", session.id, session.title));
    Ok(session.id)
}
