//! `kilo mcp`: MCP servers, in the configuration and as they run.

use crate::connect;
use crate::context::Context;
use crate::exit::Exit;
use crate::options::Remote;
use crate::terminal::table::table;
use crate::terminal::{harmless, line, note};
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use kilo_client::{Client, Method};
use kilo_config::{Loaded, Paths};
use kilo_protocol::secrets;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// What `kilo mcp` takes.
#[derive(Clone, Debug, Subcommand)]
pub enum McpCommand {
    /// Add a server to your own configuration: `kilo mcp add NAME -- COMMAND…`, or `kilo mcp add NAME --url URL`.
    Add(AddArgs),
    /// List the servers of this folder and their state.
    #[command(alias = "ls")]
    List,
    /// Show the configuration of a server, without its secrets.
    Get(NameArgs),
    /// Take a server out of your own configuration.
    #[command(alias = "rm")]
    Remove(NameArgs),
    /// Sign in to a server in the browser.
    Auth(NameArgs),
    /// Forget the sign-in of a server.
    Logout(NameArgs),
    /// Let the servers of this project's `.mcp.json` count, as the file is now.
    Trust(TrustArgs),
    /// Connect a server and show what comes of it: state, tools, resources.
    Debug(NameArgs),
}

/// A server's name.
#[derive(Args, Clone, Debug)]
pub struct NameArgs {
    /// The server's name.
    pub name: String,
}

/// What `kilo mcp add` takes.
#[derive(Args, Clone)]
pub struct AddArgs {
    /// What the server shall be called.
    pub name: String,
    /// The address of a server that is not a program.
    #[arg(long, conflicts_with = "command")]
    pub url: Option<String>,
    /// A header of each request to it, `NAME: VALUE`.
    #[arg(long = "header", value_name = "HEADER", requires = "url")]
    pub headers: Vec<String>,
    /// A variable for the program, `NAME=VALUE`.
    #[arg(long = "env", value_name = "VARIABLE", conflicts_with = "url")]
    pub variables: Vec<String>,
    /// The program and its arguments, behind `--`.
    #[arg(last = true)]
    pub command: Vec<String>,
}

impl std::fmt::Debug for AddArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AddArgs")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What `kilo mcp trust` takes.
#[derive(Args, Clone, Debug)]
pub struct TrustArgs {
    /// Take it back.
    #[arg(long)]
    pub forget: bool,
}

/// How long a person may take to sign in.
const SIGN_IN: Duration = Duration::from_secs(5 * 60);

/// Runs the command.
pub async fn execute(command: McpCommand, cx: &Context) -> anyhow::Result<Exit> {
    match command {
        McpCommand::Add(args) => add(args, cx),
        McpCommand::List => list(cx).await,
        McpCommand::Get(args) => get(&args.name, cx),
        McpCommand::Remove(args) => remove(&args.name, cx),
        McpCommand::Auth(args) => auth(&args.name, cx).await,
        McpCommand::Logout(args) => logout(&args.name, cx).await,
        McpCommand::Trust(args) => trust(args, cx).await,
        McpCommand::Debug(args) => debug(&args.name, cx).await,
    }
}

fn loaded(cx: &Context) -> (Loaded, Paths) {
    let paths = Paths::of(&cx.env);
    let worktree =
        kilo_config::project::worktree_of(&cx.env.cwd).unwrap_or_else(|| cx.env.cwd.clone());
    let loaded = kilo_config::load(&cx.env, &paths, &cx.env.cwd, &worktree);
    (loaded, paths)
}

fn pairs(items: &[String], sign: char) -> anyhow::Result<Map<String, Value>> {
    let pair = |item: &String| {
        let (name, value) = item
            .split_once(sign)
            .with_context(|| format!("{item:?} has no `{sign}`"))?;
        Ok((name.trim().to_owned(), value.trim().into()))
    };
    items.iter().map(pair).collect()
}

fn add(args: AddArgs, cx: &Context) -> anyhow::Result<Exit> {
    let mut entry = match (&args.url, args.command.is_empty()) {
        (Some(url), _) => json!({"type": "remote", "url": url}),
        (None, false) => json!({"type": "local", "command": args.command}),
        (None, true) => bail!(
            "say what to add: kilo mcp add {0} -- COMMAND …, or kilo mcp add {0} --url URL",
            args.name
        ),
    };
    if !args.headers.is_empty() {
        entry["headers"] = pairs(&args.headers, ':')?.into();
    }
    if !args.variables.is_empty() {
        entry["environment"] = pairs(&args.variables, '=')?.into();
    }
    let (_, paths) = loaded(cx);
    let file = kilo_config::edit::global_target(&paths);
    kilo_config::edit::patch_file(&file, &json!({"mcp": {&args.name: entry}}))?;
    line(&format!(
        "Added {} to {}. `kilo mcp debug {}` tries it.",
        args.name,
        file.display(),
        args.name
    ));
    Ok(Exit::OK)
}

