//! Orders for tool calls: none is lost, however many come at once.

use crate::world::{World, answer_with_calls, run};
use kilo_runtime::limits::CALLS_MAX;
use kilo_session::input::Reply;
use serde_json::json;

/// A session that was never used has a runner that has just started: its mailbox must take a whole answer's calls.
#[test]
fn as_many_calls_as_an_answer_may_have_end_in_a_cold_session() {
    run(async |world: World| {
        world.model.answer(answer_with_calls(CALLS_MAX, "read"));
        let session = world.session().await;
        let answer = world.prompt(&session, "read them all").await;
        assert_eq!(answer, "done", "the turn went on to its end");
        assert_eq!(world.tools.ended(), CALLS_MAX);
    });
}

/// The tool is found in the session's folder, and a person is told whose it is, whatever the tool says itself.
#[test]
fn a_request_of_a_servers_tool_names_the_server() {
    run(async |world: World| {
        world.model.answer(answer_with_calls(1, "remote"));
        let session = world.session().await;
        let answering = async {
            loop {
                let open = world.engine.core().ledger.activity().permissions();
                if let Some(request) = open.first() {
                    let sessions = world.engine.sessions();
                    let replied = sessions.reply_permission(&request.request.id, Reply::Once, None);
                    replied.await.expect("an open request");
                    return request.request.metadata.clone();
                }
                tokio::task::yield_now().await;
            }
        };
        let (answer, metadata) = tokio::join!(world.prompt(&session, "go"), answering);
        assert_eq!(answer, "done");
        let source = json!({"type": "mcp", "server": "tracker"});
        assert_eq!(metadata.get("source"), Some(&source));
    });
}
