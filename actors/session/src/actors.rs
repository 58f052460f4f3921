//! The live actors: found, built from the log, asked. Everything that changes or reads a session comes through here.

use crate::actor::{Beginning, SessionActor};
use crate::apply::fold;
use crate::core::Core;
use crate::machine::{Decision, Machine};
use crate::project::Address;
use crate::record::Logged;
use crate::scope::Children;
use crate::state::{State, VIEW_FORMAT};
use actix::prelude::*;
use kilo_ports::store::{SavedView, SessionLog, Unreadable};
use kilo_protocol::{Fault, SessionId};
use kilo_runtime::{Ending, Live, Placement, Registry, RegistryError, Tenure, limits};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

/// The actors.
pub struct Actors {
    core: Arc<Core>,
    registry: Registry<SessionActor>,
    placement: Placement,
    children: Weak<dyn Children>,
    /// Sessions that are being deleted: nobody builds their actor any more.
    leaving: Mutex<HashSet<SessionId>>,
    stopping: Arc<AtomicBool>,
}

/// A session as its log has it, with everything closed that the end of its last actor left open.
struct Recovered {
    machine: Machine,
    decision: Decision,
    next_seq: u64,
    tail_bytes: u64,
    view_bytes: u64,
}

impl Actors {
    /// No actors yet. `children` runs the sessions below others.
    pub(crate) fn new(
        core: Arc<Core>,
        placement: Placement,
        children: Weak<dyn Children>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|actors: &Weak<Self>| {
            let (weak, ends) = (Weak::clone(actors), Arc::clone(&core));
            let stopping = Arc::new(AtomicBool::new(false));
            let stops = Arc::clone(&stopping);
            let on_ending = move |session: &SessionId, ending| {
                let was_busy = ends.ledger.activity().is_busy(session);
                // Nobody would answer what it asked; its successor asks anew, or closes it.
                ends.ledger.activity().forget(session);
                ends.seen.forget(session);
                let is_open = was_busy || ending == Ending::Died;
                if is_open && !stops.load(Ordering::Relaxed) {
                    rebuild(&ends, Weak::clone(&weak), session.clone());
                }
            };
            let clock = Arc::clone(&core.ports.clock);
            let handle = core.ports.handle.clone();
            Self {
                registry: Registry::new(handle, clock, Box::new(on_ending)),
                core,
                placement,
                children,
                leaving: Mutex::default(),
                stopping,
            }
        })
    }

    /// The live actor of a session, if there is one.
    pub(crate) fn live(&self, session: &SessionId) -> Option<Live<SessionActor>> {
        self.registry.live(session)
    }

    /// The live actor of a session, built from the log if need be.
    pub(crate) async fn find(&self, session: &SessionId) -> Result<Live<SessionActor>, Fault> {
        if let Some(live) = self.registry.live(session) {
            return Ok(live);
        }
        if !self.core.ledger.catalog().contains(session) || self.leaving.lock().contains(session) {
            return Err(Fault::not_found("Session", session));
        }
        let building = self
            .registry
            .get(session, |tenure| self.build(session.clone(), tenure));
        // A predecessor's calls get their time to stop before this one is built.
        let patience = limits::SEND_TIMEOUT + limits::STOP_GRACE;
        let built = tokio::time::timeout(patience, building).await;
        let built = built.map_err(|_| Fault::unavailable("the session is still stopping"))?;
        built.map_err(|error: RegistryError| error.into())
    }

    /// Builds an actor: what was open is closed in the log before anybody can reach it.
    fn build(
        &self,
        session: SessionId,
        tenure: Tenure,
    ) -> impl Future<Output = Result<Addr<SessionActor>, Fault>> + Send + 'static {
        let core = Arc::clone(&self.core);
        let children = Weak::clone(&self.children);
        let arbiter = self.placement.pick();
        async move {
            let reader = Arc::clone(&core);
            let reading = core.ports.handle.spawn_blocking(move || {
                let recovered = recover(&reader, &session)?;
                close(&reader, recovered)
            });
            let beginning = reading
                .await
                .map_err(|_| Fault::unavailable("reading the session failed"))??;
            Ok(SessionActor::start_in_arbiter(&arbiter, move |ctx| {
                ctx.set_mailbox_capacity(limits::SESSION_MAILBOX);
                SessionActor::new(core, children, tenure, beginning)
            }))
        }
    }

    /// Sends a message to a session's actor; again when that one ended in between. Messages are such that it does no harm
    /// when the first actor took one and died before it could say so.
    pub(crate) async fn ask<M>(
        &self,
        session: &SessionId,
        make: impl Fn() -> M,
    ) -> Result<M::Result, Fault>
    where
        M: Message + Send + 'static,
        M::Result: Send + 'static,
        SessionActor: Handler<M>,
        <SessionActor as Actor>::Context: actix::dev::ToEnvelope<SessionActor, M>,
    {
        for _ in 0..ASK_TRIES {
            let live = self.find(session).await?;
            let sent = live.address.send(make()).timeout(limits::SEND_TIMEOUT);
            match sent.await {
                Ok(answer) => return Ok(answer),
                Err(MailboxError::Closed) => self.registry.gone(session, live.generation),
                Err(MailboxError::Timeout) => {
                    return Err(Fault::unavailable("the session is overloaded"));
                }
            }
        }
        Err(Fault::unavailable("the session cannot be reached"))
    }

    /// Reads a session without an actor, as it would be once one had closed what is open; nothing is written.
    pub(crate) async fn read(&self, session: &SessionId) -> Result<State, Fault> {
        let (core, session) = (Arc::clone(&self.core), session.clone());
        let reading = self
            .core
            .ports
            .handle
            .spawn_blocking(move || recover(&core, &session));
        let recovered = reading
            .await
            .map_err(|_| Fault::unavailable("reading the session failed"))??;
        Ok(recovered.machine.state)
    }

    /// Ends a session's actor for good, then does `last`; nobody builds a new one meanwhile.
    pub(crate) async fn end<T>(
        &self,
        session: &SessionId,
        last: impl FnOnce() -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if !self.leaving.lock().insert(session.clone()) {
            return Err(Fault::not_found("Session", session));
        }
        self.registry.end(session).await;
        let done = last();
        self.registry.forget(session);
        self.leaving.lock().remove(session);
        done
    }

    /// Ends a session's actor; the next request builds another.
    pub(crate) async fn retire(&self, session: &SessionId) {
        self.registry.end(session).await;
    }

    /// Ends all of them; waits until nothing runs any more, within `limit`.
    pub(crate) async fn end_all(&self, limit: std::time::Duration) {
        self.stopping.store(true, Ordering::Relaxed);
        let ends = self.all().into_iter().map(|session| async move {
            self.registry.end(&session).await;
        });
        let all = futures_util::future::join_all(ends);
        let _ = tokio::time::timeout(limit, all).await;
    }

    /// The sessions with a live actor.
    pub(crate) fn all(&self) -> Vec<SessionId> {
        let live = self.registry.all().into_iter();
        live.map(|(session, _)| session).collect()
    }
}

