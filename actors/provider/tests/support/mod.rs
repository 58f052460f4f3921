//! A small HTTP server for exchanges with a scripted provider: each connection's requests are recorded, each request
//! gets the next answer of the script.
#![allow(dead_code, reason = "every test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use kilo_ports::provider::{
    Chunk, ModelClient, ModelInfo, ModelMessage, ModelRequest, Protocol, ProviderError, UserContent,
};
use kilo_provider::{Client, ClientOptions, resolve::blank_model};
use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// What a server does for one request, step by step.
#[derive(Clone, Debug)]
pub enum Step {
    /// Writes raw bytes.
    Raw(Vec<u8>),
    /// Writes bytes as one piece of a chunked body.
    Piece(Vec<u8>),
    /// Waits until the client closes the connection.
    Hang,
    /// Waits.
    Pause(u64),
    /// Closes the connection with a reset.
    Reset,
    /// Closes the connection in good order.
    Close,
}

/// A recorded request.
#[derive(Clone, Debug)]
pub struct Request {
    pub connection: usize,
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: Value,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

pub struct Server {
    pub address: String,
    pub requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub async fn start(script: Vec<Vec<Step>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (requests, script) = (
            Arc::new(Mutex::new(Vec::new())),
            Arc::new(Mutex::new(VecDeque::from(script))),
        );
        let log = Arc::clone(&requests);
        tokio::spawn(async move {
            for connection in 0.. {
                let Ok((socket, _)) = listener.accept().await else {
                    return;
                };
                tokio::spawn(serve(
                    socket,
                    connection,
                    Arc::clone(&script),
                    Arc::clone(&log),
                ));
            }
        });
        Self { address, requests }
    }

    pub fn request(&self, n: usize) -> Request {
        self.requests.lock().unwrap()[n].clone()
    }
}

async fn serve(
    mut socket: TcpStream,
    connection: usize,
    script: Arc<Mutex<VecDeque<Vec<Step>>>>,
    log: Arc<Mutex<Vec<Request>>>,
) {
    while let Some(request) = read_request(&mut socket, connection).await {
        log.lock().unwrap().push(request);
        let steps = script
            .lock()
            .unwrap()
            .pop_front()
            .unwrap_or_else(|| answer(500, "", "the script is at its end"));
        for step in steps {
            match step {
                Step::Raw(bytes) => socket.write_all(&bytes).await.unwrap(),
                Step::Piece(bytes) => {
                    let piece =
                        [format!("{:x}\r\n", bytes.len()).as_bytes(), &bytes, b"\r\n"].concat();
                    if socket.write_all(&piece).await.is_err() {
                        return;
                    }
                }
                Step::Pause(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
                Step::Hang => {
                    let _ = socket.read(&mut [0; 16]).await;
                    return;
                }
                Step::Reset => {
                    #[allow(deprecated, reason = "a reset is what is wanted here")]
                    socket.set_linger(Some(Duration::ZERO)).unwrap();
                    return;
                }
                Step::Close => return,
            }
        }
    }
}

async fn read_request(socket: &mut TcpStream, connection: usize) -> Option<Request> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap().to_owned();
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(k, v)| (k.to_lowercase(), v.to_owned()))
        .collect();
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .map_or(0, |(_, n)| n.parse().unwrap());
    let mut body = bytes.split_off(head_end + 4);
    while body.len() < length {
        if socket.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Request {
        connection,
        line,
        headers,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    })
}

/// A whole answer with a length.
pub fn answer(status: u16, headers: &str, body: &str) -> Vec<Step> {
    vec![Step::Raw(
        format!(
            "HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes(),
    )]
}

/// A chunked event stream: `pieces` are written one by one, then the body's end.
pub fn stream(pieces: &[&[u8]]) -> Vec<Step> {
    let mut steps = open_stream(pieces);
    steps.push(Step::Raw(b"0\r\n\r\n".to_vec()));
    steps
}

/// As [`stream`], without an end.
pub fn open_stream(pieces: &[&[u8]]) -> Vec<Step> {
    let head =
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut steps = vec![Step::Raw(head.to_vec())];
    steps.extend(pieces.iter().map(|piece| Step::Piece(piece.to_vec())));
    steps
}

/// Events of one data line each.
pub fn events(list: &[&str]) -> Vec<u8> {
    list.iter()
        .map(|data| format!("data: {data}\n\n"))
        .collect::<String>()
        .into_bytes()
}

pub fn model(server: &Server, protocol: Protocol) -> ModelInfo {
    let mut model = blank_model("fake", "fake-model");
    model.base_url = format!("{}/v1", server.address);
    model.api_key = Some("fake-key-123".into());
    model.protocol = Some(protocol);
    if protocol == Protocol::AnthropicMessages {
        model.npm = "@ai-sdk/anthropic".into();
        model.api_id = "claude-sonnet-4-5".into();
    }
    (model.context, model.output, model.images) = (100_000, 8_000, true);
    model
}

pub fn request(model: ModelInfo) -> ModelRequest {
    ModelRequest {
        model: Arc::new(model),
        session: "ses_1".into(),
        system: vec!["You are kind.".into()],
        messages: vec![ModelMessage::User(vec![UserContent::Text("hello".into())])],
        tools: Vec::new(),
        tool_required: false,
        output_max: 8_000,
        temperature: None,
        top_p: None,
        variant: None,
        options: Map::new(),
    }
}

pub fn client() -> Client {
    Client::new(ClientOptions {
        version: "1.2.3".into(),
    })
}

/// All batches of a call, joined, and its error if it had one.
pub async fn collect(
    client: &Client,
    request: ModelRequest,
) -> (Vec<Chunk>, Option<ProviderError>) {
    let mut receiver = client.stream(request, CancellationToken::new());
    let mut chunks: Vec<Chunk> = Vec::new();
    let all = async {
        while let Some(batch) = receiver.recv().await {
            match batch {
                Ok(batch) => chunks.extend(batch),
                Err(error) => return Some(error),
            }
        }
        None
    };
    let error = tokio::time::timeout(Duration::from_secs(20), all)
        .await
        .expect("the stream ends");
    (joined(chunks), error)
}

/// Joins pieces of the same text, however the reads fell.
fn joined(chunks: Vec<Chunk>) -> Vec<Chunk> {
    let mut out: Vec<Chunk> = Vec::new();
    for chunk in chunks {
        match (out.last_mut(), chunk) {
            (Some(Chunk::Text(text)), Chunk::Text(more))
            | (Some(Chunk::Reasoning(text)), Chunk::Reasoning(more)) => text.push_str(&more),
            (
                Some(Chunk::ToolDelta { index, arguments }),
                Chunk::ToolDelta {
                    index: same,
                    arguments: more,
                },
            ) if *index == same => {
                arguments.push_str(&more);
            }
            (_, chunk) => out.push(chunk),
        }
    }
    out
}
