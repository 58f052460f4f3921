//! A stream of events that survives a broken connection.

use crate::error::ClientError;
use crate::frames::{Frame, Frames};
use crate::http::{Client, accepted, unreachable_at};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, Response};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;
use tracing::debug;

const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// The daemon sends a heartbeat every 10 s; three missing ones mean that the connection is dead.
const SILENCE_MAX: Duration = Duration::from_secs(35);
const ATTEMPTS_MAX: u32 = 8;
const WAIT_FIRST: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(5);

/// One event: `{id, type, properties}`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Event {
    /// `evt_…`; empty when the daemon sent none.
    #[serde(default)]
    pub id: String,
    /// Its name, such as `session.idle`.
    #[serde(rename = "type")]
    pub name: String,
    /// Its fields; null when it has none.
    #[serde(default)]
    pub properties: Value,
    /// The directory it belongs to; only the global stream tells.
    #[serde(skip)]
    pub directory: Option<String>,
}

impl Event {
    /// The session it is about, where it says so.
    pub fn session(&self) -> Option<&str> {
        let place = |path| self.properties.pointer(path).and_then(Value::as_str);
        place("/sessionID")
            .or_else(|| place("/part/sessionID"))
            .or_else(|| place("/info/sessionID"))
            .or_else(|| {
                if self.name.starts_with("session.") {
                    place("/info/id")
                } else {
                    None
                }
            })
    }
}

#[derive(Deserialize)]
struct Wrapped {
    #[serde(default)]
    directory: Option<String>,
    payload: Event,
}

/// What a stream brings.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// An event. Heartbeats and mirrored `sync` events are left out.
    Event(Event),
    /// The connection broke and is open again.
    Reopened {
        /// The daemon continued after the last event seen. If not, events may be missing: read the state anew.
        resumed: bool,
    },
}

/// A stream of events. It opens a broken connection again with `Last-Event-ID`, up to 8 times in a row with growing waits
/// (0.1 s to 5 s).
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
            if self.response.is_none() {
                let resumed = self.reopen().await?;
                return Ok(Some(Item::Reopened { resumed }));
            }
            match self.read_frame().await {
                Ok(Some(frame)) => {
                    if let Some(event) = self.event(frame)? {
                        return Ok(Some(Item::Event(event)));
                    }
                    if self.ended {
                        return Ok(None);
                    }
                }
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
    fn event(&mut self, frame: Frame) -> Result<Option<Event>, ClientError> {
        if frame.data.is_empty() {
            return Ok(None);
        }
        let event = parse(&frame.data)?;
        self.failures = 0;
        if frame.id.is_some() {
            self.cursor = frame.id;
        }
        if matches!(
            event.name.as_str(),
            "server.instance.disposed" | "global.disposed"
        ) {
            self.ended = self.path == "/event" || event.name == "global.disposed";
        }
        let noise = matches!(
            event.name.as_str(),
            "sync" | "server.heartbeat" | "server.connected"
        );
        Ok((!noise).then_some(event))
    }

    /// Opens the connection again; answers whether the daemon continues where the old one broke.
    async fn reopen(&mut self) -> Result<bool, ClientError> {
        loop {
            tokio::time::sleep(self.wait).await;
            self.wait = (self.wait * 2).min(WAIT_MAX);
            self.failures += 1;
            match connect(&self.client, self.path, self.cursor.as_deref()).await {
                Ok(response) => {
                    self.response = Some(response);
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

fn parse(data: &str) -> Result<Event, ClientError> {
    let wrong = |source: serde_json::Error| ClientError::Protocol {
        channel: "event stream",
        reason: source.to_string(),
    };
    let value: Value = serde_json::from_str(data).map_err(wrong)?;
    if value.get("payload").is_none() {
        return serde_json::from_value(value).map_err(wrong);
    }
    let wrapped: Wrapped = serde_json::from_value(value).map_err(wrong)?;
    Ok(Event {
        directory: wrapped.directory,
        ..wrapped.payload
    })
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
    if !kind.starts_with("text/event-stream") {
        let reason = format!("content type is {kind:?}");
        return Err(ClientError::Protocol {
            channel: "event stream",
            reason,
        });
    }
    Ok(response)
}
