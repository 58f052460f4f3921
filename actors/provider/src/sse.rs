//! Server-sent events, decoded from bytes as they come.
//!
//! Takes LF and CRLF, comments, names, data over several lines and a last event without a blank line. Most events lie
//! whole in one read and are handed on without a copy.

use memchr::memchr;

/// The most bytes that one event may have.
pub const EVENT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// An event grew above [`EVENT_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is larger than {EVENT_BYTES_MAX} bytes")]
pub struct TooLarge;

/// Cuts a byte stream into the data of its events.
#[derive(Debug, Default)]
pub struct Parser {
    /// The begin of a line whose end has not come.
    carry: Vec<u8>,
    /// Data lines of an event that goes on.
    data: Vec<u8>,
    /// The event has a data line, maybe an empty one.
    open: bool,
    /// A byte order mark may still come.
    started: bool,
}

impl Parser {
    /// Decodes the next bytes and calls `on` with the data of each event that they complete.
    ///
    /// Errors: what `on` returns, and [`TooLarge`]; the parser is of no use afterwards.
    pub fn feed<E: From<TooLarge>>(
        &mut self,
        mut bytes: &[u8],
        mut on: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if !self.carry.is_empty() {
            let Some(end) = memchr(b'\n', bytes) else {
                return self.keep(bytes);
            };
            self.keep::<E>(&bytes[..end])?;
            let line = std::mem::take(&mut self.carry);
            bytes = self.line(&line, &bytes[end + 1..], &mut on)?;
            self.carry = line;
            self.carry.clear();
        }
        while let Some(end) = memchr(b'\n', bytes) {
            bytes = self.line(&bytes[..end], &bytes[end + 1..], &mut on)?;
        }
        self.keep(bytes)
    }

    /// Ends the stream: an event without its blank line is handed on as well.
    pub fn finish<E: From<TooLarge>>(
        &mut self,
        mut on: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let line = std::mem::take(&mut self.carry);
        if !line.is_empty() {
            self.line(&line, b"", &mut on)?;
        }
        self.close(&mut on)
    }

    /// Handles one line and returns what is left of `rest`: a blank line right behind a data line is taken with it.
    fn line<'a, E: From<TooLarge>>(
        &mut self,
        line: &[u8],
        rest: &'a [u8],
        on: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<&'a [u8], E> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = self.without_mark(line);
        if line.is_empty() {
            self.close(on)?;
            return Ok(rest);
        }
        let Some(data) = line.strip_prefix(b"data") else {
            return Ok(rest);
        };
        let data = match data {
            [b':', b' ', data @ ..] | [b':', data @ ..] => data,
            [] => data,
            _ => return Ok(rest), // another field whose name begins with "data"
        };
        if !self.open
            && let Some(rest) = rest
                .strip_prefix(b"\n")
                .or_else(|| rest.strip_prefix(b"\r\n"))
        {
            on(data)?;
            return Ok(rest);
        }
        self.append(data)?;
        Ok(rest)
    }

    fn without_mark<'a>(&mut self, line: &'a [u8]) -> &'a [u8] {
        if std::mem::replace(&mut self.started, true) {
            return line;
        }
        line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line)
    }

    fn append(&mut self, data: &[u8]) -> Result<(), TooLarge> {
        if self.data.len() + data.len() > EVENT_BYTES_MAX {
            return Err(TooLarge);
        }
        if self.open {
            self.data.push(b'\n');
        }
        self.open = true;
        self.data.extend_from_slice(data);
        Ok(())
    }

    fn close<E>(&mut self, on: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        if !std::mem::take(&mut self.open) {
            return Ok(());
        }
        let data = std::mem::take(&mut self.data);
        let outcome = on(&data);
        self.data = data;
        self.data.clear();
        outcome
    }

    fn keep<E: From<TooLarge>>(&mut self, bytes: &[u8]) -> Result<(), E> {
        if self.carry.len() + bytes.len() > EVENT_BYTES_MAX {
            return Err(TooLarge.into());
        }
        self.carry.extend_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(pieces: &[&[u8]]) -> Result<Vec<String>, TooLarge> {
        let (mut parser, mut events) = (Parser::default(), Vec::new());
        for piece in pieces {
            parser.feed(piece, |data| {
                events.push(String::from_utf8_lossy(data).into_owned());
                Ok::<_, TooLarge>(())
            })?;
        }
        parser.finish(|data| {
            events.push(String::from_utf8_lossy(data).into_owned());
            Ok::<_, TooLarge>(())
        })?;
        Ok(events)
    }

    const STREAM: &str = "\u{feff}: hello\r\nevent: x\r\ndata: {\"a\":\"é\"}\r\n\r\n\n\ndata:one\ndata: two\ndata\nid: 4\n\ndatax: no\nretry: 5\n\ndata: [DONE]\n\ndata: tail";

    #[test]
    fn every_form_of_an_event_is_read() {
        let expected = ["{\"a\":\"é\"}", "one\ntwo\n", "[DONE]", "tail"];
        assert_eq!(events(&[STREAM.as_bytes()]).unwrap(), expected);
    }

    #[test]
    fn the_cut_between_reads_does_not_matter() {
        let whole = events(&[STREAM.as_bytes()]).unwrap();
        for size in 1..STREAM.len() {
            let pieces: Vec<&[u8]> = STREAM.as_bytes().chunks(size).collect();
            assert_eq!(events(&pieces).unwrap(), whole, "reads of {size} bytes");
        }
    }

    #[test]
    fn an_endless_line_and_an_endless_event_are_refused() {
        let piece = vec![b'x'; 1024 * 1024];
        let mut line: Vec<&[u8]> = vec![b"data: "];
        line.extend(std::iter::repeat_n(piece.as_slice(), 9));
        assert_eq!(events(&line), Err(TooLarge));
        let mut many: Vec<&[u8]> = Vec::new();
        for _ in 0..9 {
            many.extend([b"data: ".as_slice(), &piece, b"\n"]);
        }
        assert_eq!(events(&many), Err(TooLarge));
    }
}
