//! The daemon's side of one run: output out, orders in, one end.

use crate::init::Report;
use crate::tree::{Tree, exit_of};
use bytes::Bytes;
use kilo_ports::sandbox::Exit;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Bytes of one read, and so of one message on the output channel at most.
const CHUNK_BYTES: usize = 32 * 1024;
/// Bytes taken from the pipe after the tree is gone: what a pipe holds at most. More can only come from a stranger.
const REST_BYTES_MAX: usize = 1 << 20;
/// Time that the consumer has for the rest after its own cancel.
const REST_AFTER_CANCEL: Duration = Duration::from_millis(500);

/// What ends a run early.
pub struct Bounds {
    /// Time until it is ended.
    pub timeout: Option<Duration>,
    /// Time between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// Ends it on demand.
    pub cancel: CancellationToken,
}

/// A run in progress. Dropped, it kills the tree.
pub struct Run {
    pub tree: Tree,
    pub pipe: pipe::Receiver,
}

enum Stop {
    No,
    Terminating { why: Exit, kill_at: Instant },
    Killing { why: Exit },
}

enum Event {
    Report(Option<Report>),
    Stop(Exit),
    Kill,
    Permit(Result<mpsc::OwnedPermit<Bytes>, SendError<()>>),
    Readable,
}

impl Run {
    /// Runs to the end of the tree and the last output.
    pub async fn drive(self, output: mpsc::Sender<Bytes>, bounds: Bounds) -> io::Result<Exit> {
        let mut reader = Reader {
            sender: Some(output),
            permit: None,
            open: true,
            buffer: vec![0; CHUNK_BYTES],
        };
        let deadline = bounds.timeout.map(|timeout| Instant::now() + timeout);
        let mut stop = Stop::No;
        let mut ended = None;
        loop {
            match self.next(&reader, &stop, &bounds.cancel, deadline).await? {
                Event::Report(None) => break,
                Event::Report(Some(report)) => ended = ended.or(exit_of(report)),
                Event::Stop(why) if ended.is_none() => {
                    self.tree.terminate().await;
                    stop = Stop::Terminating {
                        why,
                        kill_at: Instant::now() + bounds.grace,
                    };
                }
                // The command is over and init is killing what it left: nothing more to order.
                Event::Stop(_) => {
                    stop = Stop::Killing {
                        why: ended.unwrap_or(Exit::Cancelled),
                    }
                }
                Event::Kill => {
                    self.tree.kill();
                    if let Stop::Terminating { why, .. } = stop {
                        stop = Stop::Killing { why };
                    }
                }
                Event::Permit(permit) => reader.permitted(permit),
                Event::Readable => reader.read(&self.pipe),
            }
        }
        let ended = self.tree.close(ended).await;
        reader.rest(&self.pipe, &bounds.cancel).await;
        Ok(match stop {
            Stop::Terminating { why, .. } | Stop::Killing { why } => why,
            Stop::No => ended,
        })
    }

    async fn next(
        &self,
        reader: &Reader,
        stop: &Stop,
        cancel: &CancellationToken,
        deadline: Option<Instant>,
    ) -> io::Result<Event> {
        let running = matches!(stop, Stop::No);
        let kill_at = match stop {
            Stop::Terminating { kill_at, .. } => Some(*kill_at),
            _ => None,
        };
        tokio::select! {
            biased;
            () = cancel.cancelled(), if running => Ok(Event::Stop(Exit::Cancelled)),
            () = until(deadline), if running => Ok(Event::Stop(Exit::TimedOut)),
            () = until(kill_at) => Ok(Event::Kill),
            report = self.tree.report() => report.map(Event::Report),
            permit = reader.reserve(), if reader.wants_permit() => Ok(Event::Permit(permit)),
            ready = self.pipe.readable(), if reader.wants_bytes() => ready.map(|()| Event::Readable),
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Moves bytes from the pipe to the channel; with nobody listening it throws them away, so that the command is not
/// blocked by a full pipe.
struct Reader {
    sender: Option<mpsc::Sender<Bytes>>,
    permit: Option<mpsc::OwnedPermit<Bytes>>,
    open: bool,
    buffer: Vec<u8>,
}

impl Reader {
    fn wants_permit(&self) -> bool {
        self.open && self.permit.is_none() && self.sender.is_some()
    }

    fn wants_bytes(&self) -> bool {
        self.open && !self.wants_permit()
    }

    async fn reserve(&self) -> Result<mpsc::OwnedPermit<Bytes>, SendError<()>> {
        match &self.sender {
            Some(sender) => sender.clone().reserve_owned().await,
            None => std::future::pending().await,
        }
    }

    fn permitted(&mut self, permit: Result<mpsc::OwnedPermit<Bytes>, SendError<()>>) {
        match permit {
            Ok(permit) => self.permit = Some(permit),
            Err(_closed) => self.sender = None,
        }
    }

    fn read(&mut self, pipe: &pipe::Receiver) {
        match pipe.try_read(&mut self.buffer) {
            Ok(read @ 1..) => {
                if let Some(permit) = self.permit.take() {
                    permit.send(self.taken(read));
                }
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            Ok(_) | Err(_) => self.open = false,
        }
    }

    /// A copy without the unused room of the buffer: small output may wait long in the channel.
    fn taken(&self, read: usize) -> Bytes {
        Bytes::copy_from_slice(self.buffer.get(..read).unwrap_or_default())
    }

    /// Gives on what the pipe still holds, without waiting for whoever else may hold it open.
    async fn rest(mut self, pipe: &pipe::Receiver, cancel: &CancellationToken) {
        let Some(sender) = self.sender.take() else {
            return;
        };
        let mut left = REST_BYTES_MAX;
        while self.open && left > 0 {
            // The pipe itself is asked: what tokio knows of its readiness may be older than the last write.
            let read = match rustix::io::read(pipe.as_fd(), &mut self.buffer) {
                Ok(read @ 1..) => read,
                Err(rustix::io::Errno::INTR) => continue,
                Ok(_) | Err(_) => return,
            };
            left = left.saturating_sub(read);
            match self.permit.take() {
                Some(permit) => drop(permit.send(self.taken(read))),
                None if !send(&sender, self.taken(read), cancel).await => return,
                None => {}
            }
        }
    }
}

async fn send(sender: &mpsc::Sender<Bytes>, bytes: Bytes, cancel: &CancellationToken) -> bool {
    let patience = async {
        cancel.cancelled().await;
        tokio::time::sleep(REST_AFTER_CANCEL).await;
    };
    tokio::select! {
        biased;
        sent = sender.send(bytes) => sent.is_ok(),
        () = patience => false,
    }
}
