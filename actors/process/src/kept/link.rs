//! The daemon's hold on a keeper: dropped, the process goes on.

use super::files::{Ended, Folder, KeptOrder, State};
use super::frames::{self, Order, Report};
use kilo_ports::BoxFuture;
use kilo_ports::sandbox::{Exit, Process, ProcessSpec, Sandbox, TerminalSize, Usage};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};

/// How long a keeper may take to be there, and to answer.
const START_MAX: Duration = Duration::from_secs(10);
const ANSWER_MAX: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// Pieces of output that wait to be read; then the keeper waits, not the process.
const PIECES_MAX: usize = 16;
const ORDERS_MAX: usize = 16;
/// What is said of a process whose keeper was killed, or that was running when the machine went down.
const KEEPER_GONE: &str = "the process that kept it is gone, and it with that one";

/// The program that keeps: its words, to which the folder is added.
#[derive(Clone, Debug)]
pub struct Program {
    /// The program.
    pub program: String,
    /// Its first arguments.
    pub args: Vec<String>,
}

/// Output and its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Bytes before it since the first start.
    pub position: u64,
    /// The output.
    pub bytes: Vec<u8>,
}

/// A kept process.
pub struct Link {
    pid: u32,
    orders: mpsc::Sender<Order>,
    used: watch::Receiver<(u64, Usage)>,
    ended: watch::Receiver<Option<Ended>>,
}

/// What is known of a process when it is held.
pub struct Held {
    /// The hold.
    pub link: Arc<Link>,
    /// How it is.
    pub state: State,
    /// Its output from the position asked for on; ends with it.
    pub output: mpsc::Receiver<Piece>,
}

/// Starts a keeper for what is ordered, and holds it.
///
/// # Errors
/// Why the command does not run, for people.
pub async fn start(
    folder: &Folder,
    order: &KeptOrder,
    sandbox: &Arc<dyn Sandbox>,
    program: &Program,
) -> Result<Held, String> {
    let prepared = folder.prepare(order);
    prepared.map_err(|error| format!("cannot write {}: {error}", folder.0.display()))?;
    let mut args = program.args.clone();
    args.push(folder.0.to_string_lossy().into_owned());
    let spec = ProcessSpec {
        program: program.program.clone(),
        args,
        directory: order.cwd.clone(),
        env: Vec::new(),
        timeout_ms: None,
        stdin: None,
    };
    let detached = sandbox.detach(spec).await;
    detached.map_err(|error| match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    })?;
    let held = async {
        loop {
            match attach(folder, order, order.from).await {
                Ok(held) if held.state.pid.is_some() => return Ok(held),
                // it is being loaded, never will be, or was over at once
                Ok(held) => held.link.soon_over().await,
                // it is not there yet, or no more
                Err(_) => {}
            }
            if let Some(why) = ended(folder).and_then(|ended| ended.why) {
                return Err(why);
            }
            if let Some(held) = over(folder, order) {
                return Ok(held);
            }
            sleep(LOOK_EVERY).await;
        }
    };
    match timeout(START_MAX, held).await {
        Ok(held) => held,
        Err(_) => Err("the process that should keep it does not start".into()),
    }
}

fn ended(folder: &Folder) -> Option<Ended> {
    folder.state().ok()?.ended
}

/// One that was over before it could be held.
fn over(folder: &Folder, order: &KeptOrder) -> Option<Held> {
    let state = folder.state().ok()?;
    let ended = state.ended.clone()?;
    let (send, output) = mpsc::channel(1);
    if let Some((position, bytes)) = folder.log() {
        let skip = order.from.saturating_sub(position) as usize;
        let bytes = bytes.get(skip..).unwrap_or_default().to_vec();
        let position = position + skip as u64;
        let _ = send.try_send(Piece { position, bytes });
    }
    let link = Link {
        pid: state.pid.unwrap_or_default(),
        orders: mpsc::channel(1).0,
        used: watch::channel((0, Usage::default())).1,
        ended: watch::channel(Some(ended)).1,
    };
    Some(Held {
        link: Arc::new(link),
        state,
        output,
    })
}

/// Holds a process that a keeper keeps; its output follows from `from` on.
///
/// # Errors
/// No keeper is there, or it knows another token.
pub async fn attach(folder: &Folder, order: &KeptOrder, from: u64) -> io::Result<Held> {
    let stream = connect(folder)?;
    let (reader, mut writer) = stream.into_split();
    let hold = Order::Hold {
        token: order.token.clone(),
        from,
    };
    frames::order(&mut writer, &hold).await?;
    let (orders, mut queue) = mpsc::channel::<Order>(ORDERS_MAX);
    tokio::spawn(async move {
        while let Some(order) = queue.recv().await {
            if frames::order(&mut writer, &order).await.is_err() {
                return;
            }
        }
    });
    let (first, state) = oneshot::channel();
    let (send, output) = mpsc::channel(PIECES_MAX);
    let (used, uses) = watch::channel((0, Usage::default()));
    let (ended, ends) = watch::channel(None);
    let listening = Listening {
        folder: folder.clone(),
        first: Some(first),
        used,
    };
    tokio::spawn(async move {
        let how = listening.listen(reader, send).await;
        let _ = ended.send(Some(how));
    });
    let state: State = timeout(ANSWER_MAX, state)
        .await
        .map_err(|_| io::ErrorKind::TimedOut)?
        .map_err(|_| io::ErrorKind::ConnectionRefused)?;
    let link = Link {
        pid: state.pid.unwrap_or_default(),
        orders,
        used: uses,
        ended: ends,
    };
    Ok(Held {
        link: Arc::new(link),
        state,
        output,
    })
}

