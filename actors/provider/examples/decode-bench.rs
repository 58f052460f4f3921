//! Prints how many chat chunks a second one core decodes: from memory, and over a loopback connection.
//!
//! `cargo run --release -p kilo-provider --example decode-bench [CHUNKS]`

use kilo_ports::provider::{Chunk, ModelClient, ModelRequest, Protocol, ProviderError};
use kilo_provider::adapters::{Batch, Decoder};
use kilo_provider::resolve::blank_model;
use kilo_provider::{Catalog, Client, ClientOptions, resolve};
use kilo_sse::TooLarge;
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

/// Bytes of one read from a socket.
const READ_BYTES: usize = 16 * 1024;

#[derive(Debug)]
struct Failed;

impl From<TooLarge> for Failed {
    fn from(_: TooLarge) -> Self {
        Self
    }
}

impl From<ProviderError> for Failed {
    fn from(_: ProviderError) -> Self {
        Self
    }
}

fn event(n: usize) -> String {
    let text = if n.is_multiple_of(7) {
        r"a\n"
    } else {
        "token "
    };
    format!(
        "data: {{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":null}}]}}\n\n"
    )
}

const END: &str =
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

fn from_memory(body: &[u8], count: usize) {
    let start = Instant::now();
    let (mut parser, mut decoder, mut batch) = (
        kilo_sse::Decoder::new(1 << 20),
        Decoder::new(Protocol::OpenaiChat),
        Batch::default(),
    );
    let mut bytes = 0;
    for read in body.chunks(READ_BYTES) {
        let fed = parser.feed(read, |event| {
            decoder.event(event.data, &mut batch).map_err(Failed::from)
        });
        fed.expect("the stream is well formed");
        bytes += batch
            .take()
            .iter()
            .map(|chunk| {
                if let Chunk::Text(text) = chunk {
                    text.len()
                } else {
                    0
                }
            })
            .sum::<usize>();
    }
    report("from memory", count, start, bytes);
}

fn report(what: &str, count: usize, start: Instant, bytes: usize) {
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{what}: {count} chunks in {seconds:.3} s, {:.0} chunks/s, {bytes} bytes of text",
        count as f64 / seconds
    );
}

/// An answer with `per_piece` events in each piece of its chunked body.
fn body(count: usize, per_piece: usize) -> Arc<[u8]> {
    let mut body = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for from in (0..count).step_by(per_piece) {
        let piece: String = (from..(from + per_piece).min(count)).map(event).collect();
        body.extend(format!("{:x}\r\n{piece}\r\n", piece.len()).bytes());
    }
    body.extend(format!("{:x}\r\n{END}\r\n0\r\n\r\n", END.len()).bytes());
    body.into()
}

async fn serve(listener: tokio::net::TcpListener, body: Arc<[u8]>) {
    while let Ok((mut socket, _)) = listener.accept().await {
        let body = Arc::clone(&body);
        tokio::spawn(async move {
            while matches!(socket.read(&mut [0; 8192]).await, Ok(1..)) {
                if socket.write_all(&body).await.is_err() {
                    return;
                }
            }
        });
    }
}

async fn over_loopback(count: usize, per_piece: usize) -> Result<(), Box<dyn Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let mut model = blank_model("bench", "m");
    model.base_url = format!("http://{}/v1", listener.local_addr()?);
    tokio::spawn(serve(listener, body(count, per_piece)));
    let request = ModelRequest {
        model: Arc::new(model),
        session: "ses_bench".into(),
        system: Vec::new(),
        messages: Vec::new(),
        tools: Vec::new(),
        tool_required: false,
        output_max: 1,
        temperature: None,
        top_p: None,
        variant: None,
        options: Default::default(),
    };
    let client = Client::new(ClientOptions {
        version: "0".into(),
    });
    for round in ["first call", "second call"] {
        let began = Instant::now();
        let mut receiver = client.stream(request.clone(), CancellationToken::new());
        let (mut bytes, mut first, mut batches) = (0, None, 0);
        while let Some(batch) = receiver.recv().await {
            first.get_or_insert_with(|| began.elapsed());
            batches += 1;
            bytes += batch?
                .iter()
                .map(|chunk| {
                    if let Chunk::Text(text) = chunk {
                        text.len()
                    } else {
                        0
                    }
                })
                .sum::<usize>();
        }
        let first = first.unwrap_or_default();
        report(
            &format!(
                "loopback, {per_piece} events a piece, {round} (first batch after {first:?}, {batches} batches)"
            ),
            count,
            began,
            bytes,
        );
    }
    Ok(())
}

fn lists() {
    let (config, auth, env, catalog) = (
        serde_json::json!({}),
        BTreeMap::new(),
        BTreeMap::new(),
        Catalog::builtin(),
    );
    let sources = resolve::Sources {
        config: &config,
        auth: &auth,
        env: &env,
        catalog: &catalog,
        local: &[],
    };
    let start = Instant::now();
    let all = resolve::provider_list_json(&sources);
    println!(
        "list of all providers: {} bytes in {:?}",
        all.len(),
        start.elapsed()
    );
    let start = Instant::now();
    let one = resolve::resolve_model(&sources, "anthropic", "claude-sonnet-4-5");
    println!(
        "look-up of one model: {:?} ({})",
        start.elapsed(),
        one.is_ok()
    );
}

fn main() -> Result<(), Box<dyn Error>> {
    let count = std::env::args()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(1_000_000);
    let body: String = (0..count).map(event).collect();
    from_memory(body.as_bytes(), count);
    lists();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(over_loopback(count, 32))?;
    runtime.block_on(over_loopback(count / 5, 1))
}
