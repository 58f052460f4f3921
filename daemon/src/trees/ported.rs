//! Gives what runs in a worktree the worktree's ports: `KILO_PORT_BASE` in its environment.

use bytes::Bytes;
use kilo_ports::BoxFuture;
use kilo_ports::sandbox::{Exit, ProcessSpec, Running, Sandbox, SandboxError, SpawnSpec, Spawned};
use kilo_worktree::Trees;
use kilo_worktree::trees::PORTS;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A sandbox whose processes know their worktree's ports.
pub struct Ported {
    inner: Arc<dyn Sandbox>,
    trees: Trees,
}

impl Ported {
    /// Over another sandbox.
    pub fn new(inner: Arc<dyn Sandbox>, trees: Trees) -> Self {
        Self { inner, trees }
    }

    fn add(&self, directory: &Path, env: &mut Vec<(String, String)>) {
        let base = self.trees.port_base(directory);
        if base > 0 && !env.iter().any(|(name, _)| name == "KILO_PORT_BASE") {
            env.push(("KILO_PORT_BASE".into(), base.to_string()));
            env.push(("KILO_PORT_COUNT".into(), PORTS.to_string()));
        }
    }
}

impl Sandbox for Ported {
    fn run(
        &self,
        mut spec: ProcessSpec,
        output: mpsc::Sender<Bytes>,
        cancel: CancellationToken,
    ) -> BoxFuture<'static, Result<Exit, SandboxError>> {
        self.add(&spec.directory, &mut spec.env);
        self.inner.run(spec, output, cancel)
    }

    fn spawn(&self, mut spec: SpawnSpec) -> BoxFuture<'static, Result<Spawned, SandboxError>> {
        self.add(&spec.directory, &mut spec.env);
        self.inner.spawn(spec)
    }

    fn detach(&self, mut spec: ProcessSpec) -> BoxFuture<'static, Result<(), SandboxError>> {
        self.add(&spec.directory, &mut spec.env);
        self.inner.detach(spec)
    }

    fn running(&self) -> BoxFuture<'static, Vec<Running>> {
        self.inner.running()
    }
}
