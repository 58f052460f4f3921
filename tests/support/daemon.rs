//! A daemon in a home of its own.

use crate::api::Api;
use crate::program::{Ended, kilo};
use crate::project::Project;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const READY: &str = "kilo server listening on ";
const READY_MAX: Duration = Duration::from_secs(60);
const STOP_MAX: Duration = Duration::from_secs(10);
/// Variables of the caller that would reach into a test.
const FOREIGN: [&str; 7] = [
    "KILO_",
    "XDG_",
    "OPENAI",
    "ANTHROPIC",
    "GEMINI",
    "GOOGLE_",
    "GIT_",
];

/// A home folder that nothing else uses; gone with this value.
pub struct Home(TempDir);

impl Home {
    /// An empty home.
    pub fn new() -> Self {
        Self(
            tempfile::Builder::new()
                .prefix("kilo-home-")
                .tempdir()
                .expect("a folder"),
        )
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A `kilo` command in this home, with nothing of the caller's environment that would reach into it.
    pub fn kilo(&self, words: &[&str]) -> Command {
        self.command(&kilo(), words)
    }

    fn command(&self, program: &Path, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(words)
            .current_dir(self.path())
            .stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if FOREIGN.iter().any(|prefix| text.starts_with(prefix)) {
                command.env_remove(&name);
            }
        }
        command
            .env("HOME", self.path())
            .env("KILO_DISABLE_MODELS_FETCH", "1")
            // Tests and benches count a daemon's memory and descriptors from outside.
            .env("KILO_DEBUGGABLE", "1");
        command
    }

    /// Runs `kilo` in `folder` to its end.
    pub fn run(&self, folder: &Path, words: &[&str]) -> Ended {
        self.kilo(words)
            .current_dir(folder)
            .output()
            .expect("the program")
            .into()
    }
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

/// How to start a daemon.
pub struct Start<'a> {
    home: &'a Home,
    words: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
}

/// A daemon that did not start.
#[derive(Debug)]
pub struct Refused {
    /// How it ended, with all that it printed.
    pub ended: Ended,
}

impl<'a> Start<'a> {
    /// In `home`, on a free port.
    pub fn new(home: &'a Home) -> Self {
        Self {
            home,
            words: vec!["serve".into(), "--port".into(), "0".into()],
            env: Vec::new(),
        }
    }

    /// One more word for the command line.
    pub fn word(mut self, word: &str) -> Self {
        self.words.push(word.into());
        self
    }

    /// One more variable.
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Starts it and returns once it says where it listens.
    pub fn go(self) -> Result<Daemon, Refused> {
        let begun = Instant::now();
        let mut command = self.home.command(&kilo(), &[]);
        command
            .args(&self.words)
            .envs(self.env)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the daemon");
        let log = Arc::new(Mutex::new(String::new()));
        let (say, said) = mpsc::channel();
        let out = child.stdout.take().expect("its output");
        read_lines(out, Arc::clone(&log), move |line| {
            if let Some(url) = line.strip_prefix(READY) {
                let _ = say.send(url.trim().to_owned());
            }
        });
        read_lines(
            child.stderr.take().expect("its errors"),
            Arc::clone(&log),
            |_| {},
        );
        let mut daemon = Daemon {
            child,
            url: String::new(),
            log,
            took: Duration::ZERO,
        };
        match said.recv_timeout(READY_MAX) {
            Ok(url) => {
                daemon.url = url;
                daemon.took = begun.elapsed();
                Ok(daemon)
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let code = daemon.child.wait().expect("an end").code();
                // Its errors may come a moment later than the end of its output.
                let deadline = Instant::now() + Duration::from_secs(1);
                while daemon.log().is_empty() && Instant::now() < deadline {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(Refused {
                    ended: Ended {
                        code,
                        out: String::new(),
                        err: daemon.log(),
                    },
                })
            }
            Err(mpsc::RecvTimeoutError::Timeout) => panic!(
                "the daemon is not ready after {READY_MAX:?}: {}",
                daemon.log()
            ),
        }
    }
}

fn read_lines(
    from: impl Read + Send + 'static,
    log: Arc<Mutex<String>>,
    mut each: impl FnMut(&str) + Send + 'static,
) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let mut log = log.lock().expect("the log");
            log.push_str(&line);
            log.push('\n');
            drop(log);
            each(&line);
        }
    });
}

/// A daemon that runs; killed with this value.
pub struct Daemon {
    child: Child,
    /// Where it listens.
    pub url: String,
    log: Arc<Mutex<String>>,
    /// From the start of the process to the line that says it is ready.
    pub took: Duration,
}

impl Daemon {
    /// Starts one in `home`.
    pub fn start(home: &Home) -> Self {
        Start::new(home)
            .go()
            .unwrap_or_else(|refused| panic!("the daemon did not start: {refused:?}"))
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.url
            .rsplit_once(':')
            .and_then(|(_, port)| port.parse().ok())
            .expect("a port")
    }

    /// What it printed so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("the log").clone()
    }

    /// A caller that works in `project`.
    pub fn api(&self, project: &Project) -> Api {
        self.api_in(project.path())
    }

    /// A caller that works in `folder`, which need not exist.
    pub fn api_in(&self, folder: &Path) -> Api {
        Api::new(&self.url, PathBuf::from(folder))
    }

    /// Kills it at once, as a crash or the kernel would, and waits for its end.
    pub fn kill(mut self) {
        self.signal(Signal::KILL);
        self.child.wait().expect("an end");
    }

    /// Asks it to end; answers its status.
    pub fn stop(mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        match self.wait(STOP_MAX) {
            Some(code) => code,
            None => panic!("the daemon did not end within {STOP_MAX:?}: {}", self.log()),
        }
    }

    /// Waits at most `bound` for an end of its own; answers its status then.
    pub fn wait(&mut self, bound: Duration) -> Option<Option<i32>> {
        let deadline = Instant::now() + bound;
        loop {
            if let Some(status) = self.child.try_wait().expect("a state") {
                return Some(status.code());
            }
            if Instant::now() >= deadline {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .expect("a process");
        let _ = kill_process(pid, signal);
    }

    /// A number of `/proc/PID/status`, in KiB: `VmRSS`, `VmHWM`.
    pub fn memory_kib(&self, field: &str) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(path).expect("the process's state");
        let line = status
            .lines()
            .find(|line| line.starts_with(field))
            .expect("the field");
        line.split_whitespace()
            .nth(1)
            .and_then(|word| word.parse().ok())
            .expect("a number")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- the daemon said ---\n{}", self.log());
        }
    }
}
