//! The front door: which requests may come in at all.
//!
//! A web page never comes in on trust: it needs the password, the token, or the cookie of a one-time link. Programs of
//! the same user do, over loopback, as long as there is no password.

mod auth;
mod origin;
pub(crate) mod peer;
mod ticket;

use crate::options::{EdgeOptions, IsOwn, Pass};
use crate::request::Query;
use actix_web::http::header::HeaderMap;
use actix_web::http::{Method, Uri};
use auth::{Keys, Offer};
use origin::{Caller, Hosts, Origins};
use peer::{Connection, Side};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use ticket::Tickets;
use tokio::time::Instant;

/// The front door of one server. Clones are the same door.
#[derive(Clone)]
pub struct Door(Arc<Rules>);

struct Rules {
    hosts: Hosts,
    origins: Origins,
    keys: Keys,
    tickets: Tickets,
    cookie: String,
    is_own: Option<IsOwn>,
    pass: Option<Pass>,
}

/// Tells whether a request only asks what a page may ask; it is answered before anything else.
pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    Caller::is_preflight(method, headers)
}

/// Why a request stays outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// `Host` is missing, or it or the request's target names something else.
    Host,
    /// A web page of a foreign origin made it.
    Origin,
    /// The credentials are missing or wrong.
    Credentials(Missing),
}

/// What would have opened the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// There is a password; the request brought none that fits.
    Password,
    /// A web page needs the token or a one-time link.
    Page,
    /// The other end is another user's, or nobody's that the kernel knows.
    SameUser,
    /// The other end is the daemon itself, or a child of its tools.
    Own,
}

/// A request that may come in.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    /// The value of a `Set-Cookie` field: the request came by a one-time link.
    pub cookie: Option<String>,
}

impl Door {
    /// Makes the door of a server that listens on `addr`, under the name `host`.
    pub(crate) fn new(options: &EdgeOptions, host: &str, addr: SocketAddr) -> Self {
        Self(Arc::new(Rules {
            hosts: Hosts::new(host, addr, &options.hosts),
            origins: Origins::new(&options.cors),
            keys: Keys::new(options),
            tickets: Tickets::default(),
            cookie: format!("kilo_session_{}", addr.port()),
            is_own: options.is_own.clone(),
            pass: options.pass.clone(),
        }))
    }

    /// Makes a token that opens the door once within 60 s, as `?auth_token=` of a link.
    ///
    /// The reply sets a cookie that goes on opening it, for 24 h at most. Of unused tokens the last 16 are kept.
    pub fn one_time(&self) -> String {
        self.0.tickets.issue(Instant::now())
    }

    /// Looks at a connection that has just been made.
    pub(crate) fn meet(&self, peer: SocketAddr, local: SocketAddr) -> Connection {
        let trusting = self.0.keys.without_password();
        Connection::new(peer, local, trusting)
    }

    /// Finds out who calls: a program, or a page of which origin. Errors: [`Refusal::Host`].
    pub(crate) fn caller(&self, target: &Uri, headers: &HeaderMap) -> Result<Caller, Refusal> {
        let host = self.0.hosts.named(target, headers).ok_or(Refusal::Host)?;
        Ok(self.0.origins.caller(headers, host))
    }

    /// Decides about a request.
    pub(crate) fn admit(
        &self,
        caller: &Caller,
        (path, headers): (&str, &HeaderMap),
        query: &Query,
        connection: Option<&Connection>,
    ) -> Result<Admission, Refusal> {
        if caller.foreign {
            return Err(Refusal::Origin);
        }
        let offer = Offer::of(headers, query, &self.0.cookie);
        if self.0.keys.fit(&offer) {
            return Ok(Admission::default());
        }
        if let Some(session) = offer
            .token
            .and_then(|token| self.0.tickets.redeem(token, Instant::now()))
        {
            return Ok(Admission {
                cookie: Some(self.set_cookie(&session)),
            });
        }
        let remembered = |cookie| self.0.tickets.remembers(cookie, Instant::now());
        if caller.own && offer.cookie.is_some_and(remembered) {
            return Ok(Admission::default());
        }
        if self.opens(path, query) {
            return Ok(Admission::default());
        }
        self.trust(caller, connection)
            .map_err(Refusal::Credentials)?;
        Ok(Admission::default())
    }

    /// Tells whether a ticket for just this path was brought.
    fn opens(&self, path: &str, query: &Query) -> bool {
        let (Some(pass), Some(ticket)) = (&self.0.pass, query.get("ticket")) else {
            return false;
        };
        pass(path, ticket)
    }

    /// Lets programs of the same user in, if there is no password.
    fn trust(&self, caller: &Caller, connection: Option<&Connection>) -> Result<(), Missing> {
        if !self.0.keys.without_password() {
            return Err(Missing::Password);
        }
        if caller.page {
            return Err(Missing::Page);
        }
        let connection = connection.ok_or(Missing::SameUser)?;
        match connection.side(self.0.is_own.as_deref()) {
            Side::User => Ok(()),
            Side::Own => Err(Missing::Own),
            Side::Unknown => Err(Missing::SameUser),
        }
    }

    fn set_cookie(&self, session: &str) -> String {
        let age = ticket::SESSION.as_secs();
        format!(
            "{}={session}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict",
            self.0.cookie
        )
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door")
            .field("cookie", &self.0.cookie)
            .finish_non_exhaustive()
    }
}
