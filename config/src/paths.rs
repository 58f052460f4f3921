//! The folders of the program, after the XDG rules.

use crate::env::Environment;
use std::path::{Path, PathBuf};

const NAME: &str = "kilo";

/// Where everything of a user lives. All paths are absolute; none need exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The user's home.
    pub home: PathBuf,
    /// `~/.config/kilo`: the user's configuration.
    pub config: PathBuf,
    /// `KILO_CONFIG_DIR`: one more configuration folder of the user, which wins over the project's folders.
    pub extra_config: Option<PathBuf>,
    /// `~/.local/share/kilo`: what must be kept.
    pub data: PathBuf,
    /// `~/.local/state/kilo`: what may be lost without harm, such as the models used last.
    pub state: PathBuf,
    /// `~/.cache/kilo`: what can be fetched again.
    pub cache: PathBuf,
    /// `<tmp>/kilo`: scratch files of tools.
    pub temp: PathBuf,
    /// `<data>/engine`: the log, its index and its blobs. A folder of its own, so that it never meets the files of another
    /// program that shares the data folder.
    pub engine: PathBuf,
    /// `<data>/tool-output`: whole outputs of tools that were cut for the model.
    pub tool_output: PathBuf,
    /// `<data>/plans`: plans of sessions outside a repository.
    pub plans: PathBuf,
    /// `<data>/kept`: processes that outlive the daemon, a folder each.
    pub kept: PathBuf,
    /// `<data>/worktree`: the worktrees that the program made.
    pub worktrees: PathBuf,
    /// `<data>/engine/snapshot`: checkpoints.
    pub snapshots: PathBuf,
    /// `<data>/auth.json`: credentials.
    pub auth: PathBuf,
    /// `/etc/kilo`: configuration of the machine's administrator; it wins over everything.
    pub managed: PathBuf,
}

impl Paths {
    /// Works the folders out. `XDG_*` variables count when they are absolute, as their specification asks.
    pub fn of(env: &Environment) -> Self {
        let home = env.home.clone();
        let base = |variable: &str, default: &str| {
            env.get(variable)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
                .unwrap_or_else(|| home.join(default))
                .join(NAME)
        };
        let data = base("XDG_DATA_HOME", ".local/share");
        let engine = data.join("engine");
        Self {
            config: base("XDG_CONFIG_HOME", ".config"),
            extra_config: env.get("KILO_CONFIG_DIR").map(|path| absolute(path, env)),
            state: base("XDG_STATE_HOME", ".local/state"),
            cache: base("XDG_CACHE_HOME", ".cache"),
            temp: env.temp.join(NAME),
            tool_output: data.join("tool-output"),
            plans: data.join("plans"),
            kept: data.join("kept"),
            worktrees: data.join("worktree"),
            snapshots: engine.join("snapshot"),
            auth: data.join("auth.json"),
            managed: PathBuf::from("/etc").join(NAME),
            engine,
            data,
            home,
        }
    }
}

/// A path that the user named in a variable: `~` expanded, relative to the folder the process was started in.
pub(crate) fn absolute(path: &str, env: &Environment) -> PathBuf {
    env.cwd.join(env.expand_home(path))
}

/// The path from folder `from` to `to`, both absolute, with `/` as separator: `../..` where it has to climb.
///
/// `relative("/a/b", "/a/c/d")` is `../c/d`; of a path to itself it is empty.
pub fn relative(from: &Path, to: &Path) -> String {
    let (from, to): (Vec<_>, Vec<_>) = (from.components().collect(), to.components().collect());
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let mut steps = vec!["..".to_owned(); from.len() - shared];
    steps.extend(
        to[shared..]
            .iter()
            .map(|step| step.as_os_str().to_string_lossy().into_owned()),
    );
    steps.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_xdg_variables_move_the_folders_and_relative_ones_do_not() {
        let mut env = Environment {
            home: "/home/u".into(),
            cwd: "/w".into(),
            temp: "/tmp".into(),
            ..Default::default()
        };
        env.vars.insert("XDG_DATA_HOME".into(), "/data".into());
        env.vars.insert("XDG_CONFIG_HOME".into(), "relative".into());
        env.vars.insert("KILO_CONFIG_DIR".into(), "~/mine".into());
        let paths = Paths::of(&env);
        assert_eq!(paths.engine, Path::new("/data/kilo/engine"));
        assert_eq!(paths.config, Path::new("/home/u/.config/kilo"));
        assert_eq!(
            paths.extra_config.as_deref(),
            Some(Path::new("/home/u/mine"))
        );
    }

    #[test]
    fn relative_climbs_where_it_must() {
        assert_eq!(relative(Path::new("/a/b"), Path::new("/a/c/d")), "../c/d");
        assert_eq!(relative(Path::new("/a"), Path::new("/a/c")), "c");
    }
}
