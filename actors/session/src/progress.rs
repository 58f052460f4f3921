//! What a running call shows while it runs, stored by what came to it.
//!
//! A command shows the last part of its output again and again. Stored whole each time, a log of a few megabytes of
//! output would hold gigabytes; so a record has only what the part's title and metadata have gained, and the text
//! `output` what was put behind its old end.

use kilo_protocol::model::{Part, PartBody, ToolState};
use kilo_protocol::{MessageId, Millis, PartId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The field of the metadata whose text grows at its end and is cut at its begin.
const OUTPUT: &str = "output";
/// Bytes of an output up to which its old end is looked for in it. Longer ones are stored whole unless they only grew.
const SEARCHED_BYTES_MAX: usize = 256 * 1024;

/// What came to a running call's part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The message.
    #[serde(rename = "m")]
    pub message: MessageId,
    /// The part.
    #[serde(rename = "p")]
    pub part: PartId,
    /// When it was shown.
    #[serde(rename = "w")]
    pub at: Millis,
    /// Its title, if it is another one.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Fields of its metadata that are new or have another value.
    #[serde(rename = "f", default, skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Value>,
    /// How the metadata's `output` went on.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Tail>,
}

/// The end of a text that stays, and what comes behind it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tail {
    /// Bytes of the text's end that stay.
    #[serde(rename = "k")]
    pub keep: usize,
    /// What comes behind them.
    #[serde(rename = "a")]
    pub add: String,
}

impl Progress {
    /// What leads a running call's part to a title and to these fields of its metadata; those that it has stay. None for
    /// a part that is no running call.
    pub fn of(
        part: &Part,
        title: Option<String>,
        mut fields: Map<String, Value>,
        at: Millis,
    ) -> Option<Self> {
        let PartBody::Tool(tool) = &part.body else {
            return None;
        };
        let ToolState::Running {
            title: old_title,
            metadata: old,
            ..
        } = &tool.state
        else {
            return None;
        };
        let known = |name: &str| old.as_ref().and_then(|old| old.get(name));
        let output = match (known(OUTPUT), fields.get(OUTPUT)) {
            (Some(Value::String(old)), Some(Value::String(new))) if old != new => {
                Some(Tail::between(old, new))
            }
            _ => None,
        };
        fields.retain(|name, value| {
            known(name) != Some(value) && !(name == OUTPUT && output.is_some())
        });
        Some(Self {
            message: part.message_id.clone(),
            part: part.id.clone(),
            at,
            title: title.filter(|title| Some(title) != old_title.as_ref()),
            fields,
            output,
        })
    }

    /// Puts it into the part; nothing happens to one that is no running call (any more).
    pub fn apply(&self, part: &mut Part) {
        let PartBody::Tool(tool) = &mut part.body else {
            return;
        };
        let ToolState::Running {
            title, metadata, ..
        } = &mut tool.state
        else {
            return;
        };
        if let Some(new) = &self.title {
            *title = Some(new.clone());
        }
        let metadata = metadata.get_or_insert_default();
        let fields = self.fields.iter();
        metadata.extend(fields.map(|(name, value)| (name.clone(), value.clone())));
        if let Some(tail) = &self.output
            && let Some(Value::String(output)) = metadata.get_mut(OUTPUT)
        {
            tail.apply(output);
        }
    }
}

impl Tail {
    fn between(old: &str, new: &str) -> Self {
        let keep = match new.starts_with(old) {
            true => old.len(),
            false if new.len() > SEARCHED_BYTES_MAX => 0,
            false => overlap(old.as_bytes(), new.as_bytes()),
        };
        // Both are whole characters at what they share: it is a begin of one and an end of the other.
        let add = new.get(keep..).unwrap_or_default().to_owned();
        Self { keep, add }
    }

    fn apply(&self, text: &mut String) {
        let gone = text.len().saturating_sub(self.keep);
        text.drain(..text.ceil_char_boundary(gone));
        text.push_str(&self.add);
    }
}

/// Bytes of the longest end of `old` that is a begin of `new`, in time linear in both (Knuth, Morris and Pratt): outputs
/// repeat themselves, and comparing at each place would take their square.
fn overlap(old: &[u8], new: &[u8]) -> usize {
    let mut borders: Vec<u32> = vec![0; new.len()];
    let step = |borders: &[u32], mut length: usize, byte: u8| {
        while length > 0 && new.get(length) != Some(&byte) {
            length = borders.get(length - 1).copied().unwrap_or_default() as usize;
        }
        length + usize::from(new.get(length) == Some(&byte))
    };
    let mut length = 0;
    for at in 1..new.len() {
        length = step(&borders, length, new[at]);
        borders[at] = length as u32;
    }
    let mut length = 0;
    for byte in &old[old.len().saturating_sub(new.len())..] {
        length = step(&borders, length, *byte);
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn led(old: &str, new: &str) -> (usize, String) {
        let tail = Tail::between(old, new);
        let mut text = old.to_owned();
        tail.apply(&mut text);
        assert_eq!(text, new, "{tail:?}");
        (tail.keep, tail.add)
    }

    #[test]
    fn a_text_keeps_the_end_that_it_shares_with_what_it_becomes() {
        for (old, new, keep) in [
            ("", "", 0),
            ("", "abc", 0),
            ("abc", "", 0),
            ("abc", "abcd", 3),
            ("abc", "bcd", 2),
            ("abc", "cde", 1),
            ("abc", "xyz", 0),
            ("abc", "abc", 3),
            ("aaaa", "aaa", 3),
            ("aabaa", "aabaab", 5),
            ("xaabaab", "aabaabaa", 6),
            ("ab", "zab", 0),
            ("größe", "ße und", 3),
            ("a€", "€b€", 3),
            // The same last byte in another character.
            ("é", "©", 0),
        ] {
            let (kept, add) = led(old, new);
            assert_eq!((kept, add.as_str()), (keep, &new[keep..]), "{old} {new}");
        }
    }

    /// Every pair of short texts over a small alphabet, against the plain way.
    #[test]
    fn the_shared_end_is_the_longest() {
        let texts: Vec<String> = (0..3_u32.pow(7))
            .map(|mut n| {
                let mut text = String::new();
                while n > 0 {
                    text.push(['a', 'b', 'ä'][(n % 3) as usize]);
                    n /= 3;
                }
                text
            })
            .collect();
        for old in texts.iter().step_by(7) {
            for new in texts.iter().step_by(11) {
                let plain = (0..=old.len().min(new.len()))
                    .rev()
                    .find(|length| old.as_bytes().ends_with(&new.as_bytes()[..*length]));
                assert_eq!(Some(led(old, new).0), plain, "{old} {new}");
            }
        }
    }

    #[test]
    fn a_text_that_repeats_itself_costs_one_look_at_each_byte() {
        let old = "y\n".repeat(15_000);
        assert_eq!(led(&old, &old[2..]).0, old.len() - 2);
        let new = format!("{}x", &old[1..]);
        assert_eq!(led(&old, &new).0, old.len() - 1);
    }
}
