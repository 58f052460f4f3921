//! Configuration and credentials.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// `config.update` and `global.config.update`: keys of a configuration with their new values, to any depth; null takes a
/// key away, and a mark (see [`crate::secrets`]) keeps what is stored.
///
/// What keys there are, and what they hold, is known to the crate `config` alone: its schema is larger than this contract.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConfigPatch(pub Map<String, Value>);

/// `auth.set`: what a provider lets one in with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Credentials {
    /// A key.
    Api {
        /// The key.
        key: String,
        /// A client's own data, texts by name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metadata: Option<Map<String, Value>>,
    },
    /// Tokens of a sign-in.
    #[serde(rename_all = "camelCase")]
    Oauth {
        /// The token that renews the other.
        refresh: String,
        /// The token that is shown.
        access: String,
        /// When that is over, in milliseconds; 0 for never.
        expires: u64,
        /// The account, where a provider has several.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        account_id: Option<String>,
        /// The address of an installation of one's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        enterprise_url: Option<String>,
    },
    /// A token under the name of a variable, as an organisation hands it out.
    Wellknown {
        /// The variable.
        key: String,
        /// The token.
        token: String,
    },
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Api { .. } => "Credentials::Api(hidden)",
            Self::Oauth { .. } => "Credentials::Oauth(hidden)",
            Self::Wellknown { .. } => "Credentials::Wellknown(hidden)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Credentials;
    use serde_json::json;

    #[test]
    fn credentials_are_read_and_written_as_they_were_and_never_shown() {
        for entry in [
            json!({"type": "api", "key": "k"}),
            json!({"type": "api", "key": "k", "metadata": {"a": "b"}}),
            json!({"type": "oauth", "refresh": "k", "access": "k", "expires": 5, "accountId": "x", "enterpriseUrl": "y"}),
            json!({"type": "wellknown", "key": "K", "token": "k"}),
        ] {
            let read: Credentials = serde_json::from_value(entry.clone()).unwrap();
            assert_eq!(serde_json::to_value(&read).unwrap(), entry);
            assert!(format!("{read:?}").ends_with("(hidden)"));
        }
    }
}
