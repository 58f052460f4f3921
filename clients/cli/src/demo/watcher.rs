//! A second client: it sits on a connection of its own and notes what it sees.

use kilo_client::{Client, Event, Item, Received};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const EVENTS_MAX: usize = 20_000;
const LAST_EVENTS_MAX: Duration = Duration::from_secs(5);

/// What a client saw: the ids and names of a session's events, and the answer's text put together from its pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// `(id, name)` of each event, in order.
    pub events: Vec<(String, String)>,
    /// All pieces of text.
    pub text: String,
    /// The session is at rest.
    pub closed: bool,
}

impl Seen {
    fn note(&mut self, received: &Received) {
        let event = &received.event;
        if self.closed || event.session().is_none() || self.events.len() >= EVENTS_MAX {
            return;
        }
        self.events
            .push((received.id.to_string(), event.name().to_owned()));
        if let Event::PartDelta(piece) = event {
            self.text.push_str(&piece.delta);
        }
        self.closed = matches!(event, Event::TurnClosed(_));
    }
}

/// A client that watches until it is dropped.
pub struct Watcher {
    seen: watch::Receiver<Seen>,
    watching: JoinHandle<()>,
}

impl Watcher {
    /// Opens an event stream of its own and notes what comes.
    pub async fn start(client: &Client) -> anyhow::Result<Self> {
        let mut events = client.events().await?;
        let (note, seen) = watch::channel(Seen::default());
        let watching = tokio::spawn(async move {
            while let Ok(Some(item)) = events.next().await {
                if let Item::Event(event) = item {
                    note.send_modify(|seen| seen.note(&event));
                }
            }
        });
        Ok(Self { seen, watching })
    }

    /// What it saw of one turn, from its beginning to its end.
    pub async fn turn(&mut self) -> Seen {
        // On a timeout the notes so far are given; the story compares them and says what is missing.
        let _ = timeout(LAST_EVENTS_MAX, self.seen.wait_for(|seen| seen.closed)).await;
        self.seen.borrow().clone()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.watching.abort();
    }
}
