//! A command of the user's own: a turn with one call and no model. Nobody is asked, since the user gave the order.

use super::{Cx, Machine};
use crate::input::Prompt;
use crate::record::{Record, TurnKind};
use kilo_ports::tool::Access;
use kilo_protocol::model::{Message, Tokens};
use serde_json::json;
use std::sync::Arc;

/// The tool that runs it.
const TOOL: &str = "bash";

impl Machine {
    /// Stores the order and runs it. The shell refuses it while a turn runs.
    pub(super) fn shell(&mut self, cx: &mut Cx, prompt: Prompt, command: String) {
        if self.state.is_busy() || self.state.entry(&prompt.message.id).is_some() {
            return;
        }
        cx.durable();
        self.drop_reverted(cx);
        let Prompt { message, parts, .. } = prompt;
        let id = message.id.clone();
        cx.record(
            &mut self.state,
            Record::MessageUpdated(Box::new(Message::User(message))),
        );
        for part in parts {
            cx.record(&mut self.state, Record::PartUpdated(Box::new(part), cx.now));
        }
        self.open_turn(cx, id, TurnKind::Shell(command));
    }

    /// Starts the call in place of a model's.
    pub(super) fn run_shell(&mut self, cx: &mut Cx, command: &str) {
        let Some(run) = &mut self.run else { return };
        let Some(answer) = run.answer.clone() else {
            return;
        };
        run.tools = Arc::new(vec![(TOOL.into(), Access::Executes)]);
        run.ends = true;
        self.call_starts(cx, 0, format!("call_{answer}"), TOOL.into());
        let Some(run) = &mut self.run else { return };
        run.used_tool = false;
        run.finish = Some(("stop".into(), Tokens::default()));
        let Some(call) = run.calls.first_mut() else {
            return;
        };
        call.arguments = json!({"command": command}).to_string();
        let id = call.id.clone();
        self.start_call(cx, &id);
    }
}
