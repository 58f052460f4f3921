//! Finds the live actor of a session, or builds it from the log; never two at a time.
//!
//! An entry is one [`Lifetime`] with its generation. The actor holds the [`Tenure`] of it and gives it back by being
//! dropped, whatever it died of. Who finds that an actor is gone names its generation, so nobody can take away a newer
//! one; and a successor is not built before everything that ran for its predecessor has ended.

use crate::lifetime::Lifetime;
use crate::limits::{DEATH_WINDOW, DEATHS_MAX};
use actix::{Actor, Addr, Context};
use kilo_ports::clock::Clock;
use kilo_protocol::{Fault, FaultKind, Millis, SessionId};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::task::task_tracker::TaskTrackerToken;

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

/// How an actor's life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It went by itself: idle, deleted, or after a failed append.
    Left,
    /// A panic.
    Died,
}

/// Told of every ending, before a successor can be built.
pub type OnEnding = Box<dyn Fn(&SessionId, Ending) + Send + Sync>;

/// A live actor.
pub struct Live<A: Actor> {
    /// Its address.
    pub address: Addr<A>,
    /// Its generation.
    pub generation: u64,
}

/// How the build of an actor ended; `None` while it goes on.
type Built<A> = Option<Result<Addr<A>, RegistryError>>;

struct Entry<A: Actor> {
    lifetime: Lifetime,
    built: watch::Receiver<Built<A>>,
}

struct Inner<A: Actor> {
    entries: HashMap<SessionId, Entry<A>>,
    /// Lives that ended while something of them still ran.
    leaving: HashMap<SessionId, Lifetime>,
    deaths: HashMap<SessionId, Vec<Millis>>,
    generations: u64,
}

struct Shelf<A: Actor> {
    inner: Mutex<Inner<A>>,
    handle: Handle,
    clock: Arc<dyn Clock>,
    on_ending: OnEnding,
}

/// Live actors by session.
pub struct Registry<A: Actor<Context = Context<A>>> {
    shelf: Arc<Shelf<A>>,
}

/// An actor's right to be a session's only one. Dropping it ends its [`Lifetime`].
pub struct Tenure {
    lifetime: Lifetime,
    leave: Option<Box<dyn FnOnce(Ending) + Send>>,
    // Dropped after `leave` has run: until then the successor waits.
    _running: TaskTrackerToken,
}

impl Tenure {
    /// The life that it stands for.
    pub fn lifetime(&self) -> &Lifetime {
        &self.lifetime
    }
}

impl Drop for Tenure {
    fn drop(&mut self) {
        self.lifetime.end();
        let ending = if std::thread::panicking() {
            Ending::Died
        } else {
            Ending::Left
        };
        if let Some(leave) = self.leave.take() {
            leave(ending);
        }
    }
}

impl<A: Actor<Context = Context<A>>> Registry<A> {
    /// An empty registry. Actors are built on `handle`; `on_ending` hears of every end.
    pub fn new(handle: Handle, clock: Arc<dyn Clock>, on_ending: OnEnding) -> Self {
        Self {
            shelf: Arc::new(Shelf {
                inner: Mutex::new(Inner {
                    entries: HashMap::new(),
                    leaving: HashMap::new(),
                    deaths: HashMap::new(),
                    generations: 0,
                }),
                handle,
                clock,
                on_ending,
            }),
        }
    }

    /// The live actor, if there is one.
    pub fn live(&self, session: &SessionId) -> Option<Live<A>> {
        let inner = self.shelf.inner.lock();
        inner.entries.get(session)?.live()
    }

    /// The live actor, or a new one from `build`. Callers that come together share one build, which goes on whatever
    /// becomes of them.
    ///
    /// Errors: [`RegistryError::Failed`] after [`DEATHS_MAX`] deaths, else what `build` says.
    pub async fn get<F>(
        &self,
        session: &SessionId,
        build: impl FnOnce(Tenure) -> F,
    ) -> Result<Live<A>, RegistryError>
    where
        F: Future<Output = Result<Addr<A>, Fault>> + Send + 'static,
    {
        let (mut built, generation) = self.find_or_begin(session, build)?;
        let ended = built.wait_for(Option::is_some).await;
        let address = match ended.as_deref() {
            Ok(Some(built)) => built.clone()?,
            // The daemon ends: nobody builds any more.
            _ => {
                let fault = Fault::unavailable("the session could not be built");
                return Err(RegistryError::Build(fault));
            }
        };
        Ok(Live {
            address,
            generation,
        })
    }

    fn find_or_begin<F>(
        &self,
        session: &SessionId,
        build: impl FnOnce(Tenure) -> F,
    ) -> Result<(watch::Receiver<Built<A>>, u64), RegistryError>
    where
        F: Future<Output = Result<Addr<A>, Fault>> + Send + 'static,
    {
        let (lifetime, before, say, built) = {
            let mut inner = self.shelf.inner.lock();
            if let Some(entry) = inner.entries.get(session).filter(|entry| entry.is_usable()) {
                return Ok((entry.built.clone(), entry.lifetime.generation()));
            }
            if is_failed(&inner, session) {
                return Err(RegistryError::Failed(session.clone()));
            }
            inner.generations += 1;
            let lifetime = Lifetime::new(inner.generations);
            let before = inner
                .entries
                .remove(session)
                .map(|entry| entry.lifetime)
                .or_else(|| inner.leaving.remove(session));
            let (say, built) = watch::channel(None);
            let entry = Entry {
                lifetime: lifetime.clone(),
                built: built.clone(),
            };
            inner.entries.insert(session.clone(), entry);
            (lifetime, before, say, built)
        };
        // Outside the lock: a future that is dropped here gives its tenure back, and that takes the lock.
        let building = build(self.tenure(session, &lifetime));
        self.shelf.handle.spawn(async move {
            if let Some(before) = before {
                before.end();
                before.ended().await;
            }
            let _ = say.send(Some(building.await.map_err(RegistryError::Build)));
        });
        Ok((built, lifetime.generation()))
    }

