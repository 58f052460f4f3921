//! Which session a prompt goes to.

use anyhow::{Context as _, bail};
use kilo_client::{Client, NewSession, SessionFilter};
use kilo_protocol::SessionId;
use kilo_protocol::model::{Action, Rule, Session};

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

async fn last(client: &Client) -> anyhow::Result<Session> {
    let filter = SessionFilter {
        roots: true,
        limit: Some(1),
        ..SessionFilter::default()
    };
    match client.sessions(&filter).await?.into_iter().next() {
        Some(session) => Ok(session),
        None => bail!("there is no session to continue here yet"),
    }
}

/// Rules that refuse what only a person could answer.
fn nobody_to_ask() -> Vec<Rule> {
    let deny = |permission: &str| Rule {
        permission: permission.into(),
        pattern: "*".into(),
        action: Action::Deny,
    };
    ["question", "suggest", "plan_enter", "plan_exit"]
        .map(deny)
        .into()
}
