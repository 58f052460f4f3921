use crate::BoxFuture;
use crate::sandbox::{Exit, ProcessSpec, Sandbox, SandboxError};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A sandbox that runs nothing: it remembers what it was asked and answers a fixed output.
#[derive(Default)]
pub struct FakeSandbox {
    /// What was asked so far.
    pub runs: Mutex<Vec<ProcessSpec>>,
    /// What every run prints.
    pub output: Mutex<String>,
}

impl Sandbox for FakeSandbox {
    fn run(
        &self,
        spec: ProcessSpec,
        output: mpsc::Sender<Bytes>,
        _: CancellationToken,
    ) -> BoxFuture<'static, Result<Exit, SandboxError>> {
        self.runs.lock().push(spec);
        let text = self.output.lock().clone();
        Box::pin(async move {
            let _ = output.send(Bytes::from(text)).await;
            Ok(Exit::Code(0))
        })
    }
}
