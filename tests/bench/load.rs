//! The model server: OpenAI-compatible chat, steered by a line in the prompt.
//!
//! `LOAD sid=3 n=2000 rate=100`: 2,000 tokens at 100 a second; `rate=0` sends without delay, 32 tokens a write;
//! `bar=7:50` holds the answer until 50 requests of barrier 7 have come; `steps=20 tool=bash` asks for 20 tool calls one
//! after the other first, `file=PATH` is what `read` reads.

use crate::clock::now_ns;
use crate::tokens;
use anyhow::Context;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

/// Tokens in one write when there is no delay.
const BATCH: u32 = 32;
const ANSWERED_MAX: Duration = Duration::from_secs(60);

/// A request that was answered.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Its `sid`.
    pub sid: u32,
    /// When its first line had come.
    pub arrived_ns: u64,
    /// When its last byte had been sent.
    pub ended_ns: u64,
}

#[derive(Default)]
struct Shared {
    asked: Mutex<Vec<Asked>>,
    answered: watch::Sender<u64>,
    barriers: Mutex<HashMap<u32, watch::Sender<u32>>>,
}

/// The server, on a thread of its own.
pub struct Load {
    url: String,
    shared: Arc<Shared>,
}

impl Load {
    /// Starts it.
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let shared = Arc::new(Shared::default());
        let state = Arc::clone(&shared);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                loop {
                    let Ok((stream, _)) = listener.accept().await else {
                        continue;
                    };
                    let _ = stream.set_nodelay(true);
                    let state = Arc::clone(&state);
                    tokio::spawn(async move {
                        let _ = serve(stream, &state).await;
                    });
                }
            });
        });
        Self { url, shared }
    }

    /// Where it listens, with `/v1`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Waits until `count` requests of `sid` are answered; takes them, in order of arrival.
    pub async fn answered(&self, sid: u32, count: usize) -> anyhow::Result<Vec<Asked>> {
        let mut answered = self.shared.answered.subscribe();
        let wait = async {
            loop {
                if let Some(found) = take(&mut self.shared.asked.lock().unwrap(), sid, count) {
                    return found;
                }
                let _ = answered.changed().await;
            }
        };
        timeout(ANSWERED_MAX, wait)
            .await
            .with_context(|| format!("fewer than {count} requests of sid {sid}"))
    }
}

fn take(asked: &mut Vec<Asked>, sid: u32, count: usize) -> Option<Vec<Asked>> {
    if asked.iter().filter(|asked| asked.sid == sid).count() < count {
        return None;
    }
    let mut mine: Vec<Asked> = std::mem::take(asked)
        .into_iter()
        .filter(|asked| asked.sid == sid)
        .collect();
    mine.sort_by_key(|asked| asked.arrived_ns);
    Some(mine)
}

/// What the line in the prompt says.
#[derive(Clone, Debug, Default)]
struct Order {
    sid: u32,
    n: u32,
    rate: f64,
    barrier: Option<(u32, u32)>,
    steps: u32,
    tool: String,
    file: String,
}

impl Order {
    fn of(text: &str) -> Option<Self> {
        let line = &text[text.rfind("LOAD ")? + 5..];
        let line = line.split(['\n', '"', '\\']).next()?;
        let mut order = Self {
            n: 1,
            ..Self::default()
        };
        for (name, value) in line
            .split_whitespace()
            .filter_map(|word| word.split_once('='))
        {
            match name {
                "sid" => order.sid = value.parse().ok()?,
                "n" => order.n = value.parse().ok()?,
                "rate" => order.rate = value.parse().ok()?,
                "steps" => order.steps = value.parse().ok()?,
                "tool" => order.tool = value.to_owned(),
                "file" => order.file = value.to_owned(),
                "bar" => {
                    order.barrier = value
                        .split_once(':')
                        .and_then(|(id, n)| Some((id.parse().ok()?, n.parse().ok()?)))
                }
                _ => {}
            }
        }
        Some(order)
    }

    fn arguments(&self) -> Value {
        match self.tool.as_str() {
            "read" => json!({"filePath": self.file}),
            _ => json!({"command": "true", "description": "do nothing"}),
        }
    }
}

