//! The way of a request: front door, route, body, handler, reply.

use crate::body::{self, Bounds};
use crate::door::peer::Connection;
use crate::door::{self, Admission, Door};
use crate::problem;
use crate::reply::{Exchange, Reply};
use crate::request::{Headers, Left, Params, Parts, Query, Request, directory};
use crate::router::Handler;
use crate::stopping::Stopping;
use crate::table::{self, Table};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use kilo_protocol::Fault;
use kilo_protocol::endpoints::{Body, Operation, Stream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tracing::Instrument as _;

/// Numbers the requests of this process in the log.
static REQUESTS: AtomicU64 = AtomicU64::new(1);

/// What one serving thread needs.
pub(crate) struct Worker {
    pub door: Door,
    pub table: Arc<Table>,
    pub handlers: Vec<Option<Handler>>,
    pub body_bytes_max: usize,
    pub body_pause_max: Duration,
    pub stopping: Stopping,
}

impl Worker {
    /// Answers one request, whatever it is.
    pub async fn serve(
        self: Rc<Self>,
        request: HttpRequest,
        payload: web::Payload,
    ) -> HttpResponse {
        let mut arrival = Arrival {
            request,
            unread: Some(payload),
        };
        let response = self.at_the_door(&mut arrival).await;
        match arrival.unread {
            Some(rest) => body::hold(response, rest),
            None => response,
        }
    }

    /// Lets a request in, or answers for it.
    async fn at_the_door(&self, arrival: &mut Arrival) -> HttpResponse {
        let headers = arrival.request.headers();
        let caller = match self.door.caller(arrival.request.uri(), headers) {
            Ok(caller) => caller,
            Err(refusal) => return problem::refusal(refusal),
        };
        let mut response = if door::is_preflight(arrival.request.method(), headers) {
            let mut response = HttpResponse::NoContent().finish();
            caller.allow(headers, response.headers_mut());
            response
        } else {
            let query = Query::parse(arrival.request.query_string());
            let connection = arrival.request.conn_data::<Connection>();
            match self.door.admit(
                &caller,
                (arrival.request.path(), headers),
                &query,
                connection,
            ) {
                Ok(admission) => self.inside(admission, query, arrival).await,
                Err(refusal) => problem::refusal(refusal),
            }
        };
        caller.mark(response.headers_mut());
        response
    }

    /// Answers a request that came in, and sets the cookie of a one-time link.
    async fn inside(
        &self,
        admission: Admission,
        query: Query,
        arrival: &mut Arrival,
    ) -> HttpResponse {
        let cookie = admission.cookie;
        let Some(cookie) = cookie.and_then(|cookie| HeaderValue::from_str(&cookie).ok()) else {
            return self.routed(query, arrival).await;
        };
        let mut response = match navigation(&arrival.request) {
            true => without_token(&arrival.request),
            false => self.routed(query, arrival).await,
        };
        response.headers_mut().append(header::SET_COOKIE, cookie);
        response
    }

    /// Finds the operation and its handler.
    async fn routed(&self, query: Query, arrival: &mut Arrival) -> HttpResponse {
        let path = arrival.request.path().to_owned();
        let method = table::method(arrival.request.method());
        let Some(found) = method.and_then(|method| self.table.find(method, &path)) else {
            return problem::no_route();
        };
        let id = REQUESTS.fetch_add(1, Ordering::Relaxed);
        let span = tracing::info_span!("request", id, op = found.operation.id);
        let Some(handler) = self.handlers.get(found.row).cloned().flatten() else {
            return span.in_scope(|| problem::fault(Fault::not_implemented(found.operation.id)));
        };
        let params = match Params::decode(&found.params) {
            Ok(params) => params,
            Err(fault) => return span.in_scope(|| problem::fault(fault)),
        };
        let call = Call {
            operation: found.operation,
            handler,
            params,
            query,
        };
        self.called(call, arrival).instrument(span).await
    }

    /// Reads the body, calls the handler and makes the response.
    async fn called(&self, call: Call, arrival: &mut Arrival) -> HttpResponse {
        let running = self.stopping.enter();
        let bounds = Bounds {
            bytes_max: self.body_bytes_max.min(call.operation.body_bytes_max),
            read_bytes_max: self.body_bytes_max,
            pause_max: self.body_pause_max,
        };
        let body = match arrival.body(call.operation, bounds).await {
            Ok(body) => body,
            Err(response) => return response,
        };
        let reply = match call.run(body, &arrival.request).await {
            Ok(reply) => reply,
            Err(fault) => return problem::fault(fault),
        };
        let exchange = Exchange {
            request: arrival.request.clone(),
            payload: arrival.unread.take(),
            running,
        };
        exchange.answer(reply, &self.stopping)
    }
}

/// A request on its way in.
struct Arrival {
    request: HttpRequest,
    /// The body, as long as it has not been read to its end.
    unread: Option<web::Payload>,
}

impl Arrival {
    /// Reads the body. What goes on after the head of a WebSocket's request is none, and stays.
    async fn body(&mut self, operation: &Operation, bounds: Bounds) -> Result<Bytes, HttpResponse> {
        let Some(payload) = self.unread.as_mut() else {
            return Ok(Bytes::new());
        };
        if operation.stream == Stream::WebSocket {
            return Ok(Bytes::new());
        }
        let body = body::read(self.request.headers(), payload, bounds).await?;
        self.unread = None;
        Ok(body)
    }
}

/// A handler, and what it will be called with.
struct Call {
    operation: &'static Operation,
    handler: Handler,
    params: Params,
    query: Query,
}

impl Call {
    async fn run(self, body: Bytes, whole: &HttpRequest) -> Result<Reply, Fault> {
        let headers = whole.headers();
        let Self {
            operation,
            handler,
            params,
            query,
        } = self;
        if operation.body != Body::None && !body.is_empty() {
            body::check_type(
                headers
                    .get(header::CONTENT_TYPE)
                    .and_then(|value| value.to_str().ok()),
            )?;
        }
        let parts = Parts {
            op: operation,
            directory: directory(&query, headers)?,
            params,
            query,
            headers: Headers::new(headers.clone()),
            peer: whole
                .conn_data::<Connection>()
                .map(|connection| connection.peer),
        };
        let (_client, left) = Left::new();
        handler(Request::new(parts, left, body)).await
    }
}

/// Tells whether a person opens a page.
fn navigation(request: &HttpRequest) -> bool {
    let mode = request.headers().get("sec-fetch-mode");
    *request.method() == Method::GET && mode.is_some_and(|mode| mode == "navigate")
}

/// Sends a browser to the same page without the one-time token, so that it does not stay in the history.
fn without_token(request: &HttpRequest) -> HttpResponse {
    let path = request.path().trim_start_matches(['/', '\\']);
    let pairs = request.query_string().split('&');
    let rest: Vec<&str> = pairs
        .filter(|pair| !pair.starts_with("auth_token="))
        .collect();
    let query = if rest.is_empty() {
        String::new()
    } else {
        format!("?{}", rest.join("&"))
    };
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, format!("/{path}{query}")))
        .finish()
}
