//! Streamable HTTP: each message is a post; its answer comes as JSON or as a stream of events, what the server says by
//! itself on a stream of its own.

use super::events::{Event, Events};
use super::{Address, accepted, body};
use crate::channel::{Carried, Channel, Incoming, MESSAGE_BYTES_MAX, Outgoing, SendError, pair};
use crate::stdio::too_large;
use bytes::Bytes;
use parking_lot::Mutex;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response};
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");
const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");

/// Posts that are open at the same time.
const POSTS_MAX: usize = 64;
/// The pause before a broken stream is opened again, unless the server names one, and the longest.
const PAUSE: Duration = Duration::from_secs(1);
/// The shortest, whatever the server names: one that names none and sends a single event each time would keep us busy.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Attempts in a row to go on with a stream that brought nothing.
const ATTEMPTS_MAX: u32 = 5;
/// How long the first messages wait for the stream on which the server speaks by itself: what it asked before would be lost.
const LISTEN_WAIT: Duration = Duration::from_millis(500);
/// Time to say good-bye.
const GOODBYE: Duration = Duration::from_secs(2);

struct Link {
    address: Arc<Address>,
    incoming: mpsc::Sender<Incoming>,
    /// What each request carries since the handshake.
    known: Mutex<HeaderMap>,
    /// The session or our side is gone.
    over: CancellationToken,
    posts: Semaphore,
    /// Requests whose answers are awaited; fired, nobody waits any more.
    waiting: Mutex<HashMap<i64, CancellationToken>>,
    /// Fired once the server has answered to the wish for its own stream, whatever it says.
    heard: CancellationToken,
}

/// Carries messages until our end is dropped or the server forgets the session.
pub fn carry(handle: &Handle, address: Arc<Address>) -> Channel {
    let (channel, Carried { mut out, incoming }) = pair();
    let over = CancellationToken::new();
    let link = Arc::new(Link {
        address,
        incoming,
        known: Mutex::default(),
        over: over.clone(),
        posts: Semaphore::new(POSTS_MAX),
        waiting: Mutex::default(),
        heard: CancellationToken::new(),
    });
    let spawner = handle.clone();
    handle.spawn(async move {
        let mut is_shaken = false;
        loop {
            let message = tokio::select! {
                message = out.recv() => message,
                () = over.cancelled() => None,
            };
            let Some(message) = message else {
                break;
            };
            if std::mem::take(&mut is_shaken) {
                let _ = tokio::time::timeout(LISTEN_WAIT, link.heard.cancelled()).await;
            }
            let head = Head::of(&message.text);
            is_shaken = head.is("notifications/initialized");
            // Of a request that was taken back nobody waits for the answer: it would keep its place for ever.
            if let Some(id) = head.taken_back() {
                link.waiting
                    .lock()
                    .remove(&id)
                    .inspect(|waiting| waiting.cancel());
            }
            let taken_back = CancellationToken::new();
            if let Some(id) = head.request() {
                link.waiting.lock().insert(id, taken_back.clone());
            }
            let link = Arc::clone(&link);
            let (posts, over) = (spawner.clone(), over.clone());
            spawner.spawn(async move {
                tokio::select! {
                    () = link.post(message, &head, &posts) => {}
                    () = taken_back.cancelled() => {}
                    () = over.cancelled() => {}
                }
                if let Some(id) = head.request() {
                    link.waiting.lock().remove(&id);
                }
            });
        }
        over.cancel();
        link.say_goodbye().await;
    });
    channel
}

/// What has to be known of a message of ours.
#[derive(Default, Deserialize)]
struct Head {
    id: Option<i64>,
    method: Option<String>,
    #[serde(default)]
    params: Option<TakenBack>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TakenBack {
    request_id: Option<i64>,
}

impl Head {
    fn of(text: &[u8]) -> Self {
        serde_json::from_slice(text).unwrap_or_default()
    }

    fn is(&self, method: &str) -> bool {
        self.method.as_deref() == Some(method)
    }

