//! One sign-in: a client, an address for the browser, a code, a token.

use super::callback::{Door, PATH, PORT};
use super::discover::{Authority, discover};
use super::vault::{Ticket, Vault};
use super::{AuthError, failed};
use crate::config::OAuthConfig;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use rand::RngCore as _;
use reqwest::{Client, header};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Time for one request.
const REQUEST: Duration = Duration::from_secs(20);
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// How long a browser may take.
pub const PATIENCE: Duration = Duration::from_secs(5 * 60);
/// Sign-ins that wait at the same time.
const FLOWS_MAX: usize = 32;

/// A sign-in that waits for its code.
pub struct Flow {
    server: String,
    url: String,
    authority: Authority,
    ticket: Ticket,
    verifier: String,
    redirect_uri: String,
    /// Tells this sign-in from others.
    pub state: String,
    /// Where the browser comes back to; none where the configuration names another place.
    pub door: Option<Door>,
}

/// What a client needs to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The address for the browser.
    pub url: String,
    /// What comes back with the code.
    pub state: String,
}

/// The sign-ins that wait, by server and address.
#[derive(Default)]
pub struct Flows(Mutex<HashMap<(String, String), Arc<Flow>>>);

impl Flows {
    /// Waits for a code; the one before it of the same server does no more.
    pub fn add(&self, flow: Arc<Flow>) {
        let mut flows = self.0.lock();
        if flows.len() >= FLOWS_MAX {
            flows.clear();
        }
        flows.insert((flow.server.clone(), flow.url.clone()), flow);
    }

    /// The sign-in that waits for this server, which then does no more.
    pub fn take(&self, server: &str, url: &str) -> Option<Arc<Flow>> {
        self.0.lock().remove(&(server.to_owned(), url.to_owned()))
    }

    /// Whether this sign-in still waits; then it does no more.
    pub fn take_if(&self, flow: &Arc<Flow>) -> bool {
        let key = (flow.server.clone(), flow.url.clone());
        let mut flows = self.0.lock();
        let is_it = flows
            .get(&key)
            .is_some_and(|waiting| Arc::ptr_eq(waiting, flow));
        if is_it {
            flows.remove(&key);
        }
        is_it
    }
}

fn random() -> String {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Flow {
    /// Finds out who signs in, registers where that is needed, and opens the door.
    pub async fn begin(
        client: &Client,
        vault: &Vault,
        server: &str,
        url: &str,
        config: &OAuthConfig,
        challenge: &str,
    ) -> Result<(Self, Begun), AuthError> {
        let address = Url::parse(url).map_err(|error| failed(error.to_string()))?;
        let authority = discover(client, &address, challenge).await?;
        let door = match &config.redirect_uri {
            Some(_) if config.callback_port.is_none() => None,
            _ => {
                let door = Door::open(config.callback_port).await;
                Some(door.map_err(|error| failed(format!("no port to come back to: {error}")))?)
            }
        };
        let redirect_uri = config.redirect_uri.clone().unwrap_or_else(|| {
            let port = door.as_ref().map_or(PORT, |door| door.port);
            format!("http://127.0.0.1:{port}{PATH}")
        });
        let ticket = known_client(
            client,
            vault,
            server,
            url,
            config,
            &authority,
            &redirect_uri,
        );
        let ticket = ticket.await?;
        let (verifier, state) = (random(), random());
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        let mut browser =
            Url::parse(&authority.authorize).map_err(|error| failed(error.to_string()))?;
        let client_id = ticket.client_id.clone().unwrap_or_default();
        browser
            .query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &client_id)
            .append_pair("redirect_uri", &redirect_uri)
            .append_pair("state", &state)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .append_pair("resource", &authority.resource);
        let scope = config.scope.as_ref().or(authority.scope.as_ref());
        if let Some(scope) = scope {
            browser.query_pairs_mut().append_pair("scope", scope);
        }
        let begun = Begun {
            url: browser.to_string(),
            state: state.clone(),
        };
        let flow = Self {
            server: server.to_owned(),
            url: url.to_owned(),
            authority,
            ticket,
            verifier,
            redirect_uri,
            state,
            door,
        };
        Ok((flow, begun))
    }

    /// Changes the code for a token and keeps it.
    pub async fn finish(
        &self,
        client: &Client,
        vault: &Vault,
        code: &str,
    ) -> Result<(), AuthError> {
        let mut ticket = self.ticket.clone();
        ticket.token_endpoint = Some(self.authority.token.clone());
        ticket.secret_in_body = self.authority.secret_in_body;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", &self.verifier),
            ("resource", &self.authority.resource),
        ];
        ask(client, &mut ticket, &form).await?;
        let written = vault.write(&self.server, &self.url, ticket).await;
        written.map_err(|error| failed(format!("the token cannot be kept: {error}")))
    }
}

