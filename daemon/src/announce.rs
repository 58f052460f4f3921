//! Events of what runs beside sessions, for the clients of its folder.

use kilo_process::{Happened as Changed, Processes};
use kilo_protocol::process::{ProcessChanged, ProcessGone};
use kilo_protocol::terminal::{TerminalChanged, TerminalExited, TerminalGone};
use kilo_protocol::{Event, SessionId};
use kilo_runtime::Received;
use kilo_session::Engine;
use kilo_terminal::{Announce, Happened};
use std::borrow::Cow;
use std::sync::{Arc, Once};
use tokio::runtime::Handle;

/// Tells clients of terminals.
pub fn of_terminals(engine: Arc<Engine>) -> Announce {
    Arc::new(move |directory, happened| {
        let changed = |info| TerminalChanged {
            info: Cow::Owned(info),
        };
        let event = match happened {
            Happened::Created(info) => Event::TerminalCreated(changed(info)),
            Happened::Updated(info) => Event::TerminalUpdated(changed(info)),
            Happened::Exited(info) => Event::TerminalExited(TerminalExited {
                exit_code: info.exit_code.unwrap_or_default(),
                id: info.id.into(),
            }),
            Happened::Deleted(id) => Event::TerminalDeleted(TerminalGone { id: id.into() }),
        };
        engine.core().publish(Some(directory), &event);
    })
}

/// Tells clients of background processes, and ends those whose session ends. Nothing runs before the first one.
pub fn of_processes(processes: &Processes, engine: &Arc<Engine>, handle: &Handle) {
    let (first, handle) = (Once::new(), handle.clone());
    let (all, told) = (processes.clone(), Arc::clone(engine));
    let announce = move |directory: &str, changed| {
        first.call_once(|| {
            handle.spawn(end_with_sessions(all.clone(), Arc::clone(&told)));
        });
        let scope = Cow::Borrowed(directory);
        let event = match changed {
            Changed::Updated(info) => Event::ProcessUpdated(ProcessChanged {
                info: Cow::Owned(*info),
                scope,
            }),
            Changed::Deleted { session, id } => Event::ProcessDeleted(ProcessGone {
                session_id: Cow::Owned(session),
                process_id: id.into(),
                scope,
            }),
        };
        told.core().publish(Some(directory), &event);
    };
    let catalog = Arc::clone(engine);
    let parent = move |session: &SessionId| catalog.queries().session(session).ok()?.parent_id;
    processes.connect(Arc::new(announce), Arc::new(parent));
}

/// Follows the events: a deleted session takes its processes along, a task's session that is done those that it
/// started for itself.
async fn end_with_sessions(processes: Processes, engine: Arc<Engine>) {
    let (mut subscription, _) = engine.core().ledger.journal().subscribe();
    loop {
        match subscription.next().await {
            Received::Frame(frame) => match session_over(&frame.json) {
                Some(Over::Deleted(session)) => processes.session_ended(&session).await,
                Some(Over::Idle(session)) => {
                    let head = engine.queries().session(&session);
                    if head.is_ok_and(|head| head.parent_id.is_some()) {
                        processes.task_ended(&session).await;
                    }
                }
                None => {}
            },
            // What was missed may be a deletion.
            Received::Lagged(_) => {
                (subscription, _) = engine.core().ledger.journal().subscribe();
                for session in processes.sessions() {
                    if !engine.core().ledger.catalog().contains(&session) {
                        processes.session_ended(&session).await;
                    }
                }
            }
            Received::Closed => return,
        }
    }
}

enum Over {
    Deleted(SessionId),
    Idle(SessionId),
}

/// Most frames are something else and are not read.
fn session_over(json: &[u8]) -> Option<Over> {
    let head = json.get(..json.len().min(120))?;
    let is = |name: &str| head.windows(name.len()).any(|part| part == name.as_bytes());
    if !is("\"session.deleted\"") && !is("\"session.idle\"") {
        return None;
    }
    let event = kilo_protocol::Received::read(std::str::from_utf8(json).ok()?).ok()?;
    match event.event {
        Event::SessionDeleted(info) => Some(Over::Deleted(info.session_id.into_owned())),
        Event::Idle(session) => Some(Over::Idle(session.session_id.into_owned())),
        _ => None,
    }
}
