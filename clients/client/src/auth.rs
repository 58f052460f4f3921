//! How a client shows who it is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

/// Credentials for a daemon. Its debug form never shows them.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Auth {
    /// None: the daemon has no password.
    #[default]
    None,
    /// HTTP Basic. The user's name is `kilo` unless the daemon was told otherwise.
    Basic {
        /// The user's name.
        username: String,
        /// The password.
        password: String,
    },
    /// The token that a daemon keeps in its token file.
    Token(String),
}

impl Auth {
    /// The user's name that a daemon expects when none was configured.
    pub const DEFAULT_USERNAME: &str = "kilo";

    /// Basic credentials, or none when there is no password. `username` falls back to the default name.
    pub fn basic(username: Option<&str>, password: Option<&str>) -> Self {
        match password {
            None => Self::None,
            Some(password) => Self::Basic {
                username: username.unwrap_or(Self::DEFAULT_USERNAME).to_owned(),
                password: password.to_owned(),
            },
        }
    }

    /// The value of the `authorization` header.
    pub(crate) fn header(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Basic { username, password } => Some(format!(
                "Basic {}",
                STANDARD.encode(format!("{username}:{password}"))
            )),
            Self::Token(token) => Some(format!("Bearer {token}")),
        }
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "Auth::None",
            Self::Basic { .. } | Self::Token(_) => "Auth(hidden)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Auth;

    #[test]
    fn header_is_basic_and_debug_hides_it() {
        let auth = Auth::basic(None, Some("open sesame"));
        assert_eq!(
            auth.header().as_deref(),
            Some("Basic a2lsbzpvcGVuIHNlc2FtZQ==")
        );
        assert_eq!(format!("{auth:?}"), "Auth(hidden)");
        assert_eq!(Auth::basic(Some("me"), None), Auth::None);
    }
}
