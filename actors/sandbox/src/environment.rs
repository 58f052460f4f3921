//! The variables that a child gets.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Names the variable that every child carries: `RUN.N`, where RUN is of this daemon and N counts its runs. What a run
/// started can be told from it even when the run's own process was killed from outside.
pub const RUN_MARK: &str = "KILO_RUN_ID";

/// The daemon's own secrets; no child ever gets them, not even by a request of its own.
pub const SECRETS: [&str; 4] = [
    "KILO_SERVER_PASSWORD",
    "KILO_SERVER_USERNAME",
    "KILO_AUTH_CONTENT",
    "KILO_CONFIG_CONTENT",
];

/// Begin the names of variables by which a terminal, or a program that has terminals in it, tells its children that they
/// run there.
const OF_A_TERMINAL: [&str; 17] = [
    "ALACRITTY_",
    "GHOSTTY_",
    "GNOME_TERMINAL_",
    "INSIDE_EMACS",
    "ITERM_",
    "KITTY_",
    "KONSOLE_",
    "LC_TERMINAL",
    "NVIM",
    "TERMINAL_EMULATOR",
    "TERM_PROGRAM",
    "TERM_SESSION_ID",
    "TMUX",
    "VSCODE_",
    "VTE_VERSION",
    "WEZTERM_",
    "ZELLIJ",
];
/// The same, whole names.
const OF_A_TERMINAL_WHOLE: [&str; 7] = [
    "COLORTERM",
    "COLUMNS",
    "LINES",
    "STY",
    "WINDOW",
    "WINDOWID",
    "WT_SESSION",
];
/// Ask by way of an editor, with variables of that editor only.
const ASKS: [&str; 2] = ["GIT_ASKPASS", "SSH_ASKPASS"];

/// The variables that all children share.
#[derive(Debug)]
pub struct Environment {
    base: BTreeMap<OsString, OsString>,
}

impl Environment {
    /// Keeps `base` without [`SECRETS`] and without the names in `denied`.
    pub fn new(base: impl IntoIterator<Item = (OsString, OsString)>, denied: &[String]) -> Self {
        let secret = |name: &OsStr| is_secret(name) || denied.iter().any(|d| OsStr::new(d) == name);
        Self {
            base: base.into_iter().filter(|(name, _)| !secret(name)).collect(),
        }
    }

    /// The variables of one child as `NAME=VALUE`, with `extra` on top and the run's mark last. Entries that no system
    /// call can carry (a NUL inside, a `=` in the name) are left out, and so is, for a child that `has_terminal`, what
    /// names the terminal that the daemon was started in.
    pub fn of_child(
        &self,
        extra: &[(String, String)],
        mark: &str,
        has_terminal: bool,
    ) -> Vec<CString> {
        let mut all: BTreeMap<&OsStr, &OsStr> = BTreeMap::new();
        let by_editor = self
            .base
            .contains_key(OsStr::new("VSCODE_GIT_ASKPASS_MAIN"));
        for (name, value) in &self.base {
            let asks = || by_editor && ASKS.iter().any(|ask| OsStr::new(ask) == name);
            if !has_terminal || !(is_of_a_terminal(name) || asks()) {
                all.insert(name, value);
            }
        }
        for (name, value) in extra {
            if !is_secret(OsStr::new(name)) {
                all.insert(OsStr::new(name), OsStr::new(value));
            }
        }
        all.insert(OsStr::new(RUN_MARK), OsStr::new(mark));
        all.into_iter()
            .filter_map(|(name, value)| entry(name, value))
            .collect()
    }

    /// The `PATH` that a child with `extra` searches.
    pub fn path(&self, extra: &[(String, String)]) -> OsString {
        let own = extra
            .iter()
            .rev()
            .find(|(name, _)| name == "PATH")
            .map(|(_, value)| OsString::from(value));
        own.or_else(|| self.base.get(OsStr::new("PATH")).cloned())
            .unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into())
    }
}

/// Whether a variable of this name is one of [`SECRETS`].
pub fn is_secret(name: &OsStr) -> bool {
    SECRETS.iter().any(|secret| OsStr::new(secret) == name)
}

fn is_of_a_terminal(name: &OsStr) -> bool {
    let begins = |with: &&str| name.as_bytes().starts_with(with.as_bytes());
    OF_A_TERMINAL.iter().any(begins)
        || OF_A_TERMINAL_WHOLE
            .iter()
            .any(|whole| OsStr::new(whole) == name)
}

fn entry(name: &OsStr, value: &OsStr) -> Option<CString> {
    if name.is_empty() || name.as_bytes().contains(&b'=') {
        return None;
    }
    let mut text = name.to_os_string();
    text.push("=");
    text.push(value);
    CString::new(text.into_vec()).ok()
}
