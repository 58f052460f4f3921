//! Handlers: a function for each operation id.

use crate::reply::Reply;
use crate::request::Request;
use crate::table::Table;
use crate::watched::Watched;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use kilo_protocol::Fault;
use kilo_protocol::endpoints::{self, Absent, Method};
use std::collections::HashMap;
use std::io;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use tracing::Instrument as _;

/// Serves one operation. It runs on the thread of its connection, which must not be held for more than a millisecond.
///
/// The future of a GET is dropped when the client goes away. Every other operation changes something, so it runs to its
/// end whatever the connection does; where it only waits for an answer to give, [`Request::unless_left`] ends the wait.
pub type Handler = Rc<dyn Fn(Request) -> LocalBoxFuture<'static, Result<Reply, Fault>>>;

/// The handlers of a server, by operation id. Each serving thread makes its own.
#[derive(Clone, Default)]
pub struct Router {
    handlers: HashMap<&'static str, Handler>,
}

/// A defect of one handler must not take the other connections of its thread along.
async fn guarded(answer: impl Future<Output = Result<Reply, Fault>>) -> Result<Reply, Fault> {
    let answer = AssertUnwindSafe(answer).catch_unwind().await;
    answer.unwrap_or_else(|_| Err(Fault::unknown("the handler panicked")))
}

/// Runs an answer in a task of its own, so that it ends even when nobody waits for it any more.
async fn to_its_end(
    answer: impl Future<Output = Result<Reply, Fault>> + 'static,
) -> Result<Reply, Fault> {
    let task = actix_web::rt::spawn(guarded(answer).in_current_span());
    task.await
        .unwrap_or_else(|_| Err(Fault::unknown("the server ends")))
}

/// Handlers were given for operations that the table does not have.
#[derive(Debug, thiserror::Error)]
#[error("no such operations: {}", ids.join(", "))]
pub struct UnknownOperations {
    /// Their ids, sorted.
    pub ids: Vec<&'static str>,
}

impl Router {
    /// A router that answers what the table itself does, for features that are not there; every other operation is 501.
    pub fn new() -> Self {
        endpoints::all().fold(Self::default(), |router, operation| {
            let Some(Absent::Constant {
                status,
                json,
                query,
            }) = operation.absent
            else {
                return router;
            };
            router.on(operation.id, move |request| async move {
                query.map(|name| request.query.require(name)).transpose()?;
                Ok(Reply::Json {
                    status,
                    body: Bytes::from_static(json.as_bytes()),
                })
            })
        })
    }

    /// Takes the handler of an operation; a later one for the same id wins. It sees no body that the contract does not
    /// allow.
    pub fn on<F, Answer>(mut self, op_id: &'static str, handler: F) -> Self
    where
        F: Fn(Request) -> Answer + 'static,
        Answer: Future<Output = Result<Reply, Fault>> + 'static,
    {
        let handler = Rc::new(handler);
        let handler: Handler = Rc::new(move |request: Request| {
            let handler = Rc::clone(&handler);
            let operation = request.op;
            let answer = async move { handler(request.checked().await?).await };
            let answer = Watched::new(operation.id, answer);
            match operation.method {
                Method::Get => guarded(answer).boxed_local(),
                _ => to_its_end(answer).boxed_local(),
            }
        });
        self.handlers.insert(op_id, handler);
        self
    }

    /// Tells whether an operation has an answer; the document at `/doc` is made with it.
    pub fn implemented(&self, op_id: &str) -> bool {
        self.handlers.contains_key(op_id)
    }

    /// The handler of an operation, for commands that come over a socket.
    pub fn handler(&self, op_id: &str) -> Option<Handler> {
        self.handlers.get(op_id).cloned()
    }

    /// Checks the ids against the table; [`crate::serve`] does so before it starts.
    pub fn check(&self) -> Result<(), UnknownOperations> {
        let unknown = self
            .handlers
            .keys()
            .filter(|id| endpoints::find(id).is_none());
        let mut ids: Vec<&'static str> = unknown.copied().collect();
        ids.sort_unstable();
        if ids.is_empty() {
            Ok(())
        } else {
            Err(UnknownOperations { ids })
        }
    }

    /// Lines the handlers up with the rows of the table.
    pub(crate) fn lined_up(self, table: &Table) -> Vec<Option<Handler>> {
        let mut rows = vec![None; table.len()];
        for (id, handler) in self.handlers {
            if let Some(row) = table.row(id) {
                rows[row] = Some(handler);
            }
        }
        rows
    }
}

impl From<UnknownOperations> for io::Error {
    fn from(error: UnknownOperations) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}
