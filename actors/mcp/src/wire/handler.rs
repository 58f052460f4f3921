//! What a server asks of us, handed to the [`Hooks`].

// Roots and sampling are on their way out of the protocol, and in use.
#![expect(deprecated)]

use super::Hooks;
use rmcp::ClientHandler;
use rmcp::model::{
    ClientCapabilities, ClientConfig, CreateMessageRequestParams, CreateMessageResult,
    ElicitRequestParams, ElicitResult, ElicitationAction, ErrorCode, ErrorData, Implementation,
    ListRootsResult, ProtocolVersion, Root,
};
use rmcp::service::{RequestContext, RoleClient};
use serde_json::json;
use std::sync::Arc;

/// Our side of a connection.
pub struct Handler {
    hooks: Arc<dyn Hooks>,
    version: String,
}

impl Handler {
    pub fn new(hooks: Arc<dyn Hooks>, version: &str) -> Self {
        let version = version.to_owned();
        Self { hooks, version }
    }
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        let capabilities: ClientCapabilities = serde_json::from_value(json!({
            "roots": {"listChanged": true},
            "sampling": {},
            "elicitation": {"form": {"applyDefaults": true}, "url": {}},
        }))
        .unwrap_or_default();
        let us = Implementation::new("kilo", self.version.clone());
        ClientConfig::new(capabilities, us)
            .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE)
    }

    async fn list_roots(
        &self,
        _: RequestContext<RoleClient>,
    ) -> Result<ListRootsResult, ErrorData> {
        let roots = self.hooks.roots().into_iter();
        let roots = roots.map(|(uri, name)| Root::new(uri).with_name(name));
        Ok(ListRootsResult::new(roots.collect()))
    }

    async fn create_message(
        &self,
        params: CreateMessageRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        let refused = |why: String| ErrorData::new(ErrorCode(-1), why, None);
        let params = serde_json::to_value(&params).map_err(|error| refused(error.to_string()))?;
        let answer = self.hooks.sample(params).await.map_err(refused)?;
        serde_json::from_value(answer).map_err(|error| refused(error.to_string()))
    }

    async fn create_elicitation(
        &self,
        params: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let declined = || ElicitResult::new(ElicitationAction::Decline);
        let Ok(params) = serde_json::to_value(&params) else {
            return Ok(declined());
        };
        let answer = self.hooks.elicit(params).await;
        Ok(serde_json::from_value(answer).unwrap_or_else(|_| declined()))
    }
}
