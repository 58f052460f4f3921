//! One background process over all its runs.

use crate::kept::{KeptOrder, Link, State};
use crate::logs::Logs;
use kilo_ports::background::{LogPiece, Ready, StartOrder};
use kilo_protocol::process::{Lifetime, ProcessInfo, ProcessStatus, ProcessTime};
use kilo_protocol::{Millis, SessionId};
use parking_lot::Mutex;
use regex::Regex;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// Lines and bytes of output that lists show.
const SHOWN_LINES: usize = 50;
const SHOWN_BYTES: usize = 8 << 10;
/// Bytes of one answer of the output.
pub const ANSWER_BYTES_MAX: usize = 50 << 10;

/// One background process.
pub struct Process {
    pub id: String,
    pub order: StartOrder,
    facts: Mutex<Facts>,
    logs: Mutex<Logs>,
    /// Rises with each change and each output.
    changes: watch::Sender<u64>,
    /// The run that is under way, or being started: it may be told to end.
    pub run: Mutex<Option<mpsc::Sender<()>>>,
    /// The hold on a run that does not end with the daemon.
    pub kept: Mutex<Option<Arc<Link>>>,
    /// Held while it is started anew.
    pub restarting: tokio::sync::Mutex<()>,
}

struct Facts {
    session: SessionId,
    lifetime: Lifetime,
    pid: Option<u32>,
    ports: Vec<u16>,
    status: ProcessStatus,
    ready: bool,
    exit_code: Option<u32>,
    signal: Option<i32>,
    time: ProcessTime,
    /// Where the output of this run begins.
    output_from: u64,
}

/// How a run ended.
#[derive(Clone, Copy, Debug)]
pub enum End {
    Code(i32),
    Signal(i32),
}

impl Process {
    /// One of the session `owner`, which may be the parent of the one that orders it.
    pub fn new(id: String, owner: SessionId, order: StartOrder, now: Millis) -> Self {
        Self {
            id,
            facts: Mutex::new(Facts {
                session: owner,
                lifetime: order.lifetime,
                pid: None,
                ports: Vec::new(),
                status: ProcessStatus::Starting,
                ready: false,
                exit_code: None,
                signal: None,
                time: ProcessTime {
                    started: now,
                    updated: now,
                    ended: None,
                },
                output_from: 0,
            }),
            order,
            logs: Mutex::default(),
            changes: watch::Sender::new(0),
            run: Mutex::default(),
            kept: Mutex::default(),
            restarting: tokio::sync::Mutex::default(),
        }
    }

    /// One that an earlier daemon started, as its folder says.
    pub fn of_before(kept: &KeptOrder, state: &State) -> Self {
        let order = kept.order();
        let process = Self::new(kept.id.clone(), kept.owner.clone(), order, state.started);
        {
            let mut facts = process.facts.lock();
            facts.pid = state.pid;
            facts.ready = state.ready;
            facts.status = match (state.stopping, state.ready) {
                (true, _) => ProcessStatus::Stopping,
                (false, true) => ProcessStatus::Ready,
                (false, false) => ProcessStatus::Running,
            };
            facts.output_from = kept.from;
        }
        process
    }

    pub fn info(&self) -> ProcessInfo {
        let output = self.logs.lock().tail(SHOWN_LINES, SHOWN_BYTES).text;
        let facts = self.facts.lock();
        ProcessInfo {
            id: self.id.clone(),
            session_id: facts.session.clone(),
            pid: facts.pid,
            command: self.order.command.clone(),
            cwd: self.order.cwd.display().to_string(),
            description: self.order.description.clone(),
            ports: facts.ports.clone(),
            status: facts.status,
            lifetime: facts.lifetime,
            ready: facts.ready,
            exit_code: facts.exit_code,
            signal: facts.signal.map(signal_name),
            output,
            time: facts.time,
        }
    }

    pub fn session(&self) -> SessionId {
        self.facts.lock().session.clone()
    }

    pub fn lifetime(&self) -> Lifetime {
        self.facts.lock().lifetime
    }

