//! `kilo worktree`: folders of their own for agents that work side by side.

use crate::connect::{self, Link};
use crate::context::Context;
use crate::exit::Exit;
use crate::options::Remote;
use crate::run::trees;
use crate::terminal::table::table;
use crate::terminal::{harmless, line, note};
use crate::time::{ago, now};
use clap::{Args, Subcommand, ValueEnum};
use kilo_client::{Client, ClientError, Method};
use kilo_protocol::requests::{
    ApplyAs, ApplyWorktree, EndWorktree, MakeWorktree, NamedWorktree, RenameWorktree,
    RestoreWorktree,
};
use serde_json::Value;

/// What `kilo worktree` takes.
#[derive(Clone, Debug, Subcommand)]
pub enum WorktreeCommand {
    /// Make a worktree and print its folder.
    Create(CreateArgs),
    /// List the worktrees of this repository.
    List(ListArgs),
    /// Remove one; its state is kept for 30 days.
    #[command(alias = "rm")]
    Remove(EndArgs),
    /// Take one back to its base; its state is kept for 30 days.
    Reset(EndArgs),
    /// Show what one changed.
    Diff(DiffArgs),
    /// Bring the result of one home, as changes of the files or as commits.
    Apply(ApplyArgs),
    /// Merge the commits of one.
    Merge(MergeArgs),
    /// Give one another name.
    Rename(RenameArgs),
    /// Take one that somebody else made into the list.
    Adopt(AdoptArgs),
    /// Bring a removed or reset one back; without a name list what can be.
    Restore(RestoreArgs),
}

/// What `kilo worktree create` takes.
#[derive(Args, Clone, Debug)]
pub struct CreateArgs {
    /// Its name; words are chosen without one.
    pub name: Option<String>,
    /// Start from this branch, tag or commit.
    #[arg(long, value_name = "COMMIT")]
    pub base: Option<String>,
    /// Use this existing branch in place of a new one.
    #[arg(long, value_name = "BRANCH", conflicts_with = "base")]
    pub checkout: Option<String>,
    /// Take uncommitted changes along.
    #[arg(long)]
    pub changes: bool,
}

/// What `kilo worktree list` takes.
#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    /// What is printed.
    #[arg(long, value_enum, default_value_t)]
    pub format: super::session::ListFormat,
}

/// What names a worktree that ends.
#[derive(Args, Clone, Debug)]
pub struct EndArgs {
    /// Its name or folder.
    pub name: String,
    /// Also when work would be lost; what can be kept is kept.
    #[arg(short, long)]
    pub force: bool,
}

/// What `kilo worktree diff` takes.
#[derive(Args, Clone, Debug)]
pub struct DiffArgs {
    /// Its name or folder.
    pub name: String,
    /// Compare with this; else with what it started from.
    #[arg(long, value_name = "COMMIT")]
    pub base: Option<String>,
    /// Only the names and the numbers of lines.
    #[arg(long)]
    pub stat: bool,
}

/// What `kilo worktree apply` takes.
#[derive(Args, Clone, Debug)]
pub struct ApplyArgs {
    /// Its name or folder.
    pub name: String,
    /// Only these files or folders.
    pub files: Vec<String>,
    /// In which form.
    #[arg(long = "as", value_enum, default_value_t, value_name = "FORM")]
    pub form: Form,
    /// Commit what is uncommitted first, with this message.
    #[arg(short, long)]
    pub message: Option<String>,
    /// Look only whether it fits.
    #[arg(long)]
    pub check: bool,
}

/// The form of a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// Changes of the files.
    #[default]
    Patch,
    /// Commits.
    Commits,
}

/// What `kilo worktree merge` takes.
#[derive(Args, Clone, Debug)]
pub struct MergeArgs {
    /// Its name or folder.
    pub name: String,
    /// Commit what is uncommitted first, with this message.
    #[arg(short, long)]
    pub message: Option<String>,
    /// Look only whether it fits.
    #[arg(long)]
    pub check: bool,
}

/// What `kilo worktree rename` takes.
#[derive(Args, Clone, Debug)]
pub struct RenameArgs {
    /// Its name or folder.
    pub name: String,
    /// The new name.
    pub new: String,
}

