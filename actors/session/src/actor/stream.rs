//! The provider's stream, read as fast as the machine takes it.

use super::SessionActor;
use crate::input::{Input, Stamp};
use actix::prelude::*;
use kilo_ports::provider::{Chunk, ChunkBatch, ErrorClass, ProviderError};
use kilo_runtime::{Handling, limits};
use tokio::sync::mpsc;

/// What one wake-up took from the provider's stream.
pub struct Streamed {
    stamp: Stamp,
    /// Of this model call.
    number: u64,
    batches: Vec<ChunkBatch>,
    /// The channel closed although nobody had said how the answer ends.
    broke_off: bool,
}

/// A stream on its way: `ended` once its end or its failure was said.
struct Reading {
    receiver: mpsc::Receiver<ChunkBatch>,
    ended: bool,
}

impl SessionActor {
    /// Reads the stream once the machine takes chunks.
    pub(super) fn read_stream(&mut self, ctx: &mut Context<Self>) {
        if !self.machine.takes_chunks() {
            return;
        }
        let Some((stamp, receiver)) = self.stream.take() else {
            return;
        };
        let number = self.model_calls;
        let reading = Reading {
            receiver,
            ended: false,
        };
        ctx.add_stream(futures_util::stream::unfold(
            Some(reading),
            move |reading| async move {
                let mut reading = reading?;
                let mut batches = Vec::new();
                let most = limits::BATCHES_AT_ONCE;
                let count = reading.receiver.recv_many(&mut batches, most).await;
                let broke_off = count == 0 && !reading.ended;
                if count == 0 && !broke_off {
                    return None;
                }
                reading.ended |= batches.iter().any(says_the_end);
                let item = Streamed {
                    stamp,
                    number,
                    batches,
                    broke_off,
                };
                Some((item, (!broke_off).then_some(reading)))
            },
        ));
    }
}

fn says_the_end(batch: &ChunkBatch) -> bool {
    match batch {
        Ok(chunks) => chunks
            .iter()
            .any(|chunk| matches!(chunk, Chunk::Finish { .. })),
        Err(_) => true,
    }
}

impl StreamHandler<Streamed> for SessionActor {
    fn handle(&mut self, item: Streamed, ctx: &mut Self::Context) {
        let _handling = Handling::of("Streamed");
        // A stream that was closed may have pieces on the way: they are not the newer call's.
        if item.number != self.model_calls || self.model.is_cancelled() {
            return;
        }
        let mut chunks: Vec<Chunk> = Vec::new();
        let mut failed = item.broke_off.then(broke_off);
        let pieces: usize = item.batches.iter().flatten().map(Vec::len).sum();
        let joins = pieces > limits::PIECES_APART;
        for batch in item.batches {
            match batch {
                Ok(batch) => batch
                    .into_iter()
                    .for_each(|chunk| join(&mut chunks, chunk, joins)),
                Err(error) => failed = Some(error),
            }
        }
        // A whole answer cannot fail any more.
        if chunks
            .iter()
            .any(|chunk| matches!(chunk, Chunk::Finish { .. }))
        {
            failed = None;
        }
        if !chunks.is_empty() && self.take(Input::Chunks(item.stamp, chunks), ctx).is_err() {
            return;
        }
        if let Some(error) = failed {
            let _ = self.take(Input::StreamFailed(item.stamp, error), ctx);
        }
    }

    /// How the stream ended was said by its last item. The actor goes on without it: `finished` would stop it.
    fn finished(&mut self, _: &mut Self::Context) {}
}

/// The task that reads the provider went without a word: it panicked, or was dropped.
fn broke_off() -> ProviderError {
    ProviderError::new(
        ErrorClass::Unknown,
        "the model's answer broke off without an end",
    )
}

/// Adds a chunk, joined to the one before where both are pieces of the same text and the stream is fast.
fn join(chunks: &mut Vec<Chunk>, chunk: Chunk, joins: bool) {
    match (chunks.last_mut(), chunk) {
        (Some(Chunk::Text(text)), Chunk::Text(more)) if joins => text.push_str(&more),
        (Some(Chunk::Reasoning(text)), Chunk::Reasoning(more)) if joins => text.push_str(&more),
        (_, chunk) => chunks.push(chunk),
    }
}
