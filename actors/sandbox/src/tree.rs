//! The daemon's hold on one tree of processes.

use crate::init::{self, Control, Init, Report};
use crate::table::{self, Mark};
use kilo_ports::sandbox::Exit;
use rustix::process::Signal;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use tokio::io::unix::AsyncFd;

/// Shared between a tree and the list of trees that are alive.
pub type SharedControl = Arc<Control>;

struct Watched(SharedControl);

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// A started init with all that is below it. Dropped, it kills the tree and leaves the waiting to the reaper.
pub struct Tree {
    /// Declared first: the tree is told to end before init is handed to the reaper.
    control: AsyncFd<Watched>,
    init: Option<Init>,
    reaper: SyncSender<Init>,
    mark: String,
}

impl Tree {
    /// Takes charge of a started init. To be called inside a tokio runtime.
    pub fn new(
        init: Init,
        control: SharedControl,
        reaper: SyncSender<Init>,
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
                mark,
            }),
            Err(error) => {
                control.tell(&[init::KILL]);
                let _ = reaper.send(init);
                Err(error.into())
            }
        }
    }

    /// What init tells next; `None` when it is gone, and with it the tree. Cancel safe.
    pub async fn report(&self) -> io::Result<Option<Report>> {
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
    pub async fn terminate(&self) {
        self.control.get_ref().0.tell(&[init::TERMINATE]);
        let Some(root) = self.init.as_ref().map(|init| init.pid) else {
            return;
        };
        let _ = tokio::task::spawn_blocking(move || table::signal_descendants(root, Signal::TERM))
            .await;
    }

    /// Ends the whole tree.
    pub fn kill(&self) {
        self.control.get_ref().0.tell(&[init::KILL]);
    }

    /// To be called when init is gone: `ended` is what it told of the command's end before. Gives how the command ended.
    pub async fn close(mut self, ended: Option<Exit>) -> Exit {
        if ended.is_none() {
            self.init_was_killed().await;
        }
        self.hand_to_reaper();
        ended.unwrap_or(Exit::Signal(Signal::KILL.as_raw()))
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
            table::kill_marked(Mark::OfRun(&mark));
            if let Some(inits) = inits {
                table::kill_strays(|pid| inits.contains(pid));
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

impl Drop for Tree {
    fn drop(&mut self) {
        self.kill();
        self.hand_to_reaper();
    }
}

/// How the command ended, if that is what init tells.
pub fn exit_of(report: Report) -> Option<Exit> {
    match report {
        Report::Exited(code) => Some(Exit::Code(code)),
        Report::Signalled(signal) => Some(Exit::Signal(signal)),
        Report::Started(_) | Report::Refused(_) => None,
    }
}
