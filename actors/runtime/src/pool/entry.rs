//! What is known of one key.

use super::{Held, Options, PoolError, Server};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Names of users that a list shows of one server.
const USERS_MAX: usize = 64;

/// A line of the pool's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<K> {
    /// The key.
    pub key: K,
    /// What it does.
    pub stage: Stage,
    /// The number of its process while it runs.
    pub pid: Option<u32>,
    /// Who used it since it was started, in the order in which they came; at most 64.
    pub users: Vec<Arc<str>>,
    /// Leases that are held now: calls in flight.
    pub leases: usize,
    /// How long it has been at this stage.
    pub for_ms: u64,
    /// Crashes in a row, failed starts included.
    pub crashes: u32,
    /// Why it crashed last.
    pub last_crash: Option<Arc<str>>,
}

/// What a server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is being started.
    Starting,
    /// It runs.
    Running,
    /// It crashed; the next use starts it anew.
    Down,
}

pub(super) struct Entry<S: Server> {
    pub state: State<S>,
    /// The number of its newest start.
    pub number: u64,
    since: Instant,
    users: Vec<Arc<str>>,
    crashes: u32,
    last_crash: Option<Arc<str>>,
    /// No start before this.
    pub not_before: Option<Instant>,
}

pub(super) enum State<S: Server> {
    Starting(Starting),
    Running(Arc<Held<S>>),
    Down,
}

pub(super) struct Starting {
    pub done: watch::Sender<Option<Result<(), PoolError>>>,
    pub stop: CancellationToken,
}

impl<S: Server> Entry<S> {
    pub fn new() -> Self {
        Self {
            state: State::Down,
            number: 0,
            since: Instant::now(),
            users: Vec::new(),
            crashes: 0,
            last_crash: None,
            not_before: None,
        }
    }

    pub fn used_by(&mut self, user: &str) {
        let known = self.users.iter().any(|known| &**known == user);
        if !known && self.users.len() < USERS_MAX {
            self.users.push(user.into());
        }
    }

    /// Now being started for the `number`-th time: what tells the outcome, and what breaks it off.
    pub fn begin(
        &mut self,
        number: u64,
    ) -> (
        watch::Receiver<Option<Result<(), PoolError>>>,
        CancellationToken,
    ) {
        let (done, started) = watch::channel(None);
        let stop = CancellationToken::new();
        self.number = number;
        self.since = Instant::now();
        self.state = State::Starting(Starting {
            done,
            stop: stop.clone(),
        });
        (started, stop)
    }

    /// It runs; whoever waited is told.
    pub fn runs(&mut self, held: Arc<Held<S>>) {
        self.since = Instant::now();
        let before = std::mem::replace(&mut self.state, State::Running(held));
        if let State::Starting(starting) = before {
            starting.done.send_replace(Some(Ok(())));
        }
    }

    /// It is gone, or could not be started.
    pub fn crashed(&mut self, why: &Arc<str>, ran: Duration, options: &Options) {
        let before = std::mem::replace(&mut self.state, State::Down);
        if let State::Starting(starting) = before {
            let error = PoolError::Start(Arc::clone(why));
            starting.done.send_replace(Some(Err(error)));
        }
        if ran >= options.steady {
            self.crashes = 0;
        }
        self.crashes = self.crashes.saturating_add(1);
        let pause = pause_after(self.crashes, options);
        self.since = Instant::now();
        self.not_before = Some(self.since + pause);
        self.last_crash = Some(Arc::clone(why));
        self.users.clear();
    }

    /// Why it does not run, for one whose start went well a moment ago.
    pub fn why_down(&self) -> PoolError {
        let crash = self.last_crash.clone();
        crash.map_or(PoolError::Stopped, PoolError::Start)
    }

    /// Ends what there is. False when nothing ran.
    pub async fn end(self) -> bool {
        match self.state {
            State::Starting(starting) => {
                starting.stop.cancel();
                starting.done.send_replace(Some(Err(PoolError::Stopped)));
                true
            }
            State::Running(held) => {
                held.stop("it was stopped").await;
                true
            }
            State::Down => false,
        }
    }

    pub fn listed<K>(&self, key: K) -> Listed<K> {
        let (stage, leases) = match &self.state {
            State::Starting(_) => (Stage::Starting, 0),
            State::Running(held) => (Stage::Running, held.leases()),
            State::Down => (Stage::Down, 0),
        };
        Listed {
            key,
            stage,
            pid: match &self.state {
                State::Running(held) => held.server.pid(),
                _ => None,
            },
            users: self.users.clone(),
            leases,
            for_ms: u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX),
            crashes: self.crashes,
            last_crash: self.last_crash.clone(),
        }
    }
}

/// The pause before the start that follows the `crashes`-th crash in a row.
fn pause_after(crashes: u32, options: &Options) -> Duration {
    match crashes.checked_sub(2) {
        None => Duration::ZERO,
        Some(doublings) => options
            .pause
            .saturating_mul(2_u32.saturating_pow(doublings))
            .min(options.pause_max),
    }
}
