//! Providers in trouble: every way in which a call fails ends in one error of the right class, in time.

mod support;

use kilo_ports::provider::{Chunk, ErrorClass, ModelClient, Protocol, ProviderError};
use std::sync::Arc;
use std::time::Duration;
use support::*;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const HALF: &str = r#"{"choices":[{"delta":{"content":"half"}}]}"#;
const STOP: &str = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;

async fn outcome(steps: Vec<Step>) -> (Vec<Chunk>, Option<ProviderError>) {
    let server = Server::start(vec![steps]).await;
    let mut model = model(&server, Protocol::OpenaiChat);
    (model.first_byte_ms, model.gap_ms) = (300, 150);
    collect(&client(), request(model)).await
}

async fn failure(steps: Vec<Step>) -> (bool, ErrorClass, String, Option<String>) {
    let (chunks, error) = outcome(steps).await;
    let error = error.expect("an error");
    (
        chunks.contains(&Chunk::Text("half".into())),
        error.class,
        error.message,
        error.code,
    )
}

fn then(mut steps: Vec<Step>, step: Step) -> Vec<Step> {
    steps.push(step);
    steps
}

#[tokio::test]
async fn a_connection_that_breaks_is_told_apart_by_what_came_before() {
    let reset = Some("ECONNRESET".to_owned());
    let (kept, class, _, code) = failure(vec![Step::Reset]).await;
    assert_eq!(
        (kept, class, code),
        (false, ErrorClass::Network, reset.clone())
    );
    let (kept, class, _, code) = failure(then(open_stream(&[]), Step::Reset)).await;
    assert_eq!(
        (kept, class, code),
        (false, ErrorClass::Network, reset.clone())
    );
    for step in [Step::Reset, Step::Close] {
        let (kept, class, message, code) =
            failure(then(open_stream(&[&events(&[HALF])]), step)).await;
        let expected = (
            true,
            ErrorClass::StreamCut,
            "Connection reset by server".to_owned(),
            reset.clone(),
        );
        assert_eq!((kept, class, message, code), expected);
    }
    let (kept, class, ..) = failure(stream(&[&events(&[HALF])])).await;
    assert_eq!(
        (kept, class),
        (true, ErrorClass::StreamCut),
        "a body that ends in good order without an end mark"
    );
    let (_, class, ..) = failure(stream(&[])).await;
    assert_eq!(class, ErrorClass::Overloaded);
}

#[tokio::test]
async fn a_host_that_refuses_is_the_networks_fault() {
    let server = Server::start(vec![]).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut dead = model(&server, Protocol::OpenaiChat);
    let alive = Arc::new(dead.clone());
    dead.base_url = format!("http://{free}/v1");
    let (_, error) = collect(&client(), request(dead.clone())).await;
    let error = error.unwrap();
    assert_eq!(
        (error.class, error.code.as_deref()),
        (ErrorClass::Network, Some("ECONNREFUSED"))
    );
    assert!(
        error
            .message
            .starts_with(&format!("Cannot connect to API at {free}: ")),
        "{}",
        error.message
    );
    assert!(client().reachable(alive).await);
    assert!(!client().reachable(Arc::new(dead)).await);
}

#[tokio::test]
async fn silence_ends_in_an_error_and_a_ping_is_life() {
    let (_, class, message, _) = failure(vec![Step::Hang]).await;
    assert_eq!(
        (class, message.as_str()),
        (ErrorClass::Stalled, "the provider sent no answer for 0.3 s")
    );
    let (_, class, ..) = failure(then(open_stream(&[]), Step::Hang)).await;
    assert_eq!(class, ErrorClass::Stalled);
    let (kept, class, message, _) =
        failure(then(open_stream(&[&events(&[HALF])]), Step::Hang)).await;
    assert_eq!(
        (kept, class, message.as_str()),
        (
            true,
            ErrorClass::Stalled,
            "the provider sent no further byte for 0.15 s"
        )
    );

    let mut slow = open_stream(&[&events(&[HALF])]);
    for _ in 0..6 {
        slow.extend([Step::Pause(60), Step::Piece(b": still here\n\n".to_vec())]);
    }
    slow.push(Step::Piece(events(&[STOP, "[DONE]"])));
    let (chunks, error) = outcome(slow).await;
    assert_eq!((chunks.len(), error), (3, None), "{chunks:?}");
}

