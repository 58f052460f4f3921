//! Fakes that break: a store whose appends fail or panic, a model whose decoder dies, tools that panic, hang or do not
//! listen. What runs for a session is counted, with the generation of the actor that it runs for.

use crate::chance::Chance;
use bytes::Bytes;
use kilo_ports::BoxFuture;
use kilo_ports::checkpoint::{
    CheckpointError, Checkpoints, FileChange, LeftAlone, Restored, WhyLeft,
};
use kilo_ports::provider::{
    Chunk, ChunkBatch, ErrorClass, ModelClient, ModelInfo, ModelRequest, ProviderError,
};
use kilo_ports::store::{
    Appended, Damage, Entry, Pos, SavedView, SessionLog, Store, StoreError, StoreStats, Stored,
    Unreadable,
};
use kilo_ports::tool::{
    Access, Ask, QuestionAnswer, Tool, ToolCx, ToolError, ToolOutput, ToolSpec,
};
use kilo_protocol::model::FileDiff;
use kilo_protocol::{Millis, SessionId};
use kilo_session::folder::Toolbox;
use kilo_session::{Engine, Sessions};
use kilo_store::MemoryStore;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A panic on purpose says so.
pub const INJECTED: &str = "injected fault";

/// How the next appends end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Fails,
    Panics,
}

/// A store in memory that breaks on demand.
#[derive(Default)]
pub struct BreakingStore {
    inner: MemoryStore,
    next: Mutex<Vec<Fault>>,
    full: std::sync::atomic::AtomicBool,
}

impl BreakingStore {
    /// Lets one of the next appends or puts break.
    pub fn break_next(&self, fault: Fault) {
        self.next.lock().push(fault);
    }

    pub fn heal(&self) {
        self.next.lock().clear();
        self.fill(false);
    }

    /// Fails every write, or none any more.
    pub fn fill(&self, full: bool) {
        self.full.store(full, std::sync::atomic::Ordering::Relaxed);
    }

    fn may_write(&self) -> Result<(), StoreError> {
        let mut fault = self.next.lock().pop();
        if self.full.load(std::sync::atomic::Ordering::Relaxed) {
            fault = Some(Fault::Fails);
        }
        match fault {
            None => Ok(()),
            Some(Fault::Fails) => Err(StoreError::Full {
                source: std::io::Error::other("full"),
            }),
            Some(Fault::Panics) => panic!("{INJECTED}"),
        }
    }
}

impl Store for BreakingStore {
    fn epoch(&self) -> u64 {
        self.inner.epoch()
    }
    fn append(
        &self,
        session: &SessionId,
        at: Millis,
        entries: &[Entry],
    ) -> Result<Appended, StoreError> {
        self.may_write()?;
        self.inner.append(session, at, entries)
    }
    fn sync(&self, pos: Pos) -> BoxFuture<'static, Result<(), StoreError>> {
        self.inner.sync(pos)
    }
    fn newest(&self) -> Pos {
        self.inner.newest()
    }
    fn load(&self, session: &SessionId) -> Result<SessionLog, StoreError> {
        self.inner.load(session)
    }
    fn load_whole(&self, session: &SessionId) -> Result<SessionLog, StoreError> {
        self.inner.load_whole(session)
    }
    fn after(&self, pos: Pos, records_max: usize) -> Result<Vec<Stored>, StoreError> {
        self.inner.after(pos, records_max)
    }
    fn save_view(&self, session: &SessionId, view: &SavedView) -> Result<(), StoreError> {
        self.inner.save_view(session, view)
    }
    fn report(&self, session: &SessionId, what: Unreadable, why: &str) {
        panic!("nothing is unreadable here, but {session} {what:?}: {why}");
    }
    fn head(&self, session: &SessionId) -> Option<Bytes> {
        self.inner.head(session)
    }
    fn heads(&self, visit: &mut dyn FnMut(&SessionId, &[u8])) -> Result<(), StoreError> {
        self.inner.heads(visit)
    }
    fn delete(&self, session: &SessionId, at: Millis) -> Result<Appended, StoreError> {
        self.may_write()?;
        self.inner.delete(session, at)
    }
    fn put(&self, table: &str, key: &str, value: &[u8], at: Millis) -> Result<(), StoreError> {
        self.may_write()?;
        self.inner.put(table, key, value, at)
    }
    fn get(&self, table: &str, key: &str) -> Option<Bytes> {
        self.inner.get(table, key)
    }
    fn remove(&self, table: &str, key: &str, at: Millis) -> Result<(), StoreError> {
        self.inner.remove(table, key, at)
    }
    fn scan(&self, table: &str) -> Vec<(String, Bytes)> {
        self.inner.scan(table)
    }
    fn put_blob(&self, body: &[u8]) -> Result<String, StoreError> {
        self.inner.put_blob(body)
    }
    fn get_blob(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        self.inner.get_blob(name)
    }
    fn damage(&self) -> Vec<Damage> {
        self.inner.damage()
    }
    fn stats(&self) -> StoreStats {
        self.inner.stats()
    }
}

