//! `task`: gives work to another agent in a child session.

use crate::call::{self, ask_any, facts};
use crate::schema;
use kilo_ports::BoxFuture;
use kilo_ports::tool::{
    Access, TaskAgent, TaskAnswer, TaskOrder, Tool, ToolCx, ToolError, ToolOutput, ToolSpec,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// How long a stopped child may take to end.
const STOP_TIME_MAX: Duration = Duration::from_secs(10);

/// Starts a child session, or goes on with one, waits for its end and gives its last text.
///
/// The child's id is shown as soon as there is one. `background` is understood and, for now, means a task that is
/// waited for.
pub struct Task;

#[derive(Deserialize, JsonSchema)]
struct TaskInput {
    /// Three to five words for the task
    description: String,
    /// Everything the agent needs to know
    prompt: String,
    /// The agent's name
    subagent_type: String,
    /// The id of an earlier task, to go on with it
    task_id: Option<String>,
    /// The command that ordered the task, if one did
    command: Option<String>,
    /// Do not wait for the end
    #[serde(rename = "background")]
    _background: Option<bool>,
}

/// The tool's description with the agents that it may start.
pub fn describe(agents: &[TaskAgent]) -> String {
    let lines: Vec<String> = agents
        .iter()
        .map(|agent| format!("- {}: {}", agent.name, agent.description))
        .collect();
    format!(
        "{}\n\nAgents:\n{}",
        include_str!("descriptions/task.md").trim_end(),
        lines.join("\n")
    )
}

impl Tool for Task {
    fn spec(&self) -> ToolSpec {
        schema::spec::<TaskInput>(
            "task",
            include_str!("descriptions/task.md"),
            Access::Session,
        )
    }

    fn run(&self, input: Value, cx: ToolCx) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        Box::pin(async move { task(call::arguments("task", input)?, &cx).await })
    }
}

async fn task(input: TaskInput, cx: &ToolCx) -> Result<ToolOutput, ToolError> {
    let agents = cx.host.task_agents();
    if !agents.iter().any(|agent| agent.name == input.subagent_type) {
        let names: Vec<String> = agents.into_iter().map(|agent| agent.name).collect();
        return Err(ToolError::failed(format!(
            "There is no agent \"{}\" for tasks. Agents: {}.",
            input.subagent_type,
            names.join(", ")
        )));
    }
    let request = facts([
        ("description", input.description.clone().into()),
        ("subagent_type", input.subagent_type.clone().into()),
    ]);
    call::ask(
        cx,
        ask_any("task", vec![input.subagent_type.clone()], request),
    )
    .await?;
    let title = input.description.clone();
    let parent = cx.session.to_string();
    let started = {
        let (host, call, title, parent) = (
            cx.host.clone(),
            cx.call.clone(),
            title.clone(),
            parent.clone(),
        );
        Box::new(move |child: kilo_protocol::SessionId, model: Value| {
            let known = facts([
                ("parentSessionId", parent.into()),
                ("sessionId", child.to_string().into()),
                ("model", model),
            ]);
            host.progress(&call, Some(title), known);
        })
    };
    let order = TaskOrder {
        description: input.description,
        prompt: input.prompt,
        agent: input.subagent_type,
        task_id: input.task_id,
        command: input.command,
    };
    let answer = ended(cx, cx.host.task(&cx.call, order, started)).await?;
    let child = answer.session.to_string();
    if let Some(error) = answer.error {
        return Err(ToolError::failed(format!(
            "The task failed: {error}\nIt can be taken up again with task_id \"{child}\"."
        )));
    }
    Ok(ToolOutput {
        title,
        output: format!(
            "<task id=\"{child}\" state=\"completed\">\n<task_result>\n{}\n</task_result>\n</task>",
            answer.text
        ),
        metadata: facts([
            ("parentSessionId", parent.into()),
            ("sessionId", child.into()),
            ("model", answer.model),
        ]),
        ..ToolOutput::default()
    })
}

/// Waits for the child's end. The host ends the child itself when the call is stopped, so it gets time for that.
async fn ended(
    cx: &ToolCx,
    mut child: BoxFuture<'static, Result<TaskAnswer, ToolError>>,
) -> Result<TaskAnswer, ToolError> {
    tokio::select! {
        answer = &mut child => return answer,
        () = cx.cancel.cancelled() => {}
    }
    match tokio::time::timeout(STOP_TIME_MAX, child).await {
        Ok(Err(error)) => Err(error),
        Ok(Ok(_)) | Err(_) => Err(call::stopped()),
    }
}

#[cfg(test)]
mod tests {
    use super::describe;
    use crate::testing::Stage;
    use kilo_ports::tool::TaskAgent;
    use serde_json::{Value, json};

    fn order(agent: &str) -> Value {
        json!({"description": "do sub", "prompt": "sub work", "subagent_type": agent})
    }

    #[tokio::test]
    async fn a_child_session_works_and_answers() {
        let stage = Stage::new();
        let output = stage.done("task", order("general")).await;
        assert_eq!(output.title, "do sub");
        assert_eq!(
            output.output,
            "<task id=\"ses_child\" state=\"completed\">\n<task_result>\ndid: sub work\n</task_result>\n</task>"
        );
        let known = json!({
            "parentSessionId": "ses_1", "sessionId": "ses_child", "model": {"providerID": "fake", "modelID": "m"},
        });
        assert_eq!(Value::Object(stage.host.progress.lock()[0].clone()), known);
        let mut metadata = known;
        metadata["truncated"] = false.into();
        assert_eq!(Value::Object(output.metadata), metadata);
        assert_eq!(
            stage.permissions(),
            [("task".to_owned(), vec!["general".to_owned()])]
        );
    }

    #[tokio::test]
    async fn an_unknown_agent_is_an_error() {
        let stage = Stage::new();
        let error = stage.fails("task", order("no-such")).await;
        assert_eq!(
            error,
            "There is no agent \"no-such\" for tasks. Agents: general."
        );
        assert!(stage.permissions().is_empty());
    }

    #[test]
    fn the_description_lists_the_agents() {
        let text = describe(&[TaskAgent {
            name: "explore".into(),
            description: "finds things".into(),
        }]);
        assert!(
            text.ends_with("\n\nAgents:\n- explore: finds things"),
            "{text}"
        );
    }
}
