//! Random shell texts, run by bash in a throw-away folder: nothing may run or be written that the judge did not name.
//!
//! Programs are stubs that write down how they were called. A text of which the judge says that a person must look may do
//! what it wants; of the others every call must be among the patterns and every written file in the request.
//! `KILO_SHELL_TEXTS` sets how many texts are tried, `KILO_SHELL_SEED` with which one to begin.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]
#![allow(
    clippy::disallowed_methods,
    reason = "the shell is the thing to compare with, and the long form is asked for by a variable"
)]

#[path = "differential/generator.rs"]
mod generator;

use generator::Generator;
use kilo_ports::guarded::Guarded;
use kilo_protocol::model::{Action, Rule};
use kilo_shell::{Context, requests};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const TEXTS: u64 = 400;
const SHELL: &str = "/bin/bash";
const STUBS: [&str; 6] = ["zap", "zip", "zop", "cat", "ls", "git"];

struct Lab {
    _folder: tempfile::TempDir,
    base: PathBuf,
    /// Each text has a folder of its own: what an earlier one left running must not count for it.
    turn: u64,
}

/// What a text did.
struct Deeds {
    calls: Vec<Vec<String>>,
    written: BTreeSet<PathBuf>,
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        for path in ["bin", "home"] {
            std::fs::create_dir_all(base.join(path)).unwrap();
        }
        for name in STUBS {
            let stub = base.join("bin").join(name);
            // One write a call, so that calls side by side stay apart.
            let script = format!(
                "#!/bin/sh\nt={name}; for a; do t=\"$t\u{1f}$a\"; done; printf '%s\\036' \"$t\" >> \"$LOG\"\n"
            );
            std::fs::write(&stub, script).unwrap();
            std::fs::set_permissions(&stub, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self {
            _folder: folder,
            base,
            turn: 0,
        }
    }

    fn project(&self) -> PathBuf {
        self.base.join(format!("project-{}", self.turn))
    }

    fn log(&self) -> PathBuf {
        self.base.join(format!("log-{}", self.turn))
    }

    fn reset(&mut self) {
        let _ = std::fs::remove_dir_all(self.project());
        self.turn += 1;
        std::fs::create_dir_all(self.project().join("sub")).unwrap();
        for name in ["a", "b", "sub/c"] {
            std::fs::write(self.project().join(name), "x\n").unwrap();
        }
    }

    fn run(&self, text: &str) -> Deeds {
        let before = self.files();
        let ended = Command::new("/usr/bin/timeout")
            .args(["-s", "KILL", "10", SHELL, "--norc", "-c", text])
            .current_dir(self.project())
            .env_clear()
            .env("PATH", self.base.join("bin"))
            .env("HOME", self.base.join("home"))
            .env("LOG", self.log())
            .stdin(Stdio::null())
            // Read to its end, so that what runs aside is waited for.
            .output();
        assert!(ended.is_ok(), "timeout of coreutils and bash are needed");
        let log = std::fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log).into_owned();
        let calls = log
            .split('\u{1e}')
            .filter(|call| !call.is_empty())
            .map(|call| call.split('\u{1f}').map(str::to_owned).collect())
            .collect();
        let after = self.files();
        let changed = |path: &PathBuf| before.get(path) != after.get(path);
        let written = before
            .keys()
            .chain(after.keys())
            .filter(|path| changed(path));
        Deeds {
            calls,
            written: written.cloned().collect(),
        }
    }

    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut open = vec![self.project(), self.base.join("home")];
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    found.insert(path.clone(), std::fs::read(&path).unwrap_or_default());
                }
            }
        }
        found
    }

    /// What is wrong with the judgement of a text; also whether it was one that says what runs.
    fn compare(&mut self, text: &str) -> (Option<String>, bool) {
        self.reset();
        let project = self.project();
        let judged = judge(text, &project, &self.base.join("home"));
        let deeds = self.run(text);
        if judged.must_ask {
            return (None, false);
        }
        let unnamed = deeds.calls.iter().find(|call| !judged.names(call));
        if let Some(call) = unnamed {
            let why = format!("ran {call:?}, named {:?}", judged.patterns);
            return (Some(why), true);
        }
        let unnamed = deeds
            .written
            .iter()
            .find(|path| !judged.files.contains(*path));
        let why = unnamed.map(|path| format!("wrote {}, named {:?}", path.display(), judged.files));
        (why, !deeds.calls.is_empty())
    }
}

struct Judged {
    patterns: Vec<String>,
    files: BTreeSet<PathBuf>,
    must_ask: bool,
}

impl Judged {
    fn names(&self, call: &[String]) -> bool {
        let program = call.first().unwrap();
        let own: Vec<&String> = self
            .patterns
            .iter()
            .filter(|pattern| pattern.split(' ').next() == Some(program))
            .collect();
        let is_plain = |text: &str| !text.contains(|c| "$`*?[{<>(\\'\"~\n".contains(c));
        if own.iter().all(|pattern| is_plain(pattern)) && call.iter().all(|word| is_plain(word)) {
            let called = call.join(" ");
            return own.iter().any(|pattern| **pattern == called.trim_end());
        }
        !own.is_empty()
    }
}

/// The judgement where files are nobody's concern and every command is asked about.
fn judge(text: &str, project: &Path, home: &Path) -> Judged {
    let rules: Vec<Rule> = ["edit", "read", "external_directory"]
        .iter()
        .map(|permission| Rule {
            permission: (*permission).into(),
            pattern: "*".into(),
            action: Action::Allow,
        })
        .collect();
    let guarded = Guarded::default();
    let context = Context {
        start: project,
        directory: project,
        worktree: project,
        home,
        guarded: &guarded,
        rules: &rules,
        saved: &[],
        cancelled: &|| false,
    };
    let mut judged = Judged {
        patterns: Vec::new(),
        files: BTreeSet::new(),
        must_ask: false,
    };
    for ask in requests(text, None, context) {
        judged.must_ask |= ask.must_ask;
        if ask.permission == "bash" {
            let files = ask.metadata.get("files").and_then(|files| files.as_array());
            let files = files.into_iter().flatten().filter_map(|file| file.as_str());
            judged.files.extend(files.map(PathBuf::from));
            judged.patterns.extend(ask.patterns);
        }
    }
    judged
}

fn number(variable: &str, usual: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[test]
fn nothing_runs_or_is_written_that_the_judge_did_not_name() {
    let mut lab = Lab::new();
    let first = number("KILO_SHELL_SEED", 1);
    let count = number("KILO_SHELL_TEXTS", TEXTS);
    let mut told = 0;
    let mut wrong = Vec::new();
    for seed in first..first + count {
        let text = Generator::new(seed).text();
        let (why, tells) = lab.compare(&text);
        told += u64::from(tells);
        wrong.extend(why.map(|why| format!("seed {seed}\n{text}\n  {why}")));
    }
    assert!(
        wrong.is_empty(),
        "{} texts\n{}",
        wrong.len(),
        wrong.join("\n\n")
    );
    // A judge that always calls for a person would pass as well.
    assert!(
        told * 8 > count,
        "only {told} of {count} texts were told without a person"
    );
}
