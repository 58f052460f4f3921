//! What comes after a tool's write in a folder: its formatters, then its language servers.

use crate::watching::Told;
use kilo_config::Environment;
use kilo_config::programs::Programs;
use kilo_format::{Formatters, Formatting};
use kilo_lsp::{Languages, Servers};
use kilo_ports::BoxFuture;
use kilo_ports::after_write::{AfterWrite, Aftermath};
use kilo_protocol::Millis;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// What a folder's configuration switches on. Nothing of it runs before a file was written.
#[derive(Default)]
pub struct After {
    /// Formatters, if there are any.
    pub formatting: Option<Arc<Formatting>>,
    /// Language servers, if there are any.
    pub languages: Option<Arc<kilo_lsp::Folder>>,
}

impl After {
    /// Reads the keys `formatter` and `lsp` of a merged configuration; `None` where both are off.
    pub fn of(
        merged: &Value,
        environment: &Environment,
        directory: &Path,
        top: &Path,
        languages: &Languages,
    ) -> Option<Arc<Self>> {
        let programs = || Programs::new(environment, top);
        let formatters = Formatters::from_config(merged.get("formatter"));
        let formatting = formatters.map(|formatters| {
            Arc::new(Formatting::new(
                formatters,
                programs(),
                Arc::clone(languages.sandbox()),
            ))
        });
        let servers = Servers::from_config(merged.get("lsp"));
        let languages = servers.map(|servers| {
            let (languages, directory) = (languages.clone(), directory.to_owned());
            Arc::new(kilo_lsp::Folder::new(
                languages,
                servers,
                programs(),
                directory,
            ))
        });
        let after = Self {
            formatting,
            languages,
        };
        (after.formatting.is_some() || after.languages.is_some()).then(|| Arc::new(after))
    }
}

/// The folder's hook for tools.
pub struct Hook {
    /// What comes after a write; nothing where the configuration has nothing of it.
    pub after: Arc<After>,
    /// So that watching does not tell of it again.
    pub told: Arc<Told>,
}

impl AfterWrite for Hook {
    fn touches(&self, path: &Path) {
        self.told.note(path, Instant::now());
    }

    fn after_command(
        &self,
        _: PathBuf,
        since: Millis,
        cancel: CancellationToken,
    ) -> BoxFuture<'static, Aftermath> {
        let after = Arc::clone(&self.after);
        Box::pin(async move {
            let Some(languages) = &after.languages else {
                return Aftermath::default();
            };
            let report = languages.after_command(since, &cancel).await;
            Aftermath {
                diagnostics: report.diagnostics,
                note: report.note,
                ..Aftermath::default()
            }
        })
    }

    fn after_write(
        &self,
        directory: PathBuf,
        files: Vec<PathBuf>,
        cancel: CancellationToken,
    ) -> BoxFuture<'static, Aftermath> {
        let (after, told) = (Arc::clone(&self.after), Arc::clone(&self.told));
        Box::pin(async move {
            let mut aftermath = Aftermath::default();
            let mut notes = Vec::new();
            if let Some(formatting) = &after.formatting {
                let formatted = formatting.format(&directory, files.clone(), &cancel).await;
                for file in &formatted.changed {
                    told.note(file, Instant::now());
                }
                aftermath.changed = formatted.changed;
                notes = formatted.warnings;
            }
            if let Some(languages) = &after.languages {
                let report = languages.after_write(files, &cancel).await;
                aftermath.diagnostics = report.diagnostics;
                notes.extend(report.note);
            }
            aftermath.note = (!notes.is_empty()).then(|| notes.join("\n"));
            aftermath
        })
    }
}