#[tokio::test]
async fn an_answer_without_an_end_mark_does_not_hang() {
    let start = Instant::now();
    let (chunks, error) = outcome(then(open_stream(&[&events(&[HALF, STOP])]), Step::Hang)).await;
    assert_eq!((chunks.len(), error), (3, None));
    let (chunks, error) = outcome(then(open_stream(&[&events(&[HALF, STOP])]), Step::Reset)).await;
    assert_eq!((chunks.len(), error), (3, None));
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_broken_chunk_is_named_and_what_came_before_is_kept() {
    let broken = br#"data: {"id":"broken","choices":[{"delta":{"content":"#;
    let (kept, class, message, _) = failure(stream(&[
        &events(&[HALF]),
        broken,
        b"\n\n",
        &events(&[STOP]),
    ]))
    .await;
    assert_eq!((kept, class), (true, ErrorClass::Malformed));
    assert!(
        message.contains("JSON") && message.contains(r#"{"id":"broken""#),
        "{message}"
    );
}

#[tokio::test]
async fn a_stream_with_an_error_in_it_fails_with_the_providers_words() {
    let error = r#"{"error":{"code":502,"message":"upstream is gone"},"choices":[{"delta":{"content":""},"finish_reason":"error"}]}"#;
    let (kept, class, message, _) = failure(stream(&[&events(&[HALF, error])])).await;
    assert_eq!(
        (kept, class, message.as_str()),
        (true, ErrorClass::Overloaded, "upstream is gone")
    );
    let full = r#"{"choices":[{"delta":{},"finish_reason":"length"}],"usage":{"prompt_tokens":9,"completion_tokens":0}}"#;
    let (_, class, ..) = failure(stream(&[&events(&[full])])).await;
    assert_eq!(class, ErrorClass::ContextOverflow);
}

#[tokio::test]
async fn a_refusal_carries_status_wait_id_and_a_body_without_the_key() {
    let body = r#"{"error":{"message":"slow down, fake-key-123","type":"rate_limit","code":null}}"#;
    let server = Server::start(vec![
        answer(429, "retry-after: 1\r\nx-request-id: r1\r\n", body),
        answer(500, "", "boom"),
    ])
    .await;
    let client = client();
    let model = model(&server, Protocol::OpenaiChat);
    let (_, error) = collect(&client, request(model.clone())).await;
    let expected = ProviderError {
        status: Some(429),
        retry_after_ms: Some(1_000),
        request_id: Some("r1".into()),
        body: Some(body.replace("fake-key-123", "***")),
        ..ProviderError::new(ErrorClass::RateLimited, "slow down, ***")
    };
    assert_eq!(error, Some(expected));
    let start = Instant::now();
    let (_, error) = collect(&client, request(model)).await;
    assert_eq!(
        error.map(|error| (error.class, error.message)),
        Some((ErrorClass::Overloaded, "boom".into()))
    );
    assert!(
        start.elapsed() > Duration::from_millis(500),
        "the account's other calls wait as well"
    );
}

#[tokio::test]
async fn a_pause_without_end_stops_no_other_call() {
    let wishes = [
        "retry-after: 1000000000\r\n",
        "retry-after: Fri, 31 Dec 9999 23:59:59 GMT\r\n",
        "retry-after-ms: 1e300\r\n",
        "x-ratelimit-reset: 99999999999\r\n",
    ];
    for wish in wishes {
        let done = stream(&[&events(&[HALF, STOP, "[DONE]"])]);
        let server = Server::start(vec![answer(429, wish, "slow down"), done]).await;
        let client = client();
        let model = model(&server, Protocol::OpenaiChat);
        let (_, error) = collect(&client, request(model.clone())).await;
        assert!(
            error.unwrap().retry_after_ms > Some(1_000_000_000),
            "{wish}"
        );
        let (_, error) = collect(&client, request(model)).await;
        assert_eq!(error, None, "{wish}");
    }
}

#[tokio::test]
async fn a_refused_key_says_how_to_store_one() {
    let body = r#"{"error":{"message":"Incorrect API key provided","code":"invalid_api_key"}}"#;
    let server = Server::start(vec![answer(401, "", body), answer(401, "", body)]).await;
    let mut model = model(&server, Protocol::OpenaiChat);
    let (_, error) = collect(&client(), request(model.clone())).await;
    let error = error.unwrap();
    assert_eq!(
        (error.class, error.message.as_str()),
        (
            ErrorClass::Auth,
            "Incorrect API key provided (is the key right? `kilo auth login fake` stores one)"
        )
    );
    model.api_key = None;
    let (_, error) = collect(&client(), request(model)).await;
    assert_eq!(
        error.unwrap().message,
        "Incorrect API key provided (no key is known; `kilo auth login fake` stores one)"
    );
}

#[tokio::test]
async fn a_key_that_comes_back_in_the_stream_is_not_shown() {
    let echo = r#"{"error":{"message":"bad key fake-key-123 in x-own: canary","code":400}}"#;
    let server = Server::start(vec![stream(&[&events(&[echo])])]).await;
    let mut model = model(&server, Protocol::OpenaiChat);
    model.headers = vec![("x-own".into(), "canary".into())];
    let (_, error) = collect(&client(), request(model)).await;
    let error = error.unwrap();
    assert_eq!(error.message, "bad key *** in x-own: ***");
    assert!(!error.body.unwrap().contains("fake-key"));
}

#[tokio::test]
async fn a_wrong_address_says_so() {
    let page = "<!doctype html><p>Welcome";
    let (_, class, message, _) = failure(answer(200, "content-type: text/html\r\n", page)).await;
    assert_eq!(class, ErrorClass::InvalidRequest);
    assert!(message.contains("web page"));
    let server = Server::start(vec![]).await;
    let mut model = model(&server, Protocol::OpenaiChat);
    model.base_url = "${HOST}/v1".into();
    let (_, error) = collect(&client(), request(model.clone())).await;
    assert!(error.unwrap().message.contains("'${HOST}/v1' is no URL"));
    model.protocol = None;
    let (_, error) = collect(&client(), request(model)).await;
    assert_eq!(error.unwrap().class, ErrorClass::InvalidRequest);
}

#[tokio::test]
async fn giving_up_closes_the_connection() {
    for by_cancel in [true, false] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server {
            address: format!("http://{}", listener.local_addr().unwrap()),
            requests: Arc::default(),
        };
        let cancel = CancellationToken::new();
        let mut receiver = client().stream(
            request(model(&server, Protocol::OpenaiChat)),
            cancel.clone(),
        );
        let (mut socket, _) = listener.accept().await.unwrap();
        if by_cancel {
            cancel.cancel();
            assert_eq!(
                receiver.recv().await,
                Some(Err(kilo_provider::errors::aborted()))
            );
            assert_eq!(receiver.recv().await, None);
        } else {
            drop(receiver);
        }
        let mut rest = Vec::new();
        let closed = tokio::io::AsyncReadExt::read_to_end(&mut socket, &mut rest);
        let _ = tokio::time::timeout(Duration::from_secs(5), closed)
            .await
            .expect("the connection is closed");
    }
}