fn get(name: &str, cx: &Context) -> anyhow::Result<Exit> {
    let (loaded, _) = loaded(cx);
    let Some(entry) = loaded.merged.get("mcp").and_then(|all| all.get(name)) else {
        bail!("no MCP server is called {name:?}");
    };
    let masked = secrets::masked(&json!({"mcp": {name: entry}}));
    line(&serde_json::to_string_pretty(&masked["mcp"][name])?);
    Ok(Exit::OK)
}

fn remove(name: &str, cx: &Context) -> anyhow::Result<Exit> {
    let (loaded, paths) = loaded(cx);
    let has = |config: &Value| config.get("mcp").is_some_and(|all| all.get(name).is_some());
    if !has(&loaded.global) {
        if has(&loaded.merged) {
            bail!("{name} is in another file than your own kilo.json: `kilo config show`");
        }
        bail!("no MCP server is called {name:?}");
    }
    let file = kilo_config::edit::global_target(&paths);
    kilo_config::edit::patch_file(&file, &json!({"mcp": {name: null}}))?;
    line(&format!("Removed {name} from {}.", file.display()));
    Ok(Exit::OK)
}

async fn with_daemon<T>(
    cx: &Context,
    work: impl AsyncFnOnce(&Client) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let directory = cx.env.cwd.to_string_lossy().into_owned();
    let link = connect::open(cx, &Remote::default(), &directory).await?;
    let done = work(&link.client).await;
    link.close().await;
    done
}

async fn call(client: &Client, method: Method, path: &str) -> anyhow::Result<Value> {
    Ok(client.call(method, path, &[], None::<&Value>).await?)
}

fn path(name: &str, rest: &str) -> String {
    let mut path = String::from("/mcp/");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path + rest
}

fn state(status: &Value) -> String {
    let text = |key: &str| status.get(key).and_then(Value::as_str).unwrap_or_default();
    match text("error") {
        "" => text("status").to_owned(),
        error => format!("{}: {}", text("status"), harmless(error)),
    }
}

async fn list(cx: &Context) -> anyhow::Result<Exit> {
    let shown = with_daemon(cx, async |client| call(client, Method::GET, "/x/mcp").await).await?;
    let text = |of: &Value, key: &str| harmless(of[key].as_str().unwrap_or_default());
    let row = |server: &Value| {
        vec![
            text(server, "name"),
            text(server, "status"),
            text(server, "from"),
            server["tools"].to_string(),
            format!("{} B", server["bytes"]),
            text(server, "what"),
        ]
    };
    let servers = shown["servers"].as_array();
    let rows: Vec<Vec<String>> = servers.into_iter().flatten().map(row).collect();
    if rows.is_empty() {
        line("No MCP servers here. `kilo mcp add --help` says how to add one.");
    }
    let heads = ["SERVER", "STATE", "FROM", "TOOLS", "COST", "WHAT"];
    for row in table(&heads, &rows, cx.terminal) {
        line(&row);
    }
    // Of its own, since it may be long.
    for server in servers.into_iter().flatten() {
        if server["error"].is_string() {
            line(&format!(
                "{}: {}",
                text(server, "name"),
                text(server, "error")
            ));
        }
    }
    let cost = &shown["cost"];
    if !rows.is_empty() {
        let search = match cost["search"] == true {
            true => ", as a search, since all of them are too many",
            false => "",
        };
        line(&format!(
            "Each request to a model carries {} B of them, about {} tokens{search} (budget {} B of schemas).",
            cost["bytes"], cost["tokens"], cost["budgetBytes"]
        ));
    }
    untrusted(&shown["mcpJson"]);
    Ok(Exit::OK)
}

/// Says that the project has servers that do not count.
fn untrusted(file: &Value) {
    let servers = file["servers"].as_array().map_or(0, Vec::len);
    if servers == 0 || file["trusted"] == true {
        return;
    }
    let path = harmless(file["path"].as_str().unwrap_or_default());
    let why = match file["changed"] == true {
        true => "has changed since you trusted it",
        false => "is not trusted",
    };
    note(&format!(
        "{path} {why}: its servers ({servers}) are left out. `kilo mcp trust` shows them and lets them count."
    ));
}

