//! Servers played by the test, each after a script that its program names, and a session that calls them.

use kilo_mcp::config::{Origin, server};
use kilo_mcp::{FolderServers, Place, ServerConfig, Servers, Settings, Status};
use kilo_ports::BoxFuture;
use kilo_ports::fakes::{FakeHost, FakeProcess, FakeSandbox, NoFiles};
use kilo_ports::guarded::Guarded;
use kilo_ports::sandbox::{Exit, ProcessSpec, Running, Sandbox, SandboxError, SpawnSpec, Spawned};
use kilo_ports::tool::{Tool, ToolCx, ToolError, ToolOutput};
use kilo_protocol::event::Event;
use kilo_protocol::{MessageId, SessionId};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What the servers saw.
#[derive(Default)]
pub struct Seen {
    pub starts: AtomicUsize,
    pub specs: Mutex<Vec<SpawnSpec>>,
    /// Every message that a server got.
    pub messages: Mutex<Vec<Value>>,
}

impl Seen {
    pub fn starts(&self) -> usize {
        self.starts.load(Ordering::SeqCst)
    }

    pub fn methods(&self) -> Vec<String> {
        let messages = self.messages.lock();
        let methods = messages
            .iter()
            .filter_map(|message| message["method"].as_str());
        methods.map(str::to_owned).collect()
    }

    pub fn answers(&self) -> Vec<Value> {
        let messages = self.messages.lock();
        let answers = messages
            .iter()
            .filter(|message| message["method"].is_null());
        answers.cloned().collect()
    }
}

/// A sandbox whose programs are scripts.
#[derive(Default)]
pub struct Scripted {
    fake: FakeSandbox,
    pub seen: Arc<Seen>,
}

impl Sandbox for Scripted {
    fn run(
        &self,
        spec: ProcessSpec,
        output: mpsc::Sender<bytes::Bytes>,
        cancel: CancellationToken,
    ) -> BoxFuture<'static, Result<Exit, SandboxError>> {
        self.fake.run(spec, output, cancel)
    }

    fn spawn(&self, spec: SpawnSpec) -> BoxFuture<'static, Result<Spawned, SandboxError>> {
        self.seen.starts.fetch_add(1, Ordering::SeqCst);
        self.seen.specs.lock().push(spec.clone());
        let spawned = self.fake.spawn(spec);
        let process = self.fake.spawned.lock().pop().expect("it was just spawned");
        tokio::spawn(Play::new(process, Arc::clone(&self.seen)).run());
        spawned
    }

    fn running(&self) -> BoxFuture<'static, Vec<Running>> {
        self.fake.running()
    }
}

/// One server.
struct Play {
    script: String,
    stdout: DuplexStream,
    lines: tokio::io::Lines<BufReader<DuplexStream>>,
    state: Arc<kilo_ports::fakes::FakeState>,
    exit: Option<Box<dyn FnOnce() + Send>>,
    seen: Arc<Seen>,
    renamed: bool,
}

const TOOLS: [(&str, &str); 3] = [
    ("echo", "Gives the text back"),
    ("fail", "Fails"),
    ("slow", "Never answers"),
];

impl Play {
    fn new(process: FakeProcess, seen: Arc<Seen>) -> Self {
        let FakeProcess {
            spec,
            stdin,
            stdout,
            stderr,
            state,
        } = process;
        let ended = Arc::clone(&state);
        let (parting_in, _) = tokio::io::duplex(1);
        let (parting_out, _) = tokio::io::duplex(1);
        let dummy = FakeProcess {
            spec: spec.clone(),
            stdin: parting_in,
            stdout: parting_out,
            stderr,
            state: ended,
        };
        Self {
            script: spec.program,
            stdout,
            lines: BufReader::new(stdin).lines(),
            state,
            exit: Some(Box::new(move || dummy.exit(Exit::Code(3)))),
            seen,
            renamed: false,
        }
    }

    async fn send(&mut self, message: Value) {
        self.raw(format!("{message}\n").as_bytes()).await;
    }

    async fn raw(&mut self, bytes: &[u8]) {
        let _ = self.stdout.write_all(bytes).await;
    }

    async fn run(mut self) {
        if self.script == "garbage" {
            for _ in 0..1_000 {
                self.raw(b"Welcome to my server!\n\x00\xff{[\n").await;
            }
        }
        if self.script == "exits" {
            return self.die();
        }
        while let Ok(Some(line)) = self.lines.next_line().await {
            let message: Value = serde_json::from_str(&line).expect("one JSON value a line");
            self.seen.messages.lock().push(message.clone());
            let method = message["method"].as_str().unwrap_or_default().to_owned();
            if self.script == format!("dies at {method}") {
                return self.die();
            }
            if self.script == format!("silent at {method}") {
                continue;
            }
            self.answer(&method, &message).await;
        }
        self.die();
    }