/// What `kilo worktree adopt` takes.
#[derive(Args, Clone, Debug)]
pub struct AdoptArgs {
    /// Its folder.
    pub directory: String,
}

/// What `kilo worktree restore` takes.
#[derive(Args, Clone, Debug)]
pub struct RestoreArgs {
    /// The worktree's name, or the state's id.
    pub name: Option<String>,
}

/// Runs the command. Status 1 when something is in the way.
pub async fn execute(command: WorktreeCommand, cx: &Context) -> anyhow::Result<Exit> {
    let directory = cx.env.cwd.to_string_lossy().into_owned();
    let link = connect::open(cx, &Remote::default(), &directory).await?;
    let result = run(command, &link, cx).await;
    link.close().await;
    match result {
        Err(error) => match error.downcast_ref::<ClientError>() {
            Some(refused) if trees::tell(refused, cx) => Ok(Exit::FAILED),
            _ => Err(error),
        },
        done => done,
    }
}

async fn run(command: WorktreeCommand, link: &Link, cx: &Context) -> anyhow::Result<Exit> {
    let client = &link.client;
    match command {
        WorktreeCommand::Create(args) => {
            let make = MakeWorktree {
                name: args.name,
                base: args.base,
                checkout: args.checkout,
                changes: args.changes,
                ..MakeWorktree::default()
            };
            let made = trees::make(client, make).await?;
            line(text(&made, "directory"));
            return Ok(trees::setup(&made));
        }
        WorktreeCommand::List(args) => list(&args, client, cx).await?,
        WorktreeCommand::Remove(args) => {
            let removed = end(client, "/x/worktree/remove", args).await?;
            let id = removed["kept"]["id"].as_str().unwrap_or_default();
            line(&format!(
                "Removed. For 30 days `kilo worktree restore {id}` brings it back."
            ));
        }
        WorktreeCommand::Reset(args) => {
            let kept = end(client, "/x/worktree/reset", args).await?;
            let id = text(&kept, "id");
            line(&format!(
                "Reset. What it was is kept: `kilo worktree restore {id}`"
            ));
        }
        WorktreeCommand::Diff(args) => diff(&args, client).await?,
        WorktreeCommand::Apply(args) => {
            let order = ApplyWorktree {
                worktree: args.name,
                how: match args.form {
                    Form::Patch => ApplyAs::Patch,
                    Form::Commits => ApplyAs::Commits,
                },
                files: (!args.files.is_empty()).then_some(args.files),
                message: args.message,
                check: args.check,
                into: None,
            };
            apply(client, &order).await?;
        }
        WorktreeCommand::Merge(args) => {
            let order = ApplyWorktree {
                worktree: args.name,
                how: ApplyAs::Merge,
                message: args.message,
                check: args.check,
                ..ApplyWorktree::default()
            };
            apply(client, &order).await?;
        }
        WorktreeCommand::Rename(args) => {
            let body = RenameWorktree {
                worktree: args.name,
                name: args.new,
            };
            let tree: Value = post(client, "/x/worktree/rename", &body).await?;
            line(&format!(
                "{} on {}",
                text(&tree, "name"),
                text(&tree, "branch")
            ));
        }
        WorktreeCommand::Adopt(args) => {
            let body = NamedWorktree {
                directory: args.directory,
            };
            let tree: Value = post(client, "/x/worktree/adopt", &body).await?;
            line(&format!("Adopted as {}", text(&tree, "name")));
        }
        WorktreeCommand::Restore(RestoreArgs { name: None }) => kept(client, cx).await?,
        WorktreeCommand::Restore(RestoreArgs { name: Some(kept) }) => {
            let body = RestoreWorktree { kept };
            let tree: Value = post(client, "/x/worktree/restore", &body).await?;
            line(text(&tree, "directory"));
        }
    }
    Ok(Exit::OK)
}

