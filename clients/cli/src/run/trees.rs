//! Worktrees for other commands: made or found by name, refusals shown to a person.

use crate::context::Context;
use crate::exit::Exit;
use crate::terminal::{Terminal, harmless, note};
use kilo_client::{Client, ClientError, Event, Item, Method};
use kilo_protocol::requests::MakeWorktree;
use serde_json::Value;
use std::pin::pin;
use std::time::Duration;

/// Pause between two looks at a worktree that is being made.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long the rest of an output may be on its way when the set-up has ended.
const REST_MAX: Duration = Duration::from_secs(2);

/// An output without an end of line is shown from here on (8 KiB).
const LINE_BYTES_MAX: usize = 8 * 1024;

/// Makes a worktree, shows what its set-up says, and waits until both are done.
///
/// # Errors
/// Why nothing came of it.
pub async fn make(client: &Client, mut make: MakeWorktree) -> anyhow::Result<Value> {
    make.wait = true;
    // the stream is there first, so that nothing of the output is missed
    let events = client.global_events().await?;
    let made: Value = client
        .call(Method::POST, "/x/worktree", &[], Some(&make))
        .await?;
    if !is_set_up(&made) {
        return Ok(made);
    }
    let mut shown = pin!(show_setup(events, word(&made, "name")));
    let done = set_up(client, word(&made, "directory"));
    tokio::select! {
        done = done => {
            let _ = tokio::time::timeout(REST_MAX, shown).await;
            done
        }
        () = &mut shown => set_up(client, word(&made, "directory")).await,
    }
}

fn word(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

/// Whether scripts of a worktree are still to end.
fn is_set_up(tree: &Value) -> bool {
    tree["setup"]["state"] == "running"
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
async fn set_up(client: &Client, directory: String) -> anyhow::Result<Value> {
    loop {
        let listed: Vec<Value> = client
            .call(Method::GET, "/x/worktree", &[], None::<&()>)
            .await?;
        let here = |listed: &&Value| listed["directory"].as_str() == Some(&directory);
        let Some(listed) = listed.iter().find(here) else {
            anyhow::bail!("the worktree is gone again");
        };
        if !is_set_up(&listed["tree"]) {
            return Ok(listed["tree"].clone());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What the set-up of a worktree came to, told to the person.
pub fn setup(tree: &Value) -> Exit {
    match tree["setup"]["message"].as_str() {
        Some(message) => {
            let message = harmless(message);
            note(&format!(
                "the set-up script failed, the worktree is kept: {message}"
            ));
            Exit::FAILED
        }
        None => Exit::OK,
    }
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
    Ok(word(&made, "directory"))
}

async fn known(client: &Client, name: &str) -> Result<Option<String>, ClientError> {
    let listed: Vec<Value> = client
        .call(Method::GET, "/x/worktree", &[], None::<&()>)
        .await?;
    let slug = slug(name);
    let is_it = |listed: &&Value| {
        let called = listed["tree"]["name"].as_str();
        let is_named =
            called == Some(name) || called == Some(&slug) || listed["directory"] == *name;
        is_named && (listed["state"] == "ready" || listed["state"] == "making")
    };
    Ok(listed
        .iter()
        .find(is_it)
        .map(|listed| word(listed, "directory")))
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
pub fn tell(error: &ClientError, cx: &Context) -> bool {
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
    for conflict in conflicts.and_then(Value::as_array).into_iter().flatten() {
        let (file, kind) = (word(conflict, "file"), word(conflict, "kind"));
        note(&paint.red(&format!("{}: {kind}", harmless(&file))));
        for row in conflict["merged"].as_str().unwrap_or_default().lines() {
            note(&format!("  {}", harmless(row)));
        }
    }
    if conflicts.is_some() {
        note("nothing was changed");
    }
    true
}
