//! One running server for all who need the same one.
//!
//! A server is whatever is started, talked to and ended: a process that speaks MCP, a language server. Its key says what
//! makes two of them the same. It starts at its first use, and those who come meanwhile wait for the same start; nobody's
//! leaving breaks it off. Unused for [`Options::idle`] it is ended. One that ends by itself has crashed: its calls in
//! flight fail ([`Lease::during`]), the crash is told once ([`OnCrash`]), and the next use starts it anew, after a pause
//! that grows while crashes follow one another. The pool never sends anything to a server, so it cannot mix up calls.
//!
//! Start at [`Pool::lease`]; `entry.rs` holds what is known of one key, `keeper.rs` what watches one server.

mod entry;
mod keeper;
mod lease;
#[cfg(test)]
mod tests;

pub use entry::{Listed, Stage};
pub use lease::{Gone, Lease};

use entry::{Entry, State};
use kilo_ports::BoxFuture;
use lease::Held;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Keys of servers that are down and remembered for their crashes.
const DOWN_MAX: usize = 256;

/// What the pool holds.
pub trait Server: Send + Sync + 'static {
    /// Resolves when it is gone, whoever ended it; says why, for people: `exited with status 1`.
    fn gone(&self) -> BoxFuture<'static, String>;

    /// Ends it and waits until it is gone; bounds its own patience.
    fn end(&self) -> BoxFuture<'static, ()>;

    /// The number of its process, if it is one.
    fn pid(&self) -> Option<u32> {
        None
    }
}

/// What makes two servers the same; its text is what lists show.
pub trait Key: Clone + Eq + Hash + Display + Send + Sync + 'static {}
impl<K: Clone + Eq + Hash + Display + Send + Sync + 'static> Key for K {}

/// A server being started, or why it could not be, for people.
pub type Start<S> = BoxFuture<'static, Result<S, String>>;

/// Told of each crash, once: the key and why.
pub type OnCrash<K> = Arc<dyn Fn(&K, &str) + Send + Sync>;

/// How patient a pool is.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// A server that nobody has leased for so long is ended.
    pub idle: Duration,
    /// The pause before the second restart in a row; it doubles with each. The first restart comes at once.
    pub pause: Duration,
    /// The longest pause.
    pub pause_max: Duration,
    /// A server that ran for so long starts with a clean slate.
    pub steady: Duration,
}

impl Default for Options {
    /// Five minutes idle; pauses of 1 s to 30 s; a minute is steady.
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(5 * 60),
            pause: Duration::from_secs(1),
            pause_max: Duration::from_secs(30),
            steady: Duration::from_secs(60),
        }
    }
}

/// Why there is no server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// It could not be started; the text is the starter's.
    #[error("{0}")]
    Start(Arc<str>),
    /// It was stopped while it started.
    #[error("it was stopped while it started")]
    Stopped,
    /// The pool takes no more users: the daemon ends.
    #[error("the daemon ends")]
    Closed,
}

/// The pool. Clones are the same pool.
pub struct Pool<K: Key, S: Server> {
    inner: Arc<Inner<K, S>>,
}

impl<K: Key, S: Server> Clone for Pool<K, S> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

struct Inner<K: Key, S: Server> {
    handle: Handle,
    options: Options,
    on_crash: OnCrash<K>,
    entries: Mutex<Entries<K, S>>,
    closed: CancellationToken,
}

struct Entries<K: Key, S: Server> {
    by_key: HashMap<K, Entry<S>>,
    /// The number of the newest start: what an older one reports is not for its successor.
    newest: u64,
}

/// What a look at a key gives.
enum Step<S: Server> {
    Have(Lease<S>),
    Wait(watch::Receiver<Option<Result<(), PoolError>>>),
    Pause(Instant),
}

impl<K: Key, S: Server> Pool<K, S> {
    /// An empty pool; nothing runs for it until the first lease. Servers are started and watched on `handle`.
    pub fn new(handle: Handle, options: Options, on_crash: OnCrash<K>) -> Self {
        Self {
            inner: Arc::new(Inner {
                handle,
                options,
                on_crash,
                entries: Mutex::new(Entries {
                    by_key: HashMap::new(),
                    newest: 0,
                }),
                closed: CancellationToken::new(),
            }),
        }
    }

    /// The server of `key`, started with `start` if it does not run. `user` names who needs it, for lists. Cancel safe: a
    /// start that was begun goes on without its first caller.
    ///
    /// After crashes in a row it waits for the end of the pause.
    pub async fn lease(
        &self,
        key: &K,
        user: &str,
        start: impl FnOnce() -> Start<S> + Send,
    ) -> Result<Lease<S>, PoolError> {
        let mut start = Some(start);
        loop {
            let step = self.look(key, user, &mut start)?;
            match step {
                Step::Have(lease) => return Ok(lease),
                Step::Wait(mut started) => {
                    let outcome = started.wait_for(Option::is_some).await;
                    match outcome.map(|outcome| outcome.clone()) {
                        Ok(Some(Err(error))) => return Err(error),
                        Ok(_) => {}
                        Err(_) => return Err(PoolError::Stopped),
                    }
                }
                Step::Pause(until) => tokio::select! {
                    () = tokio::time::sleep_until(until) => {}
                    () = self.inner.closed.cancelled() => return Err(PoolError::Closed),
                },
            }
        }
    }

