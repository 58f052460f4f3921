//! Gets one page, within bounds.

use super::address::Zone;
use super::target::Target;
use futures_util::StreamExt;
use kilo_ports::tool::ToolError;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{
    ACCEPT, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, USER_AGENT,
};
use reqwest::{Client, Response, StatusCode, redirect};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Bytes of a page.
pub const BODY_BYTES_MAX: usize = 5 * 1024 * 1024;
/// Time until a server must have taken the connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);

/// What a server answered.
pub enum Answer {
    /// A page.
    Page(Page),
    /// It points elsewhere.
    Moved(Url),
}

/// A page as it came.
pub struct Page {
    /// Its address.
    pub url: Url,
    /// Its media type, without parameters, in lower case; empty when the server named none.
    pub mime: String,
    /// The `charset` of its media type.
    pub charset: Option<String>,
    /// Its body.
    pub body: Vec<u8>,
}

/// A client for one target: it connects to the addresses that were judged and to no others, follows no redirect by itself
/// and keeps no connection for later.
///
/// With `proxied` the environment's proxies are used, except for what only this machine can reach.
/// Errors: the system offers no usable TLS.
pub fn client(target: &Target, proxied: bool) -> Result<Client, ToolError> {
    let builder = Client::builder()
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIME_MAX)
        .pool_max_idle_per_host(0);
    let addresses = &target.addresses;
    let builder = if proxied && target.zone() == Zone::Public {
        // The proxy's own name has to be looked up too, so only the target's is fixed.
        match target.url.domain() {
            Some(name) if !addresses.is_empty() => builder.resolve_to_addrs(name, addresses),
            _ => builder,
        }
    } else {
        builder
            .no_proxy()
            .dns_resolver(Arc::new(Judged(addresses.clone())))
    };
    builder
        .build()
        .map_err(|error| ToolError::failed(format!("Cannot make web requests: {error}")))
}

/// Answers every look-up with the addresses that were judged.
struct Judged(Vec<SocketAddr>);

impl Resolve for Judged {
    fn resolve(&self, _: Name) -> Resolving {
        let addresses: Addrs = Box::new(self.0.clone().into_iter());
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

/// Checks an address that a model or a server gave.
pub fn parse(url: &str) -> Result<Url, ToolError> {
    let url = Url::parse(url.trim())
        .map_err(|error| ToolError::failed(format!("\"{url}\" is not a URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(ToolError::failed(format!(
            "{url} does not begin with http:// or https://"
        )));
    }
    Ok(url)
}

/// Asks a server once, and once more under a plain name if it takes us for something to be challenged.
pub async fn get(
    client: &Client,
    url: Url,
    accept: &str,
    agent: &str,
) -> Result<Answer, ToolError> {
    let mut response = send(client, &url, accept, agent).await?;
    let challenged = response
        .headers()
        .get("cf-mitigated")
        .is_some_and(|value| value == "challenge");
    if response.status() == StatusCode::FORBIDDEN && challenged {
        response = send(client, &url, accept, "kilo").await?;
    }
    let status = response.status();
    if status.is_redirection()
        && let Some(target) = response.headers().get(LOCATION)
    {
        let target = String::from_utf8_lossy(target.as_bytes()).into_owned();
        let target = url
            .join(&target)
            .map_err(|error| failed(&url, &format!("bad redirect to {target}: {error}")))?;
        return Ok(Answer::Moved(parse(target.as_str())?));
    }
    if !status.is_success() {
        return Err(failed(
            &url,
            &format!("the server answered with status {status}"),
        ));
    }
    page(url, response).await.map(Answer::Page)
}

async fn send(
    client: &Client,
    url: &Url,
    accept: &str,
    agent: &str,
) -> Result<Response, ToolError> {
    let request = client
        .get(url.clone())
        .header(USER_AGENT, agent)
        .header(ACCEPT, accept);
    request
        .send()
        .await
        .map_err(|error| failed(url, &root_of(&error)))
}

async fn page(url: Url, response: Response) -> Result<Page, ToolError> {
    let header = |name| {
        response
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let too_large = || {
        failed(
            &url,
            &format!("the answer is larger than {BODY_BYTES_MAX} bytes"),
        )
    };
    if header(CONTENT_LENGTH)
        .parse::<usize>()
        .is_ok_and(|length| length > BODY_BYTES_MAX)
    {
        return Err(too_large());
    }
    // What was asked for is decoded by now, and its field gone.
    let coding = header(CONTENT_ENCODING);
    if !coding.is_empty() && !coding.eq_ignore_ascii_case("identity") {
        let why = format!("the answer is packed as {coding}, which was not asked for");
        return Err(failed(&url, &why));
    }
    let kind = header(CONTENT_TYPE);
    let mut pieces = kind.split(';').map(str::trim);
    let mime = pieces.next().unwrap_or_default().to_ascii_lowercase();
    let charset = pieces.find_map(|piece| {
        let (key, value) = piece.split_once('=')?;
        key.trim()
            .eq_ignore_ascii_case("charset")
            .then(|| value.trim().trim_matches('"').to_owned())
    });
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| failed(&url, &root_of(&error)))?;
        if body.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    drop(chunks);
    Ok(Page {
        mime,
        charset,
        body,
        url,
    })
}

fn failed(url: &Url, why: &str) -> ToolError {
    ToolError::failed(format!("Cannot fetch {url}: {why}"))
}

/// The innermost cause: "connection refused" rather than "error sending request".
fn root_of(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
