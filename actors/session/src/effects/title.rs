//! Titles: a small model names the session.

use super::aside;
use super::model::output_max;
use crate::conversation::title_material;
use crate::core::Core;
use crate::folder::Folder;
use crate::input::Input;
use crate::scope::Scope;
use crate::state::State;
use kilo_ports::provider::{ModelMessage, ModelRequest, UserContent};
use kilo_protocol::model::ModelRef;
use kilo_runtime::limits::TITLE_TIMEOUT;
use tokio_util::sync::CancellationToken;

/// Asks a small model for a title.
pub(crate) fn make_title(scope: Scope, state: &State) {
    let material = title_material(state);
    let provider = state.info.model.clone();
    let task = scope.clone();
    scope.spawn_finishing(async move {
        let Some(model) = provider else { return };
        let Ok(folder) = task.core.folder(&task.address.directory).await else {
            return;
        };
        let main = ModelRef {
            provider_id: model.provider_id,
            model_id: model.id,
            variant: None,
        };
        let small = folder.models.small_model(&main.provider_id).unwrap_or(main);
        let session = task.session().to_string();
        let cancel = task.lifetime.token();
        let asked = ask_title(&task.core, &folder, small, session, material, cancel);
        // A provider that dribbles must not keep the session's last task alive for hours.
        if let Ok(Some(title)) = tokio::time::timeout(TITLE_TIMEOUT, asked).await {
            task.owner.tell(Input::Title(title)).await;
        }
    });
}

async fn ask_title(
    core: &Core,
    folder: &Folder,
    model: ModelRef,
    session: String,
    material: String,
    cancel: CancellationToken,
) -> Option<String> {
    let agent = folder.agent("title")?;
    let model = folder.models.resolve(&model).ok()?;
    let request = ModelRequest {
        session,
        system: kilo_config::prompt::system_prompt(agent),
        messages: vec![ModelMessage::User(vec![UserContent::Text(material)])],
        tools: Vec::new(),
        tool_required: false,
        output_max: output_max(&model),
        temperature: agent.temperature,
        top_p: agent.top_p,
        variant: None,
        options: agent.options.clone(),
        model,
    };
    let answer = aside::collect(core, request, cancel, 4_096).await.ok()?;
    answer.reason.and_then(|_| clean_title(&answer.text))
}

/// The first line that says something, without quotes, at most 100 characters.
fn clean_title(text: &str) -> Option<String> {
    let text = text.rsplit("</think>").next().unwrap_or(text);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    let line = line
        .trim_matches(|sign| matches!(sign, '"' | '\'' | '`' | '#' | '*'))
        .trim();
    (!line.is_empty()).then(|| line.chars().take(100).collect())
}
