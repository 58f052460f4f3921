//! The configuration key `mcp`: which servers there are.

use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Time that a start and a silent call have where the configuration says nothing.
pub const TIMEOUT: Duration = Duration::from_secs(30);
/// Servers of one folder.
pub const SERVERS_MAX: usize = 128;

/// A server.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerConfig {
    /// How it is reached.
    pub transport: Transport,
    /// It is to be used; one that is not can still be connected by hand.
    pub enabled: bool,
    /// Time for its start, and for each silence during a call.
    pub timeout: Duration,
    /// Who named it.
    pub origin: Origin,
}

/// How a server is reached.
#[derive(Clone, Debug, PartialEq)]
pub enum Transport {
    /// A program that is talked to through its stdin and stdout.
    Local {
        /// The program and its arguments.
        command: Vec<String>,
        /// Variables set for it, sorted by name.
        environment: BTreeMap<String, String>,
        /// Its folder, relative to the folder in use.
        cwd: Option<String>,
    },
    /// An address: Streamable HTTP, or else the older pair of event stream and posts.
    Remote {
        /// The address.
        url: String,
        /// Headers of each request, sorted by name.
        headers: BTreeMap<String, String>,
        /// How to sign in; `None` when that is switched off.
        oauth: Option<OAuthConfig>,
    },
}

/// Who named a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// The user, in files of his own.
    User,
    /// A file of the project.
    Project,
    /// A client, for as long as the folder is in use.
    Client,
    /// The `.mcp.json` of the project, which is for other agents.
    Foreign,
}

impl Origin {
    /// How lists show it.
    pub fn text(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Project => "project",
            Self::Client => "client",
            Self::Foreign => ".mcp.json",
        }
    }

    /// Nobody but the user named it: what it says about itself may be believed.
    pub fn is_trusted(self) -> bool {
        matches!(self, Self::User | Self::Client)
    }
}

/// What the configuration says about signing in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OAuthConfig {
    /// A client that was registered by hand.
    pub client_id: Option<String>,
    /// Its secret.
    pub client_secret: Option<String>,
    /// What to ask for.
    pub scope: Option<String>,
    /// The port that waits for the answer.
    pub callback_port: Option<u16>,
    /// The address that the server sends the answer to.
    pub redirect_uri: Option<String>,
}

/// The servers of a merged configuration. `trusted` is the same without the project's files: what is not in there just so
/// was named by the project. An entry that cannot be used comes with the reason.
pub fn read(merged: &Value, trusted: &Value) -> BTreeMap<String, Result<ServerConfig, String>> {
    let Some(entries) = merged.get("mcp").and_then(Value::as_object) else {
        return BTreeMap::new();
    };
    entries
        .iter()
        .take(SERVERS_MAX)
        .filter(|(_, entry)| entry.is_object())
        .map(|(name, entry)| {
            let known = trusted.get("mcp").and_then(|all| all.get(name));
            let read = match known {
                Some(known) if known == entry => server(entry, Origin::User),
                Some(known) => server(&without_secrets_of(known, entry), Origin::Project),
                None => server(entry, Origin::Project),
            };
            (name.clone(), read)
        })
        .collect()
}

/// The entry of a project that leads the user's server of that name elsewhere: what the user gave his own does not go there.
fn without_secrets_of(known: &Value, entry: &Value) -> Value {
    let leads = ["type", "url", "command", "args", "cwd"];
    if leads.iter().all(|key| known.get(key) == entry.get(key)) {
        return entry.clone();
    }
    let mut entry = entry.clone();
    for key in ["headers", "environment", "env", "oauth"] {
        let (Some(known), Some(fields)) = (known.get(key), entry.get_mut(key)) else {
            continue;
        };
        if let Some(fields) = fields.as_object_mut() {
            fields.retain(|name, value| known.get(name) != Some(value));
        }
    }
    entry
}

/// The servers of a `.mcp.json`: `{mcpServers: {NAME: {command, args, env}}}` or `{…: {type: "http", url, headers}}`.
pub fn read_foreign(file: &Value) -> BTreeMap<String, Result<ServerConfig, String>> {
    let entries = file.get("mcpServers").and_then(Value::as_object);
    let entries = entries.into_iter().flatten().take(SERVERS_MAX);
    entries
        .filter(|(_, entry)| entry.is_object())
        .map(|(name, entry)| (name.clone(), server(entry, Origin::Foreign)))
        .collect()
}

/// One server.
///
/// Errors: what is missing, for people.
pub fn server(entry: &Value, origin: Origin) -> Result<ServerConfig, String> {
    let url = text(entry, "url");
    let is_remote = match text(entry, "type").as_deref() {
        Some("remote" | "http" | "sse" | "streamable-http") => true,
        Some("local" | "stdio") => false,
        _ => url.is_some() && entry.get("command").is_none(),
    };
    let transport = if is_remote {
        let url = url.ok_or("it has no url")?;
        let parsed = url::Url::parse(&url).map_err(|error| format!("its url is none: {error}"))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(format!("its url is no web address: {}", parsed.scheme()));
        }
        Transport::Remote {
            url,
            headers: texts(entry, "headers"),
            oauth: oauth(entry.get("oauth")),
        }
    } else {
        let mut command = words(entry.get("command"));
        command.extend(words(entry.get("args")));
        if command.first().is_none_or(String::is_empty) {
            return Err("it has no command".into());
        }
        let mut environment = texts(entry, "env");
        environment.extend(texts(entry, "environment"));
        Transport::Local {
            command,
            environment,
            cwd: text(entry, "cwd"),
        }
    };
    let timeout = entry.get("timeout").and_then(Value::as_u64);
    Ok(ServerConfig {
        transport,
        enabled: entry.get("enabled") != Some(&Value::Bool(false))
            && entry.get("disabled") != Some(&Value::Bool(true)),
        timeout: timeout
            .filter(|ms| *ms > 0)
            .map_or(TIMEOUT, Duration::from_millis),
        origin,
    })
}

