use crate::BoxFuture;
use crate::after_write::AfterWrite;
use crate::aside::{Aside, AsideAnswer};
use crate::tool::{Ask, QuestionAnswer, TaskAgent, TaskAnswer, TaskOrder, ToolError, ToolHost};
use kilo_protocol::model::{FileChangeKind, Rule, Todo};
use kilo_protocol::{CallId, SessionId};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::sync::Arc;

/// A host that allows everything but what `denied` names, and remembers what it was asked.
#[derive(Default)]
pub struct FakeHost {
    /// Requests for permission so far.
    pub asks: Mutex<Vec<Ask>>,
    /// Permissions to refuse.
    pub denied: Mutex<Vec<String>>,
    /// Progress so far.
    pub progress: Mutex<Vec<Map<String, Value>>>,
    /// The todo list.
    pub todos: Mutex<Vec<Todo>>,
    /// Files that were about to be changed.
    pub will_change: Mutex<Vec<PathBuf>>,
    /// Files that were changed.
    pub edited: Mutex<Vec<(PathBuf, FileChangeKind)>>,
    /// The answer to every question; `None` dismisses.
    pub answers: Mutex<Option<Vec<Vec<String>>>>,
    /// What comes after a write.
    pub after_write: Mutex<Option<Arc<dyn AfterWrite>>>,
    /// Questions so far.
    pub questions: Mutex<Vec<Value>>,
    /// Nobody answers questions.
    pub is_silent: Mutex<bool>,
    /// What the model was asked so far.
    pub asides: Mutex<Vec<Aside>>,
    /// The rules in force.
    pub rules: Mutex<Vec<Rule>>,
}

fn ready<T: Send + 'static>(value: T) -> BoxFuture<'static, T> {
    Box::pin(std::future::ready(value))
}

impl ToolHost for FakeHost {
    fn ask(&self, _: &CallId, ask: Ask) -> BoxFuture<'static, Result<(), ToolError>> {
        let denied = self.denied.lock().contains(&ask.permission);
        self.asks.lock().push(ask);
        ready(if denied {
            Err(ToolError::Rejected("rejected".into()))
        } else {
            Ok(())
        })
    }

    fn progress(&self, _: &CallId, _: Option<String>, metadata: Map<String, Value>) {
        self.progress.lock().push(metadata);
    }

    fn question(
        &self,
        _: &CallId,
        questions: Vec<Value>,
    ) -> BoxFuture<'static, Result<QuestionAnswer, ToolError>> {
        self.questions.lock().extend(questions);
        if *self.is_silent.lock() {
            return Box::pin(std::future::pending());
        }
        ready(Ok(match self.answers.lock().clone() {
            Some(answers) => QuestionAnswer::Answered(answers),
            None => QuestionAnswer::Dismissed,
        }))
    }

    /// A model that says back how much it was told.
    fn ask_model(&self, aside: Aside) -> BoxFuture<'static, Result<AsideAnswer, String>> {
        let text = format!("{} messages came", aside.messages.len());
        self.asides.lock().push(aside);
        ready(Ok(AsideAnswer {
            text,
            model: "fake/m".into(),
            is_cut: false,
        }))
    }

    fn set_todos(&self, todos: Vec<Todo>) -> BoxFuture<'static, Result<(), ToolError>> {
        *self.todos.lock() = todos;
        ready(Ok(()))
    }

    fn task_agents(&self) -> Vec<TaskAgent> {
        vec![TaskAgent {
            name: "general".into(),
            description: "anything".into(),
        }]
    }

    fn task(
        &self,
        _: &CallId,
        order: TaskOrder,
        started: Box<dyn FnOnce(SessionId, Value) + Send>,
    ) -> BoxFuture<'static, Result<TaskAnswer, ToolError>> {
        let session = SessionId::from_wire("ses_child");
        let model = json!({"providerID": "fake", "modelID": "m"});
        started(session.clone(), model.clone());
        ready(Ok(TaskAnswer {
            session,
            text: format!("did: {}", order.prompt),
            error: None,
            model,
        }))
    }

    fn will_change(&self, path: PathBuf) -> BoxFuture<'static, ()> {
        self.will_change.lock().push(path);
        ready(())
    }

    fn after_write(&self) -> Option<Arc<dyn AfterWrite>> {
        self.after_write.lock().clone()
    }

    fn file_edited(&self, path: PathBuf, how: FileChangeKind) {
        self.edited.lock().push((path, how));
    }

    fn nearby_instructions(&self, _: PathBuf) -> BoxFuture<'static, Vec<(PathBuf, String)>> {
        ready(Vec::new())
    }

    fn rules(&self) -> Vec<Rule> {
        self.rules.lock().clone()
    }

    fn skills(&self) -> Vec<(String, String, PathBuf)> {
        Vec::new()
    }
}
