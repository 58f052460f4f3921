//! The chat protocol over a real connection: what is sent, and how strict and weak answers are read.

mod support;

use kilo_ports::provider::{
    AssistantContent, Chunk, ModelMessage, Protocol, ToolOffer, ToolResult, UserContent,
};
use kilo_protocol::model::{CacheTokens, Tokens};
use serde_json::{Value, json};
use std::sync::Arc;
use support::*;

fn text(text: &str) -> Chunk {
    Chunk::Text(text.into())
}

fn finish(reason: &str) -> Chunk {
    Chunk::Finish {
        reason: reason.into(),
        tokens: Tokens::default(),
    }
}

/// Runs one call against a server that streams `pieces`.
async fn answer_of(pieces: &[&[u8]]) -> Vec<Chunk> {
    let server = Server::start(vec![stream(pieces)]).await;
    let (chunks, error) = collect(&client(), request(model(&server, Protocol::OpenaiChat))).await;
    assert_eq!(error, None);
    chunks
}

const STOP: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;

#[tokio::test]
async fn the_request_carries_key_headers_limits_and_tools() {
    let server = Server::start(vec![stream(&[&events(&[STOP, "[DONE]"])])]).await;
    let mut request = request(model(&server, Protocol::OpenaiChat));
    request.system.push("Be brief.".into());
    let parameters = Arc::new(json!({"type": "object"}));
    request.tools = vec![ToolOffer {
        name: "read".into(),
        description: "Reads".into(),
        parameters,
    }];
    collect(&client(), request).await;
    let sent = server.request(0);
    assert_eq!(sent.line, "POST /v1/chat/completions HTTP/1.1");
    let expected = [
        ("authorization", "Bearer fake-key-123"),
        ("content-type", "application/json"),
        ("accept-encoding", "identity"),
        ("user-agent", "Kilo-Code/1.2.3"),
        ("x-session-id", "ses_1"),
        ("x-session-affinity", "ses_1"),
        ("x-title", "Kilo Code"),
        ("http-referer", "https://kilocode.ai"),
    ];
    for (name, value) in expected {
        assert_eq!(sent.header(name), Some(value), "{name}");
    }
    let body = json!({
        "model": "fake-model", "max_tokens": 8000, "stream": true, "stream_options": {"include_usage": true}, "tool_choice": "auto",
        "messages": [{"role": "system", "content": "You are kind.\n\nBe brief."}, {"role": "user", "content": "hello"}],
        "tools": [{"type": "function", "function": {"name": "read", "description": "Reads", "parameters": {"type": "object"}}}],
    });
    assert_eq!(sent.body, body);
}

