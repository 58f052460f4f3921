//! One program in its terminal.

use crate::output::{Decoder, Output, Room};
use crate::view::{Progress, View};
use bytes::Bytes;
use kilo_ports::BoxFuture;
use kilo_ports::sandbox::{ByteReader, ByteWriter, Exit, Process, Spawned, TerminalSize};
use kilo_protocol::SessionId;
use kilo_protocol::terminal::{TerminalInfo, TerminalStatus};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{mpsc, watch};

/// Bytes that are read at once.
const READ_BYTES: usize = 16 << 10;
/// Messages of input that wait for the program.
const INPUTS_MAX: usize = 16;
/// Changes of size that wait.
const ORDERS_MAX: usize = 16;
/// From the hang-up to the kill.
const GRACE: Duration = Duration::from_secs(1);
/// What a program gets when its terminal goes.
const HANG_UP: i32 = 1;

/// What clients are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// It was started.
    Created(TerminalInfo),
    /// Its title, size or session changed.
    Updated(TerminalInfo),
    /// Its program ended.
    Exited(TerminalInfo),
    /// It is gone.
    Deleted(String),
}

pub(crate) enum Order {
    Resize(TerminalSize),
    End,
}

/// One program in its terminal, as long as anybody may ask for it.
pub struct Terminal {
    /// The folder whose clients hear of it.
    pub(crate) directory: String,
    info: Mutex<TerminalInfo>,
    output: Arc<Mutex<Output>>,
    progress: watch::Sender<Progress>,
    input: mpsc::Sender<Bytes>,
    orders: mpsc::Sender<Order>,
}

impl Terminal {
    /// Takes a started program over. `ended` is called when it has ended and all that it wrote is there. To be called
    /// inside a tokio runtime.
    pub(crate) fn attend(
        directory: String,
        info: TerminalInfo,
        size: TerminalSize,
        spawned: Spawned,
        ended: impl FnOnce(&Arc<Self>) + Send + 'static,
    ) -> Arc<Self> {
        let (input, inputs) = mpsc::channel(INPUTS_MAX);
        let (orders, ordered) = mpsc::channel(ORDERS_MAX);
        let terminal = Arc::new(Self {
            directory,
            info: Mutex::new(info),
            output: Arc::new(Mutex::new(Output::new(size, Room::default()))),
            progress: watch::Sender::new(Progress::default()),
            input,
            orders,
        });
        tokio::spawn(type_in(spawned.stdin, inputs));
        let attendant = Attendant {
            terminal: Arc::clone(&terminal),
            stdout: spawned.stdout,
            process: spawned.process,
            decoder: Decoder::default(),
        };
        tokio::spawn(async move {
            let terminal = Arc::clone(&attendant.terminal);
            attendant.run(ordered).await;
            ended(&terminal);
        });
        terminal
    }

    /// What clients see of it.
    pub fn info(&self) -> TerminalInfo {
        self.info.lock().clone()
    }

    /// The way in: bytes as a keyboard sends them. Whoever sends waits while the program does not read.
    pub fn input(&self) -> mpsc::Sender<Bytes> {
        self.input.clone()
    }

    /// A client's view; see [`View`] for the cursor.
    pub fn view(&self, cursor: Option<i64>) -> View {
        View::new(Arc::clone(&self.output), self.progress.subscribe(), cursor)
    }

    /// Whether the program runs.
    pub fn is_running(&self) -> bool {
        self.info.lock().status == TerminalStatus::Running
    }

    pub(crate) fn retitle(&self, title: String) {
        self.info.lock().title = title;
    }

    pub(crate) fn show_with(&self, session: Option<SessionId>) {
        self.info.lock().session_id = session;
    }

    /// Orders another size. One that has ended keeps its own.
    pub(crate) async fn resize(&self, size: TerminalSize) {
        let _ = self.orders.send(Order::Resize(size)).await;
    }

    /// Ends the program and all views.
    pub(crate) fn remove(&self) {
        self.progress
            .send_modify(|progress| progress.removed = true);
        // A full queue holds changes of size only, whose taker sees `removed` as well.
        let _ = self.orders.try_send(Order::End);
    }

    fn is_removed(&self) -> bool {
        self.progress.borrow().removed
    }

    fn exited(&self, exit: Exit) {
        let code = match exit {
            Exit::Code(code) => u32::try_from(code).unwrap_or(1),
            Exit::Signal(signal) => 128 + u32::try_from(signal).unwrap_or_default(),
            Exit::TimedOut | Exit::Cancelled => 1,
        };
        let mut info = self.info.lock();
        info.status = TerminalStatus::Exited;
        info.exit_code = Some(code);
    }
}

/// Writes what clients type.
async fn type_in(mut stdin: ByteWriter, mut inputs: mpsc::Receiver<Bytes>) {
    while let Some(bytes) = inputs.recv().await {
        if stdin.write_all(&bytes).await.is_err() || stdin.flush().await.is_err() {
            return;
        }
    }
}

/// Follows one program.
struct Attendant {
    terminal: Arc<Terminal>,
    stdout: ByteReader,
    process: Box<dyn Process>,
    decoder: Decoder,
}

impl Attendant {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut buffer = vec![0; READ_BYTES];
        // A program may close its terminal and live on: it is over when the process is.
        let (mut is_open, mut ending) = (true, self.process.wait());
        let exit = loop {
            tokio::select! {
                biased;
                order = orders.recv() => self.obey(order, &mut ending).await,
                read = self.stdout.read(&mut buffer), if is_open => match read {
                    Ok(0) | Err(_) => is_open = false,
                    Ok(bytes) => self.take(&buffer[..bytes]).await,
                },
                exit = &mut ending, if !is_open || self.terminal.is_removed() => break exit,
            }
        };
        let rest = self.decoder.finish();
        self.terminal.output.lock().push(rest);
        self.terminal.exited(exit);
        self.terminal
            .progress
            .send_modify(|progress| progress.ended = true);
    }

    async fn obey(&mut self, order: Option<Order>, ending: &mut BoxFuture<'static, Exit>) {
        match order {
            Some(Order::Resize(size)) if !self.terminal.is_removed() => self.resize(size).await,
            _ => {
                self.process.signal(HANG_UP);
                *ending = self.process.end(GRACE);
            }
        }
    }

    /// Adds output, shows it, then makes room.
    async fn take(&mut self, bytes: &[u8]) {
        let text = self.decoder.decode(bytes);
        let head = {
            let mut output = self.terminal.output.lock();
            output.push(&text);
            output.head()
        };
        self.terminal
            .progress
            .send_modify(|progress| progress.head = head);
        while self.step(Output::trim) {
            tokio::task::yield_now().await;
        }
    }

    async fn resize(&mut self, size: TerminalSize) {
        while self.step(Output::settle) {
            tokio::task::yield_now().await;
        }
        self.process.resize(size);
        self.terminal.output.lock().resize(size);
    }

    fn step(&self, step: fn(&mut Output) -> bool) -> bool {
        let mut output = self.terminal.output.lock();
        !self.terminal.is_removed() && step(&mut output)
    }
}
