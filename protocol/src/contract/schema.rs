//! The part of JSON Schema that the contract's request bodies are written in.

use super::{LINE_BYTES_MAX, Misfit, NAME_BYTES_MAX, named};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// A schema; without any word it lets everything pass.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Schema {
    #[serde(rename = "$ref")]
    reference: Option<String>,
    #[serde(rename = "type")]
    kind: Option<Kind>,
    #[serde(rename = "enum")]
    choices: Option<Vec<Value>>,
    any_of: Vec<Schema>,
    properties: BTreeMap<String, Schema>,
    required: Vec<String>,
    additional_properties: Option<Rest>,
    items: Option<Box<Schema>>,
    prefix_items: Vec<Schema>,
    min_items: Option<usize>,
    max_items: Option<usize>,
    pattern: Option<String>,
    format: Option<String>,
    min_length: Option<usize>,
    max_length: Option<usize>,
    minimum: Option<f64>,
    maximum: Option<f64>,
    exclusive_minimum: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
}

/// What is said about fields that have no schema of their own. `false` is not obeyed, see [`super`].
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Rest {
    Allowed(#[allow(dead_code, reason = "its type tells it from a schema")] bool),
    Each(Box<Schema>),
}

impl Kind {
    fn fits(self, value: &Value) -> bool {
        match self {
            Self::Null => value.is_null(),
            Self::Boolean => value.is_boolean(),
            Self::Integer => value.as_f64().is_some_and(|number| number.fract() == 0.0),
            Self::Number => value.is_number(),
            Self::String => value.is_string(),
            Self::Array => value.is_array(),
            Self::Object => value.is_object(),
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        }
    }
}

/// A place in a body: the way there is written down only when something does not fit.
#[derive(Clone, Copy)]
enum Step<'a> {
    /// The body itself; says whether short texts have to be short in it.
    Body(bool),
    Field(&'a Step<'a>, &'a str),
    Item(&'a Step<'a>, usize),
}

impl Step<'_> {
    fn path(self) -> String {
        match self {
            Self::Body(_) => String::new(),
            Self::Field(before, name) => format!("{}[{name:?}]", before.path()),
            Self::Item(before, index) => format!("{}[{index}]", before.path()),
        }
    }

    /// How long a text may be here.
    fn bytes_max(self) -> Option<usize> {
        let field = match self {
            Self::Body(_) => return None,
            Self::Item(before, _) => return before.bytes_max(),
            Self::Field(_, name) => name,
        };
        self.has_limits().then(|| bytes_max(field)).flatten()
    }

    fn has_limits(self) -> bool {
        match self {
            Self::Body(limits) => limits,
            Self::Field(before, _) | Self::Item(before, _) => before.has_limits(),
        }
    }

    fn depth(self) -> usize {
        match self {
            Self::Body(_) => 0,
            Self::Field(before, _) | Self::Item(before, _) => before.depth() + 1,
        }
    }
}

/// What does not fit, and how much of the schema had fitted by then.
struct Trouble {
    misfit: Misfit,
    depth: usize,
    /// It is the word that tells several forms apart, so this form was not meant.
    other_form: bool,
}

impl Schema {
    /// Lets a field be missing.
    pub fn make_optional(&mut self, field: &str) {
        self.required.retain(|name| name != field);
    }

    /// Says nothing about a field any more.
    pub fn leave_out(&mut self, field: &str) {
        self.properties.remove(field);
        self.make_optional(field);
    }

    /// Holds a value against the schema.
    pub fn check(&self, value: &Value, short_texts: bool) -> Result<(), Misfit> {
        self.at(Step::Body(short_texts), value)
            .map_err(|trouble| trouble.misfit)
    }

    fn at(&self, step: Step<'_>, value: &Value) -> Result<(), Trouble> {
        if let Some(reference) = &self.reference {
            let name = reference.rsplit('/').next().unwrap_or_default();
            return named(name).map_or(Ok(()), |schema| schema.at(step, value));
        }
        if !self.any_of.is_empty() {
            return self.one_of(step, value);
        }
        if let Some(kind) = self.kind
            && !kind.fits(value)
        {
            return Err(trouble(step, kind.words(), value));
        }
        self.chosen(step, value)?;
        match value {
            Value::String(text) => self.text(step, text, value),
            Value::Number(number) => self.number(step, number.as_f64().unwrap_or(0.0), value),
            Value::Array(items) => self.array(step, items, value),
            Value::Object(fields) => self.object(step, fields),
            Value::Null | Value::Bool(_) => Ok(()),
        }
    }

