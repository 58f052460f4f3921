//! All terminals of a daemon.

use crate::terminal::{Happened, Terminal};
use kilo_ports::clock::Clock;
use kilo_ports::sandbox::{Sandbox, SandboxError, SpawnSpec, Streams, TerminalSize};
use kilo_protocol::terminal::{TerminalInfo, TerminalStatus, UpdateTerminal, WireSize};
use kilo_protocol::{IdSource, VERSION};
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use tokio::runtime::Handle;

/// Terminals at the same time.
pub const TERMINALS_MAX: usize = 64;
/// Ended ones whose output is kept; the oldest go first.
const EXITED_MAX: usize = 16;
/// Characters of a title.
const TITLE_CHARS_MAX: usize = 200;
/// The largest size; a screen of it takes 14 MB.
const ROWS_MAX: u64 = 300;
const COLUMNS_MAX: u64 = 1_000;
/// The size of a terminal whose client names none.
const SIZE: TerminalSize = TerminalSize {
    rows: 24,
    columns: 80,
};

/// Told what happens in a folder: its path, then what.
pub type Announce = Arc<dyn Fn(&str, Happened) + Send + Sync>;

/// What is to be started.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// The folder whose clients hear of it.
    pub directory: String,
    /// The program.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// The folder to start in (absolute).
    pub cwd: PathBuf,
    /// The title; none: one that is made up.
    pub title: Option<String>,
    /// Variables on top of the daemon's and of those that every terminal has.
    pub env: Vec<(String, String)>,
    /// The size; none: 80 by 24. Beyond 1,000 by 300 it is cut.
    pub size: Option<WireSize>,
}

/// Why there is no new terminal.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// Too many run.
    #[error("{TERMINALS_MAX} terminals are open: close one first")]
    TooMany,
    /// The folder is not there.
    #[error("{0} is not a folder")]
    Folder(PathBuf),
    /// The program does not start.
    #[error("{program} cannot be started: {why}")]
    Program {
        /// Its name.
        program: String,
        /// Why.
        why: String,
    },
}

/// The terminals.
pub struct Terminals {
    shared: Arc<Shared>,
}

struct Shared {
    sandbox: Arc<dyn Sandbox>,
    clock: Arc<dyn Clock>,
    ids: IdSource,
    handle: Handle,
    announce: Announce,
    all: Mutex<Vec<Arc<Terminal>>>,
}

impl Terminals {
    /// None yet. What they do runs on `handle`.
    pub fn new(
        sandbox: Arc<dyn Sandbox>,
        clock: Arc<dyn Clock>,
        handle: Handle,
        announce: Announce,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                sandbox,
                clock,
                ids: IdSource::default(),
                handle,
                announce,
                all: Mutex::default(),
            }),
        }
    }

    /// Starts a program in a terminal.
    pub async fn create(&self, program: Program) -> Result<TerminalInfo, CreateError> {
        let shared = Arc::clone(&self.shared);
        let handle = shared.handle.clone();
        // In a task of its own: a client that hangs up leaves no program that nobody knows.
        match handle
            .spawn(async move { shared.create(program).await })
            .await
        {
            Ok(made) => made,
            Err(error) => Err(CreateError::Program {
                program: "the terminal".into(),
                why: error.to_string(),
            }),
        }
    }

    /// The terminals of a folder, oldest first.
    pub fn list(&self, directory: &str) -> Vec<TerminalInfo> {
        let all = self.shared.all.lock();
        all.iter()
            .filter(|terminal| terminal.directory == directory)
            .map(|terminal| terminal.info())
            .collect()
    }

    /// The terminal of this id.
    pub fn get(&self, id: &str) -> Option<Arc<Terminal>> {
        let all = self.shared.all.lock();
        all.iter()
            .find(|terminal| terminal.info().id == id)
            .cloned()
    }

    /// Changes title, size or session; gives what it is then. None: there is no such terminal.
    pub async fn update(&self, id: &str, update: UpdateTerminal) -> Option<TerminalInfo> {
        let terminal = self.get(id)?;
        if let Some(title) = update.title {
            terminal.retitle(cut(&title));
        }
        if let Some(session) = update.session_id {
            terminal.show_with(session);
        }
        if let Some(size) = update.size {
            terminal.resize(bounded(size)).await;
        }
        let info = terminal.info();
        self.shared
            .tell(&terminal.directory, Happened::Updated(info.clone()));
        Some(info)
    }

    /// Ends a terminal and its views. False: there is none.
    pub fn remove(&self, id: &str) -> bool {
        self.remove_where(|terminal| terminal.info().id == id) > 0
    }

    /// Ends the terminals of a folder.
    pub fn remove_all(&self, directory: &str) {
        self.remove_where(|terminal| terminal.directory == directory);
    }

    /// Ends those of a folder and of all below it.
    pub fn remove_below(&self, directory: &std::path::Path) {
        self.remove_where(|terminal| {
            std::path::Path::new(&*terminal.directory).starts_with(directory)
        });
    }

    fn remove_where(&self, is_meant: impl Fn(&Terminal) -> bool) -> usize {
        let gone: Vec<_> = {
            let mut all = self.shared.all.lock();
            all.extract_if(.., |terminal| is_meant(terminal)).collect()
        };
        for terminal in &gone {
            self.shared.forget(terminal);
        }
        gone.len()
    }
}

