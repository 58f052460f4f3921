//! `kilo undo` and `kilo redo`: takes a session's last prompt back, with its changes of files, and does it again.

use crate::connect::{self, Link};
use crate::context::Context;
use crate::exit::Exit;
use crate::options::Remote;
use crate::run::{choose, faults};
use crate::terminal::{Terminal, fit, harmless, line};
use anyhow::bail;
use clap::Args;
use kilo_client::{Client, Event, EventStream, Item};
use kilo_protocol::SessionId;
use kilo_protocol::model::{MessageWithParts, Revert, Session};
use std::time::Duration;

/// How long it is waited for what the engine says beside its answer.
const WORDS_MAX: Duration = Duration::from_secs(5);

/// What `kilo undo` and `kilo redo` take.
#[derive(Args, Clone, Debug)]
pub struct UndoArgs {
    /// The session; else the one used last in this folder.
    #[arg(short, long, value_name = "ID")]
    pub session: Option<String>,
    /// Which server.
    #[command(flatten)]
    pub remote: Remote,
}

/// Takes the last prompt that is not taken back yet. Status 1 when a file was left as it is.
pub async fn undo(args: &UndoArgs, cx: &Context) -> anyhow::Result<Exit> {
    with_link(args, cx, async |link| {
        let (session, messages) = session(args, &link.client).await?;
        let hidden_from = session
            .revert
            .as_ref()
            .map(|revert| revert.message_id.as_str());
        let prompt = messages
            .iter()
            .rev()
            .filter(|message| message.info.assistant().is_none())
            .find(|message| hidden_from.is_none_or(|hidden| message.info.id().as_str() < hidden));
        let Some(prompt) = prompt else {
            bail!("there is no prompt to take back in {}", session.id);
        };
        let after = link
            .client
            .revert(&session.id, prompt.info.id(), None)
            .await?;
        line(&format!("Taken back: {}", said(prompt, cx.terminal)));
        let revert = after.revert.as_ref();
        // Of several prompts that are taken back, the engine tells the files of all.
        let before = session
            .revert
            .as_ref()
            .and_then(|revert| revert.diff.as_deref());
        let before = files(before.unwrap_or_default());
        let diff = revert.and_then(|revert| revert.diff.as_deref());
        let mut files = files(diff.unwrap_or_default());
        files.retain(|file| !before.contains(file));
        let left = revert.map_or_else(Vec::new, left_files);
        let workspace = revert.and_then(|revert| revert.workspace.as_deref());
        let is_whole = tell(&files, &left, workspace, cx.terminal);
        line(
            &cx.terminal
                .dim("`kilo redo` does it again; the next prompt makes it final"),
        );
        Ok(if is_whole { Exit::OK } else { Exit::FAILED })
    })
    .await
}

/// Does the first prompt again that was taken back. Status 1 when a file was left as it is.
pub async fn redo(args: &UndoArgs, cx: &Context) -> anyhow::Result<Exit> {
    with_link(args, cx, async |link| {
        let client = &link.client;
        let (session, messages) = session(args, client).await?;
        let Some(revert) = &session.revert else {
            bail!("nothing is taken back in {}", session.id);
        };
        let from = revert.message_id.as_str();
        let mut hidden = messages.iter().filter(|message| {
            message.info.assistant().is_none() && message.info.id().as_str() >= from
        });
        let (first, next) = (hidden.next(), hidden.next());
        let (after, mut left) = match next {
            Some(next) => {
                let after = client.revert(&session.id, next.info.id(), None).await?;
                let left = after.revert.as_ref().map_or_else(Vec::new, left_files);
                (after, left)
            }
            None => {
                // A session of which nothing is hidden any more has no place for what was left; the engine says it.
                let mut words = Words::listen(client).await?;
                let after = client.unrevert(&session.id).await?;
                let left = words.of(client, &session.id).await;
                if after.revert.is_some() {
                    bail!("nothing was done again: {}", left.join("; "));
                }
                (after, left)
            }
        };
        let said = first
            .map(|first| said(first, cx.terminal))
            .unwrap_or_default();
        line(&format!("Done again: {said}"));
        let now = after.revert.as_ref();
        // What the undo before this left says nothing of this; that there are no checkpoints does.
        let workspace = now
            .or(Some(revert))
            .and_then(|revert| revert.workspace.as_deref())
            .filter(|word| now.is_some() || *word != "partial");
        let before = files(revert.diff.as_deref().unwrap_or_default());
        let still = after
            .revert
            .as_ref()
            .and_then(|revert| revert.diff.as_deref());
        let still = files(still.unwrap_or_default());
        let restored: Vec<String> = before
            .into_iter()
            .filter(|file| !still.contains(file))
            .collect();
        // An undo that moved no file leaves nothing to do again: what it left is as it was then, and that is said once more.
        if now.is_none() && restored.is_empty() {
            let mut never_moved = left_files(revert);
            never_moved.retain(|words| !left.contains(words));
            left.append(&mut never_moved);
        }
        let is_whole = tell(&restored, &left, workspace, cx.terminal);
        Ok(if is_whole { Exit::OK } else { Exit::FAILED })
    })
    .await
}

