//! Projects and version control.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `vcs.apply`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApplyPatch {
    /// The patch, in git's form.
    pub patch: String,
}

/// `project.update`: what is missing stays as it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct UpdateProject {
    /// The name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<Value>,
    /// Commands of the project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commands: Option<Value>,
}
