use crate::BoxFuture;
use crate::sandbox::{
    Exit, Process, ProcessSpec, Running, Sandbox, SandboxError, SpawnSpec, Spawned, Streams,
    TerminalSize, Usage,
};
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::DuplexStream;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Bytes that a stream of a fake process holds, as a pipe does.
const STREAM_BYTES: usize = 64 * 1024;

/// A sandbox that runs nothing: it remembers what it was asked and answers a fixed output. The other ends of what was
/// spawned are the test's to play.
#[derive(Default)]
pub struct FakeSandbox {
    /// What was run so far.
    pub runs: Mutex<Vec<ProcessSpec>>,
    /// What every run prints.
    pub output: Mutex<String>,
    /// What was spawned and not yet taken by the test.
    pub spawned: Mutex<Vec<FakeProcess>>,
}

/// The process's side of a spawned process.
pub struct FakeProcess {
    /// What was asked for.
    pub spec: SpawnSpec,
    /// What the owner writes.
    pub stdin: DuplexStream,
    /// What the owner reads; dropped, the owner sees its end.
    pub stdout: DuplexStream,
    /// The same for stderr, where it is separate.
    pub stderr: Option<DuplexStream>,
    /// What the owner did and how the process ended.
    pub state: Arc<FakeState>,
}

/// What became of a fake process.
pub struct FakeState {
    /// Signals sent so far; an end that was asked for is SIGTERM (15), a dropped owner SIGKILL (9).
    pub signals: Mutex<Vec<i32>>,
    /// Sizes of the terminal so far, the first included.
    pub sizes: Mutex<Vec<TerminalSize>>,
    /// What it says to use.
    pub usage: Mutex<Usage>,
    exit: watch::Sender<Option<Exit>>,
}

impl FakeProcess {
    /// Lets the process end.
    pub fn exit(self, exit: Exit) {
        self.state.end(exit);
    }
}

impl FakeState {
    fn end(&self, exit: Exit) {
        self.exit.send_if_modified(|known| {
            let first = known.is_none();
            known.get_or_insert(exit);
            first
        });
    }
}

struct Owner(Arc<FakeState>);

impl Process for Owner {
    fn pid(&self) -> u32 {
        1
    }

    fn signal(&self, signal: i32) {
        self.0.signals.lock().push(signal);
    }

    fn resize(&self, size: TerminalSize) {
        self.0.sizes.lock().push(size);
    }

    fn usage(&self) -> BoxFuture<'static, Usage> {
        Box::pin(std::future::ready(*self.0.usage.lock()))
    }

    fn wait(&self) -> BoxFuture<'static, Exit> {
        let mut exit = self.0.exit.subscribe();
        Box::pin(async move {
            let ended = exit.wait_for(Option::is_some).await;
            ended.ok().and_then(|exit| *exit).unwrap_or(Exit::Signal(9))
        })
    }

    fn end(&self, _: Duration) -> BoxFuture<'static, Exit> {
        self.signal(15);
        self.0.end(Exit::Signal(15));
        self.wait()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if self.0.exit.borrow().is_none() {
            self.0.signals.lock().push(9);
            self.0.end(Exit::Signal(9));
        }
    }
}

impl Sandbox for FakeSandbox {
    fn run(
        &self,
        spec: ProcessSpec,
        output: mpsc::Sender<Bytes>,
        _: CancellationToken,
    ) -> BoxFuture<'static, Result<Exit, SandboxError>> {
        self.runs.lock().push(spec);
        let text = self.output.lock().clone();
        Box::pin(async move {
            let _ = output.send(Bytes::from(text)).await;
            Ok(Exit::Code(0))
        })
    }

    fn spawn(&self, spec: SpawnSpec) -> BoxFuture<'static, Result<Spawned, SandboxError>> {
        let (stdin, its_stdin) = tokio::io::duplex(STREAM_BYTES);
        let (stdout, its_stdout) = tokio::io::duplex(STREAM_BYTES);
        let (stderr, its_stderr) = match spec.streams {
            Streams::Separate => {
                let (ours, its) = tokio::io::duplex(STREAM_BYTES);
                (Some(ours), Some(its))
            }
            Streams::Merged | Streams::Terminal(_) => (None, None),
        };
        let sizes = match spec.streams {
            Streams::Terminal(size) => vec![size],
            Streams::Separate | Streams::Merged => Vec::new(),
        };
        let state = Arc::new(FakeState {
            signals: Mutex::default(),
            sizes: Mutex::new(sizes),
            usage: Mutex::default(),
            exit: watch::Sender::new(None),
        });
        self.spawned.lock().push(FakeProcess {
            spec,
            stdin: its_stdin,
            stdout: its_stdout,
            stderr: its_stderr,
            state: Arc::clone(&state),
        });
        Box::pin(std::future::ready(Ok(Spawned {
            stdin: Box::pin(stdin),
            stdout: Box::pin(stdout),
            stderr: stderr.map(|stderr| Box::pin(stderr) as _),
            process: Box::new(Owner(state)),
        })))
    }

    fn running(&self) -> BoxFuture<'static, Vec<Running>> {
        Box::pin(std::future::ready(Vec::new()))
    }
}
