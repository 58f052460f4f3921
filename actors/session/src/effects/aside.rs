//! Models asked beside the conversation.

use super::model::output_max;
use crate::core::Core;
use crate::scope::Scope;
use kilo_config::view::split_model;
use kilo_ports::aside::{Aside, AsideAnswer};
use kilo_ports::provider::{Chunk, ModelInfo, ModelMessage, ModelRequest, UserContent};
use kilo_protocol::model::ModelRef;
use kilo_runtime::limits::ASIDE_TIMEOUT;
use serde_json::Map;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 256 << 10;

/// Asks the small model that the configuration names, else the session's own.
///
/// Errors: why there is no answer, for people.
pub(crate) async fn ask_aside(
    scope: Scope,
    aside: Aside,
    cancel: CancellationToken,
) -> Result<AsideAnswer, String> {
    let model = model(&scope).await?;
    if !model.images && has_files(&aside.messages) {
        return Err(format!("{} takes no images", model.name));
    }
    let name = format!("{}/{}", model.provider_id, model.model_id);
    let request = ModelRequest {
        session: scope.session().to_string(),
        system: aside.system.into_iter().collect(),
        messages: aside.messages,
        tools: Vec::new(),
        tool_required: false,
        output_max: aside.output_max.min(output_max(&model)),
        temperature: aside.temperature.filter(|_| model.temperature),
        top_p: None,
        variant: None,
        options: Map::new(),
        model,
    };
    let asked = collect(&scope.core, request, cancel, ANSWER_BYTES_MAX);
    let answer = tokio::time::timeout(ASIDE_TIMEOUT, asked).await;
    let answer = answer.map_err(|_| "the model took too long".to_owned())??;
    Ok(AsideAnswer {
        is_cut: answer.reason.is_none_or(|reason| reason == "length"),
        text: answer.text,
        model: name,
    })
}

async fn model(scope: &Scope) -> Result<Arc<ModelInfo>, String> {
    let folder = scope.core.folder(&scope.address.directory).await;
    let folder = folder.map_err(|fault| fault.message)?;
    let small = folder.loaded.config.small_model.as_deref();
    let small = small
        .and_then(split_model)
        .map(|(provider, model)| ModelRef {
            provider_id: provider.into(),
            model_id: model.into(),
            variant: None,
        });
    let of_session = || {
        let model = scope.core.session(scope.session()).ok()?.model?;
        Some(ModelRef {
            provider_id: model.provider_id,
            model_id: model.id,
            variant: None,
        })
    };
    let model = small.or_else(of_session);
    let model = model.or_else(|| folder.models.default_model());
    folder.models.resolve(&model.ok_or("no model is chosen")?)
}

fn has_files(messages: &[ModelMessage]) -> bool {
    messages.iter().any(|message| match message {
        ModelMessage::User(content) => content
            .iter()
            .any(|content| matches!(content, UserContent::File { .. })),
        _ => false,
    })
}

/// A whole answer's text.
pub(super) struct Collected {
    pub text: String,
    /// Why it ended; `None` where it was broken off because it became too long.
    pub reason: Option<String>,
}

/// Reads an answer to its end, or until its text is longer than `bytes_max`. Dropped, the request is given up.
pub(super) async fn collect(
    core: &Core,
    request: ModelRequest,
    cancel: CancellationToken,
    bytes_max: usize,
) -> Result<Collected, String> {
    // The caller's token is not ours to fire.
    let cancel = cancel.child_token();
    let _stop = cancel.clone().drop_guard();
    let mut receiver = core.ports.models.stream(request, cancel);
    let mut text = String::new();
    while let Some(chunks) = receiver.recv().await {
        for chunk in chunks.map_err(|error| error.message)? {
            match chunk {
                Chunk::Text(more) => text.push_str(&more),
                Chunk::Finish { reason, .. } => {
                    let reason = Some(reason);
                    return Ok(Collected { text, reason });
                }
                _ => {}
            }
        }
        if text.len() > bytes_max {
            return Ok(Collected { text, reason: None });
        }
    }
    Err("the answer broke off".into())
}