/// By number: the session, the generation of its actor, and what it is.
type Jobs = Arc<Mutex<BTreeMap<u64, (SessionId, u64, String)>>>;

/// What runs: a number for each job, with its session and the generation of the actor that it was started for.
#[derive(Clone, Default)]
pub struct Running {
    jobs: Jobs,
    engine: Arc<OnceLock<Arc<Sessions>>>,
    pub calm: Arc<std::sync::atomic::AtomicBool>,
}

/// One job; gone when it is dropped.
pub struct Job {
    jobs: Jobs,
    number: u64,
}

impl Drop for Job {
    fn drop(&mut self) {
        self.jobs.lock().remove(&self.number);
    }
}

impl Running {
    pub fn watch(&self, engine: &Engine) {
        let _ = self.engine.set(Arc::clone(engine.sessions()));
    }

    fn begin(&self, session: &SessionId, what: String) -> Option<Job> {
        let sessions = self.engine.get().expect("the world is whole");
        // Without an actor the job is on its way out already, and must not do anything.
        let generation = sessions.generation(session)?;
        let mut jobs = self.jobs.lock();
        let number = jobs.keys().next_back().map_or(0, |last| last + 1);
        jobs.insert(number, (session.clone(), generation, what));
        Some(Job {
            jobs: Arc::clone(&self.jobs),
            number,
        })
    }

    /// The jobs of a session whose owner is not `live`.
    pub fn strangers(&self, session: &SessionId, live: u64) -> Vec<u64> {
        let jobs = self.jobs.lock();
        jobs.values()
            .filter(|(of, generation, _)| of == session && *generation != live)
            .map(|(_, generation, _)| *generation)
            .collect()
    }

    /// What runs.
    pub fn all(&self) -> Vec<String> {
        let jobs = self.jobs.lock();
        jobs.values()
            .map(|(session, generation, what)| format!("{what} of {session}, {generation}"))
            .collect()
    }

    fn is_calm(&self) -> bool {
        self.calm.load(std::sync::atomic::Ordering::Relaxed)
    }
}

/// A model of moods.
pub struct Moody {
    pub chance: Arc<Mutex<Chance>>,
    pub running: Running,
}

impl Moody {
    fn answer(&self) -> Vec<(u64, ChunkBatch)> {
        let mut chance = self.chance.lock();
        let finish = |reason: &str| {
            Ok(vec![Chunk::Finish {
                reason: reason.into(),
                tokens: Default::default(),
            }])
        };
        if self.running.is_calm() {
            return vec![
                (0, Ok(vec![Chunk::Text("At last.".into())])),
                (0, finish("stop")),
            ];
        }
        let mut batches = Vec::new();
        for _ in 0..chance.below(4) {
            batches.push((
                chance.below(200) as u64,
                Ok(vec![Chunk::Text("word ".into())]),
            ));
        }
        for index in 0..chance.below(4) {
            let tool = chance.pick(&["read", "bash", "bash", "question", "unheard_of"]);
            let how = chance.pick(&["works", "fails", "panics", "hangs", "does not listen"]);
            let call = vec![
                Chunk::ToolStart {
                    index,
                    id: format!("call_{}", chance.below(1_000_000)),
                    name: tool.into(),
                },
                Chunk::ToolDelta {
                    index,
                    arguments: json!({"how": how, "n": chance.below(1_000)}).to_string(),
                },
                Chunk::ToolEnd { index },
            ];
            batches.push((chance.below(100) as u64, Ok(call)));
        }
        let calls = batches
            .iter()
            .flat_map(|(_, batch)| batch.as_ref().ok())
            .flatten()
            .any(|chunk| matches!(chunk, Chunk::ToolStart { .. }));
        match chance.below(10) {
            // The decoder dies: the channel closes without a word.
            0 => {}
            1 => batches.push((50, Err(ProviderError::new(ErrorClass::Unknown, "broken")))),
            // It never ends by itself.
            2 => batches.push((1_000_000, finish("stop"))),
            _ => batches.push((20, finish(if calls { "tool-calls" } else { "stop" }))),
        }
        batches
    }
}

impl ModelClient for Moody {
    fn stream(
        &self,
        request: ModelRequest,
        cancel: CancellationToken,
    ) -> mpsc::Receiver<ChunkBatch> {
        let (sender, receiver) = mpsc::channel(8);
        let batches = self.answer();
        let request_tools = request.tools.len();
        let session = SessionId::from_wire(request.session);
        let job = self.running.begin(
            &session,
            format!(
                "a stream of {} parts, tools {}",
                batches.len(),
                request_tools
            ),
        );
        tokio::spawn(async move {
            let _job = job;
            let play = async {
                for (pause, batch) in batches {
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                    if sender.send(batch).await.is_err() {
                        return;
                    }
                }
            };
            tokio::select! {
                () = play => {}
                () = cancel.cancelled() => {}
            }
        });
        receiver
    }

    fn reachable(&self, _: Arc<ModelInfo>) -> BoxFuture<'static, bool> {
        Box::pin(std::future::ready(true))
    }
}

/// Tools of moods: the call says how it goes.
pub struct MoodyTools(pub Running);

