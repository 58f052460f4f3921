//! What a scripted model answers.

use serde_json::Value;
use std::time::Duration;

/// One piece of an answer.
#[derive(Clone, Debug)]
pub enum Step {
    /// A piece of text.
    Text(String),
    /// A tool call: name and arguments as they stand on the wire, good JSON or not.
    Call(String, String),
    /// Half a tool call: its name and the beginning of its arguments; nothing follows.
    HalfCall(String, String),
    /// Bytes as they are.
    Raw(String),
    /// A pause.
    Pause(Duration),
    /// Waits until the test opens this gate.
    Gate(String),
    /// Closes the connection in the middle of the answer.
    Drop,
    /// Ends the answer without a finish, and the connection in order.
    End,
    /// Says nothing more until the caller goes away.
    Stall,
}

/// One answer of the model.
#[derive(Clone, Debug)]
pub struct Turn {
    pub(crate) steps: Vec<Step>,
    pub(crate) error: Option<(u16, String)>,
}

impl Turn {
    /// An answer of these steps.
    pub fn of(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            error: None,
        }
    }

    /// A text.
    pub fn text(text: &str) -> Self {
        Self::of([Step::Text(text.into())])
    }

    /// One tool call.
    pub fn call(name: &str, arguments: &Value) -> Self {
        Self::of([Step::Call(name.into(), arguments.to_string())])
    }

    /// A refusal.
    pub fn error(status: u16, message: &str) -> Self {
        let body = serde_json::json!({"error": {"message": message, "type": "test_error"}});
        Self {
            steps: Vec::new(),
            error: Some((status, body.to_string())),
        }
    }

    /// `count` pieces `PREFIX.N `, each after `pause`.
    pub fn stream(prefix: &str, count: usize, pause: Duration) -> Self {
        Self::of((0..count).flat_map(|n| [Step::Pause(pause), Step::Text(Self::piece(prefix, n))]))
    }

    /// The same at once, then silence until the gate opens, then the end.
    pub fn held(prefix: &str, count: usize, gate: &str) -> Self {
        let pieces = (0..count).map(|n| Step::Text(Self::piece(prefix, n)));
        Self::of(pieces.chain([Step::Gate(gate.into()), Step::Text("end".into())]))
    }

    /// A piece of [`Turn::stream`].
    pub fn piece(prefix: &str, n: usize) -> String {
        format!("{prefix}.{n} ")
    }
}
