//! Which directory a request means.

use super::Query;
use actix_web::http::header::HeaderMap;
use kilo_protocol::Fault;
use percent_encoding::percent_decode;

/// Finds the directory: the query's `directory` first, then its `location[directory]`, then the header
/// `x-kilo-directory`, percent-encoded or plain (seen: real server 7.7.9).
///
/// None if the request names no directory, or an empty one. Errors: 400 `BadRequest` for a NUL byte.
pub(crate) fn directory(query: &Query, headers: &HeaderMap) -> Result<Option<String>, Fault> {
    let named = ["directory", "location[directory]"]
        .iter()
        .find_map(|name| query.get(name));
    let directory = match named {
        Some(directory) => Some(directory.to_owned()),
        None => headers
            .get("x-kilo-directory")
            .map(|value| from_header(value.as_bytes())),
    };
    let directory = directory.filter(|directory| !directory.is_empty());
    if directory
        .as_ref()
        .is_some_and(|directory| directory.contains('\0'))
    {
        return Err(Fault::bad_query("a path without NUL", "directory"));
    }
    Ok(directory)
}

/// Decodes a header's value. If it is no valid encoding it is taken as it is; bytes that are not UTF-8 are read as
/// Latin-1, which is how `fetch` sends them.
fn from_header(raw: &[u8]) -> String {
    let plain = match std::str::from_utf8(raw) {
        Ok(text) => text.to_owned(),
        Err(_) => raw.iter().map(|&byte| char::from(byte)).collect(),
    };
    if !well_escaped(&plain) {
        return plain;
    }
    match percent_decode(plain.as_bytes()).decode_utf8() {
        Ok(decoded) => decoded.into_owned(),
        Err(_) => plain,
    }
}

/// Tells whether every `%` begins a whole escape.
fn well_escaped(text: &str) -> bool {
    let mut pieces = text.split('%');
    pieces.next();
    pieces
        .all(|piece| piece.len() >= 2 && piece.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()))
}