const TOOLS: [(&str, Access); 3] = [
    ("read", Access::Reads),
    ("bash", Access::Executes),
    ("question", Access::Session),
];

impl Toolbox for MoodyTools {
    fn ids(&self) -> Vec<String> {
        TOOLS.iter().map(|(name, _)| name.to_string()).collect()
    }

    fn get(&self, name: &str) -> Option<Arc<dyn Tool>> {
        let (name, access) = TOOLS.iter().find(|(known, _)| *known == name)?;
        Some(Arc::new(MoodyTool {
            name,
            access: *access,
            running: self.0.clone(),
        }))
    }

    fn offered(&self, _: &str) -> Vec<Arc<dyn Tool>> {
        TOOLS
            .iter()
            .filter_map(|(name, _)| self.get(name))
            .collect()
    }

    fn check(&self, _: &str, input: Value) -> Result<Value, String> {
        Ok(input)
    }
}

struct MoodyTool {
    name: &'static str,
    access: Access,
    running: Running,
}

impl Tool for MoodyTool {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: self.name.into(),
            description: "Does something.".into(),
            parameters: Arc::new(json!({"type": "object"})),
            access: self.access,
            source: Default::default(),
        }
    }

    fn run(&self, input: Value, cx: ToolCx) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        let (name, running) = (self.name, self.running.clone());
        Box::pin(async move {
            let what = format!("{name} that {}", input["how"]);
            let Some(_job) = running.begin(&cx.session, what) else {
                return Err(aborted());
            };
            if name == "question" {
                let asked = cx.host.question(&cx.call, vec![json!({"question": "?"})]);
                let QuestionAnswer::Answered(_) = asked.await? else {
                    return Ok(ToolOutput {
                        ends_turn: true,
                        ..Default::default()
                    });
                };
                return Ok(ToolOutput::default());
            }
            if name == "bash" {
                let ask = Ask {
                    permission: "bash".into(),
                    patterns: vec![format!("do {}", input["n"])],
                    always: vec!["do *".into()],
                    ..Default::default()
                };
                cx.host.ask(&cx.call, ask).await?;
            }
            cx.host.progress(&cx.call, None, Default::default());
            match input["how"].as_str() {
                Some("fails") => Err(ToolError::failed("no")),
                Some("panics") => panic!("{INJECTED}"),
                Some("hangs") => {
                    cx.cancel.cancelled().await;
                    Err(aborted())
                }
                Some("does not listen") => {
                    tokio::time::sleep(Duration::from_secs(60)).await;
                    Ok(ToolOutput::default())
                }
                _ => {
                    tokio::time::sleep(Duration::from_millis(30)).await;
                    Ok(ToolOutput::default())
                }
            }
        })
    }
}

fn aborted() -> ToolError {
    ToolError::Aborted {
        metadata: Default::default(),
    }
}

/// Checkpoints that take their time, and sometimes leave a file.
#[derive(Default)]
pub struct SlowCheckpoints;

fn later<T: Send + 'static>(ms: u64, value: T) -> BoxFuture<'static, Result<T, CheckpointError>> {
    Box::pin(async move {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        Ok(value)
    })
}

impl Checkpoints for SlowCheckpoints {
    fn track(&self, _: PathBuf) -> BoxFuture<'static, Result<String, CheckpointError>> {
        later(10, "h".into())
    }
    fn keep(&self, _: PathBuf, _: PathBuf) -> BoxFuture<'static, Result<String, CheckpointError>> {
        later(1, "i".into())
    }
    fn diff(
        &self,
        _: PathBuf,
        _: String,
        _: String,
    ) -> BoxFuture<'static, Result<Vec<FileDiff>, CheckpointError>> {
        later(10, Vec::new())
    }
    fn diff_of(
        &self,
        _: PathBuf,
        _: Vec<FileChange>,
    ) -> BoxFuture<'static, Result<Vec<FileDiff>, CheckpointError>> {
        later(10, Vec::new())
    }
    fn changed(
        &self,
        _: PathBuf,
        from: String,
        to: String,
    ) -> BoxFuture<'static, Result<Vec<FileChange>, CheckpointError>> {
        later(10, vec![FileChange::new("/a".into(), from, to)])
    }
    fn left_out(&self, _: PathBuf) -> BoxFuture<'static, Result<u64, CheckpointError>> {
        later(1, 0)
    }
    fn left_between(
        &self,
        _: PathBuf,
        _: u64,
        _: u64,
    ) -> BoxFuture<'static, Result<Vec<LeftAlone>, CheckpointError>> {
        let left = LeftAlone {
            path: "/b".into(),
            why: WhyLeft::Ignored,
        };
        later(1, vec![left])
    }
    fn undo(
        &self,
        _: PathBuf,
        _: Vec<FileChange>,
    ) -> BoxFuture<'static, Result<Restored, CheckpointError>> {
        later(300, Restored::default())
    }
    fn redo(
        &self,
        _: PathBuf,
        _: Vec<FileChange>,
    ) -> BoxFuture<'static, Result<Restored, CheckpointError>> {
        later(300, Restored::default())
    }
}