    pub fn is_alive(&self) -> bool {
        matches!(
            self.facts.lock().status,
            ProcessStatus::Starting
                | ProcessStatus::Running
                | ProcessStatus::Ready
                | ProcessStatus::Stopping
        )
    }

    /// Told of each change and each output.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    fn change(&self, now: Millis, change: impl FnOnce(&mut Facts)) {
        {
            let mut facts = self.facts.lock();
            change(&mut facts);
            facts.time.updated = now;
        }
        self.changed();
    }

    /// A new run begins.
    pub fn begins(&self, now: Millis) {
        let from = self.logs.lock().head();
        self.change(now, |facts| {
            facts.pid = None;
            facts.ports.clear();
            facts.status = ProcessStatus::Starting;
            facts.ready = false;
            (facts.exit_code, facts.signal) = (None, None);
            facts.time.started = now;
            facts.time.ended = None;
            facts.output_from = from;
        });
    }

    pub fn runs(&self, pid: u32, now: Millis) {
        self.change(now, |facts| {
            facts.pid = Some(pid);
            facts.status = ProcessStatus::Running;
        });
    }

    /// False: it was ready already, or does not run.
    pub fn is_ready_now(&self, now: Millis) -> bool {
        let mut is_new = false;
        self.change(now, |facts| {
            is_new = facts.status == ProcessStatus::Running;
            if is_new {
                (facts.status, facts.ready) = (ProcessStatus::Ready, true);
            }
        });
        is_new
    }

    /// False: nothing changed.
    pub fn listens(&self, ports: Vec<u16>, now: Millis) -> bool {
        if self.facts.lock().ports == ports {
            return false;
        }
        self.change(now, |facts| facts.ports = ports);
        true
    }

    pub fn stops(&self, now: Millis) {
        self.change(now, |facts| facts.status = ProcessStatus::Stopping);
    }

    pub fn failed(&self, why: &str, now: Millis) {
        self.logs.lock().push(format!("{why}\n").as_bytes());
        self.change(now, |facts| {
            facts.status = ProcessStatus::Failed;
            facts.time.ended = Some(now);
        });
    }

    pub fn ended(&self, end: End, now: Millis) {
        self.change(now, |facts| {
            facts.status = match (facts.status, end) {
                (ProcessStatus::Stopping, _) => ProcessStatus::Stopped,
                (_, End::Code(0)) => ProcessStatus::Exited,
                _ => ProcessStatus::Failed,
            };
            match end {
                End::Code(code) => facts.exit_code = u32::try_from(code).ok(),
                End::Signal(signal) => facts.signal = Some(signal),
            }
            facts.ports.clear();
            facts.time.ended = Some(now);
        });
    }

    /// Output with its place: what lies before it and is not known is lost.
    pub fn wrote_at(&self, position: u64, bytes: &[u8]) {
        {
            let mut logs = self.logs.lock();
            if position > logs.head() {
                logs.goes_on_at(position);
            }
            let known = (logs.head() - position) as usize;
            logs.push(bytes.get(known..).unwrap_or_default());
        }
        self.changed();
    }

    /// The position behind the newest output.
    pub fn head(&self) -> u64 {
        self.logs.lock().head()
    }

    pub fn wrote(&self, bytes: &[u8]) {
        self.logs.lock().push(bytes);
        self.changed();
    }

    pub fn logs(&self, lines: usize) -> LogPiece {
        self.logs.lock().tail(lines, ANSWER_BYTES_MAX)
    }

    pub fn pid(&self) -> Option<u32> {
        self.facts.lock().pid
    }

    /// Whether the output of this run has a line that matches.
    pub fn has_written(&self, pattern: &Regex) -> bool {
        let from = self.facts.lock().output_from;
        let text = self.logs.lock().since(from).text;
        text.lines().any(|line| pattern.is_match(line))
    }

    /// What the order says about readiness.
    pub fn ready(&self) -> Option<&Ready> {
        self.order.ready.as_ref()
    }
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}
