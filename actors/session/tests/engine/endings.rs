//! How turns end that nobody ended.

use crate::world::{World, run};
use kilo_ports::provider::Chunk;
use kilo_protocol::FaultKind;
use kilo_protocol::model::Status;
use kilo_protocol::requests::{InputPart, Prompt};

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

/// What cannot be written is refused; what is there can be read, and nothing seems to run.
#[test]
fn a_full_disk_leaves_the_session_readable() {
    run(async |world: World| {
        let session = world.session().await;
        assert_eq!(world.prompt(&session, "one").await, "done");
        // The disk fills up in the middle of a turn.
        world
            .model
            .answer(vec![Ok(vec![Chunk::Text("half".into())])]);
        let body = || Prompt {
            parts: vec![InputPart::text("two")],
            ..Prompt::default()
        };
        let sessions = world.engine.sessions();
        let (id, accepted) = sessions.prompt(&session, body()).await.expect("accepted");
        while world.model.requests.lock().len() < 2 {
            tokio::task::yield_now().await;
        }
        world.store.fill(true);
        let answer = sessions.answer(&session, &id, accepted).await;
        assert!(answer.is_err(), "{answer:?}");
        let refused = sessions.prompt(&session, body()).await.err();
        assert_eq!(refused.expect("a fault").kind, FaultKind::StorageFull);
        let view = world.engine.queries().view(&session).await.expect("a view");
        assert_eq!(view.status, Status::Idle);
        assert!(view.messages.len() >= 3, "{:?}", view.messages);
        assert!(world.engine.queries().statuses().is_empty());
        world.store.heal();
        assert_eq!(world.prompt(&session, "three").await, "done");
    });
}
