//! A stream of events that survives a broken connection.

use crate::error::ClientError;
use crate::frames::{Frame, Frames};
use crate::http::{Client, accepted, unreachable_at};
use kilo_protocol::{Event, Received};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, Response};
use std::time::Duration;
use tracing::debug;

const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// The daemon sends a heartbeat every 10 s; three missing ones mean that the connection is dead.
const SILENCE_MAX: Duration = Duration::from_secs(35);
const ATTEMPTS_MAX: u32 = 8;
const WAIT_FIRST: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(5);

/// What a stream brings.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// An event. Greetings, heartbeats and mirrored `sync` events are left out.
    Event(Box<Received>),
    /// Events are missing before what comes next: the connection broke and the daemon cannot go on where it was. Whoever
    /// keeps a picture of the state reads it anew.
    Resync,
}

/// A stream of events. It opens a broken connection again with `Last-Event-ID`, up to 8 times in a row with growing waits
/// (0.1 s to 5 s). Where the daemon goes on after the last event seen, a caller sees nothing of the break; where it does
/// not, because it says so (`server.resync`) or because it numbers no events, there is an [`Item::Resync`].
pub struct EventStream {
    client: Client,
    path: &'static str,
    response: Option<Response>,
    frames: Frames,
    cursor: Option<String>,
    failures: u32,
    wait: Duration,
    ended: bool,
}

impl Client {
    /// Opens the event stream of this client's directory. Events raised after this returns are not missed.
    pub async fn events(&self) -> Result<EventStream, ClientError> {
        EventStream::open(self.clone(), "/event").await
    }

    /// Opens the stream of all directories' events.
    pub async fn global_events(&self) -> Result<EventStream, ClientError> {
        EventStream::open(self.clone(), "/global/event").await
    }
}

impl EventStream {
    async fn open(client: Client, path: &'static str) -> Result<Self, ClientError> {
        let response = connect(&client, path, None).await?;
        let mut stream = Self {
            client,
            path,
            response: Some(response),
            frames: Frames::default(),
            cursor: None,
            failures: 0,
            wait: WAIT_FIRST,
            ended: false,
        };
        stream.greeting().await?;
        Ok(stream)
    }

    /// Waits for the first frame, `server.connected`: from then on the daemon is listening for us.
    async fn greeting(&mut self) -> Result<(), ClientError> {
        match self.read_frame().await {
            Ok(Some(frame)) => {
                self.cursor = frame.id;
                Ok(())
            }
            Ok(None) => Err(ClientError::Protocol {
                channel: "event stream",
                reason: "it ended before it began".into(),
            }),
            Err(error) => Err(error),
        }
    }

    /// The next item; `None` after the daemon ended the stream on purpose (`server.instance.disposed`,
    /// `global.disposed`).
    ///
    /// Cancel safe: dropping the future loses nothing.
    ///
    /// # Errors
    /// [`ClientError::StreamLost`] when the connection cannot be opened again, [`ClientError::Refused`] when the daemon
    /// does not want us any more. After an error the stream is over.
    pub async fn next(&mut self) -> Result<Option<Item>, ClientError> {
        if self.ended {
            return Ok(None);
        }
        let result = self.advance().await;
        if !matches!(result, Ok(Some(_))) {
            self.ended = true;
            self.response = None;
        }
        result
    }

