//! The content of a delta: text, or Mistral's list of text and thinking blocks.

use crate::adapters::lenient::Text;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

#[derive(Debug, Default)]
pub(super) struct Content<'a> {
    pub text: Text<'a>,
    pub thinking: String,
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a text or a list of blocks")
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Content {
            text: Text(Cow::Borrowed(text)),
            thinking: String::new(),
        })
    }
    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Content {
            text: Text(Cow::Owned(text.to_owned())),
            thinking: String::new(),
        })
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Content::default())
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Content::default())
    }
    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Content {
            text: Text(Cow::Owned(number.to_string())),
            thinking: String::new(),
        })
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Content::default())
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Content::default())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut content = Content::default();
        while let Some(block) = list.next_element::<Content>()? {
            content.text.0.to_mut().push_str(&block.text.0);
            content.thinking.push_str(&block.thinking);
        }
        Ok(content)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        // A block such as {"type":"text","text":"…"} or {"type":"thinking","thinking":[…]}.
        let mut content = Content::default();
        while let Some(key) = map.next_key::<Text>()? {
            match key.0.as_ref() {
                "text" => content.text = map.next_value()?,
                "thinking" => content.thinking = map.next_value::<Text>()?.0.into_owned(),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(content)
    }
}
