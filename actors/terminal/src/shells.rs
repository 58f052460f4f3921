//! The shells of this machine.

use std::collections::HashSet;
use std::path::Path;

/// Shells that do not take the command lines that tools write.
const OTHER_LANGUAGES: [&str; 2] = ["fish", "nu"];
/// What is looked for where `/etc/shells` names nothing.
const USUAL: [&str; 3] = ["/bin/bash", "/bin/zsh", "/bin/sh"];

/// A shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shell {
    /// Its path.
    pub path: String,
    /// Its file's name.
    pub name: String,
    /// It speaks the language of `sh`.
    pub acceptable: bool,
}

impl Shell {
    fn at(path: &str) -> Self {
        let name = Path::new(path).file_name();
        let name = name.map_or(path.into(), |name| name.to_string_lossy());
        Self {
            path: path.to_owned(),
            acceptable: !OTHER_LANGUAGES.contains(&&*name),
            name: name.into_owned(),
        }
    }
}

/// The shells that `/etc/shells` names and that are there, in its order. Reads files: not for an async thread.
pub fn shells() -> Vec<Shell> {
    let listed = std::fs::read_to_string("/etc/shells").unwrap_or_default();
    let found = existing(listed.lines());
    match found.is_empty() {
        true => existing(USUAL.into_iter()),
        false => found,
    }
}

fn existing<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Shell> {
    let mut seen = HashSet::new();
    lines
        .map(str::trim)
        .filter(|line| line.starts_with('/') && seen.insert(*line))
        .filter(|path| Path::new(path).is_file())
        .map(Shell::at)
        .collect()
}

/// The shell that a person expects: the configured one, that of the environment, the one of the user's account, the
/// first usual one. Reads files: not for an async thread.
pub fn preferred(configured: Option<&str>, environment: Option<&str>, user: u32) -> String {
    let account = || {
        let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        of_account(&accounts, user).map(str::to_owned)
    };
    let named = |name: &&str| !name.is_empty();
    if let Some(configured) = configured.filter(named) {
        return configured.to_owned();
    }
    let is_there = |path: &String| Path::new(path).is_file();
    environment
        .filter(named)
        .map(str::to_owned)
        .filter(is_there)
        .or_else(|| account().filter(is_there))
        .or_else(|| USUAL.map(str::to_owned).into_iter().find(is_there))
        .unwrap_or_else(|| "sh".into())
}

/// `name:password:user:group:words:home:shell`
fn of_account(accounts: &str, user: u32) -> Option<&str> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let number = fields.nth(2)?.parse::<u32>().ok()?;
        let shell = fields.nth(3)?.trim();
        (number == user && !shell.is_empty()).then_some(shell)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_is_the_configured_one_else_the_users() {
        assert_eq!(preferred(Some("fish"), Some("/bin/sh"), 0), "fish");
        assert_eq!(preferred(Some(""), Some("/bin/sh"), 0), "/bin/sh");
        assert!(!preferred(None, Some("/no/such/shell"), 0).contains("such"));
        let accounts =
            "root:x:0:0:root:/root:/bin/bash\nme:x:7:7::/home/me:/bin/zsh\nx:x:8:8::/:\n";
        assert_eq!(of_account(accounts, 7), Some("/bin/zsh"));
        assert_eq!(of_account(accounts, 8), None);
        assert_eq!(of_account(accounts, 9), None);
    }

    #[test]
    fn shells_are_told_once_and_only_if_they_are_there() {
        let found = existing("# list\n/bin/sh\n/bin/sh\n/no/such\nsh\n".lines());
        assert_eq!(found, [Shell::at("/bin/sh")]);
        assert!(found[0].acceptable && !Shell::at("/usr/bin/fish").acceptable);
    }
}
