//! What providers send beside the protocol: broken characters, errors behind a 200, calls of old.

mod support;

use kilo_ports::provider::{Chunk, ErrorClass, Protocol, ProviderError};
use kilo_protocol::model::Tokens;
use support::*;

const STOP: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;

fn text(text: &str) -> Chunk {
    Chunk::Text(text.into())
}

fn finish(reason: &str) -> Chunk {
    Chunk::Finish {
        reason: reason.into(),
        tokens: Tokens::default(),
    }
}

async fn outcome(steps: Vec<Step>) -> (Vec<Chunk>, Option<ProviderError>) {
    let server = Server::start(vec![steps]).await;
    collect(&client(), request(model(&server, Protocol::OpenaiChat))).await
}

async fn answer_of(pieces: &[&[u8]]) -> Vec<Chunk> {
    let (chunks, error) = outcome(stream(pieces)).await;
    assert_eq!(error, None);
    chunks
}

fn content(json: &[u8]) -> Vec<u8> {
    [
        br#"data: {"choices":[{"delta":{"content":""#.as_slice(),
        json,
        b"\"}}]}\n\n",
    ]
    .concat()
}

#[tokio::test]
async fn half_a_character_becomes_a_replacement_and_the_answer_goes_on() {
    let table: [(&[&[u8]], &str); 7] = [
        (&[br"a\ud83d"], "a\u{fffd}"),
        (&[br"\ude00b"], "\u{fffd}b"),
        (&[br"a\ud83d", br"\ude00b"], "a\u{fffd}\u{fffd}b"),
        (&[br"a\ud8", b"b"], "a\u{fffd}b"),
        (&[b"a\xf0\x9f", b"\x98\x80b"], "a\u{fffd}\u{fffd}\u{fffd}b"),
        (&[b"a\xff\xfeb"], "a\u{fffd}\u{fffd}b"),
        (&[b"caf\xe9"], "caf\u{fffd}"),
    ];
    for (pieces, expected) in table {
        let mut body: Vec<u8> = pieces.iter().flat_map(|piece| content(piece)).collect();
        body.extend(events(&[STOP, "[DONE]"]));
        let whole = [text(expected), Chunk::TextEnd, finish("stop")];
        assert_eq!(answer_of(&[&body]).await, whole);
        let bytes: Vec<&[u8]> = body.chunks(1).collect();
        assert_eq!(answer_of(&bytes).await, whole, "byte by byte");
    }
}

#[tokio::test]
async fn a_character_cut_by_reads_alone_stays_whole() {
    let body = [
        content("é😀".as_bytes()),
        content(br"\ud83d\ude00"),
        events(&[STOP]),
    ]
    .concat();
    let bytes: Vec<&[u8]> = body.chunks(1).collect();
    assert_eq!(answer_of(&bytes).await[0], text("é😀😀"));
}

#[tokio::test]
async fn half_a_character_in_arguments_does_not_cost_them() {
    let body = events(&[
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"t","arguments":"{\"x\":\"\ud83d"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"}"}}]}}]}"#,
        STOP,
    ]);
    let chunks = answer_of(&[&body]).await;
    let arguments = "{\"x\":\"\u{fffd}\"}".to_owned();
    assert_eq!(
        chunks[1],
        Chunk::ToolDelta {
            index: 0,
            arguments
        }
    );
}

#[tokio::test]
async fn broken_characters_in_messages_become_replacements() {
    let body = [
        b"data: {\"type\":\"message_start\",\"message\":{}}\n\n".as_slice(),
        b"data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
        b"data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"text\":\"a\\ud83d\xff\"}}\n\n",
        b"data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n",
        b"data: {\"type\":\"message_stop\"}\n\n",
    ]
    .concat();
    let server = Server::start(vec![stream(&[&body])]).await;
    let model = model(&server, Protocol::AnthropicMessages);
    let (chunks, error) = collect(&client(), request(model)).await;
    assert_eq!(error, None);
    assert_eq!(chunks[0], text("a\u{fffd}\u{fffd}"));
}

