//! `kilo worktree`: folders of their own for agents that work side by side.

use crate::context::Context;
use crate::exit::Exit;
use crate::options::Place;
use crate::run::trees::{self, text};
use crate::terminal::table::table;
use crate::terminal::{harmless, line, note};
use crate::time::{ago, now};
use clap::{Args, Subcommand, ValueEnum};
use kilo_client::{Client, ClientError, Method};
use kilo_protocol::model::FileDiff;
use kilo_protocol::requests::{
    ApplyAs, ApplyWorktree, EndWorktree, MakeWorktree, NamedWorktree, RenameWorktree,
    RestoreWorktree,
};
use kilo_protocol::worktree::{Kept, Landed, Listed, Removed, State, Tree};
use serde::de::DeserializeOwned;

/// What `kilo worktree` takes.
#[derive(Args, Clone, Debug)]
pub struct WorktreeArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: WorktreeCommand,
    /// Where.
    #[command(flatten)]
    pub place: Place,
}

/// What can be done with worktrees.
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
pub async fn execute(args: WorktreeArgs, cx: &Context) -> anyhow::Result<Exit> {
    let WorktreeArgs { command, place } = args;
    let work = async |link: &crate::connect::Link| run(command, &link.client, cx).await;
    trees::with_engine(&place, cx, work).await
}

async fn run(command: WorktreeCommand, client: &Client, cx: &Context) -> anyhow::Result<Exit> {
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
            line(&text(&made.directory));
            return Ok(trees::setup(&made));
        }
        WorktreeCommand::List(args) => list(&args, client, cx).await?,
        WorktreeCommand::Remove(args) => {
            let removed: Removed = end(client, "/x/worktree/remove", args).await?;
            let id = removed.kept.id;
            line(&format!(
                "Removed. For 30 days `kilo worktree restore {id}` brings it back."
            ));
        }
        WorktreeCommand::Reset(args) => {
            let kept: Kept = end(client, "/x/worktree/reset", args).await?;
            let id = kept.id;
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
            let tree: Tree = post(client, "/x/worktree/rename", &body).await?;
            let branch = tree.branch.unwrap_or_default();
            line(&format!("{} on {}", tree.name, harmless(&branch)));
        }
        WorktreeCommand::Adopt(args) => {
            let body = NamedWorktree {
                directory: args.directory,
            };
            let tree: Tree = post(client, "/x/worktree/adopt", &body).await?;
            line(&format!("Adopted as {}", tree.name));
        }
        WorktreeCommand::Restore(RestoreArgs { name: None }) => kept(client, cx).await?,
        WorktreeCommand::Restore(RestoreArgs { name: Some(kept) }) => {
            let body = RestoreWorktree { kept };
            let tree: Tree = post(client, "/x/worktree/restore", &body).await?;
            line(&text(&tree.directory));
        }
    }
    Ok(Exit::OK)
}

async fn post<T: DeserializeOwned>(
    client: &Client,
    path: &str,
    body: &(impl serde::Serialize + Sync),
) -> Result<T, ClientError> {
    client.call(Method::POST, path, &[], Some(body)).await
}

async fn end<T: DeserializeOwned>(
    client: &Client,
    path: &str,
    args: EndArgs,
) -> Result<T, ClientError> {
    let body = EndWorktree {
        worktree: args.name,
        force: args.force,
    };
    post(client, path, &body).await
}

async fn apply(client: &Client, order: &ApplyWorktree) -> anyhow::Result<()> {
    let landed: Landed = post(client, "/x/worktree/apply", order).await?;
    for file in &landed.files {
        line(&harmless(file));
    }
    let what = if order.check {
        "would change"
    } else {
        "changed"
    };
    note(&format!(
        "{} files {what} in {}, {} new commits",
        landed.files.len(),
        harmless(&text(&landed.into)),
        landed.commits.len()
    ));
    Ok(())
}

async fn list(args: &ListArgs, client: &Client, cx: &Context) -> anyhow::Result<()> {
    let listed = trees::list(client, true).await?;
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

fn row(listed: &Listed) -> Vec<String> {
    let name = listed.tree.as_ref().map(|tree| tree.name.as_str());
    let mut state = match listed.state {
        State::Ready => "ready",
        State::Making => "making",
        State::HalfMade => "half-made",
        State::Removing => "removing",
        State::Vanished => "vanished",
    }
    .to_owned();
    if let Some(losses) = &listed.losses {
        let uncommitted = losses.modified.len() + losses.untracked.len();
        if uncommitted > 0 {
            state.push_str(&format!(", {uncommitted} uncommitted"));
        }
        if losses.commits > 0 {
            state.push_str(&format!(", {} commits of its own", losses.commits));
        }
    }
    if listed.locked.is_some() {
        state.push_str(", locked");
    }
    let changed = listed.summary.map(|summary| {
        let (files, more, less) = (summary.files, summary.additions, summary.deletions);
        format!("{files} files +{more} -{less}")
    });
    vec![
        harmless(name.unwrap_or("(not ours)")),
        harmless(listed.branch.as_deref().unwrap_or_default()),
        state,
        changed.unwrap_or_default(),
        harmless(&text(&listed.directory)),
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
    let files: Vec<FileDiff> = client.call(Method::GET, path, &query, None::<&()>).await?;
    for file in &files {
        if args.stat {
            line(&format!(
                "{:>6} {:>6}  {}",
                format!("+{}", file.additions),
                format!("-{}", file.deletions),
                harmless(&file.file)
            ));
        } else {
            line(file.patch.trim_end_matches('\n'));
        }
    }
    Ok(())
}

async fn kept(client: &Client, cx: &Context) -> anyhow::Result<()> {
    let kept: Vec<Kept> = client
        .call(Method::GET, "/x/worktree/kept", &[], None::<&()>)
        .await?;
    if kept.is_empty() {
        line("Nothing is kept.");
    }
    let now = now();
    let row = |kept: &Kept| {
        let branch = kept.branch.as_deref().unwrap_or_default();
        let mut cells: Vec<String> = [&kept.id, branch, &kept.why].map(harmless).into();
        cells.push(ago(kept.at, now));
        cells
    };
    let rows: Vec<Vec<String>> = kept.iter().map(row).collect();
    for row in table(&["ID", "BRANCH", "WHY", "WHEN"], &rows, cx.terminal) {
        line(&row);
    }
    Ok(())
}