/// How often a message is sent anew to a session whose actor keeps ending; deaths end that sooner.
const ASK_TRIES: usize = 4;

/// Builds the successor of an actor that ended in the middle, so that what it left open is closed.
fn rebuild(core: &Core, actors: Weak<Actors>, session: SessionId) {
    core.spawn(async move {
        if let Some(actors) = Weak::upgrade(&actors)
            && let Err(fault) = actors.find(&session).await
        {
            tracing::warn!(%session, %fault, "session could not be rebuilt, the next request tries again");
        }
    });
}

/// Folds a session's log and decides what has to be closed. Blocks on the disk.
fn recover(core: &Core, session: &SessionId) -> Result<Recovered, Fault> {
    let log = core.ledger.store().load(session)?;
    let view_bytes = log.view.as_ref().map_or(0, |view| view.body.len() as u64);
    let next_seq = match (log.tail.last(), &log.view) {
        (Some(last), _) => last.seq + 1,
        (None, Some(view)) => view.seq + 1,
        (None, None) => 0,
    };
    let tail_bytes = log.tail_bytes;
    let state = state_of(core, session, log)?;
    let mut machine = Machine::new(state);
    let decision = machine.recover(core.now(), core.ledger.ids());
    Ok(Recovered {
        machine,
        decision,
        next_seq,
        tail_bytes,
        view_bytes,
    })
}

/// Writes what the recovery decided, and makes a beginning of it.
fn close(core: &Core, mut recovered: Recovered) -> Result<Beginning, Fault> {
    let records = std::mem::take(&mut recovered.decision.records);
    if !records.is_empty() {
        let state = &recovered.machine.state;
        let address = Address::of(&state.info);
        let now = core.now();
        let written = core.ledger.append(&address, state, &records, now)?;
        crate::effects::sync_soon(core, written.appended.last_pos);
        recovered.next_seq = written.appended.first_seq + records.len() as u64;
        recovered.tail_bytes += written.bytes;
    }
    let state = &recovered.machine.state;
    let activity = core.ledger.activity();
    activity.take_up(&state.info.id, state.undo.is_some());
    Ok(Beginning {
        machine: recovered.machine,
        effects: recovered.decision.effects,
        next_seq: recovered.next_seq,
        tail_bytes: recovered.tail_bytes,
        view_bytes: recovered.view_bytes,
    })
}

fn state_of(core: &Core, session: &SessionId, log: SessionLog) -> Result<State, Fault> {
    let (start, log) = match &log.view {
        None => (None, log),
        Some(view) => match read_view(view) {
            Ok(state) => (Some(state), log),
            Err(why) => {
                // A view holds nothing of its own: all of it follows from the records.
                core.ledger.store().report(session, Unreadable::View, &why);
                (None, core.ledger.store().load_whole(session)?)
            }
        },
    };
    let mut logged: Vec<Logged> = Vec::with_capacity(log.tail.len());
    for stored in &log.tail {
        match serde_json::from_slice(&stored.body) {
            Ok(record) => logged.push(record),
            Err(error) => core.ledger.store().report(
                session,
                Unreadable::Record(stored.pos),
                &error.to_string(),
            ),
        }
    }
    fold(start, &logged).ok_or_else(|| Fault::not_found("Session", session))
}

fn read_view(view: &SavedView) -> Result<State, String> {
    if view.format > VIEW_FORMAT {
        return Err(format!("its format {} is of a newer version", view.format));
    }
    let mut state: State = serde_json::from_slice(&view.body).map_err(|error| error.to_string())?;
    state.reindex();
    Ok(state)
}
