//! One version of a prompt on its way to its end: set-up, prompt, check. What an ended daemon left in the middle is taken up
//! when somebody looks.

use super::stored::{Version, put_version};
use crate::daemon::Daemon;
use crate::trees::{Filled, ours};
use bytes::Bytes;
use kilo_config::view::Resume;
use kilo_ports::sandbox::{Exit, ProcessSpec};
use kilo_protocol::Fault;
use kilo_protocol::model::{MessageWithParts, ModelRef};
use kilo_protocol::requests::Prompt;
use kilo_protocol::worktree::{Checked, Fleet};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How long a check may take (30 minutes).
const CHECK_MS: u64 = 1_800_000;
/// The end of a check's output that is kept.
const TAIL_BYTES: usize = 4_000;
const NEVER_ASKED: &str = "the daemon ended before this version was told the prompt";
const INTERRUPTED: &str = "the daemon ended while this version worked; what it did is there, and \
    `kilo run --session` goes on with it";

/// A model as it is typed.
pub fn model_of(text: &str) -> Option<ModelRef> {
    let (provider, model) = kilo_config::view::split_model(text)?;
    Some(ModelRef {
        provider_id: provider.into(),
        model_id: model.into(),
        variant: None,
    })
}

/// Lets a new version run to its end.
pub fn begin(daemon: &Arc<Daemon>, fleet: &Fleet, key: String, version: Version, filled: Filled) {
    daemon.fleets.begin(&key);
    let (owned, fleet) = (Arc::clone(daemon), fleet.clone());
    daemon.handle.spawn(async move {
        let error = prompted(&owned, &fleet, &version, filled).await;
        end(&owned, &fleet, &key, version, error).await;
    });
}

/// Takes up a version that no process works on any more. It is in the list as before until this has come to an end.
pub fn take_up(daemon: &Arc<Daemon>, fleet: &Fleet, key: String, version: Version) {
    if version.is_over(fleet) || !daemon.fleets.begin(&key) {
        return;
    }
    let (owned, fleet) = (Arc::clone(daemon), fleet.clone());
    daemon.handle.spawn(async move {
        let error = match version.ended {
            // only its check was cut off
            Some(_) => Ok(version.error.clone()),
            None => left(&owned, &version).await,
        };
        end(&owned, &fleet, &key, version, error).await;
    });
}

/// Sets a version up, tells it the prompt and waits for its answer. Gives the answer's error.
async fn prompted(
    daemon: &Arc<Daemon>,
    fleet: &Fleet,
    version: &Version,
    filled: Filled,
) -> Result<Option<String>, Fault> {
    filled.set_up(daemon).await.map_err(ours)?;
    let engine = daemon.engine().await?;
    let prompt = Prompt {
        model: version.model.as_deref().and_then(model_of),
        agent: version.agent.clone(),
        ..Prompt::text(&fleet.prompt)
    };
    let sessions = engine.sessions();
    let (id, accepted) = sessions.prompt(&version.session, prompt).await?;
    let answer = sessions.answer(&version.session, &id, accepted).await?;
    Ok(error_of(&answer))
}

fn error_of(answer: &MessageWithParts) -> Option<String> {
    let error = answer.info.assistant()?.error.as_ref()?;
    Some(error.message().to_owned())
}

/// What a version came to that was at work when the daemon ended. Waits while its session goes on by itself.
async fn left(daemon: &Daemon, version: &Version) -> Result<Option<String>, Fault> {
    let engine = daemon.engine().await?;
    let directory = version.worktree.directory.display().to_string();
    let folder = daemon.folders.instance(&directory).await?.folder;
    if folder.loaded.config.resume == Resume::Auto {
        // as the daemon does by itself, perhaps a moment later
        let _ = engine.sessions().resume(&version.session).await?;
    }
    daemon.idle(&version.session).await?;
    let view = engine.queries().view(&version.session).await?;
    let Some(last) = view.messages.last() else {
        return Ok(Some(NEVER_ASKED.into()));
    };
    let Some(answer) = last.info.assistant() else {
        return Ok(Some(INTERRUPTED.into()));
    };
    let error = answer.error.as_ref();
    Ok(error.map(|error| match &*error.name {
        "MessageAbortedError" => INTERRUPTED.to_owned(),
        _ => error.message().to_owned(),
    }))
}

/// Stores the end of a version, checks it, and stores what the check said.
async fn end(
    daemon: &Daemon,
    fleet: &Fleet,
    key: &str,
    mut version: Version,
    error: Result<Option<String>, Fault>,
) {
    version.error = error.unwrap_or_else(|fault| Some(fault.message));
    version.ended = version.ended.or_else(|| Some(daemon.clock.now()));
    store(daemon, key, &version);
    if let Some(text) = &fleet.check {
        version.check = check(daemon, &version, text).await;
        store(daemon, key, &version);
    }
}

fn store(daemon: &Daemon, key: &str, version: &Version) {
    if let Err(fault) = put_version(daemon, key, version) {
        tracing::warn!(key, %fault, "what became of a version is not stored");
    }
}

/// None when the daemon ended it: that says nothing about the result.
async fn check(daemon: &Daemon, version: &Version, text: &str) -> Option<Checked> {
    let begun = daemon.clock.now();
    let spec = ProcessSpec {
        program: "sh".into(),
        args: vec!["-c".into(), text.into()],
        directory: version.worktree.directory.clone(),
        env: Vec::new(),
        timeout_ms: Some(CHECK_MS),
        stdin: None,
    };
    let (send, mut receive) = mpsc::channel::<Bytes>(16);
    let mut kept = Vec::new();
    let exit = match daemon.engine().await {
        Ok(engine) => {
            let sandbox = &engine.core().ports.sandbox;
            let running = sandbox.run(spec, send, CancellationToken::new());
            let reading = async {
                while let Some(piece) = receive.recv().await {
                    kept.extend_from_slice(&piece);
                    let over = kept.len().saturating_sub(4 * TAIL_BYTES);
                    kept.drain(..over);
                }
            };
            let (exit, ()) = tokio::join!(running, reading);
            exit.map_err(|error| error.to_string())
        }
        Err(fault) => Err(fault.message),
    };
    let tail = &kept[kept.len().saturating_sub(TAIL_BYTES)..];
    if exit == Ok(Exit::Cancelled) {
        return None;
    }
    Some(Checked {
        ok: exit == Ok(Exit::Code(0)),
        how: match exit {
            Ok(Exit::Code(code)) => format!("ended with {code}"),
            Ok(Exit::TimedOut) => "took too long".into(),
            Ok(other) => format!("{other:?}"),
            Err(why) => why,
        },
        took_ms: daemon.clock.now().saturating_sub(begun),
        tail: String::from_utf8_lossy(tail).into_owned(),
    })
}
