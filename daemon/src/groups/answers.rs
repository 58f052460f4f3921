//! What waits for a person: permissions, questions, the network.

use super::{Answer, routes};
use crate::daemon::Daemon;
use kilo_edge::{Reply, Request};
use kilo_ports::tool::QuestionAnswer;
use kilo_protocol::model::{Action, Rule};
use kilo_protocol::requests::{
    AllowEverything, PermissionAnswer, ReplyPermission, ReplyQuestion, SaveRules,
};
use kilo_protocol::{Fault, FaultKind, PermissionId, QuestionId};
use kilo_session::activity::Open;
use kilo_session::input::Reply as Decision;
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;

routes! {
    "question.list" => questions;
    "question.reply" => reply_question;
    "question.reject" => reject_question;
    "permission.list" => permissions;
    "permission.reply" => reply_permission;
    "permission.saveAlwaysRules" => save_rules;
    "permission.allowEverything" => allow_everything;
    "network.list" => networks;
    "network.reply" => reply_network;
    "network.reject" => reject_network;
}

async fn permissions(daemon: Arc<Daemon>, request: Request) -> Answer {
    let open = daemon
        .engine()
        .await?
        .core()
        .ledger
        .activity()
        .permissions();
    of_directory(&daemon, &request, open)
}

/// Of all that is open, what belongs to the request's directory.
fn of_directory<T: Serialize>(daemon: &Daemon, request: &Request, open: Vec<Open<T>>) -> Answer {
    let directory = daemon.directory(request);
    let mine: Vec<T> = open
        .into_iter()
        .filter(|open| *open.directory == *directory)
        .map(|open| open.request)
        .collect();
    Reply::json(&mine)
}

pub(super) fn decision(answer: PermissionAnswer) -> Decision {
    match answer {
        PermissionAnswer::Once => Decision::Once,
        PermissionAnswer::Always => Decision::Always,
        PermissionAnswer::Reject => Decision::Reject,
    }
}

fn no_permission(id: &PermissionId) -> Fault {
    Fault::tagged(
        FaultKind::NotFound,
        "PermissionNotFoundError",
        format!("Permission request not found: {id}"),
        json!({"requestID": id}),
    )
}

pub(super) async fn answer(
    daemon: &Daemon,
    id: &str,
    reply: Decision,
    message: Option<String>,
) -> Answer {
    let id = PermissionId::from_wire(id);
    match daemon
        .engine()
        .await?
        .sessions()
        .reply_permission(&id, reply, message)
        .await?
    {
        Some(()) => Reply::json(&true),
        None => Err(no_permission(&id)),
    }
}

async fn reply_permission(daemon: Arc<Daemon>, request: Request) -> Answer {
    let ReplyPermission { reply, message } = request.json()?;
    let id = request.params.get("requestID");
    answer(&daemon, id, decision(reply), message).await
}

/// Saves chosen patterns of an open request for the project, and refuses others there.
async fn save_rules(daemon: Arc<Daemon>, request: Request) -> Answer {
    let body: SaveRules = request.json()?;
    let engine = daemon.engine().await?;
    let id = PermissionId::from_wire(request.params.get("requestID"));
    let open = engine
        .core()
        .ledger
        .activity()
        .permissions()
        .into_iter()
        .find(|open| open.request.id == id);
    let open = open.ok_or_else(|| no_permission(&id))?.request;
    let rule = |pattern: String, action| Rule {
        permission: match action {
            Action::Allow => open.saved_name().into(),
            _ => open.permission.clone().into(),
        },
        pattern: pattern.into(),
        action,
    };
    let mut rules: Vec<Rule> = body
        .approved_always
        .into_iter()
        .map(|pattern| rule(pattern, Action::Allow))
        .collect();
    rules.extend(
        body.denied_always
            .into_iter()
            .map(|pattern| rule(pattern, Action::Deny)),
    );
    let project = engine.queries().session(&open.session_id)?.project_id;
    let core = engine.core();
    core.approvals.add(&project, rules, core.now())?;
    Reply::json(&true)
}

/// Allows everything in a session. Needs a server with a password, as in the reference.
async fn allow_everything(daemon: Arc<Daemon>, request: Request) -> Answer {
    if !daemon.has_password {
        return Ok(Reply::Empty(401));
    }
    let body: AllowEverything = request.json()?;
    let (session, enable) = (body.session()?.clone(), body.enable);
    let rule = Rule {
        permission: "*".into(),
        pattern: "*".into(),
        action: Action::Allow,
    };
    let engine = daemon.engine().await?;
    engine
        .sessions()
        .change_head(
            &session,
            Arc::new(move |info| {
                let rules = info.permission.get_or_insert_default();
                rules.retain(|other| *other != rule);
                if enable {
                    rules.push(rule.clone());
                }
            }),
        )
        .await?;
    if let Some(id) = body.request_id {
        return answer(&daemon, id.as_str(), Decision::Once, None).await;
    }
    Reply::json(&true)
}

async fn questions(daemon: Arc<Daemon>, request: Request) -> Answer {
    let open = daemon.engine().await?.core().ledger.activity().questions();
    of_directory(&daemon, &request, open)
}

async fn answer_question(daemon: &Daemon, id: &str, answer: QuestionAnswer) -> Answer {
    let id = QuestionId::from_wire(id);
    match daemon
        .engine()
        .await?
        .sessions()
        .reply_question(&id, answer)
        .await?
    {
        Some(()) => Reply::json(&true),
        None => Err(Fault::tagged(
            FaultKind::NotFound,
            "QuestionNotFoundError",
            format!("Question not found: {id}"),
            json!({"requestID": id}),
        )),
    }
}

async fn reply_question(daemon: Arc<Daemon>, request: Request) -> Answer {
    let ReplyQuestion { answers } = request.json()?;
    answer_question(
        &daemon,
        request.params.get("requestID"),
        QuestionAnswer::Answered(answers),
    )
    .await
}

async fn reject_question(daemon: Arc<Daemon>, request: Request) -> Answer {
    answer_question(
        &daemon,
        request.params.get("requestID"),
        QuestionAnswer::Dismissed,
    )
    .await
}

async fn networks(daemon: Arc<Daemon>, request: Request) -> Answer {
    let open = daemon.engine().await?.core().ledger.activity().networks();
    of_directory(&daemon, &request, open)
}

async fn answer_network(daemon: &Daemon, id: &str, again: bool) -> Answer {
    let id = QuestionId::from_wire(id);
    match daemon
        .engine()
        .await?
        .sessions()
        .reply_network(&id, again)
        .await?
    {
        Some(()) => Reply::json(&true),
        None => Err(Fault::not_found("Network request", id)),
    }
}

async fn reply_network(daemon: Arc<Daemon>, request: Request) -> Answer {
    answer_network(&daemon, request.params.get("requestID"), true).await
}

async fn reject_network(daemon: Arc<Daemon>, request: Request) -> Answer {
    answer_network(&daemon, request.params.get("requestID"), false).await
}
