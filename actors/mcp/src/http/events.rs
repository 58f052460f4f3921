//! Event streams of one response.

use super::network;
use crate::channel::{MESSAGE_BYTES_MAX, SendError};
use bytes::Bytes;
use futures_util::StreamExt;
use kilo_sse::{Decoder, TooLarge};
use reqwest::Response;
use std::collections::VecDeque;
use std::pin::Pin;

type Pieces = Pin<Box<dyn futures_util::Stream<Item = reqwest::Result<Bytes>> + Send>>;

/// An event.
pub struct Event {
    pub name: String,
    pub data: Bytes,
    pub id: Option<String>,
    pub retry_ms: Option<u64>,
}

/// The events of a response, as they come.
pub struct Events {
    pieces: Pieces,
    decoder: Decoder,
    ready: VecDeque<Event>,
}

impl Events {
    pub fn of(response: Response) -> Self {
        Self {
            pieces: Box::pin(response.bytes_stream()),
            decoder: Decoder::new(MESSAGE_BYTES_MAX),
            ready: VecDeque::new(),
        }
    }

    /// The next event; none at the end.
    ///
    /// Errors: the network, and an event that is too large; nothing comes afterwards.
    pub async fn next(&mut self) -> Result<Option<Event>, SendError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            let Some(piece) = self.pieces.next().await else {
                return Ok(None);
            };
            let ready = &mut self.ready;
            let fed = self
                .decoder
                .feed::<TooLarge>(&piece.map_err(network)?, |event| {
                    ready.push_back(Event {
                        name: event.name.to_owned(),
                        data: Bytes::copy_from_slice(event.data),
                        id: event.id.map(str::to_owned),
                        retry_ms: event.retry_ms,
                    });
                    Ok(())
                });
            fed.map_err(|error| SendError::Network(error.to_string()))?;
        }
    }
}
