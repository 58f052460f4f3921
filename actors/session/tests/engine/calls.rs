//! Orders for tool calls: none is lost, however many come at once.

use crate::world::{World, answer_with_calls, run};
use kilo_runtime::limits::CALLS_MAX;

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
