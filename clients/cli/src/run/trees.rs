//! Worktrees for commands: made or found by name, refusals shown to a person.

use crate::connect::{self, Link};
use crate::context::Context;
use crate::exit::Exit;
use crate::options;
use crate::terminal::{Terminal, harmless, note};
use kilo_client::{Client, ClientError, Event, Item, Method};
use kilo_protocol::requests::MakeWorktree;
use kilo_protocol::worktree::{Conflict, Listed, Setup, State, Tree};
use serde::Deserialize;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

/// Pause between two looks at a worktree that is being made.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long the rest of an output may be on its way when the set-up has ended.
const REST_MAX: Duration = Duration::from_secs(2);

/// An output without an end of line is shown from here on (8 KiB).
const LINE_BYTES_MAX: usize = 8 * 1024;

/// Runs a command on worktrees with an engine. Status 1 when something is in the way, which is shown file by file.
///
/// # Errors
/// Why it did not work otherwise.
pub async fn with_engine(
    place: &options::Place,
    cx: &Context,
    work: impl AsyncFnOnce(&Link) -> anyhow::Result<Exit>,
) -> anyhow::Result<Exit> {
    let directory = connect::directory(&cx.env, place.dir.as_deref(), &place.remote)?;
    let link = connect::open(cx, &place.remote, &directory).await?;
    let result = work(&link).await;
    link.close().await;
    match result {
        Err(error) => match error.downcast_ref::<ClientError>() {
            Some(refused) if tell(refused, cx) => Ok(Exit::FAILED),
            _ => Err(error),
        },
        done => done,
    }
}

/// The worktrees of the client's repository; with `looked_into` also what each would lose and changed.
///
/// # Errors
/// The daemon's.
pub async fn list(client: &Client, looked_into: bool) -> Result<Vec<Listed>, ClientError> {
    let query: &[(&str, &str)] = if looked_into {
        &[("status", "true")]
    } else {
        &[]
    };
    client
        .call(Method::GET, "/x/worktree", query, None::<&()>)
        .await
}

/// A path as it is shown and sent.
pub fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Makes a worktree, shows what its set-up says, and waits until both are done.
///
/// # Errors
/// Why nothing came of it.
pub async fn make(client: &Client, mut make: MakeWorktree) -> anyhow::Result<Tree> {
    make.wait = true;
    // the stream is there first, so that nothing of the output is missed
    let events = client.global_events().await?;
    let made: Tree = client
        .call(Method::POST, "/x/worktree", &[], Some(&make))
        .await?;
    if made.setup != Setup::Running {
        return Ok(made);
    }
    let mut shown = pin!(show_setup(events, made.name));
    tokio::select! {
        done = set_up(client, &made.directory) => {
            let _ = tokio::time::timeout(REST_MAX, shown).await;
            done
        }
        () = &mut shown => set_up(client, &made.directory).await,
    }
}

/// Shows what the set-up scripts of a worktree say, on standard error, to the end of their output.
async fn show_setup(mut events: kilo_client::EventStream, name: String) {
    let mut rest = String::new();
    while let Ok(Some(item)) = events.next().await {
        let Item::Event(event) = item else {
            note("some of the output of the set-up is missing here");
            continue;
        };
        let Event::WorktreeOutput(output) = &event.event else {
            continue;
        };
        if output.name != name {
            continue;
        }
        rest.push_str(&output.text);
        while let Some(end) = rest.find('\n') {
            note(&harmless(rest[..end].trim_end_matches('\r')));
            rest.drain(..=end);
        }
        if output.ended {
            break;
        }
        // a bar that only turns has no line that ends
        if rest.len() > LINE_BYTES_MAX {
            note(&harmless(&std::mem::take(&mut rest)));
        }
    }
    if !rest.is_empty() {
        note(&harmless(&rest));
    }
}

/// Waits until the set-up of a worktree has ended.
async fn set_up(client: &Client, directory: &Path) -> anyhow::Result<Tree> {
    loop {
        let listed = list(client, false).await?.into_iter();
        let mut here = listed.filter(|listed| listed.directory == directory);
        let Some(tree) = here.next().and_then(|listed| listed.tree) else {
            anyhow::bail!("the worktree is gone again");
        };
        if tree.setup != Setup::Running {
            return Ok(tree);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What the set-up of a worktree came to, told to the person.
pub fn setup(tree: &Tree) -> Exit {
    let Setup::Failed { message } = &tree.setup else {
        return Exit::OK;
    };
    let message = harmless(message);
    note(&format!(
        "the set-up script failed, the worktree is kept: {message}"
    ));
    Exit::FAILED
}

/// The folder of the worktree with this name, or in this folder.
///
/// # Errors
/// When there is none.
pub async fn find(client: &Client, name: &str) -> anyhow::Result<String> {
    match known(client, name).await? {
        Some(directory) => Ok(directory),
        None => anyhow::bail!(
            "there is no worktree {name} here; `kilo worktree list` shows what there is"
        ),
    }
}

/// The folder of the worktree that a session shall work in; made where there is none.
///
/// # Errors
/// Why it cannot be made.
pub async fn find_or_make(client: &Client, name: &str) -> anyhow::Result<String> {
    if let Some(directory) = known(client, name).await? {
        return Ok(directory);
    }
    let new = MakeWorktree {
        name: Some(name.to_owned()),
        ..MakeWorktree::default()
    };
    let made = make(client, new).await?;
    let _ = setup(&made);
    Ok(text(&made.directory))
}

async fn known(client: &Client, name: &str) -> Result<Option<String>, ClientError> {
    let slug = slug(name);
    let is_it = |listed: &Listed| {
        let called = listed.tree.as_ref().map(|tree| tree.name.as_str());
        let is_named =
            called == Some(name) || called == Some(&slug) || listed.directory == Path::new(name);
        is_named && matches!(listed.state, State::Ready | State::Making)
    };
    let mut listed = list(client, false).await?.into_iter();
    Ok(listed.find(is_it).map(|listed| text(&listed.directory)))
}

/// The name that a worktree gets from what a person typed.
fn slug(text: &str) -> String {
    let mut slug = String::new();
    for sign in text.chars().flat_map(char::to_lowercase) {
        match sign {
            sign if sign.is_ascii_alphanumeric() => slug.push(sign),
            _ if !slug.ends_with('-') && !slug.is_empty() => slug.push('-'),
            _ => {}
        }
    }
    slug.trim_end_matches('-').to_owned()
}

/// Shows a refusal with what is in the way. False when it is another failure.
fn tell(error: &ClientError, cx: &Context) -> bool {
    let ClientError::Refused { message, body, .. } = error else {
        return false;
    };
    let data = &body["data"];
    let (losses, conflicts) = (data.get("losses"), data.get("conflicts"));
    if losses.is_none() && conflicts.is_none() {
        return false;
    }
    let paint = Terminal::of_stderr(&cx.env);
    if losses.is_some() {
        note(&paint.red(&harmless(message)));
        note("nothing was changed; --force does it all the same and keeps the state for 30 days");
    }
    let Some(conflicts) = conflicts else {
        return true;
    };
    for conflict in Vec::<Conflict>::deserialize(conflicts).unwrap_or_default() {
        let (file, kind) = (harmless(&conflict.file), conflict.kind);
        note(&paint.red(&format!("{file}: {kind}")));
        for row in conflict.merged.unwrap_or_default().lines() {
            note(&format!("  {}", harmless(row)));
        }
    }
    note("nothing was changed");
    true
}
