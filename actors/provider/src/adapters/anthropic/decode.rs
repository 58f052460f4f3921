//! Reads an answer of the Messages protocol.

use crate::adapters::batch::Batch;
use crate::adapters::lenient::{self, Count, Many, Text};
use crate::errors;
use kilo_ports::provider::{Chunk, ProviderError};
use kilo_protocol::model::{CacheTokens, Tokens};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// What is read of one event, whatever its type.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
    #[serde(default)]
    index: Count,
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    content_block: Option<Block<'a>>,
    #[serde(default)]
    message: Option<Message>,
    #[serde(default)]
    usage: Option<Usage>,
    #[serde(default)]
    error: Option<IgnoredAny>,
    /// The whole answer, from servers that do not stream.
    #[serde(borrow, default)]
    content: Many<Block<'a>>,
    #[serde(borrow, default)]
    stop_reason: Text<'a>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(borrow, default)]
    thinking: Text<'a>,
    #[serde(borrow, default)]
    signature: Text<'a>,
    #[serde(borrow, default)]
    partial_json: Text<'a>,
    #[serde(borrow, default)]
    stop_reason: Text<'a>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(borrow, default)]
    thinking: Text<'a>,
    #[serde(borrow, default)]
    signature: Text<'a>,
    #[serde(borrow, default)]
    data: Text<'a>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Usage {
    input_tokens: Count,
    output_tokens: Count,
    cache_read_input_tokens: Count,
    cache_creation_input_tokens: Count,
}

/// A block that has begun and not ended.
#[derive(Debug)]
enum Open {
    Text,
    Thinking {
        signature: String,
    },
    Redacted {
        data: String,
    },
    /// `whole` holds arguments that came with the begin, in case that no piece follows.
    Call {
        index: usize,
        whole: Option<String>,
        filled: bool,
    },
    Other,
}

/// The most blocks in one answer; what goes beyond is left out.
const BLOCKS_MAX: usize = 1_024;

/// Reads one answer.
#[derive(Debug, Default)]
pub struct Decoder {
    open: Vec<(u64, Open)>,
    calls: usize,
    blocks: usize,
    reason: Option<&'static str>,
    input: u64,
    output: Option<u64>,
    cache: CacheTokens,
    done: bool,
}

impl Decoder {
    /// See [`crate::adapters::Decoder::event`].
    pub fn event(&mut self, data: &[u8], batch: &mut Batch) -> Result<(), ProviderError> {
        let data = data.trim_ascii();
        if data.is_empty() || data == b"[DONE]" || self.done {
            return Ok(());
        }
        let mut mended = Vec::new();
        let event: Event = lenient::read(data, &mut mended)?;
        let doubtful = event.error.is_some() || matches!(event.kind.0.as_ref(), "" | "error");
        if doubtful && let Some(error) = errors::instead_of_answer(data) {
            return Err(error);
        }
        let index = event.index.or_zero();
        match event.kind.0.as_ref() {
            "content_block_delta" => {
                if let Some(delta) = event.delta {
                    self.delta(index, delta, batch);
                }
            }
            "content_block_start" => {
                if let Some(block) = event.content_block {
                    self.begin(index, block, batch);
                }
            }
            "content_block_stop" => self.end(index, batch),
            "message_start" => self.count(event.message.and_then(|message| message.usage)),
            "message_delta" => {
                self.count(event.usage);
                if let Some(delta) = event.delta {
                    self.stop_reason(&delta.stop_reason.0)?;
                }
            }
            "message_stop" => self.done = true,
            "message" => {
                self.count(event.usage);
                for (index, block) in (0..).zip(event.content.0) {
                    self.begin(index, block, batch);
                    self.end(index, batch);
                }
                self.stop_reason(&event.stop_reason.0)?;
            }
            _ => {} // pings, and what the protocol may add
        }
        Ok(())
    }

    /// See [`crate::adapters::Decoder::is_complete`].
    pub fn is_complete(&self) -> bool {
        self.done || self.reason.is_some()
    }

    /// See [`crate::adapters::Decoder::is_done`].
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// See [`crate::adapters::Decoder::finish`].
    pub fn finish(&mut self, batch: &mut Batch) -> Result<(), ProviderError> {
        // A stream that ends without closing its blocks still had them whole.
        while let Some(&(index, _)) = self.open.first() {
            self.end(index, batch);
        }
        let reason = match self.reason.unwrap_or("unknown") {
            "stop" | "unknown" if self.calls > 0 => "tool-calls",
            reason => reason,
        };
        if reason == "length" && self.blocks == 0 && self.output == Some(0) {
            return Err(errors::no_room());
        }
        let output = self.output.unwrap_or(0);
        let tokens = Tokens {
            total: Some(self.input + output + self.cache.read + self.cache.write),
            input: self.input,
            output,
            reasoning: 0,
            cache: self.cache.clone(),
        };
        batch.push(Chunk::Finish {
            reason: reason.to_owned(),
            tokens,
        });
        Ok(())
    }

