//! The older way: one stream of events from the server, whose first says where to post.

use super::events::Events;
use super::{Address, accepted};
use crate::channel::{Carried, Channel, Incoming, SendError, pair};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use url::Url;

/// Time that a server has to take a message; its answer comes on the stream.
const POST: Duration = Duration::from_secs(30);
/// Time until the server has said where to post.
const ENDPOINT: Duration = Duration::from_secs(10);

/// Opens the stream and carries messages until it ends or our end is dropped.
pub async fn carry(handle: &Handle, address: Arc<Address>) -> Result<Channel, SendError> {
    let opening = address.send(|client| {
        let request = client.get(address.url.clone());
        request.header(ACCEPT, "text/event-stream")
    });
    let mut events = Events::of(accepted(opening.await?).await?);
    let endpoint = tokio::time::timeout(ENDPOINT, endpoint(&mut events, &address.url));
    let endpoint = endpoint
        .await
        .map_err(|_| SendError::Network("the server does not say where to post".into()))??;
    let (channel, Carried { mut out, incoming }) = pair();
    let over = CancellationToken::new();
    let ended = over.clone();
    handle.spawn(async move {
        let _guard = ended.clone().drop_guard();
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = ended.cancelled() => return,
            };
            let Ok(Some(event)) = event else {
                return;
            };
            let is_message = event.name.is_empty() || event.name == "message";
            if is_message && incoming.send(Incoming::Message(event.data)).await.is_err() {
                return;
            }
        }
    });
    handle.spawn(async move {
        let _guard = over.clone().drop_guard();
        loop {
            let message = tokio::select! {
                message = out.recv() => message,
                () = over.cancelled() => return,
            };
            let Some(message) = message else {
                return;
            };
            let posting = address.send(|client| {
                client
                    .post(endpoint.clone())
                    .header(CONTENT_TYPE, "application/json")
                    .timeout(POST)
                    .body(message.text.clone())
            });
            let posted = match posting.await {
                Ok(response) => accepted(response).await.map(drop),
                Err(error) => Err(error),
            };
            let _ = message.done.send(posted);
        }
    });
    Ok(channel)
}

/// The address to post to, which must lie where the stream comes from: our headers go there.
async fn endpoint(events: &mut Events, base: &Url) -> Result<Url, SendError> {
    while let Some(event) = events.next().await? {
        if event.name != "endpoint" {
            continue;
        }
        let text = String::from_utf8_lossy(&event.data).into_owned();
        let url = base.join(text.trim());
        let url =
            url.map_err(|error| SendError::Network(format!("its address to post to: {error}")))?;
        if url.origin() != base.origin() {
            let why = format!("it wants its messages at another place, {url}");
            return Err(SendError::Network(why));
        }
        return Ok(url);
    }
    Err(SendError::Network("the stream ended at once".into()))
}
