//! Child sessions: one turn each, for the task tool.

use super::Sessions;
use crate::scope::Children;
use kilo_config::agent::Agent;
use kilo_ports::BoxFuture;
use kilo_ports::tool::{TaskAnswer, TaskOrder, ToolError};
use kilo_protocol::model::{Action, MessageWithParts, Rule, Session};
use kilo_protocol::requests::{InputPart, NewSession, Prompt};
use kilo_protocol::{Fault, SessionId};
use kilo_runtime::limits;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

impl Children for Sessions {
    fn run(
        self: Arc<Self>,
        parent: SessionId,
        order: TaskOrder,
        started: Box<dyn FnOnce(SessionId, Value) + Send>,
        cancel: CancellationToken,
    ) -> BoxFuture<'static, Result<TaskAnswer, ToolError>> {
        Box::pin(async move { self.task(&parent, order, started, cancel).await })
    }

    fn abort(self: Arc<Self>, parent: SessionId) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            for child in self.core.ledger.catalog().children(&parent) {
                if self.core.ledger.activity().is_busy(&child) {
                    Sessions::abort(&self, &child).await;
                }
            }
        })
    }
}

impl Sessions {
    /// Runs a child session to the end of one turn.
    async fn task(
        &self,
        parent: &SessionId,
        order: TaskOrder,
        started: Box<dyn FnOnce(SessionId, Value) + Send>,
        cancel: CancellationToken,
    ) -> Result<TaskAnswer, ToolError> {
        let failed = |fault: Fault| ToolError::failed(fault.message);
        let above = self.info(parent).map_err(failed)?;
        let folder = self.core.folder(&above.directory).await.map_err(failed)?;
        let agent = folder.agent(&order.agent).ok_or_else(|| {
            ToolError::failed(format!("There is no agent named {}.", order.agent))
        })?;
        let child = match order.task_id.as_deref().map(SessionId::from_wire) {
            Some(id)
                if self
                    .core
                    .ledger
                    .catalog()
                    .get(&id)
                    .is_some_and(|listed| listed.parent.as_ref() == Some(parent)) =>
            {
                id
            }
            _ => self
                .new_child(&above, agent, &order)
                .await
                .map_err(failed)?,
        };
        let model = match &agent.model {
            Some(model) => json!({"providerID": model.provider_id, "modelID": model.model_id}),
            None => above
                .model
                .as_ref()
                .map(|model| json!({"providerID": model.provider_id, "modelID": model.id}))
                .unwrap_or(Value::Null),
        };
        started(child.clone(), model.clone());
        let body = Prompt {
            agent: Some(agent.name.clone()),
            model: serde_json::from_value(model.clone()).ok(),
            parts: vec![InputPart::text(order.prompt)],
            ..Default::default()
        };
        let (prompt, accepted) = self.prompt(&child, body).await.map_err(failed)?;
        let answer = tokio::select! {
            answer = self.answer(&child, &prompt, accepted) => answer.map_err(failed)?,
            () = cancel.cancelled() => {
                self.abort(&child).await;
                return Err(ToolError::Aborted { metadata: Map::new() });
            }
        };
        Ok(task_answer(child, model, answer))
    }

    async fn new_child(
        &self,
        above: &Session,
        agent: &Agent,
        order: &TaskOrder,
    ) -> Result<SessionId, Fault> {
        if self.depth(&above.id) + 1 > limits::SUBAGENT_DEPTH {
            return Err(Fault::unknown(format!(
                "tasks may be nested {} deep",
                limits::SUBAGENT_DEPTH
            )));
        }
        // A child may never do what its parent was refused.
        let denied: Vec<Rule> = above
            .permission
            .iter()
            .flatten()
            .filter(|rule| rule.action == Action::Deny || rule.permission == "external_directory")
            .cloned()
            .collect();
        let new = NewSession {
            parent_id: Some(above.id.clone()),
            title: Some(format!("{} (@{} subagent)", order.description, agent.name)),
            agent: Some(agent.name.clone()),
            permission: (!denied.is_empty()).then_some(denied),
            ..Default::default()
        };
        Ok(self.create(&above.directory, new).await?.id)
    }

    fn depth(&self, session: &SessionId) -> usize {
        let mut depth = 0;
        let mut at = session.clone();
        while let Some(parent) = self
            .core
            .ledger
            .catalog()
            .get(&at)
            .and_then(|listed| listed.parent)
        {
            depth += 1;
            if depth > limits::SUBAGENT_DEPTH {
                break;
            }
            at = parent;
        }
        depth
    }
}

fn task_answer(session: SessionId, model: Value, answer: MessageWithParts) -> TaskAnswer {
    use kilo_protocol::model::PartBody;
    let texts = || {
        answer.parts.iter().filter_map(|part| match &part.body {
            PartBody::Text(text) if !text.text.is_empty() => Some(text),
            _ => None,
        })
    };
    let said = texts().rfind(|text| !text.ignored);
    let mut text = said.map(|text| text.text.clone()).unwrap_or_default();
    // What people are told about the answer (that it was cut), the model above has to know as well.
    for note in texts().filter(|text| text.ignored) {
        text.push_str("\n\n");
        text.push_str(&note.text);
    }
    let error = answer
        .info
        .assistant()
        .and_then(|answer| answer.error.as_ref())
        .map(|error| format!("{}: {}", error.name, error.message()));
    TaskAnswer {
        session,
        text,
        error,
        model,
    }
}
