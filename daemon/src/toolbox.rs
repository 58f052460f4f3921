//! The tools as the engine sees them.

use kilo_ports::tool::Tool;
use kilo_session::surroundings::Toolbox;
use kilo_tool::Registry;
use serde_json::Value;
use std::sync::Arc;

/// The built-in tools.
pub struct Builtin {
    registry: Registry,
    client: String,
}

impl Builtin {
    /// The tools for one kind of client (`cli`, `vscode`, …).
    pub fn new(registry: Registry, client: String) -> Self {
        Self { registry, client }
    }

    /// The registry.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}

impl Toolbox for Builtin {
    fn get(&self, name: &str) -> Option<Arc<dyn Tool>> {
        self.registry.get(name).cloned()
    }

    fn offered(&self, model_id: &str) -> Vec<Arc<dyn Tool>> {
        let names: Vec<&'static str> = self
            .registry
            .offered(model_id, &self.client)
            .into_iter()
            .map(|tool| tool.spec().name)
            .collect();
        names
            .into_iter()
            .filter_map(|name| self.registry.get(name).cloned())
            .collect()
    }

    fn check(&self, name: &str, input: &Value) -> Result<(), String> {
        let Some(tool) = self.registry.get(name) else {
            return Ok(());
        };
        kilo_tool::check_input(&tool.spec(), input)
            .map_err(|why| kilo_tool::invalid_arguments(name, &why))
    }
}
