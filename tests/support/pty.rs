//! A program in a terminal, as a person has it.

use rustix::fd::OwnedFd;
use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, tcgetattr};
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The longest that anything in a terminal is waited for.
const MAX: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(2);

/// A program that runs in a terminal of its own; killed with this value.
pub struct Terminal {
    child: Child,
    /// The person's end.
    ours: File,
    /// The program's end, held open so that what is typed after its end can still be looked at.
    its: OwnedFd,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Starts a program there.
    pub fn start(mut command: Command) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let ours = rustix::pty::openpt(flags).expect("a terminal");
        rustix::pty::grantpt(&ours).expect("its other end");
        rustix::pty::unlockpt(&ours).expect("its other end");
        let its = rustix::pty::ioctl_tiocgptpeer(&ours, flags).expect("its other end");
        let copy = || its.try_clone().expect("a descriptor");
        let child = command.stdin(copy()).stdout(copy()).stderr(copy()).spawn();
        let ours = File::from(ours);
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (mut screen, seen) = (ours.try_clone().expect("a descriptor"), Arc::clone(&shown));
        std::thread::spawn(move || {
            let mut piece = [0; 4_096];
            while let Ok(read @ 1..) = screen.read(&mut piece) {
                seen.lock().expect("the screen").extend(&piece[..read]);
            }
        });
        Self {
            child: child.expect("the program"),
            ours,
            its,
            shown,
        }
    }

    /// Types.
    pub fn type_in(&mut self, keys: &str) {
        self.ours.write_all(keys.as_bytes()).expect("a terminal");
    }

    /// All that was shown so far.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().expect("the screen")).into_owned()
    }

    /// Whether the terminal shows what is typed.
    pub fn echoes(&self) -> bool {
        let modes = tcgetattr(&self.its).expect("a terminal").local_modes;
        modes.contains(LocalModes::ECHO)
    }

    /// The bytes that were typed and that nobody has read.
    pub fn unread(&self) -> u64 {
        rustix::io::ioctl_fionread(&self.its).expect("a terminal")
    }

    /// Waits until `fits`.
    pub fn until(&self, what: &str, fits: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + MAX;
        while !fits(self) {
            assert!(
                Instant::now() < deadline,
                "waited {MAX:?} for {what}; shown: {}",
                self.shown()
            );
            std::thread::sleep(STEP);
        }
    }

    /// Waits for the program's end.
    pub fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + MAX;
        loop {
            if let Some(status) = self.child.try_wait().expect("a state") {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "no end after {MAX:?}; shown: {}",
                self.shown()
            );
            std::thread::sleep(STEP);
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
