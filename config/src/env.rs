//! The process's environment, home and current directory, read once and passed on as a value.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Environment variables, home, current directory and folder for temporary files. Tests make one by hand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// The variables whose names and values are UTF-8.
    pub vars: BTreeMap<String, String>,
    /// The user's home; absolute.
    pub home: PathBuf,
    /// The folder that the process was started in; the home if that is gone.
    pub cwd: PathBuf,
    /// The folder for temporary files.
    pub temp: PathBuf,
}

impl Environment {
    /// Reads the process's environment. Never fails: what cannot be read falls back to `/`.
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the environment"
    )]
    pub fn from_process() -> Self {
        let vars: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let home = ["HOME", "USERPROFILE"]
            .iter()
            .filter_map(std::env::var_os)
            .map(PathBuf::from)
            .find(|path| path.is_absolute())
            .unwrap_or_else(|| PathBuf::from("/"));
        let cwd = std::env::current_dir().unwrap_or_else(|_| home.clone());
        Self {
            vars,
            home,
            cwd,
            temp: std::env::temp_dir(),
        }
    }

    /// The variable's value, unless it is unset or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.vars
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Whether the variable is `1` or `true`, in any case.
    pub fn is_on(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"))
    }

    /// Replaces a leading `~` or `$HOME` by the home folder.
    pub fn expand_home(&self, path: &str) -> String {
        expand_home(path, &self.home.to_string_lossy())
    }
}

/// Replaces a leading `~`, `~/`, `$HOME` or `$HOME/` by `home`; leaves everything else alone.
pub fn expand_home(path: &str, home: &str) -> String {
    for mark in ["~", "$HOME"] {
        if let Some(rest) = path.strip_prefix(mark)
            && (rest.is_empty() || rest.starts_with('/'))
        {
            return format!("{}{rest}", home.trim_end_matches('/'));
        }
    }
    path.to_owned()
}
