//! HTTP clients, made when they are first needed, and what a failed connection means.

use crate::errors;
use kilo_ports::provider::{ErrorClass, ModelInfo, ProviderError};
use std::error::Error;
use std::io;
use std::sync::OnceLock;
use std::time::Duration;

/// Milliseconds to connect.
const CONNECT_MS: u64 = 10_000;

/// Milliseconds within which a host must take a connection to count as reachable.
const REACHABLE_MS: u64 = 2_000;

/// Small servers close an idle connection after 5 s; ours must be gone before, or a request meets a closed door.
const PLAIN_IDLE_MS: u64 = 4_000;

/// Big providers keep idle connections for a minute and more.
const TLS_IDLE_MS: u64 = 50_000;

/// Idle connections that are kept for each host.
const IDLE_PER_HOST_MAX: usize = 32;

/// Two clients: one for plain HTTP, which loads no certificates and asks no proxy, and one for the rest.
#[derive(Debug, Default)]
pub(crate) struct Http {
    plain: OnceLock<reqwest::Client>,
    tls: OnceLock<reqwest::Client>,
}

impl Http {
    /// The client for `url`.
    pub fn for_url(&self, url: &str) -> Result<&reqwest::Client, ProviderError> {
        if url.starts_with("http://") {
            once(&self.plain, || {
                let builder = builder(PLAIN_IDLE_MS)
                    .no_proxy()
                    .tls_built_in_root_certs(false);
                builder.redirect(reqwest::redirect::Policy::none())
            })
        } else {
            once(&self.tls, || builder(TLS_IDLE_MS))
        }
    }
}

fn once(
    cell: &OnceLock<reqwest::Client>,
    builder: impl FnOnce() -> reqwest::ClientBuilder,
) -> Result<&reqwest::Client, ProviderError> {
    if let Some(client) = cell.get() {
        return Ok(client);
    }
    let client = builder().build().map_err(|error| {
        ProviderError::new(
            ErrorClass::Unknown,
            format!("no HTTP client can be made: {}", root(&error)),
        )
    })?;
    Ok(cell.get_or_init(|| client))
}

fn builder(idle_ms: u64) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .tcp_nodelay(true)
        .connect_timeout(Duration::from_millis(CONNECT_MS))
        .pool_idle_timeout(Duration::from_millis(idle_ms))
        .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
}

/// The error of a request that got no answer.
pub(crate) fn failed_to_send(error: &reqwest::Error, url: &str) -> ProviderError {
    let root = root(error);
    if error.is_builder() || error.is_redirect() {
        return ProviderError::new(
            ErrorClass::InvalidRequest,
            format!("the request cannot be sent: {root}"),
        );
    }
    if root.contains("certificate") {
        return ProviderError::new(
            ErrorClass::InvalidRequest,
            format!("the provider's certificate is refused: {root}"),
        );
    }
    let place = url::Url::parse(url).ok().and_then(|url| {
        Some(format!(
            "{}:{}",
            url.host_str()?,
            url.port_or_known_default()?
        ))
    });
    let place = place.as_deref().unwrap_or("the provider");
    let code = code(error);
    if error.is_connect() {
        return errors::network(
            format!("Cannot connect to API at {place}: {root}"),
            code.or(Some("ECONNREFUSED")),
        );
    }
    errors::network(
        format!("The connection to {place} was lost before the answer: {root}"),
        code.or(Some("ECONNRESET")),
    )
}

/// The innermost cause as a sentence.
fn root(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// The system's code for the cause, where the cause is one of the system's.
fn code(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            let known = match io.kind() {
                io::ErrorKind::ConnectionRefused => Some("ECONNREFUSED"),
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Some("ECONNRESET"),
                io::ErrorKind::TimedOut => Some("ETIMEDOUT"),
                io::ErrorKind::HostUnreachable => Some("EHOSTUNREACH"),
                io::ErrorKind::NetworkUnreachable => Some("ENETUNREACH"),
                _ => None,
            };
            if known.is_some() {
                return known;
            }
        }
        cause = error.source();
    }
    None
}

/// Whether the host of `model` takes a TCP connection within two seconds. An address that is none is not reachable.
pub(crate) async fn reachable(model: &ModelInfo) -> bool {
    let Ok(url) = url::Url::parse(&model.base_url) else {
        return false;
    };
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return false;
    };
    let host = host.trim_matches(['[', ']']);
    let connect = tokio::net::TcpStream::connect((host, port));
    matches!(
        tokio::time::timeout(Duration::from_millis(REACHABLE_MS), connect).await,
        Ok(Ok(_))
    )
}
