//! JSON with comments and trailing commas.

use jsonc_parser::ParseOptions;
use serde_json::Value;

/// How deep objects and lists may nest. Deeper text could exhaust the stack of the parser.
const DEPTH_MAX: usize = 128;

/// The dialect: comments and trailing commas, nothing else beyond JSON.
pub(crate) fn options() -> ParseOptions {
    ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

/// Parses a text. An empty one is `null`. The error is a sentence with line and column.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    check_depth(text)?;
    jsonc_parser::parse_to_serde_value(text, &options()).map_err(|error| error.to_string())
}

/// Refuses text that nests deeper than [`DEPTH_MAX`]. Brackets in comments count, which no real file notices.
pub(crate) fn check_depth(text: &str) -> Result<(), String> {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            // A quote in a comment must not hide the rest of the file.
            b'\n' => in_string = false,
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(format!("nested deeper than {DEPTH_MAX} levels"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn comments_and_trailing_commas_are_fine_and_order_is_kept() {
        let value = parse("{ // it's a \"note\n \"b\": [1, 2,], /* x */ \"a\": 2.5, }").unwrap();
        assert_eq!(value, json!({"b": [1, 2], "a": 2.5}));
        assert_eq!(
            value.as_object().unwrap().keys().collect::<Vec<_>>(),
            ["b", "a"]
        );
    }

    #[test]
    fn broken_text_says_where_and_deep_text_is_refused() {
        assert!(parse("{\n  \"a\": }").unwrap_err().contains("line 2"));
        assert!(parse("{a: 1}").is_err());
        assert!(
            parse(&"[".repeat(100_000))
                .unwrap_err()
                .contains("128 levels")
        );
        assert!(parse(&"\"\n[".repeat(100_000)).is_err());
    }
}
