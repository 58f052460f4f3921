//! The Messages protocol over a real connection.

mod support;

use kilo_ports::provider::{
    AssistantContent, Chunk, ErrorClass, ModelMessage, Protocol, ToolOffer, ToolResult, UserContent,
};
use kilo_protocol::model::{CacheTokens, Tokens};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use support::*;

fn metadata(value: Value) -> Option<Map<String, Value>> {
    json!({"anthropic": value}).as_object().cloned()
}

const ANSWER: [&str; 19] = [
    r#"{"type":"message_start","message":{"id":"m","usage":{"input_tokens":10,"cache_creation_input_tokens":5,"cache_read_input_tokens":70,"output_tokens":1}}}"#,
    r#"{"type":"ping"}"#,
    r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm\n"}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"so"}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}}"#,
    r#"{"type":"content_block_stop","index":0}"#,
    r#"{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"b3BhcXVl"}}"#,
    r#"{"type":"content_block_stop","index":1}"#,
    r#"{"type":"content_block_start","index":2,"content_block":{"type":"text","text":""}}"#,
    r#"{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"Grüße"}}"#,
    r#"{"type":"content_block_stop","index":2}"#,
    r#"{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"toolu_1","name":"read","input":{}}}"#,
    r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":""}}"#,
    r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{\"p\": "}}"#,
    r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"1}"}}"#,
    r#"{"type":"content_block_stop","index":3}"#,
    r#"{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":42}}"#,
    r#"{"type":"message_stop"}"#,
];

#[tokio::test]
async fn every_kind_of_block_is_read() {
    let body: Vec<u8> = ANSWER
        .iter()
        .flat_map(|data| format!("event: x\ndata: {data}\n\n").into_bytes())
        .collect();
    for size in [body.len(), 1] {
        let pieces: Vec<&[u8]> = body.chunks(size).collect();
        let server = Server::start(vec![stream(&pieces)]).await;
        let (chunks, error) = collect(
            &client(),
            request(model(&server, Protocol::AnthropicMessages)),
        )
        .await;
        assert_eq!(error, None);
        let cache = CacheTokens { read: 70, write: 5 };
        let expected = [
            Chunk::Reasoning("hm\nso".into()),
            Chunk::ReasoningEnd(metadata(json!({"signature": "c2ln"}))),
            Chunk::ReasoningEnd(metadata(json!({"redactedData": "b3BhcXVl"}))),
            Chunk::Text("Grüße".into()),
            Chunk::TextEnd,
            Chunk::ToolStart {
                index: 0,
                id: "toolu_1".into(),
                name: "read".into(),
            },
            Chunk::ToolDelta {
                index: 0,
                arguments: "{\"p\": 1}".into(),
            },
            Chunk::ToolEnd { index: 0 },
            Chunk::Finish {
                reason: "tool-calls".into(),
                tokens: Tokens {
                    total: Some(127),
                    input: 10,
                    output: 42,
                    reasoning: 0,
                    cache,
                },
            },
        ];
        assert_eq!(chunks, expected);
    }
}

#[tokio::test]
async fn the_conversation_is_written_with_marks_and_unchanged_reasoning() {
    let server = Server::start(vec![stream(&[&events(&ANSWER)])]).await;
    let mut model = model(&server, Protocol::AnthropicMessages);
    (model.reasoning, model.temperature, model.output) = (true, true, 64_000);
    let mut request = request(model);
    (request.variant, request.temperature, request.tool_required) =
        (Some("high".into()), Some(0.7), true);
    request.system = vec!["one".into(), String::new(), "two".into(), "three".into()];
    let parameters = Arc::new(json!({"type": "object"}));
    request.tools = vec![ToolOffer {
        name: "read".into(),
        description: "Reads".into(),
        parameters,
    }];
    let said = |text: &str| UserContent::Text(text.into());
    request.messages = vec![
        ModelMessage::User(vec![
            said("hi"),
            said("  "),
            UserContent::File {
                mime: "image/png".into(),
                filename: None,
                data: "QUJD".into(),
            },
        ]),
        ModelMessage::Assistant(vec![
            AssistantContent::Reasoning {
                text: "hm".into(),
                metadata: metadata(json!({"signature": "c2ln"})),
            },
            AssistantContent::Reasoning {
                text: String::new(),
                metadata: metadata(json!({"redactedData": "b3Bh"})),
            },
            AssistantContent::Reasoning {
                text: "unsigned".into(),
                metadata: None,
            },
            AssistantContent::Text(String::new()),
            AssistantContent::ToolCall {
                id: "call.1".into(),
                name: "read".into(),
                input: json!("raw"),
            },
        ]),
        ModelMessage::Tool(vec![ToolResult {
            id: "call.1".into(),
            name: "read".into(),
            output: "no".into(),
            is_error: true,
            files: vec![("image/png".into(), "REVG".into())],
        }]),
        ModelMessage::User(vec![
            said("go on"),
            said("<environment_details>\nnow\n</environment_details>"),
        ]),
    ];
    collect(&client(), request).await;
    let sent = server.request(0);
    assert_eq!(sent.line, "POST /v1/messages HTTP/1.1");
    assert_eq!(
        (sent.header("x-api-key"), sent.header("anthropic-version")),
        (Some("fake-key-123"), Some("2023-06-01"))
    );
    assert_eq!(
        (sent.header("anthropic-beta"), sent.header("authorization")),
        (Some("interleaved-thinking-2025-05-14"), None)
    );
    let mark = json!({"type": "ephemeral"});
    let png = |data: &str| json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}});
    let expected = json!({
        "model": "claude-sonnet-4-5", "max_tokens": 24_000, "stream": true, "tool_choice": {"type": "auto"},
        "thinking": {"type": "enabled", "budget_tokens": 16_000},
        "system": [
            {"type": "text", "text": "one", "cache_control": mark}, {"type": "text", "text": "two", "cache_control": mark},
            {"type": "text", "text": "three"},
        ],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hi"}, png("QUJD")]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                {"type": "redacted_thinking", "data": "b3Bh"},
                {"type": "tool_use", "id": "call_1", "name": "read", "input": {"value": "raw"}, "cache_control": mark},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "is_error": true, "content": [{"type": "text", "text": "no"}, png("REVG")]},
                {"type": "text", "text": "go on", "cache_control": mark},
                {"type": "text", "text": "<environment_details>\nnow\n</environment_details>"},
            ]},
        ],
        "tools": [{"name": "read", "description": "Reads", "input_schema": {"type": "object"}}],
    });
    assert_eq!(sent.body, expected);
}

#[tokio::test]
async fn a_cut_tool_call_and_an_error_event_end_the_stream() {
    let overloaded =
        events(&[r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#]);
    let half = events(&ANSWER[..15]);
    let server = Server::start(vec![stream(&[&half]), stream(&[&half, &overloaded])]).await;
    let client = client();
    let mut outcomes = Vec::new();
    for _ in 0..2 {
        let (chunks, error) = collect(
            &client,
            request(model(&server, Protocol::AnthropicMessages)),
        )
        .await;
        assert_eq!(
            chunks.last(),
            Some(&Chunk::ToolDelta {
                index: 0,
                arguments: "{\"p\": ".into()
            }),
            "no end of the call"
        );
        outcomes.push(error.map(|error| (error.class, error.message)));
    }
    let cut = (
        ErrorClass::StreamCut,
        "Connection reset by server".to_owned(),
    );
    assert_eq!(
        outcomes,
        [
            Some(cut),
            Some((ErrorClass::Overloaded, "Overloaded".into()))
        ]
    );
}