/// The client that the server knows us as: the configured one, the one of before, or a new one.
async fn known_client(
    client: &Client,
    vault: &Vault,
    server: &str,
    url: &str,
    config: &OAuthConfig,
    authority: &Authority,
    redirect_uri: &str,
) -> Result<Ticket, AuthError> {
    let mut ticket = Ticket {
        issuer: Some(authority.issuer.clone()),
        redirect_uri: Some(redirect_uri.to_owned()),
        ..Ticket::default()
    };
    if config.client_id.is_some() {
        ticket.client_id = config.client_id.clone();
        ticket.client_secret = config.client_secret.clone();
        return Ok(ticket);
    }
    if let Some(old) = vault.read(server, url).await
        && old.client_id.is_some()
        && old.issuer == ticket.issuer
        && old.redirect_uri == ticket.redirect_uri
    {
        ticket.client_id = old.client_id;
        ticket.client_secret = old.client_secret;
        return Ok(ticket);
    }
    let Some(register) = &authority.register else {
        return Err(AuthError::NeedsRegistration(format!(
            "{} takes no clients by itself; register one there and set mcp.{server}.oauth.clientId",
            authority.issuer
        )));
    };
    let way = match (authority.takes_public, authority.secret_in_body) {
        (true, _) => "none",
        (false, true) => "client_secret_post",
        (false, false) => "client_secret_basic",
    };
    let mut body = json!({
        "client_name": "kilo",
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": way,
    });
    if let Some(scope) = config.scope.as_ref().or(authority.scope.as_ref()) {
        body["scope"] = scope.clone().into();
    }
    #[derive(Deserialize)]
    struct Registered {
        client_id: String,
        client_secret: Option<String>,
    }
    let request = client
        .post(register)
        .header(header::CONTENT_TYPE, "application/json")
        .body(body.to_string());
    let refused = |error: AuthError| {
        AuthError::NeedsRegistration(format!("it registers no client: {}", error.text()))
    };
    let answer = answered(request).await.map_err(refused)?;
    let registered: Registered =
        serde_json::from_slice(&answer).map_err(|error| refused(failed(error.to_string())))?;
    ticket.client_id = Some(registered.client_id);
    ticket.client_secret = registered.client_secret;
    Ok(ticket)
}

/// Gets a new token with the refresh token.
pub async fn refresh(client: &Client, ticket: &mut Ticket, url: &str) -> Result<(), AuthError> {
    let refresh_token = ticket.refresh_token.clone();
    let refresh_token = refresh_token.ok_or_else(|| failed("there is no refresh token"))?;
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh_token.as_str()),
        ("resource", url.trim_end_matches('/')),
    ];
    ask(client, ticket, &form).await
}

/// Asks for a token and takes it over.
async fn ask(client: &Client, ticket: &mut Ticket, form: &[(&str, &str)]) -> Result<(), AuthError> {
    #[derive(Deserialize)]
    struct Tokens {
        access_token: String,
        refresh_token: Option<String>,
    }
    let endpoint = ticket.token_endpoint.clone();
    let endpoint = endpoint.ok_or_else(|| failed("nobody gives out tokens"))?;
    let client_id = ticket.client_id.clone().unwrap_or_default();
    let mut request = client
        .post(endpoint)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::ACCEPT, "application/json");
    let mut fields = form.to_vec();
    match &ticket.client_secret {
        Some(secret) if !ticket.secret_in_body => {
            request = request.basic_auth(&client_id, Some(secret));
        }
        secret => {
            fields.push(("client_id", &client_id));
            fields.extend(
                secret
                    .as_ref()
                    .map(|secret| ("client_secret", secret.as_str())),
            );
        }
    }
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    let answer = answered(request.body(body)).await?;
    let tokens: Tokens = serde_json::from_slice(&answer)
        .map_err(|_| failed("its answer to the request for a token is none"))?;
    ticket.access_token = Some(tokens.access_token);
    // One that is not replaced stays good.
    if tokens.refresh_token.is_some() {
        ticket.refresh_token = tokens.refresh_token;
    }
    Ok(())
}

/// The body of a success. Errors name the server's code, never what was sent.
async fn answered(request: reqwest::RequestBuilder) -> Result<bytes::Bytes, AuthError> {
    #[derive(Deserialize)]
    struct Refusal {
        error: Option<String>,
        error_description: Option<String>,
    }
    let response = request.timeout(REQUEST).send().await;
    let response = response.map_err(|error| failed(error.without_url().to_string()))?;
    let status = response.status();
    let body = crate::http::body(response, ANSWER_BYTES_MAX).await;
    let body = body.map_err(|error| failed(error.to_string()))?;
    if status.is_success() {
        return Ok(body);
    }
    let refusal = serde_json::from_slice::<Refusal>(&body).ok();
    let code = refusal.as_ref().and_then(|refusal| refusal.error.clone());
    let why = refusal.and_then(|refusal| refusal.error_description);
    let words = [code, why]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(": ");
    Err(failed(
        format!("HTTP {} {words}", status.as_u16())
            .trim()
            .to_owned(),
    ))
}
