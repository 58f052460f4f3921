//! How the demo looks: headings, pauses, questions that answer themselves.

use crate::context::Context;
use crate::render::diff;
use crate::render::tool::Detail;
use crate::run::notice::Notice;
use crate::run::show::{Audience, People, Verdict, Wishes};
use crate::terminal::{Terminal, fit, keys, line};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use kilo_client::{Client, PermissionAnswer};
use kilo_protocol::model::{Part, PermissionRequest, Session, ToolPart};
use serde_json::Value;
use std::time::Duration;
use tokio::time::sleep;

const SCENES: usize = 6;
const PAUSE: Duration = Duration::from_millis(1_600);
const ANSWER_AFTER: Duration = Duration::from_millis(4_000);

/// The stage.
pub struct Stage {
    /// What it can show.
    pub terminal: Terminal,
    fast: bool,
    scene: usize,
}

impl Stage {
    /// An empty stage. `fast` leaves out all pauses.
    pub fn new(fast: bool, cx: &Context) -> Self {
        Self {
            terminal: cx.terminal,
            fast,
            scene: 0,
        }
    }

    /// Begins the next scene.
    pub async fn scene(&mut self, title: &str) {
        if self.scene > 0 {
            self.pause().await;
        }
        self.scene += 1;
        let head = format!("── {}/{SCENES} {title} ", self.scene);
        let rule = "─".repeat(
            self.terminal
                .width
                .min(78)
                .saturating_sub(head.chars().count()),
        );
        line("");
        line(
            &self
                .terminal
                .cyan(&self.terminal.bold(&format!("{head}{rule}"))),
        );
    }

    /// Says something about what is going on.
    pub fn say(&self, text: &str) {
        line(&format!("  {text}"));
    }

    /// Says something that matters less.
    pub fn aside(&self, text: &str) {
        line(&self.terminal.dim(&format!("  {text}")));
    }

    /// Says that something was checked and is so.
    pub fn proof(&self, text: &str) {
        line(&format!("  {} {text}", self.terminal.green("✓")));
    }

    /// Shows a text file, or what changed in it.
    pub fn page(&self, text: &str) {
        for row in text.lines() {
            line(&self.terminal.dim(&format!(
                "    │ {}",
                fit(row, self.terminal.width.saturating_sub(6))
            )));
        }
    }

    /// Gives the reader time.
    pub async fn pause(&self) {
        if !self.fast {
            sleep(PAUSE).await;
        }
    }

    /// The audience of the demo's turn; the second client answers what `second` says.
    pub fn audience(&self, second: Client) -> DemoAudience {
        let detail = Detail {
            diff_lines: 0,
            output_lines: 6,
        }; // the question shows the diff
        let wishes = Wishes {
            thinking: false,
            auto: false,
            together: true,
            detail,
        };
        let people = People::new(self.terminal, self.terminal, wishes);
        DemoAudience {
            people,
            terminal: self.terminal,
            fast: self.fast,
            second,
            asked: Vec::new(),
        }
    }
}

/// Shows a turn and answers its requests for permission on the user's behalf, unless a key is pressed first.
pub struct DemoAudience {
    people: People,
    terminal: Terminal,
    fast: bool,
    second: Client,
    /// The permissions that were asked for.
    pub asked: Vec<String>,
}

impl DemoAudience {
    async fn answer(&mut self, request: &PermissionRequest) -> Verdict {
        self.people.screen.stop_waiting();
        self.show_question(request);
        self.asked.push(request.permission.clone());
        let by_key = self.wait().await;
        let who = if by_key {
            "you"
        } else {
            "the demo, on your behalf"
        };
        if request.permission != "edit" {
            self.say(&format!("allowed once, by {who}"));
            return Verdict::Allow;
        }
        match self
            .second
            .reply_permission(&request.id, PermissionAnswer::Once, None)
            .await
        {
            Ok(()) => self.say(&format!(
                "allowed once, by {who}, through a second client on a connection of its own"
            )),
            Err(error) => {
                self.say(&format!("the second client could not answer: {error}"));
                return Verdict::Refuse;
            }
        }
        Verdict::Settled
    }

    fn show_question(&mut self, request: &PermissionRequest) {
        let what = match request.permission.as_str() {
            "bash" => "run a command",
            "edit" => "change a file",
            other => other,
        };
        let about = request.patterns.join(", ");
        let question = format!(
            "  ? May the agent {what}? {}",
            fit(&about, self.terminal.width.saturating_sub(40).max(20))
        );
        self.people.screen.line(&self.terminal.yellow(&question));
        let patch = request
            .metadata
            .get("diff")
            .and_then(Value::as_str)
            .unwrap_or_default();
        for row in diff::short(patch, 8, self.terminal) {
            self.people.screen.line(&format!("  {row}"));
        }
    }

    fn say(&mut self, text: &str) {
        let text = self.terminal.dim(&format!("    → {text}"));
        self.people.screen.line(&text);
    }

    /// Waits for a key, or long enough to read; says whether a key came.
    async fn wait(&mut self) -> bool {
        if self.fast {
            return false;
        }
        if !(self.terminal.live && keys::can_ask()) {
            sleep(ANSWER_AFTER / 2).await;
            return false;
        }
        let hint = format!(
            "    any key allows it; in {} s the demo does",
            ANSWER_AFTER.as_secs()
        );
        self.people.screen.line(&self.terminal.dim(&hint));
        let key = tokio::task::spawn_blocking(|| keys::key(ANSWER_AFTER)).await;
        matches!(key, Ok(Ok(Some(_))))
    }
}

impl Audience for DemoAudience {
    fn judge<'a>(&'a mut self, request: &'a PermissionRequest) -> BoxFuture<'a, Verdict> {
        self.answer(request).boxed()
    }

    fn waited(&mut self, call: &str, ms: u64) {
        self.people.waited(call, ms);
    }

    fn waits_for_network(&self) -> bool {
        false
    }

    fn begin(&mut self, session: &Session, agent: &str, model: &str) {
        self.people.begin(session, agent, model);
    }

    fn piece(&mut self, id: &str, reasoning: bool, text: &str) {
        self.people.piece(id, reasoning, text);
    }

    fn running(&mut self, call: &ToolPart) {
        self.people.running(call);
    }

    fn part(&mut self, session: &str, part: &Part) {
        self.people.part(session, part);
    }

    fn notice(&mut self, session: &str, notice: Notice<'_>) {
        self.people.notice(session, notice);
    }

    fn error(&mut self, session: &str, error: Value) {
        self.people.error(session, error);
    }

    fn tick(&mut self) {
        self.people.tick();
    }

    fn end(&mut self, took_ms: u64) {
        self.people.end(took_ms);
    }
}
