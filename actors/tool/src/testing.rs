//! A stage for tests: a project in a temporary folder, a fake host, and the tools as a session gets them.

use crate::{Options, Registry};
use kilo_ports::fakes::{FakeHost, FakeSandbox};
use kilo_ports::guarded::Guarded;
use kilo_ports::tool::{ToolCx, ToolError, ToolHost, ToolOutput};
use kilo_protocol::{MessageId, SessionId};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

pub struct Stage {
    folder: tempfile::TempDir,
    pub cx: ToolCx,
    pub host: Arc<FakeHost>,
    pub registry: Registry,
}

impl Stage {
    pub fn new() -> Self {
        let host = Arc::new(FakeHost::default());
        Self {
            host: host.clone(),
            ..Self::with_host(host)
        }
    }

    pub fn with_host(host: Arc<dyn ToolHost>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let root = base.join("project");
        std::fs::create_dir_all(&root).unwrap();
        let cx = ToolCx {
            session: SessionId::from_wire("ses_1"),
            message: MessageId::from_wire("msg_1"),
            call: "call_1".into(),
            agent: "code".into(),
            directory: root.clone(),
            worktree: root.clone(),
            output_dir: base.join("output"),
            home: base.join("home"),
            guarded: Arc::new(Guarded {
                roots: vec![root],
                home: base.join("home"),
                folders: vec![base.join("home/.config/kilo")],
                ..Guarded::default()
            }),
            output_lines_max: 2_000,
            output_bytes_max: 51_200,
            cancel: CancellationToken::new(),
            host,
            sandbox: Arc::new(FakeSandbox::default()),
            files: Arc::new(kilo_files::Disk::default()),
        };
        Self {
            folder,
            cx,
            host: Arc::default(),
            registry: Registry::builtin(Options::default()),
        }
    }

    pub fn root(&self) -> &Path {
        &self.cx.directory
    }

    pub fn base(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.cx.directory.join(name)
    }

    pub fn shown(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.bytes(name)).unwrap()
    }

    pub async fn run(&self, tool: &str, input: Value) -> Result<ToolOutput, ToolError> {
        let checked = self.registry.check(tool, input);
        let input = checked.map_err(ToolError::Failed)?;
        let tool = self.registry.get(tool).unwrap();
        tool.run(input, self.cx.clone()).await
    }

    pub async fn done(&self, tool: &str, input: Value) -> ToolOutput {
        self.run(tool, input).await.unwrap()
    }

    pub async fn fails(&self, tool: &str, input: Value) -> String {
        self.run(tool, input).await.unwrap_err().to_string()
    }

    pub fn permissions(&self) -> Vec<(String, Vec<String>)> {
        self.host
            .asks
            .lock()
            .iter()
            .map(|ask| (ask.permission.clone(), ask.patterns.clone()))
            .collect()
    }
}
