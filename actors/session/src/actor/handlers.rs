//! What the actor does with each message.

use super::SessionActor;
use crate::input::Input;
use crate::machine::Refusal;
use crate::message::{
    Accepted, AfterUndo, AnswerReceiver, AskMessage, ChangeHead, DrainMessage, EditMessage,
    InjectPanic, Note, PromptMessage, QuestionMessage, Reception, ResumeMessage, SessionView,
    ShellMessage, StreamOpened, SummarizeMessage, Take, UndoMessage, View, view_of,
};
use crate::record::{Record, Undo};
use actix::prelude::*;
use kilo_ports::store::Pos;
use kilo_ports::tool::ToolError;
use kilo_protocol::model::Session;
use kilo_protocol::{Fault, MessageId};
use kilo_runtime::{Handling, limits};
use std::sync::Arc;
use tokio::sync::oneshot;

impl SessionActor {
    fn refuse_busy(&self) -> Result<(), Fault> {
        if self.machine.state.is_busy() {
            Err(Fault::busy(&self.address.session))
        } else {
            Ok(())
        }
    }

    /// Waits for the end of the undo or redo that is under way.
    fn wait_for_undo(&mut self) -> Option<oneshot::Receiver<()>> {
        self.machine.state.undo.as_ref()?;
        let (sender, receiver) = oneshot::channel();
        self.undo_waiters.push(sender);
        Some(receiver)
    }

    /// Waits for the answer to a prompt.
    fn wait_for(&mut self, prompt: &MessageId) -> AnswerReceiver {
        let (sender, receiver) = oneshot::channel();
        let waiters = self.waiters.entry(prompt.clone()).or_default();
        waiters.retain(|waiter| !waiter.is_closed());
        waiters.push(sender);
        receiver
    }

    /// A request that was sent twice: its turn runs, waits or is over. Nothing changes.
    fn known(&mut self, id: &MessageId, waits: bool) -> Accepted {
        let answer = waits.then(|| self.wait_for(id));
        let state = &self.machine.state;
        let runs = state.turn.as_ref().is_some_and(|turn| turn.prompt == *id);
        if !runs && !state.queue.contains(id) {
            self.answer_waiters(id);
        }
        Accepted {
            pos: self.last_pos,
            answer,
        }
    }
}

impl Handler<Take> for SessionActor {
    type Result = Result<(), Fault>;

    fn handle(&mut self, message: Take, ctx: &mut Self::Context) -> Self::Result {
        let _handling = Handling::of("Take");
        self.take(message.0, ctx)?;
        self.read_stream(ctx);
        Ok(())
    }
}

impl Handler<StreamOpened> for SessionActor {
    type Result = ();

    fn handle(&mut self, message: StreamOpened, ctx: &mut Self::Context) {
        let _handling = Handling::of("StreamOpened");
        let is_newest = message.number == self.model_calls && !self.model.is_cancelled();
        if self.machine.stamp() != Some(message.stamp) || !is_newest {
            return;
        }
        let opened = Input::Opened(message.stamp, message.opened);
        if self.take(opened, ctx).is_err() {
            return;
        }
        self.stream = Some((message.stamp, message.receiver));
        self.read_stream(ctx);
    }
}

impl Handler<PromptMessage> for SessionActor {
    type Result = Result<Reception, Fault>;

    fn handle(&mut self, message: PromptMessage, ctx: &mut Self::Context) -> Self::Result {
        let _handling = Handling::of("PromptMessage");
        let prompt = message.0;
        let id = prompt.message.id.clone();
        let waits = !prompt.no_reply;
        if self.machine.state.entry(&id).is_some() {
            return Ok(Reception::Accepted(self.known(&id, waits)));
        }
        if let Some(over) = self.wait_for_undo() {
            return Ok(Reception::AfterUndo(over));
        }
        if self.machine.state.queue.len() >= limits::QUEUE_MAX {
            return Err(Fault::unavailable(format!(
                "{} prompts wait already",
                limits::QUEUE_MAX
            )));
        }
        let answer = waits.then(|| self.wait_for(&id));
        if let Err(error) = self.take(Input::Prompt(prompt), ctx) {
            self.waiters.remove(&id);
            return Err(error.into());
        }
        Ok(Reception::Accepted(Accepted {
            pos: self.last_pos,
            answer,
        }))
    }
}

impl Handler<ShellMessage> for SessionActor {
    type Result = Result<Accepted, Fault>;

    fn handle(&mut self, message: ShellMessage, ctx: &mut Self::Context) -> Self::Result {
        let _handling = Handling::of("ShellMessage");
        let id = message.0.message.id.clone();
        if self.machine.state.entry(&id).is_some() {
            return Ok(self.known(&id, true));
        }
        self.refuse_busy()?;
        let answer = Some(self.wait_for(&id));
        if let Err(error) = self.take(Input::Shell(message.0, message.1), ctx) {
            self.waiters.remove(&id);
            return Err(error.into());
        }
        Ok(Accepted {
            pos: self.last_pos,
            answer,
        })
    }
}

impl Handler<ResumeMessage> for SessionActor {
    type Result = Result<bool, Fault>;

    fn handle(&mut self, _: ResumeMessage, ctx: &mut Self::Context) -> Self::Result {
        let _handling = Handling::of("ResumeMessage");
        if self.machine.state.turn.is_some() {
            return Ok(true);
        }
        self.refuse_busy()?;
        self.take(Input::Resume, ctx)?;
        Ok(self.machine.state.is_busy())
    }
}

impl Handler<SummarizeMessage> for SessionActor {
    type Result = Result<Option<AnswerReceiver>, Fault>;

