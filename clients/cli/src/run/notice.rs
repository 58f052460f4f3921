//! What happens in a run beside its answer, for people as a sentence and for programs as a line of JSON.
//!
//! The lines are listed in `docs/run.md`.

use crate::time::now;
use kilo_protocol::Millis;
use kilo_protocol::model::{NetworkRequest, PermissionRequest, QuestionRequest};
use serde_json::{Value, json};

/// Something that whoever watches should know.
#[derive(Clone, Copy, Debug)]
pub enum Notice<'a> {
    /// The provider refused, and is asked again at `next`.
    Retry {
        /// Which try it was, from 1.
        attempt: u32,
        /// What the provider said.
        message: &'a str,
        /// When it is asked again.
        next: Millis,
    },
    /// The provider cannot be reached; the run waits for it, or it ends.
    Network {
        /// The wait.
        request: &'a NetworkRequest,
        /// The run waits.
        waits: bool,
    },
    /// The model asked something, and nobody is here to answer.
    Dismissed(&'a QuestionRequest),
    /// A call needed permission, and a flag decided.
    Decided {
        /// What was asked.
        request: &'a PermissionRequest,
        /// It was allowed.
        allowed: bool,
    },
    /// The conversation did not fit and was summarised.
    Compacted,
    /// The provider did not accept the key.
    Key {
        /// The provider's id.
        provider: &'a str,
    },
}

impl Notice<'_> {
    /// The name of its line, and of the key that has its facts.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Retry { .. } => "retry",
            Self::Network { .. } => "network",
            Self::Dismissed(_) => "question",
            Self::Decided { .. } => "permission",
            Self::Compacted => "compaction",
            Self::Key { .. } => "hint",
        }
    }

    /// Its facts.
    pub fn facts(&self) -> Value {
        match self {
            Self::Retry {
                attempt,
                message,
                next,
            } => json!({"attempt": attempt, "message": message, "next": next}),
            Self::Network { request, waits } => {
                json!({"id": request.id, "message": request.message, "waits": waits})
            }
            Self::Dismissed(request) => {
                json!({"id": request.id, "questions": request.questions, "answer": "dismissed"})
            }
            Self::Decided { request, allowed } => json!({
                "id": request.id,
                "permission": request.permission,
                "patterns": request.patterns,
                "answer": if *allowed { "once" } else { "reject" },
            }),
            Self::Compacted => json!({"message": self.sentence()}),
            Self::Key { provider } => json!({"message": self.sentence(), "providerID": provider}),
        }
    }

    /// The same in words.
    pub fn sentence(&self) -> String {
        match self {
            Self::Retry {
                attempt,
                message,
                next,
            } => {
                let wait_s = next.saturating_sub(now()).div_ceil(1_000);
                format!(
                    "the provider refused (attempt {attempt}): {message}; trying again in {wait_s} s"
                )
            }
            Self::Network { request, waits } => {
                let then = if *waits {
                    "waiting up to 10 min"
                } else {
                    "not waiting, for --auto was not given"
                };
                format!(
                    "the provider cannot be reached: {}; {then}",
                    request.message
                )
            }
            Self::Dismissed(_) => {
                "a question was dismissed, for nobody is here to answer it".into()
            }
            Self::Decided { request, allowed } => {
                let why = if *allowed {
                    "allowed, for --auto was given"
                } else {
                    "refused, for nobody is here to be asked"
                };
                let patterns = request.patterns.join(", ");
                format!("{} ({patterns}): {why}", request.permission)
            }
            Self::Compacted => {
                "the conversation was summarised, for it did not fit the model any more".into()
            }
            Self::Key { provider } => format!(
                "the key was not accepted: `kilo auth login {provider}` stores another one; a key in kilo.json goes before it"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notice_has_a_line_of_its_own() {
        let network: NetworkRequest = serde_json::from_value(
            json!({"id": "que_1", "sessionID": "ses_1", "message": "connection refused", "restored": false, "time": {"created": 1}}),
        )
        .expect("a request");
        let question: QuestionRequest = serde_json::from_value(
            json!({"id": "que_2", "sessionID": "ses_1", "questions": [{"question": "Which?"}]}),
        )
        .expect("a request");
        let permission: PermissionRequest = serde_json::from_value(
            json!({"id": "per_1", "sessionID": "ses_1", "permission": "bash", "patterns": ["make"], "metadata": {}, "always": []}),
        )
        .expect("a request");
        let all = [
            Notice::Retry {
                attempt: 2,
                message: "busy",
                next: 7,
            },
            Notice::Network {
                request: &network,
                waits: true,
            },
            Notice::Dismissed(&question),
            Notice::Decided {
                request: &permission,
                allowed: false,
            },
            Notice::Compacted,
            Notice::Key { provider: "openai" },
        ];
        let lines: Vec<_> = all
            .iter()
            .map(|notice| (notice.kind(), notice.facts()))
            .collect();
        assert_eq!(
            lines,
            [
                ("retry", json!({"attempt": 2, "message": "busy", "next": 7})),
                (
                    "network",
                    json!({"id": "que_1", "message": "connection refused", "waits": true})
                ),
                (
                    "question",
                    json!({"id": "que_2", "questions": [{"question": "Which?"}], "answer": "dismissed"})
                ),
                (
                    "permission",
                    json!({"id": "per_1", "permission": "bash", "patterns": ["make"], "answer": "reject"})
                ),
                ("compaction", json!({"message": all[4].sentence()})),
                (
                    "hint",
                    json!({"message": all[5].sentence(), "providerID": "openai"})
                ),
            ]
        );
        assert!(all.iter().all(|notice| !notice.sentence().is_empty()));
    }
}
