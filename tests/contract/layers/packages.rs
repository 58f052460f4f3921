//! The workspace's packages, as cargo knows them.

use serde_json::Value;
use std::path::{Path, PathBuf};

pub struct Package {
    /// Relative to the workspace: `actors/session`.
    pub folder: String,
    pub dependencies: Vec<Dependency>,
    /// The text of its Cargo.toml.
    pub manifest: String,
}

pub struct Dependency {
    pub name: String,
    /// A package of this workspace.
    pub is_ours: bool,
    pub is_dev: bool,
}

impl Package {
    /// A package that is not there, with dependencies (name, ours).
    pub fn sample(folder: &str, dependencies: &[(&str, bool)]) -> Self {
        let dependencies = dependencies
            .iter()
            .map(|(name, is_ours)| Dependency {
                name: name.to_string(),
                is_ours: *is_ours,
                is_dev: false,
            })
            .collect();
        Self {
            folder: folder.into(),
            dependencies,
            manifest: String::new(),
        }
    }
}

/// The workspace's root.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent()
        .expect("the tests lie in the workspace")
        .to_path_buf()
}

/// All packages of the workspace.
#[allow(
    clippy::disallowed_methods,
    reason = "a test asks cargo about the workspace"
)]
pub fn packages() -> Vec<Package> {
    let output = std::process::Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(root())
        .output()
        .expect("cargo can be started");
    assert!(
        output.status.success(),
        "cargo metadata failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let packages = metadata["packages"]
        .as_array()
        .expect("metadata has packages");
    packages.iter().map(package).collect()
}

fn package(metadata: &Value) -> Package {
    let manifest_path = Path::new(
        metadata["manifest_path"]
            .as_str()
            .expect("a package has a manifest"),
    );
    let folder = manifest_path.parent().expect("a manifest lies in a folder");
    let folder = folder
        .strip_prefix(root())
        .expect("a package lies in the workspace");
    let dependencies = metadata["dependencies"]
        .as_array()
        .expect("a package has dependencies");
    Package {
        folder: folder.to_string_lossy().into_owned(),
        dependencies: dependencies
            .iter()
            .map(|dependency| Dependency {
                name: dependency["name"].as_str().unwrap_or_default().into(),
                is_ours: dependency["path"].is_string(),
                is_dev: dependency["kind"] == "dev",
            })
            .collect(),
        manifest: std::fs::read_to_string(manifest_path).expect("a manifest can be read"),
    }
}
