//! Handlers: a function for each operation id.

use crate::reply::Reply;
use crate::request::Request;
use crate::table::Table;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use kilo_protocol::Fault;
use kilo_protocol::endpoints::{self, Absent};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;

/// Serves one operation. It runs on the thread of its connection, which must not be held for more than a millisecond.
///
/// Its future is dropped when the client goes away; work that has to go on belongs into a task of its own.
pub type Handler = Rc<dyn Fn(Request) -> LocalBoxFuture<'static, Result<Reply, Fault>>>;

/// The handlers of a server, by operation id. Each serving thread makes its own.
#[derive(Clone, Default)]
pub struct Router {
    handlers: HashMap<&'static str, Handler>,
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
            async move { handler(request.checked().await?).await }.boxed_local()
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
