//! The shapes of a chat answer's events.

use super::content::Content;
use super::usage::Usage;
use crate::adapters::lenient::{Count, First, Many, Text};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// What is read of one event. Everything else is skipped over.
#[derive(Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow, default)]
    pub choices: First<Choice<'a>>,
    #[serde(default)]
    pub usage: Option<Usage>,
    #[serde(default)]
    pub error: Option<IgnoredAny>,
    #[serde(default)]
    pub x_groq: Option<Groq>,
}

impl Event<'_> {
    /// It may be an error: it has one, or nothing of an answer. Then it deserves a closer look.
    pub fn is_doubtful(&self) -> bool {
        let no_answer = self.usage.is_none() && self.x_groq.is_none();
        self.error.is_some()
            || match &self.choices.0 {
                None => no_answer,
                Some(choice) => choice.is_doubtful(),
            }
    }
}

#[derive(Deserialize)]
pub(super) struct Groq {
    #[serde(default)]
    pub usage: Option<Usage>,
}

#[derive(Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(borrow, default)]
    pub delta: Option<Delta<'a>>,
    /// The whole message, from servers that do not stream.
    #[serde(borrow, default)]
    pub message: Option<Delta<'a>>,
    #[serde(borrow, default)]
    pub finish_reason: Text<'a>,
    #[serde(default)]
    pub usage: Option<Usage>,
    #[serde(default)]
    pub error: Option<IgnoredAny>,
}

impl Choice<'_> {
    fn is_doubtful(&self) -> bool {
        let deltas = [&self.delta, &self.message];
        self.error.is_some()
            || deltas
                .into_iter()
                .flatten()
                .any(|delta| delta.error.is_some())
    }
}

#[derive(Deserialize)]
pub(super) struct Delta<'a> {
    #[serde(borrow, default)]
    pub content: Content<'a>,
    #[serde(borrow, default)]
    pub reasoning_content: Text<'a>,
    #[serde(borrow, default)]
    pub reasoning: Text<'a>,
    #[serde(borrow, default)]
    pub reasoning_text: Text<'a>,
    #[serde(borrow, default)]
    pub thinking: Text<'a>,
    #[serde(borrow, default)]
    pub reasoning_details: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub refusal: Text<'a>,
    #[serde(borrow, default)]
    pub tool_calls: Many<CallDelta<'a>>,
    /// What calls were before there could be several.
    #[serde(borrow, default)]
    pub function_call: Option<FunctionDelta<'a>>,
    #[serde(default)]
    pub error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
pub(super) struct CallDelta<'a> {
    #[serde(default)]
    pub index: Count,
    #[serde(borrow, default)]
    pub id: Text<'a>,
    #[serde(borrow, default)]
    pub function: Option<FunctionDelta<'a>>,
}

#[derive(Deserialize)]
pub(super) struct FunctionDelta<'a> {
    #[serde(borrow, default)]
    pub name: Text<'a>,
    #[serde(borrow, default)]
    pub arguments: Option<&'a RawValue>,
}
