//! A client that stays attached: it comes back with the position it had and keeps everything that it saw.

use crate::api::Api;
use crate::sse::{Events, Seen};
use crate::wait::within;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The client. Heartbeats and greetings are left out.
pub struct Follower {
    path: &'static str,
    seen: Arc<Mutex<Vec<Seen>>>,
    count: watch::Sender<usize>,
    reader: Option<JoinHandle<()>>,
}

impl Follower {
    /// A client of `path`, not attached yet.
    pub fn new(path: &'static str) -> Self {
        Self {
            path,
            seen: Arc::default(),
            count: watch::channel(0).0,
            reader: None,
        }
    }

    /// Attaches, after the last position seen. What came without a position after it will come again: it is forgotten.
    pub async fn attach(&mut self, api: &Api) {
        let last = {
            let mut seen = self.seen.lock().unwrap();
            let end = seen
                .iter()
                .rposition(|seen| seen.id.is_some())
                .map_or(0, |at| at + 1);
            seen.truncate(end);
            end.checked_sub(1).and_then(|at| seen[at].id.clone())
        };
        let mut events = Events::open(api, self.path, last.as_deref())
            .await
            .expect("an event stream");
        let (seen, count) = (Arc::clone(&self.seen), self.count.clone());
        self.reader = Some(tokio::spawn(async move {
            while let Some(event) = events.next().await {
                if event.name() == "server.heartbeat" {
                    continue;
                }
                // What follows is not what this client missed: its picture would have a hole that nobody sees.
                assert_ne!(event.name(), "server.resync", "the daemon could not go on");
                let mut seen = seen.lock().unwrap();
                seen.push(event);
                count.send_replace(seen.len());
            }
        }));
    }

    /// Forgets what it saw up to its position, but not the position.
    pub fn forget(&self) {
        let mut seen = self.seen.lock().unwrap();
        if let Some(last) = seen.iter().rposition(|seen| seen.id.is_some()) {
            seen.drain(..last);
        }
    }

    /// Waits for the end of the connection, so that all that came over it was seen. Fails if the daemon could not go on
    /// where this client was.
    pub async fn detached(&mut self) {
        if let Some(reader) = self.reader.take() {
            within("the end of a connection", reader)
                .await
                .expect("the reader");
        }
    }

    /// Looks at everything seen so far.
    pub fn look<T>(&self, at: impl FnOnce(&[Seen]) -> T) -> T {
        at(&self.seen.lock().unwrap())
    }

    /// How many events were seen.
    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// Waits until what was seen so far satisfies `enough`.
    pub async fn until(&self, what: &str, enough: impl Fn(&[Seen]) -> bool) {
        let mut count = self.count.subscribe();
        within(what, async {
            while !enough(&self.seen.lock().unwrap()) {
                count.changed().await.expect("the follower lives");
            }
        })
        .await;
    }
}
