//! What went wrong, in classes: from the HTTP status, the provider's own codes and its wording.

mod body;
mod class;
mod cut;
mod instead;
mod overflow;
mod redact;
mod wait;

use class::class;
pub use cut::BODY_BYTES_MAX;
use cut::cut;
pub use instead::{from_body, instead_of_answer, named};
pub use overflow::is_overflow;
pub use redact::redact;
pub use wait::retry_after_ms;

use kilo_ports::provider::{ErrorClass, ModelInfo, ProviderError};
use reqwest::header::HeaderMap;

/// The headers in which providers send their id of the request, the likeliest first.
const REQUEST_ID_HEADERS: [&str; 5] = [
    "x-request-id",
    "request-id",
    "x-amzn-requestid",
    "x-goog-request-id",
    "cf-ray",
];

/// The error of an HTTP answer that is none of success.
///
/// `body` is what could be read of the answer, `key` the credential to keep out of it, `now_ms` the time for
/// a `retry-after` that is a date.
pub fn from_response(
    status: u16,
    headers: &HeaderMap,
    body: &str,
    key: Option<&str>,
    now_ms: u64,
) -> ProviderError {
    let facts = body::read(body);
    let message = facts.message.unwrap_or_else(|| status_sentence(status));
    let told = || wait::told_ms(&facts.whole, &message, now_ms);
    let reset = || wait::reset_ms(headers, now_ms).filter(|_| status == 429);
    let retry_after_ms = retry_after_ms(headers, now_ms).or_else(told).or_else(reset);
    let mut error = ProviderError::new(
        class(Some(status), &facts.code, &message, body.trim().is_empty()),
        message,
    );
    error.message = cut(&redact(&error.message, key), 2_000);
    error.status = Some(status);
    error.retry_after_ms = retry_after_ms;
    error.request_id = request_id(headers);
    error.body = (!body.is_empty()).then(|| cut(&redact(body, key), BODY_BYTES_MAX));
    error
}

/// The provider's id of a request, from the answer's headers.
pub fn request_id(headers: &HeaderMap) -> Option<String> {
    let id = REQUEST_ID_HEADERS
        .iter()
        .find_map(|name| headers.get(*name)?.to_str().ok())?;
    Some(cut(id, 200))
}

/// The error without the keys of `model`, whatever part of the answer they came back in.
pub fn without_keys(mut error: ProviderError, model: &ModelInfo) -> ProviderError {
    let keys = model.headers.iter().map(|(_, value)| value.as_str());
    for key in keys.chain(model.api_key.as_deref()) {
        for text in [Some(&mut error.message), error.body.as_mut()] {
            if let Some(text) = text.filter(|text| text.contains(key)) {
                *text = redact(text, Some(key));
            }
        }
    }
    error
}

/// The error with what its reader can do about a key that was refused.
pub fn with_hint(mut error: ProviderError, model: &ModelInfo) -> ProviderError {
    if error.class == ErrorClass::Auth {
        let hint = match model.api_key {
            Some(_) => "is the key right?",
            None => "no key is known;",
        };
        let login = format!("`kilo auth login {}` stores one", model.provider_id);
        error.message = format!("{} ({hint} {login})", error.message);
    }
    error
}

/// A chunk that is no JSON of the protocol.
pub fn malformed(data: &[u8], source: &serde_json::Error) -> ProviderError {
    let begin = String::from_utf8_lossy(&data[..data.len().min(200)]);
    let message = format!(
        "the provider sent a chunk that is not valid JSON ({source}): {}",
        redact(&begin, None)
    );
    ProviderError::new(ErrorClass::Malformed, message)
}

/// The answer is empty since the conversation fills the model's window.
pub fn no_room() -> ProviderError {
    ProviderError::new(
        ErrorClass::ContextOverflow,
        "the conversation fills the model's context window; no room is left for an answer",
    )
}

/// The provider gave up with a finish reason instead of an error.
pub fn ended_by(reason: &str) -> ProviderError {
    ProviderError::new(
        ErrorClass::Overloaded,
        format!("the provider ended the answer with the reason '{reason}'"),
    )
}

/// The connection was lost before the first chunk, or was never made.
pub fn network(message: impl Into<String>, code: Option<&str>) -> ProviderError {
    let mut error = ProviderError::new(ErrorClass::Network, message);
    error.code = code.map(str::to_owned);
    error
}

/// The stream broke off in the middle.
pub fn stream_cut() -> ProviderError {
    let mut error = ProviderError::new(ErrorClass::StreamCut, "Connection reset by server");
    error.code = Some("ECONNRESET".into());
    error
}

/// No byte came for `ms` milliseconds.
pub fn stalled(waited_for: &str, ms: u64) -> ProviderError {
    let seconds = ms as f64 / 1000.0;
    ProviderError::new(
        ErrorClass::Stalled,
        format!("the provider sent no {waited_for} for {seconds} s"),
    )
}

