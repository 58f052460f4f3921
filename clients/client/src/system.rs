//! Calls about the daemon itself: health, configuration, providers, credentials.

use crate::error::ClientError;
use crate::http::{Client, NO_BODY};
use kilo_protocol::process::RunningProcess;
use kilo_protocol::requests::{Credentials, Empty};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;

/// A daemon's answer to "are you there".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Always true.
    pub healthy: bool,
    /// The daemon's version.
    pub version: String,
}

/// Providers with their models.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ProviderList {
    /// `{id, name, source, env, options, models: {ID: model}}` each.
    #[serde(alias = "all")]
    pub providers: Vec<Value>,
    /// The model that a provider uses when none is named. It begins with the provider that new sessions use when none is
    /// named; only [`Client::providers`] has it so.
    #[serde(default, rename = "default")]
    pub defaults: Map<String, Value>,
    /// The providers that have credentials; only told by [`Client::all_providers`].
    #[serde(default)]
    pub connected: Vec<String>,
}

/// Something that was left out of the configuration, or that is wrong with the log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ConfigWarning {
    /// The file, or the variable's name.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

impl Client {
    /// Asks whether the daemon is there, waiting at most `within`.
    pub async fn health(&self, within: Duration) -> Result<Health, ClientError> {
        self.call_within(within, Method::GET, "/global/health", &[], NO_BODY)
            .await
    }

    /// The merged configuration of this client's directory.
    pub async fn config(&self) -> Result<Value, ClientError> {
        self.get("/config").await
    }

    /// What is wrong with the configuration.
    pub async fn config_warnings(&self) -> Result<Vec<ConfigWarning>, ClientError> {
        self.get("/config/warnings").await
    }

    /// The providers that can be used now.
    pub async fn providers(&self) -> Result<ProviderList, ClientError> {
        self.get("/config/providers").await
    }

    /// All known providers, with or without credentials.
    pub async fn all_providers(&self) -> Result<ProviderList, ClientError> {
        self.get("/provider").await
    }

    /// Stores a provider's API key.
    pub async fn set_api_key(&self, provider: &str, key: &str) -> Result<(), ClientError> {
        let body = Credentials::Api {
            key: key.to_owned(),
            metadata: None,
        };
        self.call::<Value>(Method::PUT, &format!("/auth/{provider}"), &[], Some(&body))
            .await
            .map(drop)
    }

    /// Forgets a provider's credentials.
    pub async fn remove_auth(&self, provider: &str) -> Result<(), ClientError> {
        self.call::<Value>(Method::DELETE, &format!("/auth/{provider}"), &[], NO_BODY)
            .await
            .map(drop)
    }

    /// Has the daemon fetch a newer list of models. Fails when the list cannot be reached.
    pub async fn refresh_models(&self) -> Result<(), ClientError> {
        let query = [("refresh", "true")];
        self.call::<Value>(Method::GET, "/provider", &query, NO_BODY)
            .await
            .map(drop)
    }

    /// The child processes of the daemon that run now, of all folders, oldest first.
    pub async fn running_processes(&self) -> Result<Vec<RunningProcess>, ClientError> {
        self.get("/x/process").await
    }

    /// Ends the instance of this client's directory; the next request starts it anew with fresh configuration.
    pub async fn dispose(&self) -> Result<(), ClientError> {
        self.post::<Value>("/instance/dispose", &Empty {})
            .await
            .map(drop)
    }
}
