//! The address: where the server listens, and who is let in there.

use crate::door::Door;
use crate::options::EdgeOptions;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};

/// Connections that may wait to be accepted.
const CONNECTIONS_WAITING_MAX: i32 = 1_024;

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
