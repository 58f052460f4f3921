//! A process that runs beside its owner: its handle, and the task that watches its tree.

use crate::init::{self, Numbers};
use crate::pump::{PipeWriter, Reader, Terminal, TerminalWriter};
use crate::streams::{self, OwnerEnds};
use crate::table;
use crate::tree::{SharedControl, Tree, exit_of};
use kilo_ports::BoxFuture;
use kilo_ports::sandbox::{ByteReader, ByteWriter, Exit, Process, Spawned, TerminalSize, Usage};
use rustix::process::Signal;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Ends that may be asked for before the first is seen; more would ask for the same.
const ORDERS_MAX: usize = 4;

/// The owner's handle.
struct Child {
    numbers: Numbers,
    control: SharedControl,
    ends: mpsc::Sender<Duration>,
    ended: watch::Receiver<Option<Exit>>,
    terminal: Option<Terminal>,
}

/// Makes the handle and the streams of a started tree, and sets a task to watch it. `listed` is dropped at its end. To
/// be called inside a tokio runtime.
pub fn attend(
    tree: Tree,
    numbers: Numbers,
    control: SharedControl,
    ends: OwnerEnds,
    listed: impl Send + 'static,
) -> io::Result<Spawned> {
    let gone = CancellationToken::new();
    let (stdin, stdout, stderr, terminal) = open(ends, &gone)?;
    let (order, orders) = mpsc::channel(ORDERS_MAX);
    let (ended, seen) = watch::channel(None);
    tokio::spawn(async move {
        let exit = watch_over(tree, orders).await;
        gone.cancel();
        drop(listed);
        let _ = ended.send(Some(exit));
    });
    let process = Child {
        numbers,
        control,
        ends: order,
        ended: seen,
        terminal,
    };
    Ok(Spawned {
        stdin,
        stdout,
        stderr,
        process: Box::new(process),
    })
}

type Opened = (ByteWriter, ByteReader, Option<ByteReader>, Option<Terminal>);

fn open(ends: OwnerEnds, gone: &CancellationToken) -> io::Result<Opened> {
    let reader = |fd| -> io::Result<ByteReader> {
        Ok(Box::pin(Reader::new(
            pipe::Receiver::from_owned_fd(fd)?,
            gone.clone(),
        )))
    };
    match ends {
        OwnerEnds::Pipes(stdin, stdout, stderr) => Ok((
            Box::pin(PipeWriter(Some(pipe::Sender::from_owned_fd(stdin)?))),
            reader(stdout)?,
            stderr.map(reader).transpose()?,
            None,
        )),
        OwnerEnds::Terminal(fd) => {
            // SAFETY: it owns its descriptor, and nobody changes it while it is registered.
            let terminal = Arc::new(unsafe { AsyncFd::register(fd) }?);
            Ok((
                Box::pin(TerminalWriter(Arc::clone(&terminal))),
                Box::pin(Reader::new(Arc::clone(&terminal), gone.clone())),
                None,
                Some(terminal),
            ))
        }
    }
}

/// Follows the tree to its end. When the owner is gone the tree is dropped, which kills it.
async fn watch_over(tree: Tree, mut orders: mpsc::Receiver<Duration>) -> Exit {
    let mut ended = None;
    let mut kill_at: Option<Instant> = None;
    loop {
        let until_kill = async {
            match kill_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            report = tree.report() => match report {
                Ok(Some(report)) => ended = ended.or(exit_of(report)),
                Ok(None) => return tree.close(ended).await,
                Err(error) => {
                    tracing::warn!(%error, "a process can no longer be watched");
                    return ended.unwrap_or(Exit::Signal(Signal::KILL.as_raw()));
                }
            },
            order = orders.recv() => match order {
                Some(grace) => {
                    // A second order can only shorten the time.
                    let at = Instant::now() + grace;
                    kill_at = Some(kill_at.map_or(at, |earlier| earlier.min(at)));
                    tree.terminate().await;
                }
                None => return ended.unwrap_or(Exit::Signal(Signal::KILL.as_raw())),
            },
            () = until_kill => {
                tree.kill();
                kill_at = None;
            }
        }
    }
}

impl Process for Child {
    fn pid(&self) -> u32 {
        self.numbers.command.unsigned_abs()
    }

    fn signal(&self, signal: i32) {
        // By way of init, the only one that knows whether the number is still the process's.
        if let Ok(signal) = u8::try_from(signal) {
            self.control.tell(&[init::SIGNAL, signal]);
        }
    }

    fn resize(&self, size: TerminalSize) {
        if let Some(terminal) = &self.terminal
            && let Err(error) = streams::resize(terminal.get_ref(), size)
        {
            tracing::debug!(%error, "a terminal keeps its size");
        }
    }

    fn usage(&self) -> BoxFuture<'static, Usage> {
        let (init, gone) = (self.numbers.init, self.ended.borrow().is_some());
        Box::pin(async move {
            if gone {
                return Usage::default();
            }
            let looked =
                tokio::task::spawn_blocking(move || table::usage(init, &table::processes()));
            looked.await.unwrap_or_default()
        })
    }

    fn wait(&self) -> BoxFuture<'static, Exit> {
        let mut ended = self.ended.clone();
        Box::pin(async move {
            let exit = ended.wait_for(Option::is_some).await;
            // The task only goes without a word when the runtime does, and the tree with it.
            exit.ok()
                .and_then(|exit| *exit)
                .unwrap_or(Exit::Signal(Signal::KILL.as_raw()))
        })
    }

    fn end(&self, grace: Duration) -> BoxFuture<'static, Exit> {
        let _ = self.ends.try_send(grace);
        self.wait()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.control.tell(&[init::KILL]);
    }
}
