//! The address: where the server listens, and who is let in there.

use crate::door::Door;
use crate::door::secret::Secret;
use kilo_protocol::endpoints::CONTENT_BYTES_MAX;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

/// Connections that may wait to be accepted.
const CONNECTIONS_WAITING_MAX: i32 = 1_024;

/// Asked with the inode of the other end of a connection: is that socket the daemon's own, or of a child of its tools?
pub type IsOwn = Arc<dyn Fn(u64) -> bool + Send + Sync>;

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

/// Listening did not work.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The host is reachable from other machines and there is no password.
    #[error("refusing to listen on {host} without a password, because other machines can reach it")]
    PasswordRequired {
        /// The host as it was given.
        host: String,
    },
    /// The host name has no address.
    #[error("host {host} has no address")]
    NoAddress {
        /// The host as it was given.
        host: String,
        /// What the resolver said.
        #[source]
        source: Option<io::Error>,
    },
    /// The system refused the address, for example because it is in use.
    #[error("cannot listen on {addr}")]
    Listen {
        /// The address that was tried last.
        addr: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl From<BindError> for io::Error {
    fn from(error: BindError) -> Self {
        let kind = match &error {
            BindError::PasswordRequired { .. } => io::ErrorKind::PermissionDenied,
            BindError::NoAddress { .. } => io::ErrorKind::NotFound,
            BindError::Listen { source, .. } => source.kind(),
        };
        Self::new(kind, error)
    }
}

/// A listening socket, not served yet: connections already queue up.
#[derive(Debug)]
pub struct Bound {
    pub(crate) listener: TcpListener,
    addr: SocketAddr,
    host: String,
    door: Door,
}

impl Bound {
    /// The address in use; the port is the real one.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address for clients, with the host as it was given: `http://127.0.0.1:4096`.
    pub fn url(&self) -> String {
        let port = self.addr.port();
        if self.host.contains(':') {
            return format!("http://[{}]:{port}", self.host);
        }
        format!("http://{}:{port}", self.host)
    }

    /// The front door; keep a clone to make one-time links.
    pub fn door(&self) -> Door {
        self.door.clone()
    }
}

/// Listens. Nothing is answered before [`crate::serve`].
///
/// Of several addresses of a name the first that works is taken, IPv4 before IPv6.
/// Errors: [`BindError::PasswordRequired`] if any address of the host is not loopback and there is no password.
pub fn bind(options: &EdgeOptions) -> Result<Bound, BindError> {
    let host = options
        .host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let addrs = resolve(&host, options.port)?;
    let local = addrs.iter().all(|addr| addr.ip().is_loopback());
    if !local && options.password.is_none() {
        return Err(BindError::PasswordRequired { host });
    }
    let listener = listen(&host, &addrs)?;
    let failed = |source| BindError::Listen {
        addr: addrs[0],
        source,
    };
    listener.set_nonblocking(true).map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    let door = Door::new(options, &host, addr);
    Ok(Bound {
        listener,
        addr,
        host,
        door,
    })
}

/// The addresses of a host, at least one, IPv4 first.
fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, BindError> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let nothing = |source| BindError::NoAddress {
        host: host.to_owned(),
        source,
    };
    let found = (host, port)
        .to_socket_addrs()
        .map_err(|error| nothing(Some(error)))?;
    let mut addrs: Vec<SocketAddr> = found.collect();
    addrs.sort_by_key(SocketAddr::is_ipv6);
    if addrs.is_empty() {
        Err(nothing(None))
    } else {
        Ok(addrs)
    }
}

fn listen(host: &str, addrs: &[SocketAddr]) -> Result<TcpListener, BindError> {
    let mut last = BindError::NoAddress {
        host: host.to_owned(),
        source: None,
    };
    for &addr in addrs {
        match TcpListener::bind(addr) {
            Ok(listener) => {
                // The standard library asks for 128, which a burst of clients overruns: each one lost waits a second.
                rustix::net::listen(&listener, CONNECTIONS_WAITING_MAX).map_err(|error| {
                    BindError::Listen {
                        addr,
                        source: error.into(),
                    }
                })?;
                return Ok(listener);
            }
            Err(source) => last = BindError::Listen { addr, source },
        }
    }
    Err(last)
}
