//! The real engine in bad weather: two clients, a moody model, tools that panic or do not listen, appends that fail or
//! panic, panics of the actor, hang-ups, repeated requests, hours of idleness in between.
//!
//! After every step: what runs belongs to the live actor, a session's state is the fold of its log, and what many readers
//! see (activity, catalogue) is that too. At the end every wait has come to its end and nothing runs.
//!
//! `KILO_STORM_SEEDS` raises the number of seeds, `KILO_STORM_FROM` sets the first one. A failure names its seed.

use crate::chance::Chance;
use crate::faults::{
    BreakingStore, Fault as Break, INJECTED, Moody, MoodyTools, Running, SlowCheckpoints,
};
use crate::world::{OneFolder, TestClock, folder, in_system};
use kilo_ports::fakes::{FakeSandbox, NoFiles};
use kilo_ports::store::Store;
use kilo_ports::tool::QuestionAnswer;
use kilo_protocol::model::{ModelRef, PartBody, Status};
use kilo_protocol::requests::{InputPart, NewSession, Prompt};
use kilo_protocol::{Fault, MessageId, SessionId};
use kilo_runtime::{Bus, Journal, Placement};
use kilo_session::apply::fold;
use kilo_session::input::Reply;
use kilo_session::machine::Edit;
use kilo_session::record::Logged;
use kilo_session::state::State;
use kilo_session::{Engine, Ports};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// What clients do in a run, before it is let to come to rest.
const STEPS: usize = 60;

/// Seeds in the tests: four tests of a quarter each, so that they run beside one another.
const SEEDS: u64 = 1_000;

#[test]
fn whatever_breaks_a_session_has_one_owner_and_every_wait_ends_1() {
    storms(0);
}

#[test]
fn whatever_breaks_a_session_has_one_owner_and_every_wait_ends_2() {
    storms(1);
}

#[test]
fn whatever_breaks_a_session_has_one_owner_and_every_wait_ends_3() {
    storms(2);
}

#[test]
fn whatever_breaks_a_session_has_one_owner_and_every_wait_ends_4() {
    storms(3);
}

fn storms(quarter: u64) {
    quiet_injected_panics();
    let (from, seeds) = (
        number("KILO_STORM_FROM", 1),
        number("KILO_STORM_SEEDS", SEEDS),
    );
    let seen: Arc<Mutex<BTreeMap<&'static str, usize>>> = Arc::default();
    for seed in (from..from + seeds).filter(|seed| seed % 4 == quarter) {
        let counts = Arc::clone(&seen);
        let run = catch_unwind(AssertUnwindSafe(|| {
            in_system(async || Storm::new(seed, counts).await.rage().await);
        }));
        if let Err(failure) = run {
            eprintln!("KILO_STORM_FROM={seed} KILO_STORM_SEEDS=1 runs it alone");
            resume_unwind(failure);
        }
    }
    let seen = seen.lock();
    println!("{seen:?}");
    if seeds >= SEEDS {
        // A storm that no longer reaches something proves nothing about it.
        for what in [
            "answer",
            "append failed",
            "append panicked",
            "died",
            "edit",
            "hang-up",
            "passivated",
            "refused",
            "repeated",
            "undo",
            "undo done",
            "view",
            "wait ended",
        ] {
            let count = seen.get(what).copied().unwrap_or_default();
            assert!(count >= 20, "{what} hardly happened: {seen:?}");
        }
    }
}

/// Panics on purpose are not printed.
fn quiet_injected_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let payload = info.payload();
        let text = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied());
        if text != Some(INJECTED) {
            usual(info);
        }
    }));
}

#[allow(
    clippy::disallowed_methods,
    reason = "a knob of the test run, not of the program"
)]
fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(otherwise)
}

struct Storm {
    seed: u64,
    chance: Chance,
    engine: Arc<Engine>,
    store: Arc<BreakingStore>,
    running: Running,
    sessions: Vec<SessionId>,
    /// Clients that wait for something.
    waits: Vec<JoinHandle<()>>,
    prompts: u64,
    /// The fold of each log, and how many records are in it.
    folds: HashMap<SessionId, (usize, Option<State>)>,
    seen: Arc<Mutex<BTreeMap<&'static str, usize>>>,
    _home: tempfile::TempDir,
}

