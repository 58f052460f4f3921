//! The WebSocket: one connection that carries events with their positions and takes commands.

use crate::error::ClientError;
use crate::http::Client;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// An open socket. It does not open itself again: its owner knows from which position to go on.
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    url: String,
}

impl Client {
    /// Opens the socket at `path` (`/ws`, `/pty/ID/connect`, …) for this client's directory.
    ///
    /// # Errors
    /// [`ClientError::Address`] for an `https` daemon: encrypted sockets are not supported.
    pub async fn socket(&self, path: &str, query: &[(&str, &str)]) -> Result<Socket, ClientError> {
        let mut address = self.address(path, query);
        let refuse = |reason: String| ClientError::Address {
            url: self.url().to_owned(),
            reason,
        };
        // TLS of the socket's library would be a second one beside reqwest's.
        if address.scheme() != "http" || address.set_scheme("ws").is_err() {
            return Err(refuse("sockets need plain http".into()));
        }
        let mut request = address
            .as_str()
            .into_client_request()
            .map_err(|error| refuse(error.to_string()))?;
        if let Some(value) = self.auth().header() {
            let value =
                HeaderValue::from_str(&value).map_err(|_| refuse("bad credentials".into()))?;
            request.headers_mut().insert("authorization", value);
        }
        let call = format!("GET {path}");
        let opened = tokio::time::timeout(OPEN_TIMEOUT, connect_async(request)).await;
        match opened {
            Err(_) => Err(ClientError::Timeout {
                call,
                waited: OPEN_TIMEOUT,
            }),
            Ok(Err(WsError::Http(answer))) => {
                let body = answer.body().as_deref().unwrap_or_default();
                Err(ClientError::refused(answer.status().as_u16(), call, body))
            }
            Ok(Err(error)) => Err(self.broken(error)),
            Ok(Ok((stream, _))) => Ok(Socket {
                stream,
                url: self.url().to_owned(),
            }),
        }
    }

    fn broken(&self, error: WsError) -> ClientError {
        ClientError::Unreachable {
            url: self.url().to_owned(),
            source: error.into(),
        }
    }
}

impl Socket {
    /// The next text as the daemon sent it; `None` once the socket is closed.
    ///
    /// Waits without a bound of its own: the daemon pings an idle socket, and the caller knows how long it cares.
    pub async fn next_text(&mut self) -> Result<Option<String>, ClientError> {
        loop {
            match self.stream.next().await {
                None
                | Some(
                    Ok(Message::Close(_)) | Err(WsError::ConnectionClosed | WsError::AlreadyClosed),
                ) => return Ok(None),
                Some(Ok(Message::Text(text))) => return Ok(Some(text.to_string())),
                Some(Ok(Message::Binary(bytes))) => {
                    return Ok(Some(String::from_utf8_lossy(&bytes).into_owned()));
                }
                Some(Ok(_)) => {} // pings are answered by the library
                Some(Err(error)) => {
                    return Err(ClientError::Unreachable {
                        url: self.url.clone(),
                        source: error.into(),
                    });
                }
            }
        }
    }

    /// The next message as JSON; `None` once the socket is closed.
    pub async fn next_json(&mut self) -> Result<Option<Value>, ClientError> {
        let Some(text) = self.next_text().await? else {
            return Ok(None);
        };
        let value = serde_json::from_str(&text).map_err(|error| ClientError::Protocol {
            channel: "socket",
            reason: error.to_string(),
        })?;
        Ok(Some(value))
    }

    /// Sends a text.
    pub async fn send(&mut self, text: impl Into<String>) -> Result<(), ClientError> {
        let sending = self.stream.send(Message::Text(text.into().into()));
        match tokio::time::timeout(SEND_TIMEOUT, sending).await {
            Err(_) => Err(ClientError::Timeout {
                call: "a message on the socket".into(),
                waited: SEND_TIMEOUT,
            }),
            Ok(Err(error)) => Err(ClientError::Unreachable {
                url: self.url.clone(),
                source: error.into(),
            }),
            Ok(Ok(())) => Ok(()),
        }
    }

    /// Closes the socket.
    pub async fn close(mut self) {
        let _ = tokio::time::timeout(Duration::from_secs(1), self.stream.close(None)).await;
    }
}
