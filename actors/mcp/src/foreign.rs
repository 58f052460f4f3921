//! A project's `.mcp.json`, which other agents read: its servers count once the user has said so for this folder and for
//! these very bytes. Whoever clones a repository, pulls, or looks at the branch of a stranger shall start no programs by it.

use crate::config::{SERVERS_MAX, ServerConfig, read_foreign};
use kilo_config::Environment;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file's name.
pub const NAME: &str = ".mcp.json";
/// Bytes of it.
const BYTES_MAX: u64 = 256 << 10;

/// The servers of a file.
pub type Configs = BTreeMap<String, Result<ServerConfig, String>>;

/// A `.mcp.json` as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct Foreign {
    /// The file.
    pub path: PathBuf,
    /// Names its bytes.
    pub digest: String,
    /// Whether it counts.
    pub trust: Trust,
    /// Its servers.
    pub servers: Configs,
}

/// Whether a file counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The user has said so.
    Given,
    /// Of other bytes the user has said so.
    Outdated,
    /// The user has not said so.
    Missing,
}

impl Foreign {
    /// The file of the worktree `root` of the project `main`; `None` where there is none. `trust` is the user's own
    /// `experimental.mcp_json`: `true`, or an object of digests by the project's folder. Blocks on the disk.
    pub fn read(
        root: &Path,
        main: &Path,
        trust: &Value,
        environment: &Environment,
    ) -> Option<Self> {
        let path = root.join(NAME);
        // A pipe of that name would be waited for.
        let is_file =
            std::fs::metadata(&path).is_ok_and(|at| at.is_file() && at.len() <= BYTES_MAX);
        let bytes = std::fs::read(&path).ok().filter(|_| is_file)?;
        let digest = blake3::hash(&bytes).to_hex()[..32].to_owned();
        let known = [main, root].map(|folder| trust.get(&*folder.to_string_lossy()));
        let known: Vec<&Value> = known.into_iter().flatten().collect();
        let trust = match trust {
            Value::Bool(true) => Trust::Given,
            _ if known.iter().any(|known| *known == &digest) => Trust::Given,
            _ if known.iter().any(|known| known.is_string()) => Trust::Outdated,
            _ => Trust::Missing,
        };
        let servers = match serde_json::from_slice::<Value>(&bytes) {
            Ok(file) => expanded(&file, environment),
            Err(error) => {
                tracing::warn!(%error, file = %path.display(), "the file is no JSON");
                BTreeMap::new()
            }
        };
        Some(Self {
            path,
            digest,
            trust,
            servers,
        })
    }

    /// Those that may be used.
    pub fn trusted(&self) -> Configs {
        match self.trust {
            Trust::Given => self.servers.clone(),
            Trust::Outdated | Trust::Missing => BTreeMap::new(),
        }
    }
}

/// The servers with `${NAME}` and `${NAME:-default}` replaced, as other agents do.
fn expanded(file: &Value, environment: &Environment) -> Configs {
    let mut servers = read_foreign(file);
    let entries = file.get("mcpServers").and_then(Value::as_object);
    for (name, entry) in entries.into_iter().flatten().take(SERVERS_MAX) {
        let Some(server) = servers.get_mut(name) else {
            continue;
        };
        let mut entry = entry.clone();
        *server = match expand(&mut entry, environment) {
            Ok(()) => crate::config::server(&entry, crate::config::Origin::Foreign),
            Err(missing) => Err(format!("the variable {missing} is not set")),
        };
    }
    servers
}

fn expand(value: &mut Value, environment: &Environment) -> Result<(), String> {
    match value {
        Value::String(text) => *text = expand_text(text, environment)?,
        Value::Array(items) => {
            for item in items {
                expand(item, environment)?;
            }
        }
        Value::Object(fields) => {
            for item in fields.values_mut() {
                expand(item, environment)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn expand_text(text: &str, environment: &Environment) -> Result<String, String> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, behind)) = rest.split_once("${") {
        let Some((inside, after)) = behind.split_once('}') else {
            break;
        };
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        let value = environment.get(name).or(default);
        out.push_str(before);
        out.push_str(value.ok_or_else(|| name.to_owned())?);
        rest = after;
    }
    Ok(out + rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Transport;
    use serde_json::json;

    #[test]
    fn a_file_counts_for_its_folder_and_its_bytes_only() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let mut environment = Environment::default();
        environment.vars.insert("KEY".into(), "secret".into());
        let read = |trust: &Value| Foreign::read(root, root, trust, &environment);
        assert_eq!(read(&Value::Null), None);
        let file = json!({"mcpServers": {
            "a": {"command": "x", "args": ["--key=${KEY}", "${NONE:-d}", "${open"]},
            "b": {"type": "http", "url": "https://h/${NONE}"},
        }});
        std::fs::write(root.join(NAME), file.to_string()).unwrap();
        let found = read(&Value::Null).unwrap();
        assert_eq!((found.trust, found.trusted().len()), (Trust::Missing, 0));
        let Transport::Local { command, .. } = &found.servers["a"].as_ref().unwrap().transport
        else {
            panic!("a program");
        };
        assert_eq!(command, &["x", "--key=secret", "d", "${open"]);
        let missing = "the variable NONE is not set".to_owned();
        assert_eq!(found.servers["b"], Err(missing));
        let place = root.to_string_lossy().into_owned();
        let trust = json!({ place: found.digest });
        assert_eq!(read(&trust).unwrap().trusted().len(), 2);
        let elsewhere = json!({"/elsewhere": found.digest});
        assert_eq!(read(&elsewhere).unwrap().trust, Trust::Missing);
        assert_eq!(read(&json!(true)).unwrap().trust, Trust::Given);
        std::fs::write(root.join(NAME), file.to_string() + " ").unwrap();
        assert_eq!(read(&trust).unwrap().trust, Trust::Outdated);
        std::fs::write(root.join(NAME), "{").unwrap();
        assert!(read(&json!(true)).unwrap().servers.is_empty());
    }
}
