//! Waits on this machine for the browser that comes back with a code.

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

/// The port that is tried first: clients that were registered with it need no new registration.
pub const PORT: u16 = 19_876;
/// The path that counts.
pub const PATH: &str = "/mcp/oauth/callback";
/// Time and bytes for one request.
const REQUEST: Duration = Duration::from_secs(5);
const REQUEST_BYTES_MAX: usize = 16 << 10;
/// Connections at a time, and the pause when there are no more for the whole program.
const VISITORS_MAX: usize = 16;
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A door that waits.
pub struct Door {
    listener: TcpListener,
    /// Its port.
    pub port: u16,
}

impl Door {
    /// Opens the door: at `port` if one is named, else at the usual one or any free one.
    pub async fn open(port: Option<u16>) -> std::io::Result<Self> {
        let at = |port| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let listener = match (port, at(port.unwrap_or(PORT)).await) {
            (_, Ok(listener)) => listener,
            (Some(_), Err(error)) => return Err(error),
            (None, Err(_)) => at(0).await?,
        };
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }

    /// The code that comes with `state`, or the refusal that does. All other requests are sent away.
    pub async fn wait(&self, state: &str) -> Result<String, String> {
        // Browsers open connections before they need them: one that says nothing must not stand in the way.
        let mut visitors = FuturesUnordered::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if visitors.len() < VISITORS_MAX => match accepted {
                    Ok((stream, _)) => visitors.push(tokio::time::timeout(REQUEST, answer(stream, state))),
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                },
                Some(answered) = visitors.next() => {
                    if let Ok(Some(outcome)) = answered {
                        return outcome;
                    }
                }
            }
        }
    }
}

async fn answer(mut stream: TcpStream, state: &str) -> Option<Result<String, String>> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > REQUEST_BYTES_MAX || stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let head = String::from_utf8_lossy(&head);
    let target = head.strip_prefix("GET ")?.split(' ').next()?;
    let url = Url::parse("http://127.0.0.1").ok()?.join(target).ok()?;
    let value = |name: &str| {
        let mut pairs = url.query_pairs();
        pairs
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    };
    if url.path() != PATH || value("state").as_deref() != Some(state) {
        say(&mut stream, "404 Not Found", "Nothing waits for this.").await;
        return None;
    }
    let outcome = match (value("code"), value("error")) {
        (Some(code), None) => Ok(code),
        (_, error) => {
            let error = error.unwrap_or_else(|| "there is no code".into());
            let why = value("error_description").map(|why| format!(" ({why})"));
            Err(format!(
                "the sign-in was refused: {error}{}",
                why.unwrap_or_default()
            ))
        }
    };
    let text = match &outcome {
        Ok(_) => "You are signed in. This window can be closed.",
        Err(_) => "The sign-in was refused. This window can be closed.",
    };
    say(&mut stream, "200 OK", text).await;
    Some(outcome)
}

async fn say(stream: &mut TcpStream, status: &str, text: &str) {
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
        text.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_says_nothing_or_something_else_stands_in_nobodys_way() {
        let door = Door::open(Some(0)).await.unwrap();
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, door.port));
        let visit = async |target: &str| {
            let mut stream = TcpStream::connect(at).await.unwrap();
            let request = format!("GET {target} HTTP/1.1\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let visiting = async {
            let _silent = [
                TcpStream::connect(at).await.unwrap(),
                TcpStream::connect(at).await.unwrap(),
            ];
            assert!(visit("/favicon.ico").await.starts_with("HTTP/1.1 404"));
            let stranger = visit(&format!("{PATH}?code=bad&state=other")).await;
            assert!(stranger.starts_with("HTTP/1.1 404"));
            visit(&format!("{PATH}?code=good&state=ours")).await
        };
        let begun = tokio::time::Instant::now();
        let (code, answer) = tokio::join!(door.wait("ours"), visiting);
        assert_eq!(code, Ok("good".into()));
        assert!(answer.contains("You are signed in"), "{answer}");
        assert!(
            begun.elapsed() < REQUEST,
            "nobody waited for the silent ones"
        );
    }
}
