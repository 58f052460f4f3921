//! The set-up script of a new worktree: installs what the project needs. A failure keeps the worktree.

use super::error::TreeError;
use super::git::collect;
use super::place::Place;
use super::ports::PORTS;
use super::record::{Setup, Tree};
use super::{Trees, blocking};
use kilo_ports::sandbox::{Exit, ProcessSpec};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Where the project's own script is looked for, below its top folder.
const SCRIPTS: [&str; 2] = [".kilo/setup-script", ".kilo/setup-script.sh"];
/// The end of a failed script's output that is remembered.
const TAIL_BYTES: usize = 2_000;

/// A script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The program with its arguments.
    pub words: Vec<String>,
}

impl Script {
    /// A shell text.
    pub fn shell(text: &str) -> Self {
        Self {
            words: vec!["sh".into(), "-c".into(), text.into()],
        }
    }
}

/// What a script said.
pub type Spoken<'a> = &'a (dyn Fn(&str) + Send + Sync);

impl Trees {
    /// The project's own set-up script, where it has one.
    pub async fn script(&self, place: &Place) -> Option<Script> {
        let place = place.clone();
        blocking(move || Ok(script(&place))).await.ok().flatten()
    }

    /// Writes down that scripts will run in a worktree, before anybody hears that it is ready. Where that cannot be
    /// written they run all the same.
    pub async fn expect_set_up(&self, place: &Place, tree: Tree) -> Tree {
        let setup = Setup::Running;
        let tree = Tree { setup, ..tree };
        let (inner, place, wanted) = (Arc::clone(&self.0), place.clone(), tree.clone());
        let written = blocking(move || inner.records(&place).write(&wanted));
        if let Err(error) = written.await {
            tracing::warn!(tree = tree.name, %error, "it is not written down that a set-up runs");
        }
        tree
    }

    /// Runs scripts in a worktree, one after the other until one fails, and remembers what became of them.
    pub async fn set_up(
        &self,
        place: &Place,
        mut tree: Tree,
        scripts: &[Script],
        timeout_ms: u64,
        said: Spoken<'_>,
    ) -> Result<Tree, TreeError> {
        if scripts.is_empty() {
            return Ok(tree);
        }
        tree.setup = Setup::Done;
        for script in scripts {
            if let Err(message) = self
                .run_script(place, &tree, script, timeout_ms, said)
                .await
            {
                tree.setup = Setup::Failed { message };
                break;
            }
        }
        let (inner, place, ended) = (Arc::clone(&self.0), place.clone(), tree.clone());
        blocking(move || {
            // it may have been removed meanwhile, or given another name
            let mut trees = inner.trees(&place).into_iter();
            let Some(now) = trees.find(|now| now.directory == ended.directory) else {
                return Ok(());
            };
            let setup = ended.setup;
            inner.records(&place).write(&Tree { setup, ..now })
        })
        .await?;
        Ok(tree)
    }

    async fn run_script(
        &self,
        place: &Place,
        tree: &Tree,
        script: &Script,
        timeout_ms: u64,
        said: Spoken<'_>,
    ) -> Result<(), String> {
        let Some((program, args)) = script.words.split_first() else {
            return Ok(());
        };
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let spec = ProcessSpec {
            program: program.clone(),
            args: args.to_vec(),
            directory: tree.directory.clone(),
            env: vec![
                ("WORKTREE_PATH".into(), text(&tree.directory)),
                ("REPO_PATH".into(), text(&place.main())),
                ("KILO_PORT_BASE".into(), tree.port_base.to_string()),
                ("KILO_PORT_COUNT".into(), PORTS.to_string()),
            ],
            timeout_ms: Some(timeout_ms),
            stdin: None,
        };
        let (send, receive) = mpsc::channel(16);
        let running = self.0.git.sandbox.run(spec, send, CancellationToken::new());
        let (exit, output) = tokio::join!(running, collect(receive, said));
        let how = match exit {
            Ok(Exit::Code(0)) => return Ok(()),
            Ok(Exit::Code(code)) => format!("it ended with {code}"),
            Ok(Exit::Signal(signal)) => format!("it was ended by signal {signal}"),
            Ok(Exit::TimedOut) => format!("it took longer than {} s", timeout_ms / 1_000),
            Ok(Exit::Cancelled) => "it was ended".into(),
            Err(error) => error.to_string(),
        };
        let mut from = output.len().saturating_sub(TAIL_BYTES);
        while !output.is_char_boundary(from) {
            from += 1;
        }
        match output[from..].trim() {
            "" => Err(how),
            tail => Err(format!("{how}\n{tail}")),
        }
    }
}

fn script(place: &Place) -> Option<Script> {
    for root in [place.main(), place.root.clone()] {
        for name in SCRIPTS {
            let path = root.join(name);
            let Ok(about) = path.metadata() else { continue };
            if !about.is_file() {
                continue;
            }
            let file = path.to_string_lossy().into_owned();
            return Some(Script {
                words: match about.permissions().mode() & 0o111 {
                    0 => vec!["sh".into(), file],
                    _ => vec![file],
                },
            });
        }
    }
    None
}
