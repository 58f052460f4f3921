//! Tokens that carry their origin: `@SESSION.NUMBER.NANOSECONDS;`.

/// Writes a token.
pub fn write(out: &mut String, session: u32, number: u32, sent_ns: u64) {
    use std::fmt::Write;
    let _ = write!(out, "@{session}.{number}.{sent_ns};");
}

/// Calls `found` with every token in `text`.
pub fn scan(text: &[u8], mut found: impl FnMut(u32, u32, u64)) {
    let mut rest = text;
    while let Some(start) = rest.iter().position(|byte| *byte == b'@') {
        rest = &rest[start + 1..];
        let Some(end) = rest.iter().take(48).position(|byte| *byte == b';') else {
            continue;
        };
        let Ok(token) = std::str::from_utf8(&rest[..end]) else {
            continue;
        };
        let mut fields = token.split('.');
        let mut next = || fields.next().and_then(|field| field.parse::<u64>().ok());
        if let (Some(session), Some(number), Some(sent)) = (next(), next(), next()) {
            found(session as u32, number as u32, sent);
            rest = &rest[end..];
        }
    }
}
