//! What a run shows: lines of JSON for programs, the bare answer for pipes, everything for a person.

use crate::render::json;
use crate::render::tool::{self, Detail};
use crate::run::notice::Notice;
use crate::terminal::screen::Screen;
use crate::terminal::{self, Terminal, harmless};
use crate::time::{duration, now};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use kilo_protocol::PartId;
use kilo_protocol::model::{
    Part, PartBody, PermissionRequest, Session, ToolPart, ToolState, TurnError,
};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{Stdout, stdout};

/// How a request for permission is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes, this one time.
    Allow,
    /// No.
    Refuse,
    /// Somebody else answered it.
    Settled,
}

/// Somebody who watches a run and answers for the user. Parts come once, when they are finished; pieces come while a text
/// grows.
pub trait Audience {
    /// Answers a request for permission.
    fn judge<'a>(&'a mut self, request: &'a PermissionRequest) -> BoxFuture<'a, Verdict>;
    /// A call waited so long for the answer to a request for permission: no time of its own.
    fn waited(&mut self, _call: &str, _ms: u64) {}
    /// Whether it has the patience to wait for a network that is gone.
    fn waits_for_network(&self) -> bool;
    /// The run begins.
    fn begin(&mut self, session: &Session, agent: &str, model: &str);
    /// A piece of the part `id`; `field` is `text` for both answers and reasoning.
    fn piece(&mut self, id: &str, reasoning: bool, text: &str);
    /// A tool call began or went on.
    fn running(&mut self, call: &ToolPart);
    /// A part is finished.
    fn part(&mut self, session: &str, part: &Part);
    /// Something beside the answer.
    fn notice(&mut self, session: &str, notice: Notice<'_>);
    /// The run failed.
    fn error(&mut self, session: &str, error: Value);
    /// Time passes: a spinner moves.
    fn tick(&mut self);
    /// The run is over.
    fn end(&mut self, took_ms: u64);
}

/// One JSON object a line.
pub struct Lines {
    /// Reasoning has lines too.
    pub thinking: bool,
    /// What would ask is allowed.
    pub auto: bool,
}

impl Audience for Lines {
    fn judge<'a>(&'a mut self, request: &'a PermissionRequest) -> BoxFuture<'a, Verdict> {
        let allowed = self.auto;
        self.notice(
            request.session_id.as_str(),
            Notice::Decided { request, allowed },
        );
        ready(if allowed {
            Verdict::Allow
        } else {
            Verdict::Refuse
        })
        .boxed()
    }

    fn waits_for_network(&self) -> bool {
        self.auto
    }

    fn begin(&mut self, _: &Session, _: &str, _: &str) {}
    fn piece(&mut self, _: &str, _: bool, _: &str) {}
    fn running(&mut self, _: &ToolPart) {}

    fn part(&mut self, session: &str, part: &Part) {
        match json::kind(part) {
            None => {}
            Some("reasoning") if !self.thinking => {}
            Some(kind) => {
                let value = serde_json::to_value(part).unwrap_or_default();
                terminal::line(&json::line(kind, now(), session, "part", value));
            }
        }
    }

    fn notice(&mut self, session: &str, notice: Notice<'_>) {
        let (kind, facts) = (notice.kind(), notice.facts());
        terminal::line(&json::line(kind, now(), session, kind, facts));
    }

    fn error(&mut self, session: &str, error: Value) {
        terminal::line(&json::line("error", now(), session, "error", error));
    }

    fn tick(&mut self) {}
    fn end(&mut self, _: u64) {}
}

/// What a person wants to see and allows.
#[derive(Clone, Copy, Debug)]
pub struct Wishes {
    /// Reasoning is shown.
    pub thinking: bool,
    /// What would ask is allowed.
    pub auto: bool,
    /// Everything goes to standard output, even into a pipe.
    pub together: bool,
    /// How much of a tool's work is shown.
    pub detail: Detail,
}

/// For people: everything on a terminal; the answer alone on a pipe, with the rest on standard error.
pub struct People {
    /// Standard output.
    pub screen: Screen<Stdout>,
    /// What standard error can show; used when standard output is a pipe.
    side: Terminal,
    wishes: Wishes,
    /// The part whose pieces are being shown.
    open: Option<Open>,
    /// How long calls waited for permission.
    waits: HashMap<String, u64>,
}

/// A part that grows.
struct Open {
    id: String,
    /// How much of its text came, in bytes.
    bytes: usize,
    /// Some of it can be seen: blanks at its beginning are left out.
    is_visible: bool,
}

impl People {
    /// Shows on `terminal`, and beside it on `side`.
    pub fn new(terminal: Terminal, side: Terminal, wishes: Wishes) -> Self {
        Self {
            screen: Screen::new(stdout(), terminal),
            side,
            wishes,
            open: None,
            waits: HashMap::new(),
        }
    }

    fn live(&self) -> bool {
        self.screen.terminal.live
    }

    fn together(&self) -> bool {
        self.live() || self.wishes.together
    }

    /// A line that is not part of the answer.
    fn aside(&mut self, line: &str) {
        if self.together() {
            self.screen.line(line);
        } else {
            terminal::note(line);
        }
    }

    fn paint(&self) -> Terminal {
        if self.together() {
            self.screen.terminal
        } else {
            self.side
        }
    }

