//! What a session's actor is told: one message for each request, with its typed reply.

use crate::input::{Input, Opened, Prompt, Stamp};
use crate::machine::Edit;
use crate::record::{Record, RevertTo};
use crate::state::{Entry, State, StepChanges};
use actix::prelude::*;
use kilo_ports::provider::ChunkBatch;
use kilo_ports::store::Pos;
use kilo_ports::tool::{Ask, QuestionAnswer, ToolError};
use kilo_protocol::model::{FileDiff, ModelRef, Session, Status, Todo};
use kilo_protocol::{CallId, Fault, MessageId};
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// How a call's wait for a person ends.
pub type AskReply = oneshot::Sender<Result<(), ToolError>>;
/// How a call's question ends.
pub type QuestionReply = oneshot::Sender<Result<QuestionAnswer, ToolError>>;
/// Tells the answer to a prompt when its turn ends; closed without one when the actor ended first.
pub type AnswerReceiver = oneshot::Receiver<Option<Arc<Entry>>>;

/// An input from a task or a client that needs no reply.
#[derive(Message)]
#[rtype(result = "Result<(), Fault>")]
pub struct Take(pub Input);

/// The model call is under way.
#[derive(Message)]
#[rtype(result = "()")]
pub struct StreamOpened {
    /// Of this turn.
    pub stamp: Stamp,
    /// Of this call.
    pub number: u64,
    /// What the machine has to know of it.
    pub opened: Box<Opened>,
    /// Its chunks.
    pub receiver: mpsc::Receiver<ChunkBatch>,
}

/// Where a prompt was stored, and how its turn will be told.
pub struct Accepted {
    /// Everything up to here must be on the disk before the client hears of it.
    pub pos: Pos,
    /// The answer when the turn ends; `None` for a prompt without reply.
    pub answer: Option<AnswerReceiver>,
}

/// How a prompt is received.
pub enum Reception {
    /// It is stored.
    Accepted(Accepted),
    /// Files are being moved by an undo or redo: to be sent again when that is over.
    AfterUndo(oneshot::Receiver<()>),
}

/// A client's prompt. One whose id is known changes nothing: its answer is waited for, or given.
#[derive(Message)]
#[rtype(result = "Result<Reception, Fault>")]
pub struct PromptMessage(pub Box<Prompt>);

/// A command of the user's own. Refused while the session is busy.
#[derive(Message)]
#[rtype(result = "Result<Accepted, Fault>")]
pub struct ShellMessage(pub Box<Prompt>, pub String);

/// Goes on with an interrupted turn. Answers whether there was one.
#[derive(Message)]
#[rtype(result = "Result<bool, Fault>")]
pub struct ResumeMessage;

/// Summarises the conversation; the reply's receiver tells when it is done.
#[derive(Message)]
#[rtype(result = "Result<Option<AnswerReceiver>, Fault>")]
pub struct SummarizeMessage(pub ModelRef, pub bool);

/// Undoes what came from a message (and part) on, or with none does it again. The reply's receiver tells when it is done;
/// it goes on whoever waits.
#[derive(Message)]
#[rtype(result = "Result<Option<oneshot::Receiver<()>>, Fault>")]
pub struct UndoMessage(pub Option<RevertTo>);

/// Tells when the undo or redo that is under way is done; none when there is none.
#[derive(Message)]
#[rtype(result = "Option<oneshot::Receiver<()>>")]
pub struct AfterUndo;

/// A client's edit of what was said.
#[derive(Message)]
#[rtype(result = "Result<Pos, Fault>")]
pub struct EditMessage(pub Edit);

/// Records facts that need no decision: messages of an imported session. Refused while the session is busy.
#[derive(Message)]
#[rtype(result = "Result<Pos, Fault>")]
pub struct Note(pub Vec<Record>);

/// A call asks for permission.
#[derive(Message)]
#[rtype(result = "()")]
pub struct AskMessage {
    /// Of this turn.
    pub stamp: Stamp,
    /// The call.
    pub call: CallId,
    /// What for.
    pub ask: Ask,
    /// Hears the answer.
    pub reply: AskReply,
}

/// A call asks the user.
#[derive(Message)]
#[rtype(result = "()")]
pub struct QuestionMessage {
    /// Of this turn.
    pub stamp: Stamp,
    /// The call.
    pub call: CallId,
    /// What.
    pub questions: Vec<Value>,
    /// Hears the answer.
    pub reply: QuestionReply,
}

/// What a reader sees: shared pieces of the state, no copy of any text.
#[derive(Clone, Debug)]
pub struct SessionView {
    /// The messages, oldest first.
    pub messages: Vec<Arc<Entry>>,
    /// Prompts that wait.
    pub queue: Vec<MessageId>,
    /// What it is doing.
    pub status: Status,
    /// The head.
    pub info: Session,
    /// The todo list.
    pub todos: Vec<Todo>,
    /// What it changed.
    pub diff: Vec<FileDiff>,
    /// What each step changed.
    pub changes: Vec<StepChanges>,
}

/// Reads the session.
#[derive(Message)]
#[rtype(result = "Arc<SessionView>")]
pub struct View;

/// The shared pieces of a state.
pub fn view_of(state: &State) -> SessionView {
    SessionView {
        messages: state.messages.clone(),
        queue: state.queue.clone(),
        status: state.status.clone(),
        info: state.info.clone(),
        todos: state.todos.clone(),
        diff: state.diff.clone(),
        changes: state.changes.clone(),
    }
}

/// A change of the session's head. It may be made twice, when the first actor died of something else meanwhile.
pub type HeadChange = Arc<dyn Fn(&mut Session) + Send + Sync>;

/// Changes the head and answers it.
#[derive(Message)]
#[rtype(result = "Result<Session, Fault>")]
pub struct ChangeHead(pub HeadChange);

/// A client waits for an empty queue; `session.drained` with its token follows.
#[derive(Message)]
#[rtype(result = "()")]
pub struct DrainMessage(pub String);

/// Panics, to prove that a dead actor loses nothing and harms nobody.
#[derive(Message)]
#[rtype(result = "()")]
pub struct InjectPanic;