    async fn advance(&mut self) -> Result<Option<Item>, ClientError> {
        loop {
            if self.response.is_none() && !self.reopen().await? {
                return Ok(Some(Item::Resync));
            }
            match self.read_frame().await {
                Ok(Some(frame)) => {
                    if let Some(item) = self.item(frame)? {
                        return Ok(Some(item));
                    }
                    if self.ended {
                        return Ok(None);
                    }
                }
                // Not its own end, which `item` would have seen: a proxy, or a daemon that was killed.
                Ok(None) => {
                    debug!(path = self.path, "event stream ended, will open it again");
                    self.response = None;
                }
                Err(error) if error.is_transient() => {
                    debug!(path = self.path, %error, "event stream broke, will open it again");
                    self.response = None;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads until a frame is whole; `None` at the end of the connection.
    async fn read_frame(&mut self) -> Result<Option<Frame>, ClientError> {
        loop {
            if let Some(frame) = self.frames.take() {
                // What comes through shows that the daemon is well, so the next break begins with a short wait.
                self.wait = frame
                    .retry_ms
                    .map_or(WAIT_FIRST, |ms| Duration::from_millis(ms).min(WAIT_MAX));
                return Ok(Some(frame));
            }
            let Some(response) = &mut self.response else {
                return Ok(None);
            };
            let chunk = tokio::time::timeout(SILENCE_MAX, response.chunk())
                .await
                .map_err(|_| ClientError::Timeout {
                    call: format!("GET {}", self.path),
                    waited: SILENCE_MAX,
                })?
                .map_err(|error| unreachable_at(self.client.url(), error))?;
            match chunk {
                Some(bytes) => self.frames.push(&bytes)?,
                None => return Ok(None),
            }
        }
    }

    /// Reads the event out of a frame, keeping its position; `None` for what a caller need not see.
    fn item(&mut self, frame: Frame) -> Result<Option<Item>, ClientError> {
        if frame.data.is_empty() {
            return Ok(None);
        }
        let received = Received::read(&frame.data).map_err(|source| ClientError::Protocol {
            channel: "event stream",
            reason: source.to_string(),
        })?;
        // Only a whole frame counts as being back: a daemon that accepts and says nothing must not reset the count.
        self.failures = 0;
        if frame.id.is_some() {
            self.cursor = frame.id;
        }
        match &received.event {
            // The global stream carries those of all directories, and goes on.
            Event::InstanceDisposed(_) => self.ended = self.path == "/event",
            Event::GlobalDisposed(_) => self.ended = true,
            Event::Resync(resync) => {
                debug!(path = self.path, reason = %resync.reason, "events are missing");
                return Ok(Some(Item::Resync));
            }
            Event::Connected(_) | Event::Heartbeat(_) => return Ok(None),
            // The mirror of the event before it, for clients that only know that form.
            Event::Other { name, .. } if name == "sync" => return Ok(None),
            _ => {}
        }
        Ok(Some(Item::Event(Box::new(received))))
    }

    /// Opens the connection again; answers whether the daemon may continue where the old one broke. If it cannot, it says
    /// so itself.
    async fn reopen(&mut self) -> Result<bool, ClientError> {
        loop {
            tokio::time::sleep(self.wait).await;
            self.wait = (self.wait * 2).min(WAIT_MAX);
            self.failures += 1;
            match connect(&self.client, self.path, self.cursor.as_deref()).await {
                Ok(response) => {
                    self.response = Some(response);
                    // Half a frame of the old connection must not run into the new one.
                    self.frames = Frames::default();
                    return Ok(self.cursor.is_some());
                }
                Err(error) if !error.is_transient() => return Err(error),
                Err(error) if self.failures >= ATTEMPTS_MAX => {
                    return Err(ClientError::StreamLost {
                        attempts: self.failures,
                        source: Box::new(error),
                    });
                }
                Err(error) => {
                    debug!(attempt = self.failures, %error, "event stream is not back yet")
                }
            }
        }
    }
}

async fn connect(
    client: &Client,
    path: &str,
    cursor: Option<&str>,
) -> Result<Response, ClientError> {
    let call = format!("GET {path}");
    let mut request = client
        .request(Method::GET, path, &[])
        .header(ACCEPT, "text/event-stream");
    if let Some(cursor) = cursor {
        request = request.header("last-event-id", cursor);
    }
    let opening = async {
        let response = client.send(request).await?;
        accepted(response, &call).await
    };
    let response = tokio::time::timeout(OPEN_TIMEOUT, opening)
        .await
        .map_err(|_| ClientError::Timeout {
            call: call.clone(),
            waited: OPEN_TIMEOUT,
        })??;
    let kind = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    // A login page of some proxy answers 200 as well.
    if !kind.starts_with("text/event-stream") {
        let reason = format!("content type is {kind:?}");
        return Err(ClientError::Protocol {
            channel: "event stream",
            reason,
        });
    }
    Ok(response)
}
