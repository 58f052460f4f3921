//! What an actor is told: one message for each request, with its typed reply and its handler.

use super::*;

/// An input from a task or a client that needs no reply.
#[derive(Message)]
#[rtype(result = "Result<(), Fault>")]
pub struct Take(pub Input);

impl Handler<Take> for SessionActor {
    type Result = Result<(), Fault>;

    fn handle(&mut self, message: Take, ctx: &mut Self::Context) -> Self::Result {
        self.take(message.0, ctx)?;
        self.read_stream(ctx);
        Ok(())
    }
}

/// The model call is under way.
#[derive(Message)]
#[rtype(result = "()")]
pub struct StreamOpened {
    /// Of this turn.
    pub stamp: Stamp,
    /// What the machine has to know of it.
    pub opened: Box<Opened>,
    /// Its chunks.
    pub receiver: mpsc::Receiver<ChunkBatch>,
}

impl Handler<StreamOpened> for SessionActor {
    type Result = ();

    fn handle(&mut self, message: StreamOpened, ctx: &mut Self::Context) {
        if self.machine.stamp() != Some(message.stamp) || self.model.is_cancelled() {
            return;
        }
        let _ = self.take(Input::Opened(message.stamp, message.opened), ctx);
        self.stream = Some((message.stamp, message.receiver));
        self.read_stream(ctx);
    }
}

/// Where a prompt was stored, and how its turn will be told.
pub struct Accepted {
    /// Everything up to here must be on the disk before the client hears of it.
    pub pos: Pos,
    /// The answer when the turn ends; `None` for a prompt without reply.
    pub answer: Option<oneshot::Receiver<Option<Arc<Entry>>>>,
}

/// A client's prompt.
#[derive(Message)]
#[rtype(result = "Result<Accepted, Fault>")]
pub struct PromptMessage(pub Box<crate::input::Prompt>);

impl Handler<PromptMessage> for SessionActor {
    type Result = Result<Accepted, Fault>;

    fn handle(&mut self, message: PromptMessage, ctx: &mut Self::Context) -> Self::Result {
        let prompt = message.0;
        if self.machine.state.queue.len() >= limits::QUEUE_MAX {
            return Err(Fault::unavailable(format!(
                "{} prompts wait already",
                limits::QUEUE_MAX
            )));
        }
        let id = prompt.message.id.clone();
        let known = self.machine.state.entry(&id).is_some();
        let waits = !prompt.no_reply;
        let answer = waits.then(|| {
            let (sender, receiver) = oneshot::channel();
            self.waiters.entry(id.clone()).or_default().push(sender);
            receiver
        });
        if known {
            // A repeated request: its turn runs, waits or is over.
            let runs = self
                .machine
                .state
                .turn
                .as_ref()
                .is_some_and(|turn| turn.prompt == id);
            if !runs && !self.machine.state.queue.contains(&id) {
                self.turn_ended(&id);
            }
            return Ok(Accepted {
                pos: self.last_pos,
                answer,
            });
        }
        if let Err(error) = self.take(Input::Prompt(prompt), ctx) {
            self.waiters.remove(&id);
            return Err(error.into());
        }
        Ok(Accepted {
            pos: self.last_pos,
            answer,
        })
    }
}

/// A command of the user's own. Refused while a turn runs.
#[derive(Message)]
#[rtype(result = "Result<Accepted, Fault>")]
pub struct ShellMessage(pub Box<crate::input::Prompt>, pub String);

impl Handler<ShellMessage> for SessionActor {
    type Result = Result<Accepted, Fault>;

    fn handle(&mut self, message: ShellMessage, ctx: &mut Self::Context) -> Self::Result {
        if self.machine.state.is_busy() {
            return Err(Fault::busy(&self.address.session));
        }
        let id = message.0.message.id.clone();
        let (sender, receiver) = oneshot::channel();
        self.waiters.entry(id.clone()).or_default().push(sender);
        if let Err(error) = self.take(Input::Shell(message.0, message.1), ctx) {
            self.waiters.remove(&id);
            return Err(error.into());
        }
        Ok(Accepted {
            pos: self.last_pos,
            answer: Some(receiver),
        })
    }
}