async fn with_link(
    args: &UndoArgs,
    cx: &Context,
    act: impl AsyncFnOnce(&Link) -> anyhow::Result<Exit>,
) -> anyhow::Result<Exit> {
    let directory = connect::directory(&cx.env, None, &args.remote)?;
    let link = connect::open(cx, &args.remote, &directory).await?;
    faults::tell_damage(&link.client, cx).await;
    let result = act(&link).await;
    link.close().await;
    result
}

async fn session(
    args: &UndoArgs,
    client: &Client,
) -> anyhow::Result<(Session, Vec<MessageWithParts>)> {
    let session = choose::existing(client, args.session.as_deref()).await?;
    let messages = client.messages(&session.id).await?;
    Ok((session, messages))
}

/// What the engine says beside its answer: the files that it left alone.
struct Words {
    events: EventStream,
    token: String,
}

impl Words {
    async fn listen(client: &Client) -> anyhow::Result<Self> {
        let events = client.events().await?;
        let token = format!("undo-{}", std::process::id());
        Ok(Self { events, token })
    }

    /// The sentences that came for `session` up to now.
    async fn of(&mut self, client: &Client, session: &SessionId) -> Vec<String> {
        let mut words = Vec::new();
        if client.drain(session, &self.token).await.is_err() {
            return words;
        }
        let collect = async {
            while let Ok(Some(item)) = self.events.next().await {
                let Item::Event(received) = item else {
                    continue;
                };
                if received.event.session() != Some(session) {
                    continue;
                }
                match &received.event {
                    Event::Failed(failure) => words.push(harmless(failure.error.message())),
                    Event::Drained(drained) if drained.token == self.token => break,
                    _ => {}
                }
            }
        };
        let _ = tokio::time::timeout(WORDS_MAX, collect).await;
        words
    }
}

/// What was left alone, with the reasons.
fn left_files(revert: &Revert) -> Vec<String> {
    let left = revert.left.iter();
    left.map(|file| harmless(&format!("left alone: {}: {}", file.path, file.reason)))
        .collect()
}

/// Says which files changed and which did not; whether all did.
fn tell(files: &[String], left: &[String], workspace: Option<&str>, terminal: Terminal) -> bool {
    for file in files {
        line(&format!("  {} {file}", terminal.green("restored")));
    }
    for words in left {
        line(&format!("  {} {words}", terminal.yellow("!")));
    }
    let why = match workspace {
        Some("not-a-git-repo") => "files are as they were, for this is no git repository",
        Some("snapshots-disabled") => "files are as they were, for `snapshot` is off",
        Some("unavailable") if left.is_empty() => {
            "files are as they were, for their checkpoint could not be read"
        }
        _ if files.is_empty() && left.is_empty() => "no file had to change",
        _ => "",
    };
    if !why.is_empty() {
        line(&format!("  {}", terminal.dim(why)));
    }
    left.is_empty() && !matches!(workspace, Some("unavailable" | "partial"))
}

/// The first line of a prompt.
fn said(prompt: &MessageWithParts, terminal: Terminal) -> String {
    let text = choose::text_of(prompt);
    fit(&harmless(text.trim()), terminal.width.saturating_sub(14))
}

/// The paths in a unified diff, each once.
fn files(diff: &str) -> Vec<String> {
    let mut files: Vec<String> = Vec::new();
    let mut old = None;
    for row in diff.lines() {
        if let Some(path) = row.strip_prefix("--- ") {
            old = Some(path);
        } else if let (Some(before), Some(after)) = (old.take(), row.strip_prefix("+++ ")) {
            let path = if after == "/dev/null" { before } else { after };
            let path = path
                .strip_prefix("a/")
                .or_else(|| path.strip_prefix("b/"))
                .unwrap_or(path)
                .split('\t')
                .next()
                .unwrap_or_default();
            if !files.iter().any(|known| known == path) {
                files.push(harmless(path));
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_diff_are_named_once() {
        let diff = "--- a/x.rs\n+++ b/x.rs\n@@ -1 +1 @@\n--- not a head\n-a\n+b\n--- /dev/null\n+++ b/new\n@@ @@\n+x\n--- a/gone\n+++ /dev/null\n@@ @@\n-x\n";
        assert_eq!(files(diff), ["x.rs", "new", "gone"]);
    }
}
