//! Keys in configurations: clients see a mark in their place, and a mark that they send back keeps what is stored.

use serde_json::{Map, Value};

/// Stands for a secret that is set.
pub const MARK: &str = "(hidden)";

/// Objects whose values are all secrets: a header or a variable may be named as anybody likes.
const HOLDERS: [&str; 5] = ["headers", "environment", "env", "variables", "cookies"];

/// Objects whose keys are patterns or tools, so that a name says nothing about the value.
const PATTERNS: [&str; 3] = ["permission", "tools", "keybinds"];

/// Parts of names that hold a secret, in small letters without `-` and `_`.
const NAMES: [&str; 15] = [
    "apikey",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "authorization",
    "credential",
    "accesskey",
    "privatekey",
    "bearer",
    "cookie",
    "authtoken",
    "accesstoken",
    "refreshtoken",
    "sessiontoken",
];

/// Begins of texts that are keys whatever they are called.
const KEY_PREFIXES: [&str; 12] = [
    "sk-",
    "sk_",
    "AIza",
    "gsk_",
    "xai-",
    "hf_",
    "nvapi-",
    "ghp_",
    "gho_",
    "github_pat_",
    "glpat-",
    "xoxb-",
];

/// The shortest text with such a begin that counts as a key, in bytes.
const KEY_BYTES_MIN: usize = 16;

/// A mark came back within a text that was changed around it, so nobody knows what it stands for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {MARK} stands for a secret in a text that was changed; send the secret itself")]
pub struct Altered {
    /// The keys that lead to the text, joined by dots.
    pub field: String,
}

/// A copy of a configuration, or of a part of one, in which every secret is [`MARK`].
///
/// Secrets are: the texts under a name such as `apiKey`, `token` or `clientSecret`; everything in `headers` and
/// `environment`; what follows `--api-key` in a command; a password or key in an address; texts that look like a key.
pub fn masked(value: &Value) -> Value {
    let mut copy = value.clone();
    mask(&mut copy, Secrecy::Plain);
    copy
}

/// As [`masked`], for the value that stands under `name`.
pub fn masked_under(name: &str, value: &Value) -> Value {
    let mut copy = value.clone();
    let place = Secrecy::Plain.under(name, value);
    mask(&mut copy, place);
    copy
}

/// `patch` for a file that holds `stored`, with the marks replaced by what they stand for there.
///
/// A mark for which nothing is stored there is left out: the secret came from elsewhere and stays there.
pub fn restored(patch: &Value, stored: &Value) -> Result<Value, Altered> {
    let mut patch = patch.clone();
    let shown = masked(stored);
    restore(&mut patch, Some((stored, &shown)), &mut Vec::new())?;
    Ok(patch)
}

/// An address without the password and the keys in it.
pub fn masked_text(text: &str) -> String {
    let text = match text.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => format!("{scheme}://{}", address(rest)),
        _ => text.to_owned(),
    };
    let text = assignment(&text).unwrap_or(text);
    if KEY_PREFIXES.iter().any(|prefix| text.contains(prefix)) {
        return tokens(&text);
    }
    text
}

#[derive(Clone, Copy, PartialEq)]
enum Secrecy {
    Plain,
    /// Texts are secrets here.
    Secret,
    /// Everything is a secret here.
    Holder,
    Pattern,
}

impl Secrecy {
    fn under(self, name: &str, value: &Value) -> Self {
        match self {
            Self::Pattern => Self::Pattern,
            Self::Holder => Self::Holder,
            _ if PATTERNS.contains(&name) => Self::Pattern,
            // `env` is also the name of a list of names.
            _ if HOLDERS.contains(&name.to_lowercase().as_str()) && value.is_object() => {
                Self::Holder
            }
            _ if is_secret_name(name) => Self::Secret,
            _ => Self::Plain,
        }
    }
}

fn is_secret_name(name: &str) -> bool {
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    let name = name.to_lowercase();
    NAMES.iter().any(|part| name.contains(part))
        || name.ends_with("token")
        || matches!(name.as_str(), "key" | "pat" | "pass" | "auth")
}

fn mask(value: &mut Value, place: Secrecy) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let place = place.under(name, value);
                mask(value, place);
            }
        }
        Value::Array(list) => mask_list(list, place),
        Value::String(text) if text.is_empty() => {}
        Value::String(text) => match place {
            Secrecy::Secret | Secrecy::Holder => *text = MARK.to_owned(),
            Secrecy::Plain => *text = masked_text(text),
            Secrecy::Pattern => {}
        },
        Value::Number(_) if place == Secrecy::Holder => *value = MARK.into(),
        _ => {}
    }
}