    fn tenure(&self, session: &SessionId, lifetime: &Lifetime) -> Tenure {
        let shelf = Arc::downgrade(&self.shelf);
        let (session, generation) = (session.clone(), lifetime.generation());
        Tenure {
            lifetime: lifetime.clone(),
            leave: Some(Box::new(move |ending| {
                if let Some(shelf) = Weak::upgrade(&shelf) {
                    shelf.left(&session, generation, ending);
                }
            })),
            _running: lifetime.hold(),
        }
    }

    /// Takes notice that the actor of this generation does not answer any more. A newer one is not touched.
    pub fn gone(&self, session: &SessionId, generation: u64) {
        let inner = self.shelf.inner.lock();
        if let Some(entry) = inner.entries.get(session)
            && entry.lifetime.generation() == generation
        {
            // It stays in its place until it has really ended: a successor waits for that.
            entry.lifetime.end();
        }
    }

    /// Ends a session's actor and waits until nothing runs for it any more.
    pub async fn end(&self, session: &SessionId) {
        let lifetime = {
            let inner = self.shelf.inner.lock();
            let entry = inner.entries.get(session).map(|entry| &entry.lifetime);
            entry.or_else(|| inner.leaving.get(session)).cloned()
        };
        if let Some(lifetime) = lifetime {
            lifetime.end();
            lifetime.ended().await;
        }
    }

    /// Forgets what is known of a session that is no more.
    pub fn forget(&self, session: &SessionId) {
        self.shelf.inner.lock().deaths.remove(session);
    }

    /// Whether a session died too often.
    pub fn is_failed(&self, session: &SessionId) -> bool {
        is_failed(&self.shelf.inner.lock(), session)
    }

    /// All live actors.
    pub fn all(&self) -> Vec<(SessionId, Live<A>)> {
        let inner = self.shelf.inner.lock();
        let entries = inner.entries.iter();
        entries
            .filter_map(|(id, entry)| Some((id.clone(), entry.live()?)))
            .collect()
    }
}

impl<A: Actor<Context = Context<A>>> Entry<A> {
    /// Being built, or built and not about to end.
    fn is_usable(&self) -> bool {
        if self.lifetime.is_ending() {
            return false;
        }
        match &*self.built.borrow() {
            None => true,
            Some(Ok(address)) => address.connected(),
            Some(Err(_)) => false,
        }
    }

    fn live(&self) -> Option<Live<A>> {
        if !self.is_usable() {
            return None;
        }
        let address = match &*self.built.borrow() {
            Some(Ok(address)) => address.clone(),
            _ => return None,
        };
        Some(Live {
            address,
            generation: self.lifetime.generation(),
        })
    }
}

fn is_failed<A: Actor>(inner: &Inner<A>, session: &SessionId) -> bool {
    let deaths = inner.deaths.get(session);
    deaths.is_some_and(|times| times.len() >= DEATHS_MAX)
}

impl<A: Actor<Context = Context<A>>> Shelf<A> {
    /// A life is over; what ran for it may still be on its way out.
    fn left(self: &Arc<Self>, session: &SessionId, generation: u64, ending: Ending) {
        if ending == Ending::Died {
            self.note_death(session);
        }
        {
            let mut inner = self.inner.lock();
            let is_current = inner
                .entries
                .get(session)
                .is_some_and(|entry| entry.lifetime.generation() == generation);
            if is_current && let Some(entry) = inner.entries.remove(session) {
                self.see_off(session, &entry.lifetime);
                inner.leaving.insert(session.clone(), entry.lifetime);
            }
        }
        (self.on_ending)(session, ending);
    }

    /// Forgets a life once nothing of it runs.
    fn see_off(self: &Arc<Self>, session: &SessionId, lifetime: &Lifetime) {
        let (shelf, session, lifetime) = (Arc::clone(self), session.clone(), lifetime.clone());
        self.handle.clone().spawn(async move {
            lifetime.ended().await;
            let mut inner = shelf.inner.lock();
            let same = inner
                .leaving
                .get(&session)
                .is_some_and(|left| left.generation() == lifetime.generation());
            if same {
                inner.leaving.remove(&session);
            }
        });
    }

    fn note_death(&self, session: &SessionId) {
        let now = self.clock.now();
        let recent = |at: &Millis| at + DEATH_WINDOW.as_millis() as Millis > now;
        let mut inner = self.inner.lock();
        let times = inner.deaths.entry(session.clone()).or_default();
        times.retain(recent);
        times.push(now);
        tracing::error!(%session, deaths = times.len(), "session actor died, it will be rebuilt from the log");
        // What is neither recent nor enough to leave a session alone says nothing any more.
        inner
            .deaths
            .retain(|_, times| times.len() >= DEATHS_MAX || times.iter().any(recent));
    }
}
