//! An HTTP endpoint that speaks the chat-completions protocol of OpenAI and says what a script says.

use super::script::Turn;
use serde_json::{Value, json};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

const HEAD_BYTES_MAX: u64 = 64 << 10;
const BODY_BYTES_MAX: usize = 16 << 20;
const CONNECTIONS_MAX: usize = 16;
const REQUEST_MAX: Duration = Duration::from_secs(60);
const THINK: Duration = Duration::from_millis(1_100);
const WORD: Duration = Duration::from_millis(45);
const TITLE: &str = "Fix the greeter's full names";

/// The endpoint; it ends when it is dropped.
pub struct ScriptedModel {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

struct Script {
    turns: Vec<Turn>,
    next: AtomicUsize,
    fast: bool,
}

impl ScriptedModel {
    /// Listens on a free port of the loopback interface. `fast` leaves out the pauses of thinking and speaking.
    pub async fn start(turns: Vec<Turn>, fast: bool) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let script = Arc::new(Script {
            turns,
            next: AtomicUsize::new(0),
            fast,
        });
        let serving = tokio::spawn(serve(listener, script));
        Ok(Self { address, serving })
    }

    /// The address that a provider's configuration names.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }
}

impl Drop for ScriptedModel {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, script: Arc<Script>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        let script = Arc::clone(&script);
        tokio::spawn(async move {
            let answered = timeout(REQUEST_MAX, answer(stream, &script)).await;
            tracing::debug!(?answered, "the scripted model answered");
            drop(place);
        });
    }
}

/// Answers one request and closes the connection.
async fn answer(stream: TcpStream, script: &Script) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let (path, body) = read_request(&mut stream).await?;
    let mut stream = stream.into_inner();
    if !path.ends_with("/chat/completions") {
        return stream
            .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .await;
    }
    let request: Value = serde_json::from_slice(&body)?;
    let offers_tools = request
        .get("tools")
        .and_then(Value::as_array)
        .is_some_and(|tools| !tools.is_empty());
    let turn = if offers_tools {
        script.take()
    } else {
        Turn {
            text: TITLE.into(),
            calls: Vec::new(),
        }
    };
    let wants_stream = request
        .get("stream")
        .and_then(Value::as_bool)
        .unwrap_or(false);
    if wants_stream {
        speak(&mut stream, &turn, script.fast).await
    } else {
        say(&mut stream, &turn).await
    }?;
    stream.shutdown().await
}

impl Script {
    /// The next turn; beyond the end the model has nothing more to say.
    fn take(&self) -> Turn {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let silence = || Turn {
            text: "That was my whole script.".into(),
            calls: Vec::new(),
        };
        self.turns.get(next).cloned().unwrap_or_else(silence)
    }
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> io::Result<(String, Vec<u8>)> {
    let mut head = stream.take(HEAD_BYTES_MAX);
    let mut line = String::new();
    head.read_line(&mut line).await?;
    let path = line
        .split_whitespace()
        .nth(1)
        .unwrap_or_default()
        .to_owned();
    let mut length = 0;
    loop {
        line.clear();
        if head.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let field = line.trim_end();
        if field.is_empty() {
            break;
        }
        if let Some((name, value)) = field.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value
                .trim()
                .parse()
                .map_err(|_| io::ErrorKind::InvalidData)?;
        }
    }
    if length > BODY_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; length];
    head.into_inner().read_exact(&mut body).await?;
    Ok((path, body))
}

/// Answers as a stream of events, a word at a time.
async fn speak(stream: &mut TcpStream, turn: &Turn, fast: bool) -> io::Result<()> {
    stream
        .write_all(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n",
        )
        .await?;
    if !fast {
        sleep(THINK).await;
    }
    event(stream, &json!({"role": "assistant", "content": ""}), None).await?;
    for word in turn.text.split_inclusive(' ') {
        event(stream, &json!({"content": word}), None).await?;
        if !fast {
            sleep(WORD).await;
        }
    }
    for (index, call) in calls(turn).into_iter().enumerate() {
        let mut call = call;
        call["index"] = json!(index);
        event(stream, &json!({"tool_calls": [call]}), None).await?;
    }
    event(stream, &json!({}), Some(finish(turn))).await?;
    let usage = json!({"id": "demo", "object": "chat.completion.chunk", "model": "scripted", "choices": [], "usage": usage(turn)});
    stream
        .write_all(format!("data: {usage}\n\ndata: [DONE]\n\n").as_bytes())
        .await
}

async fn event(stream: &mut TcpStream, delta: &Value, finish: Option<&str>) -> io::Result<()> {
    let chunk = json!({"id": "demo", "object": "chat.completion.chunk", "model": "scripted",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
    stream
        .write_all(format!("data: {chunk}\n\n").as_bytes())
        .await
}

/// Answers in one piece.
async fn say(stream: &mut TcpStream, turn: &Turn) -> io::Result<()> {
    let mut message = json!({"role": "assistant", "content": turn.text});
    if !turn.calls.is_empty() {
        message["tool_calls"] = json!(calls(turn));
    }
    let body = json!({"id": "demo", "object": "chat.completion", "model": "scripted", "usage": usage(turn),
        "choices": [{"index": 0, "message": message, "finish_reason": finish(turn)}]})
    .to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).await
}

fn calls(turn: &Turn) -> Vec<Value> {
    let mut calls = Vec::new();
    for (index, (name, arguments)) in turn.calls.iter().enumerate() {
        let id = format!("call_{:08x}_{index}", turn.text.len());
        let function = json!({"name": name, "arguments": arguments.to_string()});
        calls.push(json!({"id": id, "type": "function", "function": function}));
    }
    calls
}

fn finish(turn: &Turn) -> &'static str {
    if turn.calls.is_empty() {
        "stop"
    } else {
        "tool_calls"
    }
}

fn usage(turn: &Turn) -> Value {
    let words = turn.text.split_whitespace().count() + 12 * turn.calls.len();
    json!({"prompt_tokens": 900, "completion_tokens": words, "total_tokens": 900 + words})
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(address: SocketAddr, body: &Value) -> String {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        let body = body.to_string();
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream
            .write_all(request.as_bytes())
            .await
            .expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    }

    #[tokio::test]
    async fn turns_are_streamed_in_order_and_titles_cost_none() {
        let turns = vec![
            Turn {
                text: "a b".into(),
                calls: vec![("read", json!({"filePath": "/x"}))],
            },
            Turn {
                text: "done".into(),
                calls: vec![],
            },
        ];
        let model = ScriptedModel::start(turns, true).await.expect("a model");
        let main = json!({"stream": true, "tools": [{"type": "function"}], "messages": []});
        let first = ask(model.address, &main).await;
        assert!(first.contains(r#""delta":{"content":"a "}"#), "{first}");
        assert!(
            first.contains(r#""arguments":"{\"filePath\":\"/x\"}""#),
            "{first}"
        );
        assert!(
            first.contains(r#""finish_reason":"tool_calls""#)
                && first.ends_with("data: [DONE]\n\n"),
            "{first}"
        );
        let title = ask(model.address, &json!({"messages": []})).await;
        assert!(title.contains(TITLE), "{title}");
        assert!(
            ask(model.address, &main)
                .await
                .contains(r#""finish_reason":"stop""#)
        );
    }
}