async fn trust(args: TrustArgs, cx: &Context) -> anyhow::Result<Exit> {
    let shown = with_daemon(cx, async |client| call(client, Method::GET, "/x/mcp").await).await?;
    let file = &shown["mcpJson"];
    let text = |of: &Value, key: &str| harmless(of[key].as_str().unwrap_or_default());
    let (path, Some(folder), Some(digest)) = (
        text(file, "path"),
        file["folder"].as_str(),
        file["digest"].as_str(),
    ) else {
        bail!("there is no .mcp.json here");
    };
    let (loaded, paths) = loaded(cx);
    if loaded.trusted["experimental"]["mcp_json"] == true {
        bail!("your configuration trusts every .mcp.json: experimental.mcp_json is true");
    }
    let value = match args.forget {
        true => Value::Null,
        false => digest.into(),
    };
    let target = kilo_config::edit::global_target(&paths);
    let patch = json!({"experimental": {"mcp_json": {folder: value}}});
    kilo_config::edit::patch_file(&target, &patch)?;
    if args.forget {
        line(&format!("{path} does not count any more."));
        return Ok(Exit::OK);
    }
    for server in file["servers"].as_array().into_iter().flatten() {
        line(&format!(
            "{}: {}",
            text(server, "name"),
            text(server, "what")
        ));
    }
    line(&format!(
        "{path} counts now, as long as it stays as it is. `kilo mcp trust --forget` takes that back."
    ));
    Ok(Exit::OK)
}

async fn debug(name: &str, cx: &Context) -> anyhow::Result<Exit> {
    with_daemon(cx, async |client| {
        call(client, Method::POST, &path(name, "/connect")).await?;
        let statuses = call(client, Method::GET, "/mcp").await?;
        line(&format!("{name}: {}", state(&statuses[name])));
        if statuses[name]["status"] != "connected" {
            return Ok(Exit::FAILED);
        }
        let query = [("provider", ""), ("model", "")];
        let tools: Value = client
            .call(Method::GET, "/experimental/tool", &query, None::<&Value>)
            .await?;
        for tool in tools.as_array().into_iter().flatten() {
            if tool["source"]["server"] == name {
                let what = tool["description"].as_str().unwrap_or_default();
                let what = harmless(what.lines().next().unwrap_or_default());
                line(&format!(
                    "tool {}: {what}",
                    tool["id"].as_str().unwrap_or_default()
                ));
            }
        }
        let resources = call(client, Method::GET, "/experimental/resource").await?;
        for resource in resources.as_object().into_iter().flat_map(Map::values) {
            if resource["client"] == name {
                let uri = resource["uri"].as_str().unwrap_or_default();
                line(&format!("resource {}", harmless(uri)));
            }
        }
        Ok(Exit::OK)
    })
    .await
}

/// Whether a browser that is opened would be seen.
fn has_screen(cx: &Context) -> bool {
    let is_set = |name: &str| cx.env.get(name).is_some();
    !is_set("SSH_CONNECTION")
        && (cfg!(target_os = "macos") || is_set("DISPLAY") || is_set("WAYLAND_DISPLAY"))
}

async fn auth(name: &str, cx: &Context) -> anyhow::Result<Exit> {
    with_daemon(cx, async |client| {
        // The daemon's terminal may have had a screen that this one has not.
        let open = match has_screen(cx) {
            true => "true",
            false => "false",
        };
        let begun: Value = client
            .call(
                Method::POST,
                &path(name, "/auth"),
                &[("open", open)],
                None::<&Value>,
            )
            .await?;
        let url = begun["authorizationUrl"].as_str().unwrap_or_default();
        line(match begun["opened"] == true {
            true => "Your browser was opened at this address:",
            false => "Open this address in a browser on this machine:",
        });
        line(&harmless(url));
        let until = tokio::time::Instant::now() + SIGN_IN;
        while tokio::time::Instant::now() < until {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let statuses = call(client, Method::GET, "/mcp").await?;
            if statuses[name]["status"] == "connected" {
                line(&format!("Signed in to {name}."));
                return Ok(Exit::OK);
            }
        }
        note("Nobody signed in.");
        Ok(Exit::FAILED)
    })
    .await
}

async fn logout(name: &str, cx: &Context) -> anyhow::Result<Exit> {
    with_daemon(cx, async |client| {
        call(client, Method::DELETE, &path(name, "/auth")).await?;
        line(&format!("Forgot the sign-in of {name}."));
        Ok(Exit::OK)
    })
    .await
}