impl Storm {
    async fn new(seed: u64, seen: Arc<Mutex<BTreeMap<&'static str, usize>>>) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let (store, running) = (Arc::new(BreakingStore::default()), Running::default());
        let ports = Ports {
            models: Arc::new(Moody {
                chance: Arc::new(Mutex::new(Chance::new(seed ^ 0xABCD))),
                running: running.clone(),
            }),
            sandbox: Arc::new(FakeSandbox::default()),
            files: Arc::new(NoFiles),
            checkpoints: Arc::new(SlowCheckpoints),
            clock: Arc::new(TestClock(Instant::now())),
            folders: Arc::new(OneFolder(folder(
                home.path(),
                true,
                Arc::new(MoodyTools(running.clone())),
            ))),
            handle: Handle::current(),
            output_dir: home.path().join("output"),
            home: home.path().to_path_buf(),
        };
        let journal = Journal::new(Arc::clone(&store) as _, Bus::default());
        let (engine, _) = Engine::open(ports, journal, Placement::here()).expect("an engine");
        running.watch(&engine);
        let mut sessions = Vec::new();
        for _ in 0..2 {
            let directory = home.path().display().to_string();
            let made = engine.sessions().create(&directory, NewSession::default());
            sessions.push(made.await.expect("a session").id);
        }
        Self {
            seed,
            chance: Chance::new(seed),
            engine,
            store,
            running,
            sessions,
            waits: Vec::new(),
            prompts: 0,
            folds: HashMap::new(),
            seen,
            _home: home,
        }
    }

    fn note(&self, what: &'static str) {
        *self.seen.lock().entry(what).or_default() += 1;
    }

    async fn rage(mut self) {
        for _ in 0..STEPS {
            self.step().await;
            let pause = [0, 0, 1, 5, 20, 100, 400, 3_000];
            sleep(Duration::from_millis(self.chance.pick(&pause))).await;
            for session in self.sessions.clone() {
                self.check(&session).await;
            }
        }
        self.come_to_rest().await;
    }

    async fn step(&mut self) {
        let session = self.chance.pick(&self.sessions);
        let engine = Arc::clone(&self.engine);
        match self.chance.below(100) {
            0..25 => self.prompt(session),
            25..33 => self.ask_for(session, async move |engine, session| {
                engine.sessions().abort(&session).await;
                Ok(())
            }),
            33..37 => self.ask_for(session, async move |engine, session| {
                engine.sessions().resume(&session).await.map(|_| ())
            }),
            37..40 => self.ask_for(session, async move |engine, session| {
                let model = ModelRef {
                    provider_id: "test".into(),
                    model_id: "model".into(),
                    variant: None,
                };
                engine.sessions().summarize(&session, model, false).await
            }),
            40..48 => self.undo(session).await,
            48..52 => self.edit(session).await,
            52..55 => self.ask_for(session, async move |engine, session| {
                let change = Arc::new(|info: &mut kilo_protocol::model::Session| {
                    info.title = "Chosen".into();
                });
                engine
                    .sessions()
                    .change_head(&session, change)
                    .await
                    .map(|_| ())
            }),
            55..57 => self.ask_for(session, async move |engine, session| {
                engine.sessions().drain(&session, "token".into()).await
            }),
            57..60 => {
                let body = self.body();
                self.ask_for(session, async move |engine, session| {
                    let ran = engine.sessions().shell(&session, body, "make".into());
                    ran.await.map(|_| ())
                });
            }
            60..75 => self.answer_requests().await,
            75..80 => {
                self.note("died");
                let _ = engine.sessions().inject_panic(&session).await;
            }
            80..84 => {
                self.note("append failed");
                self.store.break_next(Break::Fails);
            }
            84..87 => {
                self.note("append panicked");
                self.store.break_next(Break::Panics);
            }
            87..92 => self.hang_up(),
            92..95 => {
                // Long enough for idle actors to go, and for deaths to be forgotten.
                sleep(Duration::from_secs(40 * 60)).await;
                if engine.sessions().generation(&session).is_none() {
                    self.note("passivated");
                }
            }
            _ => self.heal(),
        }
    }

