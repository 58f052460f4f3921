//! Provider trouble: retries, the lost network, the conversation that does not fit.

use super::{Cx, Machine};
use crate::input::Effect;
use crate::record::{CloseReason, Record};
use kilo_ports::provider::{ErrorClass, ProviderError, RETRY_WAIT_MAX_MS};
use kilo_protocol::QuestionId;
use kilo_protocol::model::{Created, NetworkRequest, Status};

/// Tries after the first one.
const RETRIES_MAX: u32 = 5;

impl Machine {
    /// A model call failed.
    pub(super) fn stream_failed(&mut self, cx: &mut Cx, error: ProviderError) {
        let Some(run) = &mut self.run else { return };
        // No call is under way: a second word about one that has failed already.
        if run.finish.is_some() || self.state.status != Status::Busy {
            return;
        }
        let began = run.first_chunk.is_some();
        let called = !run.calls.is_empty();
        cx.durable();
        match error.class {
            ErrorClass::Aborted => {}
            // Local servers notice in the middle of an answer that it no longer fits.
            ErrorClass::ContextOverflow if !called => self.overflow(cx, error),
            ErrorClass::Network if !began => self.go_offline(cx, error),
            _ if error.is_retryable() && !began && run.tries < RETRIES_MAX => {
                run.tries += 1;
                let (stamp, attempt) = (run.stamp, run.tries);
                let wait = retry_delay_ms(attempt, error.retry_after_ms, cx.now);
                let next = cx.now + wait;
                cx.status(
                    &mut self.state,
                    Status::Retry {
                        attempt,
                        message: with_wish(error.message, error.retry_after_ms),
                        next,
                    },
                );
                cx.effect(Effect::RetryAfter(stamp, wait));
            }
            _ => self.fail_turn(cx, error.to_turn_error()),
        }
    }

    fn overflow(&mut self, cx: &mut Cx, error: ProviderError) {
        let Some(run) = &self.run else { return };
        if run.compacted || run.is_compaction() {
            return self.fail_turn(cx, error.to_turn_error());
        }
        let failed = error.to_turn_error();
        cx.record(&mut self.state, Record::Failed(failed.clone()));
        self.finish_message(cx, Some(failed), "");
        self.compact_and_go_on(cx, true);
    }

    fn go_offline(&mut self, cx: &mut Cx, error: ProviderError) {
        let Some(run) = &self.run else { return };
        let stamp = run.stamp;
        let id = cx.ids.question(cx.now);
        let request = NetworkRequest {
            id: id.clone(),
            session_id: self.state.info.id.clone(),
            message: error.message.clone(),
            restored: false,
            time: Created { created: cx.now },
        };
        cx.record(&mut self.state, Record::NetworkAsked(Box::new(request)));
        cx.status(
            &mut self.state,
            Status::Offline {
                request_id: id.clone(),
                message: error.message,
            },
        );
        cx.effect(Effect::WatchNetwork(stamp, id));
    }

    /// The network is back, or a person decided.
    pub(super) fn network(&mut self, cx: &mut Cx, request: Option<QuestionId>, again: bool) {
        let Some(open) = self.state.network.clone() else {
            return;
        };
        if request.is_some_and(|request| request != open.id) {
            return;
        }
        cx.record(&mut self.state, Record::NetworkAnswered(open.id, again));
        if again {
            self.call_again(cx);
        } else {
            let error = ProviderError::new(ErrorClass::Network, open.message);
            cx.record(&mut self.state, Record::Failed(error.to_turn_error()));
            self.finish_message(cx, Some(error.to_turn_error()), "");
            self.close_turn(cx, CloseReason::Error);
        }
    }

    /// The wait before the next try is over.
    pub(super) fn retry(&mut self, cx: &mut Cx) {
        if matches!(self.state.status, Status::Retry { .. }) {
            self.call_again(cx);
        }
    }

    /// Makes the same model call again.
    fn call_again(&mut self, cx: &mut Cx) {
        let Some(run) = &self.run else { return };
        let Some(answer) = run.answer.clone() else {
            return;
        };
        let (stamp, call) = (run.stamp, run.model_call(answer));
        cx.status(&mut self.state, Status::Busy);
        cx.effect(Effect::CallModel(stamp, call));
    }
}

/// How long to wait before try `attempt`: what the provider asked for, up to [`RETRY_WAIT_MAX_MS`], else 2 s doubled
/// each time up to 30 s, with up to a quarter more by chance (the low digits of the clock serve as chance).
fn retry_delay_ms(attempt: u32, asked_ms: Option<u64>, now: u64) -> u64 {
    // A wish of 0, such as a date that has passed, is none: five tries at once would help nobody.
    if let Some(asked) = asked_ms.filter(|asked| *asked > 0) {
        return asked.min(RETRY_WAIT_MAX_MS);
    }
    let base = 2_000u64
        .saturating_mul(1 << (attempt - 1).min(10))
        .min(30_000);
    base + base / 4 * (now % 101) / 100
}

/// The provider's sentence; where it asks for more patience than we have, what it asks for and what is done instead.
fn with_wish(message: String, asked_ms: Option<u64>) -> String {
    match asked_ms {
        Some(asked) if asked > RETRY_WAIT_MAX_MS => format!(
            "{message} (it asks for a pause of {}; the longest pause taken is {})",
            in_words(asked),
            in_words(RETRY_WAIT_MAX_MS)
        ),
        _ => message,
    }
}

/// A span in its largest whole unit, rounded up: `5 min`, `12 h`, `11575 days`.
fn in_words(ms: u64) -> String {
    const MINUTE: u64 = 60_000;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match ms {
        ..HOUR => format!("{} min", ms.div_ceil(MINUTE)),
        HOUR..DAY => format!("{} h", ms.div_ceil(HOUR)),
        DAY.. => format!("{} days", ms.div_ceil(DAY)),
    }
}
