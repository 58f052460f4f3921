//! How a turn ends whose last answer is whole: well, cut at the model's limit, refused, or without a word.

use super::{Cx, Machine};
use crate::record::{CloseReason, Record};
use crate::texts;
use kilo_protocol::MessageId;
use kilo_protocol::model::{PartBody, TextPart, TurnError};

/// The finish of an answer that reached the model's limit of output tokens.
const LENGTH: &str = "length";

/// The finish of an answer that the provider's filter or the model itself ended.
pub(super) const FILTERED: &str = "content-filter";

impl Machine {
    /// Tells people that the last answer was cut; its turn still ends well, since what there is of it is good.
    ///
    /// The part is `ignored`: for people, not for the model (seen: real server 7.7.9, recording `finish-length`).
    pub(super) fn note_cut(&mut self, cx: &mut Cx, answer: &MessageId, reason: &str) {
        let is_last = self
            .run
            .as_ref()
            .is_some_and(|run| run.calls.is_empty() && !run.is_compaction());
        if is_last && reason == LENGTH {
            let note = TextPart {
                text: texts::CUT_AT_LIMIT.into(),
                ignored: true,
                ..Default::default()
            };
            cx.part(&mut self.state, answer, PartBody::Text(note));
        }
    }

    /// Closes the turn: with an error if its last answer was refused or says nothing, for neither is a success.
    pub(super) fn end_turn(&mut self, cx: &mut Cx, answer: &MessageId, reason: &str) {
        let Some(error) = self.shortfall(answer, reason) else {
            return self.close_turn(cx, CloseReason::Completed);
        };
        cx.record(&mut self.state, Record::Failed(error.clone()));
        self.change_answer(cx, answer, |message| message.error = Some(error));
        self.close_turn(cx, CloseReason::Error);
    }

    fn shortfall(&self, answer: &MessageId, reason: &str) -> Option<TurnError> {
        // An answer that called a tool said something; a structured answer is such a call.
        if self.run.as_ref().is_none_or(|run| !run.calls.is_empty()) {
            return None;
        }
        if reason == FILTERED {
            return Some(TurnError::new("ContentFilterError", texts::FILTERED));
        }
        // One that spent all its tokens on thinking was told to be cut already.
        (reason != LENGTH && !self.says_something(answer))
            .then(|| TurnError::new("UnknownError", texts::NO_WORD))
    }

    /// Whether an answer has a text that is not blank.
    pub(super) fn says_something(&self, answer: &MessageId) -> bool {
        self.state.entry(answer).is_some_and(|entry| {
            entry.parts.iter().any(|part| match &part.body {
                PartBody::Text(text) => !text.ignored && !text.text.trim().is_empty(),
                _ => false,
            })
        })
    }
}
