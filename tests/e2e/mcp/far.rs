//! A server at an address that wants a sign-in, and who signs in.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const TOKEN: &str = "the-token";

/// The server; ends with the test's runtime.
pub struct Far {
    /// Where it speaks MCP.
    pub url: String,
}

impl Far {
    /// One that registers clients, or does not.
    pub async fn start(registers: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let url = format!("{base}/mcp");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(talk(stream, base.clone(), registers));
            }
        });
        Self { url }
    }
}

async fn talk(mut stream: TcpStream, base: String, registers: bool) -> Option<()> {
    loop {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|end| end == b"\r\n\r\n") {
                break at;
            }
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let first = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = bytes.split_off(end + 4);
        while body.len() < length.unwrap_or(0) {
            stream.read_buf(&mut body).await.ok()?;
        }
        let is_in = head.contains(&format!("authorization: bearer {TOKEN}"));
        let (status, extra, answer) = answer(&base, &target, &body, is_in, registers);
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{extra}content-length: {}\r\n\r\n",
            answer.len()
        );
        stream.write_all(head.as_bytes()).await.ok()?;
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}

fn answer(
    base: &str,
    target: &str,
    body: &[u8],
    is_in: bool,
    registers: bool,
) -> (&'static str, String, String) {
    let ok = |value: Value| ("200 OK", String::new(), value.to_string());
    let path = target.split('?').next().unwrap_or_default();
    match path {
        "/mcp" if !is_in => {
            let place = format!("{base}/.well-known/oauth-protected-resource");
            let challenge = format!("www-authenticate: Bearer resource_metadata=\"{place}\"\r\n");
            ("401 Unauthorized", challenge, String::new())
        }
        "/mcp" => match rpc(body) {
            Some(reply) => ok(reply),
            None => ("202 Accepted", String::new(), String::new()),
        },
        "/.well-known/oauth-protected-resource" => {
            ok(json!({"resource": format!("{base}/mcp"), "authorization_servers": [base]}))
        }
        "/.well-known/oauth-authorization-server" => {
            let mut known = json!({
                "issuer": base, "authorization_endpoint": format!("{base}/authorize"), "token_endpoint": format!("{base}/token"),
                "response_types_supported": ["code"], "code_challenge_methods_supported": ["S256"],
            });
            if registers {
                known["registration_endpoint"] = format!("{base}/register").into();
            }
            ok(known)
        }
        "/register" => (
            "201 Created",
            String::new(),
            json!({"client_id": "c1"}).to_string(),
        ),
        // The person says yes at once.
        "/authorize" => {
            let value = |name: &str| {
                let pairs = target.split(['?', '&']);
                let found = pairs
                    .filter_map(|pair| pair.split_once('='))
                    .find(|(key, _)| *key == name);
                found.map_or("", |(_, value)| value)
            };
            let back = value("redirect_uri")
                .replace("%3A", ":")
                .replace("%2F", "/");
            let location = format!("location: {back}?code=c&state={}\r\n", value("state"));
            ("302 Found", location, String::new())
        }
        "/token" => ok(json!({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3_600})),
        _ => ("404 Not Found", String::new(), String::new()),
    }
}

fn rpc(body: &[u8]) -> Option<Value> {
    let message: Value = serde_json::from_slice(body).ok()?;
    let id = message.get("id")?.clone();
    let result = match message["method"].as_str()? {
        "initialize" => {
            json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "far", "version": "1"}})
        }
        "tools/list" => json!({"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}),
        _ => json!({"content": []}),
    };
    Some(json!({"jsonrpc": "2.0", "id": id, "result": result}))
}
