//! Keeps keys out of what is stored, shown and logged.

/// Begins of tokens that look like keys.
const KEY_PREFIXES: [&str; 8] = [
    "sk-", "sk_", "key-", "AIza", "gsk_", "xai-", "hf_", "nvapi-",
];

/// The shortest token with such a begin that counts as a key, in bytes.
const KEY_BYTES_MIN: usize = 16;

/// Replaces `key`, tokens that look like keys and what follows `Bearer` by `***`.
pub fn redact(text: &str, key: Option<&str>) -> String {
    let known = match key {
        Some(key) if key.len() >= 6 => text.replace(key, "***"),
        _ => text.to_owned(),
    };
    let mut out = String::with_capacity(known.len());
    let mut rest = known.as_str();
    let mut after_bearer = false;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !is_token(c)).unwrap_or(rest.len());
        let (token, tail) = rest.split_at(end);
        let looks = KEY_PREFIXES.iter().any(|prefix| token.starts_with(prefix))
            && token.len() >= KEY_BYTES_MIN;
        out.push_str(if looks || (after_bearer && token.len() >= 6) {
            "***"
        } else {
            token
        });
        after_bearer = token.eq_ignore_ascii_case("bearer") && tail.starts_with(' ');
        let gap = tail.find(is_token).unwrap_or(tail.len());
        out.push_str(&tail[..gap]);
        rest = &tail[gap..];
    }
    out
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '/' | '=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_and_likely_keys_are_replaced_and_the_rest_is_kept() {
        let text = "é Incorrect key: 'abc-123-xyz', sk-proj-0123456789abcdef; Authorization: Bearer eyJhbGciOi.x, sk-short, risk-free";
        let expected =
            "é Incorrect key: '***', ***; Authorization: Bearer ***, sk-short, risk-free";
        assert_eq!(redact(text, Some("abc-123-xyz")), expected);
        assert_eq!(
            redact("a tiny key k stays", Some("k")),
            "a tiny key k stays"
        );
    }
}