async fn serve(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut length = 0;
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let arrived_ns = now_ns();
        while !line.trim().is_empty() {
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            line.clear();
            stream.read_line(&mut line).await?;
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let (order, done) = read_order(&body);
        answer(&mut stream, &order, done, shared).await?;
        let asked = Asked {
            sid: order.sid,
            arrived_ns,
            ended_ns: now_ns(),
        };
        shared.asked.lock().unwrap().push(asked);
        shared.answered.send_modify(|n| *n += 1);
    }
}

/// The order of the last prompt, and how many tool calls of it were answered.
fn read_order(body: &[u8]) -> (Order, u32) {
    let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let none = (
        Order {
            n: 1,
            sid: u32::MAX,
            ..Order::default()
        },
        0,
    );
    if body["tools"].as_array().is_none_or(Vec::is_empty) {
        return none; // a title or a summary
    }
    let messages = body["messages"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let Some(last) = messages
        .iter()
        .rposition(|message| message["role"] == "user")
    else {
        return none;
    };
    let done = messages[last..]
        .iter()
        .filter(|message| message["role"] == "tool")
        .count();
    match Order::of(&messages[last]["content"].to_string()) {
        Some(order) => (order, done as u32),
        None => none,
    }
}

async fn answer(
    stream: &mut BufReader<TcpStream>,
    order: &Order,
    done: u32,
    shared: &Shared,
) -> std::io::Result<()> {
    if let Some((id, count)) = order.barrier {
        wait_at(shared, id, count).await;
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n").await?;
    let finish = if done < order.steps {
        let function = json!({"name": order.tool, "arguments": order.arguments().to_string()});
        let id = format!("call_{}_{done}", order.sid);
        send(stream, &json!({"tool_calls": [{"index": 0, "id": id, "type": "function", "function": function}]}), None).await?;
        "tool_calls"
    } else {
        stream_tokens(stream, order).await?;
        "stop"
    };
    send(stream, &json!({}), Some(finish)).await?;
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": order.n, "total_tokens": 10 + order.n}});
    chunk(stream, &format!("data: {usage}\n\ndata: [DONE]\n\n")).await?;
    stream.write_all(b"0\r\n\r\n").await
}

async fn stream_tokens(stream: &mut BufReader<TcpStream>, order: &Order) -> std::io::Result<()> {
    let begun = tokio::time::Instant::now();
    let mut number = 0;
    while number < order.n {
        let mut piece = String::new();
        let mut written = 0;
        if order.rate > 0.0 {
            tokio::time::sleep_until(
                begun + Duration::from_secs_f64(f64::from(number) / order.rate),
            )
            .await;
        }
        let batch = if order.rate > 0.0 { 1 } else { BATCH };
        while written < batch && number < order.n {
            let mut token = String::new();
            tokens::write(&mut token, order.sid, number, now_ns());
            piece.push_str(&event(&json!({"content": token}), None));
            number += 1;
            written += 1;
        }
        chunk(stream, &piece).await?;
    }
    Ok(())
}

async fn wait_at(shared: &Shared, id: u32, count: u32) {
    let mut barrier = {
        let mut barriers = shared.barriers.lock().unwrap();
        let barrier = barriers.entry(id).or_insert_with(|| watch::channel(0).0);
        barrier.send_modify(|come| *come += 1);
        barrier.subscribe()
    };
    let all = barrier.wait_for(|come| *come >= count);
    let _ = timeout(Duration::from_secs(120), all).await;
}

fn event(delta: &Value, finish: Option<&str>) -> String {
    format!(
        "data: {}\n\n",
        json!({"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    )
}

async fn send(
    stream: &mut BufReader<TcpStream>,
    delta: &Value,
    finish: Option<&str>,
) -> std::io::Result<()> {
    chunk(stream, &event(delta, finish)).await
}

async fn chunk(stream: &mut BufReader<TcpStream>, text: &str) -> std::io::Result<()> {
    stream
        .write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes())
        .await
}
