//! A scripted model server: the OpenAI-compatible chat wire on loopback.
//!
//! A marker `[[key]]` in a prompt says whose script is played; requests without tools (titles, summaries) get a fixed
//! answer. With an empty script the last prompt is echoed.

use crate::turn::{Step, Turn};
use crate::wait::within;
use regex::Regex;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, LazyLock, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

static MARKER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\[\[([\w.:-]+)\]\]").expect("a pattern"));
const BODY_MAX: usize = 256 << 20;

/// A request that the model got.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The marker's key; empty without one.
    pub key: String,
    /// The body.
    pub body: Value,
}

impl Asked {
    /// All messages as one text, to look for words in.
    pub fn text(&self) -> String {
        self.body["messages"].to_string()
    }
}

#[derive(Default)]
struct Shared {
    scripts: Mutex<HashMap<String, VecDeque<Turn>>>,
    asked: Mutex<Vec<Asked>>,
    open: Mutex<HashSet<String>>,
    at_gate: Mutex<HashSet<String>>,
}

/// The server; ends with this value.
pub struct Model {
    url: String,
    shared: Arc<Shared>,
    changed: watch::Sender<u64>,
    _stop: oneshot::Sender<()>,
}

impl Model {
    /// Starts one on a thread of its own.
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Shared::default());
        let (changed, _) = watch::channel(0);
        let (stop, stopped) = oneshot::channel::<()>();
        let (state, bell) = (Arc::clone(&shared), changed.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a socket");
                tokio::select! {
                    () = accept(listener, state, bell) => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            url,
            shared,
            changed,
            _stop: stop,
        }
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Appends answers to the script of `key`.
    pub fn script(&self, key: &str, turns: impl IntoIterator<Item = Turn>) {
        self.shared
            .scripts
            .lock()
            .unwrap()
            .entry(key.into())
            .or_default()
            .extend(turns);
    }

    /// Opens a gate for good.
    pub fn open(&self, gate: &str) {
        self.shared.open.lock().unwrap().insert(gate.into());
        self.changed.send_modify(|n| *n += 1);
    }

    /// Waits until an answer stands at the gate.
    pub async fn at_gate(&self, gate: &str) {
        self.wait(&format!("an answer at gate {gate}"), |shared| {
            shared.at_gate.lock().unwrap().contains(gate).then_some(())
        })
        .await;
    }

    /// The requests with this key so far, oldest first.
    pub fn asked(&self, key: &str) -> Vec<Asked> {
        of_key(&self.shared, key)
    }

    /// Waits until `count` requests with this key have come.
    pub async fn asked_times(&self, key: &str, count: usize) -> Vec<Asked> {
        let look = |shared: &Shared| Some(of_key(shared, key)).filter(|asked| asked.len() >= count);
        self.wait(&format!("{count} requests of {key}"), look).await
    }

    async fn wait<T>(&self, what: &str, look: impl Fn(&Shared) -> Option<T>) -> T {
        let mut changed = self.changed.subscribe();
        within(what, async {
            loop {
                if let Some(found) = look(&self.shared) {
                    return found;
                }
                changed.changed().await.expect("the model lives");
            }
        })
        .await
    }
}

fn of_key(shared: &Shared, key: &str) -> Vec<Asked> {
    shared
        .asked
        .lock()
        .unwrap()
        .iter()
        .filter(|asked| asked.key == key)
        .cloned()
        .collect()
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, changed: watch::Sender<u64>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (shared, changed) = (Arc::clone(&shared), changed.clone());
        tokio::spawn(async move {
            let _ = serve(stream, &shared, &changed).await;
        });
    }
}

async fn serve(
    stream: TcpStream,
    shared: &Shared,
    changed: &watch::Sender<u64>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(body) = read_request(&mut stream).await? {
        let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let is_main = body["tools"]
            .as_array()
            .is_some_and(|tools| !tools.is_empty());
        let key = key_of(&body);
        let turn = match is_main {
            true => {
                next_turn(shared, &key).unwrap_or_else(|| Turn::text(&format!("echo of {key}")))
            }
            false => Turn::text("A title"),
        };
        if is_main {
            shared.asked.lock().unwrap().push(Asked { key, body });
            changed.send_modify(|n| *n += 1);
        }
        if !answer(&mut stream, turn, shared, changed).await? {
            return Ok(());
        }
    }
    Ok(())
}

