//! Keys and secrets from a terminal, read without echo.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::time::Duration;

const SECRET_BYTES_MAX: u64 = 16 << 10;

/// The terminal without echo and line editing, until it is dropped.
struct Quiet {
    before: Termios,
}

impl Quiet {
    /// `whole_lines` keeps line editing, which a typed secret wants and a single key does not.
    fn start(whole_lines: bool) -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        if !whole_lines {
            quiet.local_modes.remove(LocalModes::ICANON);
            quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
            quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        }
        tcsetattr(io::stdin(), OptionalActions::Now, &quiet)?;
        Ok(Self { before })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// Whether a person can type keys: both ends are a terminal.
pub fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Waits for a key, at most `within`; `None` when none came. Blocks its thread.
pub fn key(within: Duration) -> io::Result<Option<u8>> {
    let _quiet = Quiet::start(false)?;
    let stdin = io::stdin();
    let timeout = rustix::event::Timespec {
        tv_sec: i64::try_from(within.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(within.subsec_nanos()),
    };
    if poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&timeout))? == 0 {
        return Ok(None);
    }
    let mut byte = [0];
    Ok((rustix::io::read(&stdin, &mut byte)? == 1).then_some(byte[0]))
}

/// Reads a secret: typed without echo on a terminal, else the first line of standard input. Empty when nothing came.
pub fn secret(prompt: &str) -> io::Result<String> {
    let stdin = io::stdin();
    let mut text = String::new();
    if stdin.is_terminal() {
        let mut err = io::stderr().lock();
        write!(err, "{prompt}: ")?;
        err.flush()?;
        let quiet = Quiet::start(true)?;
        stdin.lock().take(SECRET_BYTES_MAX).read_line(&mut text)?;
        drop(quiet);
        writeln!(err)?;
    } else {
        stdin.lock().take(SECRET_BYTES_MAX).read_line(&mut text)?;
    }
    Ok(text.trim().to_owned())
}
