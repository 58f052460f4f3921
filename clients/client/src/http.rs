//! The client and its plumbing: one request, one answer, errors typed.

use crate::auth::Auth;
use crate::error::ClientError;
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// A turn may run for hours; a forgotten call may not run for ever.
pub(crate) const TURN_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
const ANSWER_BYTES_MAX: usize = 512 << 20;

/// A client of one daemon, working in one directory. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    auth: Auth,
    directory: Option<Arc<str>>,
}

impl Client {
    /// A client for the daemon at `url` (`http://HOST:PORT`, or `https` behind a proxy). Makes no connection yet.
    ///
    /// A plain `http` client carries no certificates and ignores proxy settings, so that reaching a daemon on the same
    /// machine costs nothing beyond the socket.
    ///
    /// # Errors
    /// [`ClientError::Address`] when `url` cannot be used.
    pub fn new(url: &str, auth: Auth) -> Result<Self, ClientError> {
        let refuse = |reason: String| ClientError::Address {
            url: url.to_owned(),
            reason,
        };
        let base = Url::parse(url).map_err(|error| refuse(error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            return Err(refuse("it must begin with http:// or https://".into()));
        }
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .default_headers(
                default_headers(&auth).map_err(|()| refuse("bad credentials".into()))?,
            );
        if base.scheme() == "http" {
            builder = builder.tls_built_in_root_certs(false).no_proxy().no_gzip();
        }
        let http = builder.build().map_err(|error| refuse(error.to_string()))?;
        Ok(Self {
            http,
            base,
            auth,
            directory: None,
        })
    }

    /// The same client working in `directory`: an absolute path on the daemon's machine.
    pub fn in_directory(&self, directory: impl Into<Arc<str>>) -> Self {
        Self {
            directory: Some(directory.into()),
            ..self.clone()
        }
    }

    /// The directory that requests name, if any.
    pub fn directory(&self) -> Option<&str> {
        self.directory.as_deref()
    }

    /// The daemon's address, without a slash at the end.
    pub fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    pub(crate) fn auth(&self) -> &Auth {
        &self.auth
    }

    /// Calls any route and reads its JSON; for routes that have no function of their own yet.
    ///
    /// `path` begins with `/`; `query` is percent-encoded here; a body of `None` sends none.
    ///
    /// # Errors
    /// As every call: see [`ClientError`].
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<T, ClientError> {
        self.call_within(CALL_TIMEOUT, method, path, query, body)
            .await
    }

    pub(crate) async fn call_within<T: DeserializeOwned>(
        &self,
        within: Duration,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<T, ClientError> {
        let call = format!("{method} {path}");
        let bytes = self.exchange(within, method, path, query, body).await?;
        // 204 has no body; callers that want nothing read a `Value` or `()`.
        let text: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
        serde_json::from_slice(text).map_err(|source| ClientError::Shape { call, source })
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call(Method::GET, path, &[], NO_BODY).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, ClientError> {
        self.call(Method::POST, path, &[], Some(body)).await
    }

    /// Sends one request and reads the whole answer.
    pub(crate) async fn exchange(
        &self,
        within: Duration,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<Bytes, ClientError> {
        let call = format!("{method} {path}");
        let mut request = self.request(method, path, query);
        if let Some(body) = body {
            let json = serde_json::to_vec(body).map_err(|source| ClientError::Shape {
                call: call.clone(),
                source,
            })?;
            request = request.header(CONTENT_TYPE, "application/json").body(json);
        }
        let answer = async {
            let response = self.send(request).await?;
            let response = accepted(response, &call).await?;
            read_all(response, self.url()).await
        };
        match tokio::time::timeout(within, answer).await {
            Ok(result) => result,
            Err(_) => Err(ClientError::Timeout {
                call,
                waited: within,
            }),
        }
    }

    /// A request to `path` that names this client's directory in its query.
    pub(crate) fn request(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
    ) -> RequestBuilder {
        let url = self.address(path, query);
        self.http.request(method, url)
    }

    pub(crate) fn address(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        let prefix = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{prefix}{path}"));
        if self.directory.is_some() || !query.is_empty() {
            let mut pairs = url.query_pairs_mut();
            if let Some(directory) = &self.directory {
                pairs.append_pair("directory", directory);
            }
            pairs.extend_pairs(query);
        }
        url
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        request
            .send()
            .await
            .map_err(|error| unreachable_at(self.url(), error))
    }
}

/// The body of calls that have none.
pub(crate) const NO_BODY: Option<&()> = None;

/// Turns an answer with an error status into the error it carries.
pub(crate) async fn accepted(response: Response, call: &str) -> Result<Response, ClientError> {
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status().as_u16();
    let body = response.bytes().await.unwrap_or_default();
    Err(ClientError::refused(status, call.to_owned(), &body))
}

async fn read_all(mut response: Response, url: &str) -> Result<Bytes, ClientError> {
    let mut whole: Option<Vec<u8>> = None;
    let mut first = Bytes::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| unreachable_at(url, error))?
    {
        // Most answers come in one piece, which is then handed on as it is.
        if first.is_empty() && whole.is_none() {
            first = chunk;
            continue;
        }
        let buffer = whole.get_or_insert_with(|| first.to_vec());
        if buffer.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(ClientError::TooLarge {
                what: "an answer",
                limit: ANSWER_BYTES_MAX,
            });
        }
        buffer.extend_from_slice(&chunk);
    }
    Ok(whole.map_or(first, Bytes::from))
}

pub(crate) fn unreachable_at(url: &str, source: reqwest::Error) -> ClientError {
    ClientError::Unreachable {
        url: url.to_owned(),
        source: source.without_url().into(),
    }
}

fn default_headers(auth: &Auth) -> Result<HeaderMap, ()> {
    let mut headers = HeaderMap::new();
    if let Some(value) = auth.header() {
        let mut value = HeaderValue::from_str(&value).map_err(|_| ())?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_the_directory_and_keep_a_prefix() {
        let client = Client::new("http://127.0.0.1:4096/kilo/", Auth::None).expect("client");
        let url = client
            .in_directory("/a b/ü")
            .address("/session", &[("limit", "1")]);
        assert_eq!(
            url.as_str(),
            "http://127.0.0.1:4096/kilo/session?directory=%2Fa+b%2F%C3%BC&limit=1"
        );
    }

    #[test]
    fn other_schemes_are_refused() {
        assert!(matches!(
            Client::new("ftp://x", Auth::None),
            Err(ClientError::Address { .. })
        ));
        assert!(matches!(
            Client::new("localhost", Auth::None),
            Err(ClientError::Address { .. })
        ));
    }
}