fn oauth(entry: Option<&Value>) -> Option<OAuthConfig> {
    match entry {
        Some(Value::Bool(false)) => None,
        Some(fields @ Value::Object(_)) => Some(OAuthConfig {
            client_id: text(fields, "clientId"),
            client_secret: text(fields, "clientSecret"),
            scope: text(fields, "scope"),
            callback_port: fields
                .get("callbackPort")
                .and_then(Value::as_u64)
                .and_then(|port| u16::try_from(port).ok()),
            redirect_uri: text(fields, "redirectUri"),
        }),
        _ => Some(OAuthConfig::default()),
    }
}

fn text(entry: &Value, key: &str) -> Option<String> {
    entry.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn texts(entry: &Value, key: &str) -> BTreeMap<String, String> {
    let fields = entry.get(key).and_then(Value::as_object);
    let fields = fields.into_iter().flatten();
    fields
        .filter_map(|(name, value)| {
            let value = match value {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                Value::Bool(flag) => flag.to_string(),
                _ => return None,
            };
            Some((name.clone(), value))
        })
        .collect()
}

fn words(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(word)) => vec![word.clone()],
        Some(Value::Array(words)) => words
            .iter()
            .filter_map(|word| word.as_str().map(str::to_owned))
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_kinds_are_read_with_their_defaults() {
        let merged = json!({"mcp": {
            "l": {"type": "local", "command": ["x", "y"], "environment": {"B": "2"}, "env": {"A": "1", "B": "0"}},
            "r": {"type": "remote", "url": "https://x/mcp", "headers": {"X": "y"}, "timeout": 5, "enabled": false},
            "off": {"type": "remote", "url": "https://x/mcp", "oauth": false},
            "bad": {"type": "local"}, "worse": {"type": "remote", "url": "file:///etc"}, "no": 3,
        }});
        let trusted = json!({"mcp": {"l": merged["mcp"]["l"].clone(), "r": {"type": "remote", "url": "https://y"}}});
        let read = read(&merged, &trusted);
        let local = read["l"].clone().unwrap();
        let environment = [("A", "1"), ("B", "2")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(
            local,
            ServerConfig {
                transport: Transport::Local {
                    command: vec!["x".into(), "y".into()],
                    environment: environment.into_iter().collect(),
                    cwd: None
                },
                enabled: true,
                timeout: TIMEOUT,
                origin: Origin::User,
            }
        );
        let remote = read["r"].clone().unwrap();
        assert_eq!(remote.timeout, Duration::from_millis(5));
        assert!(!remote.enabled && remote.origin == Origin::Project);
        let oauth = |name: &str| match read[name].clone().unwrap().transport {
            Transport::Remote { oauth, .. } => oauth,
            Transport::Local { .. } => None,
        };
        assert_eq!(
            (oauth("r"), oauth("off")),
            (Some(OAuthConfig::default()), None)
        );
        assert_eq!(read["bad"], Err("it has no command".into()));
        assert_eq!(read["worse"], Err("its url is no web address: file".into()));
        assert!(!read.contains_key("no"));
    }

    #[test]
    fn what_the_user_gave_his_server_does_not_go_where_a_project_leads_it() {
        let user = json!({"type": "remote", "url": "https://mine", "headers": {"Authorization": "secret", "A": "1"},
            "oauth": {"clientId": "c", "clientSecret": "s"}});
        let read_as = |patch: Value| {
            let mut entry = user.clone();
            for (key, value) in patch.as_object().unwrap() {
                entry[key] = value.clone();
            }
            let read = read(&json!({"mcp": {"s": entry}}), &json!({"mcp": {"s": user}}));
            let server = read["s"].clone().unwrap();
            let Transport::Remote { headers, oauth, .. } = server.transport else {
                panic!("an address");
            };
            (server.origin, headers, oauth.unwrap().client_secret)
        };
        let mut headers = json!({"Authorization": "secret", "A": "2"});
        let (origin, sent, secret) = read_as(json!({"url": "https://theirs", "headers": headers}));
        let only: BTreeMap<String, String> = [("A".into(), "2".into())].into();
        assert_eq!((origin, sent, secret), (Origin::Project, only, None));
        // At the user's own address they are his to use.
        headers["B"] = "3".into();
        let (_, sent, secret) = read_as(json!({"headers": headers}));
        assert_eq!((sent.len(), secret.as_deref()), (3, Some("s")));
    }

    #[test]
    fn files_of_other_agents_are_read() {
        let file = json!({"mcpServers": {
            "a": {"command": "npx", "args": ["-y", "x"], "env": {"K": "v"}},
            "b": {"type": "http", "url": "http://127.0.0.1:1/mcp"},
        }});
        let read = read_foreign(&file);
        let Transport::Local { command, .. } = &read["a"].as_ref().unwrap().transport else {
            panic!("a program");
        };
        assert_eq!(command, &["npx", "-y", "x"]);
        assert_eq!(read["b"].as_ref().unwrap().origin, Origin::Foreign);
    }
}
