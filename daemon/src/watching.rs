//! Folders are watched while a client follows their events: what was seen becomes events.

use kilo_protocol::event::{BranchChanged, FileTouched, WatchLimited};
use kilo_protocol::model::FileChangeKind;
use kilo_protocol::{Event, Received as Read};
use kilo_runtime::{Received, Subscription};
use kilo_session::Engine;
use kilo_watch::{Held, How, Seen, Watches};
use parking_lot::Mutex;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// For so long what a tool wrote is not told of again.
const TOLD_FOR: Duration = Duration::from_secs(2);

/// Watches a folder for a client; to be kept as long as the client follows.
pub fn watch(watches: &Watches, engine: &Arc<Engine>, directory: &str) -> Option<Held> {
    let (subscription, _) = engine.core().ledger.journal().subscribe();
    let told = Mutex::new(Told {
        subscription,
        files: HashMap::new(),
    });
    let engine = Arc::clone(engine);
    let tell = move |directory: &str, seen| {
        let event = match seen {
            Seen::File(path, how) => {
                let file = path.to_string_lossy();
                if told.lock().has(&engine, &file) {
                    return;
                }
                Event::FileTouched(FileTouched {
                    file: Cow::Owned(file.into_owned()),
                    event: match how {
                        How::Added => FileChangeKind::Add,
                        How::Changed => FileChangeKind::Change,
                        How::Removed => FileChangeKind::Unlink,
                    },
                })
            }
            Seen::Branch(branch) => Event::BranchChanged(BranchChanged {
                branch: branch.map(Cow::Owned),
            }),
            Seen::Limited => Event::WatchLimited(WatchLimited {
                directory: Cow::Borrowed(directory),
            }),
        };
        engine.core().publish(Some(directory), &event);
    };
    watches.hold(directory, Arc::new(tell))
}

/// What sessions told of the files that their tools wrote.
struct Told {
    subscription: Subscription,
    files: HashMap<String, Instant>,
}

impl Told {
    /// Whether a session told of this file a moment ago.
    fn has(&mut self, engine: &Engine, file: &str) -> bool {
        let now = Instant::now();
        self.files
            .retain(|_, at| now.duration_since(*at) < TOLD_FOR);
        while let Some(received) = self.subscription.try_next() {
            match received {
                // Those of the log are of sessions; the others are from here.
                Received::Frame(frame) if frame.pos.is_some() => {
                    if let Some(file) = touched(&frame.json) {
                        self.files.insert(file, now);
                    }
                }
                Received::Frame(_) => {}
                Received::Lagged(_) => {
                    (self.subscription, _) = engine.core().ledger.journal().subscribe();
                }
                Received::Closed => return false,
            }
        }
        self.files.contains_key(file)
    }
}

/// The file of an event that tells of one. Most events are others and are not read.
fn touched(json: &[u8]) -> Option<String> {
    let name = b"\"file.watcher.updated\"";
    let head = json.get(..json.len().min(120))?;
    head.windows(name.len())
        .any(|part| part == name)
        .then_some(())?;
    match Read::read(std::str::from_utf8(json).ok()?).ok()?.event {
        Event::FileTouched(touched) => Some(touched.file.into_owned()),
        _ => None,
    }
}
