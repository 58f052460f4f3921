//! What servers offer, as plain data.

use serde::Serialize;
use serde_json::{Map, Value};
use std::sync::Arc;

/// A tool of a server.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolInfo {
    /// Its name at the server.
    pub name: String,
    /// What it does, for models; empty where the server says nothing.
    pub description: String,
    /// JSON schema of its arguments; an object.
    pub schema: Arc<Value>,
    /// The server says that it changes nothing.
    pub read_only: bool,
}

impl ToolInfo {
    /// Bytes that a model gets of it with each request.
    pub fn weight(&self) -> usize {
        self.name.len() + self.description.len() + self.schema.to_string().len()
    }
}

/// A resource of a server, in the shape of `GET /experimental/resource` but for the server's name.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceInfo {
    /// Its name.
    pub name: String,
    /// Its address.
    pub uri: String,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its media type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
}

/// A family of resources.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TemplateInfo {
    /// Its name.
    pub name: String,
    /// The addresses, with `{blanks}`.
    pub uri_template: String,
    /// What they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Their media type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
}

/// A prompt of a server.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptInfo {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// Its blanks in order: name, and whether it must be given.
    pub arguments: Vec<(String, bool)>,
}

/// What a server said about itself at the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// How to use it, for models.
    pub instructions: Option<String>,
    /// It has tools.
    pub tools: bool,
    /// It has prompts.
    pub prompts: bool,
    /// It has resources.
    pub resources: bool,
    /// It tells of changes of a resource.
    pub subscribe: bool,
    /// It sends messages of its log.
    pub logging: bool,
}

/// All that a server offers, as it was listed last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Offer {
    /// What it said about itself.
    pub facts: Facts,
    /// Its tools.
    pub tools: Vec<ToolInfo>,
    /// Its prompts.
    pub prompts: Vec<PromptInfo>,
    /// Its resources.
    pub resources: Vec<ResourceInfo>,
    /// Its families of resources.
    pub templates: Vec<TemplateInfo>,
}

/// What a call of a tool gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallAnswer {
    /// Content blocks as the protocol has them: `{type: "text", text}`, `{type: "image", data, mimeType}`, …
    pub content: Vec<Value>,
    /// The same as data, where the tool gives any.
    pub structured: Option<Value>,
    /// The tool failed; the content says why.
    pub is_error: bool,
}

/// How far a call is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// So much is done.
    pub done: f64,
    /// Of so much.
    pub total: Option<f64>,
    /// In words.
    pub message: Option<String>,
}

/// What a server says has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The list of tools.
    Tools,
    /// The list of prompts.
    Prompts,
    /// The list of resources.
    Resources,
    /// One resource.
    Resource(String),
}

/// Arguments of a call.
pub type Arguments = Map<String, Value>;
