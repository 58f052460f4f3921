//! The daemon is killed again and again in mid-stream: nothing that a client saw is missing, reordered or doubled.
//!
//! 30 cycles; `KILO_CRASH_CYCLES=1000` runs more, `KILO_CRASH_SEED=N` repeats a run's moments.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use kilo_tests::{Api, Daemon, Follower, Home, Mirror, Model, Project, Seen, Step, Turn, number};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

const SESSIONS: usize = 8;
/// Cycles that a set of sessions lives for: long enough to have history, short enough to stay quick.
const SET_CYCLES: u64 = 10;
/// Pieces of one answer; far more than pass before the kill.
const PIECES: usize = 2_000;

/// Small numbers that look random and can be had again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// One running session of a set.
struct Watched {
    id: String,
    /// Keys of prompts that were answered with success.
    accepted: Vec<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_a_client_saw_is_missing_reordered_or_doubled() {
    #[allow(clippy::disallowed_methods, reason = "a seed for this run, printed")]
    let now = SystemTime::UNIX_EPOCH
        .elapsed()
        .expect("a time")
        .subsec_nanos();
    let seed = number("KILO_CRASH_SEED", u64::from(now) | 1);
    let cycles = number("KILO_CRASH_CYCLES", 30);
    println!("KILO_CRASH_SEED={seed}");
    let mut dice = Dice(seed);
    let (home, model) = (Home::new(), Model::start());
    let project = Project::with(&model, &json!({"session": {"resume": "ask"}}));
    let mut clients = [Follower::new("/event"), Follower::new("/global/event")];
    let mut set: Vec<Watched> = Vec::new();
    let mut finished = Vec::new();
    let (mut kills_in_stream, mut slowest) = (0, Duration::ZERO);
    for cycle in 0..=cycles {
        let daemon = Daemon::start(&home);
        slowest = slowest.max(daemon.took);
        let api = daemon.api(&project);
        let before: Vec<Mirror> = clients
            .iter()
            .map(|client| client.look(|seen| Mirror::of(seen)))
            .collect();
        for client in &mut clients {
            client.attach(&api).await;
        }
        settled(&clients, &set).await;
        check(&api, &clients, &before, &set).await;
        if cycle == cycles {
            unchanged(&api, &finished).await;
            break;
        }
        if cycle % SET_CYCLES == 0 {
            for watched in std::mem::take(&mut set) {
                tools_ran_at_most_once(&project, &watched);
                finished.push((watched.id.clone(), api.messages(&watched.id).await));
            }
            clients.iter().for_each(Follower::forget);
            for _ in 0..SESSIONS {
                set.push(Watched {
                    id: api.session().await,
                    accepted: Vec::new(),
                });
            }
        }
        let from = clients[0].count();
        let moment = from + 1 + usize::try_from(dice.below(700)).unwrap();
        let prompts =
            (0..SESSIONS).map(|nth| tokio::spawn(prompt(&model, &api, &set[nth].id, nth, cycle)));
        let prompts: Vec<_> = prompts.collect();
        clients[0]
            .until("the moment of the kill", |seen| seen.len() >= moment)
            .await;
        daemon.kill();
        for client in &mut clients {
            client.detached().await;
        }
        for (watched, prompt) in set.iter_mut().zip(prompts) {
            watched.accepted.extend(prompt.await.expect("a prompt"));
        }
        let streamed = |seen: &[Seen]| {
            seen[from..]
                .iter()
                .any(|seen| seen.name() == "message.part.delta")
        };
        kills_in_stream += u64::from(clients[0].look(streamed));
    }
    println!("{cycles} kills, {kills_in_stream} of them in mid-stream, slowest start {slowest:?}");
    assert!(kills_in_stream * 2 >= cycles, "too few kills hit a stream");
}

/// Sessions of earlier sets are as they were when their set ended, kills later.
async fn unchanged(api: &Api, finished: &[(String, Vec<Value>)]) {
    for (id, messages) in finished {
        assert_eq!(
            api.messages(id).await,
            *messages,
            "session {id} changed later"
        );
    }
}

/// Prompts one session; answers the key if the daemon accepted it.
fn prompt(
    model: &Model,
    api: &Api,
    session: &str,
    nth: usize,
    cycle: u64,
) -> impl Future<Output = Option<String>> + use<> {
    let key = format!("s{nth}.c{cycle}");
    let stream = Turn::stream(&key, PIECES, Duration::from_millis(2 + nth as u64));
    if nth % 4 == 3 {
        // Some sessions run a command first; its file tells how often it ran.
        let command =
            json!({"command": format!("echo ran >> {key}.ran"), "description": "leave a mark"});
        model.script(
            &key,
            [Turn::of([Step::Call("bash".into(), command.to_string())])],
        );
    }
    model.script(&key, [stream]);
    let (api, session) = (api.clone(), session.to_owned());
    async move {
        let answer = api
            .try_prompt_async(&session, &format!("go [[{key}]]"))
            .await?;
        assert_eq!(answer.status, 204, "{}", answer.text);
        Some(key)
    }
}

/// Waits until both clients know that every turn of the set is closed.
async fn settled(clients: &[Follower; 2], set: &[Watched]) {
    for client in clients {
        client
            .until("closed turns", |seen| {
                let count =
                    |name: &str, id: &str| seen.iter().filter(|seen| seen.is(name, id)).count();
                set.iter().all(|watched| {
                    count("session.turn.open", &watched.id)
                        == count("session.turn.close", &watched.id)
                })
            })
            .await;
    }
}

async fn check(api: &Api, clients: &[Follower; 2], before: &[Mirror], set: &[Watched]) {
    for watched in set {
        let id = &watched.id;
        let stored = api.messages(id).await;
        for (nth, client) in clients.iter().enumerate() {
            client.look(|seen| {
                let mine: Vec<&Seen> = seen.iter().filter(|seen| about(seen, id)).collect();
                in_order(&mine, id);
                assert_eq!(
                    Mirror::of(mine).messages(id),
                    stored,
                    "client {nth} believes something else"
                );
            });
            for (part, text) in before
                .get(nth)
                .map(|mirror| mirror.texts(id))
                .unwrap_or_default()
            {
                let kept = text_of(&stored, &part).unwrap_or_else(|| panic!("part {part} is gone"));
                assert!(
                    kept.starts_with(&text),
                    "seen text is gone: {text:?} is not in {kept:?}"
                );
            }
        }
        texts_are_the_models(&stored);
        let prompts: Vec<String> = stored
            .iter()
            .filter(|message| message["info"]["role"] == "user")
            .filter_map(key)
            .collect();
        for accepted in &watched.accepted {
            let count = prompts.iter().filter(|prompt| *prompt == accepted).count();
            assert_eq!(
                count, 1,
                "prompt {accepted} was accepted and is there {count} times"
            );
        }
    }
    let list = |client: &Follower| -> Vec<String> {
        client.look(|seen| {
            let mine = |seen: &&Seen| set.iter().any(|watched| about(seen, &watched.id));
            seen.iter()
                .filter(mine)
                .filter_map(|seen| seen.id.clone())
                .collect()
        })
    };
    let (one, other) = (list(&clients[0]), list(&clients[1]));
    let shared = one.len().min(other.len());
    assert_eq!(
        one[..shared],
        other[..shared],
        "two clients saw different events"
    );
}

fn about(seen: &Seen, session: &str) -> bool {
    seen.field("sessionID") == session || seen.event["syncEvent"]["aggregateID"] == session
}

/// Positions only grow, and the session's own numbers have no gap.
fn in_order(seen: &[&Seen], session: &str) {
    let mut last = 0;
    let mut next: Option<u64> = None;
    for seen in seen {
        if let Some(id) = &seen.id {
            let pos: u64 = id
                .rsplit_once('-')
                .expect("a position")
                .1
                .parse()
                .expect("a number");
            assert!(pos > last, "{session}: position {pos} after {last}");
            last = pos;
        }
        if seen.name() == "sync" {
            let number = seen.event["syncEvent"]["seq"].as_u64().expect("a number");
            assert_eq!(
                number,
                next.unwrap_or(0),
                "{session}: a gap or a repetition"
            );
            next = Some(number + 1);
        }
    }
}

/// Every answer is a beginning of what the model said, and is closed.
fn texts_are_the_models(stored: &[Value]) {
    let keys: BTreeMap<&str, String> = stored
        .iter()
        .filter(|message| message["info"]["role"] == "user")
        .map(|message| {
            (
                message["info"]["id"].as_str().expect("an id"),
                key(message).expect("a key"),
            )
        })
        .collect();
    for answer in stored
        .iter()
        .filter(|message| message["info"]["role"] == "assistant")
    {
        let key = &keys[answer["info"]["parentID"].as_str().expect("a parent")];
        assert!(
            answer["info"]["time"]["completed"].is_u64(),
            "an answer is left open: {}",
            answer["info"]
        );
        for part in answer["parts"].as_array().expect("parts") {
            match part["type"].as_str() {
                Some("text") => is_beginning(key, part["text"].as_str().expect("a text")),
                Some("tool") => {
                    let status = part["state"]["status"].as_str().expect("a state");
                    assert!(
                        matches!(status, "completed" | "error"),
                        "a call is left {status}"
                    );
                }
                _ => {}
            }
        }
    }
}

fn is_beginning(key: &str, text: &str) {
    let mut whole = String::with_capacity(text.len() + 16);
    for n in 0.. {
        if whole.len() >= text.len() {
            break;
        }
        whole.push_str(&Turn::piece(key, n));
    }
    assert!(whole.starts_with(text), "not what the model said: {text:?}");
}

fn key(message: &Value) -> Option<String> {
    let text = message["parts"]
        .as_array()?
        .iter()
        .find_map(|part| part["text"].as_str())?;
    Some(text.split_once("[[")?.1.split_once("]]")?.0.to_owned())
}

fn text_of(stored: &[Value], part: &str) -> Option<String> {
    let parts = stored
        .iter()
        .flat_map(|message| message["parts"].as_array().expect("parts"));
    parts
        .filter(|known| known["id"] == part)
        .find_map(|part| part["text"].as_str().map(str::to_owned))
}

fn tools_ran_at_most_once(project: &Project, watched: &Watched) {
    for key in &watched.accepted {
        let times = project.read(&format!("{key}.ran")).lines().count();
        assert!(times <= 1, "the command of {key} ran {times} times");
    }
}
