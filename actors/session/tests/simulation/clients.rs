//! Several clients: they prompt, stop, resume and answer.

use crate::host::some_answer;
use crate::rules::rule;
use crate::world::{World, model_ref};
use kilo_protocol::model::{Action, Created, Part, PartBody, TextPart, UserMessage};
use kilo_session::input::{Input, Prompt, Reply};
use kilo_session::record::RevertTo;

impl World {
    pub fn a_client_acts(&mut self) {
        match self.chance.below(100) {
            0..35 => self.prompt(),
            35..50 => {
                if self.machine.stamp().is_some() {
                    self.seen.note("abort");
                }
                self.give(Input::Abort);
            }
            50..58 => {
                if self.machine.state.unfinished.is_some() && !self.machine.state.is_busy() {
                    self.seen.note("resumed");
                }
                self.give(Input::Resume);
            }
            58..62 => self.give(Input::Summarize(model_ref(), false)),
            62..64 => self.give(Input::Drain("token".into())),
            64..67 => self.give(Input::Title("A title".into())),
            67..70 => self.command(),
            70..72 => self.undo(),
            72..74 => self.give(Input::Network(None, self.calm)),
            _ => self.answer_requests(),
        }
    }

    /// A client's prompt, as the actor lets it through: none beyond the queue's bound, none twice.
    fn prompt(&mut self) {
        if self.machine.state.queue.len() >= 4 || self.machine.state.undo.is_some() {
            return;
        }
        let prompt = self.some_prompt();
        let id = prompt.message.id.clone();
        let wants_reply = !prompt.no_reply;
        if wants_reply {
            self.waiting.insert(id.clone());
        }
        let process = self.process;
        self.give(Input::Prompt(prompt));
        // The client hears of it once it is on the disk; the machine asks for that.
        if wants_reply && process == self.process {
            self.accepted.push(id.clone());
        }
        if self.machine.state.queue.contains(&id) {
            self.seen.note("prompt queued");
        }
    }

    /// A command of the user's own; the actor refuses it while a turn runs.
    fn command(&mut self) {
        if self.machine.state.is_busy() {
            return;
        }
        self.seen.note("own command");
        let prompt = self.some_prompt();
        self.waiting.insert(prompt.message.id.clone());
        self.give(Input::Shell(prompt, "make".into()));
    }

    /// Undo to some message, or redo; the actor refuses it while the session is busy. Sometimes it comes twice.
    pub fn undo(&mut self) {
        let messages = &self.machine.state.messages;
        if messages.is_empty() {
            return;
        }
        let place = self.chance.below(messages.len());
        if messages[place].info.user().is_none() {
            return;
        }
        let to = RevertTo {
            message: messages[place].info.id().clone(),
            part: None,
        };
        // What is hidden was promised an answer, and is taken back by the client itself.
        if !self.machine.state.is_busy() {
            let hidden = &messages[place..];
            // The answer to a prompt that had to wait stands behind the prompts that came meanwhile.
            let answered = hidden.iter().filter_map(|entry| entry.info.assistant());
            let hidden: Vec<_> = answered
                .map(|answer| answer.parent_id.clone())
                .chain(hidden.iter().map(|entry| entry.info.id().clone()))
                .collect();
            self.accepted.retain(|id| !hidden.contains(id));
            self.waiting.retain(|id| !hidden.contains(id));
            self.wrote.retain(|(id, _)| !hidden.contains(id));
        }
        self.give(Input::Revert(to));
        if self.chance.percent(30) {
            self.give(Input::Unrevert);
        }
    }

    fn some_prompt(&mut self) -> Box<Prompt> {
        let id = self.ids.message(self.now);
        let session_id = self.machine.state.info.id.clone();
        let body = PartBody::Text(TextPart {
            text: "go".into(),
            ..Default::default()
        });
        let part = Part {
            id: self.ids.part(self.now),
            session_id: session_id.clone(),
            message_id: id.clone(),
            body,
        };
        let message = UserMessage {
            id,
            session_id,
            time: Created { created: self.now },
            format: None,
            summary: None,
            agent: "code".into(),
            model: model_ref(),
            system: None,
            tools: None,
            editor_context: None,
        };
        Box::new(Prompt {
            message,
            parts: vec![part],
            no_reply: self.chance.percent(10),
        })
    }

    pub fn answer_requests(&mut self) {
        let state = &self.machine.state;
        if let Some(request) = state.permissions.first().cloned() {
            let reply = self
                .chance
                .pick(&[Reply::Once, Reply::Once, Reply::Always, Reply::Reject]);
            let message = self
                .chance
                .percent(50)
                .then(|| "do it differently".to_string());
            self.said.insert(request.id.clone(), reply != Reply::Reject);
            if reply == Reply::Always {
                self.seen.note("always");
                let rules = request
                    .always
                    .iter()
                    .map(|pattern| rule(&request.permission, pattern, Action::Allow));
                self.saved.extend(rules);
            }
            return self.give(Input::Answer(request.id, reply, message));
        }
        if let Some(question) = state.questions.first().cloned() {
            let answer = some_answer(&mut self.chance);
            return self.give(Input::QuestionAnswer(question.id, answer));
        }
        if let Some(network) = state.network.clone() {
            let again = self.calm || self.chance.percent(70);
            self.give(Input::Network(Some(network.id), again));
        }
    }
}
