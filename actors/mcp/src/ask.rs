//! What a server wants to know of a person, put as questions of the session that calls it.

use kilo_ports::tool::QuestionAnswer;
use serde_json::{Map, Value, json};

/// Fields of one form.
const FIELDS_MAX: usize = 10;
/// Choices of one field.
const CHOICES_MAX: usize = 50;
/// Characters of a text of the server.
const TEXT_CHARS_MAX: usize = 1_000;
/// The choice that gives no answer to a field that needs none.
const LEAVE_OUT: &str = "Leave it out";

/// A form: its questions, and how their answers are read.
#[derive(Debug, PartialEq)]
pub struct Form {
    /// As the question tool has them.
    pub questions: Vec<Value>,
    fields: Vec<Field>,
}

#[derive(Debug, PartialEq)]
struct Field {
    name: String,
    kind: Kind,
    is_required: bool,
    /// What counts where nothing is answered.
    default: Option<Value>,
}

#[derive(Debug, PartialEq)]
enum Kind {
    Text,
    Number {
        is_whole: bool,
    },
    Flag,
    /// Labels and what they stand for.
    Choice(Vec<(String, Value)>),
    Choices(Vec<(String, Value)>),
    /// Nothing to fill in: yes or no.
    Consent,
}

impl Form {
    /// The form of `elicitation/create`'s params, or `None` when it cannot be put to a person.
    pub fn of(server: &str, params: &Value) -> Option<Self> {
        let message = cut(field(params, "message"));
        let says = format!("The MCP server {server} asks: {message}");
        if let Some(url) = params.get("url").and_then(Value::as_str) {
            // Whoever opens what does not lead to the web runs something here.
            let known = url::Url::parse(url).ok()?;
            if !matches!(known.scheme(), "http" | "https") {
                return None;
            }
            let text = format!("{says}\n\nOpen {known} and come back.");
            return Some(Self::consent(server, &text, "I have done it"));
        }
        let schema = &params["requestedSchema"];
        let properties = schema.get("properties").and_then(Value::as_object);
        let properties = properties.filter(|all| !all.is_empty());
        let Some(properties) = properties else {
            return Some(Self::consent(server, &says, "Yes"));
        };
        if properties.len() > FIELDS_MAX {
            return None;
        }
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let mut form = Self {
            questions: Vec::new(),
            fields: Vec::new(),
        };
        for (name, property) in properties {
            let kind = kind(property)?;
            let is_required = required.contains(&name.as_str());
            form.questions
                .push(question(server, &says, name, property, &kind, is_required));
            form.fields.push(Field {
                name: name.clone(),
                kind,
                is_required,
                default: property.get("default").cloned(),
            });
        }
        Some(form)
    }

    /// A question that is answered with yes or no.
    pub fn consent(server: &str, text: &str, yes: &str) -> Self {
        let options = [(yes, ""), ("No", "")];
        Self {
            questions: vec![json!({
                "question": text,
                "header": header(server),
                "options": options.map(|(label, description)| json!({"label": label, "description": description})),
            })],
            fields: vec![Field {
                name: yes.to_owned(),
                kind: Kind::Consent,
                is_required: true,
                default: None,
            }],
        }
    }

    /// The server's answer: `{action: "accept", content}`, or `decline`, or `cancel`.
    pub fn answer(&self, answer: &QuestionAnswer) -> Value {
        let QuestionAnswer::Answered(answers) = answer else {
            return json!({"action": "cancel"});
        };
        let mut content = Map::new();
        for (index, field) in self.fields.iter().enumerate() {
            let labels = answers.get(index).map(Vec::as_slice).unwrap_or_default();
            if field.kind == Kind::Consent {
                return match labels {
                    [label] if *label == field.name => json!({"action": "accept", "content": {}}),
                    _ => json!({"action": "decline"}),
                };
            }
            let default = || field.default.clone().filter(|value| !value.is_null());
            match field.value(labels).or_else(default) {
                Some(value) => {
                    content.insert(field.name.clone(), value);
                }
                None if field.is_required => return json!({"action": "decline"}),
                None => {}
            }
        }
        json!({"action": "accept", "content": content})
    }
}

