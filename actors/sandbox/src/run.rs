//! The daemon's side of one run: output out, orders in, one end.

use crate::init::{self, Control, Init, Report};
use crate::tree::{self, Mark};
use bytes::Bytes;
use kilo_ports::sandbox::Exit;
use rustix::process::Signal;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
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
pub struct Limits {
    /// Time until it is ended.
    pub timeout: Option<Duration>,
    /// Time between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// Ends it on demand.
    pub cancel: CancellationToken,
}

/// Shared between a run and the list of runs that are alive.
pub type SharedControl = Arc<Control>;

struct Watched(SharedControl);

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// A run in progress. Dropped, it kills the tree and leaves the waiting to the reaper.
pub struct Run {
    /// Declared first: the tree is told to end before init is handed to the reaper.
    control: AsyncFd<Watched>,
    init: Option<Init>,
    reaper: std::sync::mpsc::SyncSender<Init>,
    pipe: pipe::Receiver,
    mark: String,
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
    /// Takes charge of a started init. To be called inside a tokio runtime.
    pub fn new(
        init: Init,
        control: SharedControl,
        pipe: pipe::Receiver,
        reaper: std::sync::mpsc::SyncSender<Init>,
        mark: String,
    ) -> io::Result<Self> {
        // SAFETY: the shared control owns its descriptor, never changes it, and lives as long as `Watched`.
        let watched = unsafe {
            AsyncFd::register_with_interest(
                Watched(Arc::clone(&control)),
                tokio::io::Interest::READABLE,
            )
        };
        match watched {
            Ok(control) => Ok(Self {
                control,
                init: Some(init),
                reaper,
                pipe,
                mark,
            }),
            Err(error) => {
                control.tell(init::KILL);
                let _ = reaper.send(init);
                Err(error.into())
            }
        }
    }

    /// Runs to the end of the tree and the last output.
    pub async fn drive(mut self, output: mpsc::Sender<Bytes>, limits: Limits) -> io::Result<Exit> {
        let mut reader = Reader {
            sender: Some(output),
            permit: None,
            open: true,
            buffer: vec![0; CHUNK_BYTES],
        };
        let deadline = limits.timeout.map(|timeout| Instant::now() + timeout);
        let mut stop = Stop::No;
        let mut ended = None;
        loop {
            match self.next(&reader, &stop, &limits.cancel, deadline).await? {
                Event::Report(None) => break,
                Event::Report(Some(report)) => ended = ended.or(exit_of(report)),
                Event::Stop(why) if ended.is_none() => {
                    self.terminate().await;
                    stop = Stop::Terminating {
                        why,
                        kill_at: Instant::now() + limits.grace,
                    };
                }
                // The command is over and init is killing what it left: nothing more to order.
                Event::Stop(_) => {
                    stop = Stop::Killing {
                        why: ended.unwrap_or(Exit::Cancelled),
                    }
                }
                Event::Kill => {
                    self.control.get_ref().0.tell(init::KILL);
                    if let Stop::Terminating { why, .. } = stop {
                        stop = Stop::Killing { why };
                    }
                }
                Event::Permit(permit) => reader.permitted(permit),
                Event::Readable => reader.read(&self.pipe),
            }
        }
        if ended.is_none() {
            self.init_was_killed().await;
        }
        self.hand_to_reaper();
        reader.rest(&self.pipe, &limits.cancel).await;
        Ok(match stop {
            Stop::Terminating { why, .. } | Stop::Killing { why } => why,
            Stop::No => ended.unwrap_or(Exit::Signal(Signal::KILL.as_raw())),
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
            report = self.report() => report.map(Event::Report),
            permit = reader.reserve(), if reader.wants_permit() => Ok(Event::Permit(permit)),
            ready = self.pipe.readable(), if reader.wants_bytes() => ready.map(|()| Event::Readable),
        }
    }

    async fn report(&self) -> io::Result<Option<Report>> {
        loop {
            let mut ready = self.control.readable().await?;
            match ready.try_io(|control| control.get_ref().0.report()) {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Ok(None);
                }
                Ok(result) => return result,
                Err(_would_block) => {}
            }
        }
    }

    /// Asks the whole tree to end.
    async fn terminate(&self) {
        self.control.get_ref().0.tell(init::TERMINATE);
        let Some(root) = self.init.as_ref().map(|init| init.pid) else {
            return;
        };
        let _ =
            tokio::task::spawn_blocking(move || tree::signal_descendants(root, Signal::TERM)).await;
    }

    /// Somebody killed init: the command went with it, and what it had started carries the mark or, with its variables
    /// emptied, came to the daemon as an orphan.
    async fn init_was_killed(&self) {
        tracing::warn!(
            mark = self.mark,
            "a run's own process was ended from outside"
        );
        let mark = self.mark.clone();
        let inits = self.init.as_ref().map(Init::inits);
        let kill = move || {
            tree::kill_marked(Mark::OfRun(&mark));
            if let Some(inits) = inits {
                tree::kill_strays(|pid| inits.contains(pid));
            }
        };
        let _ = tokio::task::spawn_blocking(kill).await;
    }

    fn hand_to_reaper(&mut self) {
        if let Some(init) = self.init.take() {
            let _ = self.reaper.send(init);
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.control.get_ref().0.tell(init::KILL);
        self.hand_to_reaper();
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn exit_of(report: Report) -> Option<Exit> {
    match report {
        Report::Exited(code) => Some(Exit::Code(code)),
        Report::Signalled(signal) => Some(Exit::Signal(signal)),
        Report::Started(_) | Report::Refused(_) => None,
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
