//! What was: edits of messages, forks, imports, undo and redo.

use super::Sessions;
use crate::machine::Edit;
use crate::message::{AfterUndo, EditMessage, Note, UndoMessage, View};
use crate::prepare::is_plain_id;
use crate::record::{Record, RevertTo};
use crate::state::Entry;
use kilo_protocol::model::{Session, SessionTime, Tokens};
use kilo_protocol::{Fault, MessageId, Millis, PartId, SessionId};
use std::collections::HashMap;
use std::sync::Arc;

impl Sessions {
    /// Edits a part or removes a part or a message.
    ///
    /// Errors: `NotFound`; busy for what is still being written.
    pub async fn edit(&self, session: &SessionId, edit: Edit) -> Result<(), Fault> {
        let pos = self
            .actors
            .ask(session, || EditMessage(edit.clone()))
            .await??;
        Ok(self.core.ledger.store().sync(pos).await?)
    }

    /// Records messages and parts of an imported session.
    pub async fn note(&self, session: &SessionId, records: Vec<Record>) -> Result<(), Fault> {
        let pos = self.actors.ask(session, || Note(records.clone())).await??;
        Ok(self.core.ledger.store().sync(pos).await?)
    }

    /// Copies a session up to (not including) `until` under new ids.
    pub async fn fork(
        &self,
        session: &SessionId,
        until: Option<&MessageId>,
    ) -> Result<Session, Fault> {
        let view = self.actors.ask(session, || View).await?;
        let now = self.core.now();
        let mut info = view.info.clone();
        info.id = self.core.ledger.ids().session(now);
        info.slug = crate::slug::slug(self.core.ledger.ids(), now);
        info.title = self.fork_title(&view.info);
        info.parent_id = None;
        info.cost = 0.0;
        info.tokens = Tokens::default();
        info.summary = None;
        info.share = None;
        info.revert = None;
        info.time = SessionTime {
            created: now,
            updated: now,
            ..Default::default()
        };
        let records = self.copies(&view.messages, until, &info.id, now);
        self.write_new(&info, records, now)?;
        Ok(info)
    }

    fn fork_title(&self, origin: &Session) -> String {
        let base = origin
            .title
            .rfind(" (fork #")
            .map_or(origin.title.as_str(), |at| &origin.title[..at]);
        // The number counts on from the origin's own; two forks of one session may carry the same title, as seen.
        let number = origin
            .title
            .rfind(" (fork #")
            .and_then(|at| {
                origin.title[at + 8..]
                    .trim_end_matches(')')
                    .parse::<u32>()
                    .ok()
            })
            .unwrap_or(0);
        format!("{base} (fork #{})", number + 1)
    }

    fn copies(
        &self,
        messages: &[Arc<Entry>],
        until: Option<&MessageId>,
        session: &SessionId,
        now: Millis,
    ) -> Vec<Record> {
        use kilo_protocol::model::Message;
        let mut names: HashMap<MessageId, MessageId> = HashMap::new();
        let mut records = Vec::new();
        for entry in messages
            .iter()
            .take_while(|entry| Some(entry.info.id()) != until)
        {
            let id = self.core.ledger.ids().message(now);
            names.insert(entry.info.id().clone(), id.clone());
            let mut info = entry.info.clone();
            match &mut info {
                Message::User(user) => {
                    user.id = id.clone();
                    user.session_id = session.clone();
                }
                Message::Assistant(answer) => {
                    answer.id = id.clone();
                    answer.session_id = session.clone();
                    if let Some(parent) = names.get(&answer.parent_id) {
                        answer.parent_id = parent.clone();
                    }
                }
            }
            records.push(Record::MessageUpdated(Box::new(info)));
            for part in &entry.parts {
                let mut part = part.as_ref().clone();
                part.id = self.core.ledger.ids().part(now);
                part.message_id = id.clone();
                part.session_id = session.clone();
                records.push(Record::PartUpdated(Box::new(part), now));
            }
        }
        records
    }

    /// Takes a session as it was exported, under its own ids, in place of nothing.
    pub fn import(&self, info: &Session) -> Result<(), Fault> {
        if self.core.ledger.catalog().contains(&info.id) {
            return Ok(());
        }
        if !is_plain_id(info.id.as_str(), "ses") {
            return Err(Fault::bad_field("a string starting with \"ses\"", "id"));
        }
        self.write_new(info, Vec::new(), self.core.now())
    }

    /// Hides a message and what comes after it, and undoes what the session changed in files from there on. Edits of
    /// others stay. It goes on to its end whoever waits for it.
    ///
    /// Errors: `NotFound`, or busy while anything else runs.
    pub async fn revert(
        &self,
        session: &SessionId,
        message: MessageId,
        part: Option<PartId>,
    ) -> Result<Session, Fault> {
        self.undo(session, Some(RevertTo { message, part })).await
    }

    /// Shows the hidden messages again and does the session's changes again.
    pub async fn unrevert(&self, session: &SessionId) -> Result<Session, Fault> {
        self.undo(session, None).await
    }

    async fn undo(&self, session: &SessionId, to: Option<RevertTo>) -> Result<Session, Fault> {
        let moving = self
            .actors
            .ask(session, || UndoMessage(to.clone()))
            .await??;
        if let Some(moved) = moving {
            let mut moved = Some(moved);
            while let Some(waiting) = moved.take() {
                if waiting.await.is_err() {
                    // The actor ended; its successor does the move again.
                    moved = self.actors.ask(session, || AfterUndo).await?;
                }
            }
        }
        self.info(session)
    }
}