#[tokio::test]
async fn an_error_behind_a_200_is_the_errors_own_text() {
    let half = r#"{"choices":[{"delta":{"content":"half"}}]}"#;
    let shapes = [
        r#"{"error":{"message":"boom","code":400}}"#,
        r#"{"object":"error","message":"boom","code":400}"#,
        r#"{"choices":[{"error":{"message":"boom","code":400},"finish_reason":"error"}]}"#,
        r#"{"detail":"boom","code":400}"#,
        r#"[{"error":{"message":"boom","code":400}}]"#,
        r#"{"success":false,"errors":[{"message":"boom"}],"code":400}"#,
    ];
    for shape in shapes {
        let whole = answer(200, "content-type: application/json\r\n", shape);
        for (steps, kept) in [
            (stream(&[&events(&[half, shape, "[DONE]"])]), 1),
            (stream(&[&events(&[shape])]), 0),
            (whole, 0),
        ] {
            let (chunks, error) = outcome(steps).await;
            let error = error.expect(shape);
            assert_eq!(
                (chunks.len(), error.class, error.message.as_str()),
                (kept, ErrorClass::InvalidRequest, "boom"),
                "{shape}"
            );
        }
    }
    let sentences: [&[u8]; 5] = [
        b"data: the server is overloaded\n\n",
        b"event: error\ndata: the server is overloaded\n\n",
        b"event: error\ndata: {\"text\":\"x\",\"message\":\"the server is overloaded\"}\n\n",
        b"data: {\"choices\":[{\"delta\":{\"content\":\"half\"}}]}\n\nevent: error\ndata: \"the server is overloaded\"\n\n",
        b"the server is overloaded",
    ];
    for body in sentences {
        let (_, error) = outcome(stream(&[body])).await;
        let error = error.unwrap();
        assert_eq!(
            (error.class, error.message.as_str()),
            (ErrorClass::Overloaded, "the server is overloaded")
        );
    }
}

#[tokio::test]
async fn an_overflow_within_the_stream_is_one() {
    let shapes = [
        r#"{"error":{"code":500,"message":"Context size has been exceeded.","type":"server_error"}}"#,
        r#"{"error":{"message":"Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens, which is not enough."}}"#,
        r#"{"error":"The number of tokens to keep from the initial prompt is greater than the context length."}"#,
        r#"{"error":{"code":400,"message":"request (9 tokens) exceeds the available context size (8 tokens), try increasing it","type":"exceed_context_size_error"}}"#,
    ];
    for shape in shapes {
        for steps in [
            stream(&[&events(&[shape])]),
            answer(400, "", shape),
            answer(500, "", shape),
            answer(200, "content-type: application/json\r\n", shape),
        ] {
            let (_, error) = outcome(steps).await;
            assert_eq!(
                error.map(|error| error.class),
                Some(ErrorClass::ContextOverflow),
                "{shape}"
            );
        }
    }
}

#[tokio::test]
async fn a_function_call_of_old_is_a_call() {
    let pieces = events(&[
        r#"{"choices":[{"delta":{"role":"assistant","content":null,"function_call":{"name":"read","arguments":""}}}]}"#,
        r#"{"choices":[{"delta":{"function_call":{"arguments":"{\"p\":"}}}]}"#,
        r#"{"choices":[{"delta":{"function_call":{"name":"read","arguments":"1}"}}}]}"#,
        r#"{"choices":[{"delta":{},"finish_reason":"function_call"}]}"#,
    ]);
    let whole = events(&[
        r#"{"choices":[{"message":{"content":null,"function_call":{"name":"read","arguments":{"p":1}}},"finish_reason":"stop"}]}"#,
    ]);
    for (body, arguments) in [(pieces, r#"{"p":1}"#), (whole, r#"{"p":1}"#)] {
        let chunks = answer_of(&[&body]).await;
        assert!(
            matches!(&chunks[0], Chunk::ToolStart { index: 0, id, name } if id.starts_with("call_") && name == "read"),
            "{chunks:?}"
        );
        let rest = [
            Chunk::ToolDelta {
                index: 0,
                arguments: arguments.into(),
            },
            Chunk::ToolEnd { index: 0 },
            finish("tool-calls"),
        ];
        assert_eq!(chunks[1..], rest);
    }
    let both = events(&[
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"t","arguments":"{}"}}],"function_call":{"name":"t","arguments":"{}"}}}]}"#,
        STOP,
    ]);
    let starts = |chunk: &&Chunk| matches!(chunk, Chunk::ToolStart { .. });
    assert_eq!(answer_of(&[&both]).await.iter().filter(starts).count(), 1);
}

#[tokio::test]
async fn a_refusal_is_shown_and_is_no_ordinary_end() {
    let body = events(&[
        r#"{"choices":[{"delta":{"refusal":"I can't "}}]}"#,
        r#"{"choices":[{"delta":{"refusal":"do that."}}]}"#,
        STOP,
        "[DONE]",
    ]);
    assert_eq!(
        answer_of(&[&body]).await,
        [
            text("I can't do that."),
            Chunk::TextEnd,
            finish("content-filter")
        ]
    );
}

