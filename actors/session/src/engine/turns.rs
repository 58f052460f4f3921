//! Prompts and their answers, commands of the user's own, abort, resume, and the answers that people give.

use super::*;

impl Engine {
    /// Stores a prompt and starts its turn, or queues it. Returns once it is on the disk.
    pub async fn prompt(
        self: &Arc<Self>,
        session: &SessionId,
        body: PromptBody,
    ) -> Result<(MessageId, Accepted), Fault> {
        let info = self.session(session)?;
        let folder = self.folder(&info.directory).await?;
        let prompt = prepare::prompt(self, &folder, &info, body).await?;
        self.accept(session, prompt).await
    }

    async fn accept(
        self: &Arc<Self>,
        session: &SessionId,
        prompt: Prompt,
    ) -> Result<(MessageId, Accepted), Fault> {
        let _order = self.lock(session).await;
        let id = prompt.message.id.clone();
        let accepted = self
            .ask(session, || PromptMessage(Box::new(prompt.clone())))
            .await??;
        self.journal().store().sync(accepted.pos).await?;
        Ok((id, accepted))
    }

    /// Runs a command of the user's own and waits for its end.
    pub async fn shell(
        self: &Arc<Self>,
        session: &SessionId,
        mut body: PromptBody,
        command: String,
    ) -> Result<MessageWithParts, Fault> {
        let info = self.session(session)?;
        self.refuse_busy(session)?;
        let folder = self.folder(&info.directory).await?;
        // No model is called, so none need be configured.
        body.no_reply = true;
        body.parts =
            vec![json!({"type": "text", "synthetic": true, "text": crate::texts::USER_COMMAND})];
        let prompt = prepare::prompt(self, &folder, &info, body).await?;
        let id = prompt.message.id.clone();
        let accepted = {
            let _order = self.lock(session).await;
            self.ask(session, || {
                ShellMessage(Box::new(prompt.clone()), command.clone())
            })
            .await??
        };
        self.answer(session, &id, accepted).await
    }

    /// Waits for the answer to a prompt.
    pub async fn answer(
        self: &Arc<Self>,
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

    /// Stops whatever a session does. True whether or not there was anything.
    pub async fn abort(self: &Arc<Self>, session: &SessionId) {
        if let Some(actor) = self.registry.live(session) {
            let _ = actor
                .send(Take(Input::Abort))
                .timeout(limits::SEND_TIMEOUT)
                .await;
        }
    }

    /// Goes on with an interrupted turn; false when there is none, or the configuration says `session.resume: off`.
    pub async fn resume(self: &Arc<Self>, session: &SessionId) -> Result<bool, Fault> {
        let folder = self.folder(&self.session(session)?.directory).await?;
        if folder.loaded.config.resume == kilo_config::view::Resume::Off {
            return Ok(false);
        }
        self.ask(session, || ResumeMessage).await?
    }

    /// Summarises the conversation and waits for the end of it.
    pub async fn summarize(
        self: &Arc<Self>,
        session: &SessionId,
        model: ModelRef,
        auto: bool,
    ) -> Result<(), Fault> {
        let done = {
            let _order = self.lock(session).await;
            self.ask(session, || SummarizeMessage(model.clone(), auto))
                .await??
        };
        if let Some(done) = done {
            let _ = done.await;
        }
        Ok(())
    }

    /// Tells with `session.drained` when the session's queue is empty.
    pub async fn drain(self: &Arc<Self>, session: &SessionId, token: String) -> Result<(), Fault> {
        self.ask(session, || DrainMessage(token.clone())).await
    }

    /// Gives an input to a session.
    pub async fn give(
        self: &Arc<Self>,
        session: &SessionId,
        make: impl Fn() -> Input,
    ) -> Result<(), Fault> {
        self.ask(session, || Take(make())).await?
    }

    /// Answers a request for permission. `None` when there is no such request.
    pub async fn reply_permission(
        self: &Arc<Self>,
        id: &PermissionId,
        reply: Reply,
        message: Option<String>,
    ) -> Result<Option<()>, Fault> {
        let Some(session) = self.board.permission(id) else {
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
        self: &Arc<Self>,
        id: &QuestionId,
        answer: QuestionAnswer,
    ) -> Result<Option<()>, Fault> {
        let Some(session) = self.board.question(id) else {
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
        let store = self.journal().store();
        Ok(store.sync(store.newest()).await?)
    }

    /// Tries the network again, or gives up. `None` when no session waits under this id.
    pub async fn reply_network(
        self: &Arc<Self>,
        id: &QuestionId,
        again: bool,
    ) -> Result<Option<()>, Fault> {
        let Some(session) = self.board.network(id) else {
            return Ok(None);
        };
        self.give(&session, || Input::Network(Some(id.clone()), again))
            .await?;
        Ok(Some(()))
    }
}
