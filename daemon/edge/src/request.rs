//! A request as a handler sees it: the operation, its parameters, the directory, the body.

mod directory;
mod payload;

use actix_web::http::header::HeaderMap;
use bytes::Bytes;
use kilo_protocol::endpoints::{Body, Operation};
use kilo_protocol::{Fault, contract};
use percent_encoding::percent_decode;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::watch;

pub(crate) use directory::directory;

/// A longer body is not read on the thread that serves.
const LONG_BYTES: usize = 64 * 1024;

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
    /// The body as it came; empty if there was none, and once it was read.
    body: Bytes,
    /// The body as it was read, where it is what the contract says.
    value: Option<Arc<Value>>,
    /// Told when nobody waits for the answer any more.
    left: Left,
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
        left: Left,
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
            value: None,
            left,
            headers,
            peer: None,
        })
    }

    /// A request that came by itself.
    pub(crate) fn new(parts: Parts, left: Left, body: Bytes) -> Self {
        Self {
            op: parts.op,
            params: parts.params,
            query: parts.query,
            directory: parts.directory,
            body,
            value: None,
            left,
            headers: parts.headers,
            peer: parts.peer,
        }
    }

    /// Reads the body and holds it against the contract; the router does so before it calls a handler. An empty body
    /// stands for `{}` where the operation takes it so. Long ones are read on a blocking thread.
    ///
    /// Errors: 400 `BadRequest` of kind `Payload`, which names the field.
    pub(crate) async fn checked(mut self) -> Result<Self, Fault> {
        let required = match self.op.body {
            Body::None => return Ok(self),
            Body::Json { required } => required,
        };
        let mut body = std::mem::take(&mut self.body);
        if body.is_empty() && !required {
            body = Bytes::from_static(b"{}");
        }
        let (op, long) = (self.op, body.len() > LONG_BYTES);
        let read = move || -> Result<Value, Fault> {
            let value: Value = payload::read(&body)?;
            contract::check(op, &value)?;
            Ok(value)
        };
        let value = if long {
            let read = actix_web::web::block(read).await;
            read.unwrap_or_else(|_| Err(Fault::unknown("reading the body broke down")))
        } else {
            read()
        };
        let value = value.map_err(|fault| contract::refusal(op, fault))?;
        self.value = Some(Arc::new(value));
        Ok(self)
    }

    /// Waits for something that is only worth waiting for while the client is there: the answer to a prompt that was
    /// accepted, for example.
    ///
    /// Errors: 503 when the client has left, which nobody sees.
    pub async fn unless_left<T>(
        &self,
        waiting: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let mut left = self.left.clone();
        tokio::select! {
            answer = waiting => answer,
            () = left.wait() => Err(Fault::unavailable("the client has left")),
        }
    }

    /// Reads the body into a type.
    ///
    /// Errors: 400 `BadRequest` of kind `Payload`, which names the field: the type may ask for more than the contract.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        let empty = Value::Object(serde_json::Map::new());
        payload::typed(self.value.as_deref().unwrap_or(&empty))
            .map_err(|fault| contract::refusal(self.op, fault))
    }
}

/// Tells when nobody waits for an answer any more.
#[derive(Clone, Debug)]
pub struct Left(watch::Receiver<()>);

/// Whoever waits for an answer; its drop is what [`Left`] tells about.
#[must_use]
pub struct Waiting {
    _sender: watch::Sender<()>,
}

impl Left {
    /// Somebody who waits, and what tells when they have gone.
    pub fn new() -> (Waiting, Self) {
        let (sender, receiver) = watch::channel(());
        (Waiting { _sender: sender }, Self(receiver))
    }

    async fn wait(&mut self) {
        // Nothing is ever sent, so a change is the end of the sender.
        while self.0.changed().await.is_ok() {}
    }
}

/// What is known of a request beside its body.
pub(crate) struct Parts {
    pub op: &'static Operation,
    pub params: Params,
    pub query: Query,
    pub directory: Option<String>,
    pub headers: Headers,
    pub peer: Option<SocketAddr>,
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