/// Connects to the keeper's socket; one that is there answers at once.
fn connect(folder: &Folder) -> io::Result<UnixStream> {
    let stream = folder.by_short_path(std::os::unix::net::UnixStream::connect)?;
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

struct Listening {
    folder: Folder,
    first: Option<oneshot::Sender<State>>,
    used: watch::Sender<(u64, Usage)>,
}

impl Listening {
    /// Hears the keeper out; gives how the process ended.
    async fn listen(mut self, mut from: OwnedReadHalf, output: mpsc::Sender<Piece>) -> Ended {
        while let Ok(report) = frames::next_report(&mut from).await {
            match report {
                Report::State(state) => {
                    if let Some(ended) = state.ended {
                        return ended;
                    }
                    if let Some(first) = self.first.take() {
                        let _ = first.send(state);
                    }
                }
                Report::Output(position, bytes) => {
                    if output.send(Piece { position, bytes }).await.is_err() {
                        break;
                    }
                }
                Report::Usage { age_ms, usage } => drop(self.used.send((age_ms, usage))),
            }
        }
        // the keeper's last word may be on the disk only
        match self.folder.state().ok().and_then(|state| state.ended) {
            Some(ended) => ended,
            None => Ended {
                at: 0,
                code: None,
                signal: Some(9),
                why: Some(KEEPER_GONE.into()),
            },
        }
    }
}

/// What became of a process that no keeper keeps; stored, where its keeper could not. None when its keeper has just begun.
pub fn left(folder: &Folder, now: kilo_protocol::Millis) -> Option<State> {
    let gone = Some(Ended {
        at: now,
        code: None,
        signal: None,
        why: Some(KEEPER_GONE.into()),
    });
    let (state, stored) = match folder.state() {
        Ok(state) if state.ended.is_some() => (state, Ok(())),
        Ok(state) => {
            let state = State {
                ended: gone,
                ..state
            };
            let stored = folder.put_state(&state);
            (state, stored)
        }
        Err(_) => {
            let state = State {
                started: now,
                ended: gone,
                ..State::default()
            };
            let stored = folder.claim(&state);
            (state, stored)
        }
    };
    match stored {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return None,
        Err(error) => tracing::warn!(%error, "the state of a process is not stored"),
        Ok(()) => {}
    }
    Some(state)
}

impl Link {
    /// Waits a moment for the end.
    async fn soon_over(&self) {
        let mut ended = self.ended.clone();
        let _ = timeout(LOOK_EVERY * 10, ended.wait_for(Option::is_some)).await;
    }

    /// It said that it is ready; the next daemon shall know.
    pub fn is_ready(&self) {
        let _ = self.orders.try_send(Order::Ready);
    }

    /// How long it runs and what its tree uses; none: the keeper does not say.
    pub async fn uses(&self) -> Option<(u64, Usage)> {
        let mut used = self.used.clone();
        used.mark_unchanged();
        self.orders.try_send(Order::Usage).ok()?;
        timeout(ANSWER_MAX, used.changed()).await.ok()?.ok()?;
        let used = *used.borrow();
        Some(used)
    }

    /// How it ended, once it has.
    pub fn ended(&self) -> Option<Ended> {
        self.ended.borrow().clone()
    }
}

/// The hold as an owner has it on any process, but that its drop ends nothing.
pub struct Hold(pub Arc<Link>);

impl Process for Hold {
    fn pid(&self) -> u32 {
        self.0.pid
    }

    fn signal(&self, signal: i32) {
        let _ = self.0.orders.try_send(Order::Signal(signal));
    }

    fn resize(&self, _: TerminalSize) {}

    fn usage(&self) -> BoxFuture<'static, Usage> {
        let link = Arc::clone(&self.0);
        Box::pin(async move {
            link.uses()
                .await
                .map(|(_, usage)| usage)
                .unwrap_or_default()
        })
    }

    fn wait(&self) -> BoxFuture<'static, Exit> {
        let mut ended = self.0.ended.clone();
        Box::pin(async move {
            let ended = ended.wait_for(Option::is_some).await;
            match ended.ok().and_then(|ended| ended.clone()) {
                Some(Ended {
                    code: Some(code), ..
                }) => Exit::Code(code),
                Some(Ended {
                    signal: Some(signal),
                    ..
                }) => Exit::Signal(signal),
                _ => Exit::Signal(9),
            }
        })
    }

    fn end(&self, grace: Duration) -> BoxFuture<'static, Exit> {
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let _ = self.0.orders.try_send(Order::End { grace_ms });
        self.wait()
    }
}