    /// The id of a request.
    fn request(&self) -> Option<i64> {
        self.id.filter(|_| self.method.is_some())
    }

    /// The id of a request that this takes back.
    fn taken_back(&self) -> Option<i64> {
        let params = self.params.as_ref()?;
        params
            .request_id
            .filter(|_| self.is("notifications/cancelled"))
    }
}

impl Link {
    async fn post(self: &Arc<Self>, message: Outgoing, head: &Head, handle: &Handle) {
        let Ok(_permit) = self.posts.acquire().await else {
            return;
        };
        let response = match self.send(Method::POST, Some(message.text), None).await {
            Ok(response) => {
                let _ = message.done.send(Ok(()));
                response
            }
            Err(error) => {
                let has_session = self.known.lock().contains_key(SESSION);
                let _ = message.done.send(Err(error.clone()));
                // The server has forgotten the session: what follows would fail as well.
                if has_session && matches!(error, SendError::Status { status: 404, .. }) {
                    self.over.cancel();
                }
                return;
            }
        };
        let is_handshake = head.is("initialize");
        if is_handshake && let Some(session) = response.headers().get(SESSION) {
            self.known.lock().insert(SESSION, session.clone());
        }
        if let Some(id) = head.request()
            && let Err(why) = self.answer(id, response, is_handshake).await
        {
            let _ = self.incoming.send(Incoming::Lost { id, why }).await;
        }
        if head.is("notifications/initialized") {
            let link = Arc::clone(self);
            handle.spawn(async move {
                let over = link.over.clone();
                tokio::select! {
                    () = link.listen() => {}
                    () = over.cancelled() => {}
                }
            });
        }
    }

    async fn send(
        &self,
        method: Method,
        text: Option<Bytes>,
        last_event: Option<&str>,
    ) -> Result<Response, SendError> {
        let known = self.known.lock().clone();
        let last_event = last_event.and_then(|id| HeaderValue::try_from(id).ok());
        let sending = self.address.send(|client| {
            let mut request = client
                .request(method.clone(), self.address.url.clone())
                .headers(known.clone());
            request = match &text {
                Some(text) => request
                    .header(ACCEPT, BOTH)
                    .header(CONTENT_TYPE, "application/json")
                    .body(text.clone()),
                None => request.header(ACCEPT, EVENTS),
            };
            match &last_event {
                Some(id) => request.header(LAST_EVENT, id.clone()),
                None => request,
            }
        });
        accepted(sending.await?).await
    }

    /// Hands on the answer to request `id`.
    ///
    /// Errors: why there is none, for people.
    async fn answer(&self, id: i64, response: Response, is_handshake: bool) -> Result<(), String> {
        if is_stream(&response) {
            return self.stream(id, response, is_handshake).await;
        }
        let text = body(response, MESSAGE_BYTES_MAX + 1).await;
        let text = text.map_err(|error| error.to_string())?;
        if text.len() > MESSAGE_BYTES_MAX {
            return Err(too_large(text.len()));
        }
        if text.trim_ascii().is_empty() {
            return Err("the server's answer is empty".into());
        }
        self.take(text, is_handshake).await;
        Ok(())
    }

    /// Hands on events until the answer to `id` is among them. A stream that breaks before is gone on with where the
    /// server numbers its events.
    async fn stream(&self, id: i64, response: Response, is_handshake: bool) -> Result<(), String> {
        let mut events = Events::of(response);
        let (mut last, mut pause, mut attempts) = (None, PAUSE, 0);
        loop {
            match events.next().await {
                Ok(Some(event)) => {
                    attempts = 0;
                    note(&event, &mut last, &mut pause);
                    if event.data.trim_ascii().is_empty() {
                        continue;
                    }
                    let is_answer = answers(&event.data, id);
                    self.take(event.data, is_handshake).await;
                    if is_answer {
                        return Ok(());
                    }
                    continue;
                }
                Ok(None) => {}
                Err(error) if last.is_none() => return Err(error.to_string()),
                Err(_) => {}
            }
            if last.is_none() || attempts >= ATTEMPTS_MAX {
                return Err("the server ended its stream without an answer".into());
            }
            attempts += 1;
            tokio::time::sleep(pause).await;
            if let Ok(response) = self.send(Method::GET, None, last.as_deref()).await {
                events = Events::of(response);
            }
        }
    }