    fn finished_text(&mut self, id: &PartId, text: &str, reasoning: bool) {
        let open = self.open.take().filter(|open| open.id == id.as_str());
        if let Some(open) = open.filter(|open| open.is_visible) {
            // Pieces may have been lost with a connection; the rest is known only now.
            self.flow(reasoning, text.get(open.bytes..).unwrap_or_default());
            self.screen.end_text();
        } else if reasoning {
            for line in text.trim().lines() {
                let line = self.paint().dim(&format!("  {}", harmless(line)));
                self.aside(&line);
            }
        } else {
            self.flow(reasoning, text.trim());
            self.screen.end_text();
        }
    }

    /// Shows running text on standard output.
    fn flow(&mut self, reasoning: bool, text: &str) {
        if !self.live() {
            return self.screen.text(text);
        }
        let text = harmless(text);
        if reasoning {
            // Line ends stay outside of the colour, or they could not be held back.
            let lines: Vec<String> = text
                .split('\n')
                .map(|line| self.screen.terminal.dim(line))
                .collect();
            self.screen.text(&lines.join("\n"));
        } else {
            self.screen.text(&text);
        }
    }
}

impl Audience for People {
    fn judge<'a>(&'a mut self, request: &'a PermissionRequest) -> BoxFuture<'a, Verdict> {
        let allowed = self.wishes.auto;
        self.notice(
            request.session_id.as_str(),
            Notice::Decided { request, allowed },
        );
        ready(if allowed {
            Verdict::Allow
        } else {
            Verdict::Refuse
        })
        .boxed()
    }

    fn waited(&mut self, call: &str, ms: u64) {
        *self.waits.entry(call.to_owned()).or_default() += ms;
    }

    fn waits_for_network(&self) -> bool {
        self.wishes.auto
    }

    fn begin(&mut self, _: &Session, agent: &str, model: &str) {
        let line = self.paint().dim(&format!("> {agent} · {model}"));
        self.aside(&line);
        self.screen.wait_for("thinking");
    }

    fn piece(&mut self, id: &str, reasoning: bool, text: &str) {
        // Into a pipe goes the answer alone; thoughts follow on the side when they are whole.
        if reasoning && !(self.live() && self.wishes.thinking) {
            return;
        }
        if self.open.as_ref().is_none_or(|open| open.id != id) {
            self.screen.end_text();
            self.open = Some(Open {
                id: id.to_owned(),
                bytes: 0,
                is_visible: false,
            });
        }
        let Some(open) = &mut self.open else { return };
        open.bytes += text.len();
        let text = if open.is_visible {
            text
        } else {
            text.trim_start()
        };
        open.is_visible |= !text.is_empty();
        self.flow(reasoning, text);
    }

    fn running(&mut self, call: &ToolPart) {
        self.screen.wait_for(&tool::running(call));
    }

    fn part(&mut self, _: &str, part: &Part) {
        match &part.body {
            PartBody::Text(text) => self.finished_text(&part.id, &text.text, false),
            PartBody::Reasoning(reasoning) if self.wishes.thinking => {
                self.finished_text(&part.id, &reasoning.text, true);
            }
            PartBody::Tool(call) => {
                let mut call = call.clone();
                let waited = self.waits.remove(call.call_id.as_str()).unwrap_or(0);
                without_wait(&mut call.state, waited);
                for line in tool::lines(&call, self.wishes.detail, self.paint()) {
                    self.aside(&line);
                }
                self.screen.wait_for("thinking");
            }
            _ => {}
        }
    }

    fn notice(&mut self, _: &str, notice: Notice<'_>) {
        // The turn's own error will say that the provider cannot be reached; once is enough.
        if matches!(notice, Notice::Network { waits: false, .. }) {
            return;
        }
        let line = format!(
            "{} {}",
            self.paint().yellow("!"),
            harmless(&notice.sentence())
        );
        self.aside(&line);
    }

    fn error(&mut self, _: &str, error: Value) {
        self.screen.end_text();
        self.screen.stop_waiting();
        let paint = self.paint();
        let text = match &error {
            Value::String(text) => text.clone(),
            other => sentence(other),
        };
        terminal::note(&format!("{} {}", paint.red("error:"), harmless(&text)));
    }

    fn tick(&mut self) {
        self.screen.tick();
    }

    fn end(&mut self, took_ms: u64) {
        self.screen.stop_waiting();
        self.screen.end_text();
        if self.live() {
            let line = self
                .screen
                .terminal
                .dim(&format!("  {}", duration(took_ms)));
            self.screen.line(&line);
        }
    }
}

/// Moves the start of a finished call on by the time that it waited for a person.
fn without_wait(state: &mut ToolState, waited_ms: u64) {
    if let ToolState::Completed { time, .. } | ToolState::Error { time, .. } = state {
        time.start = (time.start + waited_ms).min(time.end);
    }
}

/// The sentence of an error `{name, data: {message}}`.
pub fn sentence(error: &Value) -> String {
    let message = error
        .pointer("/data/message")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let name = error.get("name").and_then(Value::as_str).unwrap_or("error");
    if message.is_empty() {
        name.to_owned()
    } else {
        message.to_owned()
    }
}

/// An error as the protocol has it, for a line of JSON.
pub fn as_value(error: &TurnError) -> Value {
    json!({"name": error.name, "data": error.data})
}
