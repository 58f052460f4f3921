//! `Host`, `Origin` and CORS: what keeps web pages of others away.

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::uri::Authority;
use actix_web::http::{Method, Uri};
use std::net::{IpAddr, SocketAddr};

/// The names under which this server may be addressed.
pub(super) struct Hosts {
    names: Vec<String>,
    bound: SocketAddr,
}

/// The origins whose pages may read replies.
pub(super) struct Origins {
    exact: Vec<String>,
}

/// Who made a request, as far as its header fields tell.
#[derive(Debug)]
pub(crate) struct Caller {
    /// A web page made it, or may have.
    pub page: bool,
    /// That page belongs to a foreign origin.
    pub foreign: bool,
    /// No page made it, or one that this server itself sent.
    pub own: bool,
    /// The origin to echo: an allowed one.
    cors: Option<HeaderValue>,
}

impl Hosts {
    /// The local names, the bound host, and `more`.
    pub fn new(host: &str, bound: SocketAddr, more: &[String]) -> Self {
        let mut names = vec!["localhost".to_owned(), host.to_ascii_lowercase()];
        names.extend(more.iter().map(|name| name.to_ascii_lowercase()));
        if bound.ip().is_unspecified() {
            let uname = rustix::system::uname();
            let node = uname.nodename().to_string_lossy().to_ascii_lowercase();
            names.push(format!("{node}.local"));
            names.push(node);
        }
        Self { names, bound }
    }

    /// Gets the host that a request is for, if it is one of the names: `Host`, with any port or none, since tunnels and
    /// proxies have ports of their own. Where the request's target names an authority (`GET http://host/path`), that one
    /// counts, and it has to be this server itself: who wrote it meant to reach exactly that.
    pub fn named<'a>(&self, target: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
        let mut fields = headers.get_all(header::HOST);
        let host = fields.next()?.to_str().ok()?;
        if fields.next().is_some() || !self.knows(host) {
            return None;
        }
        if is_reference(target.path()) {
            return None;
        }
        match target.authority() {
            None => Some(host),
            Some(authority) => self.is_here(target).then_some(authority.as_str()),
        }
    }

    /// Tells whether the authority of a target is this server: one of its names, and its port.
    fn is_here(&self, target: &Uri) -> bool {
        let default = match target.scheme_str() {
            Some("http") => Some(80),
            Some("https") => Some(443),
            // The form of CONNECT: `host:port` and nothing else.
            None => None,
            Some(_) => return false,
        };
        let authority = target.authority().map_or("", Authority::as_str);
        let port = target.port_u16().or(default);
        self.knows(authority) && port == Some(self.bound.port())
    }

    /// An address stands for itself, so no name server can turn it into ours: loopback ones are always good, and all
    /// of them if the server listens on all.
    fn knows(&self, host: &str) -> bool {
        let Some(name) = without_port(host) else {
            return false;
        };
        if let Ok(ip) = name.parse::<IpAddr>() {
            let bound = self.bound.ip();
            return ip.is_loopback() || ip == bound || bound.is_unspecified();
        }
        self.names
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name))
    }
}

impl Origins {
    /// The built-in origins and `more`.
    pub fn new(more: &[String]) -> Self {
        let mut exact = vec![
            "tauri://localhost".to_owned(),
            "https://app.kilo.ai".to_owned(),
        ];
        exact.extend(
            more.iter()
                .map(|origin| origin.trim_end_matches('/').to_owned()),
        );
        Self { exact }
    }

    /// Reads `Origin` and `Sec-Fetch-Site`. Browsers send at least one of them with every request of a page; programs
    /// send neither (`fetch` of Node sends `Sec-Fetch-Mode` only).
    pub fn caller(&self, headers: &HeaderMap, host: &str) -> Caller {
        let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
        let mut fields = headers.get_all(header::ORIGIN);
        let Some(value) = fields.next() else {
            let typed = site.is_none_or(|site| site == b"none");
            return Caller {
                page: !typed,
                foreign: site == Some(b"cross-site"),
                own: typed || site == Some(b"same-origin"),
                cors: None,
            };
        };
        let origin = value.to_str().unwrap_or("");
        let single = fields.next().is_none();
        let own = single && is_own(origin, host);
        let allowed = single && self.allows(origin);
        let cors = allowed.then(|| value.clone());
        Caller {
            page: true,
            foreign: !own && !allowed,
            own,
            cors,
        }
    }

    fn allows(&self, origin: &str) -> bool {
        let local = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"));
        let local = local.and_then(without_port);
        local.is_some_and(|name| name == "localhost" || name == "127.0.0.1")
            || self.exact.iter().any(|known| known == origin)
    }
}

/// Tells whether the page came from the server that it now calls.
fn is_own(origin: &str, host: &str) -> bool {
    let scheme_cut = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"));
    scheme_cut.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

/// Tells whether a path would be another server's address to whoever resolves it as browsers do (`//host`, `/\\host`).
/// No path of ours begins so, and a proxy before us may already have taken it for that server's.
fn is_reference(path: &str) -> bool {
    let mut chars = path.chars();
    let slash = |c: Option<char>| matches!(c, Some('/' | '\\'));
    slash(chars.next()) && slash(chars.next())
}

/// Cuts `:port` and the brackets of an IPv6 address off; None if it is no host.
fn without_port(host: &str) -> Option<&str> {
    let (name, rest) = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let port = rest.strip_prefix(':').map(|port| port.parse::<u16>());
    let good = rest.is_empty() || matches!(port, Some(Ok(_)));
    (good && !name.is_empty()).then_some(name)
}

impl Caller {
    /// Tells whether a request asks what it may ask.
    pub fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
        *method == Method::OPTIONS
            && headers.contains_key(header::ORIGIN)
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
    }

    /// Writes the fields that answer a preflight, if the origin is allowed.
    pub fn allow(&self, asked: &HeaderMap, reply: &mut HeaderMap) {
        if self.cors.is_none() {
            return;
        }
        let methods = HeaderValue::from_static("GET,HEAD,PUT,PATCH,POST,DELETE");
        reply.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        reply.insert(
            header::ACCESS_CONTROL_MAX_AGE,
            HeaderValue::from_static("86400"),
        );
        if let Some(fields) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            reply.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, fields.clone());
            let vary = HeaderValue::from_static("Access-Control-Request-Headers");
            reply.append(header::VARY, vary);
        }
    }

    /// Writes the fields that every reply has.
    pub fn mark(&self, reply: &mut HeaderMap) {
        reply.append(header::VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = &self.cors {
            reply.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        }
    }
}

#[cfg(test)]
mod tests;
