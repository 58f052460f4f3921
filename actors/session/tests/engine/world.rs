//! An engine in a test's hands.

use crate::faults::BreakingStore;
use kilo_config::{Environment, Paths};
use kilo_ports::BoxFuture;
use kilo_ports::clock::Clock;
use kilo_ports::fakes::{FakeSandbox, NoCheckpoints, NoFiles, ScriptedModel};
use kilo_ports::provider::{Chunk, ChunkBatch, ModelInfo, Protocol};
use kilo_ports::tool::{Access, Ask, Tool, ToolCx, ToolError, ToolOutput, ToolSource, ToolSpec};
use kilo_protocol::model::{ModelRef, PartBody};
use kilo_protocol::requests::{InputPart, NewSession, Prompt};
use kilo_protocol::{Fault, Millis, SessionId};
use kilo_runtime::limits::PROGRESS_EVERY;
use kilo_runtime::{Bus, Journal, Placement};
use kilo_session::folder::{Folder, Folders, Models, Toolbox};
use kilo_session::{Engine, Ports};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::{Builder, Handle};
use tokio::time::{Duration, Instant, timeout};

/// Of the world's own time, which costs none of ours.
const HANGS_AFTER: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Runs a test inside an actix system whose time passes only when nothing else can happen.
pub fn run(test: impl AsyncFnOnce(World)) {
    in_system(async || test(World::new()).await);
}

/// The same for a world of one's own.
pub fn in_system(test: impl AsyncFnOnce()) {
    let system = actix::System::with_tokio_rt(|| {
        Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime")
    });
    system.block_on(async {
        let ended = timeout(HANGS_AFTER, test()).await;
        ended.expect("everything that a session waits for comes");
    });
}

/// The engine and the fakes that it stands on.
pub struct World {
    pub engine: Arc<Engine>,
    pub model: Arc<ScriptedModel>,
    pub tools: Arc<Tools>,
    pub store: Arc<BreakingStore>,
    home: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let model = Arc::new(ScriptedModel::default());
        let tools = Arc::new(Tools::default());
        let ports = Ports {
            models: Arc::clone(&model) as _,
            sandbox: Arc::new(FakeSandbox::default()),
            files: Arc::new(NoFiles),
            checkpoints: Arc::new(NoCheckpoints),
            clock: Arc::new(TestClock(Instant::now())),
            folders: Arc::new(OneFolder(folder(
                home.path(),
                false,
                Arc::clone(&tools) as _,
            ))),
            handle: Handle::current(),
            output_dir: home.path().join("output"),
            home: home.path().to_path_buf(),
        };
        let store = Arc::new(BreakingStore::default());
        let journal = Journal::new(Arc::clone(&store) as _, Bus::default());
        let (engine, _) = Engine::open(ports, journal, Placement::here()).expect("an engine");
        Self {
            engine,
            model,
            tools,
            store,
            home,
        }
    }

    /// A new session.
    pub async fn session(&self) -> SessionId {
        let directory = self.home.path().display().to_string();
        let made = self
            .engine
            .sessions()
            .create(&directory, NewSession::default())
            .await;
        made.expect("a session").id
    }

    /// Prompts, and gives the text of the answer.
    pub async fn prompt(&self, session: &SessionId, text: &str) -> String {
        let body = Prompt {
            parts: vec![InputPart::text(text)],
            ..Default::default()
        };
        let (id, accepted) = self
            .engine
            .sessions()
            .prompt(session, body)
            .await
            .expect("accepted");
        let answer = self.engine.sessions().answer(session, &id, accepted).await;
        let parts = answer.expect("an answer").parts;
        let texts = parts.into_iter().filter_map(|part| match part.body {
            PartBody::Text(text) => Some(text.text),
            _ => None,
        });
        texts.collect()
    }
}

/// An answer that calls `tool` so many times.
pub fn answer_with_calls(count: usize, tool: &str) -> Vec<ChunkBatch> {
    let mut chunks = Vec::new();
    for index in 0..count {
        chunks.push(Chunk::ToolStart {
            index,
            id: format!("call_{index}"),
            name: tool.into(),
        });
        chunks.push(Chunk::ToolDelta {
            index,
            arguments: json!({"number": index}).to_string(),
        });
        chunks.push(Chunk::ToolEnd { index });
    }
    chunks.push(Chunk::Finish {
        reason: "tool-calls".into(),
        tokens: Default::default(),
    });
    vec![Ok(chunks)]
}

pub struct TestClock(pub Instant);

impl Clock for TestClock {
    fn now(&self) -> Millis {
        1_700_000_000_000 + self.0.elapsed().as_millis() as Millis
    }
}

/// The tools: `read` answers at once, `remote` is a server's and asks first.
#[derive(Default)]
pub struct Tools {
    ended: Arc<AtomicUsize>,
}

impl Tools {
    /// Calls that came to their end.
    pub fn ended(&self) -> usize {
        self.ended.load(Ordering::Relaxed)
    }

    fn read(&self) -> Arc<dyn Tool> {
        Arc::new(Read(Arc::clone(&self.ended)))
    }
}

