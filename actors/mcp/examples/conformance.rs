//! A client for `@modelcontextprotocol/conformance`, made of this crate: connects to the address that is its last word,
//! signs in where that is wanted, and calls every tool. See docs/mcp.md for how it is run.

#![allow(clippy::print_stderr, reason = "the one who runs it reads it")]
#![allow(
    clippy::disallowed_methods,
    reason = "its scenario comes in the environment"
)]

use kilo_mcp::config::{Origin, server};
use kilo_mcp::{FolderServers, Place, Servers, Settings, Status};
use kilo_ports::fakes::{FakeHost, FakeSandbox, NoFiles};
use kilo_ports::guarded::Guarded;
use kilo_ports::tool::ToolCx;
use kilo_protocol::{MessageId, SessionId};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

const NAME: &str = "s";
/// Sign-ins of one run: a server that wants more each time is given up.
const SIGN_INS_MAX: usize = 3;

#[tokio::main]
async fn main() -> Result<(), String> {
    let url = std::env::args().next_back().unwrap_or_default();
    let scenario = std::env::var("MCP_CONFORMANCE_SCENARIO").unwrap_or_default();
    let context = std::env::var("MCP_CONFORMANCE_CONTEXT").unwrap_or_default();
    let context: Value = serde_json::from_str(&context).unwrap_or_default();
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let settings = Settings {
        idle: Duration::from_secs(300),
        schema_bytes: 24 << 10,
        version: "0".into(),
        reserved: Default::default(),
        auth: folder.path().to_owned(),
        browser: None,
    };
    let servers = Servers::new(
        Handle::current(),
        Arc::new(FakeSandbox::default()),
        settings,
    );
    let place = Place {
        directory: folder.path().to_owned(),
        worktree: folder.path().to_owned(),
        main: folder.path().to_owned(),
    };
    let folder = servers.folder(place);
    let mut entry = json!({"type": "remote", "url": url, "timeout": 15_000});
    if let Some(id) = context.get("client_id") {
        entry["oauth"] = json!({"clientId": id, "clientSecret": context["client_secret"]});
    }
    let config = server(&entry, Origin::Client)?;
    folder.add(NAME, config).await;
    let used = use_it(&folder, &scenario).await;
    servers.shut_down().await;
    used
}

async fn use_it(folder: &Arc<FolderServers>, scenario: &str) -> Result<(), String> {
    let mut sign_ins = 0;
    loop {
        match status(folder) {
            Status::Connected => {}
            Status::NeedsAuth if sign_ins < SIGN_INS_MAX => {
                sign_ins += 1;
                sign_in(folder).await?;
                continue;
            }
            other => return Err(format!("{other:?}")),
        }
        let again = call_all(folder, scenario).await;
        if !(again && status(folder) == Status::NeedsAuth) {
            return Ok(());
        }
    }
}

fn status(folder: &FolderServers) -> Status {
    let mut all = folder.statuses().into_iter();
    all.find(|(name, _)| name == NAME)
        .map_or(Status::Disabled, |(_, status)| status)
}

/// Does what a browser and a person who says yes would.
async fn sign_in(folder: &Arc<FolderServers>) -> Result<(), String> {
    let begun = folder.sign_in(NAME).await;
    let begun = begun.map_err(|error| format!("{error:?}"))?;
    let visited = reqwest::get(&begun.url).await;
    visited.map_err(|error| format!("the browser: {error}"))?;
    for _ in 0..100 {
        if status(folder) == Status::Connected {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(format!(
        "not connected after the sign-in: {:?}",
        status(folder)
    ))
}

/// Calls every tool; true when one failed.
async fn call_all(folder: &Arc<FolderServers>, scenario: &str) -> bool {
    let host = Arc::new(FakeHost::default());
    // A person who leaves every field as it is.
    *host.answers.lock() = Some(Vec::new());
    let mut failed = false;
    for tool in &folder.offered().tools {
        let cx = ToolCx {
            session: SessionId::from_wire("ses_1"),
            message: MessageId::from_wire("msg_1"),
            call: "call_1".into(),
            agent: "code".into(),
            directory: folder.directory().to_owned(),
            worktree: folder.directory().to_owned(),
            output_dir: folder.directory().to_owned(),
            home: folder.directory().to_owned(),
            guarded: Arc::new(Guarded::default()),
            output_lines_max: 2_000,
            output_bytes_max: 51_200,
            cancel: CancellationToken::new(),
            host: Arc::clone(&host) as _,
            sandbox: Arc::new(FakeSandbox::default()),
            files: Arc::new(NoFiles),
        };
        let input = match scenario {
            "tools_call" => json!({"a": 5, "b": 3}),
            _ => json!({}),
        };
        let outcome = tool.run(input, cx).await;
        failed |= outcome.is_err();
        eprintln!("{}: {outcome:?}", tool.spec().name);
    }
    failed
}
