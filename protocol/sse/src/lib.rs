//! Server-sent events, decoded from bytes as they come: for models' answers, for our own client and for tests.
//!
//! It must never know what an event is about, nor do any I/O. Start at [`Decoder::feed`].
//!
//! Takes LF, CRLF and CR, a byte order mark, comments, and data over several lines. Most events lie whole in one read and
//! are handed on without a copy. What is kept between two reads is bounded, and given back after a large event.

use memchr::memchr2;

/// Bytes that a buffer keeps once its event is gone: a large one is rare, and a stream may stay open for days.
const KEPT_BYTES: usize = 64 * 1024;

/// The longest name or id that is kept; longer ones count as none.
const NAME_BYTES_MAX: usize = 1024;

/// A line or an event grew above the decoder's bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is larger than {bytes_max} bytes")]
pub struct TooLarge {
    /// The bound.
    pub bytes_max: usize,
}

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// What stands behind `event:`; empty for most.
    pub name: &'a str,
    /// The lines of data, joined by newlines. May be no UTF-8.
    pub data: &'a [u8],
    /// The last `id:` up to and including this event.
    pub id: Option<&'a str>,
    /// `retry:` in milliseconds, if this event had one.
    pub retry_ms: Option<u64>,
}

/// Cuts a stream of bytes into events.
#[derive(Debug)]
pub struct Decoder {
    bytes_max: usize,
    /// The begin of a line whose end has not come.
    carry: Vec<u8>,
    /// Data lines of an event that goes on.
    data: Vec<u8>,
    /// The event has a data line, maybe an empty one.
    open: bool,
    name: String,
    id: Option<String>,
    retry_ms: Option<u64>,
    /// A byte order mark can no longer come.
    started: bool,
    /// The last byte was a CR: an LF right behind it belongs to the same line end.
    after_cr: bool,
}

impl Decoder {
    /// A decoder that holds at most `bytes_max` bytes of one event.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            carry: Vec::new(),
            data: Vec::new(),
            open: false,
            name: String::new(),
            id: None,
            retry_ms: None,
            started: false,
            after_cr: false,
        }
    }

    /// Decodes the next bytes and calls `on` with each event that they complete.
    ///
    /// Errors: what `on` returns, and [`TooLarge`]; the decoder is of no use afterwards.
    pub fn feed<E: From<TooLarge>>(
        &mut self,
        mut bytes: &[u8],
        mut on: impl FnMut(Event) -> Result<(), E>,
    ) -> Result<(), E> {
        if !bytes.is_empty() && std::mem::take(&mut self.after_cr) {
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        if !self.carry.is_empty() {
            let Some((end, rest)) = self.cut(bytes) else {
                return Ok(self.keep(bytes)?);
            };
            self.keep(end)?;
            let line = std::mem::take(&mut self.carry);
            bytes = self.line(&line, rest, &mut on)?;
            self.carry = emptied(line);
        }
        while let Some((line, rest)) = self.cut(bytes) {
            bytes = self.line(line, rest, &mut on)?;
        }
        Ok(self.keep(bytes)?)
    }

    /// Ends the stream: an event without its blank line is handed on as well.
    pub fn finish<E: From<TooLarge>>(
        &mut self,
        mut on: impl FnMut(Event) -> Result<(), E>,
    ) -> Result<(), E> {
        let line = std::mem::take(&mut self.carry);
        if !line.is_empty() {
            self.line(&line, b"", &mut on)?;
        }
        self.close(&mut on)
    }

    /// The first line of `bytes` and what follows its end.
    fn cut<'a>(&mut self, bytes: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let at = memchr2(b'\n', b'\r', bytes)?;
        let (line, end) = bytes.split_at(at);
        Some((line, self.behind_end(end)))
    }

    /// What follows the line end that `bytes` begins with.
    fn behind_end<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        match bytes {
            [b'\r', b'\n', rest @ ..] => rest,
            [b'\r'] => {
                self.after_cr = true;
                b""
            }
            [_, rest @ ..] => rest,
            [] => bytes,
        }
    }

    /// Handles one line and returns what is left of `rest`: a blank line right behind a data line is taken with it.
    fn line<'a, E: From<TooLarge>>(
        &mut self,
        line: &[u8],
        rest: &'a [u8],
        on: &mut impl FnMut(Event) -> Result<(), E>,
    ) -> Result<&'a [u8], E> {
        let line = self.without_mark(line);
        if line.is_empty() {
            self.close(on)?;
            return Ok(rest);
        }
        let (field, value) = field(line);
        if field != b"data" {
            self.other_field(field, value);
            return Ok(rest);
        }
        self.check(value.len())?;
        if !self.open && matches!(rest.first(), Some(b'\n' | b'\r')) {
            self.hand_on(value, on)?;
            return Ok(self.behind_end(rest));
        }
        if self.open {
            self.data.push(b'\n');
        }
        self.open = true;
        self.data.extend_from_slice(value);
        Ok(rest)
    }

    fn without_mark<'a>(&mut self, line: &'a [u8]) -> &'a [u8] {
        if std::mem::replace(&mut self.started, true) {
            return line;
        }
        line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line)
    }

    fn other_field(&mut self, field: &[u8], value: &[u8]) {
        let text = || String::from_utf8_lossy(value).into_owned();
        let fits = value.len() <= NAME_BYTES_MAX;
        match field {
            b"event" if fits => self.name = text(),
            b"id" if fits && !value.contains(&0) => {
                self.id = Some(text()).filter(|id| !id.is_empty());
            }
            b"retry" => self.retry_ms = text().parse().ok(),
            _ => {} // comments (an empty name) and fields that nobody knows
        }
    }

    fn close<E>(&mut self, on: &mut impl FnMut(Event) -> Result<(), E>) -> Result<(), E> {
        if !std::mem::take(&mut self.open) {
            self.name.clear();
            return Ok(());
        }
        let data = std::mem::take(&mut self.data);
        self.hand_on(&data, on)?;
        self.data = emptied(data);
        Ok(())
    }

    fn hand_on<E>(
        &mut self,
        data: &[u8],
        on: &mut impl FnMut(Event) -> Result<(), E>,
    ) -> Result<(), E> {
        let event = Event {
            name: &self.name,
            data,
            id: self.id.as_deref(),
            retry_ms: self.retry_ms.take(),
        };
        on(event)?;
        self.name.clear();
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), TooLarge> {
        self.check(self.carry.len() + bytes.len())?;
        self.carry.extend_from_slice(bytes);
        Ok(())
    }

    /// Refuses `more` bytes for the event at hand, if that is too much with what it has.
    fn check(&self, more: usize) -> Result<(), TooLarge> {
        let bytes_max = self.bytes_max;
        if self.data.len() + more > bytes_max {
            return Err(TooLarge { bytes_max });
        }
        Ok(())
    }
}

/// The name and the value of a line; one blank behind the colon belongs to neither.
fn field(line: &[u8]) -> (&[u8], &[u8]) {
    if let Some(value) = line.strip_prefix(b"data: ") {
        return (b"data", value); // nearly every line
    }
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        return (line, b"");
    };
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    (name, value.strip_prefix(b" ").unwrap_or(value))
}

/// The buffer, ready for the next event, without what only a large one needed.
fn emptied(mut buffer: Vec<u8>) -> Vec<u8> {
    buffer.clear();
    buffer.shrink_to(KEPT_BYTES);
    buffer
}

#[cfg(test)]
mod tests;
