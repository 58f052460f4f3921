//! Signing in to a server: who gives out tokens (`discover.rs`), how one is got (`flow.rs`), where it is kept (`vault.rs`),
//! and who waits for the browser to come back (`callback.rs`).

mod callback;
mod discover;
mod flow;
mod vault;

pub use flow::{Begun, Flow, Flows, PATIENCE};
pub use vault::Vault;

use crate::http::Signer;
use kilo_ports::BoxFuture;
use parking_lot::Mutex;
use reqwest::Client;
use std::sync::Arc;

/// Why nobody can sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthError {
    /// The server takes no clients by itself.
    NeedsRegistration(String),
    /// It is no server that one signs in to.
    Unsupported(String),
    /// All else, for people.
    Failed(String),
}

impl AuthError {
    /// In words.
    pub fn text(&self) -> &str {
        match self {
            Self::NeedsRegistration(why) | Self::Unsupported(why) | Self::Failed(why) => why,
        }
    }
}

fn failed(why: impl Into<String>) -> AuthError {
    AuthError::Failed(why.into())
}

/// Signs requests to one server with the token that is kept for it.
pub struct Kept {
    vault: Vault,
    client: Client,
    server: String,
    url: String,
    /// One renewal at a time: a refresh token is often good for once.
    renewing: Arc<tokio::sync::Mutex<()>>,
    /// The token that was read or got last; a sign-in or sign-out makes a new one of this.
    known: Arc<Mutex<Option<String>>>,
}

impl Kept {
    /// For `server` at `url`.
    pub fn new(vault: Vault, client: Client, server: &str, url: &str) -> Self {
        Self {
            vault,
            client,
            server: server.to_owned(),
            url: url.to_owned(),
            renewing: Arc::default(),
            known: Arc::default(),
        }
    }
}

impl Signer for Kept {
    fn token(&self) -> BoxFuture<'static, Option<String>> {
        if let Some(token) = self.known.lock().clone() {
            return Box::pin(std::future::ready(Some(token)));
        }
        let (vault, server, url) = (self.vault.clone(), self.server.clone(), self.url.clone());
        let known = Arc::clone(&self.known);
        Box::pin(async move {
            let token = vault.read(&server, &url).await?.access_token;
            known.lock().clone_from(&token);
            token
        })
    }

    fn renewed(&self, refused: Option<String>) -> BoxFuture<'static, Option<String>> {
        let (vault, client) = (self.vault.clone(), self.client.clone());
        let (server, url) = (self.server.clone(), self.url.clone());
        let renewing = Arc::clone(&self.renewing);
        let known = Arc::clone(&self.known);
        Box::pin(async move {
            let _one = renewing.lock().await;
            let mut ticket = vault.read(&server, &url).await?;
            // Somebody else was faster.
            if ticket.access_token.is_some() && ticket.access_token != refused {
                known.lock().clone_from(&ticket.access_token);
                return ticket.access_token;
            }
            match flow::refresh(&client, &mut ticket, &url).await {
                Ok(()) => {
                    let token = ticket.access_token.clone();
                    known.lock().clone_from(&token);
                    vault.write(&server, &url, ticket).await.ok()?;
                    token
                }
                Err(error) => {
                    tracing::info!(%server, error = error.text(), "a sign-in cannot be renewed");
                    None
                }
            }
        })
    }
}