impl Toolbox for Tools {
    fn ids(&self) -> Vec<String> {
        vec!["read".into(), "remote".into(), "show".into()]
    }

    fn get(&self, name: &str) -> Option<Arc<dyn Tool>> {
        match name {
            "read" => Some(self.read()),
            "remote" => Some(Arc::new(Remote)),
            "show" => Some(Arc::new(Show)),
            _ => None,
        }
    }

    fn offered(&self, _: &str) -> Vec<Arc<dyn Tool>> {
        vec![self.read(), Arc::new(Remote), Arc::new(Show)]
    }

    fn check(&self, _: &str, input: Value) -> Result<Value, String> {
        Ok(input)
    }
}

struct Remote;

impl Tool for Remote {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "remote".into(),
            description: "Calls.".into(),
            parameters: Arc::new(json!({"type": "object"})),
            access: Access::Session,
            source: ToolSource::Mcp {
                server: "tracker".into(),
            },
        }
    }

    fn run(&self, _: Value, cx: ToolCx) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        Box::pin(async move {
            let ask = Ask {
                permission: "remote".into(),
                // A tool may say what it likes of itself.
                metadata: Map::from_iter([("source".into(), "built-in".into())]),
                must_ask: true,
                ..Ask::default()
            };
            cx.host.ask(&cx.call, ask).await?;
            Ok(ToolOutput::default())
        })
    }
}

/// Shows the end of a growing output, and other things that it knows.
struct Show;

impl Tool for Show {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "show".into(),
            description: "Shows.".into(),
            parameters: Arc::new(json!({"type": "object"})),
            access: Access::Session,
            source: Default::default(),
        }
    }

    fn run(&self, _: Value, cx: ToolCx) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        Box::pin(async move {
            let mut output = String::new();
            for look in 0..12 {
                output.push_str(&format!("line {look}\n"));
                let shown = &output[output.len().saturating_sub(40)..];
                let mut metadata = Map::from_iter([("output".into(), shown.into())]);
                metadata.insert(format!("field{}", look % 3), look.into());
                let title = (look % 4 == 0).then(|| format!("Look {look}"));
                cx.host.progress(&cx.call, title, metadata);
                tokio::time::sleep(PROGRESS_EVERY * 2).await;
            }
            Ok(ToolOutput::default())
        })
    }
}

struct Read(Arc<AtomicUsize>);

impl Tool for Read {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "read".into(),
            description: "Reads.".into(),
            parameters: Arc::new(json!({"type": "object"})),
            access: Access::Reads,
            source: Default::default(),
        }
    }

    fn run(&self, _: Value, _: ToolCx) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        let ended = Arc::clone(&self.0);
        Box::pin(async move {
            ended.fetch_add(1, Ordering::Relaxed);
            Ok(ToolOutput::default())
        })
    }
}

pub struct OneFolder(pub Arc<Folder>);

impl Folders for OneFolder {
    fn folder(&self, _: &str) -> BoxFuture<'static, Result<Arc<Folder>, Fault>> {
        Box::pin(std::future::ready(Ok(Arc::clone(&self.0))))
    }
}

/// A folder with the built-in configuration.
pub fn folder(home: &Path, is_git: bool, tools: Arc<dyn Toolbox>) -> Arc<Folder> {
    let environment = Environment {
        home: home.to_path_buf(),
        cwd: home.to_path_buf(),
        temp: home.to_path_buf(),
        ..Environment::default()
    };
    let paths = Paths::of(&environment);
    let loaded = kilo_config::load(&environment, &paths, home, home);
    let agents = kilo_config::agents(&environment, &paths, &loaded);
    Arc::new(Folder {
        directory: home.to_path_buf(),
        worktree: home.to_path_buf(),
        is_git,
        project: Arc::new("global".to_string()),
        loaded,
        agents,
        models: Arc::new(OneModel),
        tools,
        after_write: None,
        environment: Arc::new(environment),
        paths: Arc::new(paths),
    })
}

struct OneModel;

impl Models for OneModel {
    fn resolve(&self, model: &ModelRef) -> Result<Arc<ModelInfo>, String> {
        Ok(Arc::new(ModelInfo {
            provider_id: model.provider_id.clone(),
            model_id: model.model_id.clone(),
            api_id: model.model_id.clone(),
            name: model.model_id.clone(),
            protocol: Some(Protocol::OpenaiChat),
            npm: String::new(),
            base_url: String::new(),
            api_key: None,
            headers: Vec::new(),
            context: 0,
            input_limit: None,
            output: 0,
            tool_call: true,
            reasoning: false,
            temperature: false,
            images: false,
            pdf: false,
            cost: Default::default(),
            interleaved: None,
            options: Map::new(),
            first_byte_ms: 1_000,
            gap_ms: 1_000,
        }))
    }

    fn default_model(&self) -> Option<ModelRef> {
        Some(ModelRef {
            provider_id: "test".into(),
            model_id: "model".into(),
            variant: None,
        })
    }

    fn small_model(&self, _: &str) -> Option<ModelRef> {
        None
    }
}