    /// Takes a running server, joins a start, begins one, or says how long to wait.
    fn look<F: FnOnce() -> Start<S>>(
        &self,
        key: &K,
        user: &str,
        start: &mut Option<F>,
    ) -> Result<Step<S>, PoolError> {
        let mut entries = self.inner.entries.lock();
        if self.inner.closed.is_cancelled() {
            return Err(PoolError::Closed);
        }
        let number = entries.newest + 1;
        let entry = entries.by_key.entry(key.clone()).or_insert_with(Entry::new);
        match &entry.state {
            State::Running(held) => {
                let lease = Lease::new(held);
                entry.used_by(user);
                return Ok(Step::Have(lease));
            }
            State::Starting(starting) => {
                let started = starting.done.subscribe();
                entry.used_by(user);
                return Ok(Step::Wait(started));
            }
            State::Down => {}
        }
        if let Some(until) = entry.not_before.filter(|until| *until > Instant::now()) {
            return Ok(Step::Pause(until));
        }
        // Who joined a start that then went well finds the server running, or gone again; a second start of his is one too
        // many only if his own was used up.
        let Some(start) = start.take() else {
            return Err(entry.why_down());
        };
        entry.used_by(user);
        let (started, stop) = entry.begin(number);
        entries.newest = number;
        drop(entries);
        let begun = start();
        self.inner.handle.spawn(keeper::keep(
            Arc::clone(&self.inner),
            key.clone(),
            number,
            begun,
            stop,
        ));
        Ok(Step::Wait(started))
    }

    /// Ends the server of `key` and forgets its crashes; its calls in flight fail. False when there was none. Whoever
    /// leases it afterwards starts a new one.
    pub async fn stop(&self, key: &K) -> bool {
        let removed = self.inner.entries.lock().by_key.remove(key);
        match removed {
            Some(entry) => entry.end().await,
            None => false,
        }
    }

    /// Forgets the crashes of a server that is down: its next use does not wait.
    pub fn forgive(&self, key: &K) {
        let mut entries = self.inner.entries.lock();
        let is_down = entries.by_key.get(key);
        if is_down.is_some_and(|entry| matches!(entry.state, State::Down)) {
            entries.by_key.remove(key);
        }
    }

    /// Ends all servers, waits for them, and gives out no more.
    pub async fn shut_down(&self) {
        self.inner.closed.cancel();
        let all: Vec<Entry<S>> = {
            let mut entries = self.inner.entries.lock();
            entries.by_key.drain().map(|(_, entry)| entry).collect()
        };
        let ends = all.into_iter().map(Entry::end);
        futures_util::future::join_all(ends).await;
    }

    /// The running server of `key`, without starting one and without counting as its user.
    pub fn peek(&self, key: &K) -> Option<Lease<S>> {
        match &self.inner.entries.lock().by_key.get(key)?.state {
            State::Running(held) => Some(Lease::new(held)),
            _ => None,
        }
    }

    /// What there is, in the order of the keys' texts; also servers that crashed and were not used again.
    pub fn list(&self) -> Vec<Listed<K>> {
        let entries = self.inner.entries.lock();
        let mut listed: Vec<Listed<K>> = entries
            .by_key
            .iter()
            .map(|(key, entry)| entry.listed(key.clone()))
            .collect();
        drop(entries);
        listed.sort_by_key(|listed| listed.key.to_string());
        listed
    }
}

impl<K: Key, S: Server> Inner<K, S> {
    /// The entry of `key` if it is still that of the start `number`.
    fn with<T>(&self, key: &K, number: u64, work: impl FnOnce(&mut Entry<S>) -> T) -> Option<T> {
        let mut entries = self.entries.lock();
        let entry = entries.by_key.get_mut(key)?;
        (entry.number == number).then(|| work(entry))
    }

    fn remove_if(&self, key: &K, number: u64, is_so: impl FnOnce(&Entry<S>) -> bool) -> bool {
        let mut entries = self.entries.lock();
        let goes = entries
            .by_key
            .get(key)
            .is_some_and(|entry| entry.number == number && is_so(entry));
        if goes {
            entries.by_key.remove(key);
        }
        goes
    }

    /// Bounds what is remembered of servers that are down.
    fn prune(&self) {
        let mut entries = self.entries.lock();
        if entries.by_key.len() > DOWN_MAX {
            entries
                .by_key
                .retain(|_, entry| !matches!(entry.state, State::Down));
        }
    }
}
