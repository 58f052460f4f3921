//! A folder as a session uses it, and what a session may not reach by itself: its configuration, models and tools.

use kilo_config::Loaded;
use kilo_config::agent::Agent;
use kilo_ports::BoxFuture;
use kilo_ports::after_write::AfterWrite;
use kilo_ports::provider::ModelInfo;
use kilo_protocol::model::ModelRef;
use kilo_protocol::{Fault, ProjectId};
use std::path::PathBuf;
use std::sync::Arc;

/// A folder in use: its place, its configuration, its agents.
pub struct Folder {
    /// The folder.
    pub directory: PathBuf,
    /// The root of the worktree around it; the folder itself outside a repository.
    pub worktree: PathBuf,
    /// It is in a git repository.
    pub is_git: bool,
    /// The project.
    pub project: Arc<ProjectId>,
    /// The merged configuration.
    pub loaded: Loaded,
    /// The agents.
    pub agents: Vec<Agent>,
    /// Finds models.
    pub models: Arc<dyn Models>,
    /// The tools that there are in this folder: the built-in ones and its own.
    pub tools: Arc<dyn Toolbox>,
    /// What looks at files after a tool wrote them.
    pub after_write: Option<Arc<dyn AfterWrite>>,
    /// The process's environment.
    pub environment: Arc<kilo_config::Environment>,
    /// Where configuration and data lie.
    pub paths: Arc<kilo_config::Paths>,
}

impl Folder {
    /// An agent by name.
    pub fn agent(&self, name: &str) -> Option<&Agent> {
        // `build` is the old name of `code`.
        let name = if name == "build" { "code" } else { name };
        self.agents.iter().find(|agent| agent.name == name)
    }
}

/// Finds models: catalogue, configuration and credentials of one folder.
pub trait Models: Send + Sync {
    /// Everything needed to call a model; the sentence of the error is for people.
    fn resolve(&self, model: &ModelRef) -> Result<Arc<ModelInfo>, String>;

    /// The model to use when nobody named one.
    fn default_model(&self) -> Option<ModelRef>;

    /// A cheap model for titles, best of the same provider.
    fn small_model(&self, provider: &str) -> Option<ModelRef>;
}

/// Finds folders.
pub trait Folders: Send + Sync + 'static {
    /// The folder, with its configuration as it is now.
    fn folder(&self, directory: &str) -> BoxFuture<'static, Result<Arc<Folder>, Fault>>;

    /// The project of a folder that is in use; does not wait. Clients of all events pass over an event of a folder that
    /// does not say whose project it is.
    fn project(&self, directory: &str) -> Option<Arc<ProjectId>> {
        let _ = directory;
        None
    }
}

/// The tools of one folder.
pub trait Toolbox: Send + Sync + 'static {
    /// Every name that clients may come across, also of tools that are not there yet.
    fn ids(&self) -> Vec<String>;

    /// A tool by name.
    fn get(&self, name: &str) -> Option<Arc<dyn kilo_ports::tool::Tool>>;

    /// The tools for a model, before the rules take some away.
    fn offered(&self, model_id: &str) -> Vec<Arc<dyn kilo_ports::tool::Tool>>;

    /// Checks a call's arguments against the tool's schema and gives them back in its form; the sentence of the error is
    /// for the model.
    fn check(&self, name: &str, input: serde_json::Value) -> Result<serde_json::Value, String>;

    /// To be awaited before a model is offered tools: servers that have some are started. Bounded by the toolbox itself.
    fn ready(&self) -> kilo_ports::BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Like [`Toolbox::offered`], for one session: a toolbox with many tools offers those that the session looked up.
    fn offered_to(&self, model_id: &str, session: &str) -> Vec<Arc<dyn kilo_ports::tool::Tool>> {
        let _ = session;
        self.offered(model_id)
    }

    /// What models have to know to use the tools, for the system prompt.
    fn instructions(&self) -> Vec<String> {
        Vec::new()
    }
}
