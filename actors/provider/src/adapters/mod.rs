//! The wires: how a request is written and how an answer is read, one folder for each protocol.
//!
//! To add one: a folder with `request.rs` and `decode.rs`, a variant in `kilo_ports::provider::Protocol` and one line
//! in each `match` of this file.

pub mod anthropic;
mod batch;
mod body;
pub(crate) mod lenient;
pub mod openai_chat;

pub use batch::Batch;
pub use body::Call;

use crate::errors;
use kilo_ports::provider::{ModelRequest, Protocol, ProviderError};

/// Writes `request` in the wire format of its model's protocol.
///
/// Errors: `InvalidRequest` for a model whose protocol nobody speaks yet, and for an address that is none.
pub fn call(request: &ModelRequest) -> Result<Call, ProviderError> {
    match request.model.protocol {
        Some(Protocol::OpenaiChat) => openai_chat::request::call(request),
        Some(Protocol::AnthropicMessages) => anthropic::request::call(request),
        None => Err(errors::unspoken(&request.model)),
    }
}

/// Reads the events of one answer.
#[derive(Debug)]
pub enum Decoder {
    /// OpenAI Chat Completions.
    OpenaiChat(openai_chat::decode::Decoder),
    /// Anthropic Messages.
    Anthropic(anthropic::decode::Decoder),
}

impl Decoder {
    /// A decoder for one answer in `protocol`.
    pub fn new(protocol: Protocol) -> Self {
        match protocol {
            Protocol::OpenaiChat => Self::OpenaiChat(Default::default()),
            Protocol::AnthropicMessages => Self::Anthropic(Default::default()),
        }
    }

    /// Takes the data of one event and appends what it means to `batch`.
    ///
    /// Errors: `Malformed` if it is no JSON of the protocol, and the provider's own error if the event is one.
    pub fn event(&mut self, data: &[u8], batch: &mut Batch) -> Result<(), ProviderError> {
        match self {
            Self::OpenaiChat(decoder) => decoder.event(data, batch),
            Self::Anthropic(decoder) => decoder.event(data, batch),
        }
    }

    /// The answer has all that it needs; what may still come is usage and an end mark.
    pub fn is_complete(&self) -> bool {
        match self {
            Self::OpenaiChat(decoder) => decoder.is_complete(),
            Self::Anthropic(decoder) => decoder.is_complete(),
        }
    }

    /// The end mark has come: nothing more will.
    pub fn is_done(&self) -> bool {
        match self {
            Self::OpenaiChat(decoder) => decoder.is_done(),
            Self::Anthropic(decoder) => decoder.is_done(),
        }
    }

    /// Ends an answer that is complete: closes what is open and appends `Chunk::Finish`.
    ///
    /// Errors: `ContextOverflow` when the answer is empty because nothing more fitted in.
    pub fn finish(&mut self, batch: &mut Batch) -> Result<(), ProviderError> {
        match self {
            Self::OpenaiChat(decoder) => decoder.finish(batch),
            Self::Anthropic(decoder) => decoder.finish(batch),
        }
    }
}
