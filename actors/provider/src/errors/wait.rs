//! How long a provider asks us to wait: in headers, in an error's fields, or in its sentence.
//!
//! Whatever stands there is only a wish; who waits bounds it (`kilo_ports::provider::RETRY_WAIT_MAX_MS`).

use reqwest::header::HeaderMap;
use serde_json::Value;
use std::time::UNIX_EPOCH;

/// Numbers above this are a time since 1970 in seconds, not a span: a span of 30 years is no wish.
const EPOCH_S_MIN: f64 = 1e9;

/// Numbers above this are a time since 1970 in milliseconds.
const EPOCH_MS_MIN: f64 = 1e12;

/// How deep the fields of an error are searched.
const DEPTH_MAX: u8 = 6;

/// Milliseconds from `retry-after-ms`, or from `retry-after` in seconds or as a date.
///
/// A date is measured against the answer's own `date` header, so a wrong clock does no harm, else against `now_ms`
/// (since 1970). A date that has passed is 0. `None` without a header that can be read: negative and endless numbers
/// are none.
pub fn retry_after_ms(headers: &HeaderMap, now_ms: u64) -> Option<u64> {
    if let Some(ms) = text(headers, "retry-after-ms").and_then(|ms| ms.parse().ok())
        && let Some(ms) = milliseconds(ms)
    {
        return Some(ms);
    }
    let wish = text(headers, "retry-after")?;
    if let Some(until) = date_ms(wish) {
        return Some(until.saturating_sub(clock(headers, now_ms)));
    }
    span_ms(wish)
}

/// Milliseconds until a rate limit ends, from the headers that count it: `x-ratelimit-reset` and its kin.
///
/// Providers send these with every answer, so a counter only matters where nothing is left of it. The longest one
/// decides, since a call needs room in all of them.
pub fn reset_ms(headers: &HeaderMap, now_ms: u64) -> Option<u64> {
    let used_up = |kind: &str| {
        let left = text(headers, &format!("x-ratelimit-remaining{kind}"));
        match left.and_then(|left| left.parse::<f64>().ok()) {
            Some(left) => left <= 0.0,
            None => kind.is_empty(), // the only counter, and the call was refused
        }
    };
    let counted = ["", "-requests", "-tokens"].into_iter().filter_map(|kind| {
        let wish = text(headers, &format!("x-ratelimit-reset{kind}"))?;
        used_up(kind).then_some(wish)
    });
    let now = clock(headers, now_ms);
    counted
        .chain(text(headers, "ratelimit-reset"))
        .filter_map(|wish| until_ms(wish, now))
        .max()
}

