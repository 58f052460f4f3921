use super::*;
use actix_web::http::header::{HeaderName, HeaderValue};
use kilo_protocol::FaultKind;
use serde::Deserialize;
use serde_json::json;

fn said(fault: Fault) -> (FaultKind, String, String) {
    let text = |pointer| {
        fault
            .body
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or("")
            .to_owned()
    };
    (fault.kind, text("/data/kind"), text("/data/message"))
}

fn refused(kind: &str, message: &str) -> (FaultKind, String, String) {
    (FaultKind::BadRequest, kind.to_owned(), message.to_owned())
}

#[derive(Debug, Deserialize)]
struct Part {
    #[allow(dead_code)]
    text: String,
}

#[derive(Debug, Deserialize)]
struct Prompt {
    #[allow(dead_code)]
    parts: Vec<Part>,
}

#[test]
fn a_body_that_does_not_fit_names_the_field() {
    let read = |text: &str| said(payload::read::<Prompt>(text.as_bytes()).unwrap_err());
    let cases = [
        ("{}", "Expected a value\n  at [\"parts\"]"),
        (
            r#"{"parts":"x"}"#,
            "Expected a sequence, got string \"x\"\n  at [\"parts\"]",
        ),
        (
            r#"{"parts":[{"text":5}]}"#,
            "Expected a string, got integer `5`\n  at [\"parts\"][0][\"text\"]",
        ),
        (
            r#"{"parts":[{}]}"#,
            "Expected a value\n  at [\"parts\"][0][\"text\"]",
        ),
        ("{bad", "Expected JSON: key must be a string"),
        ("", "Expected JSON: EOF while parsing a value"),
        (r#"{"parts":[]} x"#, "Expected JSON: trailing characters"),
    ];
    for (text, message) in cases {
        assert_eq!(read(text), refused("Payload", message), "{text}");
    }
}

#[test]
fn deep_json_is_refused_and_not_followed() {
    let text = "[".repeat(100_000);
    let (kind, part, message) = said(payload::read::<Value>(text.as_bytes()).unwrap_err());
    assert_eq!((kind, part.as_str()), (FaultKind::BadRequest, "Payload"));
    assert!(
        message.starts_with("Expected JSON: recursion limit exceeded"),
        "{message}"
    );
    assert_eq!(
        payload::read::<Value>(b"{\"a\":[1]}").unwrap(),
        json!({"a": [1]})
    );
}

#[test]
fn a_query_is_decoded() {
    let query =
        Query::parse("a=1&b=x+y%2Fz&empty&a=2&off=false&n=12&location%5Bdirectory%5D=%2Ftmp");
    assert_eq!(query.get("a"), Some("1"));
    assert_eq!(query.get("b"), Some("x y/z"));
    assert_eq!(query.get("empty"), Some(""));
    assert_eq!(query.get("location[directory]"), Some("/tmp"));
    assert_eq!(query.get("none"), None);
    assert_eq!(
        (query.flag("a"), query.flag("off"), query.flag("none")),
        (true, false, false)
    );
    assert_eq!(query.number("n").unwrap(), Some(12));
    assert_eq!(query.number("none").unwrap(), None);
    let bad = said(query.number("b").unwrap_err());
    assert_eq!(
        bad,
        refused("Query", "Expected a whole number\n  at [\"b\"]")
    );
    let missing = said(query.require("pattern").unwrap_err());
    assert_eq!(
        missing,
        refused("Query", "Expected a string\n  at [\"pattern\"]")
    );
}

#[test]
fn the_directory_comes_from_the_query_or_the_header() {
    let ask = |query: &str, header: Option<&[u8]>| {
        let mut fields = HeaderMap::new();
        if let Some(value) = header {
            let name = HeaderName::from_static("x-kilo-directory");
            fields.insert(name, HeaderValue::from_bytes(value).unwrap());
        }
        directory(&Query::parse(query), &fields).map_err(|fault| fault.kind)
    };
    let found = |text: &str| Ok(Some(text.to_owned()));
    assert_eq!(ask("", None), Ok(None));
    assert_eq!(ask("directory=", None), Ok(None));
    assert_eq!(ask("directory=%2Fa%20b", Some(b"/other")), found("/a b"));
    assert_eq!(ask("location[directory]=/a", Some(b"/other")), found("/a"));
    assert_eq!(ask("", Some(b"/plain/path")), found("/plain/path"));
    assert_eq!(ask("", Some(b"%2Fencoded%2F%C3%A9")), found("/encoded/é"));
    assert_eq!(ask("", Some("/plain/é".as_bytes())), found("/plain/é"));
    assert_eq!(ask("", Some(b"/latin/\xe9")), found("/latin/é"));
    assert_eq!(ask("", Some(b"/100%/done")), found("/100%/done"));
    assert_eq!(ask("directory=/a%00b", None), Err(FaultKind::BadRequest));
    assert_eq!(ask("", Some(b"%2Fa%00b")), Err(FaultKind::BadRequest));
}

#[test]
fn path_parameters_are_decoded_and_steps_out_refused() {
    let mut tree = matchit::Router::new();
    tree.insert("/mcp/{name}/auth", ()).unwrap();
    let ask = |path: &str| {
        let matched = tree.at(path).unwrap();
        Params::decode(&matched.params)
            .map(|params| params.get("name").to_owned())
            .map_err(said)
    };
    assert_eq!(
        ask("/mcp/my%20server%2Fone/auth"),
        Ok("my server/one".to_owned())
    );
    let no = refused("Params", "Expected a plain name\n  at [\"name\"]");
    for path in ["..", ".", "%2e%2e", "a%2F..%2Fb", "a%5c..", "a%00b", "%ff"] {
        assert_eq!(ask(&format!("/mcp/{path}/auth")), Err(no.clone()), "{path}");
    }
}
