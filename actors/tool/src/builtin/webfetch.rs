//! `webfetch`: gets a web page.

use crate::call::{self, facts};
use crate::rules;
use crate::schema;
use crate::web::address::Zone;
use crate::web::decode::{is_html, text_of};
use crate::web::fetch::{self, Answer, Page};
use crate::web::target::{self, Lookup, Target};
use crate::web::{to_markdown, to_text};
use kilo_ports::BoxFuture;
use kilo_ports::tool::{Access, Ask, Tool, ToolCx, ToolError, ToolOutput, ToolSpec};
use kilo_protocol::data_url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Seconds to wait without a `timeout`.
const SECONDS_DEFAULT: f64 = 30.0;
/// Seconds to wait at most.
const SECONDS_MAX: f64 = 120.0;
/// Redirects followed.
const REDIRECTS_MAX: usize = 5;

/// Gets a page as Markdown, text or HTML; images come as attachments.
///
/// Every redirect is judged like the first address: its scheme, a question for `webfetch` when it leads to another origin,
/// and one for `local_network` when it leads to what only this machine can reach. The daemon's own address is refused.
/// An answer of 5 MiB or more, or of a status other than 2xx, is an error.
#[derive(Clone)]
pub struct WebFetch {
    /// The name that it gives servers.
    pub agent: Arc<str>,
    /// Where the daemon itself listens.
    pub own: Option<SocketAddr>,
    /// The environment names a proxy.
    pub proxied: bool,
    /// Finds the addresses of names.
    pub lookup: Lookup,
}

#[derive(Deserialize, JsonSchema)]
struct WebfetchInput {
    /// The address, with http:// or https://
    url: String,
    /// The form of the answer
    #[serde(default)]
    format: Format,
    /// Seconds to wait (default 30, at most 120)
    timeout: Option<f64>,
}

#[derive(Clone, Copy, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    Text,
    #[default]
    Markdown,
    Html,
}

impl Tool for WebFetch {
    fn spec(&self) -> ToolSpec {
        schema::spec::<WebfetchInput>(
            "webfetch",
            include_str!("descriptions/webfetch.md"),
            Access::Reads,
        )
    }

    fn run(&self, input: Value, cx: ToolCx) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        let tool = self.clone();
        Box::pin(async move { webfetch(call::arguments("webfetch", input)?, &cx, &tool).await })
    }
}

async fn webfetch(
    input: WebfetchInput,
    cx: &ToolCx,
    tool: &WebFetch,
) -> Result<ToolOutput, ToolError> {
    let url = fetch::parse(&input.url)?;
    let wait = Duration::from_secs_f64(
        input
            .timeout
            .filter(|s| *s > 0.0)
            .unwrap_or(SECONDS_DEFAULT)
            .min(SECONDS_MAX),
    );
    let page = follow(url, input.format, wait, cx, tool).await?;
    let title = format!(
        "{} ({})",
        without_user(&input.url),
        if page.mime.is_empty() {
            "unknown type"
        } else {
            &page.mime
        }
    );
    if let Some(what) = attached(&page.mime) {
        return Ok(attachment(title, what, &page));
    }
    let output = call::blocking(move || shown(&page, input.format)).await?;
    Ok(ToolOutput {
        title,
        output,
        ..ToolOutput::default()
    })
}