    fn heal(&self) {
        self.store.heal();
    }

    /// A client that waits for the end of something.
    fn ask_for<F>(
        &mut self,
        session: SessionId,
        ask: impl FnOnce(Arc<Engine>, SessionId) -> F + Send + 'static,
    ) where
        F: Future<Output = Result<(), Fault>> + 'static,
    {
        let engine = Arc::clone(&self.engine);
        let seen = Arc::clone(&self.seen);
        // On this thread: what a client does need not be `Send` here.
        self.waits.push(tokio::task::spawn_local(async move {
            let asked = ask(engine, session).await;
            let what = if asked.is_ok() {
                "wait ended"
            } else {
                "refused"
            };
            *seen.lock().entry(what).or_default() += 1;
        }));
    }

    fn body(&mut self) -> Prompt {
        self.prompts += 1;
        Prompt {
            message_id: Some(MessageId::from_wire(format!(
                "msg_{:06}_{:04}",
                self.prompts, self.seed
            ))),
            parts: vec![InputPart::text("go")],
            no_reply: self.chance.percent(5),
            ..Prompt::default()
        }
    }

    /// A prompt, sometimes sent twice under one id.
    fn prompt(&mut self, session: SessionId) {
        let body = self.body();
        let times = if self.chance.percent(20) { 2 } else { 1 };
        if times == 2 {
            self.note("repeated");
        }
        for _ in 0..times {
            let (body, seen) = (body.clone(), Arc::clone(&self.seen));
            self.ask_for(session.clone(), async move |engine, session| {
                let sessions = engine.sessions();
                let (id, accepted) = sessions.prompt(&session, body).await?;
                sessions.answer(&session, &id, accepted).await?;
                *seen.lock().entry("answer").or_default() += 1;
                Ok(())
            });
        }
    }

    async fn undo(&mut self, session: SessionId) {
        if self.chance.percent(30) {
            return self.ask_for(session, async move |engine, session| {
                engine.sessions().unrevert(&session).await.map(|_| ())
            });
        }
        let Some(message) = self.some_message(&session).await else {
            return;
        };
        self.note("undo");
        let seen = Arc::clone(&self.seen);
        self.ask_for(session, async move |engine, session| {
            engine.sessions().revert(&session, message, None).await?;
            *seen.lock().entry("undo done").or_default() += 1;
            Ok(())
        });
    }

    async fn some_message(&mut self, session: &SessionId) -> Option<MessageId> {
        let view = self.engine.queries().view(session).await.ok()?;
        if view.messages.is_empty() {
            return None;
        }
        let place = self.chance.below(view.messages.len());
        Some(view.messages[place].info.id().clone())
    }

    async fn edit(&mut self, session: SessionId) {
        let Ok(view) = self.engine.queries().view(&session).await else {
            return;
        };
        let parts: Vec<_> = view
            .messages
            .iter()
            .flat_map(|entry| &entry.parts)
            .collect();
        if parts.is_empty() {
            return;
        }
        let part = parts[self.chance.below(parts.len())].as_ref().clone();
        let edit = if self.chance.percent(50) {
            Edit::RemovePart(part.message_id, part.id)
        } else {
            Edit::RemoveMessage(part.message_id)
        };
        self.note("edit");
        self.ask_for(session, async move |engine, session| {
            engine.sessions().edit(&session, edit).await
        });
    }

    async fn answer_requests(&mut self) {
        let engine = Arc::clone(&self.engine);
        let activity = engine.core().ledger.activity();
        if let Some(open) = activity.permissions().first() {
            let reply = self
                .chance
                .pick(&[Reply::Once, Reply::Always, Reply::Reject]);
            let id = &open.request.id;
            let _ = engine.sessions().reply_permission(id, reply, None).await;
        }
        if let Some(open) = activity.questions().first() {
            let answer = QuestionAnswer::Answered(vec![vec!["yes".into()]]);
            let _ = engine
                .sessions()
                .reply_question(&open.request.id, answer)
                .await;
        }
    }

