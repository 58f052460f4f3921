//! A request's body: fixed fields and options as a map, the long parts written straight from where they lie.

use kilo_ports::provider::{ErrorClass, ProviderError};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};
use url::Url;

/// A request, ready to send.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The whole address.
    pub url: String,
    /// The protocol's own headers, the key among them.
    pub headers: Vec<(String, String)>,
    /// The body as JSON.
    pub body: Vec<u8>,
}

/// A JSON object in the making. The long parts must not be among `fields`.
pub(crate) struct Body<T> {
    pub fields: Map<String, Value>,
    pub system: Option<Value>,
    pub messages: Vec<Value>,
    /// Written only if there are any.
    pub tools: Vec<T>,
}

impl<T: Serialize> Serialize for Body<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in &self.fields {
            map.serialize_entry(key, value)?;
        }
        if let Some(system) = &self.system {
            map.serialize_entry("system", system)?;
        }
        map.serialize_entry("messages", &self.messages)?;
        if !self.tools.is_empty() {
            map.serialize_entry("tools", &self.tools)?;
        }
        map.end()
    }
}

impl<T: Serialize> Body<T> {
    pub fn to_bytes(&self) -> Result<Vec<u8>, ProviderError> {
        serde_json::to_vec(self)
            .map_err(|error| invalid(format!("the request cannot be written as JSON: {error}")))
    }
}

/// `base` with `path` at its end; a base that ends so already, and a query, stay as they are.
pub(crate) fn address(base: &str, path: &str) -> Result<String, ProviderError> {
    // The address may hold a password.
    let wrong = |what: String| {
        let base = kilo_protocol::secrets::masked_text(base);
        invalid(format!("the provider's address '{base}' {what}"))
    };
    let mut url = Url::parse(base).map_err(|error| wrong(format!("is no URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("is neither http nor https".into()));
    }
    let trimmed = url.path().trim_end_matches('/').to_owned();
    if trimmed.ends_with(path) {
        url.set_path(&trimmed);
    } else {
        url.set_path(&format!("{trimmed}{path}"));
    }
    Ok(url.into())
}

fn invalid(message: String) -> ProviderError {
    ProviderError::new(ErrorClass::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn the_path_goes_before_the_query_and_only_once() {
        let table = [
            ("http://h/v1", "http://h/v1/chat/completions"),
            ("http://h/v1/", "http://h/v1/chat/completions"),
            (
                "https://h/a/chat/completions",
                "https://h/a/chat/completions",
            ),
            (
                "https://h/d?api-version=1",
                "https://h/d/chat/completions?api-version=1",
            ),
            ("https://h", "https://h/chat/completions"),
        ];
        for (base, url) in table {
            assert_eq!(address(base, "/chat/completions").unwrap(), url);
        }
        assert!(address("", "/x").is_err());
        assert!(address("file:///etc", "/x").is_err());
    }
}
