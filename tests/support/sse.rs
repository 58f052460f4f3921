//! Reading event streams, with their positions.

use crate::api::Api;
use crate::wait::within;
use reqwest::{Method, Response};
use serde_json::Value;

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
    buffer: Vec<u8>,
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
            buffer: Vec::new(),
        };
        let first = events.next().await?;
        assert_eq!(first.name(), "server.connected");
        Some(events)
    }

    /// The next event; nothing at the end of the stream or of the connection.
    pub async fn next(&mut self) -> Option<Seen> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let frame: Vec<u8> = self.buffer.drain(..end + 2).collect();
                if let Some(seen) = parse(&String::from_utf8(frame).expect("text")) {
                    return Some(seen);
                }
                continue;
            }
            let chunk = within("an event", self.response.chunk())
                .await
                .ok()
                .flatten()?;
            self.buffer.extend_from_slice(&chunk);
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

fn parse(frame: &str) -> Option<Seen> {
    let field = |name: &str| {
        frame
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim_start)
    };
    let mut event: Value = serde_json::from_str(field("data:")?).expect("an event is JSON");
    let folder = event["directory"].as_str().map(str::to_owned);
    if event.get("payload").is_some() {
        event = event["payload"].take();
    }
    Some(Seen {
        id: field("id:").map(str::to_owned),
        event,
        folder,
    })
}
