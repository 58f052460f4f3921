//! Who gives out tokens for a server: its own word (RFC 9728), then that one's (RFC 8414, OpenID).

use super::{AuthError, failed};
use reqwest::{Client, header};
use serde::Deserialize;
use std::time::Duration;
use url::Url;

/// Time for one document, and its bytes.
const DOCUMENT: Duration = Duration::from_secs(10);
const DOCUMENT_BYTES_MAX: usize = 256 << 10;

/// What there is to know before somebody signs in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authority {
    /// Who it is.
    pub issuer: String,
    /// Where people sign in.
    pub authorize: String,
    /// Where tokens are given out.
    pub token: String,
    /// Where clients register.
    pub register: Option<String>,
    /// Secrets go into the body; else they are Basic credentials.
    pub secret_in_body: bool,
    /// Clients without a secret are taken.
    pub takes_public: bool,
    /// What to ask for.
    pub scope: Option<String>,
    /// What the token is to be good for.
    pub resource: String,
}

#[derive(Deserialize)]
struct Resource {
    resource: Option<String>,
    #[serde(default)]
    authorization_servers: Vec<String>,
    scopes_supported: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: Option<String>,
    authorization_endpoint: String,
    token_endpoint: String,
    registration_endpoint: Option<String>,
    code_challenge_methods_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

/// Looks up who signs people in to the server at `url`. `challenge` is its header `WWW-Authenticate`, if it sent one.
pub async fn discover(client: &Client, url: &Url, challenge: &str) -> Result<Authority, AuthError> {
    let resource = resource(client, url, challenge).await?;
    let origin = url.origin().ascii_serialization();
    let (issuer, scopes) = match &resource {
        Some(resource) => {
            let issuer = resource.authorization_servers.first().cloned();
            (
                issuer.unwrap_or_else(|| origin.clone()),
                resource.scopes_supported.clone(),
            )
        }
        None => (origin.clone(), None),
    };
    let issuer_url = web(url, &issuer)?;
    let scope = parameter(challenge, "scope").or_else(|| scopes.map(|all| all.join(" ")));
    let scope = scope.filter(|scope| !scope.trim().is_empty());
    let is_named = resource.is_some();
    let named = resource.and_then(|resource| resource.resource);
    let mut authority = Authority {
        issuer,
        scope,
        resource: named.unwrap_or_else(|| canonical(url)),
        ..Authority::default()
    };
    for address in addresses(&issuer_url) {
        let Some(found) = document::<Metadata>(client, &address).await else {
            continue;
        };
        let methods = found.code_challenge_methods_supported;
        if methods.is_some_and(|methods| !methods.iter().any(|method| method == "S256")) {
            return Err(failed("its sign-in does not take proof keys (PKCE, S256)"));
        }
        let says = found.issuer.as_deref().unwrap_or(&authority.issuer);
        // Where the server does not name it (as of 2025-03-26), it is known to be of its origin only.
        let is_it = match is_named {
            true => says.trim_end_matches('/') == authority.issuer.trim_end_matches('/'),
            false => web(url, says)?.origin() == issuer_url.origin(),
        };
        if !is_it {
            return Err(failed(format!("who signs in there says it is {says}")));
        }
        let ways = found.token_endpoint_auth_methods_supported;
        let ways = ways.unwrap_or_else(|| vec!["client_secret_basic".into()]);
        let takes = |way: &str| ways.iter().any(|known| known == way);
        web(url, &found.authorization_endpoint)?;
        web(url, &found.token_endpoint)?;
        let register = found.registration_endpoint.as_deref();
        register.map(|text| web(url, text)).transpose()?;
        authority.secret_in_body = !takes("client_secret_basic") && takes("client_secret_post");
        authority.takes_public = takes("none");
        authority.authorize = found.authorization_endpoint;
        authority.token = found.token_endpoint;
        authority.register = found.registration_endpoint;
        return Ok(authority);
    }
    // Servers from before there were such documents have these.
    let at = |path: &str| format!("{}{path}", issuer_url.origin().ascii_serialization());
    authority.authorize = at("/authorize");
    authority.token = at("/token");
    authority.register = Some(at("/register"));
    authority.takes_public = true;
    Ok(authority)
}

/// The server's own document; one about another server is refused.
async fn resource(
    client: &Client,
    url: &Url,
    challenge: &str,
) -> Result<Option<Resource>, AuthError> {
    let named = parameter(challenge, "resource_metadata");
    let path = url.path().trim_end_matches('/');
    let well_known = "/.well-known/oauth-protected-resource";
    let mut places: Vec<Url> = named
        .and_then(|text| web(url, url.join(&text).ok()?.as_str()).ok())
        .into_iter()
        .collect();
    places.extend(url.join(&format!("{well_known}{path}")).ok());
    places.extend(url.join(well_known).ok());
    for place in places {
        let Some(found) = document::<Resource>(client, &place).await else {
            continue;
        };
        let fits = found.resource.as_deref().is_none_or(|resource| {
            let named = Url::parse(resource);
            named.is_ok_and(|named| {
                named.origin() == url.origin()
                    && url.path().starts_with(named.path().trim_end_matches('/'))
            })
        });
        if !fits {
            return Err(failed("its sign-in is for another server"));
        }
        return Ok(Some(found));
    }
    Ok(None)
}

/// Where an issuer's document may lie.
fn addresses(issuer: &Url) -> Vec<Url> {
    let path = issuer.path().trim_end_matches('/');
    let (oauth, openid) = (
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
    );
    let mut paths = vec![format!("{oauth}{path}"), format!("{openid}{path}")];
    if !path.is_empty() {
        paths.push(format!("{path}{openid}"));
    }
    paths
        .iter()
        .filter_map(|path| issuer.join(path).ok())
        .collect()
}

async fn document<T: serde::de::DeserializeOwned>(client: &Client, url: &Url) -> Option<T> {
    let sending = client
        .get(url.clone())
        .header(header::ACCEPT, "application/json")
        .timeout(DOCUMENT)
        .send();
    let response = sending.await.ok()?.error_for_status().ok()?;
    let body = crate::http::body(response, DOCUMENT_BYTES_MAX).await.ok()?;
    serde_json::from_slice(&body).ok()
}

/// An address that a browser and we may be sent to by `server`: encrypted, or on this machine where the server is itself; one
/// that is far shall not send us, or the browser, to what listens here.
fn web(server: &Url, text: &str) -> Result<Url, AuthError> {
    let url = Url::parse(text).map_err(|_| failed(format!("{text:?} is no address")))?;
    let is_here = is_here(&url);
    if is_here && !self::is_here(server) {
        return Err(failed(format!("{text} is an address of this machine")));
    }
    if url.scheme() == "https" || (url.scheme() == "http" && is_here) {
        return Ok(url);
    }
    Err(failed(format!("{text} is not encrypted")))
}

fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(ip)) => ip.is_loopback() || ip.is_unspecified(),
        Some(url::Host::Ipv6(ip)) => {
            let inside = ip.to_ipv4_mapped();
            ip.is_loopback()
                || ip.is_unspecified()
                || inside.is_some_and(|ip| ip.is_loopback() || ip.is_unspecified())
        }
        None => false,
    }
}