    fn handle(&mut self, message: SummarizeMessage, ctx: &mut Self::Context) -> Self::Result {
        let _handling = Handling::of("SummarizeMessage");
        self.refuse_busy()?;
        self.take(Input::Summarize(message.0, message.1), ctx)?;
        let turn = self.machine.state.turn.clone();
        Ok(turn.map(|turn| self.wait_for(&turn.prompt)))
    }
}

impl Handler<UndoMessage> for SessionActor {
    type Result = Result<Option<oneshot::Receiver<()>>, Fault>;

    fn handle(&mut self, message: UndoMessage, ctx: &mut Self::Context) -> Self::Result {
        let _handling = Handling::of("UndoMessage");
        let same = match (&self.machine.state.undo, &message.0) {
            (Some(Undo::Back(at)), Some(to)) => at == to,
            (Some(Undo::Forward), None) => true,
            _ => false,
        };
        if same {
            // A request that was sent twice, or whose first actor ended: it is under way.
            return Ok(self.wait_for_undo());
        }
        self.refuse_busy()?;
        let input = match message.0 {
            Some(to) if self.machine.state.entry(&to.message).is_none() => {
                return Err(Fault::not_found("Message", &to.message));
            }
            Some(to) => Input::Revert(to),
            None if self.machine.state.info.revert.is_none() => return Ok(None),
            None => Input::Unrevert,
        };
        self.take(input, ctx)?;
        Ok(self.wait_for_undo())
    }
}

impl Handler<AfterUndo> for SessionActor {
    type Result = Option<oneshot::Receiver<()>>;

    fn handle(&mut self, _: AfterUndo, _: &mut Self::Context) -> Self::Result {
        self.wait_for_undo()
    }
}

impl Handler<EditMessage> for SessionActor {
    type Result = Result<Pos, Fault>;

    fn handle(&mut self, message: EditMessage, ctx: &mut Self::Context) -> Self::Result {
        let _handling = Handling::of("EditMessage");
        let now = self.core.now();
        self.used = now;
        let (of_message, of_part) = message.0.target();
        let edited = self.machine.edit(message.0, now, self.core.ledger.ids());
        let decision = edited.map_err(|refusal| match (refusal, of_part) {
            (Refusal::NoPart, Some(part)) => Fault::not_found("Part", part),
            (Refusal::Busy, _) => Fault::busy(&self.address.session),
            (Refusal::NoMessage | Refusal::NoPart, _) => Fault::not_found("Message", of_message),
        })?;
        self.commit(decision, now, ctx)?;
        Ok(self.last_pos)
    }
}

impl Handler<Note> for SessionActor {
    type Result = Result<Pos, Fault>;

    fn handle(&mut self, message: Note, ctx: &mut Self::Context) -> Self::Result {
        let _handling = Handling::of("Note");
        self.refuse_busy()?;
        let now = self.core.now();
        self.used = now;
        let decision = self.machine.note(message.0, now, self.core.ledger.ids());
        self.commit(decision, now, ctx)?;
        Ok(self.last_pos)
    }
}

/// A call of a turn that is over; its id may be in use again.
fn too_late<T>() -> Result<T, ToolError> {
    Err(ToolError::Aborted {
        metadata: Default::default(),
    })
}

impl Handler<AskMessage> for SessionActor {
    type Result = ();

    fn handle(&mut self, message: AskMessage, ctx: &mut Self::Context) {
        let _handling = Handling::of("AskMessage");
        if self.machine.stamp() != Some(message.stamp) {
            let _ = message.reply.send(too_late());
            return;
        }
        let saved = self.core.approvals.rules(&self.address.project);
        self.asks.insert(message.call.clone(), message.reply);
        let _ = self.take(
            Input::Ask(message.stamp, message.call, Box::new(message.ask), saved),
            ctx,
        );
    }
}

impl Handler<QuestionMessage> for SessionActor {
    type Result = ();

    fn handle(&mut self, message: QuestionMessage, ctx: &mut Self::Context) {
        let _handling = Handling::of("QuestionMessage");
        if self.machine.stamp() != Some(message.stamp) {
            let _ = message.reply.send(too_late());
            return;
        }
        self.questions.insert(message.call.clone(), message.reply);
        let _ = self.take(
            Input::Question(message.stamp, message.call, message.questions),
            ctx,
        );
    }
}

impl Handler<View> for SessionActor {
    type Result = MessageResult<View>;

    fn handle(&mut self, _: View, _: &mut Self::Context) -> Self::Result {
        let _handling = Handling::of("View");
        self.used = self.core.now();
        let view: SessionView = view_of(&self.machine.state);
        MessageResult(Arc::new(view))
    }
}

impl Handler<ChangeHead> for SessionActor {
    type Result = Result<Session, Fault>;

    fn handle(&mut self, message: ChangeHead, ctx: &mut Self::Context) -> Self::Result {
        let _handling = Handling::of("ChangeHead");
        let now = self.core.now();
        let mut info = self.machine.state.info.clone();
        (message.0)(&mut info);
        info.time.updated = now;
        let record = Record::SessionUpdated(Box::new(info.clone()));
        let ids = self.core.ledger.ids();
        let decision = self.machine.note(vec![record], now, ids);
        self.commit(decision, now, ctx)?;
        Ok(info)
    }
}

impl Handler<DrainMessage> for SessionActor {
    type Result = ();

    fn handle(&mut self, message: DrainMessage, ctx: &mut Self::Context) {
        let _handling = Handling::of("DrainMessage");
        if self.drains.len() < limits::QUEUE_MAX {
            self.drains.push(message.0);
        }
        let now = self.core.now();
        self.settle_drains(now, ctx);
    }
}

impl Handler<InjectPanic> for SessionActor {
    type Result = ();

    fn handle(&mut self, _: InjectPanic, _: &mut Self::Context) {
        panic!("injected fault");
    }
}
