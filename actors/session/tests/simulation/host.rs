//! The host: runs calls as the tool runner does. What writes asks first, and writes only once it was allowed and the
//! record that announces it is on the disk.

use crate::chance::Chance;
use crate::rules::judge;
use kilo_ports::checkpoint::FileChange;
use kilo_ports::tool::{Ask, QuestionAnswer, ToolError, ToolOutput};
use kilo_protocol::PermissionId;
use kilo_protocol::model::{Action, Rule};
use kilo_session::input::{Input, Stamp, ToolRun};
use serde_json::{Map, json};
use std::sync::Arc;

/// A call that runs.
pub struct Job {
    pub stamp: Stamp,
    pub run: ToolRun,
    pub phase: Phase,
    /// The length of the log once the call's record was in it.
    pub announced_at: usize,
    /// It was told to stop; it ends late.
    pub stopped: bool,
    /// It changed something.
    pub wrote: bool,
}

pub enum Phase {
    Begins,
    /// It waits for the answer to this request.
    Asks(Ask),
    /// It waits for the user's answer.
    Questions,
    Allowed,
    Refused(ToolError),
    Answered,
}

impl Job {
    pub fn new(stamp: Stamp, run: ToolRun, announced_at: usize) -> Self {
        Self {
            stamp,
            run,
            phase: Phase::Begins,
            announced_at,
            stopped: false,
            wrote: false,
        }
    }

    pub fn writes(&self) -> bool {
        matches!(self.run.tool.as_str(), "bash" | "edit")
    }

    /// What the call does next; `None` when it waits. The flag says that it is over.
    pub fn next(
        &mut self,
        chance: &mut Chance,
        saved: &[Rule],
        synced: usize,
    ) -> Option<(Input, bool)> {
        if self.stopped {
            return Some((
                self.ends(Err(ToolError::Aborted {
                    metadata: Map::new(),
                })),
                true,
            ));
        }
        match std::mem::replace(&mut self.phase, Phase::Begins) {
            Phase::Begins => self.begins(chance, saved),
            waits @ (Phase::Asks(_) | Phase::Questions) => {
                self.phase = waits;
                // A tool that breaks down while it waits leaves its request behind.
                chance
                    .percent(2)
                    .then(|| (self.ends(Err(ToolError::failed("broke down"))), true))
            }
            Phase::Allowed if self.announced_at > synced => {
                self.phase = Phase::Allowed;
                None
            }
            Phase::Allowed => {
                self.wrote = true;
                Some((self.ends(Ok(())), true))
            }
            Phase::Refused(error) => Some((self.ends(Err(error)), true)),
            Phase::Answered => Some((self.ends(Ok(())), true)),
        }
    }

    fn begins(&mut self, chance: &mut Chance, saved: &[Rule]) -> Option<(Input, bool)> {
        if chance.percent(20) {
            let output = chance.pick(&["so far", "so far and on", "and on and on", ""]);
            let known = Map::from_iter([("output".to_string(), output.into())]);
            return Some((
                Input::Progress(self.stamp, self.run.call.clone(), None, known),
                false,
            ));
        }
        if self.run.tool == "question" {
            self.phase = Phase::Questions;
            return Some((
                Input::Question(self.stamp, self.run.call.clone(), vec![json!({})]),
                false,
            ));
        }
        if !self.writes() {
            let result = if chance.percent(20) {
                Err(ToolError::failed("no such file"))
            } else {
                Ok(())
            };
            return Some((self.ends(result), true));
        }
        let pattern = chance.pick(&["ls a", "ls b", "rm a", "rm b"]);
        let ask = Ask {
            permission: self.run.tool.clone(),
            patterns: vec![pattern.into()],
            always: vec![format!("{} *", &pattern[..2])],
            metadata: Map::new(),
            must_ask: chance.percent(30),
            version: None,
        };
        self.phase = Phase::Asks(ask.clone());
        Some((
            Input::Ask(
                self.stamp,
                self.run.call.clone(),
                Box::new(ask),
                Arc::new(saved.to_vec()),
            ),
            false,
        ))
    }

    /// The machine's answer to the call's request. `reply` is a person's own answer to it, if there was one.
    pub fn hears(&mut self, answer: Result<(), ToolError>, by: Heard) {
        let Phase::Asks(ask) = &self.phase else {
            return;
        };
        if answer.is_ok() {
            assert_allowed(ask, &by);
        }
        self.phase = match answer {
            Ok(()) => Phase::Allowed,
            Err(error) => Phase::Refused(error),
        };
    }

    fn ends(&self, result: Result<(), ToolError>) -> Input {
        let files = if self.wrote {
            vec![FileChange::new("/work/a".into(), "h0", "h1")]
        } else {
            Vec::new()
        };
        let snapshot = self.wrote.then(|| "h1".to_string());
        let result = result.map(|()| {
            Box::new(ToolOutput {
                output: "done".into(),
                ..Default::default()
            })
        });
        Input::ToolDone(self.stamp, self.run.call.clone(), result, files, snapshot)
    }
}

/// How an answer came about.
pub enum Heard {
    /// The user gave the order for the whole turn.
    OwnCommand,
    /// At once, under these rules: the agent's, and those that users saved.
    Rules(Vec<Rule>, Vec<Rule>),
    /// Through a request that a person answered so, or that `always` rules answered along.
    Person(PermissionId, Option<bool>, Vec<Rule>),
}

/// A call may only be allowed by a rule or a person, and a deny never turns into anything else.
fn assert_allowed(ask: &Ask, by: &Heard) {
    let pattern = &ask.patterns[0];
    match by {
        Heard::OwnCommand => {}
        Heard::Rules(rules, saved) => {
            assert!(!ask.must_ask, "{ask:?} was allowed without a person");
            let by_rule = judge(rules, &ask.permission, pattern);
            let by_answer = judge(saved, &ask.permission, pattern);
            let allowed =
                by_rule == Action::Allow || (by_rule == Action::Ask && by_answer == Action::Allow);
            assert!(allowed, "no rule allows {ask:?}");
        }
        Heard::Person(request, Some(said_yes), _) => {
            assert!(
                said_yes,
                "the user refused {request} for {ask:?}, and the call was allowed"
            );
        }
        Heard::Person(request, None, saved) => {
            assert!(
                !ask.must_ask,
                "{request} for {ask:?} was allowed along with another one"
            );
            assert_eq!(
                judge(saved, &ask.permission, pattern),
                Action::Allow,
                "nothing allows {request} for {ask:?}"
            );
        }
    }
}

pub fn some_answer(chance: &mut Chance) -> QuestionAnswer {
    if chance.percent(50) {
        QuestionAnswer::Answered(vec![vec!["yes".into()]])
    } else {
        QuestionAnswer::Dismissed
    }
}
