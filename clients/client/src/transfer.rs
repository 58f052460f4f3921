//! Sessions out and in: one session as a document, and a document as a session.

use crate::error::ClientError;
use crate::http::Client;
use kilo_protocol::requests::{self, ImportMessage, ImportPart, ImportProject, ImportSession};
use kilo_protocol::{Millis, SessionId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A session as a file holds it: `{info, messages: [{info, parts}]}`. Kept as JSON, so that nothing which another version
/// wrote is lost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transcript {
    /// The session's head.
    pub info: Map<String, Value>,
    /// Its messages, oldest first.
    pub messages: Vec<Entry>,
}

/// One message of a transcript.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The message.
    pub info: Map<String, Value>,
    /// Its parts, in order.
    pub parts: Vec<Map<String, Value>>,
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Messages stored.
    pub messages: usize,
    /// Parts stored.
    pub parts: usize,
    /// The session was there already and was left as it is.
    pub skipped: bool,
}

impl Client {
    /// Reads a whole session.
    pub async fn export_session(&self, id: &SessionId) -> Result<Transcript, ClientError> {
        let info = self.get(&format!("/session/{id}")).await?;
        let messages = self.get(&format!("/session/{id}/message")).await?;
        Ok(Transcript { info, messages })
    }

    /// Stores a transcript as a session under its own id, in this client's directory when it has one.
    ///
    /// A session with that id is left as it is unless `force` is set.
    pub async fn import_session(
        &self,
        transcript: &Transcript,
        force: bool,
    ) -> Result<Imported, ClientError> {
        let mut done = Imported::default();
        let session = session_body(&transcript.info, self.directory(), force);
        let project = project_body(&session);
        // In this order, since each row names the one before. Rows that are there already do no harm: an import that broke off
        // is begun again.
        self.store("project", &project.id, &project).await?;
        if self.store("session", &session.id, &session).await?.skipped && !force {
            return Ok(Imported {
                skipped: true,
                ..done
            });
        }
        for entry in &transcript.messages {
            let message = message_body(&entry.info);
            self.store("message", &message.id, &message).await?;
            done.messages += 1;
            for part in &entry.parts {
                let part = part_body(part, &entry.info);
                self.store("part", &part.id, &part).await?;
                done.parts += 1;
            }
        }
        Ok(done)
    }

    async fn store(
        &self,
        what: &str,
        id: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<requests::Imported, ClientError> {
        let path = format!("/kilocode/session-import/{what}");
        let stored: requests::Imported = self.post(&path, body).await?;
        if stored.ok {
            return Ok(stored);
        }
        Err(ClientError::refused(
            200,
            format!("POST {path}"),
            format!("{what} {id} was not stored").as_bytes(),
        ))
    }
}

/// A text of a row; empty where it has none.
fn text(row: &Map<String, Value>, key: &str) -> String {
    let text = row.get(key).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

fn text_or(row: &Map<String, Value>, key: &str, fallback: &str) -> String {
    match text(row, key) {
        text if text.is_empty() => fallback.to_owned(),
        text => text,
    }
}

/// A time of a row's `time`, which JavaScript may have written as any number.
fn time(row: &Map<String, Value>, key: &str) -> Option<Millis> {
    let time = row.get("time")?.get(key)?.as_f64()?;
    Some(time.max(0.0) as Millis)
}

fn project_body(session: &ImportSession) -> ImportProject {
    ImportProject {
        id: session.project_id.clone(),
        worktree: session.directory.clone(),
        time_created: session.time_created,
        time_updated: session.time_updated,
        sandboxes: Vec::new(),
    }
}

fn session_body(info: &Map<String, Value>, directory: Option<&str>, force: bool) -> ImportSession {
    ImportSession {
        id: text(info, "id"),
        project_id: text_or(info, "projectID", "global"),
        parent_id: info
            .get("parentID")
            .and_then(Value::as_str)
            .map(str::to_owned),
        slug: text_or(info, "slug", "imported"),
        directory: directory.map_or_else(|| text_or(info, "directory", "/"), str::to_owned),
        title: text_or(info, "title", "Imported session"),
        version: text_or(info, "version", "0"),
        summary: info.get("summary").cloned(),
        revert: info.get("revert").cloned(),
        permission: info.get("permission").cloned(),
        force,
        time_created: time(info, "created").unwrap_or_default(),
        time_updated: time(info, "updated").unwrap_or_default(),
        time_archived: time(info, "archived"),
    }
}

fn message_body(info: &Map<String, Value>) -> ImportMessage {
    ImportMessage {
        id: text(info, "id"),
        session_id: text(info, "sessionID"),
        time_created: time(info, "created").unwrap_or_default(),
        data: without(info, &["id", "sessionID"]),
    }
}

fn part_body(part: &Map<String, Value>, message: &Map<String, Value>) -> ImportPart {
    ImportPart {
        id: text(part, "id"),
        message_id: text(part, "messageID"),
        session_id: text(part, "sessionID"),
        time_created: time(message, "created").unwrap_or_default(),
        data: without(part, &["id", "messageID", "sessionID"]),
    }
}

fn without(map: &Map<String, Value>, keys: &[&str]) -> Map<String, Value> {
    map.iter()
        .filter(|(key, _)| !keys.contains(&key.as_str()))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_transcript_becomes_rows_without_their_ids_inside() {
        let message =
            json!({"id": "msg_1", "sessionID": "ses_1", "role": "user", "time": {"created": 5}});
        let Value::Object(message) = message else {
            panic!("an object")
        };
        assert_eq!(
            json!(message_body(&message)),
            json!({"id": "msg_1", "sessionID": "ses_1", "timeCreated": 5, "data": {"role": "user", "time": {"created": 5}}})
        );
        let Value::Object(part) = json!({"id": "prt_1", "messageID": "msg_1", "sessionID": "ses_1", "type": "text", "text": "t"})
        else {
            panic!("an object")
        };
        assert_eq!(
            json!(part_body(&part, &message))["data"],
            json!({"type": "text", "text": "t"})
        );
    }

    #[test]
    fn a_session_lands_in_the_clients_directory() {
        let Value::Object(info) = json!({"id": "ses_1", "directory": "/old", "time": {"created": 1, "updated": 2}, "cost": 3})
        else {
            panic!("an object")
        };
        assert_eq!(
            json!(session_body(&info, Some("/new"), false)),
            json!({"id": "ses_1", "directory": "/new", "slug": "imported", "title": "Imported session", "version": "0",
                   "projectID": "global", "timeCreated": 1, "timeUpdated": 2})
        );
    }
}
