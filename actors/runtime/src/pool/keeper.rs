//! The task of one server: starts it, watches it, ends it.

use super::{Held, Inner, Key, Server, Start, State};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Why a server's task goes on.
enum Turn {
    /// It ended by itself.
    Crashed(String),
    /// It is to be ended.
    Ending(Arc<str>),
    /// Nobody has used it for long.
    Idle,
}

/// Lives as long as the server.
pub(super) async fn keep<K: Key, S: Server>(
    inner: Arc<Inner<K, S>>,
    key: K,
    number: u64,
    start: Start<S>,
    stop: CancellationToken,
) {
    // A task of its own, so that a panic is a start that failed.
    let mut starting = inner.handle.spawn(start);
    let started = tokio::select! {
        started = &mut starting => started,
        () = stop.cancelled() => {
            starting.abort();
            // One that was done at the same moment is ended all the same.
            if let Ok(Ok(server)) = starting.await {
                server.end().await;
            }
            return;
        }
    };
    let started = started.unwrap_or_else(|_| Err("its start broke down".into()));
    match started {
        Ok(server) => {
            let held = Held::new(server);
            let is_wanted = inner.with(&key, number, |entry| entry.runs(Arc::clone(&held)));
            match is_wanted {
                Some(()) => watch(&inner, &key, number, held).await,
                None => held.server.end().await,
            }
        }
        Err(why) => {
            let why: Arc<str> = why.into();
            inner.with(&key, number, |entry| {
                entry.crashed(&why, Duration::ZERO, &inner.options)
            });
            inner.prune();
        }
    }
}

async fn watch<K: Key, S: Server>(inner: &Inner<K, S>, key: &K, number: u64, held: Arc<Held<S>>) {
    let begun = Instant::now();
    let mut ending = held.ending.subscribe();
    let gone = held.server.gone();
    tokio::pin!(gone);
    loop {
        let turn = tokio::select! {
            why = ending.wait_for(Option::is_some) => {
                let why = why.ok().and_then(|why| why.clone());
                Turn::Ending(why.unwrap_or_else(|| "it was stopped".into()))
            }
            why = &mut gone => Turn::Crashed(why),
            () = idle_for(inner.options.idle, held.users.subscribe()) => Turn::Idle,
        };
        match turn {
            Turn::Crashed(why) => return crashed(inner, key, number, &held, &why, begun.elapsed()),
            Turn::Ending(why) => return end(&held, why).await,
            Turn::Idle => {
                // Leases are given out under the same lock.
                let is_unused =
                    |state: &State<S>| matches!(state, State::Running(held) if held.leases() == 0);
                if inner.remove_if(key, number, |entry| is_unused(&entry.state)) {
                    tracing::debug!(server = %key, "ended, as nobody used it");
                    return end(&held, "it was not used for long".into()).await;
                }
            }
        }
    }
}

fn crashed<K: Key, S: Server>(
    inner: &Inner<K, S>,
    key: &K,
    number: u64,
    held: &Held<S>,
    why: &str,
    ran: Duration,
) {
    let why: Arc<str> = why.into();
    let was_wanted = inner
        .with(key, number, |entry| {
            entry.crashed(&why, ran, &inner.options)
        })
        .is_some();
    held.gone.send_replace(Some(Arc::clone(&why)));
    held.ended.cancel();
    inner.prune();
    if was_wanted {
        tracing::warn!(server = %key, %why, "a server ended by itself");
        (inner.on_crash)(key, &why);
    }
}

async fn end<S: Server>(held: &Held<S>, why: Arc<str>) {
    // Calls in flight fail at once, not when the server has made up its mind to go.
    held.gone.send_replace(Some(why));
    held.server.end().await;
    held.ended.cancel();
}

/// Resolves when there was no lease for `idle` on end.
async fn idle_for(idle: Duration, mut users: watch::Receiver<usize>) {
    loop {
        if users.wait_for(|users| *users == 0).await.is_err() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(idle) => return,
            used = users.changed() => {
                if used.is_err() {
                    return;
                }
            }
        }
    }
}
