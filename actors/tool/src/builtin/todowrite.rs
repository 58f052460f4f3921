//! `todowrite`: replaces the session's todo list.

use crate::call::{self, ask_any, facts};
use kilo_ports::BoxFuture;
use kilo_ports::tool::{Access, Tool, ToolCx, ToolError, ToolOutput, ToolSpec};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Entries of one list.
const TODOS_MAX: usize = 500;

/// Replaces the todo list; the output is the list itself. The title counts what is not completed.
pub struct TodoWrite;

impl Tool for TodoWrite {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "todowrite",
            description: include_str!("descriptions/todowrite.md").into(),
            parameters: Arc::new(json!({
                "type": "object",
                "properties": {
                    "todos": {
                        "type": "array",
                        "description": "The whole list, in order",
                        "maxItems": TODOS_MAX,
                        "items": {
                            "type": "object",
                            "properties": {
                                "content": {"type": "string", "description": "What is to be done, in a few words"},
                                "status": {"type": "string", "description": "pending, in_progress, completed or cancelled"},
                                "priority": {"type": "string", "description": "high, medium or low"},
                            },
                            "required": ["content", "status", "priority"],
                        },
                    },
                },
                "required": ["todos"],
            })),
            access: Access::Session,
        }
    }

    fn run(
        &self,
        mut input: Value,
        cx: ToolCx,
    ) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        Box::pin(async move {
            let Value::Array(todos) = input["todos"].take() else {
                return Err(ToolError::failed(crate::invalid_arguments(
                    "todowrite",
                    "todos is required and missing",
                )));
            };
            call::ask(&cx, ask_any("todowrite", vec!["*".into()], Map::new())).await?;
            call::or_stopped(&cx, cx.host.set_todos(todos.clone())).await??;
            let open = todos
                .iter()
                .filter(|todo| todo["status"] != "completed")
                .count();
            let output = serde_json::to_string_pretty(&todos)
                .map_err(|error| ToolError::failed(format!("Cannot show the list: {error}")))?;
            let changed = todos.len();
            let todos = Value::Array(todos);
            // The whole list is replaced each time, so all of it counts as changed and nothing is hidden.
            let view = json!({"mode": "full", "todos": todos, "hiddenBefore": 0, "hiddenAfter": 0, "changed": changed});
            let metadata = facts([("todos", todos), ("view", view)]);
            Ok(ToolOutput {
                title: format!("{open} todos"),
                output,
                metadata,
                ..ToolOutput::default()
            })
        })
    }
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
