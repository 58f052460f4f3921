//! What a task of a session carries: the engine's core, its actor's life and the way back to its actor. A task that is
//! started here ends with the actor; see [`Lifetime`].

use crate::core::Core;
use crate::input::Input;
use crate::message::{AskMessage, QuestionMessage, StreamOpened, Take};
use crate::project::Address;
use actix::prelude::*;
use kilo_ports::BoxFuture;
use kilo_ports::tool::{TaskAnswer, TaskOrder, ToolError};
use kilo_protocol::SessionId;
use kilo_runtime::Lifetime;
use serde_json::Value;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The sessions below one, as its task tool needs them.
pub trait Children: Send + Sync {
    /// Runs a child to the end of one turn. `started` is told its id and model as soon as there is one.
    fn run(
        self: Arc<Self>,
        parent: SessionId,
        order: TaskOrder,
        started: Box<dyn FnOnce(SessionId, Value) + Send>,
        cancel: CancellationToken,
    ) -> BoxFuture<'static, Result<TaskAnswer, ToolError>>;

    /// Stops the children that run.
    fn abort(self: Arc<Self>, parent: SessionId) -> BoxFuture<'static, ()>;
}

/// The way to the actor, without its type: the actor's file names the tasks, not the other way round.
#[derive(Clone)]
pub(crate) struct Owner {
    inputs: Recipient<Take>,
    asks: Recipient<AskMessage>,
    questions: Recipient<QuestionMessage>,
    streams: Recipient<StreamOpened>,
}

impl Owner {
    /// The actor behind an address.
    pub fn of<A>(address: Addr<A>) -> Self
    where
        A: Actor<Context = Context<A>>
            + Handler<Take>
            + Handler<AskMessage>
            + Handler<QuestionMessage>
            + Handler<StreamOpened>,
    {
        Self {
            inputs: address.clone().recipient(),
            asks: address.clone().recipient(),
            questions: address.clone().recipient(),
            streams: address.recipient(),
        }
    }

    /// Gives an input; what a dead actor misses, its successor reads in the log.
    pub async fn tell(&self, input: Input) {
        if let Ok(Err(fault)) = self.inputs.send(Take(input)).await {
            tracing::warn!(%fault, "session did not take an input");
        }
    }

    /// Asks for permission; false when the actor is gone.
    pub async fn ask(&self, message: AskMessage) -> bool {
        self.asks.send(message).await.is_ok()
    }

    /// Asks the user; false when the actor is gone.
    pub async fn question(&self, message: QuestionMessage) -> bool {
        self.questions.send(message).await.is_ok()
    }

    /// Hands a stream over.
    pub async fn stream(&self, message: StreamOpened) {
        let _ = self.streams.send(message).await;
    }
}

/// The core, the life and the way back.
#[derive(Clone)]
pub(crate) struct Scope {
    pub core: Arc<Core>,
    pub address: Address,
    pub lifetime: Lifetime,
    pub owner: Owner,
    pub children: std::sync::Weak<dyn Children>,
}

impl Scope {
    /// The session.
    pub fn session(&self) -> &SessionId {
        &self.address.session
    }

    /// As [`Scope::spawn`], for what a turn leaves to be done after its end: its title, its diff. A process that only ran
    /// this turn waits for it.
    pub fn spawn_finishing(&self, task: impl Future<Output = ()> + Send + 'static) {
        let counted = self.core.finishing.begin();
        self.spawn(async move {
            // Counted down also when the task panics or is dropped.
            let _counted = counted;
            task.await;
        });
    }

    /// Starts a task that ends with the actor.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.lifetime.spawn(&self.core.ports.handle, task);
    }
}