/// The words of a command: what follows an option such as `--api-key` is a secret.
fn mask_list(list: &mut [Value], place: Secrecy) {
    let mut follows = false;
    for value in list {
        let option = value.as_str().and_then(|word| word.strip_prefix('-'));
        let names = option.is_some_and(|option| !option.contains('=') && is_secret_name(option));
        let here = if follows && place == Secrecy::Plain {
            Secrecy::Secret
        } else {
            place
        };
        mask(value, here);
        follows = names;
    }
}

fn is_scheme(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'+')
}

/// What stands behind `://`.
fn address(rest: &str) -> String {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, tail) = rest.split_at(end);
    let host = match host.rsplit_once('@') {
        None => host.to_owned(),
        Some((user, host)) => match user.split_once(':') {
            Some((name, _)) => format!("{name}:{MARK}@{host}"),
            None => format!("{MARK}@{host}"), // a token alone
        },
    };
    let Some((path, query)) = tail.split_once('?') else {
        return host + tail;
    };
    let pairs: Vec<String> = query
        .split('&')
        .map(|pair| assignment(pair).unwrap_or_else(|| pair.to_owned()))
        .collect();
    format!("{host}{path}?{}", pairs.join("&"))
}

/// `--api-key=x`, `key=x`, `Authorization: Bearer x` with their value masked.
fn assignment(text: &str) -> Option<String> {
    let at = text.find(['=', ':'])?;
    let (name, value) = (&text[..at], &text[at + 1..]);
    let is_name = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let gap = value.len() - value.trim_start().len();
    (is_name && is_secret_name(name) && gap < value.len())
        .then(|| format!("{}{MARK}", &text[..at + 1 + gap]))
}

/// `text` with the words that look like keys masked.
fn tokens(text: &str) -> String {
    let is_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_token(c)).unwrap_or(rest.len());
        let (token, tail) = rest.split_at(end);
        let is_key = token.len() >= KEY_BYTES_MIN
            && KEY_PREFIXES.iter().any(|prefix| token.starts_with(prefix))
            && token.bytes().any(|byte| byte.is_ascii_digit());
        out.push_str(if is_key { MARK } else { token });
        let gap = tail.find(is_token).unwrap_or(tail.len());
        out.push_str(&tail[..gap]);
        rest = &tail[gap..];
    }
    out
}

/// What is stored at a place, and how clients see it.
type Stored<'a> = Option<(&'a Value, &'a Value)>;

/// Returns whether `patch` has something left to say.
fn restore(patch: &mut Value, stored: Stored, at: &mut Vec<String>) -> Result<bool, Altered> {
    match patch {
        Value::String(text) if text.contains(MARK) => match stored {
            Some((stored, shown)) if shown.as_str() == Some(text) => *patch = stored.clone(),
            _ if text == MARK => return Ok(false),
            Some((_, Value::String(shown))) if shown.contains(MARK) => {
                return Err(Altered {
                    field: at.join("."),
                });
            }
            _ => {} // a text that happens to have these characters
        },
        Value::Object(fields) => restore_fields(fields, stored, at)?,
        Value::Array(list) => restore_list(list, stored, at)?,
        _ => {}
    }
    Ok(true)
}

fn restore_fields(
    fields: &mut Map<String, Value>,
    stored: Stored,
    at: &mut Vec<String>,
) -> Result<(), Altered> {
    let names: Vec<String> = fields.keys().cloned().collect();
    for name in names {
        let below =
            stored.and_then(|(stored, shown)| Some((stored.get(&name)?, shown.get(&name)?)));
        at.push(name.clone());
        let stays = match fields.get_mut(&name) {
            Some(value) => restore(value, below, at)?,
            None => true,
        };
        at.pop();
        if !stays {
            fields.shift_remove(&name);
        }
    }
    Ok(())
}