/// A server's address as tokens name it.
fn canonical(url: &Url) -> String {
    let mut url = url.clone();
    url.set_fragment(None);
    url.set_query(None);
    url.to_string().trim_end_matches('/').to_owned()
}

/// A parameter of a challenge: `name="value"` or `name=value`.
fn parameter(challenge: &str, name: &str) -> Option<String> {
    let mut rest = challenge;
    while let Some(at) = rest.find(name) {
        let is_word = rest[..at].ends_with([' ', ',', '\t']) || at == 0;
        let behind = rest[at + name.len()..].trim_start();
        if is_word && let Some(value) = behind.strip_prefix('=') {
            let value = value.trim_start();
            return match value.strip_prefix('"') {
                Some(quoted) => quoted.split('"').next().map(str::to_owned),
                None => value.split([',', ' ']).next().map(str::to_owned),
            };
        }
        rest = &rest[at + name.len()..];
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_and_addresses_are_read() {
        let challenge = r#"Bearer error="insufficient_scope", scope="a b", resource_metadata="https://x/y", xscope=c"#;
        assert_eq!(parameter(challenge, "scope"), Some("a b".into()));
        assert_eq!(
            parameter(challenge, "resource_metadata"),
            Some("https://x/y".into())
        );
        assert_eq!(parameter("Bearer scope=q, x=1", "scope"), Some("q".into()));
        assert_eq!(parameter("Bearer", "scope"), None);
        let (far, here) = ("https://far.example/mcp", "http://127.0.0.1:1/mcp");
        let may = |from: &str, to: &str| web(&Url::parse(from).unwrap(), to).is_ok();
        for from in [far, here] {
            assert!(may(from, "https://example.org"));
            assert!(!may(from, "http://example.org/x") && !may(from, "javascript:x"));
        }
        for place in [
            "http://127.0.0.1:1/x",
            "https://localhost/x",
            "http://[::1]/x",
            "http://[::ffff:127.0.0.1]/x",
        ] {
            assert!(may(here, place) && !may(far, place), "{place}");
        }
        let places = addresses(&Url::parse("https://a/b").unwrap());
        let places: Vec<&str> = places.iter().map(Url::path).collect();
        assert_eq!(
            places,
            [
                "/.well-known/oauth-authorization-server/b",
                "/.well-known/openid-configuration/b",
                "/b/.well-known/openid-configuration"
            ]
        );
        assert_eq!(
            canonical(&Url::parse("https://A.b/mcp/?x#y").unwrap()),
            "https://a.b/mcp"
        );
    }
}