/// Waits for the end of the turn that answers this prompt.
#[derive(Message)]
#[rtype(result = "Option<oneshot::Receiver<Option<Arc<Entry>>>>")]
pub struct WaitFor(pub MessageId);

impl Handler<WaitFor> for SessionActor {
    type Result = Option<oneshot::Receiver<Option<Arc<Entry>>>>;

    fn handle(&mut self, message: WaitFor, _: &mut Self::Context) -> Self::Result {
        let runs = self
            .machine
            .state
            .turn
            .as_ref()
            .is_some_and(|turn| turn.prompt == message.0);
        if !runs && !self.machine.state.queue.contains(&message.0) {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        self.waiters.entry(message.0).or_default().push(sender);
        Some(receiver)
    }
}

/// Goes on with an interrupted turn. Answers whether there was one.
#[derive(Message)]
#[rtype(result = "Result<bool, Fault>")]
pub struct ResumeMessage;

impl Handler<ResumeMessage> for SessionActor {
    type Result = Result<bool, Fault>;

    fn handle(&mut self, _: ResumeMessage, ctx: &mut Self::Context) -> Self::Result {
        if self.machine.state.is_busy() {
            return Ok(true);
        }
        self.take(Input::Resume, ctx)?;
        Ok(self.machine.state.is_busy())
    }
}

/// Summarises the conversation; the reply's receiver tells when it is done.
#[derive(Message)]
#[rtype(result = "Result<Option<oneshot::Receiver<Option<Arc<Entry>>>>, Fault>")]
pub struct SummarizeMessage(pub kilo_protocol::model::ModelRef, pub bool);

impl Handler<SummarizeMessage> for SessionActor {
    type Result = Result<Option<oneshot::Receiver<Option<Arc<Entry>>>>, Fault>;

    fn handle(&mut self, message: SummarizeMessage, ctx: &mut Self::Context) -> Self::Result {
        if self.machine.state.is_busy() {
            return Err(Fault::busy(&self.address.session));
        }
        self.take(Input::Summarize(message.0, message.1), ctx)?;
        let Some(turn) = self.machine.state.turn.clone() else {
            return Ok(None);
        };
        let (sender, receiver) = oneshot::channel();
        self.waiters.entry(turn.prompt).or_default().push(sender);
        Ok(Some(receiver))
    }
}

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

impl Handler<AskMessage> for SessionActor {
    type Result = ();

    fn handle(&mut self, message: AskMessage, ctx: &mut Self::Context) {
        if self.machine.stamp() != Some(message.stamp) {
            // A call of a turn that is over; its id may be in use again.
            let _ = message.reply.send(Err(ToolError::Aborted {
                metadata: Default::default(),
            }));
            return;
        }
        let saved = self.engine.saved_rules(&self.address.project);
        self.asks.insert(message.call.clone(), message.reply);
        let _ = self.take(
            Input::Ask(message.stamp, message.call, Box::new(message.ask), saved),
            ctx,
        );
    }
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

impl Handler<QuestionMessage> for SessionActor {
    type Result = ();

    fn handle(&mut self, message: QuestionMessage, ctx: &mut Self::Context) {
        if self.machine.stamp() != Some(message.stamp) {
            let _ = message.reply.send(Err(ToolError::Aborted {
                metadata: Default::default(),
            }));
            return;
        }
        self.questions.insert(message.call.clone(), message.reply);
        let _ = self.take(
            Input::Question(message.stamp, message.call, message.questions),
            ctx,
        );
    }
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
    pub info: kilo_protocol::model::Session,
    /// The todo list.
    pub todos: Vec<Value>,
    /// What it changed.
    pub diff: Vec<kilo_protocol::model::FileDiff>,
    /// What each step changed.
    pub changes: Vec<crate::state::StepChanges>,
}

/// Reads the session.
#[derive(Message)]
#[rtype(result = "Arc<SessionView>")]
pub struct View;

impl Handler<View> for SessionActor {
    type Result = MessageResult<View>;

