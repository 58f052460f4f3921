//! Where a server's own wishes arrive: its log, its changes, the folders it may work in, what it wants of a person or a
//! model. Wishes belong to a call: there is somebody to ask only while one session calls the server.

use crate::ask::Form;
use crate::model::Change;
use crate::sampling::{REFUSED, Sampling};
use crate::watched::Watched;
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
use tokio_util::sync::CancellationToken;

/// Questions of one call, those before a model is asked among them.
const QUESTIONS_MAX: usize = 10;
/// What says that a model may be asked.
const YES: &str = "Yes, once";

/// A call that a server works on.
#[derive(Clone)]
pub struct Caller {
    /// The session.
    pub session: SessionId,
    /// The call.
    pub call: CallId,
    /// Who asks the user.
    pub host: Arc<dyn ToolHost>,
    /// How it stands with the server's wishes.
    pub wishes: Arc<Wishes>,
}

/// What a server has wished for during one call.
#[derive(Default)]
pub struct Wishes {
    /// Questions so far.
    asked: AtomicUsize,
    /// The user does not want a model to be asked: that holds for the rest of the call.
    no_model: AtomicBool,
    /// Fires when the call is over: nobody waits for answers then.
    over: CancellationToken,
}

/// Somebody is being asked: a person, or a model that a person has allowed.
struct Asking {
    caller: Caller,
    is_asking: Arc<AtomicBool>,
}

impl Asking {
    /// Puts questions to the caller's user. No answer: the call is over.
    async fn question(&self, questions: Vec<Value>) -> Option<QuestionAnswer> {
        tokio::select! {
            answer = self.caller.host.question(&self.caller.call, questions) => answer.ok(),
            () = self.caller.wishes.over.cancelled() => None,
        }
    }

    /// Asks the user whether a model may be asked, and then the model.
    async fn sample(&self, sampling: Sampling) -> Result<Value, String> {
        let wishes = &self.caller.wishes;
        let form = Form::consent(&sampling.server, &sampling.question(), YES);
        let answer = self.question(form.questions.clone()).await;
        let answer = answer.ok_or("the call is over")?;
        if form.answer(&answer)["action"] != "accept" {
            wishes.no_model.store(true, Ordering::Relaxed);
            return Err(REFUSED.into());
        }
        tokio::select! {
            answer = self.caller.host.ask_model(sampling.aside.clone()) => Ok(sampling.answer(answer?)),
            () = wishes.over.cancelled() => Err("the call is over".into()),
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.is_asking.store(false, Ordering::Relaxed);
    }
}

/// A server's desk.
pub struct Desk {
    server: String,
    root: PathBuf,
    callers: Mutex<Vec<(u64, Caller)>>,
    next: Mutex<u64>,
    changes: watch::Sender<u64>,
    watched: Arc<Watched>,
    asked_for_roots: AtomicBool,
    /// Somebody is being asked.
    is_asking: Arc<AtomicBool>,
}

impl Desk {
    /// The desk of `server`, which may work in `root`, and of whose resources some are watched.
    pub fn new(server: &str, root: &Path, watched: Arc<Watched>) -> Arc<Self> {
        Arc::new(Self {
            server: server.to_owned(),
            root: root.to_owned(),
            callers: Mutex::default(),
            next: Mutex::new(0),
            changes: watch::Sender::new(0),
            watched,
            asked_for_roots: AtomicBool::new(false),
            is_asking: Arc::default(),
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
        let wishes = Arc::clone(&caller.wishes);
        self.callers.lock().push((*next, caller));
        Entered {
            desk: Arc::clone(self),
            number: *next,
            wishes,
        }
    }

    /// The way to the user of the session that calls now. `None`: there is nobody to ask, somebody is being asked, or the
    /// call has asked enough.
    fn ask(&self) -> Option<Asking> {
        let caller = self.caller()?;
        // Runs that nobody watches deny questions.
        let rules = caller.host.rules();
        if evaluate("question", "*", &[&rules]).action == Action::Deny {
            return None;
        }
        if caller.wishes.asked.fetch_add(1, Ordering::Relaxed) >= QUESTIONS_MAX {
            return None;
        }
        if self.is_asking.swap(true, Ordering::Relaxed) {
            return None;
        }
        let is_asking = Arc::clone(&self.is_asking);
        Some(Asking { caller, is_asking })
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
    wishes: Arc<Wishes>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.wishes.over.cancel();
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
            Change::Resource(uri) => self.watched.changed(&uri),
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

    fn sample(&self, params: Value) -> BoxFuture<'static, Result<Value, String>> {
        let sampling = Sampling::of(&self.server, &params);
        let is_refused = self
            .caller()
            .is_some_and(|caller| caller.wishes.no_model.load(Ordering::Relaxed));
        let asking = sampling.and_then(|sampling| {
            let asking = if is_refused { None } else { self.ask() };
            Ok((asking.ok_or(REFUSED)?, sampling))
        });
        Box::pin(async move {
            let (asking, sampling) = asking?;
            asking.sample(sampling).await
        })
    }

    fn elicit(&self, params: Value) -> BoxFuture<'static, Value> {
        let form = Form::of(&self.server, &params);
        let asking = form.and_then(|form| Some((self.ask()?, form)));
        Box::pin(async move {
            let Some((asking, form)) = asking else {
                return json!({"action": "decline"});
            };
            match asking.question(form.questions.clone()).await {
                Some(answer) => form.answer(&answer),
                None => json!({"action": "cancel"}),
            }
        })
    }

    fn is_asking(&self) -> bool {
        self.is_asking.load(Ordering::Relaxed)
    }
}
