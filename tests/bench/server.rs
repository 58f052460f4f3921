//! The daemon under measurement.

use crate::Bench;
use crate::clock::{now_ns, since_ms};
use crate::watch::Watch;
use anyhow::{Context, bail, ensure};
use kilo_tests::Home;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

const START_MAX: Duration = Duration::from_secs(30);

/// A home and a small repository.
pub struct Ground {
    pub home: Home,
    folder: TempDir,
    configuration: String,
}

impl Ground {
    /// A fresh one; with or without checkpoints.
    pub fn new(bench: &Bench, snapshots: bool) -> anyhow::Result<Self> {
        let model = json!({"name": "m", "tool_call": true, "limit": {"context": 1_000_000, "output": 100_000}});
        let configuration = json!({
            "model": "load/m", "small_model": "load/m", "permission": {"*": "allow"}, "snapshot": snapshots,
            "provider": {"load": {
                "npm": "@ai-sdk/openai-compatible", "name": "Load",
                "options": {"baseURL": bench.load.url(), "apiKey": "x"}, "models": {"m": model},
            }},
        });
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("small.txt"), "one\ntwo\nthree\n")?;
        for n in 0..20 {
            std::fs::write(
                folder.path().join(format!("file_{n}.ts")),
                format!("export const v{n} = {n};\n"),
            )?;
        }
        for words in [
            "init -q",
            "add .",
            "-c user.name=b -c user.email=b@b commit -qm first",
        ] {
            let done = Command::new("git")
                .args(words.split(' '))
                .current_dir(folder.path())
                .status()?;
            ensure!(done.success(), "git {words}");
        }
        Ok(Self {
            home: Home::new(),
            folder,
            configuration: configuration.to_string(),
        })
    }

    /// The repository.
    pub fn folder(&self) -> PathBuf {
        self.folder
            .path()
            .canonicalize()
            .unwrap_or_else(|_| self.folder.path().into())
    }

    /// A `kilo` command in this place.
    pub fn kilo(&self, words: &[&str]) -> Command {
        let mut command = self.home.kilo(words);
        command
            .env("KILO_CONFIG_CONTENT", &self.configuration)
            .current_dir(self.folder());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Starts a daemon; returns at its first good answer.
    pub async fn start(&self) -> anyhow::Result<Server> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let mut command = self.kilo(&["serve", "--port", &port.to_string()]);
        let begun = now_ns();
        let child = command.spawn().context("the daemon")?;
        let url = format!("http://127.0.0.1:{port}");
        let http = reqwest::Client::builder()
            .no_proxy()
            .tcp_nodelay(true)
            .build()?;
        let mut server = Server {
            child,
            port,
            url,
            http,
            folder: self.folder(),
            start_ms: 0.0,
        };
        let healthy = async {
            while !healthy(port).await {
                sleep(Duration::from_micros(500)).await;
            }
        };
        timeout(START_MAX, healthy)
            .await
            .context("no good answer")?;
        server.start_ms = since_ms(begun);
        Ok(server)
    }

    /// Starts a daemon and lets it run two turns.
    pub async fn warm(&self) -> anyhow::Result<Server> {
        let server = self.start().await?;
        let watch = server.watch().await?;
        for n in 0..2 {
            let id = server.session().await?;
            server
                .prompt(&id, &format!("LOAD sid={} n=50 rate=0", 90_000 + n))
                .await?;
            watch.idle(&[id], 60).await?;
        }
        Ok(server)
    }
}

/// One request on a connection of its own: is the answer 200?
async fn healthy(port: u16) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        let request = format!(
            "GET /global/health HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.ok()?;
        Some(head.ends_with(b"200"))
    };
    timeout(Duration::from_secs(1), ask)
        .await
        .ok()
        .flatten()
        .unwrap_or(false)
}

/// A daemon that runs; killed with this value.
pub struct Server {
    child: Child,
    port: u16,
    url: String,
    http: reqwest::Client,
    folder: PathBuf,
    /// From its start to the first 200 on `/global/health`.
    pub start_ms: f64,
}

impl Server {
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A caller with a connection of its own.
    pub fn caller(&self) -> Caller {
        let folder = self.folder.display().to_string();
        Caller {
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            url: self.url.clone(),
            folder,
        }
    }

    fn shared(&self) -> Caller {
        Caller {
            http: self.http.clone(),
            url: self.url.clone(),
            folder: self.folder.display().to_string(),
        }
    }

    /// Attaches an event stream.
    pub async fn watch(&self) -> anyhow::Result<Watch> {
        Watch::open(self.port, &self.folder).await
    }

    /// Makes a session; answers its id.
    pub async fn session(&self) -> anyhow::Result<String> {
        self.shared().session().await
    }

    /// Prompts without waiting for the answer.
    pub async fn prompt(&self, session: &str, text: &str) -> anyhow::Result<()> {
        self.shared().prompt(session, text).await
    }

    /// GET: the body.
    pub async fn get(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        self.shared().get(path).await
    }

    /// Kills it at once.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Calls of one client.
#[derive(Clone)]
pub struct Caller {
    http: reqwest::Client,
    url: String,
    folder: String,
}

impl Caller {
    async fn call(&self, path: &str, body: Option<Value>) -> anyhow::Result<Vec<u8>> {
        let url = format!("{}{path}", self.url);
        let request = match body {
            None => self.http.get(url),
            Some(body) => self
                .http
                .post(url)
                .header("content-type", "application/json")
                .body(body.to_string()),
        };
        let response = request.query(&[("directory", &self.folder)]).send().await?;
        let status = response.status();
        let bytes = response.bytes().await?;
        if !status.is_success() {
            bail!(
                "{path}: {status} {}",
                String::from_utf8_lossy(&bytes[..bytes.len().min(200)])
            );
        }
        Ok(bytes.into())
    }

    /// See [`Server::session`].
    pub async fn session(&self) -> anyhow::Result<String> {
        let made: Value = serde_json::from_slice(
            &self
                .call("/session", Some(json!({"title": "bench"})))
                .await?,
        )?;
        Ok(made["id"].as_str().context("an id")?.to_owned())
    }

    /// See [`Server::prompt`].
    pub async fn prompt(&self, session: &str, text: &str) -> anyhow::Result<()> {
        let body = json!({"parts": [{"type": "text", "text": text}]});
        self.call(&format!("/session/{session}/prompt_async"), Some(body))
            .await
            .map(drop)
    }

    /// See [`Server::get`].
    pub async fn get(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        self.call(path, None).await
    }
}

/// The folder as a query's value.
pub fn encoded(folder: &Path) -> String {
    folder.display().to_string().replace(' ', "%20")
}
