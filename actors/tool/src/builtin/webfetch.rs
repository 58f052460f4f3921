//! `webfetch`: gets a web page.

use crate::call::{self, facts};
use crate::web::fetch::{self, Answer, Page};
use crate::web::{to_markdown, to_text};
use encoding_rs::{Encoding, UTF_8};
use kilo_ports::BoxFuture;
use kilo_ports::tool::{Access, Ask, Tool, ToolCx, ToolError, ToolOutput, ToolSpec};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::{Arc, OnceLock};
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
/// Every redirect is judged like the first address: its scheme, and a question for `webfetch` when it leads to another
/// origin. An answer of 5 MiB or more, or of a status other than 2xx, is an error.
pub struct WebFetch {
    agent: Arc<str>,
    client: Arc<OnceLock<reqwest::Client>>,
}

#[derive(Deserialize)]
struct Input {
    url: String,
    #[serde(default)]
    format: Format,
    timeout: Option<f64>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Text,
    #[default]
    Markdown,
    Html,
}

impl WebFetch {
    /// The tool, under the name that it gives servers.
    pub fn new(agent: String) -> Self {
        Self {
            agent: agent.into(),
            client: Arc::default(),
        }
    }
}

impl Tool for WebFetch {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "webfetch",
            description: include_str!("descriptions/webfetch.md").into(),
            parameters: Arc::new(json!({
                "type": "object",
                "properties": {
                    "url": {"type": "string", "description": "The address, with http:// or https://"},
                    "format": {"type": "string", "enum": ["text", "markdown", "html"], "default": "markdown",
                        "description": "The form of the answer"},
                    "timeout": {"type": "number", "description": "Seconds to wait (default 30, at most 120)"},
                },
                "required": ["url"],
            })),
            access: Access::Reads,
        }
    }

    fn run(&self, input: Value, cx: ToolCx) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        let (agent, client) = (self.agent.clone(), self.client.clone());
        Box::pin(async move {
            let client = match client.get() {
                Some(client) => client.clone(),
                None => {
                    let made = fetch::client()?;
                    client.get_or_init(|| made).clone()
                }
            };
            webfetch(call::arguments("webfetch", input)?, &cx, &client, &agent).await
        })
    }
}

async fn webfetch(
    input: Input,
    cx: &ToolCx,
    client: &reqwest::Client,
    agent: &str,
) -> Result<ToolOutput, ToolError> {
    let url = fetch::parse(&input.url)?;
    let wait = Duration::from_secs_f64(
        input
            .timeout
            .filter(|s| *s > 0.0)
            .unwrap_or(SECONDS_DEFAULT)
            .min(SECONDS_MAX),
    );
    let page = follow(url, input.format, wait, cx, client, agent).await?;
    let title = format!(
        "{} ({})",
        input.url.trim(),
        if page.mime.is_empty() {
            "unknown type"
        } else {
            &page.mime
        }
    );
    if is_image(&page.mime) {
        return Ok(image(title, &page));
    }
    let output = call::blocking(move || shown(&page, input.format)).await?;
    Ok(ToolOutput {
        title,
        output,
        ..ToolOutput::default()
    })
}

/// Goes from redirect to redirect. The time counts for each request, not for the answers of a person.
async fn follow(
    mut url: Url,
    format: Format,
    wait: Duration,
    cx: &ToolCx,
    client: &reqwest::Client,
    agent: &str,
) -> Result<Page, ToolError> {
    ask(&url, cx).await?;
    for _ in 0..=REDIRECTS_MAX {
        let request = fetch::get(client, url.clone(), accept(format), agent);
        let answer = call::or_stopped(cx, tokio::time::timeout(wait, request)).await?;
        let timed_out = |_| {
            ToolError::failed(format!(
                "Cannot fetch {url}: timed out after {} s",
                wait.as_secs_f64()
            ))
        };
        match answer.map_err(timed_out)?? {
            Answer::Page(page) => return Ok(page),
            Answer::Moved(target) => {
                if target.origin() != url.origin() {
                    ask(&target, cx).await?;
                }
                url = target;
            }
        }
    }
    Err(ToolError::failed(format!(
        "Cannot fetch {url}: more than {REDIRECTS_MAX} redirects"
    )))
}

async fn ask(url: &Url, cx: &ToolCx) -> Result<(), ToolError> {
    let ask = Ask {
        permission: "webfetch".into(),
        patterns: vec![url.to_string()],
        always: vec![format!("{}/*", url.origin().ascii_serialization())],
        metadata: facts([("url", url.to_string().into())]),
        must_ask: false,
    };
    call::ask(cx, ask).await
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

fn is_image(mime: &str) -> bool {
    matches!(
        mime,
        "image/png" | "image/jpeg" | "image/gif" | "image/webp"
    )
}

fn image(title: String, page: &Page) -> ToolOutput {
    use base64::Engine;
    let data = base64::engine::general_purpose::STANDARD.encode(&page.body);
    let url = format!("data:{};base64,{data}", page.mime);
    let attachments = vec![json!({"type": "file", "mime": page.mime, "url": url})];
    ToolOutput {
        title,
        output: "Image fetched successfully".into(),
        attachments,
        ..ToolOutput::default()
    }
}

fn shown(page: &Page, format: Format) -> Result<String, ToolError> {
    let charset = page
        .charset
        .as_deref()
        .and_then(|name| Encoding::for_label(name.as_bytes()));
    let (text, encoding, _) = charset.unwrap_or(UTF_8).decode(&page.body);
    if encoding == UTF_8 && page.body.contains(&0) {
        return Err(ToolError::failed(format!(
            "Cannot show {}: the answer is binary ({})",
            page.url, page.mime
        )));
    }
    let is_html = matches!(page.mime.as_str(), "text/html" | "application/xhtml+xml");
    Ok(match format {
        Format::Markdown if is_html => to_markdown(&text, Some(&page.url)),
        Format::Text if is_html => to_text(&text),
        _ => text.into_owned(),
    })
}

#[cfg(test)]
#[path = "webfetch/webfetch_tests.rs"]
mod tests;
