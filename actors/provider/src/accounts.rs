//! What calls of one account share: how many run at once, and how long a rate limit keeps them away.

use kilo_ports::provider::{ErrorClass, ModelInfo, ProviderError};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Calls that one account may have open at once, unless said otherwise.
pub const CALLS_MAX: usize = 1_024;

/// The longest pause that a provider's refusal of one call means for the account's others, in milliseconds. A longer
/// one binds only the session that was refused: every other tries for itself, so that one wrong header stops nobody.
pub const SHARED_PAUSE_MS: u64 = 5_000;

/// The longest wait for another call to end, in milliseconds.
pub const PERMIT_WAIT_MS: u64 = 600_000;

/// Accounts that are remembered; above, those that nobody uses are forgotten.
const ACCOUNTS_MAX: usize = 256;

/// The accounts that calls were made for. An account is a provider, its address and a key.
#[derive(Debug)]
pub struct Accounts {
    calls_max: usize,
    accounts: Mutex<HashMap<u64, Arc<Account>>>,
}

#[derive(Debug)]
struct Account {
    permits: Arc<Semaphore>,
    /// Until when each model is blocked: providers count by model.
    blocked: Mutex<HashMap<String, Instant>>,
}

/// The right to have one call open; it ends with the value.
#[derive(Debug)]
pub struct Permit(#[allow(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl Accounts {
    /// No account yet; each may have at most `calls_max` open calls.
    pub fn new(calls_max: usize) -> Self {
        Self {
            calls_max: calls_max.clamp(1, Semaphore::MAX_PERMITS),
            accounts: Mutex::default(),
        }
    }

    /// Waits until a call to `model` may start, at most [`SHARED_PAUSE_MS`] for a rate limit.
    ///
    /// Errors: `RateLimited` if no other call ends within [`PERMIT_WAIT_MS`].
    pub async fn enter(&self, model: &ModelInfo) -> Result<Permit, ProviderError> {
        let account = self.account(model);
        let wait = account.blocked_for(&model.api_id);
        if !wait.is_zero() {
            tracing::debug!(provider = %model.provider_id, wait_ms = wait.as_millis() as u64, "account is rate limited");
            tokio::time::sleep(wait).await;
        }
        let permit = Arc::clone(&account.permits).acquire_owned();
        match tokio::time::timeout(Duration::from_millis(PERMIT_WAIT_MS), permit).await {
            Ok(Ok(permit)) => Ok(Permit(permit)),
            _ => Err(too_many_calls(model)),
        }
    }

    /// Keeps calls to `model` away for `ms` milliseconds; a pause above [`SHARED_PAUSE_MS`] is not shared.
    pub fn block(&self, model: &ModelInfo, ms: u64) {
        if ms > SHARED_PAUSE_MS {
            return;
        }
        let account = self.account(model);
        let until = Instant::now() + Duration::from_millis(ms);
        let mut blocked = account.blocked.lock();
        blocked.retain(|_, until| *until > Instant::now());
        // Answers may come in another order than their calls were made: the longest pause counts.
        let entry = blocked.entry(model.api_id.clone()).or_insert(until);
        *entry = until.max(*entry);
    }

    fn account(&self, model: &ModelInfo) -> Arc<Account> {
        // A number stands for the key, so that the key lies in one place less.
        let mut hasher = DefaultHasher::new();
        (&model.provider_id, &model.base_url, &model.api_key).hash(&mut hasher);
        let mut accounts = self.accounts.lock();
        if accounts.len() >= ACCOUNTS_MAX {
            accounts.retain(|_, account| {
                Arc::strong_count(account) > 1 || !account.is_idle(self.calls_max)
            });
        }
        let account = accounts.entry(hasher.finish()).or_insert_with(|| {
            Arc::new(Account {
                permits: Arc::new(Semaphore::new(self.calls_max)),
                blocked: Mutex::default(),
            })
        });
        Arc::clone(account)
    }
}

impl Account {
    fn blocked_for(&self, api_id: &str) -> Duration {
        let until = self.blocked.lock().get(api_id).copied();
        until.map_or(Duration::ZERO, |until| {
            until.saturating_duration_since(Instant::now())
        })
    }

    fn is_idle(&self, calls_max: usize) -> bool {
        let blocked = self
            .blocked
            .lock()
            .values()
            .any(|until| *until > Instant::now());
        self.permits.available_permits() == calls_max && !blocked
    }
}

fn too_many_calls(model: &ModelInfo) -> ProviderError {
    let message = format!("{} has too many open calls", model.provider_id);
    ProviderError::new(ErrorClass::RateLimited, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::blank_model;

    #[tokio::test(start_paused = true)]
    async fn a_block_holds_the_accounts_other_calls_back_and_no_one_elses() {
        let accounts = Accounts::new(8);
        let (mine, mut other) = (blank_model("p", "m"), blank_model("p", "m"));
        other.api_key = Some("another".into());
        accounts.block(&mine, 5_000);
        let start = Instant::now();
        accounts.enter(&other).await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
        accounts.enter(&mine).await.unwrap();
        assert_eq!(start.elapsed(), Duration::from_millis(5_000));
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_pause_holds_nobody_elses_calls_back() {
        let accounts = Accounts::new(8);
        let model = blank_model("p", "m");
        for ms in [SHARED_PAUSE_MS + 1, 60_000, 1_000_000_000_000, u64::MAX] {
            accounts.block(&model, ms);
            let start = Instant::now();
            accounts.enter(&model).await.unwrap();
            assert_eq!(start.elapsed(), Duration::ZERO, "{ms}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn calls_above_the_limit_wait_for_one_to_end() {
        let accounts = Arc::new(Accounts::new(1));
        let model = blank_model("p", "m");
        let first = accounts.enter(&model).await.unwrap();
        let waiting = tokio::spawn({
            let (accounts, model) = (Arc::clone(&accounts), model.clone());
            async move { accounts.enter(&model).await.map(drop) }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(first);
        waiting.await.unwrap().unwrap();
    }
}
