//! `kilo fleet`: several versions of one prompt, each in a worktree of its own; one is kept.

use crate::connect::{self, Link};
use crate::context::Context;
use crate::exit::Exit;
use crate::options::Remote;
use crate::run::{choose, input, trees};
use crate::terminal::table::table;
use crate::terminal::{harmless, line, note};
use clap::Args;
use kilo_client::{Client, ClientError, Method};
use kilo_protocol::requests::{ApplyAs, KeepOfFleet, PermissionAnswer, StartFleet};
use serde_json::Value;
use std::time::Duration;

/// Pause between two looks at the versions.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What `kilo fleet` takes.
#[derive(Args, Clone, Debug)]
pub struct FleetArgs {
    /// What all versions are told; piped text is appended.
    #[arg(value_name = "PROMPT")]
    pub message: Vec<String>,
    /// The models, as PROVIDER/MODEL, separated by commas: one version each.
    #[arg(long, value_delimiter = ',')]
    pub models: Vec<String>,
    /// The agents, in turn.
    #[arg(long, value_delimiter = ',')]
    pub agents: Vec<String>,
    /// How many versions (1 to 8); else one for each model.
    #[arg(short = 'n', long)]
    pub count: Option<usize>,
    /// A command that tells by its status whether a result is good.
    #[arg(long, value_name = "COMMAND")]
    pub check: Option<String>,
    /// Take uncommitted changes along.
    #[arg(long)]
    pub changes: bool,
    /// Allow what is not denied without asking.
    #[arg(long)]
    pub auto: bool,
    /// List the fleets of this project.
    #[arg(long, conflicts_with_all = ["message", "show", "keep"])]
    pub list: bool,
    /// Compare the versions of this fleet.
    #[arg(long, value_name = "ID", conflicts_with_all = ["message", "keep"])]
    pub show: Option<String>,
    /// Bring the result in this worktree home.
    #[arg(long, value_name = "WORKTREE", conflicts_with = "message")]
    pub keep: Option<String>,
    /// With --keep: merge its commits in place of changing the files.
    #[arg(long, requires = "keep")]
    pub merge: bool,
    /// With --keep: remove the fleet's worktrees; they can be restored for 30 days.
    #[arg(long, requires = "keep")]
    pub remove: bool,
    /// With --merge: commit what is uncommitted first, with this message.
    #[arg(short, long, requires = "merge")]
    pub commit: Option<String>,
}

/// Runs the command. Status 1 when no version came to a good end.
pub async fn execute(args: FleetArgs, cx: &Context) -> anyhow::Result<Exit> {
    let directory = cx.env.cwd.to_string_lossy().into_owned();
    let link = connect::open(cx, &Remote::default(), &directory).await?;
    let result = run(args, &link, cx).await;
    link.close().await;
    match result {
        Err(error) => match error.downcast_ref::<ClientError>() {
            Some(refused) if trees::tell(refused, cx) => Ok(Exit::FAILED),
            _ => Err(error),
        },
        done => done,
    }
}

async fn run(args: FleetArgs, link: &Link, cx: &Context) -> anyhow::Result<Exit> {
    let client = &link.client;
    if args.list {
        return list(client, cx).await;
    }
    if let Some(id) = &args.show {
        let fleet = look(client, id).await?;
        show(&fleet, cx);
        return Ok(Exit::OK);
    }
    if let Some(worktree) = args.keep.clone() {
        return keep(client, worktree, &args).await;
    }
    let prompt = input::message(&args.message, false)?;
    if prompt.trim().is_empty() {
        anyhow::bail!("there is nothing to say: give a prompt, or pipe one in");
    }
    let body = StartFleet {
        prompt,
        models: args.models.clone(),
        agents: args.agents.clone(),
        count: args.count,
        check: args.check.clone(),
        changes: args.changes,
        permission: Some(choose::nobody_to_ask()),
        ..StartFleet::default()
    };
    let fleet: Value = client
        .call(Method::POST, "/x/fleet", &[], Some(&body))
        .await?;
    follow(client, word(&fleet, "id"), args.auto, cx).await
}

fn word<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

async fn look(client: &Client, id: &str) -> Result<Value, ClientError> {
    let path = format!("/x/fleet/{id}");
    client.call(Method::GET, &path, &[], None::<&()>).await
}

