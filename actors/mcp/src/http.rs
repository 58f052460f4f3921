//! Messages over HTTP: Streamable HTTP (`stream.rs`), and the older pair of an event stream and posts (`sse.rs`).

mod events;
mod sse;
mod stream;

use crate::channel::{Channel, SendError};
use bytes::Bytes;
use futures_util::StreamExt;
use kilo_ports::BoxFuture;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, RequestBuilder, Response};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::runtime::Handle;
use url::Url;

/// Time to connect.
const CONNECT: Duration = Duration::from_secs(10);
/// Small servers close an idle connection after 5 s; ours must be gone before.
const IDLE: Duration = Duration::from_secs(4);
/// Bytes of an answer that is no success, for people.
const REFUSAL_BYTES: usize = 300;
/// Redirects that stay at the same place.
const REDIRECTS_MAX: usize = 3;

/// Two clients, made when they are first needed: one for plain HTTP, which loads no certificates, and one for the rest.
#[derive(Default)]
pub struct Clients {
    plain: OnceLock<Client>,
    tls: OnceLock<Client>,
}

impl Clients {
    /// The client for `url`.
    ///
    /// Errors: why there can be none, for people.
    pub fn of(&self, url: &Url) -> Result<Client, String> {
        let (cell, builder) = if url.scheme() == "http" {
            let plain = builder().no_proxy().tls_built_in_root_certs(false);
            (&self.plain, plain)
        } else {
            (&self.tls, builder())
        };
        if let Some(client) = cell.get() {
            return Ok(client.clone());
        }
        let client = builder.build().map_err(|error| error.to_string())?;
        Ok(cell.get_or_init(|| client).clone())
    }
}

fn builder() -> reqwest::ClientBuilder {
    // Headers of the configuration are secrets: they never follow a redirect to another place.
    let policy = reqwest::redirect::Policy::custom(|attempt| {
        let first = attempt.previous().first().map(Url::origin);
        if attempt.previous().len() > REDIRECTS_MAX || first != Some(attempt.url().origin()) {
            attempt.stop()
        } else {
            attempt.follow()
        }
    });
    Client::builder()
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE)
        .tcp_nodelay(true)
        .redirect(policy)
}

/// Who signs requests.
pub trait Signer: Send + Sync + 'static {
    /// The token to send now, if there is one.
    fn token(&self) -> BoxFuture<'static, Option<String>>;

    /// Another one, after the server refused `refused`; `None` if a person has to sign in.
    fn renewed(&self, refused: Option<String>) -> BoxFuture<'static, Option<String>>;
}

/// A server's address, and what goes with each request to it.
pub struct Address {
    client: Client,
    url: Url,
    headers: HeaderMap,
    signer: Option<Arc<dyn Signer>>,
}

impl Address {
    /// An address. `signer` gets a say only where the headers have no `Authorization`.
    ///
    /// Errors: what does not fit, for people.
    pub fn new(
        clients: &Clients,
        url: &str,
        headers: &BTreeMap<String, String>,
        signer: Option<Arc<dyn Signer>>,
    ) -> Result<Arc<Self>, String> {
        let url = Url::parse(url).map_err(|error| format!("its url is none: {error}"))?;
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let known = HeaderName::try_from(name.as_str());
            let known = known.map_err(|_| format!("the header {name:?} has no proper name"))?;
            let mut value = HeaderValue::try_from(value.as_str())
                .map_err(|_| format!("the header {name} has no proper value"))?;
            value.set_sensitive(true);
            map.insert(known, value);
        }
        let signer = signer.filter(|_| !map.contains_key(header::AUTHORIZATION));
        Ok(Arc::new(Self {
            client: clients.of(&url)?,
            url,
            headers: map,
            signer,
        }))
    }

    /// Sends a request, signed, and once more when the server refuses the signature and there is another.
    async fn send(&self, build: impl Fn(&Client) -> RequestBuilder) -> Result<Response, SendError> {
        let token = match &self.signer {
            Some(signer) => signer.token().await,
            None => None,
        };
        let response = self.send_with(&build, token.as_deref()).await?;
        if response.status() != reqwest::StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        if let Some(signer) = &self.signer
            && let Some(token) = signer.renewed(token).await
        {
            return self.send_with(&build, Some(&token)).await;
        }
        Ok(response)
    }

    async fn send_with(
        &self,
        build: &impl Fn(&Client) -> RequestBuilder,
        token: Option<&str>,
    ) -> Result<Response, SendError> {
        let mut request = build(&self.client).headers(self.headers.clone());
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request.send().await.map_err(network)
    }
}

/// A failed request in words: the innermost cause says most.
fn network(error: reqwest::Error) -> SendError {
    let mut innermost: &dyn std::error::Error = &error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    SendError::Network(innermost.to_string())
}

/// A success, or why it is none.
async fn accepted(response: Response) -> Result<Response, SendError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let challenge = response.headers().get(header::WWW_AUTHENTICATE);
    let challenge = challenge.and_then(|text| text.to_str().ok());
    let challenge = challenge.unwrap_or_default().to_owned();
    let wants_more = status == 403 && challenge.contains("insufficient_scope");
    if status == 401 || wants_more {
        return Err(SendError::Unauthorized { challenge });
    }
    let text = body(response, REFUSAL_BYTES).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    Err(SendError::Status {
        status: status.as_u16(),
        text,
    })
}

/// The first bytes of a body: all of them, if it has no more than `bytes_max`.
pub async fn body(response: Response, bytes_max: usize) -> Result<Bytes, SendError> {
    let mut body = Vec::new();
    let mut pieces = response.bytes_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(network)?;
        body.extend_from_slice(&piece[..piece.len().min(bytes_max - body.len())]);
        if body.len() == bytes_max {
            break;
        }
    }
    Ok(body.into())
}

/// A connection by Streamable HTTP.
pub fn stream(handle: &Handle, address: Arc<Address>) -> Channel {
    stream::carry(handle, address)
}

/// A connection of the older kind: waits for the address to post to.
pub async fn sse(handle: &Handle, address: Arc<Address>) -> Result<Channel, SendError> {
    sse::carry(handle, address).await
}
