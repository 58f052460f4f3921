//! Which session a prompt goes to.

use anyhow::{Context as _, bail};
use kilo_client::{Client, NewSession, SessionFilter};
use kilo_protocol::SessionId;
use kilo_protocol::model::{Action, MessageWithParts, PartBody, Rule, Session};

/// What the command line said about the session.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// The one used last in this directory.
    pub last: bool,
    /// This one.
    pub id: Option<String>,
    /// A copy of it.
    pub fork: bool,
    /// The title of a new one.
    pub title: Option<String>,
}

/// Finds or makes the session.
///
/// A new session refuses what only a person could answer; so does a copy, for its origin did.
///
/// # Errors
/// When the session does not exist, or `last` finds none.
pub async fn session(client: &Client, choice: &Choice) -> anyhow::Result<Session> {
    let found = match (&choice.id, choice.last) {
        (Some(id), _) => Some(client.session(&SessionId::from_wire(id.as_str())).await?),
        (None, true) => Some(last(client).await?),
        (None, false) => None,
    };
    match found {
        Some(session) if choice.fork => client
            .fork_session(&session.id, None)
            .await
            .context("cannot copy the session"),
        Some(session) => Ok(session),
        None => {
            let new = NewSession {
                title: choice.title.clone(),
                permission: Some(nobody_to_ask()),
                ..NewSession::default()
            };
            Ok(client.create_session(&new).await?)
        }
    }
}

/// The session called `id`, else the one used last in the client's directory.
///
/// # Errors
/// When there is none.
pub async fn existing(client: &Client, id: Option<&str>) -> anyhow::Result<Session> {
    match id {
        Some(id) => Ok(client.session(&SessionId::from_wire(id)).await?),
        None => last(client).await,
    }
}

/// What a prompt says: its own texts, without what was added for the model.
pub fn text_of(prompt: &MessageWithParts) -> String {
    let texts = prompt.parts.iter().filter_map(|part| match &part.body {
        PartBody::Text(text) if !text.synthetic && !text.ignored => Some(text.text.as_str()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

async fn last(client: &Client) -> anyhow::Result<Session> {
    let filter = SessionFilter {
        roots: true,
        limit: Some(1),
        ..SessionFilter::default()
    };
    match client.sessions(&filter).await?.into_iter().next() {
        Some(session) => Ok(session),
        None => bail!("there is no session in this folder yet"),
    }
}

/// Rules that refuse what only a person could answer.
pub fn nobody_to_ask() -> Vec<Rule> {
    let deny = |permission: &'static str| Rule {
        permission: permission.into(),
        pattern: "*".into(),
        action: Action::Deny,
    };
    ["question", "suggest", "plan_enter", "plan_exit"]
        .map(deny)
        .into()
}
