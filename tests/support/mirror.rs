//! What a client believes: the fold of the events it saw.

use crate::sse::Seen;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The messages of all sessions, as the events tell them.
#[derive(Clone, Debug, Default)]
pub struct Mirror {
    sessions: BTreeMap<String, Vec<(Value, Vec<Value>)>>,
}

impl Mirror {
    /// Folds events, oldest first.
    pub fn of<'a>(seen: impl IntoIterator<Item = &'a Seen>) -> Self {
        let mut mirror = Self::default();
        for seen in seen {
            mirror.take(seen);
        }
        mirror
    }

    fn take(&mut self, seen: &Seen) {
        let Some(session) = seen.field("sessionID").as_str() else {
            return;
        };
        let messages = self.sessions.entry(session.to_owned()).or_default();
        match seen.name() {
            "message.updated" => {
                let info = seen.field("info");
                match messages
                    .iter_mut()
                    .find(|(known, _)| known["id"] == info["id"])
                {
                    Some((known, _)) => *known = info.clone(),
                    None => messages.push((info.clone(), Vec::new())),
                }
            }
            "message.removed" => {
                messages.retain(|(info, _)| info["id"] != *seen.field("messageID"))
            }
            "message.part.updated" => {
                let part = seen.field("part");
                let parts = find(messages, &part["messageID"], seen);
                match parts.iter_mut().find(|known| known["id"] == part["id"]) {
                    Some(known) => *known = part.clone(),
                    None => parts.push(part.clone()),
                }
            }
            "message.part.removed" => {
                find(messages, seen.field("messageID"), seen)
                    .retain(|part| part["id"] != *seen.field("partID"));
            }
            "message.part.delta" => {
                let parts = find(messages, seen.field("messageID"), seen);
                let part = parts
                    .iter_mut()
                    .find(|part| part["id"] == *seen.field("partID"));
                let part =
                    part.unwrap_or_else(|| panic!("a delta of an unknown part: {}", seen.event));
                let text = part["text"].as_str().expect("a text").to_owned()
                    + seen.field("delta").as_str().expect("a text");
                part["text"] = text.into();
            }
            _ => {}
        }
    }

    /// A session's messages in the shape of `GET /session/ID/message`.
    pub fn messages(&self, session: &str) -> Vec<Value> {
        let messages = self
            .sessions
            .get(session)
            .map(Vec::as_slice)
            .unwrap_or_default();
        messages
            .iter()
            .map(|(info, parts)| json!({"info": info, "parts": parts}))
            .collect()
    }

    /// Every text part of a session: id and text.
    pub fn texts(&self, session: &str) -> Vec<(String, String)> {
        let messages = self
            .sessions
            .get(session)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let parts = messages
            .iter()
            .flat_map(|(_, parts)| parts)
            .filter(|part| part["type"] == "text");
        let word = |part: &Value, name: &str| part[name].as_str().unwrap_or_default().to_owned();
        parts
            .map(|part| (word(part, "id"), word(part, "text")))
            .collect()
    }
}

fn find<'a>(
    messages: &'a mut [(Value, Vec<Value>)],
    id: &Value,
    seen: &Seen,
) -> &'a mut Vec<Value> {
    let found = messages.iter_mut().find(|(info, _)| info["id"] == *id);
    &mut found
        .unwrap_or_else(|| panic!("a part of an unknown message: {}", seen.event))
        .1
}
