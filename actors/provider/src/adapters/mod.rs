//! The wires: how a request is written and how an answer is read, one folder for each protocol.
//!
//! To add one: a folder with `request.rs` and `decode.rs`, a variant in `kilo_ports::provider::Protocol` and one line
//! in each `match` of this file.

pub mod anthropic;
mod body;
pub(crate) mod lenient;
pub mod openai_chat;

use crate::errors;
use kilo_ports::provider::{Chunk, ModelRequest, Protocol, ProviderError};
use serde::Deserialize;

/// A request, ready to send.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The whole address.
    pub url: String,
    /// The protocol's own headers, the key among them.
    pub headers: Vec<(String, String)>,
    /// The body as JSON.
    pub body: Vec<u8>,
}

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

/// Reads an event of a protocol; what it borrows lies in `data`, or in `mended` where `data` had to be mended first.
///
/// Errors: the provider's own if it sent one that is no event of the protocol, else `Malformed`.
fn read<'a, T: Deserialize<'a>>(
    data: &'a [u8],
    mended: &'a mut Vec<u8>,
) -> Result<T, ProviderError> {
    let first = match serde_json::from_slice(data) {
        Ok(event) => return Ok(event),
        Err(error) => error,
    };
    if let Some(better) = kilo_protocol::json::mend(data) {
        *mended = better;
        if let Ok(event) = serde_json::from_slice(mended) {
            return Ok(event);
        }
    }
    Err(errors::instead_of_answer(data).unwrap_or_else(|| errors::malformed(data, &first)))
}

/// Chunks of a read that stay as the provider sent them. A reader sees them one by one, as at reading speed; what comes
/// after them in the same read came too fast to be seen apart and is joined.
const APART: usize = 4;

/// The chunks of one read; neighbouring pieces of the same kind are joined after the first few.
#[derive(Debug, Default)]
pub struct Batch {
    chunks: Vec<Chunk>,
}

impl Batch {
    /// Appends text.
    pub fn text(&mut self, piece: &str) {
        let joins = self.chunks.len() >= APART;
        if joins && let Some(Chunk::Text(text)) = self.chunks.last_mut() {
            text.push_str(piece);
        } else if !piece.is_empty() {
            self.chunks.push(Chunk::Text(piece.to_owned()));
        }
    }

    /// Appends reasoning.
    pub fn reasoning(&mut self, piece: &str) {
        let joins = self.chunks.len() >= APART;
        if joins && let Some(Chunk::Reasoning(text)) = self.chunks.last_mut() {
            text.push_str(piece);
        } else if !piece.is_empty() {
            self.chunks.push(Chunk::Reasoning(piece.to_owned()));
        }
    }

    /// Appends a piece of the arguments of call `index`.
    pub fn arguments(&mut self, index: usize, piece: &str) {
        if let Some(Chunk::ToolDelta {
            index: last,
            arguments,
        }) = self.chunks.last_mut()
            && *last == index
        {
            arguments.push_str(piece);
        } else if !piece.is_empty() {
            self.chunks.push(Chunk::ToolDelta {
                index,
                arguments: piece.to_owned(),
            });
        }
    }

    /// Appends any other chunk.
    pub fn push(&mut self, chunk: Chunk) {
        self.chunks.push(chunk);
    }

    /// There is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Takes the chunks out.
    pub fn take(&mut self) -> Vec<Chunk> {
        std::mem::take(&mut self.chunks)
    }
}
