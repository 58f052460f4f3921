//! The folder of one persistent process.

use kilo_ports::background::{Ready, StartOrder};
use kilo_protocol::process::Lifetime;
use kilo_protocol::{Millis, SessionId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The keeper's socket.
const SOCKET: &str = "socket";
const ORDER: &str = "order.json";
const STATE: &str = "state.json";
const LOG: &str = "log";
/// Bytes of the position in front of a stored output.
const POSITION_BYTES: usize = 8;

/// A folder, its owner's alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder(pub PathBuf);

/// What was ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptOrder {
    /// What both ends of the socket know.
    pub token: String,
    /// The process.
    pub id: String,
    /// Whose it is.
    pub owner: SessionId,
    /// The session that ordered it.
    pub session: SessionId,
    /// That session's folder.
    pub directory: PathBuf,
    /// For bash.
    pub command: String,
    /// Where it runs.
    pub cwd: PathBuf,
    /// What it is for.
    pub description: Option<String>,
    /// A line of its output that says that it is ready.
    pub pattern: Option<String>,
    /// A port that says so.
    pub port: Option<u16>,
    /// How long that is waited for; none: nobody waits.
    pub ready_ms: Option<u64>,
    /// What lists call it.
    pub title: String,
    /// The position at which the output of this run begins.
    pub from: u64,
}

impl KeptOrder {
    /// As it was ordered.
    pub fn order(&self) -> StartOrder {
        StartOrder {
            session: self.session.clone(),
            directory: self.directory.clone(),
            command: self.command.clone(),
            cwd: self.cwd.clone(),
            description: self.description.clone(),
            ready: self.ready_ms.map(|ms| Ready {
                pattern: self.pattern.clone(),
                port: self.port,
                timeout: Duration::from_millis(ms),
            }),
            lifetime: Lifetime::Persistent,
        }
    }
}

/// How a process is, as its keeper writes it at each change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The keeper's number and the tick of its start since the machine's: for people, nobody acts on them.
    pub keeper: (u32, u64),
    /// The command's number.
    pub pid: Option<u32>,
    /// When the run began.
    pub started: Millis,
    /// It said that it is ready.
    pub ready: bool,
    /// It was told to end.
    pub stopping: bool,
    /// How it ended.
    pub ended: Option<Ended>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// When.
    pub at: Millis,
    /// Its exit code.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Why it never began, or nothing is known of its end.
    pub why: Option<String>,
}

impl Folder {
    /// Those in `root`. None where there is no such folder.
    pub fn all(root: &Path) -> Vec<Self> {
        let entries = fs::read_dir(root).into_iter().flatten().flatten();
        let mut all: Vec<_> = entries.map(|entry| Self(entry.path())).collect();
        // ids ascend with time
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// Does something with the path of the socket, of which the system takes 107 bytes at most: by way of the open folder.
    pub fn by_short_path<T>(&self, with: impl FnOnce(PathBuf) -> io::Result<T>) -> io::Result<T> {
        let open = fs::File::open(&self.0)?;
        with(format!("/proc/self/fd/{}/{SOCKET}", open.as_raw_fd()).into())
    }

    /// Whether what was ordered is still there.
    pub fn is_there(&self) -> bool {
        self.file(ORDER).exists()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Makes the folder ready for a run and writes down what is ordered. What is there of earlier runs but their output goes.
    pub fn prepare(&self, order: &KeptOrder) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0)?;
        for old in [STATE, SOCKET] {
            match fs::remove_file(self.file(old)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.write(ORDER, &json(order)?)
    }

    /// What was ordered.
    pub fn order(&self) -> io::Result<KeptOrder> {
        self.read(ORDER)
    }

    /// How it is, or was when its keeper wrote last.
    pub fn state(&self) -> io::Result<State> {
        self.read(STATE)
    }

    /// Writes how it is where nobody has said so yet.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`].
    pub fn claim(&self, state: &State) -> io::Result<()> {
        let new = format!("{STATE}.claim");
        self.write(&new, &json(state)?)?;
        let linked = fs::hard_link(self.file(&new), self.file(STATE));
        let _ = fs::remove_file(self.file(&new));
        linked
    }

    /// Writes how it is.
    pub fn put_state(&self, state: &State) -> io::Result<()> {
        self.write(STATE, &json(state)?)
    }

    /// The stored output, with the position of its first byte.
    pub fn log(&self) -> Option<(u64, Vec<u8>)> {
        let mut bytes = fs::read(self.file(LOG)).ok()?;
        let position = bytes.first_chunk::<POSITION_BYTES>()?;
        let position = u64::from_le_bytes(*position);
        bytes.drain(..POSITION_BYTES);
        Some((position, bytes))
    }

    /// Stores an output in place of what is stored. Gives the file to append to.
    pub fn put_log(&self, position: u64, bytes: &[u8]) -> io::Result<fs::File> {
        let whole = [&position.to_le_bytes(), bytes].concat();
        self.write(LOG, &whole)?;
        OpenOptions::new().append(true).open(self.file(LOG))
    }

    /// Deletes all of it.
    pub fn remove(&self) {
        if let Err(error) = fs::remove_dir_all(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(folder = %self.0.display(), %error, "what is left of a process cannot be deleted");
        }
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> io::Result<T> {
        Ok(serde_json::from_slice(&fs::read(self.file(name))?)?)
    }

    /// Whole or not at all.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = self.file(&format!("{name}.new"));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(bytes)?;
        fs::rename(&new, self.file(name))
    }
}

fn json(value: &impl Serialize) -> io::Result<Vec<u8>> {
    Ok(serde_json::to_vec(value)?)
}
