//! `kilo fleet`: several versions of one prompt, each in a worktree of its own; one is kept.

use crate::connect::Link;
use crate::context::Context;
use crate::exit::Exit;
use crate::options::Place;
use crate::run::trees::{self, text};
use crate::run::{choose, input};
use crate::terminal::table::table;
use crate::terminal::{harmless, line, note};
use clap::Args;
use kilo_client::{Client, ClientError, Method};
use kilo_protocol::requests::{ApplyAs, KeepOfFleet, PermissionAnswer, StartFleet};
use kilo_protocol::worktree::{Fleet, FleetKept, FleetNow, Member, MemberStatus};
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
    /// Where.
    #[command(flatten)]
    pub place: Place,
}

/// Runs the command. Status 1 when no version came to a good end.
pub async fn execute(args: FleetArgs, cx: &Context) -> anyhow::Result<Exit> {
    let place = args.place.clone();
    let work = async |link: &Link| run(args, &link.client, cx).await;
    trees::with_engine(&place, cx, work).await
}

async fn run(args: FleetArgs, client: &Client, cx: &Context) -> anyhow::Result<Exit> {
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
    let fleet: FleetNow = client
        .call(Method::POST, "/x/fleet", &[], Some(&body))
        .await?;
    follow(client, &fleet.fleet.id, args.auto, cx).await
}

async fn look(client: &Client, id: &str) -> Result<FleetNow, ClientError> {
    let path = format!("/x/fleet/{id}");
    client.call(Method::GET, &path, &[], None::<&()>).await
}

async fn fleets(client: &Client) -> Result<Vec<Fleet>, ClientError> {
    client.call(Method::GET, "/x/fleet", &[], None::<&()>).await
}

/// Waits until all versions are done, answers what they ask, and shows how they compare.
async fn follow(client: &Client, id: &str, auto: bool, cx: &Context) -> anyhow::Result<Exit> {
    let mut told = std::collections::BTreeSet::new();
    let fleet = loop {
        let fleet = look(client, id).await?;
        for member in &fleet.members {
            if told.insert((member.worktree.clone(), member.status)) {
                let name = harmless(&member.worktree);
                note(&format!("{name}: {}", member.status.as_str()));
            }
            if member.status == MemberStatus::Busy {
                answer(&client.in_directory(text(&member.directory)), auto).await;
            }
        }
        if fleet.done {
            break fleet;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    };
    show(&fleet, cx);
    note(&format!(
        "`kilo fleet --keep WORKTREE` brings a result home; `kilo fleet --show {id}` shows this again"
    ));
    Ok(match fleet.members.iter().any(is_good) {
        true => Exit::OK,
        false => Exit::FAILED,
    })
}

fn is_good(member: &Member) -> bool {
    let is_bad = member.check.as_ref().is_some_and(|check| !check.ok);
    member.status == MemberStatus::Done && !is_bad
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
    for fleet in fleets(client).await? {
        let found = look(client, &fleet.id).await?;
        if !found
            .members
            .iter()
            .any(|member| member.worktree == worktree)
        {
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
        let path = format!("/x/fleet/{}/keep", fleet.id);
        let kept: FleetKept = client.call(Method::POST, &path, &[], Some(&body)).await?;
        for file in &kept.landed.files {
            line(&harmless(file));
        }
        return Ok(Exit::OK);
    }
    anyhow::bail!("no fleet has a worktree {worktree}")
}

async fn list(client: &Client, cx: &Context) -> anyhow::Result<Exit> {
    let row = |fleet: Fleet| {
        let kept = fleet.kept.unwrap_or_default();
        [fleet.id, kept, fleet.prompt]
            .map(|cell| harmless(&cell))
            .into()
    };
    let rows: Vec<Vec<String>> = fleets(client).await?.into_iter().map(row).collect();
    for row in table(&["ID", "KEPT", "PROMPT"], &rows, cx.terminal) {
        line(&row);
    }
    Ok(Exit::OK)
}

fn show(fleet: &FleetNow, cx: &Context) {
    let rows: Vec<_> = fleet.members.iter().map(row).collect();
    let heads = [
        "WORKTREE", "STATE", "CHECK", "CHANGED", "COST", "TIME", "MODEL",
    ];
    for row in table(&heads, &rows, cx.terminal) {
        line(&row);
    }
    for member in &fleet.members {
        if let Some(error) = &member.error {
            note(&format!(
                "{}: {}",
                harmless(&member.worktree),
                harmless(error)
            ));
        }
    }
}

fn row(member: &Member) -> Vec<String> {
    let changed = match member.diff {
        Some(diff) => format!(
            "{} files +{} -{}",
            diff.files, diff.additions, diff.deletions
        ),
        None => "removed".into(),
    };
    let check = match &member.check {
        Some(check) if check.ok => "ok",
        Some(_) => "failed",
        None => "",
    };
    vec![
        harmless(&member.worktree),
        member.status.as_str().into(),
        check.into(),
        changed,
        format!("${:.4}", member.cost.unwrap_or_default()),
        format!("{} s", member.took_ms / 1_000),
        harmless(member.model.as_deref().unwrap_or_default()),
    ]
}
