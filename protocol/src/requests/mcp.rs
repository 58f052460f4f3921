//! MCP servers.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// `mcp.add`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AddServer {
    /// The server's name.
    pub name: String,
    /// What would stand under the name in the key `mcp` of the configuration.
    pub config: Value,
}

/// `mcp.readResource`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReadResource {
    /// The server's name.
    pub server: String,
    /// The resource's address.
    pub uri: String,
}

/// `mcp.callTool`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallTool {
    /// The server's name.
    pub server: String,
    /// The tool's name at the server.
    pub name: String,
    /// Its arguments.
    #[serde(default)]
    pub arguments: Map<String, Value>,
}

/// `mcp.auth.callback`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SignInCode {
    /// What the browser brought back.
    pub code: String,
}