    /// What the server says by itself, as long as it keeps a stream for that.
    async fn listen(&self) {
        let _heard = self.heard.clone().drop_guard();
        let (mut last, mut pause, mut attempts): (Option<String>, _, u32) = (None, PAUSE, 0);
        loop {
            let opened = self.send(Method::GET, None, last.as_deref()).await;
            self.heard.cancel();
            match opened {
                Ok(response) if is_stream(&response) => {
                    let mut events = Events::of(response);
                    while let Ok(Some(event)) = events.next().await {
                        attempts = 0;
                        note(&event, &mut last, &mut pause);
                        if !event.data.trim_ascii().is_empty() {
                            self.take(event.data, false).await;
                        }
                    }
                }
                Err(SendError::Status { status: 404, .. })
                    if self.known.lock().contains_key(SESSION) && attempts > 0 =>
                {
                    return self.over.cancel();
                }
                // Many servers have none.
                Ok(_) | Err(SendError::Status { .. } | SendError::Unauthorized { .. }) => return,
                Err(_) => {}
            }
            attempts += 1;
            let wait = pause.saturating_mul(2_u32.saturating_pow(attempts - 1));
            tokio::time::sleep(wait.min(PAUSE_MAX)).await;
        }
    }

    async fn take(&self, text: Bytes, is_handshake: bool) {
        if is_handshake && let Some(version) = version_in(&text) {
            self.known.lock().insert(VERSION, version);
        }
        if self.incoming.send(Incoming::Message(text)).await.is_err() {
            self.over.cancel();
        }
    }

    async fn say_goodbye(&self) {
        if self.known.lock().contains_key(SESSION) {
            let leaving = self.send(Method::DELETE, None, None);
            let _ = tokio::time::timeout(GOODBYE, leaving).await;
        }
    }
}

fn is_stream(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("text/event-stream")
}

fn note(event: &Event, last: &mut Option<String>, pause: &mut Duration) {
    if let Some(id) = &event.id {
        *last = Some(id.clone());
    }
    if let Some(ms) = event.retry_ms {
        *pause = Duration::from_millis(ms).clamp(PAUSE_MIN, PAUSE_MAX);
    }
}

/// Whether a message is the answer to our request `id`.
fn answers(text: &[u8], id: i64) -> bool {
    #[derive(Deserialize)]
    struct Answer {
        id: Option<Value>,
        method: Option<serde::de::IgnoredAny>,
    }
    let is_it = |value: &Value| match value {
        Value::Number(number) => number.as_i64() == Some(id),
        Value::String(text) => text.parse() == Ok(id),
        _ => false,
    };
    serde_json::from_slice::<Answer>(text)
        .is_ok_and(|answer| answer.method.is_none() && answer.id.as_ref().is_some_and(is_it))
}

fn version_in(text: &[u8]) -> Option<HeaderValue> {
    #[derive(Deserialize)]
    struct Answer {
        result: Shaken,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Shaken {
        protocol_version: String,
    }
    let answer: Answer = serde_json::from_slice(text).ok()?;
    HeaderValue::try_from(answer.result.protocol_version).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_names_the_pause_within_bounds() {
        let after = |retry_ms| {
            let (mut last, mut pause) = (None, PAUSE);
            let event = Event {
                name: String::new(),
                data: Bytes::new(),
                id: Some("7".into()),
                retry_ms,
            };
            note(&event, &mut last, &mut pause);
            assert_eq!(last.as_deref(), Some("7"));
            pause
        };
        assert_eq!(after(None), PAUSE);
        assert_eq!(after(Some(500)), Duration::from_millis(500));
        assert_eq!(
            (after(Some(0)), after(Some(u64::MAX))),
            (PAUSE_MIN, PAUSE_MAX)
        );
    }
}
