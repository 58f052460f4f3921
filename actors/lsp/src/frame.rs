//! Messages on a stream: a head with `Content-Length`, a blank line, a body. What a server prints between them is passed over
//! within a bound.

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// Bytes of one message.
pub const BODY_BYTES_MAX: usize = 32 << 20;
/// Bytes of one line of a head.
const LINE_BYTES_MAX: u64 = 8 << 10;
/// Bytes between messages, in a server's whole life.
const NOISE_BYTES_MAX: usize = 4 << 20;
/// Set aside for a body before any of it has come: what the head promises may never come.
const ROOM_BYTES: usize = 64 << 10;

/// Why there is no next message.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The stream ended.
    #[error("it closed its output")]
    Closed,
    /// It cannot be read.
    #[error("its output cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// A message is larger than [`BODY_BYTES_MAX`].
    #[error("it sent a message of {0} bytes")]
    TooLarge(u64),
    /// Too much that is no message.
    #[error("it printed what is not of the protocol")]
    Noise,
}

/// Reads messages.
pub struct Frames<R> {
    reader: R,
    noise: usize,
}

impl<R: AsyncBufRead + Unpin> Frames<R> {
    /// Of a server's output.
    pub fn new(reader: R) -> Self {
        Self { reader, noise: 0 }
    }

    /// The body of the next message.
    pub async fn next(&mut self) -> Result<Vec<u8>, FrameError> {
        let mut length: Option<u64> = None;
        loop {
            let line = self.line().await?;
            let text = line.trim_ascii();
            match (length, length_of(text)) {
                (Some(length), None) if text.is_empty() => return self.body(length).await,
                (_, Some(named)) if named > BODY_BYTES_MAX as u64 => {
                    return Err(FrameError::TooLarge(named));
                }
                (_, Some(named)) => length = Some(named),
                // Another field of the head.
                (Some(_), None) if text.contains(&b':') => {}
                (_, None) => {
                    length = None;
                    self.add_noise(line.len())?;
                }
            }
        }
    }

    /// Counts what is not of the protocol.
    pub fn add_noise(&mut self, bytes: usize) -> Result<(), FrameError> {
        self.noise = self.noise.saturating_add(bytes.max(1));
        if self.noise > NOISE_BYTES_MAX {
            return Err(FrameError::Noise);
        }
        Ok(())
    }

    async fn line(&mut self) -> Result<Vec<u8>, FrameError> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.reader).take(LINE_BYTES_MAX);
        if bounded.read_until(b'\n', &mut line).await? == 0 {
            return Err(FrameError::Closed);
        }
        Ok(line)
    }

    async fn body(&mut self, length: u64) -> Result<Vec<u8>, FrameError> {
        let mut body = Vec::with_capacity(ROOM_BYTES.min(length as usize));
        let mut bounded = (&mut self.reader).take(length);
        bounded.read_to_end(&mut body).await?;
        if (body.len() as u64) < length {
            return Err(FrameError::Closed);
        }
        Ok(body)
    }
}

/// The number of a line `Content-Length: N`, also behind something that was printed without an end of line.
fn length_of(line: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"content-length:";
    let at = line
        .windows(NAME.len())
        .rposition(|window| window.eq_ignore_ascii_case(NAME))?;
    let value = std::str::from_utf8(&line[at + NAME.len()..]).ok()?;
    value.trim().parse().ok()
}

/// A message with its head.
pub fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = format!("Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    frame.extend_from_slice(body);
    frame
}

#[cfg(test)]
mod tests {
    use super::{FrameError, Frames, framed};

    async fn read(bytes: &[u8]) -> (Vec<String>, FrameError) {
        let (mut frames, mut all) = (Frames::new(bytes), Vec::new());
        loop {
            match frames.next().await {
                Ok(body) => all.push(String::from_utf8(body).unwrap()),
                Err(error) => return (all, error),
            }
        }
    }

    #[tokio::test]
    async fn messages_are_found_between_what_a_server_prints() {
        let mut bytes = b"Starting up...\nContent-Length: nine\r\n\r\n".to_vec();
        bytes.extend(framed(b"one"));
        bytes.extend(b"warning: no newline");
        bytes.extend(b"content-length:3\nContent-Type: x; charset=utf-8\n\ntwo");
        bytes.extend(b"\n\nContent-Length: 9\nno field\n\n");
        bytes.extend(framed("dr\u{fc}".as_bytes()));
        bytes.extend(framed(b""));
        let (all, error) = read(&bytes).await;
        assert_eq!(all, ["one", "two", "dr\u{fc}", ""]);
        assert!(matches!(error, FrameError::Closed));
    }

    #[tokio::test]
    async fn an_end_anywhere_is_an_end() {
        let frame = framed(b"body");
        for cut in 0..frame.len() {
            let (all, error) = read(&frame[..cut]).await;
            assert!(
                all.is_empty() && matches!(error, FrameError::Closed),
                "{cut}"
            );
        }
    }

    #[tokio::test]
    async fn neither_promises_nor_noise_are_without_bound() {
        let huge = b"Content-Length: 104857600\r\n\r\n";
        assert!(matches!(
            read(huge).await.1,
            FrameError::TooLarge(104_857_600)
        ));
        let overflow = b"Content-Length: 99999999999999999999999\r\n\r\n";
        assert!(matches!(read(overflow).await.1, FrameError::Closed));
        let noise = vec![b'x'; 5 << 20];
        assert!(matches!(read(&noise).await.1, FrameError::Noise));
        let lines = b"\n".repeat(5 << 20);
        assert!(matches!(read(&lines).await.1, FrameError::Noise));
    }
}
