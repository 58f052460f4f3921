//! Sessions that are taken in: project, session, message, part, each a row with its ids beside its data.
//!
//! The data stays JSON, since it may be of another version, which had more in it than the types here.

use super::is_false;
use crate::Millis;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// `kilocode.sessionImport.project`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportProject {
    /// Its id where it comes from.
    pub id: String,
    /// Its folder.
    pub worktree: String,
    /// When it was made.
    #[serde(deserialize_with = "millis")]
    pub time_created: Millis,
    /// When it last changed.
    #[serde(deserialize_with = "millis")]
    pub time_updated: Millis,
    /// Its further folders.
    #[serde(default)]
    pub sandboxes: Vec<String>,
}

/// `kilocode.sessionImport.session`: a session's head.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportSession {
    /// Its id, which it keeps.
    pub id: String,
    /// Its project where it comes from.
    #[serde(rename = "projectID")]
    pub project_id: String,
    /// The session that it belongs to.
    #[serde(rename = "parentID", default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// Its readable name.
    pub slug: String,
    /// The folder it worked in.
    pub directory: String,
    /// Its title.
    pub title: String,
    /// The version of the program that made it.
    pub version: String,
    /// What it changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Value>,
    /// The point that it is reverted to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revert: Option<Value>,
    /// Its rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<Value>,
    /// Replaces a session of that id.
    #[serde(default, skip_serializing_if = "is_false")]
    pub force: bool,
    /// When it was made.
    #[serde(deserialize_with = "millis")]
    pub time_created: Millis,
    /// When it last changed.
    #[serde(deserialize_with = "millis")]
    pub time_updated: Millis,
    /// When it was archived.
    #[serde(
        default,
        deserialize_with = "some_millis",
        skip_serializing_if = "Option::is_none"
    )]
    pub time_archived: Option<Millis>,
}

/// `kilocode.sessionImport.message`: a message without its parts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportMessage {
    /// Its id.
    pub id: String,
    /// Its session.
    #[serde(rename = "sessionID")]
    pub session_id: String,
    /// When it was made.
    #[serde(deserialize_with = "millis")]
    pub time_created: Millis,
    /// The message without its ids.
    pub data: Map<String, Value>,
}

/// `kilocode.sessionImport.part`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportPart {
    /// Its id.
    pub id: String,
    /// Its message.
    #[serde(rename = "messageID")]
    pub message_id: String,
    /// Its session.
    #[serde(rename = "sessionID")]
    pub session_id: String,
    /// When it was made.
    #[serde(default, deserialize_with = "millis")]
    pub time_created: Millis,
    /// The part without its ids.
    pub data: Map<String, Value>,
}

/// The answer to each of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// It is stored.
    pub ok: bool,
    /// The id that it has here.
    #[serde(default)]
    pub id: String,
    /// It was there already and was left as it is.
    #[serde(default, skip_serializing_if = "is_false")]
    pub skipped: bool,
}

/// A time as JavaScript writes it: any number. What is no time is 0.
fn millis<'de, D: Deserializer<'de>>(from: D) -> Result<Millis, D::Error> {
    Ok(f64::deserialize(from)?.max(0.0) as Millis)
}

fn some_millis<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Millis>, D::Error> {
    let time = Option::<f64>::deserialize(from)?;
    Ok(time.map(|time| time.max(0.0) as Millis))
}

#[cfg(test)]
mod tests {
    use super::ImportSession;
    use serde_json::json;

    #[test]
    fn times_are_any_numbers() {
        let head = json!({
            "id": "ses_1", "projectID": "p", "slug": "s", "directory": "/", "title": "t", "version": "1",
            "timeCreated": 1.5, "timeUpdated": -3, "timeArchived": 1e12,
        });
        let read: ImportSession = serde_json::from_value(head).unwrap();
        assert_eq!(
            (read.time_created, read.time_updated, read.time_archived),
            (1, 0, Some(1_000_000_000_000))
        );
        let bare = serde_json::to_value(&read).unwrap();
        assert_eq!(bare.get("force"), None);
        assert_eq!(bare.get("parentID"), None);
    }
}