    /// Of several forms, one must fit. Else the form that fitted longest is the one that was meant.
    fn one_of(&self, step: Step<'_>, value: &Value) -> Result<(), Trouble> {
        let mut troubles = Vec::new();
        for form in &self.any_of {
            match form.at(step, value) {
                Ok(()) => return Ok(()),
                Err(trouble) => troubles.push(trouble),
            }
        }
        let here = step.depth();
        let deepest = troubles
            .iter()
            .map(|trouble| (!trouble.other_form, trouble.depth))
            .max();
        match deepest {
            Some((true, depth)) if depth > here => {
                let meant = |trouble: &Trouble| !trouble.other_form && trouble.depth == depth;
                let at = troubles.iter().position(meant).unwrap_or_default();
                Err(troubles.swap_remove(at))
            }
            _ => {
                let deepest = troubles.iter().map(|trouble| trouble.depth).max();
                troubles.retain(|trouble| Some(trouble.depth) == deepest);
                let mut words: Vec<String> = Vec::new();
                for trouble in &troubles {
                    if !words.contains(&trouble.misfit.expected) {
                        words.push(trouble.misfit.expected.clone());
                    }
                }
                let mut first = troubles.swap_remove(0);
                first.misfit.expected = words.join(" | ");
                Err(first)
            }
        }
    }

    fn chosen(&self, step: Step<'_>, value: &Value) -> Result<(), Trouble> {
        let Some(choices) = &self.choices else {
            return Ok(());
        };
        if choices.contains(value) {
            return Ok(());
        }
        let words: Vec<String> = choices.iter().map(Value::to_string).collect();
        let mut trouble = trouble(step, &words.join(" | "), value);
        trouble.other_form = choices.len() == 1;
        Err(trouble)
    }

    fn text(&self, step: Step<'_>, text: &str, value: &Value) -> Result<(), Trouble> {
        if let Some(prefix) = self.pattern.as_deref().and_then(prefix)
            && !text.starts_with(prefix)
        {
            let words = format!("a string starting with {prefix:?}");
            return Err(trouble(step, &words, value));
        }
        if self.pattern.as_deref() == Some("\\S") && text.trim().is_empty() {
            return Err(trouble(step, "a string that is not blank", value));
        }
        if self.format.as_deref() == Some("uuid") && !is_uuid(text) {
            return Err(trouble(step, "a UUID", value));
        }
        let length = || text.chars().count();
        if let Some(least) = self.min_length
            && length() < least
        {
            let words = format!("a string of at least {least} characters");
            return Err(trouble(step, &words, value));
        }
        if let Some(most) = self.max_length
            && length() > most
        {
            let words = format!("a string of at most {most} characters");
            return Err(trouble(step, &words, value));
        }
        if let Some(most) = step.bytes_max()
            && text.len() > most
        {
            let words = format!("a string of at most {most} bytes");
            return Err(trouble(step, &words, value));
        }
        Ok(())
    }

    fn number(&self, step: Step<'_>, number: f64, value: &Value) -> Result<(), Trouble> {
        let low = self.minimum.filter(|least| number < *least);
        let high = self.maximum.filter(|most| number > *most);
        let not_above = self.exclusive_minimum.filter(|least| number <= *least);
        let words = match (low, high, not_above) {
            (Some(least), _, _) => format!("a number of at least {least}"),
            (_, Some(most), _) => format!("a number of at most {most}"),
            (_, _, Some(least)) => format!("a number above {least}"),
            (None, None, None) => return Ok(()),
        };
        Err(trouble(step, &words, value))
    }

    fn array(&self, step: Step<'_>, items: &[Value], value: &Value) -> Result<(), Trouble> {
        if let Some(least) = self.min_items
            && items.len() < least
        {
            let words = format!("an array of at least {least} items");
            return Err(trouble(step, &words, value));
        }
        if let Some(most) = self.max_items
            && items.len() > most
        {
            let words = format!("an array of at most {most} items");
            return Err(trouble(step, &words, value));
        }
        for (index, item) in items.iter().enumerate() {
            let schema = self.prefix_items.get(index).or(self.items.as_deref());
            if let Some(schema) = schema {
                schema.at(Step::Item(&step, index), item)?;
            }
        }
        Ok(())
    }

