//! How turns end that nobody ended.

use crate::world::{World, run};
use kilo_ports::provider::Chunk;
use kilo_protocol::model::Status;

/// The task that reads the provider may panic or be dropped: its channel closes, and nothing says how the answer ends.
#[test]
fn a_stream_that_closes_without_an_end_fails_its_step() {
    run(async |world: World| {
        let half = vec![Ok(vec![Chunk::Text("half".into())])];
        world.model.answer(half);
        let session = world.session().await;
        assert_eq!(world.prompt(&session, "go").await, "half");
        let view = world.engine.queries().view(&session).await.expect("a view");
        assert_eq!(view.status, Status::Idle);
        let answer = view.messages[1].info.assistant().expect("an answer");
        let error = answer.error.as_ref().expect("an error");
        assert!(error.message().contains("broke off"), "{}", error.message());
        assert_eq!(world.prompt(&session, "again").await, "done");
    });
}
