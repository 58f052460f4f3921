//! Permissions and questions.

use super::{Call, Cx, Machine};
use crate::input::{Effect, Reply};
use crate::record::{Record, TurnKind};
use kilo_config::permission::{Decision as Judged, evaluate};
use kilo_ports::tool::{Ask, QuestionAnswer, ToolError};
use kilo_protocol::model::{
    Action, CallRef, PermissionRequest, QuestionRequest, Rule, ToolState, VERSION, saved_name,
};
use kilo_protocol::{CallId, PermissionId, QuestionId};
use serde_json::{Value, json};

/// The refusal for a request of a call that ended already.
pub(super) fn too_late(call: CallId) -> Effect {
    Effect::AnswerNow(
        call,
        Err(ToolError::Aborted {
            metadata: Default::default(),
        }),
    )
}

/// Who allowed a call without a question, by the layer of the rule: the agent (with the configuration), the session, or a
/// user of the project who once answered "always".
const SOURCES: [&str; 3] = ["agent", "session", "project"];

impl Machine {
    /// Judges a request: allowed and refused ones are answered at once, the rest waits for a person.
    pub(super) fn ask(&mut self, cx: &mut Cx, call: &CallId, mut ask: Ask, saved: &[Rule]) {
        if matches!(
            self.run.as_ref().map(|run| &run.kind),
            Some(TurnKind::Shell(_))
        ) {
            cx.effect(Effect::AnswerNow(call.clone(), Ok(())));
            return;
        }
        if !matches!(self.call_state(call), Some(ToolState::Running { .. })) {
            return cx.effect(too_late(call.clone()));
        }
        if ask.patterns.is_empty() {
            // A request about nothing in particular is one about everything, never one that needs no rule.
            ask.patterns.push("*".into());
        }
        let judged: Vec<(String, Judged)> = ask
            .patterns
            .iter()
            .map(|pattern| (pattern.clone(), self.judge(&ask, pattern, saved)))
            .collect();
        if let Some((pattern, denied)) = judged
            .iter()
            .find(|(_, judged)| judged.action == Action::Deny)
        {
            let rule = &denied.rule;
            let why = format!(
                "A rule denies this: permission {} for \"{pattern}\" (rule {} \"{}\" deny).",
                ask.permission, rule.permission, rule.pattern
            );
            if let Some(call) = self.call_mut(call) {
                call.denied = true;
            }
            cx.effect(Effect::AnswerNow(call.clone(), Err(ToolError::Denied(why))));
            return;
        }
        let open: Vec<String> = judged
            .iter()
            .filter(|(_, judged)| ask.must_ask || judged.action == Action::Ask)
            .map(|(pattern, _)| pattern.clone())
            .collect();
        if open.is_empty() {
            if let Some((_, judged)) = judged.last() {
                let source = SOURCES[judged.layer.min(SOURCES.len() - 1)];
                self.approve(call, source, &judged.rule);
            }
            cx.effect(Effect::AnswerNow(call.clone(), Ok(())));
            return;
        }
        let Some(message) = self.run.as_ref().and_then(|run| run.answer.clone()) else {
            return;
        };
        match ask.version {
            Some(version) => ask.metadata.insert(VERSION.into(), version.into()),
            None => ask.metadata.remove(VERSION),
        };
        let request = PermissionRequest {
            id: cx.ids.permission(cx.now),
            session_id: self.state.info.id.clone(),
            permission: ask.permission,
            patterns: open,
            metadata: ask.metadata,
            always: ask.always,
            tool: Some(CallRef {
                message_id: message,
                call_id: call.clone(),
            }),
        };
        cx.record(&mut self.state, Record::PermissionAsked(Box::new(request)));
        if let Some(call) = self.call_mut(call) {
            call.must_ask = ask.must_ask;
        }
    }

    fn call_mut(&mut self, id: &CallId) -> Option<&mut Call> {
        self.run
            .as_mut()?
            .calls
            .iter_mut()
            .find(|call| call.id == *id)
    }

    /// What the rules say: agent and session rules decide; what users allowed for the project counts only where those ask,
    /// what they denied counts always.
    fn judge(&self, ask: &Ask, pattern: &str, saved: &[Rule]) -> Judged {
        let permission = ask.permission.as_str();
        let agent: &[Rule] = self
            .run
            .as_ref()
            .map(|run| run.rules.as_slice())
            .unwrap_or_default();
        let session: &[Rule] = self.state.info.permission.as_deref().unwrap_or_default();
        let judged = evaluate(permission, pattern, &[agent, session]);
        let mut by_answer = evaluate(permission, pattern, &[saved]);
        if by_answer.action != Action::Deny && ask.version.is_some() {
            // A denial is for all forms, an allowance for the one that the user saw.
            let saved_as = saved_name(permission, ask.version.as_deref());
            by_answer = evaluate(&saved_as, pattern, &[saved]);
        }
        if judged.action != Action::Deny && by_answer.action == Action::Deny {
            return Judged {
                layer: 2,
                ..by_answer
            };
        }
        // Answers were given under rules that a broken configuration does not show any more: a denial may be among them.
        let counts_saved = self.run.as_ref().is_none_or(|run| run.counts_saved);
        if judged.action != Action::Ask || !counts_saved {
            return judged;
        }
        if by_answer.action == Action::Ask {
            judged
        } else {
            Judged {
                layer: 2,
                ..by_answer
            }
        }
    }

