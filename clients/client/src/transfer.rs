//! Sessions out and in: one session as a document, and a document as a session.

use crate::error::ClientError;
use crate::http::Client;
use kilo_protocol::SessionId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

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

#[derive(Deserialize)]
struct Stored {
    ok: bool,
    #[serde(default)]
    skipped: bool,
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
        self.store("project", &project_body(&session)).await?;
        if self.store("session", &session).await?.skipped && !force {
            return Ok(Imported {
                skipped: true,
                ..done
            });
        }
        for entry in &transcript.messages {
            self.store("message", &message_body(&entry.info)).await?;
            done.messages += 1;
            for part in &entry.parts {
                self.store("part", &part_body(part, &entry.info)).await?;
                done.parts += 1;
            }
        }
        Ok(done)
    }

    async fn store(&self, what: &str, body: &Value) -> Result<Stored, ClientError> {
        let path = format!("/kilocode/session-import/{what}");
        let stored: Stored = self.post(&path, body).await?;
        if stored.ok {
            return Ok(stored);
        }
        let id = body.get("id").and_then(Value::as_str).unwrap_or_default();
        Err(ClientError::refused(
            200,
            format!("POST {path}"),
            format!("{what} {id} was not stored").as_bytes(),
        ))
    }
}

fn at(info: &Map<String, Value>, key: &str) -> Value {
    info.get("time")
        .and_then(|time| time.get(key))
        .cloned()
        .unwrap_or_else(|| json!(0))
}

fn project_body(session: &Value) -> Value {
    json!({
        "id": session["projectID"],
        "worktree": session["directory"],
        "timeCreated": session["timeCreated"],
        "timeUpdated": session["timeUpdated"],
        "sandboxes": [],
    })
}

fn session_body(info: &Map<String, Value>, directory: Option<&str>, force: bool) -> Value {
    let mut body = Map::new();
    for key in [
        "id",
        "projectID",
        "parentID",
        "slug",
        "directory",
        "title",
        "version",
        "summary",
        "revert",
        "permission",
    ] {
        if let Some(value) = info.get(key) {
            body.insert(key.into(), value.clone());
        }
    }
    if let Some(directory) = directory {
        body.insert("directory".into(), directory.into());
    }
    for (key, fallback) in [
        ("slug", "imported"),
        ("title", "Imported session"),
        ("version", "0"),
        ("projectID", "global"),
        ("directory", "/"),
    ] {
        body.entry(key).or_insert_with(|| fallback.into());
    }
    if force {
        body.insert("force".into(), true.into());
    }
    body.insert("timeCreated".into(), at(info, "created"));
    body.insert("timeUpdated".into(), at(info, "updated"));
    if let Some(archived) = info.get("time").and_then(|time| time.get("archived")) {
        body.insert("timeArchived".into(), archived.clone());
    }
    Value::Object(body)
}

fn message_body(info: &Map<String, Value>) -> Value {
    json!({
        "id": info.get("id"),
        "sessionID": info.get("sessionID"),
        "timeCreated": at(info, "created"),
        "data": without(info, &["id", "sessionID"]),
    })
}

fn part_body(part: &Map<String, Value>, message: &Map<String, Value>) -> Value {
    json!({
        "id": part.get("id"),
        "messageID": part.get("messageID"),
        "sessionID": part.get("sessionID"),
        "timeCreated": at(message, "created"),
        "data": without(part, &["id", "messageID", "sessionID"]),
    })
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

    #[test]
    fn a_transcript_becomes_rows_without_their_ids_inside() {
        let message =
            json!({"id": "msg_1", "sessionID": "ses_1", "role": "user", "time": {"created": 5}});
        let Value::Object(message) = message else {
            panic!("an object")
        };
        assert_eq!(
            message_body(&message),
            json!({"id": "msg_1", "sessionID": "ses_1", "timeCreated": 5, "data": {"role": "user", "time": {"created": 5}}})
        );
        let Value::Object(part) = json!({"id": "prt_1", "messageID": "msg_1", "sessionID": "ses_1", "type": "text", "text": "t"})
        else {
            panic!("an object")
        };
        assert_eq!(
            part_body(&part, &message)["data"],
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
            session_body(&info, Some("/new"), false),
            json!({"id": "ses_1", "directory": "/new", "slug": "imported", "title": "Imported session", "version": "0",
                   "projectID": "global", "timeCreated": 1, "timeUpdated": 2})
        );
    }
}