impl Field {
    fn value(&self, labels: &[String]) -> Option<Value> {
        let first = labels.first().map(String::as_str).unwrap_or_default();
        let first = Some(first.trim()).filter(|text| !text.is_empty() && *text != LEAVE_OUT);
        let stands_for = |all: &[(String, Value)], label: &str| {
            let found = all.iter().find(|(known, _)| known == label);
            found.map(|(_, value)| value.clone())
        };
        match &self.kind {
            Kind::Text => first.map(Value::from),
            Kind::Number { is_whole: true } => first?.parse::<i64>().ok().map(Value::from),
            Kind::Number { is_whole: false } => first?.parse::<f64>().ok().map(Value::from),
            Kind::Flag => match first? {
                "Yes" => Some(true.into()),
                "No" => Some(false.into()),
                _ => None,
            },
            Kind::Choice(all) => stands_for(all, first?),
            Kind::Choices(all) => {
                let chosen = labels.iter().filter_map(|label| stands_for(all, label));
                let chosen: Vec<Value> = chosen.collect();
                (!chosen.is_empty() || self.is_required).then(|| chosen.into())
            }
            Kind::Consent => None,
        }
    }
}

fn kind(property: &Value) -> Option<Kind> {
    if let Some(choices) = choices(property) {
        return Some(Kind::Choice(choices));
    }
    Some(match field(property, "type") {
        "boolean" => Kind::Flag,
        "integer" => Kind::Number { is_whole: true },
        "number" => Kind::Number { is_whole: false },
        "array" => Kind::Choices(choices(&property["items"])?),
        "string" => Kind::Text,
        _ => return None,
    })
}

/// The choices of a property: `enum` (with `enumNames`), or constants with titles.
fn choices(property: &Value) -> Option<Vec<(String, Value)>> {
    if let Some(values) = property.get("enum").and_then(Value::as_array) {
        let names = property.get("enumNames").and_then(Value::as_array);
        let label = |index: usize, value: &Value| {
            let name = names.and_then(|names| names.get(index)).unwrap_or(value);
            self::label(name)
        };
        let all = values.iter().enumerate().take(CHOICES_MAX);
        return Some(
            all.map(|(index, value)| (label(index, value), value.clone()))
                .collect(),
        );
    }
    let titled = property.get("oneOf").or_else(|| property.get("anyOf"))?;
    let all = titled.as_array()?.iter().take(CHOICES_MAX);
    all.map(|choice| {
        let value = choice.get("const")?.clone();
        let title = label(choice.get("title").unwrap_or(&value));
        Some((title, value))
    })
    .collect()
}

/// A value as a person picks it.
fn label(value: &Value) -> String {
    let text = value.as_str().map(str::to_owned);
    cut(&text.unwrap_or_else(|| value.to_string()))
}

fn question(
    server: &str,
    says: &str,
    name: &str,
    property: &Value,
    kind: &Kind,
    is_required: bool,
) -> Value {
    let title = match field(property, "title") {
        "" => name,
        title => title,
    };
    let what = match field(property, "description") {
        "" => title.to_owned(),
        what => format!("{title}: {what}"),
    };
    let mut labels: Vec<String> = match kind {
        Kind::Flag => vec!["Yes".into(), "No".into()],
        Kind::Choice(all) | Kind::Choices(all) => {
            all.iter().map(|(label, _)| label.clone()).collect()
        }
        _ => {
            let default = property.get("default").filter(|value| !value.is_null());
            // A label is the answer: one that cannot be shown as it is is left to whoever answers nothing.
            let shown = default.filter(|value| value.as_str().is_none_or(|text| cut(text) == text));
            shown.map(label).into_iter().collect()
        }
    };
    if !is_required {
        labels.push(LEAVE_OUT.into());
    }
    let options: Vec<Value> = labels
        .iter()
        .map(|label| json!({"label": label, "description": ""}))
        .collect();
    let mut question = json!({
        "question": format!("{says}\n\n{}", cut(&what)),
        "header": header(server),
        "options": options,
    });
    if matches!(kind, Kind::Choices(_)) {
        question["multiple"] = true.into();
    }
    question
}

