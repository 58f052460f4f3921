//! What one read of an answer gives.

use kilo_ports::provider::Chunk;

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
