//! A model and a session for tests.

use kilo_ports::provider::{ModelInfo, Price, Protocol};
use kilo_protocol::model::{Session, SessionTime, Tokens};
use kilo_protocol::{Millis, SessionId};

pub(crate) fn model() -> ModelInfo {
    ModelInfo {
        provider_id: "fake".into(),
        model_id: "m".into(),
        api_id: "m".into(),
        name: "M".into(),
        protocol: Some(Protocol::OpenaiChat),
        npm: String::new(),
        base_url: "http://127.0.0.1:9".into(),
        api_key: None,
        headers: Vec::new(),
        context: 100_000,
        input_limit: None,
        output: 8_000,
        tool_call: true,
        reasoning: true,
        temperature: true,
        images: true,
        pdf: false,
        cost: Price {
            input: 1.0,
            output: 2.0,
            ..Default::default()
        },
        interleaved: None,
        options: Default::default(),
        first_byte_ms: 1_000,
        gap_ms: 1_000,
    }
}

pub(crate) fn session(now: Millis) -> Session {
    Session {
        id: SessionId::from_wire("ses_1"),
        slug: "calm-otter".into(),
        project_id: "global".into(),
        directory: "/work".into(),
        path: String::new(),
        parent_id: None,
        summary: None,
        cost: 0.0,
        tokens: Tokens::default(),
        share: None,
        title: "New session - 1970".into(),
        agent: None,
        model: None,
        version: "0".into(),
        metadata: None,
        time: SessionTime {
            created: now,
            updated: now,
            ..Default::default()
        },
        permission: None,
        revert: None,
    }
}
