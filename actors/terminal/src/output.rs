//! What a terminal has written so far, in bounded memory, such that the screen of a late client is right.
//!
//! ```text
//!  0 ........... start .......... base .............. head
//!    (let go)      |    text kept: for clients that were here before   |
//!    screen of all up to base ------^   text behind base: for new ones |
//! ```
//!
//! The emulator runs behind: it gets text that is let go, and everything when the size changes, since text reads
//! otherwise in another width.

mod decode;
mod log;
mod modes;
mod screen;
mod sequence;

pub use decode::Decoder;

use kilo_ports::sandbox::TerminalSize;
use log::Log;
use screen::Screen;
use std::time::{Duration, Instant};

/// Bytes that [`Output::read`] gives at a time.
const PIECE_BYTES: usize = 64 << 10;
/// Bytes that are looked at at least: an unfinished sequence is waited for up to half of that.
const LOOK_BYTES_MIN: usize = 16 << 10;
/// The longest that a step of the emulator takes: others wait for the lock.
const STEP_MAX: Duration = Duration::from_micros(300);

/// How much is kept and done at a time.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Bytes of text that are kept as they came.
    pub kept_bytes_max: usize,
    /// Bytes that the emulator gets at most before others may look.
    pub step_bytes: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            kept_bytes_max: 1 << 20,
            step_bytes: 16 << 10,
        }
    }
}

/// The output.
pub struct Output {
    room: Room,
    log: Log,
    /// Once the emulator was needed.
    screen: Option<Screen>,
    /// Up to here the emulator has it.
    base: u64,
    size: TerminalSize,
}

/// What brings a new terminal up to date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// To be written first; empty when all text is still there.
    pub text: String,
    /// Where to read on.
    pub from: u64,
}

impl Output {
    /// Nothing yet, in a terminal of this size.
    pub fn new(size: TerminalSize, room: Room) -> Self {
        Self {
            room,
            log: Log::new((room.kept_bytes_max / 64).max(64)),
            screen: None,
            base: 0,
            size,
        }
    }

    /// The position behind the newest text, in UTF-16 units since the beginning.
    pub fn head(&self) -> u64 {
        self.log.head()
    }

    /// Adds text.
    pub fn push(&mut self, text: &str) {
        self.log.push(text);
    }

    /// Lets go what is too much, a small step at a time. False: nothing is left to do.
    pub fn trim(&mut self) -> bool {
        if self.log.bytes() <= self.room.kept_bytes_max {
            return false;
        }
        self.log.drop_front(self.base) || self.advance()
    }

    /// Brings the emulator up to date, a small step at a time. False: nothing is left to do.
    ///
    /// To be called until then before [`Output::resize`].
    pub fn settle(&mut self) -> bool {
        self.base < self.log.head() && self.advance()
    }

    fn advance(&mut self) -> bool {
        let size = self.size;
        if self.screen.is_none() {
            self.screen = Screen::new(size);
        }
        let Some(screen) = &mut self.screen else {
            return false;
        };
        let text = self
            .log
            .read(self.base, self.room.step_bytes.max(LOOK_BYTES_MIN));
        let until = Instant::now() + STEP_MAX;
        let mut taken = 0;
        while taken < text.len().min(self.room.step_bytes) {
            match screen.feed(&text[taken..]) {
                0 => break,
                bytes => taken += bytes,
            }
            if Instant::now() >= until {
                break;
            }
        }
        self.base += log::units(&text[..taken]);
        taken > 0
    }

    /// Changes the size: what comes now is written for that.
    pub fn resize(&mut self, size: TerminalSize) {
        self.size = size;
        if let Some(screen) = &mut self.screen {
            screen.resize(size);
        }
    }

    /// What a new terminal of the present size needs to be as one that saw everything.
    pub fn restore(&self) -> Restored {
        Restored {
            text: self
                .screen
                .as_ref()
                .map(Screen::restore)
                .unwrap_or_default(),
            from: self.base,
        }
    }

    /// Whether the text from this position on is all there.
    pub fn has(&self, from: u64) -> bool {
        (self.log.start()..=self.log.head()).contains(&from)
    }

    /// A piece of the text from a position on, and where the next begins. None: there is nothing, or not any more.
    pub fn read(&self, from: u64) -> Option<(String, u64)> {
        if !self.has(from) {
            return None;
        }
        let text = self.log.read(from, PIECE_BYTES);
        let next = from + log::units(&text);
        (!text.is_empty()).then_some((text, next))
    }

    /// A position that a client names, as one to read from: never inside a pair.
    pub fn align(&self, from: u64) -> u64 {
        self.log.align(from)
    }
}