/// Waits until all versions are done, answers what they ask, and shows how they compare.
async fn follow(client: &Client, id: &str, auto: bool, cx: &Context) -> anyhow::Result<Exit> {
    let mut told = std::collections::BTreeSet::new();
    let fleet = loop {
        let fleet = look(client, id).await?;
        for member in members(&fleet) {
            let status = word(member, "status");
            let name = word(member, "worktree");
            if told.insert(format!("{name} {status}")) {
                note(&format!("{}: {status}", harmless(name)));
            }
            if status == "busy" {
                answer(&client.in_directory(word(member, "directory")), auto).await;
            }
        }
        if fleet["done"] == true {
            break fleet;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    };
    show(&fleet, cx);
    let good = members(&fleet).filter(|member| is_good(member)).count();
    note(&format!(
        "`kilo fleet --keep WORKTREE` brings a result home; `kilo fleet --show {id}` shows this again"
    ));
    Ok(if good > 0 { Exit::OK } else { Exit::FAILED })
}

fn members(fleet: &Value) -> impl Iterator<Item = &Value> {
    fleet["members"].as_array().into_iter().flatten()
}

fn is_good(member: &Value) -> bool {
    word(member, "status") == "done" && member["check"]["ok"] != false
}

/// Answers what a version asks: nobody sits there.
async fn answer(client: &Client, auto: bool) {
    let answer = match auto {
        true => PermissionAnswer::Once,
        false => PermissionAnswer::Reject,
    };
    for request in client.permissions().await.unwrap_or_default() {
        let _ = client.reply_permission(&request.id, answer, None).await;
    }
}

async fn keep(client: &Client, worktree: String, args: &FleetArgs) -> anyhow::Result<Exit> {
    let fleets: Vec<Value> = client
        .call(Method::GET, "/x/fleet", &[], None::<&()>)
        .await?;
    for fleet in &fleets {
        let id = word(fleet, "id");
        let found = look(client, id).await?;
        if !members(&found).any(|member| word(member, "worktree") == worktree) {
            continue;
        }
        let body = KeepOfFleet {
            worktree,
            how: if args.merge {
                ApplyAs::Merge
            } else {
                ApplyAs::Patch
            },
            message: args.commit.clone(),
            remove: args.remove,
        };
        let path = format!("/x/fleet/{id}/keep");
        let kept: Value = client.call(Method::POST, &path, &[], Some(&body)).await?;
        for file in kept["landed"]["files"].as_array().into_iter().flatten() {
            line(&harmless(file.as_str().unwrap_or_default()));
        }
        return Ok(Exit::OK);
    }
    anyhow::bail!("no fleet has a worktree {worktree}")
}

async fn list(client: &Client, cx: &Context) -> anyhow::Result<Exit> {
    let fleets: Vec<Value> = client
        .call(Method::GET, "/x/fleet", &[], None::<&()>)
        .await?;
    let row = |fleet: &Value| {
        let cells = [
            word(fleet, "id"),
            word(fleet, "kept"),
            word(fleet, "prompt"),
        ];
        cells.into_iter().map(harmless).collect::<Vec<_>>()
    };
    let rows: Vec<_> = fleets.iter().map(row).collect();
    for row in table(&["ID", "KEPT", "PROMPT"], &rows, cx.terminal) {
        line(&row);
    }
    Ok(Exit::OK)
}

fn show(fleet: &Value, cx: &Context) {
    let rows: Vec<_> = members(fleet).map(row).collect();
    let heads = [
        "WORKTREE", "STATE", "CHECK", "CHANGED", "COST", "TIME", "MODEL",
    ];
    for row in table(&heads, &rows, cx.terminal) {
        line(&row);
    }
    for member in members(fleet) {
        if let Some(error) = member["error"].as_str() {
            note(&format!(
                "{}: {}",
                harmless(word(member, "worktree")),
                harmless(error)
            ));
        }
    }
}

fn row(member: &Value) -> Vec<String> {
    let diff = &member["diff"];
    let changed = match diff["files"].as_u64() {
        Some(files) => format!(
            "{files} files +{} -{}",
            diff["additions"], diff["deletions"]
        ),
        None => "removed".into(),
    };
    let check = match member["check"]["ok"].as_bool() {
        Some(true) => "ok",
        Some(false) => "failed",
        None => "",
    };
    let seconds = member["tookMs"].as_u64().unwrap_or_default() / 1_000;
    vec![
        harmless(word(member, "worktree")),
        word(member, "status").into(),
        check.into(),
        changed,
        format!("${:.4}", member["cost"].as_f64().unwrap_or_default()),
        format!("{seconds} s"),
        harmless(word(member, "model")),
    ]
}