/// A list replaces the stored one as a whole; its words may have moved.
fn restore_list(
    list: &mut Vec<Value>,
    stored: Stored,
    at: &mut Vec<String>,
) -> Result<(), Altered> {
    let empty = Vec::new();
    let (before, shown) = match stored {
        Some((Value::Array(before), Value::Array(shown))) => (before, shown),
        _ => (&empty, &empty),
    };
    let mut stays = Vec::with_capacity(list.len());
    for (place, value) in list.iter_mut().enumerate() {
        let same = shown.get(place) == Some(&*value);
        let from = if same {
            Some(place)
        } else {
            shown.iter().position(|shown| shown == &*value)
        };
        let from = from.or(Some(place)).filter(|place| *place < before.len());
        at.push(place.to_string());
        stays.push(restore(
            value,
            from.map(|place| (&before[place], &shown[place])),
            at,
        )?);
        at.pop();
    }
    let mut stays = stays.into_iter();
    list.retain(|_| stays.next().unwrap_or(true));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config() -> Value {
        json!({
            "model": "a/b", "username": "me", "compaction": {"preserve_recent_tokens": 5},
            "provider": {"secret-ai": {
                "name": "Secret AI", "env": ["SECRET_KEY"],
                "options": {"apiKey": "k", "baseURL": "https://u:pw@h:1/v1?key=abc&a=b", "headers": {"x-any": "y", "n": 7}, "setCacheKey": true, "timeout": 5},
                "models": {"m": {"headers": {"authorization": "Bearer z"}, "options": {"accessToken": "t", "maxTokens": 9}}},
            }},
            "mcp": {"m": {"type": "local", "enabled": true, "environment": {"KEY": "k"},
                "command": ["npx", "--api-key", "abc", "--token=xyz", "--header", "Authorization: Bearer abc", "-y"],
                "oauth": {"clientId": "id", "clientSecret": "s"}}},
            "permission": {"bash": {"echo token": "allow", "*": "ask"}, "token": "deny"},
            "agent": {"a": {"prompt": "never print sk-ABCDEFGH0123456789 or sk-learn things"}},
        })
    }

    fn shown() -> Value {
        json!({
            "model": "a/b", "username": "me", "compaction": {"preserve_recent_tokens": 5},
            "provider": {"secret-ai": {
                "name": "Secret AI", "env": ["SECRET_KEY"],
                "options": {"apiKey": MARK, "baseURL": "https://u:(hidden)@h:1/v1?key=(hidden)&a=b", "headers": {"x-any": MARK, "n": MARK}, "setCacheKey": true, "timeout": 5},
                "models": {"m": {"headers": {"authorization": MARK}, "options": {"accessToken": MARK, "maxTokens": 9}}},
            }},
            "mcp": {"m": {"type": "local", "enabled": true, "environment": {"KEY": MARK},
                "command": ["npx", "--api-key", MARK, "--token=(hidden)", "--header", "Authorization: (hidden)", "-y"],
                "oauth": {"clientId": "id", "clientSecret": MARK}}},
            "permission": {"bash": {"echo token": "allow", "*": "ask"}, "token": "deny"},
            "agent": {"a": {"prompt": "never print (hidden) or sk-learn things"}},
        })
    }

    #[test]
    fn every_secret_is_a_mark_and_nothing_else_changes() {
        assert_eq!(masked(&config()), shown());
        assert_eq!(masked_text("https://token@h/x"), "https://(hidden)@h/x");
        assert_eq!(
            masked_text("http://10.0.0.5:8000/v1"),
            "http://10.0.0.5:8000/v1"
        );
    }

    #[test]
    fn what_is_sent_back_as_it_was_shown_is_what_is_stored() {
        assert_eq!(restored(&shown(), &config()), Ok(config()));
    }

    #[test]
    fn new_secrets_replace_and_marks_of_others_are_left_out() {
        let stored = json!({"provider": {"p": {"options": {"apiKey": "{env:KEY}"}}}});
        let patch = json!({"provider": {
            "p": {"options": {"apiKey": "new", "headers": {"x": MARK, "y": "z"}}},
            "copy": {"options": {"apiKey": MARK}},
        }, "mcp": {"m": {"command": ["a", MARK]}}, "agent": {"a": {"prompt": "a (hidden) thing"}}});
        let expected = json!({"provider": {
            "p": {"options": {"apiKey": "new", "headers": {"y": "z"}}},
            "copy": {"options": {}},
        }, "mcp": {"m": {"command": ["a"]}}, "agent": {"a": {"prompt": "a (hidden) thing"}}});
        assert_eq!(restored(&patch, &stored), Ok(expected));
        let same = json!({"provider": {"p": {"options": {"apiKey": MARK}}}});
        assert_eq!(restored(&same, &stored), Ok(stored));
    }

    #[test]
    fn a_text_changed_around_its_mark_is_refused() {
        let stored = json!({"provider": {"p": {"options": {"baseURL": "https://u:pw@old"}}}});
        let patch = json!({"provider": {"p": {"options": {"baseURL": "https://u:(hidden)@new"}}}});
        let field = "provider.p.options.baseURL".to_owned();
        assert_eq!(restored(&patch, &stored), Err(Altered { field }));
    }
}
