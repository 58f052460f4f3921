//! `question`: asks the user.

use crate::call::{self, facts};
use crate::schema;
use kilo_ports::BoxFuture;
use kilo_ports::tool::{Access, QuestionAnswer, Tool, ToolCx, ToolError, ToolOutput, ToolSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Questions of one call.
const QUESTIONS_MAX: usize = 10;

/// Asks the user one or more questions with options, and waits as long as it takes.
///
/// A question that the user dismissed is a normal result that ends the turn. Whether a model may ask at all is for the
/// session's rules to say.
pub struct Question;

#[derive(Deserialize, JsonSchema)]
struct QuestionInput {
    /// The questions, shown together
    #[schemars(length(max = QUESTIONS_MAX))]
    questions: Vec<Asked>,
}

// A question as clients show it. The keys name texts that clients translate.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Asked {
    /// The whole question
    question: String,
    /// A label of at most 30 characters
    header: String,
    /// The choices
    options: Vec<Choice>,
    /// More than one choice may be taken
    #[serde(skip_serializing_if = "Option::is_none")]
    multiple: Option<bool>,
    /// The label to offer first
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    question_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    header_key: Option<String>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Choice {
    /// One to five words
    label: String,
    /// What this choice means
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    label_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description_key: Option<String>,
    /// An agent to switch to with this choice
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
}

impl Tool for Question {
    fn spec(&self) -> ToolSpec {
        schema::spec::<QuestionInput>(
            "question",
            include_str!("descriptions/question.md"),
            Access::Session,
        )
    }

    fn run(&self, input: Value, cx: ToolCx) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        Box::pin(async move { question(call::arguments("question", input)?, &cx).await })
    }
}

async fn question(input: QuestionInput, cx: &ToolCx) -> Result<ToolOutput, ToolError> {
    if input.questions.is_empty() {
        let fault = crate::invalid_arguments("question", "questions has no items");
        return Err(ToolError::failed(fault));
    }
    let shown: Vec<Value> = input.questions.iter().map(|asked| json!(asked)).collect();
    let answer = call::or_stopped(cx, cx.host.question(&cx.call, shown)).await??;
    Ok(match answer {
        QuestionAnswer::Answered(answers) => answered(&input.questions, answers),
        QuestionAnswer::Dismissed => dismissed(),
    })
}

fn answered(questions: &[Asked], answers: Vec<Vec<String>>) -> ToolOutput {
    let line = |(index, asked): (usize, &Asked)| {
        let labels = answers.get(index).filter(|labels| !labels.is_empty());
        let answer = labels.map_or("(no answer)".to_owned(), |labels| labels.join(", "));
        format!("{}: {answer}", asked.question)
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
