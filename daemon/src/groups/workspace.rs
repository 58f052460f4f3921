//! A folder: files, search, version control, its project.

mod languages;
mod process;
mod project;

use super::{Answer, routes};
use crate::daemon::Daemon;
use kilo_edge::{Reply, Request};
use kilo_protocol::requests::ApplyPatch;
use kilo_protocol::{Fault, FaultKind};
use kilo_worktree::{files, find, vcs};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

/// Matches in one answer of `/find`.
const MATCHES_MAX: usize = 10;
/// Names in one answer of `/find/file`, when the client names no limit.
const NAMES_MAX: u64 = 10;

routes! {
    "find.text" => find_text;
    "find.files" => find_files;
    "file.list" => list;
    "file.read" => read;
    "file.status" => status;
    "path.get" => paths;
    "vcs.get" => vcs_info;
    "vcs.status" => vcs_status;
    "vcs.diff" => vcs_diff;
    "vcs.diff.raw" => vcs_raw;
    "vcs.apply" => vcs_apply;
    "project.list" => project::list;
    "project.current" => project::get;
    "project.update" => project::update;
    "project.directories" => project::directories;
    "find.symbols" => languages::symbols;
    "lsp.status" => languages::servers;
    "formatter.status" => languages::formatters;
    "backgroundProcess.list" => process::list;
    "backgroundProcess.get" => process::get;
    "backgroundProcess.logs" => process::logs;
    "backgroundProcess.stop" => process::stop;
    "backgroundProcess.restart" => process::restart;
    "backgroundProcess.stopSession" => process::stop_session;
    "sandbox.support" => isolation_support;
}

fn folder(daemon: &Daemon, request: &Request) -> PathBuf {
    PathBuf::from(daemon.directory(request))
}

/// The path that a request names. No file's name holds a NUL.
fn path(request: &Request) -> Result<String, Fault> {
    let path = request.query.require("path")?;
    if path.contains('\0') {
        return Err(Fault::bad_query("a path without NUL", "path"));
    }
    Ok(path.to_string())
}

/// A path outside the project is refused as such (the reference answers 500).
pub(super) fn file_fault(error: files::FileError) -> Fault {
    let message = error.to_string();
    match error {
        files::FileError::Outside(_) => Fault::forbidden(message),
        files::FileError::TooLarge(_) => Fault::named(FaultKind::TooLarge, "TooLarge", message),
        files::FileError::NotAFile(_) => Fault::bad_request("Query", message),
        files::FileError::Io { .. } | files::FileError::Vcs(_) => Fault::unknown(message),
    }
}

async fn list(daemon: Arc<Daemon>, request: Request) -> Answer {
    let path = path(&request)?;
    let folder = folder(&daemon, &request);
    Reply::json(
        &daemon
            .blocking(move || files::list(&folder, &path).map_err(file_fault))
            .await?,
    )
}

async fn read(daemon: Arc<Daemon>, request: Request) -> Answer {
    let path = path(&request)?;
    let folder = folder(&daemon, &request);
    Reply::json(
        &daemon
            .blocking(move || files::content(&folder, &path).map_err(file_fault))
            .await?,
    )
}

async fn status(daemon: Arc<Daemon>, request: Request) -> Answer {
    let folder = folder(&daemon, &request);
    Reply::json(
        &daemon
            .blocking(move || files::status(&folder).map_err(file_fault))
            .await?,
    )
}

async fn find_text(daemon: Arc<Daemon>, request: Request) -> Answer {
    let pattern = request.query.require("pattern")?.to_string();
    let folder = folder(&daemon, &request);
    let found = daemon
        .blocking(move || {
            find::text(&folder, &pattern, MATCHES_MAX)
                .map_err(|error| Fault::bad_request("Query", error.to_string()))
        })
        .await?;
    Reply::json(&found)
}

async fn find_files(daemon: Arc<Daemon>, request: Request) -> Answer {
    let query = request.query.require("query")?.to_string();
    let limit = request.query.number("limit")?.unwrap_or(NAMES_MAX) as usize;
    let kind = match (request.query.get("type"), request.query.get("dirs")) {
        (Some("file"), _) | (None, Some("false")) => find::NameKind::File,
        (Some("directory"), _) => find::NameKind::Folder,
        _ => find::NameKind::Any,
    };
    let (folder, names) = (folder(&daemon, &request), Arc::clone(&daemon.names));
    Reply::json(
        &daemon
            .blocking(move || Ok(names.files(&folder, &query, kind, limit)))
            .await?,
    )
}

async fn vcs_info(daemon: Arc<Daemon>, request: Request) -> Answer {
    let folder = folder(&daemon, &request);
    Reply::json(&daemon.blocking(move || Ok(vcs::info(&folder))).await?)
}

fn vcs_fault(error: vcs::VcsError) -> Fault {
    Fault::unknown(error.to_string())
}

async fn vcs_status(daemon: Arc<Daemon>, request: Request) -> Answer {
    let folder = folder(&daemon, &request);
    Reply::json(
        &daemon
            .blocking(move || vcs::status(&folder).map_err(vcs_fault))
            .await?,
    )
}

async fn vcs_diff(daemon: Arc<Daemon>, request: Request) -> Answer {
    let mode = request.query.require("mode")?;
    let mode = vcs::DiffMode::from_wire(mode)
        .ok_or_else(|| Fault::bad_query("\"git\" | \"branch\"", "mode"))?;
    let context = request.query.number("context")?.unwrap_or(3).min(1_000_000) as u32;
    let folder = folder(&daemon, &request);
    Reply::json(
        &daemon
            .blocking(move || vcs::diff(&folder, mode, context).map_err(vcs_fault))
            .await?,
    )
}

async fn vcs_raw(daemon: Arc<Daemon>, request: Request) -> Answer {
    let folder = folder(&daemon, &request);
    let text = daemon
        .blocking(move || vcs::raw_diff(&folder).map_err(vcs_fault))
        .await?;
    Ok(Reply::Text {
        status: 200,
        content_type: "text/x-diff; charset=utf-8",
        body: text.into(),
    })
}

async fn vcs_apply(daemon: Arc<Daemon>, request: Request) -> Answer {
    let ApplyPatch { patch } = request.json()?;
    let folder = folder(&daemon, &request);
    daemon
        .blocking(move || {
            vcs::apply(&folder, &patch).map_err(|error| {
                let mut fault = Fault::bad_request("Payload", error.to_string());
                fault.body = json!({"name": "VcsApplyError", "data": {"message": error.to_string(), "reason": error.reason()}});
                fault
            })
        })
        .await?;
    Reply::json(&json!({"applied": true}))
}

async fn paths(daemon: Arc<Daemon>, request: Request) -> Answer {
    let instance = daemon.instance(&request).await?;
    let worktree = if instance.folder.is_git {
        instance.facts.worktree.display().to_string()
    } else {
        "/".into()
    };
    Reply::json(&json!({
        "home": daemon.paths.home,
        "state": daemon.paths.state,
        "config": daemon.paths.config,
        "worktree": worktree,
        "directory": daemon.directory(&request),
    }))
}

/// Why no command runs isolated; clients show it.
pub(super) const NO_ISOLATION: &str = "this build runs commands as the user, without isolation";

async fn isolation_support(_: Arc<Daemon>, _: Request) -> Answer {
    Reply::json(&json!({"available": false, "reason": NO_ISOLATION}))
}