/// The address as it was given, but for a name and password in it: the title is for everybody.
fn without_user(given: &str) -> String {
    let Ok(mut url) = Url::parse(given.trim()) else {
        return given.trim().to_owned();
    };
    if url.username().is_empty() && url.password().is_none() {
        return given.trim().to_owned();
    }
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

/// Goes from redirect to redirect. The time counts for each request, not for the answers of a person.
async fn follow(
    url: Url,
    format: Format,
    wait: Duration,
    cx: &ToolCx,
    tool: &WebFetch,
) -> Result<Page, ToolError> {
    let mut target = tool.judge(url, wait, cx).await?;
    for _ in 0..=REDIRECTS_MAX {
        let client = fetch::client(&target, tool.proxied)?;
        let request = fetch::get(&client, target.url.clone(), accept(format), &tool.agent);
        match in_time(wait, &target.url, cx, request).await? {
            Answer::Page(page) => return Ok(page),
            Answer::Moved(url) if url.origin() == target.url.origin() => {
                refuse_denied(&url, cx)?;
                target = target.moved(url);
            }
            Answer::Moved(url) => target = tool.judge(url, wait, cx).await?,
        }
    }
    Err(ToolError::failed(format!(
        "Cannot fetch {}: more than {REDIRECTS_MAX} redirects",
        target.url
    )))
}

async fn in_time<T>(
    wait: Duration,
    url: &Url,
    cx: &ToolCx,
    work: impl Future<Output = Result<T, ToolError>>,
) -> Result<T, ToolError> {
    let timed_out = |_| {
        ToolError::failed(format!(
            "Cannot fetch {url}: timed out after {} s",
            wait.as_secs_f64()
        ))
    };
    call::or_stopped(cx, tokio::time::timeout(wait, work))
        .await?
        .map_err(timed_out)?
}

impl WebFetch {
    /// Looks an address up and asks what has to be asked about it.
    async fn judge(&self, url: Url, wait: Duration, cx: &ToolCx) -> Result<Target, ToolError> {
        // The rules come first: a name that may not be fetched is not even looked up.
        let shown = target::pattern(&url);
        let ask = Ask {
            permission: "webfetch".into(),
            patterns: vec![shown.clone()],
            always: vec![all_of(&url)],
            metadata: facts([("url", shown.into())]),
            must_ask: false,
            version: None,
        };
        call::ask(cx, ask).await?;
        let finding = Target::find(url.clone(), &self.lookup, self.proxied);
        let target = in_time(wait, &url, cx, finding).await?;
        if self.own.is_some_and(|own| target.reaches(own)) {
            return Err(ToolError::failed(format!(
                "Cannot fetch {url}: this is the daemon's own address, which tools may not use"
            )));
        }
        ask_local(&target, cx).await?;
        Ok(target)
    }
}

/// Asks about a target that only this machine can reach: under its name, and under each address behind it.
async fn ask_local(target: &Target, cx: &ToolCx) -> Result<(), ToolError> {
    let (zone, local) = (target.zone(), target.local());
    if zone == Zone::Public {
        return Ok(());
    }
    let mut patterns = vec![target::pattern(&target.url)];
    patterns.extend(local.iter().map(|ip| target::at_machine(&target.url, *ip)));
    patterns.dedup();
    let always = patterns.iter().filter_map(|url| Url::parse(url).ok());
    let always = always.map(|url| all_of(&url)).collect();
    let addresses: Vec<String> = local.iter().map(ToString::to_string).collect();
    let ask = Ask {
        permission: "local_network".into(),
        metadata: facts([
            ("url", patterns[0].clone().into()),
            ("addresses", addresses.into()),
        ]),
        patterns,
        always,
        // No rule is wide enough to give a machine's credentials away.
        must_ask: zone == Zone::Metadata,
        version: None,
    };
    call::ask(cx, ask).await
}

/// The pattern of everything at the same origin.
fn all_of(url: &Url) -> String {
    let origin = Url::parse(&target::pattern(url)).map(|url| url.origin());
    format!("{}/*", origin.unwrap_or(url.origin()).ascii_serialization())
}

/// A redirect within an origin was allowed with the first address, unless a rule denies just this page.
fn refuse_denied(url: &Url, cx: &ToolCx) -> Result<(), ToolError> {
    let shown = target::pattern(url);
    if rules::denies(&cx.host.rules(), "webfetch", &shown) {
        return Err(ToolError::Denied(format!(
            "A rule denies this: permission webfetch for \"{shown}\", where the server redirects to."
        )));
    }
    Ok(())
}

fn accept(format: Format) -> &'static str {
    match format {
        Format::Text => "text/plain;q=1.0, text/markdown;q=0.9, text/html;q=0.8, */*;q=0.1",
        Format::Markdown => {
            "text/markdown;q=1.0, text/x-markdown;q=0.9, text/plain;q=0.8, text/html;q=0.7, */*;q=0.1"
        }
        Format::Html => "text/html;q=1.0, application/xhtml+xml;q=0.9, text/plain;q=0.8, */*;q=0.1",
    }
}

/// The name of what a model takes as a file, by media type.
fn attached(mime: &str) -> Option<&'static str> {
    match mime {
        "image/png" | "image/jpeg" | "image/gif" | "image/webp" => Some("Image"),
        "application/pdf" => Some("PDF"),
        _ => None,
    }
}

fn attachment(title: String, what: &str, page: &Page) -> ToolOutput {
    let url = data_url::of_bytes(&page.mime, &page.body);
    let attachments = vec![json!({"type": "file", "mime": page.mime, "url": url})];
    ToolOutput {
        title,
        output: format!("{what} fetched successfully"),
        attachments,
        ..ToolOutput::default()
    }
}

fn shown(page: &Page, format: Format) -> Result<String, ToolError> {
    let text = text_of(page).ok_or_else(|| {
        ToolError::failed(format!(
            "Cannot show {}: the answer is binary ({})",
            page.url, page.mime
        ))
    })?;
    Ok(match format {
        Format::Markdown if is_html(page, &text) => to_markdown(&text, Some(&page.url)),
        Format::Text if is_html(page, &text) => to_text(&text),
        _ => text,
    })
}

#[cfg(test)]
#[path = "webfetch/webfetch_tests.rs"]
mod tests;
