//! Rust client of the daemon's protocol: typed calls over HTTP, event streams that resume, and the WebSocket.
//!
//! It must never know how a daemon works inside, read the environment or print. Start at [`Client`]; [`EventStream`] is
//! what a program that shows a session follows.
//!
//! ```no_run
//! # async fn show() -> Result<(), kilo_client::ClientError> {
//! use kilo_client::{Auth, Client, NewSession, Prompt};
//! let client = Client::new("http://127.0.0.1:4096", Auth::None)?.in_directory("/home/me/project");
//! let session = client.create_session(&NewSession::default()).await?;
//! let answer = client.prompt(&session.id, &Prompt::text("what is in this folder?")).await?;
//! # let _ = answer; Ok(())
//! # }
//! ```

mod answer;
mod auth;
mod error;
mod events;
mod frames;
mod http;
mod session;
mod socket;
mod system;
mod transfer;

pub use auth::Auth;
pub use error::ClientError;
pub use events::{EventStream, Item};
pub use http::Client;
pub use kilo_protocol::requests::{
    Credentials, InputPart, InputPartBody, NewSession, PermissionAnswer, Prompt, RunCommand,
};
pub use kilo_protocol::{Event, Received};
pub use reqwest::Method;
pub use session::SessionFilter;
pub use socket::Socket;
pub use system::{ConfigWarning, Health, ProviderList};
pub use transfer::{Entry, Imported, Transcript};
