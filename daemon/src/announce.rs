//! Events of what runs beside sessions, for the clients of its folder.

use kilo_protocol::Event;
use kilo_protocol::terminal::{TerminalChanged, TerminalExited, TerminalGone};
use kilo_session::Engine;
use kilo_terminal::{Announce, Happened};
use std::borrow::Cow;
use std::sync::Arc;

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