    fn die(&mut self) {
        if let Some(exit) = self.exit.take() {
            exit();
        }
    }

    async fn answer(&mut self, method: &str, message: &Value) {
        let id = message["id"].clone();
        let result = match method {
            "initialize" => json!({
                "protocolVersion": message["params"]["protocolVersion"],
                "capabilities": {"tools": {"listChanged": true}, "prompts": {}, "resources": {"subscribe": true}, "logging": {}},
                "serverInfo": {"name": "scripted", "version": "1"},
                "instructions": "Use me well.",
            }),
            "tools/list" if self.script == "endless lists" => {
                let cursor = message["params"]["cursor"].as_str().unwrap_or("0");
                let next = cursor.parse::<u64>().unwrap_or(0) + 1;
                let tool =
                    json!({"name": format!("tool{cursor}"), "inputSchema": {"type": "object"}});
                json!({"tools": [tool], "nextCursor": next.to_string()})
            }
            "tools/list" => json!({"tools": self.tools()}),
            "prompts/list" => {
                json!({"prompts": [{"name": "greet", "arguments": [{"name": "who", "required": true}]}]})
            }
            "prompts/get" => {
                json!({"messages": [{"role": "user", "content": {"type": "text", "text": "hello"}}]})
            }
            "resources/list" => json!({"resources": [{"uri": "a://b", "name": "b"}]}),
            "resources/templates/list" => {
                json!({"resourceTemplates": [{"uriTemplate": "a://{name}", "name": "any", "mimeType": "text/plain"}]})
            }
            "resources/subscribe" if self.script == "unwatchable" => {
                let error = json!({"code": -32_000, "message": "no"});
                return self
                    .send(json!({"jsonrpc": "2.0", "id": id, "error": error}))
                    .await;
            }
            "resources/subscribe" => json!({}),
            "resources/read" => json!({"contents": [{"uri": "a://b", "text": "content"}]}),
            "logging/setLevel" | "ping" => json!({}),
            "tools/call" => return self.call(id, message).await,
            "notifications/initialized" if self.script == "roots" => {
                return self
                    .send(json!({"jsonrpc": "2.0", "id": "r", "method": "roots/list"}))
                    .await;
            }
            _ => return,
        };
        self.send(json!({"jsonrpc": "2.0", "id": id, "result": result}))
            .await;
    }