fn header(server: &str) -> String {
    server.chars().take(30).collect()
}

/// A text of the server as a terminal may show it.
fn cut(text: &str) -> String {
    harmless(text).chars().take(TEXT_CHARS_MAX).collect()
}

/// Without signs that would do something to a terminal, or turn a text around.
pub fn harmless(text: &str) -> String {
    let is_bad = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let shown = text.chars().map(|c| if is_bad(c) { '\u{fffd}' } else { c });
    shown.collect()
}

fn field<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(labels: &[&[&str]]) -> QuestionAnswer {
        let lists = labels.iter();
        QuestionAnswer::Answered(
            lists
                .map(|list| list.iter().map(ToString::to_string).collect())
                .collect(),
        )
    }

    #[test]
    fn forms_become_questions_and_their_answers_content() {
        let params = json!({"message": "Who?", "requestedSchema": {"type": "object", "properties": {
            "name": {"type": "string", "title": "Name", "description": "yours", "default": "Ann"},
            "age": {"type": "integer"}, "size": {"type": "number"}, "ok": {"type": "boolean"},
            "colour": {"type": "string", "enum": ["r", "b"], "enumNames": ["Red", "Blue"]},
            "days": {"type": "array", "items": {"anyOf": [{"const": "mo", "title": "Monday"}, {"const": "tu", "title": "Tuesday"}]}},
        }, "required": ["name", "age"]}});
        let form = Form::of("s", &params).unwrap();
        assert_eq!(
            form.questions[0],
            json!({"question": "The MCP server s asks: Who?\n\nName: yours", "header": "s",
                   "options": [{"label": "Ann", "description": ""}]})
        );
        let labels: &[&[&str]] = &[
            &["Bo"],
            &["7"],
            &["1.5"],
            &["No"],
            &["Blue"],
            &["Monday", "Tuesday"],
        ];
        assert_eq!(
            form.answer(&answered(labels)),
            json!({"action": "accept", "content": {"name": "Bo", "age": 7, "size": 1.5, "ok": false, "colour": "b", "days": ["mo", "tu"]}})
        );
        let few: &[&[&str]] = &[&["Bo"], &["7"], &[LEAVE_OUT], &[], &["green"]];
        assert_eq!(
            form.answer(&answered(few)),
            json!({"action": "accept", "content": {"name": "Bo", "age": 7}})
        );
        assert_eq!(
            form.answer(&answered(&[&["Bo"], &["old"]])),
            json!({"action": "decline"})
        );
        assert_eq!(
            form.answer(&QuestionAnswer::Dismissed),
            json!({"action": "cancel"})
        );
    }

    #[test]
    fn addresses_and_empty_forms_want_consent_and_odd_ones_are_not_asked() {
        let url = json!({"message": "Sign", "url": "https://x/y"});
        let form = Form::of("s", &url).unwrap();
        assert!(
            form.questions[0]["question"]
                .as_str()
                .unwrap()
                .contains("https://x/y")
        );
        let accept = json!({"action": "accept", "content": {}});
        assert_eq!(form.answer(&answered(&[&["I have done it"]])), accept);
        assert_eq!(
            form.answer(&answered(&[&["No"]])),
            json!({"action": "decline"})
        );
        for bad in ["javascript:alert(1)", "file:///etc/passwd", "no address"] {
            assert_eq!(Form::of("s", &json!({"message": "Sign", "url": bad})), None);
        }
        let hostile = json!({"message": "\u{1b}[2Jall is well\u{202e}"});
        let shown = Form::of("s", &hostile).unwrap().questions[0]["question"].clone();
        assert_eq!(
            shown,
            "The MCP server s asks: \u{fffd}[2Jall is well\u{fffd}"
        );
        let odd = json!({"requestedSchema": {"properties": {"x": {"type": "object"}}}});
        assert_eq!(Form::of("s", &odd), None);
        let many: Map<String, Value> = (0..11)
            .map(|n| (n.to_string(), json!({"type": "string"})))
            .collect();
        assert_eq!(
            Form::of("s", &json!({"requestedSchema": {"properties": many}})),
            None
        );
    }
}
