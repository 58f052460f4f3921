//! `todowrite`: replaces the session's todo list.

use crate::call::{self, ask_any, facts};
use crate::schema;
use kilo_ports::BoxFuture;
use kilo_ports::tool::{Access, Tool, ToolCx, ToolError, ToolOutput, ToolSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Entries of one list.
const TODOS_MAX: usize = 500;

/// Replaces the todo list; the output is the list itself. The title counts what is not completed.
pub struct TodoWrite;

#[derive(Deserialize, JsonSchema)]
struct TodowriteInput {
    /// The whole list, in order
    #[schemars(length(max = TODOS_MAX))]
    todos: Vec<Entry>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Entry {
    /// What is to be done, in a few words
    content: String,
    /// pending, in_progress, completed or cancelled
    status: String,
    /// high, medium or low
    priority: String,
}

impl Tool for TodoWrite {
    fn spec(&self) -> ToolSpec {
        schema::spec::<TodowriteInput>(
            "todowrite",
            include_str!("descriptions/todowrite.md"),
            Access::Session,
        )
    }

    fn run(&self, input: Value, cx: ToolCx) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        Box::pin(async move { replace(call::arguments("todowrite", input)?, &cx).await })
    }
}

async fn replace(input: TodowriteInput, cx: &ToolCx) -> Result<ToolOutput, ToolError> {
    let open = input.todos.iter().filter(|todo| todo.status != "completed");
    let title = format!("{} todos", open.count());
    let todos: Vec<Value> = input.todos.iter().map(|todo| json!(todo)).collect();
    call::ask(cx, ask_any("todowrite", vec!["*".into()], Map::new())).await?;
    call::or_stopped(cx, cx.host.set_todos(todos.clone())).await??;
    let output = serde_json::to_string_pretty(&todos)
        .map_err(|error| ToolError::failed(format!("Cannot show the list: {error}")))?;
    let changed = todos.len();
    let todos = Value::Array(todos);
    // The whole list is replaced each time, so all of it counts as changed and nothing is hidden.
    let view = json!({"mode": "full", "todos": todos, "hiddenBefore": 0, "hiddenAfter": 0, "changed": changed});
    Ok(ToolOutput {
        title,
        output,
        metadata: facts([("todos", todos), ("view", view)]),
        ..ToolOutput::default()
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::Stage;
    use serde_json::{Value, json};

    #[tokio::test]
    async fn the_list_is_stored_and_given_back() {
        let stage = Stage::new();
        let todos = json!([
            {"content": "one", "status": "in_progress", "priority": "high"},
            {"content": "two", "status": "pending", "priority": "low"},
        ]);
        let output = stage.done("todowrite", json!({"todos": todos})).await;
        assert_eq!(output.title, "2 todos");
        assert!(
            output.output.starts_with(
                "[\n  {\n    \"content\": \"one\",\n    \"status\": \"in_progress\",\n"
            )
        );
        let view = json!({"mode": "full", "todos": todos, "hiddenBefore": 0, "hiddenAfter": 0, "changed": 2});
        assert_eq!(
            Value::Object(output.metadata),
            json!({"todos": todos, "view": view, "truncated": false})
        );
        assert_eq!(Value::Array(stage.host.todos.lock().clone()), todos);
    }
}