    fn tools(&self) -> Vec<Value> {
        if self.script == "odd tools" {
            let tool = |name: &str, schema: Value| json!({"name": name, "description": "odd", "inputSchema": schema});
            let long = "x".repeat(300 << 10);
            return vec![
                tool("twice", json!({"type": "object"})),
                tool("twice", json!({"type": "object"})),
                tool("twice", json!({"type": "object"})),
                tool(
                    "text",
                    json!({"type": "string", "properties": 5, "required": "a"}),
                ),
                tool("large", json!({"type": "object", "description": long})),
                tool("", json!({})),
            ];
        }
        if self.script == "many" {
            return (0..100)
                .map(|number| {
                    json!({"name": format!("tool{number}"), "description": format!("Does thing {number}. {}", "x".repeat(400)),
                           "inputSchema": {"type": "object", "properties": {"a": {"type": "string"}}}})
                })
                .collect();
        }
        let described = |(name, what): &(&str, &str)| {
            let what = if self.renamed { "Something else" } else { what };
            json!({"name": name, "description": what, "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}}})
        };
        TOOLS.iter().map(described).collect()
    }

    async fn call(&mut self, id: Value, message: &Value) {
        let text = |text: &str| json!({"content": [{"type": "text", "text": text}]});
        let answer = |result: Value| json!({"jsonrpc": "2.0", "id": id, "result": result});
        let token = message["params"]["_meta"]["progressToken"].clone();
        match (self.script.as_str(), message["params"]["name"].as_str()) {
            (_, Some("slow")) => {}
            (_, Some("fail")) => {
                let mut failed = text("it failed");
                failed["isError"] = true.into();
                self.send(answer(failed)).await;
            }
            ("twice", _) => {
                self.send(answer(text("first"))).await;
                self.send(answer(text("second"))).await;
                self.send(json!({"jsonrpc": "2.0", "id": 999_999, "result": {}}))
                    .await;
            }
            ("flood", _) => {
                for number in 0..20_000 {
                    self.send(json!({"jsonrpc": "2.0", "method": "notifications/message",
                        "params": {"level": "error", "data": format!("line {number}")}}))
                        .await;
                    self.send(
                        json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}),
                    )
                    .await;
                }
                self.send(answer(text("after the flood"))).await;
            }
            ("huge", _) => {
                self.raw(b"{\"jsonrpc\":\"2.0\",\"id\":").await;
                self.raw(id.to_string().as_bytes()).await;
                self.raw(b",\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"")
                    .await;
                let piece = vec![b'x'; 1 << 20];
                for _ in 0..100 {
                    self.raw(&piece).await;
                }
                self.raw(b"\"}]}}\n").await;
            }
            ("unreadable", _) => {
                self.send(json!({"jsonrpc": "2.0", "id": id, "result": {"content": 7}}))
                    .await;
            }
            ("samples", _) => {
                for number in 0..200 {
                    self.send(json!({"jsonrpc": "2.0", "id": format!("s{number}"), "method": "sampling/createMessage",
                        "params": {"messages": [{"role": "user", "content": {"type": "text", "text": "more"}}], "maxTokens": 9}}))
                        .await;
                }
                self.send(answer(text("sampled"))).await;
            }
            ("asks a model", _) => {
                let wish = json!({"jsonrpc": "2.0", "id": "m", "method": "sampling/createMessage", "params": {
                    "messages": [{"role": "user", "content": {"type": "text", "text": "How many?"}}], "maxTokens": 9}});
                self.send(wish).await;
                let Ok(Some(line)) = self.lines.next_line().await else {
                    return;
                };
                let reply: Value = serde_json::from_str(&line).expect("JSON");
                self.send(answer(text(&reply.to_string()))).await;
            }
            ("asks in turn", _) => {
                // One wish after the other, without end but that of the client's patience.
                let mut granted = 0;
                for _ in 0..100 {
                    let wish = json!({"jsonrpc": "2.0", "id": "m", "method": "sampling/createMessage", "params": {
                        "messages": [{"role": "user", "content": {"type": "text", "text": "More?"}}], "maxTokens": 9}});
                    self.send(wish).await;
                    let Ok(Some(line)) = self.lines.next_line().await else {
                        return;
                    };
                    let reply: Value = serde_json::from_str(&line).expect("JSON");
                    granted += usize::from(!reply["result"].is_null());
                }
                self.send(answer(text(&format!("granted {granted}")))).await;
            }
            ("elicits without end", _) => {
                for number in 0..200 {
                    self.send(json!({"jsonrpc": "2.0", "id": format!("e{number}"), "method": "elicitation/create", "params": {
                        "message": "Again?", "requestedSchema": {"type": "object", "properties": {}}}}))
                        .await;
                }
                self.send(answer(text("asked"))).await;
            }
            ("asks and goes on", _) => {
                // The question is still open when the call is over.
                self.send(json!({"jsonrpc": "2.0", "id": "late", "method": "elicitation/create", "params": {
                    "message": "Well?", "requestedSchema": {"type": "object", "properties": {}}}}))
                    .await;
                self.send(answer(text("never mind"))).await;
            }
            ("elicits", _) => {
                self.send(json!({"jsonrpc": "2.0", "id": "e", "method": "elicitation/create", "params": {
                    "message": "Which colour?", "requestedSchema": {"type": "object", "properties": {
                        "colour": {"type": "string", "enum": ["red", "blue"]}, "count": {"type": "integer"}}, "required": ["colour"]}}}))
                    .await;
                let Ok(Some(line)) = self.lines.next_line().await else {
                    return;
                };
                let reply: Value = serde_json::from_str(&line).expect("JSON");
                self.send(answer(text(&reply["result"].to_string()))).await;
            }
            ("progress", _) => {
                for number in 0..10 {
                    tokio::time::sleep(Duration::from_secs(20)).await;
                    self.send(json!({"jsonrpc": "2.0", "method": "notifications/progress",
                        "params": {"progressToken": token, "progress": number, "total": 10, "message": "working"}}))
                        .await;
                }
                self.send(answer(text("done at last"))).await;
            }
            ("deaf", _) => {
                // It lives on, and reads no more.
                std::future::pending::<()>().await;
            }
            ("touches", _) => {
                for uri in ["a://b", "a://b", "a://unwatched"] {
                    self.send(json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": uri}}))
                        .await;
                }
                self.send(answer(text("touched"))).await;
            }
            ("renames", _) => {
                self.renamed = true;
                self.send(json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}))
                    .await;
                self.send(answer(text("renamed"))).await;
            }
            _ => {
                let said = message["params"]["arguments"]["text"].as_str();
                let said = format!("Echo: {}", said.unwrap_or_default());
                self.send(answer(text(&said))).await;
            }
        }
        let _ = &self.state;
    }
}

