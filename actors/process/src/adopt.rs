//! Takes up the processes that an earlier daemon left.

use crate::kept::{self, Ended, Folder, KeptOrder, State};
use crate::life::{self, Keep, Surroundings};
use crate::process::{End, Process};
use kilo_ports::sandbox::Running;
use std::io;
use std::sync::Arc;

/// Ended ones that are older go (7 days).
const ENDED_MS_MAX: u64 = 7 * 24 * 3_600 * 1_000;

/// All that are there: those that live are held again, the others are listed as they ended. Oldest first.
pub async fn all(keep: &Keep, around: &Surroundings) -> Vec<Arc<Process>> {
    let root = keep.root.clone();
    let folders = tokio::task::spawn_blocking(move || {
        let all = Folder::all(&root).into_iter();
        let read = all.filter_map(|folder| match folder.order() {
            Ok(order) => Some((folder, order)),
            Err(error) => {
                tracing::warn!(folder = %folder.0.display(), %error, "a process that was kept cannot be read");
                None
            }
        });
        read.collect::<Vec<_>>()
    });
    let found = folders.await.unwrap_or_default();
    let each = found
        .into_iter()
        .map(|(folder, order)| one(folder, order, around));
    let all = futures_util::future::join_all(each).await;
    all.into_iter().flatten().collect()
}

async fn one(folder: Folder, order: KeptOrder, around: &Surroundings) -> Option<Arc<Process>> {
    loop {
        match kept::attach(&folder, &order, 0).await {
            Ok(held) => {
                let process = Arc::new(Process::of_before(&order, &held.state));
                life::follow_again(&process, around, held);
                return Some(process);
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                // it lives, so nothing may be said of its end
                tracing::warn!(
                    process = order.id,
                    "the keeper of a process does not answer"
                );
                return None;
            }
            Err(_) => match kept::left(&folder, around.clock.now()) {
                Some(state) => return ended(&folder, &order, state, around),
                // it was not there yet when it was looked for
                None => tokio::task::yield_now().await,
            },
        }
    }
}

fn ended(
    folder: &Folder,
    order: &KeptOrder,
    state: State,
    around: &Surroundings,
) -> Option<Arc<Process>> {
    let now = around.clock.now();
    let Ended {
        at,
        code,
        signal,
        why,
    } = state.ended.clone()?;
    if now.saturating_sub(at) > ENDED_MS_MAX {
        folder.remove();
        return None;
    }
    let process = Process::of_before(order, &state);
    if let Some((position, bytes)) = folder.log() {
        process.wrote_at(position, &bytes);
    }
    match (code, signal, why) {
        (_, _, Some(why)) => process.failed(&why, at),
        (Some(code), ..) => process.ended(End::Code(code), at),
        (_, signal, _) => process.ended(End::Signal(signal.unwrap_or(9)), at),
    }
    Some(Arc::new(process))
}

/// A kept process as lists of all that runs have it.
pub async fn running(process: &Process) -> Option<Running> {
    let link = process.kept.lock().clone()?;
    let (age_ms, usage) = link.uses().await?;
    Some(Running {
        title: life::title(process),
        pid: process.pid()?,
        directory: process.order.cwd.clone(),
        has_terminal: false,
        age_ms,
        usage,
    })
}
