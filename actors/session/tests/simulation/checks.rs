//! What must hold after every step, whenever the session is idle, and at the end.

use crate::world::World;
use kilo_protocol::model::{PartBody, Status, ToolState};
use kilo_session::apply::fold;
use kilo_session::record::Record;
use kilo_session::state::State;
use std::collections::HashSet;

impl World {
    pub fn check(&self) {
        if !self.machine.state.is_busy() {
            self.check_idle();
        }
        assert_eq!(
            self.machine.state.turn.is_some(),
            self.machine.stamp().is_some(),
            "the turn and its machinery differ"
        );
        // Comparing whole states is the dear part; a difference once made stays, so it is found a little later.
        if self.log.len().is_multiple_of(16) {
            self.check_replay();
        }
    }

    fn check_replay(&self) {
        assert_eq!(
            json(&self.shadow),
            json(&self.machine.state),
            "the replayed state differs from the live one"
        );
    }

    /// Nothing is open while the session does nothing.
    pub fn check_idle(&self) {
        let state = &self.machine.state;
        assert_eq!(state.turn, None);
        assert_eq!(state.status, Status::Idle);
        assert!(
            state.permissions.is_empty(),
            "an idle session asks {:?}",
            state.permissions
        );
        assert!(state.questions.is_empty() && state.network.is_none());
        for entry in &state.messages {
            let Some(answer) = entry.info.assistant() else {
                continue;
            };
            assert!(
                answer.time.completed.is_some(),
                "{} is unfinished",
                answer.id
            );
            for part in &entry.parts {
                match &part.body {
                    PartBody::Tool(tool) => {
                        assert!(tool.state.is_final(), "call {} is open", tool.call_id)
                    }
                    PartBody::Text(text) => {
                        assert!(
                            text.time.as_ref().is_none_or(|time| time.end.is_some()),
                            "{} is open",
                            part.id
                        );
                    }
                    PartBody::Reasoning(reasoning) => {
                        assert!(reasoning.time.end.is_some(), "{} is open", part.id)
                    }
                    _ => {}
                }
            }
        }
    }

    pub fn check_at_rest(&self) {
        self.check_idle();
        self.check_replay();
        let whole = fold(None, &self.log).expect("the log begins with the session");
        assert_eq!(
            json(&whole),
            json(&self.machine.state),
            "the fold of the whole log differs from the live state"
        );
        self.check_numbers();
        self.check_turns();
        self.check_requests();
        self.check_promises();
    }

    fn check_numbers(&self) {
        let numbers = self.log.iter().filter_map(|logged| logged.sync);
        assert!(
            numbers.zip(0..).all(|(number, place)| number == place),
            "the durable events' numbers have a gap"
        );
        let mut events: Vec<&str> = self
            .log
            .iter()
            .map(|logged| logged.event.as_str())
            .collect();
        events.dedup();
        assert_eq!(events.len(), self.log.len(), "two events have one id");
    }

    /// Turns open and close in turn.
    fn check_turns(&self) {
        let mut open = false;
        for logged in &self.log {
            match logged.record {
                Record::TurnOpened(_) => {
                    assert!(!open, "a turn was opened in a turn");
                    open = true;
                }
                Record::TurnClosed(_) => {
                    assert!(open, "a turn was closed that was not open");
                    open = false;
                }
                _ => {}
            }
        }
        assert!(!open, "the last turn is open");
    }

    /// A client that saw a request saw its end too.
    fn check_requests(&self) {
        let mut open = HashSet::new();
        for logged in &self.log {
            match &logged.record {
                Record::PermissionAsked(request) => {
                    open.insert(request.id.to_string());
                }
                Record::QuestionAsked(request) => {
                    open.insert(request.id.to_string());
                }
                Record::NetworkAsked(request) => {
                    open.insert(request.id.to_string());
                }
                Record::PermissionReplied(id, _) => {
                    assert!(open.remove(id.as_str()), "{id} was answered twice")
                }
                Record::QuestionReplied(id, _) | Record::QuestionRejected(id) => {
                    assert!(open.remove(id.as_str()), "{id} was answered twice");
                }
                Record::NetworkAnswered(id, _) => {
                    assert!(open.remove(id.as_str()), "{id} was answered twice")
                }
                _ => {}
            }
        }
        assert!(open.is_empty(), "nobody heard the end of {open:?}");
    }

    /// Accepted prompts were answered, clients heard so, and what changed files is in the log.
    fn check_promises(&self) {
        let state = &self.machine.state;
        assert!(state.queue.is_empty());
        for prompt in &self.accepted {
            assert!(
                state.last_answer(prompt).is_some(),
                "{prompt} was accepted and never answered"
            );
        }
        assert!(
            self.waiting.is_empty(),
            "nobody told the clients that wait for {:?}",
            self.waiting
        );
        for (message, call) in &self.wrote {
            let known = state.calls(message).any(|(_, tool)| {
                tool.call_id == *call && !matches!(tool.state, ToolState::Pending { .. })
            });
            assert!(
                known,
                "call {call} of {message} changed files and the log does not know it"
            );
        }
    }
}

fn json(state: &State) -> String {
    serde_json::to_string(state).expect("a state is JSON")
}
