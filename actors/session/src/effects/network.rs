//! The wait for a lost network.

use crate::input::Input;
use crate::scope::Scope;
use crate::state::State;
use kilo_protocol::QuestionId;
use kilo_runtime::limits;
use tokio_util::sync::CancellationToken;

/// Looks for the network until it is back, the turn is over or the bound is reached.
pub(crate) fn watch_network(
    scope: Scope,
    state: &State,
    request: QuestionId,
    cancel: CancellationToken,
) {
    let model = state.turn.as_ref().and_then(|turn| {
        let prompt = state.entry(&turn.prompt)?.info.user();
        prompt.map(|user| user.model.clone())
    });
    let task = scope.clone();
    scope.spawn(async move {
        let Some(model) = model else { return };
        for _ in 0..limits::NETWORK_POLLS_MAX {
            tokio::select! {
                () = tokio::time::sleep(limits::NETWORK_POLL) => {}
                () = cancel.cancelled() => return,
            }
            if task.core.ledger.activity().network(&request).is_none() {
                return;
            }
            let resolved = match task.core.folder(&task.address.directory).await {
                Ok(folder) => folder.models.resolve(&model).ok(),
                Err(_) => None,
            };
            let Some(info) = resolved else { continue };
            if task.core.ports.models.reachable(info).await {
                task.owner.tell(Input::Network(Some(request), true)).await;
                return;
            }
        }
    });
}
