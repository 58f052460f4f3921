//! A request as a handler sees it: the operation, its parameters, the directory, the body.

mod directory;
mod payload;

use actix_web::http::header::HeaderMap;
use bytes::Bytes;
use kilo_protocol::Fault;
use kilo_protocol::endpoints::{Body, Operation};
use percent_encoding::percent_decode;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::borrow::Cow;
use std::net::SocketAddr;

pub(crate) use directory::directory;

/// A request that has passed the front door and found its operation.
#[derive(Clone, Debug)]
pub struct Request {
    /// The operation.
    pub op: &'static Operation,
    /// The parameters of the path, decoded.
    pub params: Params,
    /// The parameters of the query, decoded.
    pub query: Query,
    /// The directory that the request names, as it names it: it may be relative and need not exist.
    pub directory: Option<String>,
    /// The body; empty if there was none. It is complete, and within the limit.
    pub body: Bytes,
    /// The header fields.
    pub headers: Headers,
    /// The other end of the connection.
    pub peer: Option<SocketAddr>,
}

impl Request {
    /// A request that came as a command over a socket which has passed the front door.
    ///
    /// Errors: 400 for a parameter with a NUL, a `.` or a `..` step, as in a path.
    pub fn command(
        op: &'static Operation,
        params: Params,
        query: Query,
        directory: Option<String>,
        body: Bytes,
    ) -> Result<Self, Fault> {
        if let Some((name, _)) = params.0.iter().find(|(_, value)| !is_plain(value)) {
            return Err(Fault::bad_request(
                "Params",
                format!("Expected a plain name\n  at [{name:?}]"),
            ));
        }
        let headers = Headers(HeaderMap::new());
        Ok(Self {
            op,
            params,
            query,
            directory,
            body,
            headers,
            peer: None,
        })
    }

    /// Reads the body; an empty one stands for `{}` where the operation takes it so.
    ///
    /// Errors: 400 `BadRequest` of kind `Payload`, which names the field.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        payload::read(self.text())
    }

    /// Reads the body as it is; the same errors as [`Request::json`].
    pub fn value(&self) -> Result<Value, Fault> {
        self.json()
    }

    fn text(&self) -> &[u8] {
        match self.op.body {
            Body::Json { required: true } => &self.body,
            _ if self.body.is_empty() => b"{}",
            _ => &self.body,
        }
    }
}

/// The parameters of a path, decoded. None of them holds a NUL or a `..` step.
#[derive(Clone, Debug, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Gets a parameter; empty if the operation's path does not have it.
    pub fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    /// Decodes what the path matched.
    ///
    /// Errors: 400 `BadRequest` of kind `Params` for bytes that are not UTF-8, a NUL, or a `.` or `..` step.
    pub(crate) fn decode(matched: &matchit::Params<'_, '_>) -> Result<Self, Fault> {
        let mut params = Vec::with_capacity(matched.len());
        for (name, raw) in matched.iter() {
            let refused = || {
                let message = format!("Expected a plain name\n  at [{name:?}]");
                Fault::bad_request("Params", message)
            };
            let value = percent_decode(raw.as_bytes())
                .decode_utf8()
                .map_err(|_| refused())?;
            if !is_plain(&value) {
                return Err(refused());
            }
            params.push((name.to_owned(), value.into_owned()));
        }
        Ok(Self(params))
    }
}

impl FromIterator<(String, String)> for Params {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

/// A parameter without a NUL and without a `.` or `..` step.
fn is_plain(value: &str) -> bool {
    !value.contains('\0')
        && !value
            .split(['/', '\\'])
            .any(|step| step == "." || step == "..")
}

/// The parameters of a query, decoded, in their order. Of several of one name the first counts.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Gets a parameter; `Some("")` if it has no value.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Tells whether a switch is on: there, and neither `false` nor `0`.
    pub fn flag(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|value| value != "false" && value != "0")
    }

    /// Gets a whole number.
    ///
    /// Errors: 400 `BadRequest` of kind `Query` if it is something else.
    pub fn number(&self, name: &str) -> Result<Option<u64>, Fault> {
        let parse = |value: &str| {
            value
                .parse()
                .map_err(|_| Fault::bad_query("a whole number", name))
        };
        self.get(name).map(parse).transpose()
    }

    /// Gets a parameter that has to be there; it may be empty.
    ///
    /// Errors: 400 `BadRequest` of kind `Query` that names it.
    pub fn require(&self, name: &str) -> Result<&str, Fault> {
        self.get(name)
            .ok_or_else(|| Fault::bad_query("a string", name))
    }

    /// Reads `a=1&b=2`; bytes that are not UTF-8 become replacement characters.
    pub(crate) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let split = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        split
            .map(|(name, value)| (unescape(name), unescape(value)))
            .collect()
    }
}

impl FromIterator<(String, String)> for Query {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

/// Undoes the escapes of a form: `+` for a space, `%41` for a byte.
fn unescape(text: &str) -> String {
    let spaced: Cow<'_, str> = match text.contains('+') {
        true => text.replace('+', " ").into(),
        false => text.into(),
    };
    percent_decode(spaced.as_bytes())
        .decode_utf8_lossy()
        .into_owned()
}

/// The header fields of a request.
#[derive(Clone, Debug)]
pub struct Headers(HeaderMap);

impl Headers {
    pub(crate) fn new(fields: HeaderMap) -> Self {
        Self(fields)
    }

    /// Gets a field by its name in lower case, if its value is plain ASCII.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.to_str().ok()
    }

    /// The `Content-Type`.
    pub fn content_type(&self) -> Option<&str> {
        self.get("content-type")
    }

    /// The `Last-Event-ID`: where an event stream is to go on.
    pub fn last_event_id(&self) -> Option<&str> {
        self.get("last-event-id")
    }
}

impl Request {
    /// Gets a header field by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// The `Content-Type`.
    pub fn content_type(&self) -> Option<&str> {
        self.headers.content_type()
    }

    /// The `Last-Event-ID`: where an event stream is to go on.
    pub fn last_event_id(&self) -> Option<&str> {
        self.headers.last_event_id()
    }
}

#[cfg(test)]
mod tests;
