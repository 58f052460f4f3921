//! A model asked beside the conversation, by a tool that needs an answer of its own.

use crate::provider::ModelMessage;

/// What a model is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Aside {
    /// A system text, if there is one.
    pub system: Option<String>,
    /// The messages, oldest first; never those of the session.
    pub messages: Vec<ModelMessage>,
    /// Tokens that may come out; the model's own limit counts too.
    pub output_max: u64,
    /// The temperature, where one is wanted.
    pub temperature: Option<f64>,
}

/// What it answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsideAnswer {
    /// Its text, without reasoning.
    pub text: String,
    /// Who it was: `provider/model`.
    pub model: String,
    /// The text ends because no more tokens were allowed.
    pub is_cut: bool,
}
