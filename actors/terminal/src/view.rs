//! What one client sees of a terminal.

use crate::output::Output;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::watch;

/// How far a terminal is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Rises with each piece of output.
    pub head: u64,
    /// Nothing comes any more.
    pub ended: bool,
    /// The terminal was removed.
    pub removed: bool,
}

/// What is shown next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Text to write.
    Text(String),
    /// Everything so far was shown; the position by which the client may come back.
    Caught(u64),
}

/// A client's place in the output. It holds no text: one that is slow misses pieces and is then shown the screen anew.
pub struct View {
    output: Arc<Mutex<Output>>,
    progress: watch::Receiver<Progress>,
    /// The next position; none: the screen has to be made first.
    at: Option<u64>,
    /// A position has to be told.
    tell: bool,
}

impl View {
    /// A view from `cursor` on; without one, or with one whose text is not there any more, of the screen and what
    /// follows. A cursor from beyond the end, or -1, begins at the end.
    pub(crate) fn new(
        output: Arc<Mutex<Output>>,
        progress: watch::Receiver<Progress>,
        cursor: Option<i64>,
    ) -> Self {
        let at = match cursor.map(u64::try_from) {
            None | Some(Ok(0)) => None,
            Some(Err(_)) => Some(output.lock().head()),
            Some(Ok(cursor)) => {
                let output = output.lock();
                Some(output.align(cursor.min(output.head())))
            }
        };
        Self {
            output,
            progress,
            at,
            tell: true,
        }
    }

    /// What comes next; waits for it. None: the terminal is gone, or its program ended and all was shown. Cancel safe.
    ///
    /// Holds a lock for as long as copying 64 KiB takes, or a screen: not for a thread that serves.
    pub async fn next(&mut self) -> Option<Shown> {
        loop {
            let progress = *self.progress.borrow_and_update();
            if progress.removed {
                return None;
            }
            if let Some(text) = self.read() {
                return Some(Shown::Text(text));
            }
            if std::mem::take(&mut self.tell) {
                return Some(Shown::Caught(self.at.unwrap_or_default()));
            }
            if progress.ended || self.progress.changed().await.is_err() {
                return None;
            }
        }
    }

    fn read(&mut self) -> Option<String> {
        let output = self.output.lock();
        let at = match self.at {
            Some(at) if output.has(at) => at,
            missed => {
                let restored = output.restore();
                self.at = Some(restored.from);
                // The client counts what it gets; the screen is no part of the output.
                self.tell |= missed.is_some() || !restored.text.is_empty();
                if !restored.text.is_empty() {
                    return Some(restored.text);
                }
                restored.from
            }
        };
        let (text, next) = output.read(at)?;
        self.at = Some(next);
        Some(text)
    }
}
