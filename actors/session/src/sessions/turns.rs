//! Prompts and their answers, commands of the user's own, abort, resume, and the answers that people give.

use super::Sessions;
use crate::input::{Input, Prompt, Reply};
use crate::message::{
    Accepted, PromptMessage, Reception, ResumeMessage, ShellMessage, SummarizeMessage,
};
use crate::prepare;
use crate::queries::with_parts;
use kilo_ports::tool::QuestionAnswer;
use kilo_protocol::model::{MessageWithParts, ModelRef, TextPart};
use kilo_protocol::requests::{self, InputPartBody};
use kilo_protocol::{Fault, MessageId, PermissionId, QuestionId, SessionId};

impl Sessions {
    /// Stores a prompt and starts its turn, or queues it. Returns once it is on the disk.
    pub async fn prompt(
        &self,
        session: &SessionId,
        body: requests::Prompt,
    ) -> Result<(MessageId, Accepted), Fault> {
        let info = self.info(session)?;
        let folder = self.core.folder(&info.directory).await?;
        let prompt = prepare::prompt(&self.core, &folder, &info, body).await?;
        self.accept(session, prompt).await
    }

    async fn accept(
        &self,
        session: &SessionId,
        prompt: Prompt,
    ) -> Result<(MessageId, Accepted), Fault> {
        let id = prompt.message.id.clone();
        loop {
            let received = self
                .actors
                .ask(session, || PromptMessage(Box::new(prompt.clone())))
                .await??;
            match received {
                Reception::Accepted(accepted) => {
                    self.core.ledger.store().sync(accepted.pos).await?;
                    return Ok((id, accepted));
                }
                // Also when its actor ended: the successor takes the undo over, and says so again.
                Reception::AfterUndo(over) => {
                    let _ = over.await;
                }
            }
        }
    }

    /// Runs a command of the user's own and waits for its end.
    pub async fn shell(
        &self,
        session: &SessionId,
        mut body: requests::Prompt,
        command: String,
    ) -> Result<MessageWithParts, Fault> {
        let info = self.info(session)?;
        if self.core.ledger.activity().is_busy(session) {
            return Err(Fault::busy(session));
        }
        let folder = self.core.folder(&info.directory).await?;
        // No model is called, so none need be configured.
        body.no_reply = true;
        let said = TextPart {
            text: crate::texts::USER_COMMAND.into(),
            synthetic: true,
            ..TextPart::default()
        };
        body.parts = vec![InputPartBody::Text(said).into()];
        let prompt = prepare::prompt(&self.core, &folder, &info, body).await?;
        let id = prompt.message.id.clone();
        let accepted = {
            self.actors
                .ask(session, || {
                    ShellMessage(Box::new(prompt.clone()), command.clone())
                })
                .await??
        };
        self.answer(session, &id, accepted).await
    }

    /// Waits for the answer to a prompt.
    pub async fn answer(
        &self,
        session: &SessionId,
        prompt: &MessageId,
        accepted: Accepted,
    ) -> Result<MessageWithParts, Fault> {
        let entry = match accepted.answer {
            None => self
                .view(session)
                .await?
                .messages
                .iter()
                .find(|entry| entry.info.id() == prompt)
                .cloned(),
            Some(answer) => match answer.await {
                Ok(entry) => entry,
                // The actor died: its successor has closed the turn.
                Err(_) => {
                    let view = self.view(session).await?;
                    let mut answers = view.messages.iter().rev();
                    answers
                        .find(|entry| {
                            entry
                                .info
                                .assistant()
                                .is_some_and(|answer| answer.parent_id == *prompt)
                        })
                        .cloned()
                }
            },
        };
        entry
            .map(|entry| with_parts(&entry))
            .ok_or_else(|| Fault::unavailable("the turn ended without an answer"))
    }

    /// Goes on with an interrupted turn; false when there is none, or the configuration says `session.resume: off`.
    pub async fn resume(&self, session: &SessionId) -> Result<bool, Fault> {
        let folder = self.core.folder(&self.info(session)?.directory).await?;
        if folder.loaded.config.resume == kilo_config::view::Resume::Off {
            return Ok(false);
        }
        self.actors.ask(session, || ResumeMessage).await?
    }

    /// Summarises the conversation and waits for the end of it.
    pub async fn summarize(
        &self,
        session: &SessionId,
        model: ModelRef,
        auto: bool,
    ) -> Result<(), Fault> {
        let done = {
            self.actors
                .ask(session, || SummarizeMessage(model.clone(), auto))
                .await??
        };
        if let Some(done) = done {
            let _ = done.await;
        }
        Ok(())
    }

    /// Answers a request for permission. `None` when there is no such request.
    pub async fn reply_permission(
        &self,
        id: &PermissionId,
        reply: Reply,
        message: Option<String>,
    ) -> Result<Option<()>, Fault> {
        let Some(session) = self.core.ledger.activity().permission(id) else {
            return Ok(None);
        };
        self.give(&session, || {
            Input::Answer(id.clone(), reply, message.clone())
        })
        .await?;
        self.synced().await?;
        Ok(Some(()))
    }

    /// Answers a question. `None` when there is no such question.
    pub async fn reply_question(
        &self,
        id: &QuestionId,
        answer: QuestionAnswer,
    ) -> Result<Option<()>, Fault> {
        let Some(session) = self.core.ledger.activity().question(id) else {
            return Ok(None);
        };
        self.give(&session, || {
            Input::QuestionAnswer(id.clone(), answer.clone())
        })
        .await?;
        self.synced().await?;
        Ok(Some(()))
    }

    /// Waits until everything so far is on the disk.
    async fn synced(&self) -> Result<(), Fault> {
        let store = self.core.ledger.store();
        Ok(store.sync(store.newest()).await?)
    }

    /// Tries the network again, or gives up. `None` when no session waits under this id.
    pub async fn reply_network(&self, id: &QuestionId, again: bool) -> Result<Option<()>, Fault> {
        let Some(session) = self.core.ledger.activity().network(id) else {
            return Ok(None);
        };
        self.give(&session, || Input::Network(Some(id.clone()), again))
            .await?;
        Ok(Some(()))
    }

    /// The session as it is now.
    async fn view(
        &self,
        session: &SessionId,
    ) -> Result<std::sync::Arc<crate::message::SessionView>, Fault> {
        self.actors.ask(session, || crate::message::View).await
    }
}