    fn hang_up(&mut self) {
        if self.waits.is_empty() {
            return;
        }
        self.note("hang-up");
        let place = self.chance.below(self.waits.len());
        self.waits.swap_remove(place).abort();
    }

    /// What must hold at every moment.
    async fn check(&mut self, session: &SessionId) {
        if let Some(live) = self.engine.sessions().generation(session) {
            let strangers = self.running.strangers(session, live);
            assert!(
                strangers.is_empty(),
                "beside the actor {live} of {session} something runs for {strangers:?}"
            );
        }
        let before = self.store.newest();
        let Ok(view) = self.engine.queries().view(session).await else {
            return;
        };
        // Only what was read while nothing was written can be compared.
        if self.store.newest() != before || self.engine.sessions().generation(session).is_none() {
            return;
        }
        self.note("view");
        let engine = Arc::clone(&self.engine);
        let state = self.folded(session);
        assert!(
            view.messages == state.messages,
            "{} differs from the log's {}",
            json(&view.messages),
            json(&state.messages)
        );
        assert_eq!(json(&view.info), json(&state.info), "head");
        assert_eq!(view.queue, state.queue);
        let ledger = &engine.core().ledger;
        let activity = ledger.activity();
        assert_eq!(activity.is_busy(session), state.is_busy(), "activity");
        let asked = activity.permissions();
        let asked = asked
            .iter()
            .filter(|open| open.request.session_id == *session)
            .count();
        assert_eq!(asked, state.permissions.len(), "open requests");
        let listed = ledger.catalog().get(session).expect("it is listed");
        assert_eq!(listed.title, state.info.title, "catalogue");
        assert_eq!(listed.updated, state.info.time.updated, "catalogue");
    }

    fn folded(&mut self, session: &SessionId) -> &State {
        let log = self.store.load_whole(session).expect("the log");
        let (known, state) = self.folds.entry(session.clone()).or_default();
        let records: Vec<Logged> = log.tail[*known..]
            .iter()
            .map(|stored| serde_json::from_slice(&stored.body).expect("a record"))
            .collect();
        *known = log.tail.len();
        *state = fold(state.take(), &records);
        state.as_ref().expect("a session")
    }

    /// Nothing breaks any more, and everything that was begun comes to its end.
    async fn come_to_rest(mut self) {
        self.running.calm.store(true, Ordering::Relaxed);
        self.heal();
        // Deaths are forgotten with time only by a new start; a session that was left alone can still be read.
        for _ in 0..200 {
            self.heal();
            self.answer_requests().await;
            for session in self.sessions.clone() {
                self.engine.sessions().abort(&session).await;
                self.check(&session).await;
            }
            sleep(Duration::from_secs(1)).await;
            let busy = |session: &SessionId| self.engine.core().ledger.activity().is_busy(session);
            self.waits.retain(|wait| !wait.is_finished());
            if self.waits.is_empty()
                && !self.sessions.iter().any(busy)
                && self.running.all().is_empty()
            {
                break;
            }
        }
        for wait in std::mem::take(&mut self.waits) {
            let ended = timeout(Duration::from_secs(600), wait).await;
            assert!(ended.is_ok(), "a client waits for ever");
        }
        assert!(
            self.running.all().is_empty(),
            "{:?} run on",
            self.running.all()
        );
        for session in self.sessions.clone() {
            let view = self.engine.queries().view(&session).await;
            let view = match view {
                Ok(view) => view,
                Err(fault) => panic!("{session} cannot be read: {fault}"),
            };
            assert_eq!(view.status, Status::Idle);
            for entry in &view.messages {
                let open = entry.parts.iter().any(
                    |part| matches!(&part.body, PartBody::Tool(tool) if !tool.state.is_final()),
                );
                assert!(!open, "a call of {} is open", entry.info.id());
            }
        }
        self.engine.sessions().shut_down().await;
        assert!(
            self.running.all().is_empty(),
            "something outlives the engine"
        );
    }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("JSON")
}
