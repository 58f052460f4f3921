//! An attached client that notes when each token came.

use crate::clock::now_ns;
use crate::server::encoded;
use crate::tokens;
use anyhow::{Context, ensure};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// What came.
#[derive(Default)]
pub struct Seen {
    /// Latency of each token, in ms.
    pub latency_ms: Vec<f64>,
    /// When the first token of each `sid` came.
    pub first_ns: HashMap<u32, u64>,
    /// When the last token came.
    pub last_ns: u64,
    /// The earliest send of a token.
    pub sent_ns: Option<u64>,
    idle: HashMap<String, u32>,
    next: HashMap<u32, u32>,
}

/// The client; detached with this value.
pub struct Watch {
    seen: Arc<Mutex<Seen>>,
    changed: watch::Receiver<u64>,
    reader: JoinHandle<()>,
}

impl Watch {
    /// Attaches to the folder's stream.
    pub async fn open(port: u16, folder: &Path) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let path = format!("/event?directory={}", encoded(folder));
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\naccept: text/event-stream\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut head = vec![0; 4096];
        let length = stream.read(&mut head).await?;
        ensure!(
            head[..length].starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&head[..length])
        );
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (bell, changed) = watch::channel(0);
        let state = Arc::clone(&seen);
        let reader = tokio::spawn(async move {
            let mut buffer = Vec::new();
            let mut bytes = vec![0; 256 << 10];
            while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                let now = now_ns();
                buffer.extend_from_slice(&bytes[..count]);
                let whole = buffer
                    .windows(2)
                    .rposition(|pair| pair == b"\n\n")
                    .map_or(0, |at| at + 2);
                state.lock().unwrap().take(&buffer[..whole], now);
                buffer.drain(..whole);
                bell.send_modify(|n| *n += 1);
            }
        });
        Ok(Self {
            seen,
            changed,
            reader,
        })
    }

    /// Forgets what came.
    pub fn reset(&self) {
        *self.seen.lock().unwrap() = Seen::default();
    }

    /// Looks at what came.
    pub fn look<T>(&self, at: impl FnOnce(&Seen) -> T) -> T {
        at(&self.seen.lock().unwrap())
    }

    /// Waits until what came satisfies `enough`.
    pub async fn until(&self, seconds: u64, enough: impl Fn(&Seen) -> bool) -> anyhow::Result<()> {
        let mut changed = self.changed.clone();
        let wait = async {
            while !enough(&self.seen.lock().unwrap()) {
                changed.changed().await.context("the event stream ended")?;
            }
            anyhow::Ok(())
        };
        timeout(Duration::from_secs(seconds), wait)
            .await
            .context("the wait was too long")?
    }

    /// Waits until all these sessions are idle after a turn.
    pub async fn idle(&self, sessions: &[String], seconds: u64) -> anyhow::Result<()> {
        self.until(seconds, |seen| {
            sessions.iter().all(|id| seen.idle.contains_key(id))
        })
        .await
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Seen {
    fn take(&mut self, bytes: &[u8], now: u64) {
        let Self {
            latency_ms,
            first_ns,
            last_ns,
            sent_ns,
            next,
            ..
        } = self;
        tokens::scan(bytes, |sid, number, sent| {
            let expected = next.entry(sid).or_default();
            if number < *expected {
                return; // seen in an earlier event already
            }
            *expected = number + 1;
            latency_ms.push(now.saturating_sub(sent) as f64 / 1e6);
            first_ns.entry(sid).or_insert(now);
            *last_ns = now;
            *sent_ns = Some(sent_ns.map_or(sent, |first| first.min(sent)));
        });
        let text = String::from_utf8_lossy(bytes);
        for frame in text
            .split("\n\n")
            .filter(|frame| frame.contains("\"type\":\"session.idle\""))
        {
            let id = frame
                .split("\"sessionID\":\"")
                .nth(1)
                .and_then(|rest| rest.split('"').next());
            *self
                .idle
                .entry(id.unwrap_or_default().to_owned())
                .or_default() += 1;
        }
    }
}
