//! `question`: asks the user.

use crate::call::{self, facts};
use kilo_ports::BoxFuture;
use kilo_ports::tool::{Access, QuestionAnswer, Tool, ToolCx, ToolError, ToolOutput, ToolSpec};
use serde_json::{Value, json};
use std::sync::Arc;

/// Questions of one call.
const QUESTIONS_MAX: usize = 10;

/// Asks the user one or more questions with options, and waits as long as it takes.
///
/// A question that the user dismissed is a normal result that ends the turn. Whether a model may ask at all is for the
/// session's rules to say.
pub struct Question;

impl Tool for Question {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "question",
            description: include_str!("descriptions/question.md").into(),
            parameters: Arc::new(parameters()),
            access: Access::Session,
        }
    }

    fn run(
        &self,
        mut input: Value,
        cx: ToolCx,
    ) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        Box::pin(async move {
            let questions = match input["questions"].take() {
                Value::Array(questions) if !questions.is_empty() => questions,
                _ => {
                    return Err(ToolError::failed(crate::invalid_arguments(
                        "question",
                        "questions has no items",
                    )));
                }
            };
            let answer =
                call::or_stopped(&cx, cx.host.question(&cx.call, questions.clone())).await??;
            Ok(match answer {
                QuestionAnswer::Answered(answers) => answered(&questions, answers),
                QuestionAnswer::Dismissed => dismissed(),
            })
        })
    }
}

fn parameters() -> Value {
    json!({
        "type": "object",
        "properties": {
            "questions": {
                "type": "array",
                "description": "The questions, shown together",
                "maxItems": QUESTIONS_MAX,
                "items": {
                    "type": "object",
                    "properties": {
                        "question": {"type": "string", "description": "The whole question"},
                        "header": {"type": "string", "description": "A label of at most 30 characters"},
                        "options": {
                            "type": "array",
                            "description": "The choices",
                            "items": {
                                "type": "object",
                                "properties": {
                                    "label": {"type": "string", "description": "One to five words"},
                                    "description": {"type": "string", "description": "What this choice means"},
                                    "labelKey": {"type": "string"},
                                    "descriptionKey": {"type": "string"},
                                    "mode": {"type": "string", "description": "An agent to switch to with this choice"},
                                },
                                "required": ["label", "description"],
                            },
                        },
                        "multiple": {"type": "boolean", "description": "More than one choice may be taken"},
                        "default": {"type": "string", "description": "The label to offer first"},
                        "questionKey": {"type": "string"},
                        "headerKey": {"type": "string"},
                    },
                    "required": ["question", "header", "options"],
                },
            },
        },
        "required": ["questions"],
    })
}

fn answered(questions: &[Value], answers: Vec<Vec<String>>) -> ToolOutput {
    let line = |(index, question): (usize, &Value)| {
        let labels = answers.get(index).filter(|labels| !labels.is_empty());
        let answer = labels.map_or("(no answer)".to_owned(), |labels| labels.join(", "));
        format!(
            "{}: {answer}",
            question["question"].as_str().unwrap_or_default()
        )
    };
    let lines: Vec<String> = questions.iter().enumerate().map(line).collect();
    let title = match questions.len() {
        1 => "Asked 1 question".to_owned(),
        count => format!("Asked {count} questions"),
    };
    let output = format!("The user answered:\n{}", lines.join("\n"));
    ToolOutput {
        title,
        output,
        metadata: facts([("answers", json!(answers))]),
        ..ToolOutput::default()
    }
}

fn dismissed() -> ToolOutput {
    ToolOutput {
        title: "Question dismissed".into(),
        output: "The user dismissed the question without an answer.".into(),
        metadata: facts([("answers", json!([])), ("dismissed", true.into())]),
        ends_turn: true,
        ..ToolOutput::default()
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Stage;
    use serde_json::{Value, json};

    fn question() -> Value {
        let options = json!([{"label": "A", "description": "first"}, {"label": "B", "description": "second"}]);
        json!({"questions": [{"question": "Which?", "header": "Pick", "options": options}]})
    }

    #[tokio::test]
    async fn answers_reach_the_model() {
        let stage = Stage::new();
        *stage.host.answers.lock() = Some(vec![vec!["B".into()]]);
        let output = stage.done("question", question()).await;
        assert_eq!(output.title, "Asked 1 question");
        assert_eq!(output.output, "The user answered:\nWhich?: B");
        assert_eq!(
            Value::Object(output.metadata),
            json!({"answers": [["B"]], "truncated": false})
        );
        assert!(!output.ends_turn);
    }

    #[tokio::test]
    async fn a_dismissed_question_ends_the_turn() {
        let stage = Stage::new();
        let output = stage.done("question", question()).await;
        assert_eq!(output.title, "Question dismissed");
        let metadata = json!({"answers": [], "dismissed": true, "truncated": false});
        assert_eq!(Value::Object(output.metadata), metadata);
        assert!(output.ends_turn);
    }

    #[tokio::test]
    async fn no_question_is_no_call() {
        let stage = Stage::new();
        assert!(
            stage
                .fails("question", json!({"questions": []}))
                .await
                .contains("invalid arguments")
        );
    }
}
