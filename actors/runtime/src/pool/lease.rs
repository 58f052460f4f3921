//! A server that runs, and the hold that its users have on it.

use super::Server;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long [`Lease::why_gone`] waits.
const WHY_GONE_MAX: Duration = Duration::from_secs(2);

/// A running server.
pub(super) struct Held<S: Server> {
    pub server: S,
    /// How many leases there are.
    pub users: watch::Sender<usize>,
    /// Why it is gone, once it is.
    pub gone: watch::Sender<Option<Arc<str>>>,
    /// Why it is to be ended, once it is.
    pub ending: watch::Sender<Option<Arc<str>>>,
    /// The keeper is done with it.
    pub ended: CancellationToken,
}

impl<S: Server> Held<S> {
    pub fn new(server: S) -> Arc<Self> {
        Arc::new(Self {
            server,
            users: watch::Sender::new(0),
            gone: watch::Sender::new(None),
            ending: watch::Sender::new(None),
            ended: CancellationToken::new(),
        })
    }

    pub fn leases(&self) -> usize {
        *self.users.borrow()
    }

    /// Tells the keeper to end it, and waits until it is gone.
    pub async fn stop(&self, why: &str) {
        self.ending.send_replace(Some(why.into()));
        self.ended.cancelled().await;
    }
}

/// The server is not there any more: why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Gone(pub Arc<str>);

/// A hold on a running server: while there is one it is not idle.
pub struct Lease<S: Server> {
    held: Arc<Held<S>>,
}

impl<S: Server> Lease<S> {
    /// To be called while the pool is locked: the keeper looks at the count there before it ends an idle server.
    pub(super) fn new(held: &Arc<Held<S>>) -> Self {
        held.users.send_modify(|users| *users += 1);
        Self {
            held: Arc::clone(held),
        }
    }

    /// Does `work` with the server, or says that it is gone before the work is done: nothing more comes from it then.
    pub async fn during<T>(&self, work: impl Future<Output = T>) -> Result<T, Gone> {
        let mut gone = self.held.gone.subscribe();
        tokio::select! {
            biased;
            done = work => Ok(done),
            why = gone.wait_for(Option::is_some) => {
                let why = why.ok().and_then(|why| why.clone());
                Err(Gone(why.unwrap_or_else(|| "it is gone".into())))
            }
        }
    }
}

impl<S: Server> Lease<S> {
    /// Why the server is gone, for one who has lost its connection: that is known a moment later. After two seconds
    /// nobody knows.
    pub async fn why_gone(&self) -> Arc<str> {
        let mut gone = self.held.gone.subscribe();
        let why = gone.wait_for(Option::is_some);
        match tokio::time::timeout(WHY_GONE_MAX, why).await {
            Ok(Ok(why)) => why.clone().unwrap_or_else(|| "it is gone".into()),
            _ => "the connection was lost".into(),
        }
    }
}

impl<S: Server> Deref for Lease<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.held.server
    }
}

impl<S: Server> Clone for Lease<S> {
    fn clone(&self) -> Self {
        Self::new(&self.held)
    }
}

impl<S: Server> Drop for Lease<S> {
    fn drop(&mut self) {
        self.held.users.send_modify(|users| *users -= 1);
    }
}
