//! Everything that is not a success, as the client gets it. No other file writes error bodies.

use crate::door::{Missing, Refusal};
use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use kilo_protocol::{Fault, FaultKind};
use serde_json::{Value, json};

/// Renders what a handler, or the edge itself, reports.
///
/// 503 carries `Retry-After: 1`, 415 is plain text, `UnknownError` gets `data.ref`, under which the log has the message
/// (seen: real server 7.7.9).
pub(crate) fn fault(fault: Fault) -> HttpResponse {
    let status = StatusCode::from_u16(fault.kind.status());
    let mut reply = HttpResponse::build(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    match fault.kind {
        FaultKind::UnsupportedMedia => {
            return reply
                .content_type("text/plain; charset=utf-8")
                .body(fault.message);
        }
        FaultKind::Unavailable => {
            reply.insert_header((header::RETRY_AFTER, "1"));
        }
        _ => {}
    }
    let mut body = fault.body;
    if fault.kind == FaultKind::Unknown {
        let reference = format!("err_{:08x}", rand::random::<u32>());
        tracing::error!(reference, message = fault.message, "a request failed");
        refer(&mut body, reference);
    } else {
        tracing::debug!(kind = ?fault.kind, message = fault.message, "a request was refused");
    }
    reply.json(body)
}

/// Adds `data.ref` to an `UnknownError`.
fn refer(body: &mut Value, reference: String) {
    if body["name"] == "UnknownError"
        && let Some(Value::Object(data)) = body.get_mut("data")
    {
        data.entry("ref").or_insert(reference.into());
    }
}

/// Renders what the front door refused.
pub(crate) fn refusal(refusal: Refusal) -> HttpResponse {
    tracing::debug!(?refusal, "the front door refused a request");
    let missing = match refusal {
        Refusal::Host => {
            let message = "this server does not go by the name in Host or in the request's target";
            return named(
                StatusCode::MISDIRECTED_REQUEST,
                "MisdirectedRequest",
                message,
            );
        }
        Refusal::Origin => {
            let message = "web pages of this origin may not use this server";
            return named(StatusCode::FORBIDDEN, "Forbidden", message);
        }
        Refusal::Credentials(missing) => missing,
    };
    let (challenge, message) = match missing {
        Missing::Password => (
            r#"Basic realm="kilo", charset="UTF-8""#,
            "a password is required",
        ),
        Missing::Page => (
            r#"Bearer realm="kilo""#,
            "a web page needs the password, the token or a one-time link",
        ),
        Missing::SameUser => (
            r#"Bearer realm="kilo""#,
            "without the token only programs of the same user on this machine may connect",
        ),
        Missing::Own => (
            r#"Bearer realm="kilo""#,
            "the daemon itself and programs that its tools started need the token",
        ),
    };
    let mut reply = named(StatusCode::UNAUTHORIZED, "Unauthorized", message);
    let challenge = header::HeaderValue::from_static(challenge);
    reply
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, challenge);
    reply
}

/// 404 for a path or method that the table does not have.
pub(crate) fn no_route() -> HttpResponse {
    HttpResponse::NotFound().json(json!({"error": "Not Found"}))
}

/// 408 for a body that does not arrive.
pub(crate) fn slow_body() -> HttpResponse {
    unread(named(
        StatusCode::REQUEST_TIMEOUT,
        "RequestTimeout",
        "the body did not arrive",
    ))
}

/// Ends the connection after a reply to a request whose body was not read to its end.
pub(crate) fn unread(mut reply: HttpResponse) -> HttpResponse {
    reply
        .head_mut()
        .set_connection_type(actix_web::http::ConnectionType::Close);
    reply
}

fn named(status: StatusCode, name: &str, message: &str) -> HttpResponse {
    HttpResponse::build(status).json(json!({"name": name, "data": {"message": message}}))
}
