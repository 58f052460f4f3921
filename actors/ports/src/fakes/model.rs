use crate::BoxFuture;
use crate::provider::{BATCHES_MAX, Chunk, ChunkBatch, ModelClient, ModelInfo, ModelRequest};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A model that plays scripted answers, one a call; with none left it answers `done`.
#[derive(Default)]
pub struct ScriptedModel {
    answers: Mutex<VecDeque<Vec<ChunkBatch>>>,
    /// The requests so far.
    pub requests: Mutex<Vec<ModelRequest>>,
}

impl ScriptedModel {
    /// Adds the batches of one answer.
    pub fn answer(&self, batches: Vec<ChunkBatch>) {
        self.answers.lock().push_back(batches);
    }
}

impl ModelClient for ScriptedModel {
    fn stream(
        &self,
        request: ModelRequest,
        cancel: CancellationToken,
    ) -> mpsc::Receiver<ChunkBatch> {
        self.requests.lock().push(request);
        let batches = self.answers.lock().pop_front().unwrap_or_else(|| {
            vec![Ok(vec![
                Chunk::Text("done".into()),
                Chunk::Finish {
                    reason: "stop".into(),
                    tokens: Default::default(),
                },
            ])]
        });
        let (sender, receiver) = mpsc::channel(BATCHES_MAX);
        tokio::spawn(async move {
            for batch in batches {
                tokio::select! {
                    sent = sender.send(batch) => if sent.is_err() { return },
                    () = cancel.cancelled() => return,
                }
            }
        });
        receiver
    }

    fn reachable(&self, _: Arc<ModelInfo>) -> BoxFuture<'static, bool> {
        Box::pin(std::future::ready(true))
    }
}
