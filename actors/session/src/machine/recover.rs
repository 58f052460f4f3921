//! After a restart: what the end of the process left open is closed, visibly. Nothing is run again.

use super::step::empty_answer;
use super::{Cx, Machine};
use crate::record::{CloseReason, Record, TurnHead, TurnKind};
use kilo_protocol::MessageId;
use kilo_protocol::model::{Message, PartBody, Status, TurnError};

/// What a call says that was running when the process ended.
const INTERRUPTED: &str = "The daemon ended while this call was running. It was not run again; what it did up to then is unknown.";

impl Machine {
    /// Closes an open turn as interrupted. The queue is kept; `resume` goes on with both.
    ///
    /// The log may end anywhere, even between two records of one decision: whatever is open is closed, turn or not.
    pub(super) fn close_dangling(&mut self, cx: &mut Cx) {
        if let Some(next) = self.state.next.clone() {
            let mut queue = self.state.queue.clone();
            queue.insert(0, next);
            cx.durable();
            cx.record(&mut self.state, Record::QueueChanged(queue));
        }
        // Files that were being moved are moved to the end; the turn cannot be open beside that.
        self.order_move(cx);
        let turn = self.state.turn.clone();
        let dangling: Vec<MessageId> = self
            .state
            .messages
            .iter()
            .filter_map(|entry| entry.info.assistant())
            .filter(|answer| answer.time.completed.is_none())
            .map(|answer| answer.id.clone())
            .collect();
        if turn.is_none() && dangling.is_empty() && self.state.status == Status::Idle {
            return;
        }
        cx.durable();
        self.close_requests(cx);
        let error = TurnError::new(
            "MessageAbortedError",
            "The daemon ended during this turn. Resume to go on.",
        );
        cx.record(&mut self.state, Record::Failed(error.clone()));
        if let Some(turn) = &turn {
            self.answer_nothing(cx, turn, &error);
        }
        for message in dangling {
            self.close_open_parts(cx, &message);
            self.fail_open_calls(cx, &message, INTERRUPTED);
            let (now, error) = (cx.now, error.clone());
            self.change_answer(cx, &message, |answer| {
                answer.error = Some(error);
                answer.time.completed = Some(now);
            });
        }
        cx.status(&mut self.state, Status::Idle);
        cx.record(&mut self.state, Record::Idle);
        if let Some(turn) = turn {
            tracing::warn!(session = %self.state.info.id, prompt = %turn.prompt, "turn was interrupted by the end of the daemon");
            cx.record(
                &mut self.state,
                Record::TurnClosed(CloseReason::Interrupted),
            );
        }
        cx.head_always(&mut self.state);
    }

    /// A turn that ended before its first answer gets one that says so, for whoever looks at the prompt.
    fn answer_nothing(&mut self, cx: &mut Cx, turn: &TurnHead, error: &TurnError) {
        let user = self
            .state
            .entry(&turn.prompt)
            .and_then(|entry| entry.info.user());
        let Some(user) = user.filter(|_| self.state.last_answer(&turn.prompt).is_none()) else {
            return;
        };
        let id = cx.ids.message(cx.now);
        let mut answer = empty_answer(
            &self.state.info,
            id,
            turn.prompt.clone(),
            &user.agent,
            &user.model,
            cx.now,
        );
        answer.summary = matches!(turn.kind, TurnKind::Compaction(_));
        answer.error = Some(error.clone());
        answer.time.completed = Some(cx.now);
        cx.record(
            &mut self.state,
            Record::MessageUpdated(Box::new(Message::Assistant(answer))),
        );
    }

    fn close_open_parts(&mut self, cx: &mut Cx, message: &MessageId) {
        let Some(entry) = self.state.entry(message) else {
            return;
        };
        if !matches!(entry.info, Message::Assistant(_)) {
            return;
        }
        let parts: Vec<_> = entry
            .parts
            .iter()
            .map(|part| part.as_ref().clone())
            .collect();
        for mut part in parts {
            let time = match &mut part.body {
                PartBody::Text(text) => text.time.as_mut(),
                PartBody::Reasoning(reasoning) => Some(&mut reasoning.time),
                _ => None,
            };
            let Some(time) = time.filter(|time| time.end.is_none()) else {
                continue;
            };
            time.end = Some(cx.now);
            cx.record(&mut self.state, Record::PartUpdated(Box::new(part), cx.now));
        }
    }
}