impl Shared {
    async fn create(self: Arc<Self>, program: Program) -> Result<TerminalInfo, CreateError> {
        let running = |terminal: &&Arc<Terminal>| terminal.is_running();
        if self.all.lock().iter().filter(running).count() >= TERMINALS_MAX {
            return Err(CreateError::TooMany);
        }
        let cwd = program.cwd;
        if !tokio::fs::metadata(&cwd)
            .await
            .is_ok_and(|facts| facts.is_dir())
        {
            return Err(CreateError::Folder(cwd));
        }
        let id = self.ids.ascending("pty", self.clock.now());
        let title = match program.title.filter(|title| !title.trim().is_empty()) {
            Some(title) => cut(&title),
            None => format!("Terminal {}", &id[id.len().saturating_sub(4)..]),
        };
        let size = program.size.map_or(SIZE, bounded);
        let mut env = variables(&id);
        env.extend(program.env);
        let spec = SpawnSpec {
            title: format!("terminal {title}"),
            program: program.command.clone(),
            args: program.args.clone(),
            directory: cwd.clone(),
            env,
            streams: Streams::Terminal(size),
        };
        let spawned = self.sandbox.spawn(spec).await.map_err(refused)?;
        let info = TerminalInfo {
            id,
            title,
            command: program.command,
            args: program.args,
            cwd: cwd.display().to_string(),
            status: TerminalStatus::Running,
            pid: spawned.process.pid(),
            exit_code: None,
            session_id: None,
        };
        let mut all = self.all.lock();
        // Before its end can be told.
        self.tell(&program.directory, Happened::Created(info.clone()));
        let shared = Arc::downgrade(&self);
        let terminal = Terminal::attend(
            program.directory,
            info.clone(),
            size,
            spawned,
            move |terminal| ended(&shared, terminal),
        );
        all.push(terminal);
        Ok(info)
    }

    fn tell(&self, directory: &str, what: Happened) {
        (self.announce)(directory, what);
    }

    fn forget(&self, terminal: &Terminal) {
        terminal.remove();
        self.tell(&terminal.directory, Happened::Deleted(terminal.info().id));
    }

    /// The oldest ended ones beyond [`EXITED_MAX`], taken off the list.
    fn too_old(&self) -> Vec<Arc<Terminal>> {
        let mut all = self.all.lock();
        let exited = all.iter().filter(|terminal| !terminal.is_running()).count();
        let mut left = exited.saturating_sub(EXITED_MAX);
        all.extract_if(.., |terminal| {
            let goes = left > 0 && !terminal.is_running();
            left -= usize::from(goes);
            goes
        })
        .collect()
    }
}

/// A program ended by itself, or because its terminal was removed.
fn ended(shared: &Weak<Shared>, terminal: &Arc<Terminal>) {
    let Some(shared) = shared.upgrade() else {
        return;
    };
    let is_kept = {
        let all = shared.all.lock();
        all.iter().any(|kept| Arc::ptr_eq(kept, terminal))
    };
    if is_kept {
        shared.tell(&terminal.directory, Happened::Exited(terminal.info()));
    }
    for old in shared.too_old() {
        shared.forget(&old);
    }
}

/// What programs see of the terminal that they run in.
fn variables(id: &str) -> Vec<(String, String)> {
    [
        ("TERM", "xterm-256color"),
        ("COLORTERM", "truecolor"),
        ("TERM_PROGRAM", "kilo"),
        ("TERM_PROGRAM_VERSION", VERSION),
        ("KILO_TERMINAL", "1"),
        ("KILO_TERMINAL_ID", id),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

fn refused(error: SandboxError) -> CreateError {
    let (SandboxError::Spawn { program, source } | SandboxError::Wait { program, source }) = error;
    CreateError::Program {
        program,
        why: source.to_string(),
    }
}

fn bounded(size: WireSize) -> TerminalSize {
    let within = |value: u64, max: u64| u16::try_from(value.clamp(1, max)).unwrap_or(1);
    TerminalSize {
        rows: within(size.rows, ROWS_MAX),
        columns: within(size.cols, COLUMNS_MAX),
    }
}

fn cut(title: &str) -> String {
    title.chars().take(TITLE_CHARS_MAX).collect()
}
