//! The tools as the engine sees them: the built-in ones, and those of the folder's MCP servers as they are at the moment.

use kilo_mcp::{FolderServers, Offered};
use kilo_ports::BoxFuture;
use kilo_ports::tool::{Tool, ToolCx, ToolError, ToolOutput, ToolSpec};
use kilo_session::folder::Toolbox;
use kilo_tool::Registry;
use kilo_tool::output::bound;
use parking_lot::Mutex;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// How long a model call waits for servers that are being started; what comes later is offered with the next step.
const SERVERS_WAIT: Duration = Duration::from_secs(10);

/// The tools of a folder.
pub struct Tools {
    builtin: Registry,
    servers: Arc<FolderServers>,
    /// All of them, as long as the servers offer the same.
    all: Mutex<Option<(Arc<Offered>, Registry)>>,
}

impl Tools {
    /// The built-in tools and those of `servers`.
    pub fn new(builtin: Registry, servers: Arc<FolderServers>) -> Self {
        Self {
            builtin,
            servers,
            all: Mutex::default(),
        }
    }

    fn registry(&self) -> Registry {
        let offered = self.servers.offered();
        let mut all = self.all.lock();
        if let Some((of, registry)) = &*all
            && Arc::ptr_eq(of, &offered)
        {
            return registry.clone();
        }
        let more = offered
            .all()
            .map(|tool| -> Arc<dyn Tool> { Arc::new(Cut(Arc::clone(tool))) });
        let registry = self.builtin.with(more);
        *all = Some((offered, registry.clone()));
        registry
    }
}

impl Toolbox for Tools {
    fn ids(&self) -> Vec<String> {
        self.registry().ids()
    }

    fn get(&self, name: &str) -> Option<Arc<dyn Tool>> {
        self.registry().get(name).cloned()
    }

    fn offered(&self, model_id: &str) -> Vec<Arc<dyn Tool>> {
        self.registry().offered(model_id)
    }

    fn check(&self, name: &str, input: Value) -> Result<Value, String> {
        self.registry().check(name, input)
    }

    fn ready(&self) -> BoxFuture<'static, ()> {
        let servers = Arc::clone(&self.servers);
        Box::pin(async move { servers.ready(SERVERS_WAIT).await })
    }

    fn offered_to(&self, model_id: &str, session: &str) -> Vec<Arc<dyn Tool>> {
        let is_offered = self.servers.is_offered(session);
        let mut tools = self.offered(model_id);
        tools.retain(|tool| is_offered(&tool.spec().name));
        tools
    }

    fn instructions(&self) -> Vec<String> {
        let texts = self.servers.instructions().into_iter();
        texts
            .map(|(server, text)| format!("The MCP server {server} says about its tools:\n{text}"))
            .collect()
    }
}

/// A tool whose output is cut as that of built-in ones is.
struct Cut(Arc<dyn Tool>);

impl Tool for Cut {
    fn spec(&self) -> ToolSpec {
        self.0.spec()
    }

    fn run(&self, input: Value, cx: ToolCx) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        let running = self.0.run(input, cx.clone());
        Box::pin(async move { Ok(bound(running.await?, &cx).await) })
    }
}