    fn object(
        &self,
        step: Step<'_>,
        fields: &serde_json::Map<String, Value>,
    ) -> Result<(), Trouble> {
        // What tells forms apart comes first, so that a fault elsewhere is told of the form that was meant.
        let order = |schema: &&Schema| schema.choices.as_ref().is_none_or(|one| one.len() != 1);
        let mut known: Vec<(&String, &Schema)> = self.properties.iter().collect();
        known.sort_by_key(|(_, schema)| order(schema));
        for (name, schema) in known {
            let place = Step::Field(&step, name);
            match fields.get(name) {
                Some(value) => schema.at(place, value)?,
                None if self.required.contains(name) => {
                    let mut trouble = trouble(place, &schema.words(), &Value::Null);
                    trouble.misfit.found = None;
                    trouble.other_form = !order(&schema);
                    return Err(trouble);
                }
                None => {}
            }
        }
        if let Some(Rest::Each(schema)) = &self.additional_properties {
            for (name, value) in fields {
                if !self.properties.contains_key(name) {
                    schema.at(Step::Field(&step, name), value)?;
                }
            }
        }
        Ok(())
    }

    /// What is expected, in words.
    fn words(&self) -> String {
        if let Some(choices) = &self.choices {
            let words: Vec<String> = choices.iter().map(Value::to_string).collect();
            return words.join(" | ");
        }
        if let Some(reference) = &self.reference {
            let name = reference.rsplit('/').next().unwrap_or_default();
            return named(name).map_or_else(|| "a value".into(), Self::words);
        }
        self.kind.map_or("a value", Kind::words).into()
    }
}

fn trouble(step: Step<'_>, expected: &str, value: &Value) -> Trouble {
    Trouble {
        misfit: Misfit {
            path: step.path(),
            expected: expected.into(),
            found: Some(found(value)),
        },
        depth: step.depth(),
        other_form: false,
    }
}

/// A value in a few words.
pub(super) fn found(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => format!("boolean `{value}`"),
        Value::Number(number) if number.is_f64() => format!("floating point `{number}`"),
        Value::Number(number) => format!("integer `{number}`"),
        Value::String(text) if text.len() > 60 => format!("a string of {} bytes", text.len()),
        Value::String(text) => format!("string {text:?}"),
        Value::Array(_) => "an array".into(),
        Value::Object(_) => "an object".into(),
    }
}

/// The beginning that a pattern asks for: `ses` of `^ses`. Other patterns are the handlers' to check.
fn prefix(pattern: &str) -> Option<&str> {
    let rest = pattern.strip_prefix('^')?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (!rest.is_empty() && rest.bytes().all(plain)).then_some(rest)
}

/// Five groups of hexadecimal digits.
fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths = groups.iter().map(|group| group.len());
    lengths.eq([8, 4, 4, 4, 12]) && groups.concat().bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// How long a text may be, by the name of its field; none for texts that are made to be long. Those end with the body's
/// own limit.
fn bytes_max(field: &str) -> Option<usize> {
    match field {
        "text" | "content" | "prompt" | "system" | "arguments" | "command" | "message"
        | "messages" | "answers" | "url" | "value" | "source" | "patch" | "diff" | "diffs"
        | "input" | "output" | "raw" | "error" | "body" | "data" | "schema" | "signature"
        | "responseBody" | "snapshot" | "before" | "after" | "token" | "key" | "access"
        | "refresh" | "iconUrl" | "override" | "stack" => None,
        "id" | "agent" | "mode" | "variant" | "type" | "name" | "slug" | "platform" | "service"
        | "level" | "permission" | "version" | "mime" | "status" | "tool" | "hash" | "color" => {
            Some(NAME_BYTES_MAX)
        }
        name if name.ends_with("ID") || name.ends_with("Id") => Some(NAME_BYTES_MAX),
        _ => Some(LINE_BYTES_MAX),
    }
}