    fn approve(&mut self, call: &CallId, source: &str, rule: &Rule) {
        let mut approval = json!({"source": source, "rule": rule});
        if let (Some(run), "agent") = (&self.run, source) {
            approval["agent"] = run.agent.clone().into();
        }
        if let Some(call) = self.call_mut(call) {
            call.approval = Some(approval);
        }
    }

    /// A person's answer.
    pub(super) fn answer(
        &mut self,
        cx: &mut Cx,
        id: &PermissionId,
        reply: Reply,
        message: Option<String>,
    ) {
        let Some(request) = self
            .state
            .permissions
            .iter()
            .find(|request| request.id == *id)
            .cloned()
        else {
            return;
        };
        cx.durable();
        self.settle(
            cx,
            &request,
            reply,
            message.filter(|text| !text.trim().is_empty()),
        );
        match reply {
            Reply::Once => {}
            Reply::Always => {
                let permission = request.saved_name();
                let rules: Vec<Rule> = request
                    .always
                    .iter()
                    .map(|pattern| Rule {
                        permission: permission.clone().into(),
                        pattern: pattern.clone().into(),
                        action: Action::Allow,
                    })
                    .collect();
                self.settle_covered(cx, &rules);
                cx.effect(Effect::SaveRules(rules));
            }
            Reply::Reject => {
                for other in self.state.permissions.clone() {
                    self.settle(cx, &other, Reply::Reject, None);
                }
            }
        }
    }

    /// The other open requests that `rules` allow now, but for those that a person must answer.
    fn settle_covered(&mut self, cx: &mut Cx, rules: &[Rule]) {
        for other in self.state.permissions.clone() {
            let call = other.tool.as_ref().map(|tool| tool.call_id.clone());
            if call
                .and_then(|call| self.call_mut(&call))
                .is_some_and(|call| call.must_ask)
            {
                continue;
            }
            let name = other.saved_name();
            let covered = other
                .patterns
                .iter()
                .all(|pattern| evaluate(&name, pattern, &[rules]).action == Action::Allow);
            if covered {
                self.settle(cx, &other, Reply::Always, None);
            }
        }
    }

    fn settle(
        &mut self,
        cx: &mut Cx,
        request: &PermissionRequest,
        reply: Reply,
        message: Option<String>,
    ) {
        cx.record(
            &mut self.state,
            Record::PermissionReplied(request.id.clone(), reply.as_str().into()),
        );
        let result = match (reply, message) {
            (Reply::Reject, Some(message)) => Err(ToolError::Denied(format!(
                "The user rejected this call and says: {message}"
            ))),
            (Reply::Reject, None) => Err(ToolError::Rejected(
                "The user rejected permission for this call.".into(),
            )),
            _ => {
                if let Some(tool) = &request.tool {
                    let rule = Rule {
                        permission: request.permission.clone().into(),
                        pattern: request.patterns.first().cloned().unwrap_or_default().into(),
                        action: Action::Allow,
                    };
                    self.approve(&tool.call_id.clone(), "manual", &rule);
                }
                Ok(())
            }
        };
        cx.effect(Effect::AnswerAsk(request.id.clone(), result));
    }

    /// A call ended: what it still asked is closed, so that no client waits for it any more.
    pub(super) fn close_requests_of(&mut self, cx: &mut Cx, call: &CallId) {
        let is_its =
            |tool: &Option<CallRef>| tool.as_ref().is_some_and(|tool| tool.call_id == *call);
        for request in self
            .state
            .permissions
            .clone()
            .into_iter()
            .filter(|request| is_its(&request.tool))
        {
            cx.record(
                &mut self.state,
                Record::PermissionReplied(request.id, Reply::Reject.as_str().into()),
            );
        }
        for question in self
            .state
            .questions
            .clone()
            .into_iter()
            .filter(|question| is_its(&question.tool))
        {
            cx.record(&mut self.state, Record::QuestionRejected(question.id));
        }
    }

    /// A call asks the user.
    pub(super) fn question(&mut self, cx: &mut Cx, call: &CallId, questions: Vec<Value>) {
        if !matches!(self.call_state(call), Some(ToolState::Running { .. })) {
            return;
        }
        let Some(message) = self.run.as_ref().and_then(|run| run.answer.clone()) else {
            return;
        };
        let request = QuestionRequest {
            id: cx.ids.question(cx.now),
            session_id: self.state.info.id.clone(),
            questions,
            tool: Some(CallRef {
                message_id: message,
                call_id: call.clone(),
            }),
        };
        cx.record(&mut self.state, Record::QuestionAsked(Box::new(request)));
    }

    /// The user's answer.
    pub(super) fn question_answer(&mut self, cx: &mut Cx, id: &QuestionId, answer: QuestionAnswer) {
        if !self
            .state
            .questions
            .iter()
            .any(|question| question.id == *id)
        {
            return;
        }
        cx.durable();
        let record = match &answer {
            QuestionAnswer::Answered(answers) => {
                Record::QuestionReplied(id.clone(), answers.clone())
            }
            QuestionAnswer::Dismissed => Record::QuestionRejected(id.clone()),
        };
        cx.record(&mut self.state, record);
        cx.effect(Effect::AnswerQuestion(id.clone(), Ok(answer)));
    }
}