#[tokio::test]
async fn every_shape_of_content_is_read() {
    let shapes = [
        r#"{"choices":[{"delta":{"content":{"type":"text","text":"so"}}}]}"#,
        r#"{"choices":[{"delta":{"content":["s","o"]}}]}"#,
        r#"{"choices":[{"delta":{"content":[{"type":"text","text":"so"},null,{"type":"image"}]}}]}"#,
        r#"{"choices":[{"delta":{"content":"so","tool_calls":[null],"function_call":null}}]}"#,
        r#"{"choices":[{"delta":{"content":"so","tool_calls":"","reasoning":false}}]}"#,
    ];
    for shape in shapes {
        let body = events(&[
            r#"{"choices":[{"delta":{"content":false}}]}"#,
            shape,
            STOP,
            "DONE",
        ]);
        assert_eq!(
            answer_of(&[&body]).await,
            [text("so"), Chunk::TextEnd, finish("stop")],
            "{shape}"
        );
    }
    for field in [
        "reasoning",
        "reasoning_content",
        "reasoning_text",
        "thinking",
    ] {
        let delta = format!(r#"{{"choices":[{{"delta":{{"{field}":"hm"}}}}]}}"#);
        let chunks = answer_of(&[&events(&[&delta, STOP])]).await;
        assert_eq!(chunks[0], Chunk::Reasoning("hm".into()), "{field}");
    }
}

#[tokio::test]
async fn calls_with_gaps_in_their_indices_or_as_an_object_are_read() {
    let body = events(&[
        r#"{"choices":[{"delta":{"tool_calls":[{"index":7,"id":"a","function":{"name":"t","arguments":"{"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":{"index":3,"id":"a","function":{"name":"t","arguments":{"y":2}}}}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":7,"function":{"arguments":"}"}}]}}]}"#,
        STOP,
    ]);
    let delta = |index, arguments: &str| Chunk::ToolDelta {
        index,
        arguments: arguments.into(),
    };
    let start = |index, id: &str| Chunk::ToolStart {
        index,
        id: id.into(),
        name: "t".into(),
    };
    assert_eq!(
        answer_of(&[&body]).await,
        [
            start(0, "a"),
            delta(0, "{"),
            start(1, "a_1"),
            delta(1, r#"{"y":2}"#),
            delta(0, "}"),
            Chunk::ToolEnd { index: 0 },
            Chunk::ToolEnd { index: 1 },
            finish("tool-calls")
        ]
    );
}

#[tokio::test]
async fn events_without_blank_lines_between_them_are_read() {
    let half = r#"{"choices":[{"delta":{"content":"half"}}]}"#;
    let lines = format!("data: {half}\ndata: {half}\ndata: {STOP}\ndata: [DONE]\n");
    let whole = [text("halfhalf"), Chunk::TextEnd, finish("stop")];
    assert_eq!(answer_of(&[lines.as_bytes()]).await, whole);
    let documents = format!("{half}\n{half}\n{STOP}\n");
    assert_eq!(answer_of(&[documents.as_bytes()]).await, whole);
}

#[tokio::test]
async fn a_server_that_only_pings_has_forgotten_the_call() {
    let mut steps = open_stream(&[]);
    for _ in 0..100 {
        steps.extend([Step::Pause(20), Step::Piece(b": ping\n\n".to_vec())]);
    }
    let server = Server::start(vec![steps]).await;
    let mut model = model(&server, Protocol::OpenaiChat);
    (model.first_byte_ms, model.gap_ms) = (100, 100);
    let (_, error) = collect(&client(), request(model)).await;
    let error = error.unwrap();
    assert_eq!(
        (error.class, error.message.as_str()),
        (ErrorClass::Stalled, "the provider sent no event for 0.5 s")
    );
}

#[tokio::test]
async fn messages_that_are_whole_or_lack_their_begins_are_read() {
    let whole = r#"{"type":"message","content":[{"type":"text","text":"so"},{"type":"tool_use","name":"t","input":{"a":1}}],"stop_reason":"tool_use","usage":{"input_tokens":3,"output_tokens":2}}"#;
    let server = Server::start(vec![
        answer(200, "content-type: application/json\r\n", whole),
        stream(&[&events(&[
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"so"}}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#,
            r#"{"type":"message_stop"}"#,
        ])]),
    ])
    .await;
    let model = model(&server, Protocol::AnthropicMessages);
    let (chunks, error) = collect(&client(), request(model.clone())).await;
    assert_eq!(error, None);
    assert_eq!(chunks[..2], [text("so"), Chunk::TextEnd]);
    assert!(
        matches!(&chunks[2], Chunk::ToolStart { index: 0, id, name } if id.starts_with("call_") && name == "t"),
        "{chunks:?}"
    );
    let arguments = r#"{"a":1}"#.to_owned();
    assert_eq!(
        chunks[3],
        Chunk::ToolDelta {
            index: 0,
            arguments
        }
    );
    let (chunks, error) = collect(&client(), request(model)).await;
    assert_eq!(error, None);
    assert_eq!(chunks[..2], [text("so"), Chunk::TextEnd]);
}
