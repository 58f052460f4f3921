//! Finds the live actor of a session, builds it from the log when there is none, and leaves it alone when it keeps dying.

use crate::limits::{DEATH_WINDOW, DEATHS_MAX};
use actix::{Actor, Addr, Context};
use kilo_protocol::{Fault, FaultKind, Millis, SessionId};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Why there is no actor.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RegistryError {
    /// It died too often in a short time.
    #[error("session {0} failed repeatedly and is left alone; its history can still be read")]
    Failed(SessionId),
    /// It could not be built.
    #[error("{0}")]
    Build(Fault),
}

impl From<RegistryError> for Fault {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::Build(fault) => fault,
            failed @ RegistryError::Failed(_) => {
                Fault::named(FaultKind::Unavailable, "SessionFailed", failed.to_string())
            }
        }
    }
}

type Slot<A> = Arc<OnceCell<Addr<A>>>;

/// Live actors by session.
pub struct Registry<A: Actor<Context = Context<A>>> {
    slots: Mutex<HashMap<SessionId, Slot<A>>>,
    deaths: Mutex<HashMap<SessionId, Vec<Millis>>>,
}

impl<A: Actor<Context = Context<A>>> Default for Registry<A> {
    fn default() -> Self {
        Self {
            slots: Mutex::default(),
            deaths: Mutex::default(),
        }
    }
}

impl<A: Actor<Context = Context<A>>> Registry<A> {
    /// The live actor, if there is one.
    pub fn live(&self, session: &SessionId) -> Option<Addr<A>> {
        let slots = self.slots.lock();
        slots
            .get(session)?
            .get()
            .filter(|address| address.connected())
            .cloned()
    }

    /// The live actor, or a new one from `build`. Callers that come together share one build.
    pub async fn get<F>(
        &self,
        session: &SessionId,
        build: impl FnOnce() -> F,
    ) -> Result<Addr<A>, RegistryError>
    where
        F: Future<Output = Result<Addr<A>, Fault>>,
    {
        let slot = {
            let mut slots = self.slots.lock();
            let slot = slots.entry(session.clone()).or_default();
            if slot.get().is_some_and(|address| !address.connected()) {
                *slot = Slot::default();
            }
            Arc::clone(slot)
        };
        if self.is_failed(session) {
            return Err(RegistryError::Failed(session.clone()));
        }
        let built = slot.get_or_try_init(build).await.cloned();
        if built.is_err() {
            self.slots.lock().remove(session);
        }
        built.map_err(RegistryError::Build)
    }

    /// Forgets the actor of a session; the next look-up builds a new one.
    pub fn forget(&self, session: &SessionId) {
        self.slots.lock().remove(session);
    }

    /// Notes that an actor died of a panic at `now`.
    pub fn died(&self, session: &SessionId, now: Millis) {
        self.forget(session);
        let mut deaths = self.deaths.lock();
        let times = deaths.entry(session.clone()).or_default();
        let window = DEATH_WINDOW.as_millis() as Millis;
        times.retain(|at| at + window > now);
        times.push(now);
        tracing::error!(%session, deaths = times.len(), "session actor died, it will be rebuilt from the log");
    }

    /// Whether a session died too often.
    pub fn is_failed(&self, session: &SessionId) -> bool {
        self.deaths
            .lock()
            .get(session)
            .is_some_and(|times| times.len() >= DEATHS_MAX)
    }

    /// All live actors.
    pub fn all(&self) -> Vec<(SessionId, Addr<A>)> {
        let slots = self.slots.lock();
        slots
            .iter()
            .filter_map(|(id, slot)| Some((id.clone(), slot.get()?.clone())))
            .filter(|(_, address)| address.connected())
            .collect()
    }
}