    fn begin(&mut self, index: u64, block: Block, batch: &mut Batch) {
        self.end(index, batch); // a begin without an end before it
        if self.blocks >= BLOCKS_MAX {
            return;
        }
        self.blocks += 1;
        let open = match block.kind.0.as_ref() {
            "text" => {
                batch.text(&block.text.0);
                Open::Text
            }
            "thinking" => {
                batch.reasoning(&block.thinking.0);
                Open::Thinking {
                    signature: block.signature.0.into_owned(),
                }
            }
            "redacted_thinking" => Open::Redacted {
                data: block.data.0.into_owned(),
            },
            "tool_use" => self.call(block, batch),
            _ => Open::Other, // what the provider's own tools do
        };
        self.open.push((index, open));
    }

    fn call(&mut self, block: Block, batch: &mut Batch) -> Open {
        let index = self.calls;
        self.calls += 1;
        let id = match block.id.0.as_ref() {
            "" => lenient::made_id(),
            id => id.to_owned(),
        };
        let name = block.name.0.into_owned();
        batch.push(Chunk::ToolStart { index, id, name });
        // The begin holds `{}` where pieces follow, and the arguments themselves from servers that send no pieces.
        let whole = block
            .input
            .map(RawValue::get)
            .filter(|raw| raw.starts_with('{') && *raw != "{}");
        Open::Call {
            index,
            whole: whole.map(str::to_owned),
            filled: false,
        }
    }

    /// Some gateways leave out the begin of a block; its first piece tells what it is. A call cannot be had so, for
    /// nobody knows its name.
    fn begin_without_word(&mut self, at: u64, delta: &Delta) {
        let open = if !delta.text.is_empty() {
            Open::Text
        } else if !delta.thinking.is_empty() {
            Open::Thinking {
                signature: String::new(),
            }
        } else {
            return;
        };
        if self.blocks < BLOCKS_MAX {
            self.blocks += 1;
            self.open.push((at, open));
        }
    }

    fn delta(&mut self, at: u64, delta: Delta, batch: &mut Batch) {
        if !self.open.iter().any(|(index, _)| *index == at) {
            self.begin_without_word(at, &delta);
        }
        let Some((_, open)) = self.open.iter_mut().find(|(index, _)| *index == at) else {
            return;
        };
        match open {
            Open::Text => batch.text(&delta.text.0),
            Open::Thinking { signature } => {
                batch.reasoning(&delta.thinking.0);
                signature.push_str(&delta.signature.0);
            }
            Open::Call { index, filled, .. } => {
                *filled |= !delta.partial_json.is_empty();
                batch.arguments(*index, &delta.partial_json.0);
            }
            Open::Redacted { .. } | Open::Other => {}
        }
    }

    fn end(&mut self, at: u64, batch: &mut Batch) {
        let Some(place) = self.open.iter().position(|(index, _)| *index == at) else {
            return;
        };
        match self.open.remove(place).1 {
            Open::Text => batch.push(Chunk::TextEnd),
            Open::Thinking { signature } => {
                let metadata = (!signature.is_empty()).then(|| metadata("signature", signature));
                batch.push(Chunk::ReasoningEnd(metadata));
            }
            Open::Redacted { data } => {
                batch.push(Chunk::ReasoningEnd(Some(metadata("redactedData", data))));
            }
            Open::Call {
                index,
                whole,
                filled,
            } => {
                if !filled && let Some(whole) = whole {
                    batch.arguments(index, &whole);
                }
                batch.push(Chunk::ToolEnd { index });
            }
            Open::Other => {}
        }
    }

    fn count(&mut self, usage: Option<Usage>) {
        let Some(usage) = usage else { return };
        // Later counts are sums, not additions; some gateways send zeros first or last.
        let newer = |count: Count, before: u64| count.0.filter(|new| *new > 0).unwrap_or(before);
        self.input = newer(usage.input_tokens, self.input);
        self.cache.read = newer(usage.cache_read_input_tokens, self.cache.read);
        self.cache.write = newer(usage.cache_creation_input_tokens, self.cache.write);
        self.output = usage.output_tokens.0.or(self.output);
    }

    fn stop_reason(&mut self, wire: &str) -> Result<(), ProviderError> {
        self.reason = match wire {
            "" => return Ok(()),
            "end_turn" | "stop_sequence" | "pause_turn" | "stop" => Some("stop"),
            "max_tokens" => Some("length"),
            "tool_use" => Some("tool-calls"),
            "refusal" => Some("content-filter"),
            "model_context_window_exceeded" => return Err(errors::no_room()),
            _ => Some("other"),
        };
        Ok(())
    }
}

fn metadata(key: &str, value: String) -> Map<String, Value> {
    let mut metadata = Map::new();
    metadata.insert("anthropic".into(), json!({key: value}));
    metadata
}