#[tokio::test]
async fn a_conversation_with_tools_images_and_reasoning_is_written() {
    let server = Server::start(vec![stream(&[&events(&[STOP])])]).await;
    let mut model = model(&server, Protocol::OpenaiChat);
    model.interleaved = Some("reasoning_content".into());
    model.headers = vec![("x-title".into(), "Mine".into())];
    model.options = json!({"reasoningEffort": "low", "$hidden": 1})
        .as_object()
        .unwrap()
        .clone();
    (model.temperature, model.reasoning) = (true, true);
    let mut request = request(model);
    (request.temperature, request.variant) = (Some(0.5), Some("high".into()));
    let image = |data: &str| UserContent::File {
        mime: "image/png".into(),
        filename: None,
        data: data.into(),
    };
    let pdf = UserContent::File {
        mime: "application/pdf".into(),
        filename: Some("a.pdf".into()),
        data: "UERG".into(),
    };
    request.messages = vec![
        ModelMessage::User(vec![UserContent::Text("look".into()), image("QUJD"), pdf]),
        ModelMessage::Assistant(vec![
            AssistantContent::Reasoning {
                text: "hm".into(),
                metadata: None,
            },
            AssistantContent::ToolCall {
                id: "c1".into(),
                name: "read".into(),
                input: json!({"path": "a"}),
            },
        ]),
        ModelMessage::Tool(vec![ToolResult {
            id: "c1".into(),
            name: "read".into(),
            output: "here".into(),
            is_error: false,
            files: vec![("image/png".into(), "REVG".into())],
        }]),
        ModelMessage::Assistant(vec![AssistantContent::Text(String::new())]),
    ];
    collect(&client(), request).await;
    let sent = server.request(0);
    assert_eq!(sent.header("x-title"), Some("Mine"));
    assert_eq!(
        (&sent.body["temperature"], &sent.body["reasoning_effort"]),
        (&json!(0.5), &json!("high"))
    );
    assert_eq!(sent.body.get("$hidden"), None);
    let left_out = "[a.pdf (application/pdf) is left out: this model does not take such files. Tell the user so.]";
    let messages = json!([
        {"role": "system", "content": "You are kind."},
        {"role": "user", "content": [
            {"type": "text", "text": "look"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
            {"type": "text", "text": left_out},
        ]},
        {"role": "assistant", "content": null, "reasoning_content": "hm",
         "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "read", "arguments": "{\"path\":\"a\"}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "here"},
        {"role": "user", "content": [
            {"type": "text", "text": "The files that the tool call above returned:"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,REVG"}},
        ]},
    ]);
    assert_eq!(sent.body["messages"], messages);
}

#[tokio::test]
async fn strict_providers_get_what_they_insist_on() {
    let server = Server::start(vec![
        stream(&[&events(&[STOP])]),
        stream(&[&events(&[STOP])]),
    ])
    .await;
    let call = AssistantContent::ToolCall {
        id: "call.1".into(),
        name: "t".into(),
        input: Value::Null,
    };
    let result = ToolResult {
        id: "call.1".into(),
        name: "t".into(),
        output: "x".into(),
        is_error: false,
        files: vec![],
    };
    let messages = vec![
        ModelMessage::Assistant(vec![call]),
        ModelMessage::Tool(vec![result]),
        ModelMessage::User(vec![UserContent::Text("go on".into())]),
    ];
    let mut mistral = model(&server, Protocol::OpenaiChat);
    mistral.npm = "@ai-sdk/mistral".into();
    let mut claude = model(&server, Protocol::OpenaiChat);
    (claude.npm, claude.api_id) = (
        "@openrouter/ai-sdk-provider".into(),
        "anthropic/claude-sonnet-4.5".into(),
    );
    for model in [mistral, claude] {
        let mut request = request(model);
        request.messages = messages.clone();
        collect(&client(), request).await;
    }
    let body = server.request(0).body;
    assert_eq!(
        (body.get("stream_options"), &body["prompt_cache_key"]),
        (None, &json!("ses_1"))
    );
    let roles: Vec<&str> = body["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["role"].as_str().unwrap())
        .collect();
    assert_eq!(roles, ["system", "assistant", "tool", "assistant", "user"]);
    let id = body["messages"][2]["tool_call_id"].as_str().unwrap();
    assert!(id.len() == 9 && body["messages"][1]["tool_calls"][0]["id"] == id);

    let body = server.request(1).body;
    assert_eq!(body["usage"], json!({"include": true}));
    assert_eq!(body["messages"][2]["tool_call_id"], "call_1");
    let marked: Vec<bool> = body["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m.to_string().contains("cache_control"))
        .collect();
    assert_eq!(marked, [true, false, true, true]);
}

#[tokio::test]
async fn text_reasoning_tools_and_usage_are_read() {
    let body = events(&[
        r#"{"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
        r#"{"choices":[{"delta":{"reasoning_content":"thin"}}]}"#,
        r#"{"choices":[{"delta":{"reasoning":"king","reasoning_content":null}}]}"#,
        r#"{"choices":[{"delta":{"content":"Zeile\n\"é😀\" "}}]}"#,
        r#"{"choices":[{"delta":{"content":"two"}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"read","arguments":""}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"p\":"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":1,"id":"b","function":{"name":"bash","arguments":"{}"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}}]}"#,
        r#"{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":50,"total_tokens":1050,"prompt_tokens_details":{"cached_tokens":400},"completion_tokens_details":{"reasoning_tokens":20}}}"#,
        "[DONE]",
    ]);
    let expected = vec![
        Chunk::Reasoning("thinking".into()),
        Chunk::ReasoningEnd(None),
        text("Zeile\n\"é😀\" two"),
        Chunk::TextEnd,
        Chunk::ToolStart {
            index: 0,
            id: "a".into(),
            name: "read".into(),
        },
        Chunk::ToolDelta {
            index: 0,
            arguments: "{\"p\":".into(),
        },
        Chunk::ToolStart {
            index: 1,
            id: "b".into(),
            name: "bash".into(),
        },
        Chunk::ToolDelta {
            index: 1,
            arguments: "{}".into(),
        },
        Chunk::ToolDelta {
            index: 0,
            arguments: "1}".into(),
        },
        Chunk::ToolEnd { index: 0 },
        Chunk::ToolEnd { index: 1 },
        Chunk::Finish {
            reason: "tool-calls".into(),
            tokens: Tokens {
                total: Some(1050),
                input: 600,
                output: 30,
                reasoning: 20,
                cache: CacheTokens {
                    read: 400,
                    write: 0,
                },
            },
        },
    ];
    assert_eq!(answer_of(&[&body]).await, expected);
    let bytes: Vec<&[u8]> = body.chunks(1).collect();
    assert_eq!(
        answer_of(&bytes).await,
        expected,
        "byte by byte, through the middle of characters"
    );
    let crlf = String::from_utf8(body)
        .unwrap()
        .replace('\n', "\r\n")
        .replace("data: ", ": ping\r\ndata:");
    assert_eq!(
        answer_of(&[crlf.as_bytes()]).await,
        expected,
        "with CRLF and comments"
    );
}

#[tokio::test]
async fn weak_servers_are_understood() {
    let calls = events(&[
        r#"{"choices":[{"delta":{"tool_calls":[{"function":{"name":"read","arguments":{"path":"a b"}}},{"index":0,"id":"k","function":{"name":"bash","arguments":{}}}]},"finish_reason":"stop"}]}"#,
    ]);
    let chunks = answer_of(&[&calls]).await;
    let Chunk::ToolStart { id, .. } = &chunks[0] else {
        panic!("{chunks:?}")
    };
    assert!(id.starts_with("call_"));
    assert_eq!(
        chunks[1],
        Chunk::ToolDelta {
            index: 0,
            arguments: r#"{"path":"a b"}"#.into()
        }
    );
    assert_eq!(
        chunks[2],
        Chunk::ToolStart {
            index: 1,
            id: "k".into(),
            name: "bash".into()
        }
    );
    assert_eq!(chunks.last(), Some(&finish("tool-calls")));

    let same_index = events(&[
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"t","arguments":"{}"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"b","function":{"name":"t","arguments":"{}"}}]}}]}"#,
        STOP,
    ]);
    let starts = answer_of(&[&same_index])
        .await
        .into_iter()
        .filter(|c| matches!(c, Chunk::ToolStart { .. }))
        .count();
    assert_eq!(starts, 2);

    let whole_event = events(&[
        r#"{"choices":[{"message":{"role":"assistant","content":"whole"},"finish_reason":"eos"}]}"#,
    ]);
    assert_eq!(
        answer_of(&[&whole_event]).await,
        [text("whole"), Chunk::TextEnd, finish("stop")]
    );

    let blocks = events(&[
        r#"{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"so"}]}}]}"#,
        r#"{"choices":[{"delta":{"content":"!"},"finish_reason":"model_length"}]}"#,
    ]);
    let expected = [
        Chunk::Reasoning("hm".into()),
        Chunk::ReasoningEnd(None),
        text("so!"),
        Chunk::TextEnd,
        finish("length"),
    ];
    assert_eq!(answer_of(&[&blocks]).await, expected);

    let no_finish = [
        events(&[r#"{"choices":[{"delta":{"content":"a"}}]}"#]),
        b"data: [DONE]".to_vec(),
    ]
    .concat();
    assert_eq!(
        answer_of(&[&no_finish]).await,
        [text("a"), Chunk::TextEnd, finish("unknown")]
    );
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_understood() {
    let body = r#"{"choices":[{"message":{"content":"all at once","tool_calls":null},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;
    let server = Server::start(vec![answer(
        200,
        "content-type: application/json\r\n",
        body,
    )])
    .await;
    let (chunks, error) = collect(&client(), request(model(&server, Protocol::OpenaiChat))).await;
    let tokens = Tokens {
        total: Some(5),
        input: 3,
        output: 2,
        ..Tokens::default()
    };
    assert_eq!(
        chunks,
        [
            text("all at once"),
            Chunk::TextEnd,
            Chunk::Finish {
                reason: "stop".into(),
                tokens
            }
        ]
    );
    assert_eq!(error, None);
}

#[tokio::test]
async fn reasoning_details_come_back_as_they_went() {
    let body = events(&[
        r#"{"choices":[{"delta":{"reasoning":"a","reasoning_details":[{"type":"reasoning.text","text":"a","index":0}]}}]}"#,
        r#"{"choices":[{"delta":{"reasoning":"b","reasoning_details":[{"type":"reasoning.text","text":"b","index":0,"signature":"s"}]}}]}"#,
        STOP,
    ]);
    let chunks = answer_of(&[&body]).await;
    let details = json!([{"type": "reasoning.text", "text": "ab", "index": 0, "signature": "s"}]);
    let metadata = json!({"openrouter": {"reasoning_details": details}})
        .as_object()
        .unwrap()
        .clone();
    assert_eq!(
        chunks[..2],
        [
            Chunk::Reasoning("ab".into()),
            Chunk::ReasoningEnd(Some(metadata.clone()))
        ]
    );

    let server = Server::start(vec![stream(&[&events(&[STOP])])]).await;
    let mut model = model(&server, Protocol::OpenaiChat);
    model.npm = "@openrouter/ai-sdk-provider".into();
    let mut request = request(model);
    request.messages.push(ModelMessage::Assistant(vec![
        AssistantContent::Reasoning {
            text: "ab".into(),
            metadata: Some(metadata),
        },
        AssistantContent::Text("so".into()),
    ]));
    collect(&client(), request).await;
    assert_eq!(
        server.request(0).body["messages"][2]["reasoning_details"],
        details
    );
}

#[tokio::test]
async fn one_connection_serves_call_after_call() {
    let server = Server::start(vec![stream(&[&events(&[STOP, "[DONE]"])]); 3]).await;
    let client = client();
    for n in 0..3 {
        collect(&client, request(model(&server, Protocol::OpenaiChat))).await;
        // The connection is free once its body was read to the end, just after the last chunk.
        tokio::task::yield_now().await;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        assert_eq!(server.request(n).connection, 0);
    }
}
