//! A scripted model: what one call streams, chosen by chance.

use crate::chance::Chance;
use kilo_ports::provider::{Chunk, ErrorClass, ModelInfo, Price, Protocol, ProviderError};
use kilo_protocol::model::Tokens;
use kilo_session::input::{Input, ModelCall, Stamp};
use kilo_session::record::TurnKind;
use std::collections::VecDeque;

/// A model call under way.
pub struct Stream {
    pub stamp: Stamp,
    pub call: ModelCall,
    /// The machine was told of it.
    pub opened: bool,
    pub script: VecDeque<Piece>,
}

pub enum Piece {
    Chunks(Vec<Chunk>),
    Fails(ErrorClass),
}

impl Stream {
    pub fn new(
        chance: &mut Chance,
        stamp: Stamp,
        call: ModelCall,
        calls: &mut usize,
        calm: bool,
    ) -> Self {
        let script = if calm {
            plain(chance)
        } else {
            script(chance, &call, calls)
        };
        Self {
            stamp,
            call,
            opened: false,
            script,
        }
    }

    /// The next input of the stream; `None` when it is over.
    pub fn next(&mut self) -> Option<Input> {
        Some(match self.script.pop_front()? {
            Piece::Chunks(chunks) => Input::Chunks(self.stamp, chunks),
            Piece::Fails(class) => {
                Input::StreamFailed(self.stamp, ProviderError::new(class, "trouble"))
            }
        })
    }
}

fn plain(chance: &mut Chance) -> VecDeque<Piece> {
    VecDeque::from([
        Piece::Chunks(vec![Chunk::Text("At last.".into())]),
        Piece::Chunks(vec![finish(chance)]),
    ])
}

fn script(chance: &mut Chance, call: &ModelCall, calls: &mut usize) -> VecDeque<Piece> {
    if chance.percent(15) {
        let classes = [
            ErrorClass::Overloaded,
            ErrorClass::RateLimited,
            ErrorClass::Stalled,
            ErrorClass::Network,
            ErrorClass::Network,
            ErrorClass::ContextOverflow,
            ErrorClass::ContextOverflow,
            ErrorClass::Auth,
        ];
        return VecDeque::from([Piece::Fails(chance.pick(&classes))]);
    }
    let mut pieces = VecDeque::new();
    let mut index = 0;
    for _ in 0..chance.below(5) {
        let mut chunks = Vec::new();
        for _ in 0..=chance.below(3) {
            piece(
                chance,
                &mut chunks,
                &mut index,
                calls,
                call.kind == TurnKind::Prompt,
            );
        }
        pieces.push_back(Piece::Chunks(chunks));
    }
    if chance.percent(10) {
        pieces.push_back(Piece::Fails(chance.pick(&[
            ErrorClass::StreamCut,
            ErrorClass::Stalled,
            ErrorClass::Malformed,
        ])));
    } else {
        pieces.push_back(Piece::Chunks(vec![finish(chance)]));
    }
    pieces
}

fn piece(
    chance: &mut Chance,
    chunks: &mut Vec<Chunk>,
    index: &mut usize,
    calls: &mut usize,
    may_call: bool,
) {
    match chance.below(if may_call { 8 } else { 5 }) {
        0 => chunks.push(Chunk::Reasoning("hm ".into())),
        1 => chunks.push(Chunk::ReasoningEnd(None)),
        2 => chunks.push(Chunk::TextEnd),
        3 | 4 => chunks.push(Chunk::Text("word ".into())),
        _ => {
            let new_id = *calls == 0 || !chance.percent(5);
            *calls += usize::from(new_id);
            let tools = [
                "bash", "bash", "edit", "read", "read", "question", "nothing",
            ];
            let arguments = ["{}", r#"{"a":1}"#, r#"{"a":1}"#, r#"{"b":"#, "[]", ""];
            chunks.push(Chunk::ToolStart {
                index: *index,
                id: format!("c{calls}"),
                name: chance.pick(&tools).into(),
            });
            chunks.push(Chunk::ToolDelta {
                index: *index,
                arguments: chance.pick(&arguments).into(),
            });
            if chance.percent(70) {
                chunks.push(Chunk::ToolEnd { index: *index });
            }
            *index += 1;
        }
    }
}

fn finish(chance: &mut Chance) -> Chunk {
    let input = if chance.percent(15) { 5_000 } else { 100 };
    Chunk::Finish {
        reason: "stop".into(),
        tokens: Tokens {
            input,
            output: 10,
            ..Default::default()
        },
    }
}

pub fn model() -> ModelInfo {
    ModelInfo {
        provider_id: "fake".into(),
        model_id: "m".into(),
        api_id: "m".into(),
        name: "M".into(),
        protocol: Some(Protocol::OpenaiChat),
        npm: String::new(),
        base_url: String::new(),
        api_key: None,
        headers: Vec::new(),
        context: 100_000,
        input_limit: None,
        output: 8_000,
        tool_call: true,
        reasoning: true,
        temperature: true,
        images: false,
        pdf: false,
        cost: Price {
            input: 1.0,
            output: 2.0,
            ..Default::default()
        },
        interleaved: None,
        options: Default::default(),
        first_byte_ms: 1,
        gap_ms: 1,
    }
}