fn next_turn(shared: &Shared, key: &str) -> Option<Turn> {
    shared
        .scripts
        .lock()
        .unwrap()
        .get_mut(key)
        .and_then(VecDeque::pop_front)
}

/// The last marker in what users and tools said.
fn key_of(body: &Value) -> String {
    let messages = body["messages"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let said = messages
        .iter()
        .rev()
        .filter(|message| message["role"] == "user");
    said.flat_map(|message| last_marker(&message["content"].to_string()))
        .next()
        .unwrap_or_default()
}

fn last_marker(text: &str) -> Option<String> {
    MARKER
        .captures_iter(text)
        .last()
        .map(|found| found[1].to_owned())
}

/// Reads one request; answers its body, or nothing when the caller is gone.
async fn read_request(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Vec<u8>>> {
    let mut length = 0;
    let mut lines = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        lines += 1;
        if line.trim().is_empty() && lines > 1 {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    assert!(length <= BODY_MAX, "a request of {length} bytes");
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some(body))
}

/// Sends an answer; says whether the connection may be used again.
async fn answer(
    stream: &mut BufReader<TcpStream>,
    turn: Turn,
    shared: &Shared,
    changed: &watch::Sender<u64>,
) -> std::io::Result<bool> {
    if let Some((status, body)) = turn.error {
        let head = format!(
            "HTTP/1.1 {status} Refused\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        return Ok(true);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n").await?;
    chunk(
        stream,
        &event(&json!({"role": "assistant", "content": ""}), None),
    )
    .await?;
    let (mut calls, mut written) = (0, 0);
    for step in turn.steps {
        let delta = match step {
            Step::Text(text) => {
                written += text.len();
                json!({"content": text})
            }
            Step::Call(name, arguments) | Step::HalfCall(name, arguments) => {
                calls += 1;
                let id = format!(
                    "call_{:08x}",
                    calls + shared.asked.lock().unwrap().len() * 256
                );
                let function = json!({"name": name, "arguments": arguments});
                json!({"tool_calls": [{"index": calls - 1, "id": id, "type": "function", "function": function}]})
            }
            Step::Raw(text) => {
                chunk(stream, &text).await?;
                continue;
            }
            Step::Pause(pause) => {
                tokio::time::sleep(pause).await;
                continue;
            }
            Step::Gate(gate) => {
                pass(&gate, stream, shared, changed).await?;
                continue;
            }
            Step::Drop => return Ok(false),
            Step::End => {
                stream.write_all(b"0\r\n\r\n").await?;
                return Ok(true);
            }
            Step::Stall => {
                gone(stream).await;
                return Ok(false);
            }
        };
        chunk(stream, &event(&delta, None)).await?;
    }
    let finish = if calls > 0 { "tool_calls" } else { "stop" };
    chunk(stream, &event(&json!({}), Some(finish))).await?;
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 1 + written / 4, "total_tokens": 101 + written / 4});
    let last = json!({"id": "c", "object": "chat.completion.chunk", "choices": [], "usage": usage});
    chunk(stream, &format!("data: {last}\n\ndata: [DONE]\n\n")).await?;
    stream.write_all(b"0\r\n\r\n").await?;
    Ok(true)
}

fn event(delta: &Value, finish: Option<&str>) -> String {
    let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
    format!(
        "data: {}\n\n",
        json!({"id": "c", "object": "chat.completion.chunk", "choices": [choice]})
    )
}

async fn chunk(stream: &mut BufReader<TcpStream>, text: &str) -> std::io::Result<()> {
    let framed = format!("{:x}\r\n{text}\r\n", text.len());
    stream.write_all(framed.as_bytes()).await
}

/// Waits at a gate, or until the caller is gone.
async fn pass(
    gate: &str,
    stream: &mut BufReader<TcpStream>,
    shared: &Shared,
    changed: &watch::Sender<u64>,
) -> std::io::Result<()> {
    let mut bell = changed.subscribe();
    shared.at_gate.lock().unwrap().insert(gate.into());
    changed.send_modify(|n| *n += 1);
    while !shared.open.lock().unwrap().contains(gate) {
        tokio::select! {
            _ = bell.changed() => {}
            () = gone(stream) => return Err(std::io::ErrorKind::ConnectionAborted.into()),
        }
    }
    Ok(())
}

/// Waits until the caller closes the connection.
async fn gone(stream: &mut BufReader<TcpStream>) {
    let mut byte = [0];
    while stream.read(&mut byte).await.is_ok_and(|read| read > 0) {}
}