/// Servers over scripts, and a session.
pub struct World {
    pub servers: Servers,
    pub seen: Arc<Seen>,
    pub events: Arc<Mutex<Vec<(String, String)>>>,
    pub host: Arc<FakeHost>,
}

impl World {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let sandbox = Scripted::default();
        let seen = Arc::clone(&sandbox.seen);
        let mut settings = Settings {
            idle: Duration::from_secs(300),
            schema_bytes: 24 << 10,
            version: "0".into(),
            reserved: ["apply_patch".to_owned()].into(),
            auth: "/nowhere/mcp-auth".into(),
            browser: None,
        };
        change(&mut settings);
        let servers = Servers::new(Handle::current(), Arc::new(sandbox), settings);
        let events: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let told = Arc::clone(&events);
        servers.publish_with(Arc::new(move |folder, event| {
            if let Event::ServerToolsChanged(changed) = event {
                told.lock()
                    .push((folder.into(), changed.server.to_string()));
            }
        }));
        Self {
            servers,
            seen,
            events,
            host: Arc::default(),
        }
    }

    /// The folder `/work/NAME`, a worktree of the project `/work/main`, with one server per script, named `s0`, `s1`, ….
    pub fn folder(&self, name: &str, scripts: &[&str]) -> Arc<FolderServers> {
        let directory = PathBuf::from("/work").join(name);
        let folder = self.servers.folder(Place {
            worktree: directory.clone(),
            directory,
            main: "/work/main".into(),
        });
        folder.configure(configs(scripts));
        folder
    }

    /// A folder with one server, connected, as far as it goes.
    pub async fn one(&self, script: &str) -> Arc<FolderServers> {
        let folder = self.folder("one", &[script]);
        folder.ready(Duration::from_secs(60)).await;
        folder
    }

    pub fn cx(&self, session: &str) -> ToolCx {
        ToolCx {
            session: SessionId::from_wire(session),
            message: MessageId::from_wire("msg_1"),
            call: "call_1".into(),
            agent: "code".into(),
            directory: "/work/one".into(),
            worktree: "/work/one".into(),
            output_dir: "/tmp/nowhere".into(),
            home: "/home/nobody".into(),
            guarded: Arc::new(Guarded::default()),
            output_lines_max: 2_000,
            output_bytes_max: 51_200,
            cancel: CancellationToken::new(),
            host: Arc::clone(&self.host) as _,
            sandbox: Arc::new(FakeSandbox::default()),
            files: Arc::new(NoFiles),
        }
    }

    pub async fn call(&self, folder: &Arc<FolderServers>, tool: &str) -> Result<String, String> {
        let outcome = self.call_as(folder, tool, self.cx("ses_1")).await;
        outcome
            .map(|output| output.output)
            .map_err(|error| error.to_string())
    }

    pub async fn call_as(
        &self,
        folder: &Arc<FolderServers>,
        tool: &str,
        cx: ToolCx,
    ) -> Result<ToolOutput, ToolError> {
        let tool = find(folder, tool);
        tool.run(json!({"text": "hi"}), cx).await
    }
}

pub fn find(folder: &Arc<FolderServers>, name: &str) -> Arc<dyn Tool> {
    let offered = folder.offered();
    let found = offered.tools.iter().find(|tool| &*tool.spec().name == name);
    Arc::clone(found.unwrap_or_else(|| panic!("no tool {name}: {:?}", folder.statuses())))
}

pub fn config(script: &str) -> ServerConfig {
    let entry = json!({"type": "local", "command": [script]});
    server(&entry, Origin::User).expect("a server")
}

pub fn configs(scripts: &[&str]) -> BTreeMap<String, Result<ServerConfig, String>> {
    let named = scripts.iter().enumerate();
    named
        .map(|(number, script)| (format!("s{number}"), Ok(config(script))))
        .collect()
}

pub fn status(folder: &FolderServers) -> Status {
    folder.statuses()[0].1.clone()
}

/// Lets tasks run until `is_so`.
pub async fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..100_000 {
        if is_so() {
            return;
        }
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("never: {what}");
}
