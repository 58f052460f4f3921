//! The words in which the table's rows are written.

use super::{Absent, Body, CONTENT_BYTES_MAX, Method, Operation, SMALL_BODY_BYTES_MAX, Stream};

/// A row without body or stream; the group is read off the path.
const fn row(
    method: Method,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
) -> Operation {
    let group = first_segment(path);
    Operation {
        method,
        path,
        id,
        group,
        summary,
        body: Body::None,
        body_bytes_max: SMALL_BODY_BYTES_MAX,
        stream: Stream::No,
        absent: None,
    }
}

pub(super) const fn get(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    row(Method::Get, path, id, summary)
}

pub(super) const fn post(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    row(Method::Post, path, id, summary)
}

pub(super) const fn put(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    row(Method::Put, path, id, summary)
}

pub(super) const fn patch(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
) -> Operation {
    row(Method::Patch, path, id, summary)
}

pub(super) const fn delete(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
) -> Operation {
    row(Method::Delete, path, id, summary)
}

impl Operation {
    /// Takes a JSON body; without one it stands for `{}`.
    pub(super) const fn optional_body(mut self) -> Self {
        self.body = Body::Json { required: false };
        self
    }

    /// Takes a JSON body and does not work without one.
    pub(super) const fn required_body(mut self) -> Self {
        self.body = Body::Json { required: true };
        self
    }

    /// Its body carries content.
    pub(super) const fn with_content(mut self) -> Self {
        self.body_bytes_max = CONTENT_BYTES_MAX;
        self
    }

    /// The feature is not there: `json`, always, with 200.
    pub(super) const fn absent(mut self, json: &'static str) -> Self {
        self.absent = Some(Absent::Constant {
            status: 200,
            json,
            query: None,
        });
        self
    }

    /// The same with another status.
    pub(super) const fn absent_with(mut self, status: u16, json: &'static str) -> Self {
        self.absent = Some(Absent::Constant {
            status,
            json,
            query: None,
        });
        self
    }

    /// The same for an operation that needs a query parameter.
    pub(super) const fn absent_for(mut self, query: &'static str, json: &'static str) -> Self {
        self.absent = Some(Absent::Constant {
            status: 200,
            json,
            query: Some(query),
        });
        self
    }

    /// The feature is not there, and a handler says so.
    pub(super) const fn described_as_absent(mut self) -> Self {
        self.absent = Some(Absent::Described);
        self
    }

    /// Answers with an event stream.
    pub(super) const fn sse(mut self) -> Self {
        self.stream = Stream::Sse;
        self
    }

    /// Becomes a WebSocket.
    pub(super) const fn websocket(mut self) -> Self {
        self.stream = Stream::WebSocket;
        self
    }
}

/// Cuts `session` out of `/session/{sessionID}`.
const fn first_segment(path: &'static str) -> &'static str {
    let bytes = path.as_bytes();
    let mut end = 1;
    while end < bytes.len() && bytes[end] != b'/' {
        end += 1;
    }
    path.split_at(end).0.split_at(1).1
}
