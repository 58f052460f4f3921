//! The two ends of a child's streams: pipes, a terminal, `/dev/null`.

use kilo_ports::sandbox::{Streams, TerminalSize};
use rustix::fs::{MemfdFlags, Mode, OFlags};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::pty::OpenptFlags;
use rustix::termios::{InputModes, OptionalActions, Winsize};
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};

/// The ends that become a child's stdin, stdout and stderr.
pub struct ChildEnds {
    /// What it reads.
    pub input: OwnedFd,
    /// What it writes.
    pub output: OwnedFd,
    /// What it writes errors to; `output` if there is none.
    pub error: Option<OwnedFd>,
    /// All of them are a terminal, which is to be the controlling one.
    pub is_terminal: bool,
}

impl ChildEnds {
    fn new(
        input: OwnedFd,
        output: OwnedFd,
        error: Option<OwnedFd>,
        is_terminal: bool,
    ) -> io::Result<Self> {
        Ok(Self {
            input: above_stdio(input)?,
            output: above_stdio(output)?,
            error: error.map(above_stdio).transpose()?,
            is_terminal,
        })
    }
}

/// The daemon's ends.
pub enum OwnerEnds {
    /// What it writes, reads, and reads of errors.
    Pipes(OwnedFd, OwnedFd, Option<OwnedFd>),
    /// The terminal's other side.
    Terminal(OwnedFd),
}

/// The ends of one command: it reads `stdin` (or nothing at all) and writes to one pipe, whose reading end comes back.
pub fn of_command(stdin: Option<&[u8]>) -> io::Result<(ChildEnds, OwnedFd)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    Ok((ChildEnds::new(given(stdin)?, write, None, false)?, read))
}

/// The ends of a process that is talked to.
pub fn open(streams: Streams) -> io::Result<(ChildEnds, OwnerEnds)> {
    if let Streams::Terminal(size) = streams {
        let (ours, its) = terminal(size)?;
        let ends = ChildEnds::new(its.try_clone()?, its, None, true)?;
        return Ok((ends, OwnerEnds::Terminal(ours)));
    }
    let (its_input, input) = pipe_with(PipeFlags::CLOEXEC)?;
    let (output, its_output) = pipe_with(PipeFlags::CLOEXEC)?;
    let (error, its_error) = match streams {
        Streams::Separate => {
            let (error, its_error) = pipe_with(PipeFlags::CLOEXEC)?;
            (Some(error), Some(its_error))
        }
        _ => (None, None),
    };
    let ends = ChildEnds::new(its_input, its_output, its_error, false)?;
    Ok((ends, OwnerEnds::Pipes(input, output, error)))
}

/// A new terminal: the side to be read and written by the daemon, and the program's.
fn terminal(size: TerminalSize) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = rustix::pty::openpt(flags)?;
    rustix::pty::grantpt(&ours)?;
    rustix::pty::unlockpt(&ours)?;
    let its = rustix::pty::ioctl_tiocgptpeer(&ours, flags)?;
    let mut modes = rustix::termios::tcgetattr(&its)?;
    // The line discipline then erases whole characters, not bytes of them.
    modes.input_modes |= InputModes::IUTF8;
    rustix::termios::tcsetattr(&its, OptionalActions::Now, &modes)?;
    resize(&ours, size)?;
    rustix::fs::fcntl_setfl(&ours, OFlags::RDWR | OFlags::NONBLOCK)?;
    Ok((ours, its))
}

/// Changes a terminal's size; whoever is in front of it gets SIGWINCH.
pub fn resize(terminal: impl AsFd, size: TerminalSize) -> io::Result<()> {
    let size = Winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    Ok(rustix::termios::tcsetwinsize(terminal, size)?)
}

/// Moves a descriptor out of the way: numbers 0 to 2 are set one after the other in the child, and one of them must not
/// overwrite what another is made from. (A daemon without stdio of its own would get pipes under these numbers.)
fn above_stdio(fd: OwnedFd) -> io::Result<OwnedFd> {
    use std::os::fd::AsRawFd;
    if fd.as_raw_fd() > 2 {
        return Ok(fd);
    }
    Ok(fcntl_dupfd_cloexec(&fd, 3)?)
}

/// `/dev/null`, or a file in memory that holds `bytes`: a pipe would need somebody to keep it full.
fn given(bytes: Option<&[u8]>) -> io::Result<OwnedFd> {
    let Some(bytes) = bytes else {
        return Ok(rustix::fs::open(
            "/dev/null",
            OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        )?);
    };
    let mut file =
        std::fs::File::from(rustix::fs::memfd_create("kilo-stdin", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into())
}
