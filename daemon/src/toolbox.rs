//! The tools as the engine sees them.

use kilo_ports::tool::Tool;
use kilo_session::folder::Toolbox;
use kilo_tool::Registry;
use serde_json::Value;
use std::sync::Arc;

/// The tools of a folder.
pub struct Tools(pub Registry);

impl Toolbox for Tools {
    fn ids(&self) -> Vec<String> {
        self.0.ids()
    }

    fn get(&self, name: &str) -> Option<Arc<dyn Tool>> {
        self.0.get(name).cloned()
    }

    fn offered(&self, model_id: &str) -> Vec<Arc<dyn Tool>> {
        self.0.offered(model_id)
    }

    fn check(&self, name: &str, input: Value) -> Result<Value, String> {
        self.0.check(name, input)
    }
}
