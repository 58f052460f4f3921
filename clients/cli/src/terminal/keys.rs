//! Keys and secrets from a terminal, read without echo.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{
    LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios, tcflush, tcgetattr,
    tcsetattr,
};
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::time::Duration;

const SECRET_BYTES_MAX: u64 = 16 << 10;

/// The terminal without echo and line editing, until it is dropped.
struct Quiet {
    before: Termios,
}

impl Quiet {
    /// With `keeps_signals` Ctrl-C still ends the program; else it is a byte as any other.
    fn start(keeps_signals: bool) -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ICANON);
        if !keeps_signals {
            quiet.local_modes.remove(LocalModes::ISIG);
        }
        quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        // What was typed before was not meant for us.
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
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
    let _quiet = Quiet::start(true)?;
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

/// A secret that is going to be asked for. Echo is off from here on, for people paste before the question is there; what
/// they paste counts.
pub struct Secret {
    /// `None` where standard input is no terminal.
    quiet: Option<Quiet>,
}

impl Secret {
    /// Makes the terminal quiet, until this is dropped.
    pub fn begin() -> io::Result<Self> {
        let quiet = io::stdin().is_terminal().then(|| Quiet::start(false));
        Ok(Self {
            quiet: quiet.transpose()?,
        })
    }

    /// Whether somebody types it.
    pub fn is_typed(&self) -> bool {
        self.quiet.is_some()
    }

    /// Reads a line that is no secret, before the secret, and shows it as it is typed.
    ///
    /// # Errors
    /// `Interrupted` for Ctrl-C.
    pub fn visible(&self, prompt: &str) -> io::Result<String> {
        let mut err = io::stderr().lock();
        write!(err, "{prompt}")?;
        err.flush()?;
        let typed = typed(Some(&mut err));
        writeln!(err)?;
        Ok(typed?.trim().to_owned())
    }

    /// Reads it: typed without echo on a terminal, else the first line of standard input. Empty when nothing came.
    ///
    /// # Errors
    /// `Interrupted` for Ctrl-C; the terminal is as it was before then.
    pub fn ask(self, prompt: &str) -> io::Result<String> {
        if self.quiet.is_none() {
            let mut text = String::new();
            let stdin = io::stdin().lock();
            stdin.take(SECRET_BYTES_MAX).read_line(&mut text)?;
            return Ok(text.trim().to_owned());
        }
        let mut err = io::stderr().lock();
        write!(err, "{prompt} (not shown while you type): ")?;
        err.flush()?;
        let typed = typed(None);
        drop(self);
        writeln!(err)?;
        Ok(typed?.trim().to_owned())
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        if self.quiet.is_some() {
            // What is left of a secret that nobody reads is not for the shell.
            let _ = tcflush(io::stdin(), QueueSelector::IFlush);
        }
    }
}

/// Reads keys up to Enter, with what is needed of line editing; shows them on `screen`, if there is one.
fn typed(mut screen: Option<&mut dyn Write>) -> io::Result<String> {
    const CTRL_C: u8 = 3;
    const CTRL_D: u8 = 4;
    const CTRL_U: u8 = 21;
    let mut bytes = Vec::new();
    loop {
        let mut byte = [0];
        if rustix::io::read(io::stdin(), &mut byte)? == 0 {
            break;
        }
        match byte[0] {
            b'\r' | b'\n' | CTRL_D => break,
            CTRL_C => return Err(io::ErrorKind::Interrupted.into()),
            CTRL_U => {
                show(&mut screen, &ERASE.repeat(bytes.len()))?;
                bytes.clear();
            }
            8 | 127 if bytes.pop().is_some() => show(&mut screen, ERASE)?,
            // Other control characters are no part of a name or a key, and would move the cursor.
            byte if byte >= b' ' && byte != 127 && (bytes.len() as u64) < SECRET_BYTES_MAX => {
                bytes.push(byte);
                show(&mut screen, &[byte])?;
            }
            _ => {}
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Takes the last character off the screen.
const ERASE: &[u8] = b"\x08 \x08";

fn show(screen: &mut Option<&mut dyn Write>, bytes: &[u8]) -> io::Result<()> {
    match screen {
        Some(screen) => screen.write_all(bytes).and_then(|()| screen.flush()),
        None => Ok(()),
    }
}
