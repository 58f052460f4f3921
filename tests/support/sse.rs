//! Reading event streams, with their positions.

use crate::api::Api;
use crate::wait::within;
use kilo_sse::{Decoder, TooLarge};
use reqwest::{Method, Response};
use serde_json::Value;
use std::collections::VecDeque;

const FRAME_BYTES_MAX: usize = 32 << 20;

/// An event as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Its position, if it had one.
    pub id: Option<String>,
    /// The event itself, without the global stream's wrapping.
    pub event: Value,
    /// The folder, as the global stream tells it.
    pub folder: Option<String>,
}

impl Seen {
    /// Its name.
    pub fn name(&self) -> &str {
        self.event["type"].as_str().unwrap_or_default()
    }

    /// A field of its properties.
    pub fn field(&self, name: &str) -> &Value {
        &self.event["properties"][name]
    }

    /// Whether it is the event `name` of `session`.
    pub fn is(&self, name: &str, session: &str) -> bool {
        self.name() == name && self.field("sessionID") == session
    }
}

/// An open event stream.
pub struct Events {
    response: Response,
    decoder: Decoder,
    whole: VecDeque<Seen>,
    last_id: Option<String>,
}

impl Events {
    /// Opens `path`, after the position `last` if there is one. Nothing when the daemon is not there.
    pub async fn open(api: &Api, path: &str, last: Option<&str>) -> Option<Self> {
        let mut request = api
            .request(Method::GET, path)
            .timeout(std::time::Duration::from_secs(24 * 3600));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.ok()?;
        assert_eq!(response.status().as_u16(), 200, "{path}");
        let mut events = Self {
            response,
            decoder: Decoder::new(FRAME_BYTES_MAX),
            whole: VecDeque::new(),
            last_id: None,
        };
        let first = events.next().await?;
        assert_eq!(first.name(), "server.connected");
        Some(events)
    }

    /// The next event; nothing at the end of the stream or of the connection.
    pub async fn next(&mut self) -> Option<Seen> {
        loop {
            if let Some(seen) = self.whole.pop_front() {
                return Some(seen);
            }
            let chunk = within("an event", self.response.chunk())
                .await
                .ok()
                .flatten()?;
            let (whole, last) = (&mut self.whole, &mut self.last_id);
            let fed = self.decoder.feed(&chunk, |event| {
                let mut seen = parse(&event);
                // An id holds on until the next one comes: here only the frame that brought it has it.
                match &seen.id {
                    Some(id) if Some(id) == last.as_ref() => seen.id = None,
                    id => last.clone_from(id),
                }
                whole.push_back(seen);
                Ok::<_, TooLarge>(())
            });
            fed.expect("a frame within bounds");
        }
    }

    /// Reads until an event fits; answers it.
    pub async fn until(&mut self, what: &str, fits: impl Fn(&Seen) -> bool) -> Seen {
        within(what, async {
            loop {
                let seen = self
                    .next()
                    .await
                    .unwrap_or_else(|| panic!("the stream ended before {what}"));
                if fits(&seen) {
                    return seen;
                }
            }
        })
        .await
    }
}

fn parse(frame: &kilo_sse::Event) -> Seen {
    let mut event: Value = serde_json::from_slice(frame.data).expect("an event is JSON");
    let folder = event["directory"].as_str().map(str::to_owned);
    if event.get("payload").is_some() {
        event = event["payload"].take();
    }
    Seen {
        id: frame.id.map(str::to_owned),
        event,
        folder,
    }
}