async fn post(
    client: &Client,
    path: &str,
    body: &(impl serde::Serialize + Sync),
) -> Result<Value, ClientError> {
    client.call(Method::POST, path, &[], Some(body)).await
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

async fn end(client: &Client, path: &str, args: EndArgs) -> Result<Value, ClientError> {
    let body = EndWorktree {
        worktree: args.name,
        force: args.force,
    };
    post(client, path, &body).await
}

async fn apply(client: &Client, order: &ApplyWorktree) -> anyhow::Result<()> {
    let landed = post(client, "/x/worktree/apply", order).await?;
    let files = landed["files"].as_array().map_or(0, Vec::len);
    for file in landed["files"].as_array().into_iter().flatten() {
        line(&harmless(file.as_str().unwrap_or_default()));
    }
    let commits = landed["commits"].as_array().map_or(0, Vec::len);
    let what = if order.check {
        "would change"
    } else {
        "changed"
    };
    note(&format!(
        "{files} files {what} in {}, {commits} new commits",
        text(&landed, "into")
    ));
    Ok(())
}

async fn list(args: &ListArgs, client: &Client, cx: &Context) -> anyhow::Result<()> {
    let query = [("status", "true")];
    let listed: Vec<Value> = client
        .call(Method::GET, "/x/worktree", &query, None::<&()>)
        .await?;
    if args.format == super::session::ListFormat::Json {
        line(&serde_json::to_string_pretty(&listed)?);
        return Ok(());
    }
    if listed.is_empty() {
        line("No worktrees here. `kilo worktree create NAME` makes one.");
    }
    let rows: Vec<Vec<String>> = listed.iter().map(row).collect();
    for row in table(
        &["NAME", "BRANCH", "STATE", "CHANGED", "FOLDER"],
        &rows,
        cx.terminal,
    ) {
        line(&row);
    }
    Ok(())
}

fn row(listed: &Value) -> Vec<String> {
    let name = listed["tree"]["name"].as_str().unwrap_or("(not ours)");
    let mut state = text(listed, "state").to_owned();
    let losses = &listed["losses"];
    let count = |field: &str| losses[field].as_array().map_or(0, Vec::len);
    let uncommitted = count("modified") + count("untracked");
    if uncommitted > 0 {
        state.push_str(&format!(", {uncommitted} uncommitted"));
    }
    if let Some(commits) = losses["commits"].as_u64().filter(|commits| *commits > 0) {
        state.push_str(&format!(", {commits} commits of its own"));
    }
    if listed.get("locked").is_some() {
        state.push_str(", locked");
    }
    let number = |field: &str| listed["summary"][field].as_u64();
    let changed = match number("files") {
        Some(files) => format!(
            "{files} files +{} -{}",
            number("additions").unwrap_or(0),
            number("deletions").unwrap_or(0)
        ),
        None => String::new(),
    };
    vec![
        harmless(name),
        harmless(text(listed, "branch")),
        state,
        changed,
        harmless(text(listed, "directory")),
    ]
}

async fn diff(args: &DiffArgs, client: &Client) -> anyhow::Result<()> {
    let directory = trees::find(client, &args.name).await?;
    let client = client.in_directory(directory);
    let query: Vec<(&str, &str)> = args
        .base
        .iter()
        .map(|base| ("base", base.as_str()))
        .collect();
    let path = "/experimental/worktree/diff";
    let files: Vec<Value> = client.call(Method::GET, path, &query, None::<&()>).await?;
    for file in &files {
        if args.stat {
            let (added, gone) = (&file["additions"], &file["deletions"]);
            line(&format!(
                "{:>6} {:>6}  {}",
                format!("+{added}"),
                format!("-{gone}"),
                harmless(text(file, "file"))
            ));
        } else {
            line(text(file, "patch").trim_end_matches('\n'));
        }
    }
    Ok(())
}

async fn kept(client: &Client, cx: &Context) -> anyhow::Result<()> {
    let kept: Vec<Value> = client
        .call(Method::GET, "/x/worktree/kept", &[], None::<&()>)
        .await?;
    if kept.is_empty() {
        line("Nothing is kept.");
    }
    let now = now();
    let row = |kept: &Value| {
        let at = kept["at"].as_u64().unwrap_or_default();
        let cells = [text(kept, "id"), text(kept, "branch"), text(kept, "why")];
        let mut cells: Vec<String> = cells.into_iter().map(harmless).collect();
        cells.push(ago(at, now));
        cells
    };
    let rows: Vec<Vec<String>> = kept.iter().map(row).collect();
    for row in table(&["ID", "BRANCH", "WHY", "WHEN"], &rows, cx.terminal) {
        line(&row);
    }
    Ok(())
}
