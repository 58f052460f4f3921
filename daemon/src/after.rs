//! What comes after a tool's write in a folder: its formatters, then its language servers.

use kilo_config::Environment;
use kilo_config::programs::Programs;
use kilo_format::{Formatters, Formatting};
use kilo_ports::BoxFuture;
use kilo_ports::after_write::{AfterWrite, Aftermath};
use kilo_ports::sandbox::Sandbox;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What a folder's configuration switches on. Nothing of it runs before a file was written.
#[derive(Default)]
pub struct After {
    /// Formatters, if there are any.
    pub formatting: Option<Arc<Formatting>>,
}

impl After {
    /// Reads the keys `formatter` and `lsp` of a merged configuration; `None` where both are off.
    pub fn of(
        merged: &Value,
        environment: &Environment,
        top: &Path,
        sandbox: &Arc<dyn Sandbox>,
    ) -> Option<Arc<Self>> {
        let formatters = Formatters::from_config(merged.get("formatter"))?;
        let programs = Programs::new(environment, top);
        let formatting = Formatting::new(formatters, programs, Arc::clone(sandbox));
        Some(Arc::new(Self {
            formatting: Some(Arc::new(formatting)),
        }))
    }
}

/// The folder's hook for tools.
pub struct Hook(pub Arc<After>);

impl AfterWrite for Hook {
    fn after_write(
        &self,
        directory: PathBuf,
        files: Vec<PathBuf>,
        cancel: CancellationToken,
    ) -> BoxFuture<'static, Aftermath> {
        let after = Arc::clone(&self.0);
        Box::pin(async move {
            let mut aftermath = Aftermath::default();
            let mut notes = Vec::new();
            if let Some(formatting) = &after.formatting {
                let formatted = formatting.format(&directory, files, &cancel).await;
                aftermath.changed = formatted.changed;
                notes = formatted.warnings;
            }
            aftermath.note = (!notes.is_empty()).then(|| notes.join("\n"));
            aftermath
        })
    }
}