    fn handle(&mut self, _: View, _: &mut Self::Context) -> Self::Result {
        self.used = self.engine.now();
        MessageResult(Arc::new(view_of(&self.machine.state)))
    }
}

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

/// What a revert to this message (and part) hides.
#[derive(Message)]
#[rtype(result = "Hidden")]
pub struct HiddenFrom(pub MessageId, pub Option<PartId>);

impl Handler<HiddenFrom> for SessionActor {
    type Result = MessageResult<HiddenFrom>;

    fn handle(&mut self, message: HiddenFrom, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.machine.hidden_from(&message.0, message.1.as_ref()))
    }
}

/// Records facts that need no decision; refused while a turn runs if `idle_only`.
#[derive(Message)]
#[rtype(result = "Result<Pos, Fault>")]
pub struct Note {
    /// The facts.
    pub records: Vec<Record>,
    /// Refuse while a turn runs.
    pub idle_only: bool,
}

impl Handler<Note> for SessionActor {
    type Result = Result<Pos, Fault>;

    fn handle(&mut self, message: Note, ctx: &mut Self::Context) -> Self::Result {
        if message.idle_only && self.machine.state.is_busy() {
            return Err(Fault::busy(&self.address.session));
        }
        let now = self.engine.now();
        self.used = now;
        let decision = self.machine.note(message.records, now, self.engine.ids());
        self.commit(decision, now, ctx)?;
        Ok(self.last_pos)
    }
}

/// A change of the session's head.
pub type HeadChange = Box<dyn FnOnce(&mut kilo_protocol::model::Session) + Send>;

/// Changes the head and answers it.
#[derive(Message)]
#[rtype(result = "Result<kilo_protocol::model::Session, Fault>")]
pub struct ChangeHead {
    /// The change.
    pub change: HeadChange,
    /// Refuse while a turn runs.
    pub idle_only: bool,
}

impl Handler<ChangeHead> for SessionActor {
    type Result = Result<kilo_protocol::model::Session, Fault>;

    fn handle(&mut self, message: ChangeHead, ctx: &mut Self::Context) -> Self::Result {
        if message.idle_only && self.machine.state.is_busy() {
            return Err(Fault::busy(&self.address.session));
        }
        let now = self.engine.now();
        let mut info = self.machine.state.info.clone();
        (message.change)(&mut info);
        info.time.updated = now;
        let decision = self.machine.note(
            vec![Record::SessionUpdated(Box::new(info.clone()))],
            now,
            self.engine.ids(),
        );
        self.commit(decision, now, ctx)?;
        Ok(info)
    }
}

/// A client waits for an empty queue; `session.drained` with its token follows.
#[derive(Message)]
#[rtype(result = "()")]
pub struct DrainMessage(pub String);

impl Handler<DrainMessage> for SessionActor {
    type Result = ();

    fn handle(&mut self, message: DrainMessage, ctx: &mut Self::Context) {
        if self.drains.len() < limits::QUEUE_MAX {
            self.drains.push(message.0);
        }
        let now = self.engine.now();
        self.settle_drains(now, ctx);
    }
}

/// Ends the actor (the session was deleted, or the daemon ends).
#[derive(Message)]
#[rtype(result = "()")]
pub struct End;

impl Handler<End> for SessionActor {
    type Result = ();

    fn handle(&mut self, _: End, ctx: &mut Self::Context) {
        self.model.cancel();
        if let Some(runner) = self.runner.take() {
            let _ = runner.try_send(StopCalls);
        }
        ctx.stop();
    }
}

/// Panics, to prove that a dead actor loses nothing and harms nobody.
#[derive(Message)]
#[rtype(result = "()")]
pub struct InjectPanic;

impl Handler<InjectPanic> for SessionActor {
    type Result = ();

    fn handle(&mut self, _: InjectPanic, _: &mut Self::Context) {
        panic!("injected fault");
    }
}

/// The rules that a project's users saved.
pub type SavedRules = Arc<Vec<Rule>>;
