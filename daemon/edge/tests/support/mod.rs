//! A server on a real loopback port, and a client that writes what it is told, byte for byte.

#![allow(dead_code)] // each test target uses its own part
#![allow(clippy::unwrap_used)] // clippy does not see that this is test code

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use kilo_edge::{
    Door, EdgeOptions, Incoming, Reply, Request, Router, Socket, SocketHandler, bind, serve, sse,
};
use kilo_protocol::Fault;
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// No step of a test takes longer.
pub const LONG: Duration = Duration::from_secs(20);

pub struct Server {
    pub addr: SocketAddr,
    pub door: Door,
    pub url: String,
    /// Told when an event stream's source is dropped.
    pub dropped: mpsc::Receiver<()>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Server {
    pub fn start(options: EdgeOptions) -> Self {
        let bound = bind(&options).unwrap();
        let (addr, door, url) = (bound.addr(), bound.door(), bound.url());
        let (stop, stopped) = oneshot::channel();
        let (drops, dropped) = mpsc::channel();
        let routes = move || routes(drops.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(serve(bound, &options, routes, stopped.map(|_| ())))
        });
        Self {
            addr,
            door,
            url,
            dropped,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub fn client(&self) -> Client {
        let stream = TcpStream::connect(self.addr).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_write_timeout(Some(LONG)).unwrap();
        Client {
            stream,
            buffer: Vec::new(),
        }
    }

    /// Sends one request on a connection of its own; `head` has no `Host` line and no empty line.
    pub fn ask(&self, head: &str, body: &str) -> Answer {
        self.client().ask(head, body)
    }

    /// Gets a path as a program of this user does.
    pub fn get(&self, path: &str, fields: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\n{fields}"), "")
    }

    /// Sends a JSON body.
    pub fn post(&self, path: &str, body: &str) -> Answer {
        let fields = format!(
            "content-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        );
        self.ask(&format!("POST {path} HTTP/1.1\r\n{fields}"), body)
    }

    /// Tells the server to stop and waits for it.
    pub fn stop(&mut self) -> io::Result<()> {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        self.thread
            .take()
            .map_or(Ok(()), |thread| thread.join().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

pub struct Client {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

impl Client {
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends a request to the usual host and reads the answer.
    pub fn ask(&mut self, head: &str, body: &str) -> Answer {
        self.send(format!("{head}host: localhost\r\n\r\n{body}").as_bytes());
        self.answer(head.starts_with("HEAD"))
    }

    /// Reads a head, and a body of known length.
    pub fn answer(&mut self, bodiless: bool) -> Answer {
        let mut answer = self.head();
        let length = answer
            .field("content-length")
            .map_or(0, |text| text.parse().unwrap());
        if !bodiless {
            while self.buffer.len() < length {
                assert!(self.more(), "the body ended early");
            }
            answer.body = self.buffer.drain(..length).collect();
        }
        answer
    }

    pub fn head(&mut self) -> Answer {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at;
            }
            assert!(
                self.more(),
                "the head ended early: {:?}",
                String::from_utf8_lossy(&self.buffer)
            );
        };
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let head = String::from_utf8(head).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer {
            status,
            head,
            body: Vec::new(),
        }
    }

    /// Reads until `text` has come; gives all up to it.
    pub fn until(&mut self, text: &str) -> Vec<u8> {
        loop {
            if let Some(at) = find(&self.buffer, text.as_bytes()) {
                return self.buffer.drain(..at + text.len()).collect();
            }
            assert!(self.more(), "never came: {text:?}");
        }
    }

    /// Reads exactly so many bytes.
    pub fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            assert!(self.more(), "the connection ended early");
        }
        self.buffer.drain(..count).collect()
    }

    /// Reads to the end of the connection.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.more() {}
        std::mem::take(&mut self.buffer)
    }

    fn more(&mut self) -> bool {
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => false,
            Ok(count) => {
                self.buffer.extend_from_slice(&chunk[..count]);
                true
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("{error}"),
        }
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

#[derive(Deserialize)]
struct Prompt {
    parts: Vec<Value>,
}

/// Tells by its drop that a stream's source is gone.
struct Notice(mpsc::Sender<()>);

impl Drop for Notice {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

fn routes(drops: mpsc::Sender<()>) -> Router {
    Router::new()
        .on("global.health", |_| async {
            Reply::json(&json!({"healthy": true}))
        })
        .on("session.create", |request| async move { echo(&request) })
        .on("session.get", |request| async move { echo(&request) })
        .on("v2.session.create", |request| async move { echo(&request) })
        .on("session.abort", |_| async { Reply::json(&true) })
        .on("session.unrevert", {
            let drops = drops.clone();
            move |_| {
                let done = drops.clone();
                async move {
                    tokio::task::spawn_blocking(|| {
                        std::thread::park_timeout(Duration::from_millis(200))
                    })
                    .await
                    .unwrap();
                    done.send(()).unwrap();
                    Reply::json(&true)
                }
            }
        })
        .on("session.share", {
            let drops = drops.clone();
            move |request: Request| {
                let notice = Notice(drops.clone());
                async move {
                    let _notice = notice;
                    request.unless_left(std::future::pending()).await
                }
            }
        })
        .on("session.delete", |_| async {
            Ok(Reply::Empty(204).with("x-made-by", "test"))
        })
        .on("session.prompt", |request: Request| async move {
            let prompt: Prompt = request.json()?;
            Reply::json(&prompt.parts.len())
        })
        .on("mcp.auth.start", |request: Request| async move {
            Reply::json(request.params.get("name"))
        })
        .on("find.text", |request: Request| async move {
            Reply::json(request.query.require("pattern")?)
        })
        .on("provider.list", |_| async {
            Err(Fault::unknown("no such agent"))
        })
        .on("vcs.get", |_| async {
            Err(Fault::unavailable("try again"))
        })
        .on("app.agents", |_| async { panic!("a defect") })
        .on("event.subscribe", move |_| {
            let notice = Notice(drops.clone());
            async move { Ok(Reply::Events(events(notice))) }
        })
        .on("pty.connect", |_| async {
            Err(Fault::not_found("Pty", "pty_x"))
        })
        .on("ws.connect", |_| async { Ok(Reply::Socket(echo_socket())) })
}

fn echo(request: &Request) -> Result<Reply, Fault> {
    Reply::json(&json!({
        "op": request.op.id,
        "directory": request.directory,
        "body": request.json::<Value>()?,
        "session": request.params.get("sessionID"),
        "agent": request.header("user-agent"),
        "peer": request.peer.map(|peer| peer.ip().to_string()),
    }))
}

/// Two frames, then silence.
fn events(notice: Notice) -> stream::BoxStream<'static, Bytes> {
    let frames = [
        sse::frame(None, b"{\"n\":1}"),
        sse::frame(Some("e-2"), b"{\"n\":2}"),
    ];
    let silence = stream::pending().map(move |frame| {
        let _ = &notice;
        frame
    });
    stream::iter(frames).chain(silence).boxed()
}

fn echo_socket() -> SocketHandler {
    Box::new(|mut socket: Socket| {
        async move {
            while let Some(message) = socket.recv().await {
                let sent = match message {
                    Incoming::Text(text) if text == "bye" => {
                        return socket.close(1000, "bye").await;
                    }
                    Incoming::Text(text) => socket.text(text).await,
                    Incoming::Binary(bytes) => socket.binary(bytes).await,
                };
                if sent.is_err() {
                    return;
                }
            }
        }
        .boxed_local()
    })
}

/// Counts how often it is asked; always answers `own`.
pub fn asked(own: bool) -> (kilo_edge::IsOwn, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    let ask = move |inode: u64| {
        assert_ne!(inode, 0);
        counter.fetch_add(1, Ordering::SeqCst);
        own
    };
    (Arc::new(ask), count)
}
