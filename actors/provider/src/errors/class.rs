//! The class of an error, from everything that the provider said.

use super::overflow::is_overflow;
use kilo_ports::provider::ErrorClass;

/// Decides the class from the status, the provider's codes and types, and the wording.
pub(super) fn class(
    status: Option<u16>,
    codes: &[String],
    message: &str,
    empty: bool,
) -> ErrorClass {
    let has = |needles: &[&str]| {
        codes
            .iter()
            .any(|code| needles.iter().any(|n| code.eq_ignore_ascii_case(n)))
    };
    let text = message.to_lowercase();
    let says = |needles: &[&str]| needles.iter().any(|needle| text.contains(needle));
    if is_overflow(status, codes, message, empty) {
        return ErrorClass::ContextOverflow;
    }
    if has(&[
        "content_policy_violation",
        "content_filter",
        "ResponsibleAIPolicyViolation",
        "moderation",
    ]) || says(&[
        "content policy",
        "content management policy",
        "flagged by moderation",
        "content filtering policy",
    ]) {
        return ErrorClass::ContentPolicy;
    }
    // Credit that is used up comes as 400, 402, 403 or 429; no wait brings it back, so it is no rate limit.
    let quota = has(&[
        "insufficient_quota",
        "billing_error",
        "billing_hard_limit_reached",
        "insufficient_balance",
    ]) || says(&[
        "exceeded your current quota",
        "insufficient balance",
        "insufficient credit",
        "credit balance is too low",
        "billing",
    ]);
    match status {
        Some(402) => ErrorClass::Quota,
        Some(401) => ErrorClass::Auth,
        Some(429) if quota => ErrorClass::Quota,
        Some(429) => ErrorClass::RateLimited,
        Some(403) if quota => ErrorClass::Quota,
        Some(403) => ErrorClass::Permission,
        Some(408) => ErrorClass::Overloaded, // the provider's own time ran out
        Some(400..=499) if quota => ErrorClass::Quota,
        Some(400..=499) => ErrorClass::InvalidRequest,
        Some(500..) => ErrorClass::Overloaded,
        _ if quota => ErrorClass::Quota,
        _ if has(&["authentication_error", "invalid_api_key"]) => ErrorClass::Auth,
        _ if has(&["permission_error"]) => ErrorClass::Permission,
        _ if has(&["rate_limit_error", "rate_limit_exceeded"])
            || says(&["rate limit", "too many requests"]) =>
        {
            ErrorClass::RateLimited
        }
        _ if has(&[
            "overloaded_error",
            "api_error",
            "server_error",
            "internal_server_error",
            "timeout_error",
            "service_unavailable",
        ]) =>
        {
            ErrorClass::Overloaded
        }
        _ if says(&[
            "overloaded",
            "unavailable",
            "internal error",
            "server error",
            "provider returned error",
            "terminated",
            "exhausted",
        ]) =>
        {
            ErrorClass::Overloaded
        }
        _ if has(&["invalid_request_error", "not_found_error"]) => ErrorClass::InvalidRequest,
        _ => ErrorClass::Unknown,
    }
}
