//! The decoder of server-sent events: bytes in, frames out, whatever the chunks are cut at.

use crate::error::ClientError;

/// The largest frame that is accepted; the largest known event is a file's diff of a few megabytes.
pub(crate) const FRAME_BYTES_MAX: usize = 32 << 20;

/// One event as it was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The last `id:` seen up to and including this frame.
    pub id: Option<String>,
    /// The `data:` lines, joined by newlines.
    pub data: String,
    /// `retry:` in milliseconds, if this frame had one.
    pub retry_ms: Option<u64>,
}

/// Holds what came in and is not a frame yet.
#[derive(Default)]
pub(crate) struct Decoder {
    buffer: Vec<u8>,
    read: usize,
    searched: usize,
    last_id: Option<String>,
    data: Option<String>,
    retry_ms: Option<u64>,
    started: bool,
}

impl Decoder {
    /// Takes the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        if self.read > 0 {
            self.buffer.drain(..self.read);
            self.searched -= self.read;
            self.read = 0;
        }
        let held = self.buffer.len() + self.data.as_ref().map_or(0, String::len);
        if held + bytes.len() > FRAME_BYTES_MAX {
            return Err(ClientError::TooLarge {
                what: "a frame of the event stream",
                limit: FRAME_BYTES_MAX,
            });
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// The next whole frame that has data, if there is one.
    pub fn next_frame(&mut self) -> Option<Frame> {
        while let Some(line) = self.next_line() {
            if line.is_empty() {
                if let Some(data) = self.data.take() {
                    return Some(Frame {
                        id: self.last_id.clone(),
                        data,
                        retry_ms: self.retry_ms.take(),
                    });
                }
                continue;
            }
            self.field(&line);
        }
        None
    }

    fn field(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            "id" if !value.contains('\0') => {
                self.last_id = (!value.is_empty()).then(|| value.to_owned())
            }
            "retry" => self.retry_ms = value.parse().ok(),
            _ => {} // comments (empty name), `event:` and unknown fields
        }
    }

    /// The next line without its end: `\n`, `\r\n` or `\r`.
    fn next_line(&mut self) -> Option<String> {
        let from = self.searched;
        let Some(at) = self.buffer[from..]
            .iter()
            .position(|&byte| byte == b'\n' || byte == b'\r')
        else {
            self.searched = self.buffer.len();
            return None;
        };
        let end = from + at;
        let next = match (self.buffer[end], self.buffer.get(end + 1)) {
            (b'\r', Some(b'\n')) => end + 2,
            (b'\r', None) => {
                self.searched = end; // a `\n` may follow in the next chunk
                return None;
            }
            _ => end + 1,
        };
        let mut line = &self.buffer[self.read..end];
        if !self.started {
            self.started = true;
            line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        }
        let line = String::from_utf8_lossy(line).into_owned();
        self.read = next;
        self.searched = next;
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(chunks: &[&[u8]]) -> Vec<(Option<String>, String)> {
        let mut decoder = Decoder::default();
        let mut out = Vec::new();
        for chunk in chunks {
            decoder.push(chunk).expect("within bounds");
            while let Some(frame) = decoder.next_frame() {
                out.push((frame.id, frame.data));
            }
        }
        out
    }

    const STREAM: &[u8] = b"\xEF\xBB\xBF: hello\nid: 1-7\ndata: {\"a\":\ndata: \"\xC3\xBC\"}\n\nretry: 5\r\ndata:x\r\n\r\nevent: e\n\ndata\n\n";

    #[test]
    fn fields_comments_and_line_ends_are_read() {
        let id = Some("1-7".to_owned());
        assert_eq!(
            frames(&[STREAM]),
            vec![
                (id.clone(), "{\"a\":\n\"ü\"}".into()),
                (id.clone(), "x".into()),
                (id, String::new())
            ]
        );
    }

    #[test]
    fn every_cut_gives_the_same_frames() {
        let whole = frames(&[STREAM]);
        for cut in 0..STREAM.len() {
            assert_eq!(
                frames(&[&STREAM[..cut], &STREAM[cut..]]),
                whole,
                "cut at {cut}"
            );
        }
        let single: Vec<&[u8]> = STREAM.chunks(1).collect();
        assert_eq!(frames(&single), whole);
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut decoder = Decoder::default();
        let chunk = vec![b'x'; FRAME_BYTES_MAX / 2 + 1];
        decoder.push(&chunk).expect("the first half");
        assert!(decoder.next_frame().is_none());
        assert!(matches!(
            decoder.push(&chunk),
            Err(ClientError::TooLarge { .. })
        ));
    }
}
