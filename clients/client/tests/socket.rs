//! The WebSocket against a server that answers what it hears.

use futures_util::{SinkExt, StreamExt};
use kilo_client::{Auth, Client, ClientError};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

async fn listener() -> (TcpListener, Client) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let client = Client::new(&url, Auth::Token("t0ken".into()))
        .expect("a client")
        .in_directory("/p");
    (listener, client)
}

#[tokio::test]
async fn texts_go_both_ways_until_the_daemon_closes() {
    let (listener, client) = listener().await;
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        let mut asked = String::new();
        #[expect(clippy::result_large_err, reason = "the library's own shape")]
        let look = |request: &Request, response: Response| {
            let key = request
                .headers()
                .get("authorization")
                .and_then(|key| key.to_str().ok())
                .unwrap_or_default();
            asked = format!("{} {key}", request.uri());
            Ok(response)
        };
        let mut socket = accept_hdr_async(stream, look).await.expect("a handshake");
        let heard = socket.next().await.expect("a message").expect("a message");
        socket.send(heard).await.expect("an answer");
        socket.close(None).await.expect("a close");
        asked
    });
    let mut socket = client
        .socket("/ws", &[("after", "7")])
        .await
        .expect("a socket");
    socket
        .send(json!({"type": "hello"}).to_string())
        .await
        .expect("sent");
    assert_eq!(
        socket.next_json().await.expect("an answer"),
        Some(json!({"type": "hello"}))
    );
    assert_eq!(socket.next_text().await.expect("the end"), None);
    assert_eq!(
        server.await.expect("the server"),
        "/ws?directory=%2Fp&after=7 Bearer t0ken"
    );
}

#[tokio::test]
async fn a_refused_handshake_tells_why() {
    let (listener, client) = listener().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut head = [0; 1024];
        let _ = stream.read(&mut head).await.expect("a request");
        let answer = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";
        stream
            .write_all(answer.as_bytes())
            .await
            .expect("an answer");
    });
    let Err(error) = client.socket("/ws", &[]).await else {
        panic!("no socket")
    };
    assert_eq!(error.status(), Some(401));
}

#[tokio::test]
async fn sockets_to_https_are_refused_before_any_connection() {
    let client = Client::new("https://127.0.0.1:1", Auth::None).expect("a client");
    assert!(matches!(
        client.socket("/ws", &[]).await,
        Err(ClientError::Address { .. })
    ));
}
