//! How to listen, and whom to let in.

use crate::secret::Secret;
use kilo_protocol::endpoints::CONTENT_BYTES_MAX;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Asked with the inode of the other end of a connection: is that socket the daemon's own, or of a child of its tools?
pub type IsOwn = Arc<dyn Fn(u64) -> bool + Send + Sync>;

/// Asked with a path and the `ticket` of its query: does the ticket open this path? It is for the handler to use it up.
pub type Pass = Arc<dyn Fn(&str, &str) -> bool + Send + Sync>;

/// How to listen and whom to let in.
#[derive(Clone)]
pub struct EdgeOptions {
    /// Host name or address to listen on; anything but loopback needs a password.
    pub host: String,
    /// Port; 0 takes a free one.
    pub port: u16,
    /// Password of HTTP Basic. With it every route needs credentials.
    pub password: Option<Secret>,
    /// User name of HTTP Basic.
    pub username: String,
    /// Token that opens everything; see [`crate::token_file`].
    pub token: Option<Secret>,
    /// Origins allowed beside the built-in ones, for example `https://tools.example`.
    pub cors: Vec<String>,
    /// Names that `Host` may have beside the local ones and the bound one; no port.
    pub hosts: Vec<String>,
    /// Threads that serve; at least 1.
    pub workers: usize,
    /// Largest body, in bytes.
    pub body_bytes_max: usize,
    /// The longest pause within a body; then the connection is closed.
    pub body_pause_max: Duration,
    /// Tells apart what the daemon itself and the children of its tools connect: it has to bring the password or the
    /// token. Without it every program of the same user is trusted.
    pub is_own: Option<IsOwn>,
    /// One-time tickets for single paths, for WebSockets of browsers, which cannot send credentials.
    pub pass: Option<Pass>,
}

impl Default for EdgeOptions {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".into(),
            port: 0,
            password: None,
            username: "kilo".into(),
            token: None,
            cors: Vec::new(),
            hosts: Vec::new(),
            workers: 1,
            body_bytes_max: CONTENT_BYTES_MAX,
            body_pause_max: Duration::from_secs(15),
            is_own: None,
            pass: None,
        }
    }
}

impl fmt::Debug for EdgeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EdgeOptions")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("password", &self.password.is_some())
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}
