//! Follows one turn from its prompt to its end, answering what is asked on the way.

use crate::exit::Exit;
use crate::render::json;
use crate::run::notice::Notice;
use crate::run::show::{Audience, Verdict, as_value};
use crate::signals::Signals;
use crate::time::now;
use kilo_client::{Client, ClientError, Event, EventStream, Item, PermissionAnswer};
use kilo_protocol::QuestionId;
use kilo_protocol::event::PartDelta;
use kilo_protocol::model::{
    Message, MessageWithParts, NetworkRequest, Part, PartBody, PermissionRequest, QuestionRequest,
    Session, Status, TurnError,
};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::time::Duration;
use tokio::time::{Instant, interval, sleep_until};

const SPINNER_STEP: Duration = Duration::from_millis(90);
/// How long events may still come after the answer; the daemon normally says `session.drained` within milliseconds.
const LAST_EVENTS_MAX: Duration = Duration::from_secs(10);
/// How long an interrupted turn may take to end.
const ABORT_MAX: Duration = Duration::from_secs(3);
/// How long a run without anybody to ask waits for a network that is gone.
const OFFLINE_MAX: Duration = Duration::from_secs(600);

/// Follows the turn that `prompt` starts.
///
/// `events` must have been opened before, so that nothing is missed.
///
/// # Errors
/// When the daemon cannot be reached any more. A turn that fails is an exit status, not an error.
pub async fn follow(
    client: &Client,
    session: &Session,
    events: EventStream,
    prompt: impl Future<Output = Result<MessageWithParts, ClientError>>,
    show: &mut dyn Audience,
) -> anyhow::Result<Exit> {
    let turn = Turn {
        client,
        session,
        show,
        family: HashSet::from([session.id.to_string()]),
        others: HashSet::new(),
        first: None,
        shown: HashSet::new(),
        reasoning: HashMap::new(),
        refused: false,
        failed: false,
        error_shown: false,
        drained: false,
        answered: false,
        token: format!("run-{}-{}", std::process::id(), now()),
        offline: None,
        provider: None,
    };
    turn.run(events, prompt).await
}

struct Turn<'a> {
    client: &'a Client,
    session: &'a Session,
    show: &'a mut dyn Audience,
    /// This session and the sessions of its tasks.
    family: HashSet<String>,
    /// Messages that are no answer: the user's own, summaries of the conversation.
    others: HashSet<String>,
    /// The first message of this run: what is before it was there already.
    first: Option<String>,
    /// Parts that were shown.
    shown: HashSet<String>,
    /// Whether a part is reasoning.
    reasoning: HashMap<String, bool>,
    refused: bool,
    failed: bool,
    error_shown: bool,
    drained: bool,
    /// The call that gave the prompt has its answer.
    answered: bool,
    token: String,
    /// The provider of the newest answer.
    provider: Option<String>,
    /// A wait for the network, and when it is given up.
    offline: Option<(QuestionId, Instant)>,
}

