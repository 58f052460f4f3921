//! What a session and its children spent.

use super::super::Answer;
use crate::daemon::Daemon;
use kilo_edge::{Reply, Request};
use kilo_protocol::Fault;
use kilo_session::Engine;
use serde_json::{Value, json};
use std::sync::Arc;

/// What the session and its children spent, by model.
pub(super) async fn model_usage(daemon: Arc<Daemon>, request: Request) -> Answer {
    let engine = daemon.engine().await?;
    let root = Daemon::session_id(&request);
    let mut usage = Usage::default();
    let mut sessions = vec![root.clone()];
    sessions.extend(engine.core().ledger.catalog().children(&root));
    for session in &sessions {
        usage.add(&engine, session).await?;
    }
    Reply::json(&usage.to_json(&sessions))
}

#[derive(Default)]
struct Usage {
    cost: f64,
    models: Vec<(String, String, u64, f64, kilo_protocol::model::Tokens)>,
}

impl Usage {
    async fn add(
        &mut self,
        engine: &Arc<Engine>,
        session: &kilo_protocol::SessionId,
    ) -> Result<(), Fault> {
        let view = engine.queries().view(session).await?;
        self.cost += view.info.cost;
        for answer in view
            .messages
            .iter()
            .filter_map(|entry| entry.info.assistant())
        {
            let place = self
                .models
                .iter()
                .position(|model| model.0 == answer.provider_id && model.1 == answer.model_id)
                .unwrap_or_else(|| {
                    let fresh = (
                        answer.provider_id.clone(),
                        answer.model_id.clone(),
                        0,
                        0.0,
                        Default::default(),
                    );
                    self.models.push(fresh);
                    self.models.len() - 1
                });
            let model = &mut self.models[place];
            model.2 += 1;
            model.3 += answer.cost;
            model.4.add(&answer.tokens);
        }
        Ok(())
    }

    fn to_json(&self, sessions: &[kilo_protocol::SessionId]) -> Value {
        let mut tokens = kilo_protocol::model::Tokens::default();
        self.models.iter().for_each(|model| tokens.add(&model.4));
        let steps: u64 = self.models.iter().map(|model| model.2).sum();
        let cost: f64 = self.models.iter().map(|model| model.3).sum();
        json!({
            "sessionIDs": sessions,
            "sessionCost": self.cost,
            "totals": {"steps": steps, "cost": cost, "tokens": tokens},
            "models": self.models.iter().map(|(provider, model, steps, cost, tokens)| json!({
                "providerID": provider, "modelID": model, "steps": steps, "cost": cost, "tokens": tokens,
            })).collect::<Vec<_>>(),
        })
    }
}
