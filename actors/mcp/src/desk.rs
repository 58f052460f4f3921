//! Where a server's own wishes arrive: its log, its changes, the folders it may work in, what it wants of a person or a
//! model. Wishes belong to a call: there is somebody to ask only while one session calls the server.

use crate::ask::Form;
use crate::model::Change;
use crate::wire::Hooks;
use kilo_config::permission::evaluate;
use kilo_ports::BoxFuture;
use kilo_ports::tool::{QuestionAnswer, ToolHost};
use kilo_protocol::model::Action;
use kilo_protocol::{CallId, SessionId};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::watch;

/// Questions of one call.
const QUESTIONS_MAX: usize = 10;

/// A call that a server works on.
#[derive(Clone)]
pub struct Caller {
    /// The session.
    pub session: SessionId,
    /// The call.
    pub call: CallId,
    /// Who asks the user.
    pub host: Arc<dyn ToolHost>,
    /// How often it has asked.
    pub asked: Arc<AtomicUsize>,
}

/// Somebody is being asked.
struct Asking(Arc<AtomicUsize>);

impl Asking {
    fn begin(asking: &Arc<AtomicUsize>) -> Option<Self> {
        let begun = asking.compare_exchange(0, 1, Ordering::Relaxed, Ordering::Relaxed);
        begun.ok().map(|_| Self(Arc::clone(asking)))
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// A server's desk.
pub struct Desk {
    server: String,
    root: PathBuf,
    callers: Mutex<Vec<(u64, Caller)>>,
    next: Mutex<u64>,
    changes: watch::Sender<u64>,
    resources: watch::Sender<Option<String>>,
    asked_for_roots: AtomicBool,
    /// 1 while a person is being asked.
    asking: Arc<AtomicUsize>,
}

impl Desk {
    /// The desk of `server`, which may work in `root`.
    pub fn new(server: &str, root: &Path) -> Arc<Self> {
        Arc::new(Self {
            server: server.to_owned(),
            root: root.to_owned(),
            callers: Mutex::default(),
            next: Mutex::new(0),
            changes: watch::Sender::new(0),
            resources: watch::Sender::new(None),
            asked_for_roots: AtomicBool::new(false),
            asking: Arc::default(),
        })
    }

    /// Where the server may work.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Tells of changed lists.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Whether the server has asked which folders it may work in: then it is of use to this one only.
    pub fn depends_on_roots(&self) -> bool {
        self.asked_for_roots.load(Ordering::Relaxed)
    }

    /// The server works on a call of `caller` until what this gives is dropped.
    pub fn enter(self: &Arc<Self>, caller: Caller) -> Entered {
        let mut next = self.next.lock();
        *next += 1;
        self.callers.lock().push((*next, caller));
        Entered {
            desk: Arc::clone(self),
            number: *next,
        }
    }

    /// Puts questions to the user of the session that calls now. `None`: there is nobody to ask, somebody is being asked, or
    /// the call has asked enough. The future gives no answer when the call ended meanwhile.
    fn ask(
        &self,
        questions: Vec<Value>,
    ) -> Option<impl Future<Output = Option<QuestionAnswer>> + Send + 'static> {
        let caller = self.caller()?;
        // Runs that nobody watches deny questions.
        let rules = caller.host.rules();
        if evaluate("question", "*", &[&rules]).action == Action::Deny {
            return None;
        }
        if caller.asked.fetch_add(1, Ordering::Relaxed) >= QUESTIONS_MAX {
            return None;
        }
        let guard = Asking::begin(&self.asking)?;
        Some(async move {
            let answer = caller.host.question(&caller.call, questions).await;
            drop(guard);
            answer.ok()
        })
    }

    /// The one who calls now; nobody while sessions call side by side, since a server does not say whom it means.
    fn caller(&self) -> Option<Caller> {
        let callers = self.callers.lock();
        let (_, first) = callers.first()?;
        let is_one = callers
            .iter()
            .all(|(_, caller)| caller.session == first.session);
        is_one.then(|| first.clone())
    }
}

/// A call that is worked on.
pub struct Entered {
    desk: Arc<Desk>,
    number: u64,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.desk
            .callers
            .lock()
            .retain(|(number, _)| *number != self.number);
    }
}

impl Hooks for Desk {
    fn log(&self, level: &str, text: &str) {
        match level {
            "debug" | "info" | "notice" => {
                tracing::debug!(server = %self.server, level, text, "an MCP server says");
            }
            _ => tracing::info!(server = %self.server, level, text, "an MCP server says"),
        }
    }

    fn changed(&self, change: Change) {
        match change {
            Change::Resource(uri) => {
                self.resources.send_replace(Some(uri));
            }
            _ => self.changes.send_modify(|count| *count += 1),
        }
    }

    fn roots(&self) -> Vec<(String, String)> {
        self.asked_for_roots.store(true, Ordering::Relaxed);
        let Ok(url) = url::Url::from_file_path(&self.root) else {
            return Vec::new();
        };
        let name = self.root.file_name().map(|name| name.to_string_lossy());
        vec![(url.to_string(), name.unwrap_or_default().into_owned())]
    }

    fn sample(&self, _: Value) -> BoxFuture<'static, Result<Value, String>> {
        Box::pin(std::future::ready(Err(
            "this client has no model for servers".into(),
        )))
    }

    fn elicit(&self, params: Value) -> BoxFuture<'static, Value> {
        let form = Form::of(&self.server, &params);
        let asking = form.and_then(|form| Some((self.ask(form.questions.clone())?, form)));
        Box::pin(async move {
            match asking {
                Some((asking, form)) => match asking.await {
                    Some(answer) => form.answer(&answer),
                    None => json!({"action": "cancel"}),
                },
                None => json!({"action": "decline"}),
            }
        })
    }

    fn is_asking(&self) -> bool {
        self.asking.load(Ordering::Relaxed) > 0
    }
}
