//! JSON as programs really send it: what no parser takes is replaced, so that the rest can be read.

/// Stands for what is no character.
const REPLACEMENT: &str = "\u{fffd}";

/// `data` with all that is wrong in its texts replaced, for a second try after a parser refused it.
///
/// Bytes that are no UTF-8, halves of surrogate pairs and escapes that were cut become U+FFFD, raw control characters
/// become escapes, and outside of texts `NaN` and `Infinity` become `null`. `None` if there is nothing to replace.
pub fn mend(data: &[u8]) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(data);
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text.as_ref();
    let mut in_text = false;
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '"' => {
                in_text = !in_text;
                out.push('"');
                1
            }
            '\\' if in_text => escape(rest, &mut out),
            control if in_text && control < ' ' => {
                out.push_str(&format!("\\u{:04x}", control as u32));
                1
            }
            'N' | 'I' | '-' if !in_text => number(rest, &mut out),
            other => {
                out.push(other);
                other.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    let mended = out.into_bytes();
    (mended != data).then_some(mended)
}

/// Writes the escape at the begin of `rest`, and returns how many bytes it has there.
fn escape(rest: &str, out: &mut String) -> usize {
    let whole = match rest.as_bytes().get(1) {
        Some(b'u') => match (unit(rest), unit(rest.get(6..).unwrap_or_default())) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => Some(12),
            (Some(0xD800..=0xDFFF) | None, _) => None,
            (Some(_), _) => Some(6),
        },
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Some(2),
        _ => None,
    };
    if let Some(whole) = whole {
        out.push_str(&rest[..whole]);
        return whole;
    }
    out.push_str(REPLACEMENT);
    if rest.as_bytes().get(1) != Some(&b'u') {
        return 1; // a backslash that escapes nothing
    }
    let digits = rest[2..].bytes().take(4);
    2 + digits.take_while(u8::is_ascii_hexdigit).count()
}

/// The code unit of a whole `\uXXXX` at the begin of `text`.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let all_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    all_hex.then(|| u16::from_str_radix(digits, 16).ok())?
}

/// Writes a number that JSON does not have as `null`, anything else as it is.
fn number(rest: &str, out: &mut String) -> usize {
    for word in ["NaN", "Infinity", "-Infinity"] {
        if rest.starts_with(word) {
            out.push_str("null");
            return word.len();
        }
    }
    out.push_str(&rest[..1]);
    1
}

#[cfg(test)]
mod tests {
    use super::mend;
    use serde_json::{Value, json};

    #[test]
    fn what_no_parser_takes_is_replaced_and_the_rest_stays() {
        let table: [(&[u8], Value); 11] = [
            (br#"{"a":"x\ud83d"}"#, json!({"a": "x\u{fffd}"})),
            (br#"{"a":"\ude00y"}"#, json!({"a": "\u{fffd}y"})),
            (
                br#"{"a":"\ud83d\ude00\ud83d\ud83d\ude00"}"#,
                json!({"a": "😀\u{fffd}😀"}),
            ),
            (br#"{"a":"\ud83d\u0041"}"#, json!({"a": "\u{fffd}A"})),
            (br#"{"a":"\ud8"}"#, json!({"a": "\u{fffd}"})),
            (br#"{"a":"\u"}"#, json!({"a": "\u{fffd}"})),
            (br#"{"a":"\q"}"#, json!({"a": "\u{fffd}q"})),
            (
                br#"{"a":"\\ud83d \"\ud83d\""}"#,
                json!({"a": "\\ud83d \"\u{fffd}\""}),
            ),
            (
                b"{\"a\":\"\xf0\x9f\", \"b\":\"\x98\x80\"}",
                json!({"a": "\u{fffd}", "b": "\u{fffd}\u{fffd}"}),
            ),
            (b"{\"a\":\"x\ty\nz\"}", json!({"a": "x\ty\nz"})),
            (
                br#"{"a":[NaN,-Infinity,Infinity,-1],"b":"NaN"}"#,
                json!({"a": [null, null, null, -1], "b": "NaN"}),
            ),
        ];
        for (data, expected) in table {
            let shown = String::from_utf8_lossy(data);
            assert!(serde_json::from_slice::<Value>(data).is_err(), "{shown}");
            let mended = mend(data).unwrap_or_else(|| panic!("{shown}"));
            let value: Value =
                serde_json::from_slice(&mended).unwrap_or_else(|error| panic!("{shown}: {error}"));
            assert_eq!(value, expected, "{shown}");
        }
    }

    #[test]
    fn good_json_and_what_is_cut_short_need_nothing() {
        for data in [
            r#"{"a":"\ud83d\ude00 \u00e9 \\u é","b":-1.5e-3}"#,
            r#"{"a":"#,
            "",
        ] {
            assert_eq!(mend(data.as_bytes()), None, "{data}");
        }
    }
}