/// The caller gave up.
pub fn aborted() -> ProviderError {
    ProviderError::new(ErrorClass::Aborted, "The operation was aborted.")
}

/// A model whose protocol no adapter speaks.
pub fn unspoken(model: &ModelInfo) -> ProviderError {
    let message = format!(
        "{}/{} needs the protocol of {}, which is not spoken yet; models that are compatible with OpenAI chat or Anthropic messages work",
        model.provider_id, model.model_id, model.npm
    );
    ProviderError::new(ErrorClass::InvalidRequest, message)
}

fn status_sentence(status: u16) -> String {
    let reason = reqwest::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason());
    match reason {
        Some(reason) => format!("the provider answered {status} ({reason})"),
        None => format!("the provider answered {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_code_and_wording_decide_the_class() {
        use ErrorClass::*;
        let error = |kind: &str, code: &str, message: &str| {
            serde_json::json!({"error": {"type": kind, "code": code, "message": message}})
                .to_string()
        };
        let table = [
            (
                401,
                error(
                    "invalid_request_error",
                    "invalid_api_key",
                    "Incorrect API key provided",
                ),
                Auth,
            ),
            (
                403,
                error("permission_error", "", "no access to this model"),
                Permission,
            ),
            (402, error("", "", "Payment Required"), Quota),
            (
                429,
                error(
                    "insufficient_quota",
                    "insufficient_quota",
                    "You exceeded your current quota",
                ),
                Quota,
            ),
            (429, error("", "", "slow down"), RateLimited),
            (
                429,
                error("", "", "Too many tokens, please wait before trying again."),
                RateLimited,
            ),
            (
                400,
                error("invalid_request_error", "content_policy_violation", "no"),
                ContentPolicy,
            ),
            (
                400,
                error(
                    "invalid_request_error",
                    "",
                    "Your credit balance is too low",
                ),
                Quota,
            ),
            (
                400,
                error("invalid_request_error", "", "messages: unexpected role"),
                InvalidRequest,
            ),
            (
                400,
                error("", "context_length_exceeded", "long"),
                ContextOverflow,
            ),
            (413, String::new(), ContextOverflow),
            (404, "no such page".into(), InvalidRequest),
            (500, error("", "", "boom"), Overloaded),
            (503, "<html><body>down</body></html>".into(), Overloaded),
            (529, error("overloaded_error", "", "Overloaded"), Overloaded),
        ];
        for (status, body, class) in table {
            let error = from_response(status, &HeaderMap::new(), &body, None, 0);
            assert_eq!(error.class, class, "{status} {body}");
        }
    }

    #[test]
    fn the_providers_own_words_are_kept_and_keys_are_not() {
        let body = r#"{"error":{"message":"Provider returned error","code":502,"metadata":{"raw":"upstream: key sk-secretsecretsecret is bad"}}}"#;
        let mut headers = HeaderMap::new();
        headers.insert("cf-ray", "abc".parse().unwrap());
        headers.insert("retry-after", "7".parse().unwrap());
        let error = from_response(502, &headers, body, Some("sk-secretsecretsecret"), 0);
        assert_eq!(
            error.message,
            "Provider returned error: upstream: key *** is bad"
        );
        assert_eq!(
            error.body.as_deref(),
            Some(body.replace("sk-secretsecretsecret", "***").as_str())
        );
        assert_eq!(
            (error.request_id.as_deref(), error.retry_after_ms),
            (Some("abc"), Some(7_000))
        );
    }

    #[test]
    fn a_long_body_is_cut_between_characters() {
        let body = "é".repeat(BODY_BYTES_MAX);
        let error = from_response(500, &HeaderMap::new(), &body[..], None, 0);
        assert_eq!(error.body.unwrap().len(), BODY_BYTES_MAX);
        assert!(error.message.len() <= 2_000);
    }

    #[test]
    fn an_error_within_the_stream_is_classed_as_well() {
        let table = [
            (
                r#"{"type":"overloaded_error","message":"Overloaded"}"#,
                ErrorClass::Overloaded,
            ),
            (
                r#"{"code":502,"message":"bad gateway"}"#,
                ErrorClass::Overloaded,
            ),
            (
                r#"{"type":"rate_limit_error","message":"slow"}"#,
                ErrorClass::RateLimited,
            ),
            (
                r#"{"type":"invalid_request_error","message":"prompt is too long: 9 tokens > 8 maximum"}"#,
                ErrorClass::ContextOverflow,
            ),
            (r#""it broke""#, ErrorClass::Unknown),
        ];
        for (raw, class) in table {
            let event = format!("{{\"error\":{raw}}}");
            let error = instead_of_answer(event.as_bytes()).expect("an error");
            assert_eq!(error.class, class, "{raw}");
        }
    }
}