impl Turn<'_> {
    async fn run(
        mut self,
        mut events: EventStream,
        prompt: impl Future<Output = Result<MessageWithParts, ClientError>>,
    ) -> anyhow::Result<Exit> {
        let started = Instant::now();
        let mut signals = Signals::listen()?;
        let mut spinner = interval(SPINNER_STEP);
        let mut prompt = std::pin::pin!(prompt);
        let mut answer = None;
        let mut stopped = None;
        let mut deadline: Option<Instant> = None;
        while !(answer.is_some() && self.drained) {
            let offline = self.offline.as_ref().map(|(_, until)| *until);
            tokio::select! {
                item = events.next() => match item {
                    Ok(Some(item)) => self.take(item).await?,
                    Ok(None) => break,
                    Err(error) if answer.is_some() => {
                        tracing::debug!(%error, "the event stream broke after the answer");
                        break;
                    }
                    Err(error) => return Err(error.into()),
                },
                result = &mut prompt, if answer.is_none() => {
                    answer = Some(result);
                    self.answered = true;
                    deadline = Some(Instant::now() + LAST_EVENTS_MAX);
                    if self.client.drain(&self.session.id, &self.token).await.is_err() {
                        self.drained = true;
                    }
                }
                exit = signals.next() => {
                    if stopped.is_some() {
                        break;
                    }
                    stopped = Some(exit);
                    deadline = Some(Instant::now() + ABORT_MAX);
                    let _ = self.client.abort(&self.session.id).await;
                }
                () = until(deadline) => break,
                () = until(offline) => self.give_up_network().await,
                _ = spinner.tick() => self.show.tick(),
            }
        }
        let exit = self.finish(answer, stopped).await;
        self.show.end(started.elapsed().as_millis() as u64);
        Ok(exit)
    }

    async fn finish(
        &mut self,
        answer: Option<Result<MessageWithParts, ClientError>>,
        stopped: Option<Exit>,
    ) -> Exit {
        match answer {
            Some(Ok(answer)) if stopped.is_none() => self.last_message(&answer),
            Some(Err(error)) if stopped.is_none() => self.broken(&error),
            Some(_) | None => {}
        }
        if let Some(exit) = stopped {
            return exit;
        }
        if self.refused {
            let why =
                "a call was refused, so this may be incomplete; --auto allows what is not denied";
            self.show
                .error(self.session.id.as_str(), Value::String(why.into()));
            return Exit::FAILED;
        }
        if self.failed { Exit::FAILED } else { Exit::OK }
    }

    fn last_message(&mut self, answer: &MessageWithParts) {
        self.message(answer);
        self.failed = false;
        let Message::Assistant(info) = &answer.info else {
            return;
        };
        if let Some(error) = &info.error {
            self.failed = true;
            if !self.error_shown {
                self.tell(as_value(error));
            }
        } else if info.finish.as_deref() == Some("length") {
            self.failed = true;
            let note = answer.parts.iter().rev().find_map(|part| match &part.body {
                PartBody::Text(text) if text.ignored => Some(text.text.as_str()),
                _ => None,
            });
            let note = note.unwrap_or("the model reached its limit of output tokens");
            let error = TurnError::new("MessageOutputLengthError", note);
            self.show.error(self.session.id.as_str(), as_value(&error));
        }
    }

    fn broken(&mut self, error: &ClientError) {
        self.failed = true;
        if self.error_shown {
            return;
        }
        let body = match error {
            ClientError::Refused { body, .. } if body.get("data").is_some() => (**body).clone(),
            other => json!({"name": "UnknownError", "data": {"message": other.to_string()}}),
        };
        self.show.error(self.session.id.as_str(), body);
    }

    async fn take(&mut self, item: Item) -> Result<(), ClientError> {
        match item {
            Item::Event(received) => self.event(received.event).await,
            Item::Resync => self.catch_up().await,
        }
    }

    /// Shows what happened while nobody listened, and answers what was asked.
    async fn catch_up(&mut self) -> Result<(), ClientError> {
        // Without a first message nothing can have been missed; the answer itself comes with the end of the call.
        let first = self.first.clone();
        for message in self.client.messages(&self.session.id).await? {
            // Ids rise with time.
            let is_new = |first: &String| message.info.id().as_str() >= first.as_str();
            if first.as_ref().is_some_and(is_new) {
                self.message(&message);
            }
        }
        // Pieces of what grows now may be missing: the finished part brings them all.
        self.reasoning.clear();
        for request in self.client.permissions().await? {
            self.permission(request).await?;
        }
        for request in self.client.questions().await? {
            if self.family.contains(request.session_id.as_str()) {
                self.question(&request).await?;
            }
        }
        for request in self.client.network_requests().await? {
            if self.family.contains(request.session_id.as_str()) {
                self.network(request).await?;
            }
        }
        if self.answered {
            // The word that the session is at rest may be among what was missed.
            self.client.drain(&self.session.id, &self.token).await?;
        }
        Ok(())
    }

    fn message(&mut self, message: &MessageWithParts) {
        if message.info.assistant().is_none_or(|answer| answer.summary) {
            return;
        }
        for part in &message.parts {
            self.part(part);
        }
    }

    async fn event(&mut self, event: Event<'static>) -> Result<(), ClientError> {
        if let Event::SessionCreated(head) | Event::SessionUpdated(head) = &event {
            self.adopt(&head.info);
        }
        let Some(session) = event
            .session()
            .filter(|id| self.family.contains(id.as_str()))
        else {
            return Ok(());
        };
        let own = *session == self.session.id;
        match event {
            // What is asked is answered for the whole family.
            Event::PermissionAsked(request) => self.permission(request.into_owned()).await?,
            Event::QuestionAsked(request) => self.question(&request).await?,
            Event::NetworkAsked(request) => self.network(request.into_owned()).await?,
            _ if !own => {}
            Event::Drained(drained) => self.drained |= drained.token == self.token,
            Event::MessageUpdated(message) => self.announced(&message.info),
            Event::PartUpdated(part) => self.part(&part.part),
            Event::PartDelta(piece) => self.piece(&piece),
            Event::StatusChanged(status) => self.status(&status.status),
            Event::Failed(failure) => self.error(&failure.error),
            Event::TurnClosed(closed) => self.failed |= closed.reason == "error",
            Event::Compacted(_) => self.notice(Notice::Compacted),
            _ => {}
        }
        Ok(())
    }

    /// Takes a child of the family in.
    fn adopt(&mut self, info: &Session) {
        let parent = info.parent_id.as_ref();
        if parent.is_some_and(|parent| self.family.contains(parent.as_str())) {
            self.family.insert(info.id.to_string());
        }
    }

    fn announced(&mut self, info: &Message) {
        if info.assistant().is_none_or(|answer| answer.summary) {
            self.others.insert(info.id().to_string());
        }
        if let Some(answer) = info.assistant() {
            self.provider = Some(answer.provider_id.clone());
        }
        self.first.get_or_insert_with(|| info.id().to_string());
    }

    fn part(&mut self, part: &Part) {
        let id = part.id.as_str();
        if self.others.contains(part.message_id.as_str()) || self.shown.contains(id) {
            return;
        }
        match &part.body {
            PartBody::Reasoning(_) => drop(self.reasoning.insert(id.to_owned(), true)),
            PartBody::Text(_) => drop(self.reasoning.insert(id.to_owned(), false)),
            PartBody::Tool(call) if !call.state.is_final() => self.show.running(call),
            _ => {}
        }
        if json::kind(part).is_some() {
            self.shown.insert(id.to_owned());
            self.show.part(self.session.id.as_str(), part);
        }
    }

    fn piece(&mut self, piece: &PartDelta<'_>) {
        let id = piece.part_id.as_str();
        // Pieces of a part that was not announced are left out: the finished part brings them all.
        if let Some(reasoning) = self.reasoning.get(id) {
            self.show.piece(id, *reasoning, &piece.delta);
        }
    }

    fn status(&mut self, status: &Status) {
        match status {
            Status::Retry {
                attempt,
                message,
                next,
            } => {
                let (attempt, next) = (*attempt, *next);
                self.notice(Notice::Retry {
                    attempt,
                    message,
                    next,
                });
            }
            Status::Busy => self.offline = None,
            _ => {}
        }
    }

    fn error(&mut self, error: &TurnError) {
        if error.name == "MessageAbortedError" {
            return;
        }
        self.failed = true;
        self.error_shown = true;
        self.tell(as_value(error));
    }

    /// Shows an error, and what helps against it.
    fn tell(&mut self, error: Value) {
        let data = |key: &str| error["data"].get(key);
        let status = data("statusCode").and_then(Value::as_u64);
        let is_key = error["name"] == "ProviderAuthError" || matches!(status, Some(401 | 403));
        let named = data("providerID").and_then(Value::as_str);
        // Most errors do not name it; the answer that failed does.
        let named = named.or(self.provider.as_deref());
        let provider = named.unwrap_or("PROVIDER").to_owned();
        self.show.error(self.session.id.as_str(), error);
        if is_key {
            self.notice(Notice::Key {
                provider: &provider,
            });
        }
    }

    fn notice(&mut self, notice: Notice<'_>) {
        self.show.notice(self.session.id.as_str(), notice);
    }

    async fn permission(&mut self, request: PermissionRequest) -> Result<(), ClientError> {
        if !self.family.contains(request.session_id.as_str()) {
            return Ok(());
        }
        let request = self.whole(request).await;
        let asked = Instant::now();
        let verdict = self.show.judge(&request).await;
        if let Some(call) = &request.tool {
            let waited = asked.elapsed().as_millis() as u64;
            self.show.waited(call.call_id.as_str(), waited);
        }
        let reply = match verdict {
            Verdict::Settled => return Ok(()),
            Verdict::Allow => PermissionAnswer::Once,
            Verdict::Refuse => PermissionAnswer::Reject,
        };
        self.refused |= reply == PermissionAnswer::Reject;
        settle(self.client.reply_permission(&request.id, reply, None).await)
    }

    /// The request with everything that its event was too short for: nobody should allow what he was not shown.
    async fn whole(&self, request: PermissionRequest) -> PermissionRequest {
        if request.metadata.get("truncated") != Some(&Value::Bool(true)) {
            return request;
        }
        let open = self.client.permissions().await.unwrap_or_default();
        let whole = open.into_iter().find(|open| open.id == request.id);
        whole.unwrap_or(request)
    }

    async fn question(&mut self, request: &QuestionRequest) -> Result<(), ClientError> {
        self.show
            .notice(request.session_id.as_str(), Notice::Dismissed(request));
        settle(self.client.reject_question(&request.id).await)
    }

    async fn network(&mut self, request: NetworkRequest) -> Result<(), ClientError> {
        let waits = self.show.waits_for_network();
        let notice = Notice::Network {
            request: &request,
            waits,
        };
        self.show.notice(request.session_id.as_str(), notice);
        if waits {
            self.offline = Some((request.id, Instant::now() + OFFLINE_MAX));
            return Ok(());
        }
        settle(self.client.reply_network(&request.id, false).await)
    }

    async fn give_up_network(&mut self) {
        if let Some((id, _)) = self.offline.take() {
            let _ = self.client.reply_network(&id, false).await;
        }
    }
}

/// An answer that comes too late was given by somebody else: that is fine.
fn settle(result: Result<(), ClientError>) -> Result<(), ClientError> {
    match result {
        Err(error) if error.status() == Some(404) => Ok(()),
        other => other,
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