/// Milliseconds from an error's own fields (`retry_after`, `retryDelay`, a gateway's copy of the headers), else from
/// its sentence ("try again in 6m0s").
pub fn told_ms(error: &Value, message: &str, now_ms: u64) -> Option<u64> {
    in_fields(error, now_ms, DEPTH_MAX).or_else(|| in_sentence(message))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// The provider's time, or ours.
fn clock(headers: &HeaderMap, now_ms: u64) -> u64 {
    text(headers, "date").and_then(date_ms).unwrap_or(now_ms)
}

fn in_fields(value: &Value, now_ms: u64, depth: u8) -> Option<u64> {
    let depth = depth.checked_sub(1)?;
    match value {
        Value::Array(list) => list
            .iter()
            .find_map(|value| in_fields(value, now_ms, depth)),
        Value::Object(map) => map.iter().find_map(|(key, value)| {
            let plain: String = key.chars().filter(char::is_ascii_alphanumeric).collect();
            match (plain.to_lowercase().as_str(), value) {
                ("retryafterms", wish) => scalar(wish)?.parse().ok().and_then(milliseconds),
                ("retryafter" | "retryafterseconds" | "retrydelay", wish) => {
                    span_ms(&scalar(wish)?)
                }
                ("xratelimitreset", wish) => until_ms(&scalar(wish)?, now_ms),
                (_, inner) => in_fields(inner, now_ms, depth),
            }
        }),
        _ => None,
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn in_sentence(message: &str) -> Option<u64> {
    let message = message.to_lowercase();
    ["again in ", "retry in ", "retry after ", "again after "]
        .into_iter()
        .find_map(|words| span_ms(message.split_once(words)?.1))
}

/// A span, or a time since 1970 in seconds or milliseconds.
fn until_ms(wish: &str, now_ms: u64) -> Option<u64> {
    match wish.parse::<f64>() {
        Ok(at) if at >= EPOCH_MS_MIN => Some(milliseconds(at)?.saturating_sub(now_ms)),
        Ok(at) if at >= EPOCH_S_MIN => Some(milliseconds(at * 1e3)?.saturating_sub(now_ms)),
        _ => span_ms(wish),
    }
}

/// A span at the begin of `text`: `2`, `0.5`, `20ms`, `6m0s`, `1h2m3.5s`, `30 seconds`. A bare number is seconds.
fn span_ms(text: &str) -> Option<u64> {
    if let Ok(seconds) = text.parse::<f64>() {
        return milliseconds(seconds * 1e3);
    }
    let (mut rest, mut total) = (text.trim_start(), None);
    loop {
        let digits = rest.len()
            - rest
                .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
                .len();
        let Ok(number) = rest[..digits].trim_end_matches('.').parse::<f64>() else {
            break;
        };
        let tail = rest[digits..].trim_start();
        let word = tail.len()
            - tail
                .trim_start_matches(|c: char| c.is_ascii_alphabetic())
                .len();
        let unit = match &tail[..word] {
            "ms" | "millis" | "milliseconds" => 1.0,
            "s" | "sec" | "secs" | "second" | "seconds" => 1e3,
            "m" | "min" | "mins" | "minute" | "minutes" => 60e3,
            "h" | "hour" | "hours" => 3_600e3,
            "d" | "day" | "days" => 86_400e3,
            _ if total.is_none() => 1e3, // a bare number, whatever the sentence says next
            _ => break,
        };
        total = Some(total.unwrap_or(0.0) + number * unit);
        rest = tail[word..].trim_start();
    }
    milliseconds(total?)
}

/// `None` for what is negative or without an end; what is too large becomes the largest number.
fn milliseconds(ms: f64) -> Option<u64> {
    (ms.is_finite() && ms >= 0.0).then_some(ms as u64)
}

/// Milliseconds since 1970 of a date in one of HTTP's three forms; one before 1970 is 0.
fn date_ms(text: &str) -> Option<u64> {
    let date = httpdate::parse_http_date(text).ok()?;
    let since = date.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Sun, 06 Nov 1994 08:49:37 GMT.
    const NOW_MS: u64 = 784_111_777_000;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn every_form_of_the_wish_is_read() {
        type Headers = &'static [(&'static str, &'static str)];
        let table: [(Headers, Option<u64>); 18] = [
            (
                &[("retry-after-ms", "1500"), ("retry-after", "9")],
                Some(1_500),
            ),
            (
                &[("retry-after-ms", "-1"), ("retry-after", "9")],
                Some(9_000),
            ),
            (
                &[("retry-after-ms", "NaN"), ("retry-after", "9")],
                Some(9_000),
            ),
            (&[("retry-after", "2")], Some(2_000)),
            (&[("retry-after", " 0.5 ")], Some(500)),
            (&[("retry-after", "2s")], Some(2_000)),
            (
                &[("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT")],
                Some(10_000),
            ),
            (
                &[("retry-after", "Sunday, 06-Nov-94 08:49:47 GMT")],
                Some(10_000),
            ),
            (&[("retry-after", "Sun Nov  6 08:49:47 1994")], Some(10_000)),
            (&[("retry-after", "Sun, 06 Nov 1994 08:49:07 GMT")], Some(0)),
            (
                &[
                    ("retry-after", "Thu, 29 Feb 2024 00:00:05 GMT"),
                    ("date", "Wed, 28 Feb 2024 23:59:55 GMT"),
                ],
                Some(10_000),
            ),
            (&[("retry-after", "1000000000")], Some(1_000_000_000_000)),
            (
                &[("retry-after", "99999999999999999999999")],
                Some(u64::MAX),
            ),
            (&[("retry-after", "-3")], None),
            (&[("retry-after", "NaN")], None),
            (&[("retry-after", "inf")], None),
            (&[("retry-after", "soon")], None),
            (&[], None),
        ];
        for (pairs, expected) in table {
            assert_eq!(
                retry_after_ms(&headers(pairs), NOW_MS),
                expected,
                "{pairs:?}"
            );
        }
    }

    #[test]
    fn a_counter_that_is_used_up_says_when_it_begins_anew() {
        type Headers = &'static [(&'static str, &'static str)];
        let table: [(Headers, Option<u64>); 7] = [
            (
                &[("x-ratelimit-reset", "1000000000")],
                Some(215_888_223_000),
            ),
            (&[("x-ratelimit-reset", "30")], Some(30_000)),
            (
                &[("x-ratelimit-reset", "1784111777000")],
                Some(1_000_000_000_000),
            ),
            (&[("ratelimit-reset", "5")], Some(5_000)),
            (
                &[
                    ("x-ratelimit-reset-requests", "1s"),
                    ("x-ratelimit-remaining-requests", "0"),
                    ("x-ratelimit-reset-tokens", "6m0s"),
                    ("x-ratelimit-remaining-tokens", "17"),
                ],
                Some(1_000),
            ),
            (&[("x-ratelimit-reset-requests", "1s")], None),
            (&[("x-ratelimit-reset", "-1")], None),
        ];
        for (pairs, expected) in table {
            assert_eq!(reset_ms(&headers(pairs), NOW_MS), expected, "{pairs:?}");
        }
    }

    #[test]
    fn an_error_tells_the_wait_in_fields_or_in_a_sentence() {
        let google = json!({"error": {"details": [
            {"@type": "type.googleapis.com/google.rpc.Help"},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"},
        ]}});
        let gateway =
            json!({"error": {"metadata": {"headers": {"X-RateLimit-Reset": "1784111777000"}}}});
        let table = [
            (google, "", Some(34_500)),
            (gateway, "", Some(1_000_000_000_000)),
            (json!({"retry_after": 3}), "", Some(3_000)),
            (json!({"retry_after": -3}), "", None),
            (json!({"retryAfterMs": "250"}), "", Some(250)),
            (json!({"error": {"retry_after": 1e300}}), "", Some(u64::MAX)),
            (
                json!({}),
                "Please try again in 6m0s. Visit …",
                Some(360_000),
            ),
            (json!({}), "Please retry in 34.07s.", Some(34_070)),
            (json!({}), "Retry after 20 seconds", Some(20_000)),
            (json!({}), "try again in 20ms", Some(20)),
            (json!({}), "try again in a while", None),
            (json!({}), "slow down", None),
        ];
        for (error, message, expected) in table {
            assert_eq!(
                told_ms(&error, message, NOW_MS),
                expected,
                "{error} {message}"
            );
        }
    }
}
