//! HTTP without knowledge of sessions: who may come in, which operation is meant, what goes back.
//!
//! A program gives it a [`Router`] (a handler for each operation id of `kilo_protocol::endpoints`) and [`EdgeOptions`];
//! it listens, decides at the front door, routes by the table, reads the body, calls the handler and writes the reply.
//! It must never know what a session is, read the environment, or talk to an actor.
//!
//! What a request goes through, in this order (`dispatch.rs`):
//!
//! 1. **Host** must be a local name or one that was configured (`door/origin.rs`): 421 else. That is what stops a web
//!    page whose host name was pointed at this machine.
//! 2. A CORS **preflight** is answered, 204.
//! 3. A foreign **Origin**, or `Sec-Fetch-Site: cross-site` without one, is refused: 403. WebSockets included.
//! 4. **Credentials** (`door/auth.rs`): password, token, one-time link, its cookie; or, without a password, a loopback
//!    connection whose other end belongs to the same user (`door/peer.rs`) and that no web page made: 401 else.
//! 5. **Route**: unknown path or method 404, in the table without a handler 501.
//! 6. **Body**: over the limit 413, not JSON by content type 415.
//! 7. The handler. Its `Fault` is rendered by `problem.rs`, the only file that writes error bodies.
//!
//! ```no_run
//! use kilo_edge::{EdgeOptions, Reply, Router, bind, serve};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let options = EdgeOptions::default();
//! let bound = bind(&options)?;
//! let url = bound.url(); // where clients go
//! let routes = || Router::new().on("session.list", |_request| async { Reply::json(&["none yet"]) });
//! let stop = std::future::pending();
//! serve(bound, &options, routes, stop).await?;
//! # drop(url);
//! # Ok(())
//! # }
//! ```

mod bind;
mod body;
mod dispatch;
mod door;
pub mod held;
mod options;
mod problem;
mod reply;
mod request;
mod router;
mod secret;
mod serve;
pub mod sse;
mod stopping;
mod table;
mod watched;
mod ws;

pub use bind::{BindError, Bound, bind};
pub use door::Door;
pub use door::peer::is_own_socket;
pub use options::{EdgeOptions, IsOwn, Pass};
pub use reply::Reply;
pub use request::{Headers, Left, Params, Query, Request, Waiting};
pub use router::{Handler, Router, UnknownOperations};
pub use secret::{Secret, token_file};
pub use serve::serve;
pub use ws::{Closed, Incoming, Socket, SocketHandler, SocketReceiver, SocketSender};
