//! Finding and running programs.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The `kilo` program under test: `KILO_BIN`, else the one beside this test in the target folder.
pub fn kilo() -> PathBuf {
    if let Some(path) = std::env::var_os("KILO_BIN") {
        return PathBuf::from(path);
    }
    let me = std::env::current_exe().expect("this test's own path");
    let folder = me.parent().expect("a folder");
    let profile = if folder.ends_with("deps") {
        folder.parent().expect("a folder")
    } else {
        folder
    };
    let program = profile.join("kilo");
    assert!(
        program.exists(),
        "{} is missing: run `cargo build` first, or set KILO_BIN",
        program.display()
    );
    program
}

/// A number out of the environment, for flags such as the count of cycles.
pub fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{variable} must be a number, not {text:?}")),
        Err(_) => default,
    }
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// Its status; `None` after a signal.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: text_of(&output.stdout),
            err: text_of(&output.stderr),
        }
    }
}

/// Bytes as text, whatever they are.
pub fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a program to its end.
pub fn run(program: &str, words: &[&str], folder: &Path) -> Ended {
    let output = Command::new(program)
        .args(words)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output();
    output
        .unwrap_or_else(|error| panic!("{program}: {error}"))
        .into()
}

/// A program that does nothing until it is killed.
pub fn sleeper() -> std::process::Child {
    let started = Command::new("sleep")
        .arg("600")
        .stdin(Stdio::null())
        .spawn();
    started.expect("sleep")
}

/// Whether this test runs as root, who may become another user.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Mounts a file system of `size` (`"8m"`) on `folder`; says whether that was allowed. The caller unmounts it.
pub fn can_mount(size: &str, folder: &Path) -> bool {
    let options = format!("size={size}");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
        .arg(folder)
        .output();
    mounted.is_ok_and(|output| output.status.success())
}
