//! The file that says where the background daemon is.

use kilo_config::{Environment, Paths};
use kilo_protocol::Millis;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const STATE_BYTES_MAX: u64 = 64 << 10;

/// A background daemon as its state file describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonState {
    /// Its process.
    pub pid: u32,
    /// Where it listens.
    pub url: String,
    /// The file with the token that opens it (mode 0600), if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Its version.
    pub version: String,
    /// When it was started.
    pub started: Millis,
    /// Its log.
    pub log: PathBuf,
}

/// `~/.local/state/kilo/daemon.json`.
pub fn path(env: &Environment) -> PathBuf {
    Paths::of(env).state.join("daemon.json")
}

/// `~/.local/state/kilo/token`: where an engine keeps the token that opens it. It is the engine's to write, and stays.
pub fn token_path(env: &Environment) -> PathBuf {
    Paths::of(env).state.join("token")
}

/// Reads the state file; `None` when there is none or it is no such file.
pub fn read(env: &Environment) -> Option<DaemonState> {
    let path = path(env);
    let size = std::fs::metadata(&path).ok()?.len();
    if size > STATE_BYTES_MAX {
        return None;
    }
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// The token that opens the daemon, if it has one.
pub fn token(state: &DaemonState) -> io::Result<Option<String>> {
    let Some(path) = &state.token_file else {
        return Ok(None);
    };
    Ok(Some(std::fs::read_to_string(path)?.trim().to_owned()))
}

/// Writes the state file: mode 0600, replaced as a whole.
pub fn write(env: &Environment, state: &DaemonState) -> io::Result<()> {
    std::fs::create_dir_all(Paths::of(env).state)?;
    let mut text = serde_json::to_vec_pretty(state)?;
    text.push(b'\n');
    replace(&path(env), &text)
}

/// Removes the state file of the daemon with this process id; leaves that of another daemon alone.
pub fn remove(env: &Environment, pid: u32) {
    if read(env).is_some_and(|state| state.pid == pid) {
        let _ = std::fs::remove_file(path(env)); // gone already is as good
    }
}

/// Keeps two `daemon start` apart; the lock ends with the file.
pub fn lock(env: &Environment) -> io::Result<File> {
    let folder = Paths::of(env).state;
    std::fs::create_dir_all(&folder)?;
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(folder.join("daemon.lock"))?;
    file.lock()?;
    Ok(file)
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension(format!("{}.new", std::process::id()));
    let _ = std::fs::remove_file(&fresh);
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&fresh)?;
    file.write_all(content)?;
    std::fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_state_is_private_read_back_and_removed_by_its_owner_only() {
        let home = tempfile::tempdir().expect("a folder");
        let env = Environment {
            home: home.path().into(),
            ..Environment::default()
        };
        let state = DaemonState {
            pid: 7,
            url: "http://127.0.0.1:1".into(),
            token_file: Some(token_path(&env)),
            version: "1".into(),
            started: 5,
            log: "/log".into(),
        };
        assert_eq!(read(&env), None);
        write(&env, &state).expect("written");
        assert_eq!(read(&env), Some(state.clone()));
        assert_eq!(
            std::fs::metadata(path(&env))
                .expect("there")
                .permissions()
                .mode()
                & 0o777,
            0o600
        );
        assert!(token(&state).is_err());
        std::fs::write(token_path(&env), "t0ken\n").expect("a token");
        assert_eq!(token(&state).expect("a token").as_deref(), Some("t0ken"));
        remove(&env, 8);
        assert!(read(&env).is_some());
        remove(&env, 7);
        assert!(read(&env).is_none() && token_path(&env).exists());
    }
}
