//! What was: edits of messages, forks, imports, undo and redo.

use super::*;

impl Engine {
    /// Records facts of a client's own making (an edited part, a removed message).
    pub async fn note(
        self: &Arc<Self>,
        session: &SessionId,
        records: Vec<Record>,
        idle_only: bool,
    ) -> Result<(), Fault> {
        let pos = self
            .ask(session, || Note {
                records: records.clone(),
                idle_only,
            })
            .await??;
        Ok(self.journal().store().sync(pos).await?)
    }

    /// Copies a session up to (not including) `until` under new ids.
    pub async fn fork(
        self: &Arc<Self>,
        session: &SessionId,
        until: Option<&MessageId>,
    ) -> Result<Session, Fault> {
        let view = self.view(session).await?;
        let now = self.now();
        let mut info = view.info.clone();
        info.id = self.ids.session(now);
        info.slug = crate::slug::slug(&self.ids, now);
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
            let id = self.ids.message(now);
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
                part.id = self.ids.part(now);
                part.message_id = id.clone();
                part.session_id = session.clone();
                records.push(Record::PartUpdated(Box::new(part), now));
            }
        }
        records
    }

    /// Takes a session as it was exported, under its own ids, in place of nothing.
    pub fn import(&self, info: &Session) -> Result<(), Fault> {
        if self.catalog.contains(&info.id) {
            return Ok(());
        }
        if !is_plain_id(info.id.as_str(), "ses") {
            return Err(Fault::bad_field("a string starting with \"ses\"", "id"));
        }
        self.write_new(info, Vec::new(), self.now())
    }

    /// Hides a message and what comes after it, and undoes what the session changed in files from there on. Edits of
    /// others stay.
    pub async fn revert(
        self: &Arc<Self>,
        session: &SessionId,
        message: MessageId,
        part: Option<PartId>,
    ) -> Result<Session, Fault> {
        let _order = self.lock(session).await;
        self.refuse_busy(session)?;
        let mut view = self.view(session).await?;
        if view
            .messages
            .iter()
            .all(|entry| *entry.info.id() != message)
        {
            return Err(Fault::not_found("Message", &message));
        }
        if view.info.revert.is_some() {
            self.put_back(session, &view).await?;
            view = self.view(session).await?;
        }
        // A revert to an answer starts at the prompt's answer itself; files follow the messages.
        let hidden = self
            .ask(session, || HiddenFrom(message.clone(), part.clone()))
            .await?;
        let mut touched: HashSet<&MessageId> = hidden.messages.iter().collect();
        touched.extend(hidden.parts.iter().map(|(message, _)| message));
        let changes: Vec<FileChange> = view
            .changes
            .iter()
            .filter(|change| touched.contains(&change.message))
            .flat_map(|change| change.files.clone())
            .rev()
            .collect();
        let folder = self.folder(&view.info.directory).await?;
        let undone = self.undo(&folder, changes).await;
        self.tell_left_alone(session, &undone.left_alone).await?;
        let revert = Revert {
            message_id: message,
            part_id: part,
            snapshot: undone.snapshot,
            diff: undone.diff,
            workspace: Some(undone.workspace.into()),
        };
        self.change_head(
            session,
            true,
            Box::new(move |info| info.revert = Some(revert)),
        )
        .await
    }

    async fn undo(&self, folder: &Folder, changes: Vec<FileChange>) -> Undone {
        if !folder.is_git {
            return Undone::nothing("not-a-git-repo");
        }
        if !folder.loaded.config.snapshot {
            return Undone::nothing("snapshots-disabled");
        }
        let checkpoints = &self.parts.checkpoints;
        let Ok(before) = checkpoints.track(folder.directory.clone()).await else {
            return Undone::nothing("unavailable");
        };
        let left_alone = match checkpoints.undo(folder.directory.clone(), changes).await {
            Ok(restored) => restored.left,
            Err(error) => {
                tracing::warn!(%error, "undo failed");
                return Undone {
                    snapshot: Some(before),
                    diff: None,
                    workspace: "unavailable",
                    left_alone: Vec::new(),
                };
            }
        };
        let mut diff = String::new();
        if let Ok(after) = checkpoints.track(folder.directory.clone()).await
            && let Ok(files) = checkpoints
                .diff(folder.directory.clone(), before.clone(), after)
                .await
        {
            diff = files
                .iter()
                .map(|file: &FileDiff| file.patch.as_str())
                .collect();
        }
        Undone {
            snapshot: Some(before),
            diff: Some(diff),
            workspace: match left_alone.is_empty() {
                true => "restored",
                false => "unavailable",
            },
            left_alone,
        }
    }

    /// Says which files an undo or a redo did not touch, each with the reason.
    async fn tell_left_alone(
        self: &Arc<Self>,
        session: &SessionId,
        files: &[LeftAlone],
    ) -> Result<(), Fault> {
        if files.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = files
            .iter()
            .map(|file| format!("{} ({})", file.path.display(), file.why))
            .collect();
        let message = format!("Left as they are: {}", names.join(", "));
        self.note(
            session,
            vec![Record::Failed(TurnError::new("UnknownError", message))],
            true,
        )
        .await
    }

    /// Shows the hidden messages again and does the session's changes again.
    pub async fn unrevert(self: &Arc<Self>, session: &SessionId) -> Result<Session, Fault> {
        let _order = self.lock(session).await;
        self.refuse_busy(session)?;
        let view = self.view(session).await?;
        if view.info.revert.is_none() {
            return Ok(view.info.clone());
        }
        self.put_back(session, &view).await
    }

    async fn put_back(
        self: &Arc<Self>,
        session: &SessionId,
        view: &SessionView,
    ) -> Result<Session, Fault> {
        let Some(revert) = view.info.revert.clone() else {
            return Ok(view.info.clone());
        };
        let hidden = self
            .ask(session, || {
                HiddenFrom(revert.message_id.clone(), revert.part_id.clone())
            })
            .await?;
        let mut touched: HashSet<&MessageId> = hidden.messages.iter().collect();
        touched.extend(hidden.parts.iter().map(|(message, _)| message));
        let again: Vec<FileChange> = view
            .changes
            .iter()
            .filter(|change| touched.contains(&change.message))
            .flat_map(|change| change.files.clone())
            .collect();
        let folder = self.folder(&view.info.directory).await?;
        // An undo that left a file is not `restored`, but what it did is to be done again.
        if revert.snapshot.is_some() {
            let undone = self
                .parts
                .checkpoints
                .redo(folder.directory.clone(), again)
                .await;
            let restored = undone.map_err(|error| {
                Fault::unknown(format!("the files could not be put back: {error}"))
            })?;
            self.tell_left_alone(session, &restored.left).await?;
        }
        self.change_head(session, true, Box::new(|info| info.revert = None))
            .await
    }
}

/// What an undo of files led to.
struct Undone {
    /// The checkpoint from before it.
    snapshot: Option<String>,
    /// What it changed.
    diff: Option<String>,
    /// The word on the wire.
    workspace: &'static str,
    /// What is as it was.
    left_alone: Vec<LeftAlone>,
}

impl Undone {
    fn nothing(why: &'static str) -> Self {
        Self {
            snapshot: None,
            diff: None,
            workspace: why,
            left_alone: Vec::new(),
        }
    }
}
