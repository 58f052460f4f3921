//! Servers that do as they should, and all others.

#[allow(dead_code, reason = "each test target uses a part")]
mod support;

use kilo_mcp::Status;
use kilo_ports::tool::{Access, ToolError, ToolSource};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use support::{World, config, configs, find, status, until};

#[tokio::test(start_paused = true)]
async fn a_server_starts_at_its_first_use_and_its_tools_can_be_called() {
    let world = World::new();
    let folder = world.folder("one", &["plain"]);
    assert_eq!((world.seen.starts(), status(&folder)), (0, Status::New));
    folder.ready(Duration::from_secs(60)).await;
    assert_eq!(status(&folder), Status::Connected);
    let names: Vec<String> = folder
        .offered()
        .tools
        .iter()
        .map(|tool| tool.spec().name.to_string())
        .collect();
    assert_eq!(names, ["s0_echo", "s0_fail", "s0_slow"]);
    assert_eq!(world.call(&folder, "s0_echo").await, Ok("Echo: hi".into()));
    assert_eq!(
        world.call(&folder, "s0_fail").await,
        Err("it failed".into())
    );
    let spec = find(&folder, "s0_echo").spec();
    assert_eq!(spec.access, Access::Executes);
    assert_eq!(
        spec.source,
        ToolSource::Mcp {
            server: "s0".into()
        }
    );
    let ask = world.host.asks.lock()[0].clone();
    assert_eq!(ask.permission, "s0_echo");
    assert_eq!(
        (ask.patterns, ask.always),
        (vec!["*".into()], vec!["*".to_owned()])
    );
    assert!(ask.version.is_some());
    assert_eq!(
        folder.instructions(),
        [("s0".into(), "Use me well.".into())]
    );
    assert_eq!(folder.resources()[0].1.uri, "a://b");
    assert_eq!(folder.prompts()[0].1.name, "greet");
    let read = folder.read("s0", "a://b").await;
    assert_eq!(read, Ok(vec![json!({"uri": "a://b", "text": "content"})]));
    assert_eq!(world.seen.starts(), 1);
    assert_eq!(
        world.seen.specs.lock()[0].directory.to_str(),
        Some("/work/main")
    );
}

#[tokio::test(start_paused = true)]
async fn sessions_in_many_worktrees_share_one_process_of_each_server() {
    let world = Arc::new(World::new());
    let scripts = ["a", "b", "c", "d", "e"];
    let mut calls = Vec::new();
    for session in 0..20 {
        let world = Arc::clone(&world);
        calls.push(tokio::spawn(async move {
            let folder = world.folder(&format!("tree{}", session % 10), &scripts);
            folder.ready(Duration::from_secs(60)).await;
            for server in 0..5 {
                let said = world.call(&folder, &format!("s{server}_echo")).await;
                assert_eq!(said, Ok("Echo: hi".into()));
            }
        }));
    }
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(world.seen.starts(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_for_its_folders_gets_an_instance_for_each() {
    let world = World::new();
    let (one, two) = (
        world.folder("one", &["roots"]),
        world.folder("two", &["roots"]),
    );
    one.ready(Duration::from_secs(60)).await;
    until("the roots are asked for", || {
        !world.seen.answers().is_empty()
    })
    .await;
    let roots = world.seen.answers()[0]["result"]["roots"].clone();
    assert_eq!(roots, json!([{"uri": "file:///work/one", "name": "one"}]));
    two.ready(Duration::from_secs(60)).await;
    assert_eq!(world.call(&two, "s0_echo").await, Ok("Echo: hi".into()));
    until("the second asks too", || world.seen.answers().len() == 2).await;
    let roots = world.seen.answers()[1]["result"]["roots"].clone();
    assert_eq!(roots, json!([{"uri": "file:///work/two", "name": "two"}]));
    assert_eq!(world.call(&one, "s0_echo").await, Ok("Echo: hi".into()));
    assert_eq!(world.seen.starts(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_unused_server_ends_and_comes_back_with_the_next_call() {
    let world = World::new();
    let folder = world.one("plain").await;
    tokio::time::sleep(Duration::from_secs(301)).await;
    assert_eq!(status(&folder), Status::Connected);
    assert_eq!(world.call(&folder, "s0_echo").await, Ok("Echo: hi".into()));
    assert_eq!(world.seen.starts(), 2);
}

#[tokio::test(start_paused = true)]
async fn servers_that_die_or_keep_silent_in_the_handshake_are_failed_and_say_why() {
    for (script, why) in [
        ("exits", "Connection closed"),
        ("dies at initialize", "Connection closed"),
        (
            "dies at tools/list",
            "its tools cannot be listed: the connection to the server was lost",
        ),
        ("silent at initialize", "it was not ready within 30 s"),
        ("silent at tools/list", "no answer within 30 s"),
    ] {
        let world = World::new();
        let folder = world.one(script).await;
        let Status::Failed(error) = status(&folder) else {
            panic!("{script}: {:?}", status(&folder));
        };
        let is_so = error.contains(why) || error.contains("it was not ready within 30 s");
        assert!(is_so, "{script}: {error}");
        assert!(folder.offered().tools.is_empty(), "{script}");
        assert_eq!(
            world.seen.starts(),
            1,
            "{script}: no start of its own accord"
        );
        assert!(folder.connect("s0").await);
        assert_eq!(
            world.seen.starts(),
            2,
            "{script}: the user may try again at once"
        );
    }
    // Of these it depends on the order of things whether the tools are known before; nothing hangs in any case.
    for script in [
        "dies at notifications/initialized",
        "dies at prompts/list",
        "dies at resources/list",
        "dies at resources/templates/list",
        "dies at logging/setLevel",
    ] {
        let world = World::new();
        let folder = world.one(script).await;
        assert!(
            !matches!(status(&folder), Status::Connecting | Status::New),
            "{script}"
        );
        assert!(folder.connect("s0").await, "{script}");
        let settled = status(&folder);
        assert!(
            matches!(settled, Status::Connected | Status::Failed(_)),
            "{script}: {settled:?}"
        );
        // Nobody stopped it: it says how it went.
        let says_stopped =
            matches!(&settled, Status::Failed(why) if why.contains("it was stopped"));
        assert!(!says_stopped, "{script}: {settled:?}");
    }
    let world = World::new();
    let folder = world.folder("two", &["silent at prompts/list"]);
    folder.ready(Duration::from_secs(600)).await;
    assert!(!matches!(status(&folder), Status::Connecting | Status::New));
}

#[tokio::test(start_paused = true)]
async fn a_crash_fails_the_calls_in_flight_and_the_next_call_starts_anew() {
    let world = World::new();
    let folder = world.one("dies at tools/call").await;
    let failed = world.call(&folder, "s0_echo").await.unwrap_err();
    assert!(
        failed.contains("s0 ended during this call: it exited with status 3"),
        "{failed}"
    );
    let Status::Failed(error) = status(&folder) else {
        panic!("{:?}", status(&folder));
    };
    assert!(error.contains("status 3"), "{error}");
    assert!(world.call(&folder, "s0_echo").await.is_err());
    assert_eq!(world.seen.starts(), 2);
    assert_eq!(folder.offered().tools.len(), 3, "its tools stay on offer");
}

#[tokio::test(start_paused = true)]
async fn noise_double_answers_and_floods_do_no_harm() {
    for (script, said) in [
        ("garbage", "Echo: hi"),
        ("twice", "first"),
        ("flood", "after the flood"),
        ("samples", "sampled"),
        ("elicits without end", "asked"),
    ] {
        let world = World::new();
        let folder = world.one(script).await;
        assert_eq!(status(&folder), Status::Connected, "{script}");
        for _ in 0..2 {
            assert_eq!(
                world.call(&folder, "s0_echo").await,
                Ok(said.into()),
                "{script}"
            );
        }
        assert_eq!(world.seen.starts(), 1, "{script}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_changes_is_a_trickle_of_lists() {
    let world = World::new();
    let folder = world.one("flood").await;
    world.call(&folder, "s0_echo").await.unwrap();
    let lists = |world: &World| {
        let methods = world.seen.methods();
        methods
            .iter()
            .filter(|method| *method == "tools/list")
            .count()
    };
    assert!(lists(&world) <= 3, "{}", lists(&world));
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_100_mib_fails_its_call_alone() {
    let world = World::new();
    let folder = world.one("huge").await;
    let failed = world.call(&folder, "s0_echo").await.unwrap_err();
    assert!(failed.contains("at most 16 MiB are taken"), "{failed}");
    assert_eq!(
        world.call(&folder, "s0_fail").await,
        Err("it failed".into())
    );
    assert_eq!(world.seen.starts(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_answer_fails_its_call_at_once() {
    let world = World::new();
    let folder = world.one("unreadable").await;
    let before = tokio::time::Instant::now();
    assert!(world.call(&folder, "s0_echo").await.is_err());
    assert!(before.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_call_and_progress_keeps_it() {
    let world = World::new();
    let folder = world.one("progress").await;
    assert_eq!(
        world.call(&folder, "s0_echo").await,
        Ok("done at last".into())
    );
    let shown = world.host.progress.lock().last().cloned().unwrap();
    assert_eq!(shown["progress"]["message"], "working");
    let failed = world.call(&folder, "s0_slow").await.unwrap_err();
    assert!(failed.contains("no answer within 30 s"), "{failed}");
    until("the server is told", || {
        world
            .seen
            .methods()
            .contains(&"notifications/cancelled".to_owned())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_stopped_call_is_taken_back_and_others_go_on() {
    let world = World::new();
    let folder = world.one("plain").await;
    let cx = world.cx("ses_1");
    let cancel = cx.cancel.clone();
    let slow = world.call_as(&folder, "s0_slow", cx);
    let stopping = async {
        until("the call is there", || {
            world.seen.methods().contains(&"tools/call".to_owned())
        })
        .await;
        assert_eq!(world.call(&folder, "s0_echo").await, Ok("Echo: hi".into()));
        cancel.cancel();
    };
    let (stopped, ()) = tokio::join!(slow, stopping);
    assert!(
        matches!(stopped, Err(ToolError::Aborted { .. })),
        "{stopped:?}"
    );
    until("the server is told", || {
        world
            .seen
            .methods()
            .contains(&"notifications/cancelled".to_owned())
    })
    .await;
    let messages = world.seen.messages.lock();
    let slow = messages
        .iter()
        .find(|m| m["params"]["name"] == "slow")
        .unwrap();
    let cancelled = messages
        .iter()
        .find(|m| m["method"] == "notifications/cancelled");
    assert_eq!(cancelled.unwrap()["params"]["requestId"], slow["id"]);
}

#[tokio::test(start_paused = true)]
async fn a_changed_tool_is_told_and_asks_under_another_version() {
    let world = World::new();
    let folder = world.one("renames").await;
    world.call(&folder, "s0_echo").await.unwrap();
    until("the change is told", || !world.events.lock().is_empty()).await;
    let told = world.events.lock()[0].clone();
    assert_eq!(told, ("/work/one".to_owned(), "s0".to_owned()));
    assert_eq!(
        find(&folder, "s0_echo").spec().description,
        "Something else"
    );
    world.call(&folder, "s0_echo").await.unwrap();
    let asks = world.host.asks.lock();
    assert_ne!(asks[0].version, asks[1].version);
}

#[tokio::test(start_paused = true)]
async fn configuration_clients_and_switches_decide_what_is_there() {
    let world = World::new();
    let folder = world.folder("one", &["plain", "plain2"]);
    folder.ready(Duration::from_secs(60)).await;
    assert_eq!(world.seen.starts(), 2);
    assert!(folder.disconnect("s0").await && !folder.disconnect("no").await);
    assert_eq!(status(&folder), Status::Disabled);
    assert_eq!(folder.offered().tools.len(), 3);
    assert!(folder.connect("s0").await && !folder.connect("no").await);
    assert_eq!(
        (world.seen.starts(), status(&folder)),
        (3, Status::Connected)
    );
    folder.add("extra", config("other")).await;
    // The same configuration changes nothing, another one only what is different; what a client added stays.
    folder.configure(configs(&["plain", "plain2"]));
    folder.configure(configs(&["plain"]));
    folder.ready(Duration::from_secs(60)).await;
    assert_eq!(world.seen.starts(), 4);
    let names: Vec<String> = folder
        .statuses()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["extra", "s0"]);
    folder.configure(configs(&["changed"]));
    folder.ready(Duration::from_secs(60)).await;
    assert_eq!(world.seen.starts(), 5);
    world.servers.shut_down().await;
    assert!(world.call(&folder, "s0_echo").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_server_may_ask_the_user_of_the_call_and_nobody_else() {
    let world = World::new();
    let folder = world.one("elicits").await;
    let call = async || world.call(&folder, "s0_echo").await.unwrap();
    *world.host.answers.lock() = Some(vec![vec!["blue".into()], vec!["3".into()]]);
    let said: serde_json::Value = serde_json::from_str(&call().await).unwrap();
    assert_eq!(
        said,
        json!({"action": "accept", "content": {"colour": "blue", "count": 3}})
    );
    *world.host.answers.lock() = None;
    assert_eq!(call().await, r#"{"action":"cancel"}"#);
    // A run that nobody watches.
    let deny = kilo_protocol::model::Rule {
        permission: "question".into(),
        pattern: "*".into(),
        action: kilo_protocol::model::Action::Deny,
    };
    world.host.rules.lock().push(deny);
    assert_eq!(call().await, r#"{"action":"decline"}"#);
    world.host.rules.lock().clear();
    // Two sessions at the same time: the server does not say whom it means.
    let other = world.call_as(&folder, "s0_slow", world.cx("ses_2"));
    let both = async {
        until("the other calls", || {
            world
                .seen
                .methods()
                .iter()
                .filter(|m| *m == "tools/call")
                .count()
                == 4
        })
        .await;
        call().await
    };
    tokio::select! {
        said = both => assert_eq!(said, r#"{"action":"decline"}"#),
        _ = other => panic!("it never answers"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_may_ask_a_model_once_the_user_has_said_yes() {
    let world = World::new();
    let folder = world.one("asks a model").await;
    let call = async || {
        let said = world.call(&folder, "s0_echo").await.unwrap();
        serde_json::from_str::<serde_json::Value>(&said).unwrap()
    };
    *world.host.answers.lock() = Some(vec![vec!["Yes, once".into()]]);
    assert_eq!(
        call().await["result"],
        json!({"role": "assistant", "content": {"type": "text", "text": "1 messages came"},
               "model": "fake/m", "stopReason": "endTurn"})
    );
    let question = world.host.questions.lock()[0]["question"].to_string();
    assert!(question.contains("How many?"), "{question}");
    assert_eq!(world.host.asides.lock()[0].output_max, 9);
    *world.host.answers.lock() = Some(vec![vec!["No".into()]]);
    let refused = json!({"code": -1, "message": "User rejected sampling request"});
    assert_eq!(call().await["error"], refused);
    *world.host.answers.lock() = None;
    assert_eq!(call().await["error"], refused);
    // A run that nobody watches.
    world.host.rules.lock().push(kilo_protocol::model::Rule {
        permission: "question".into(),
        pattern: "*".into(),
        action: kilo_protocol::model::Action::Deny,
    });
    assert_eq!(call().await["error"], refused);
    assert_eq!(
        (
            world.host.questions.lock().len(),
            world.host.asides.lock().len()
        ),
        (3, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_a_model_without_end_is_bounded_by_call() {
    let world = World::new();
    let folder = world.one("asks in turn").await;
    *world.host.answers.lock() = Some(vec![vec!["Yes, once".into()]]);
    let said = world.call(&folder, "s0_echo").await;
    assert_eq!(said, Ok("granted 10".into()));
    // Who said no is not asked again during that call.
    *world.host.answers.lock() = Some(vec![vec!["No".into()]]);
    let said = world.call(&folder, "s0_echo").await;
    assert_eq!(said, Ok("granted 0".into()));
    assert_eq!(world.host.questions.lock().len(), 11);
}

#[tokio::test(start_paused = true)]
async fn a_question_of_a_call_that_is_over_holds_nobody_up() {
    let world = World::new();
    let folder = world.one("asks and goes on").await;
    *world.host.is_silent.lock() = true;
    for _ in 0..3 {
        let said = world.call(&folder, "s0_echo").await;
        assert_eq!(said, Ok("never mind".into()));
    }
    until("each call could ask", || {
        world.host.questions.lock().len() == 3
    })
    .await;
    // And a silent server is silent again, not waiting for a person.
    let failed = world.call(&folder, "s0_slow").await.unwrap_err();
    assert!(failed.contains("no answer within 30 s"), "{failed}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_reads_no_more_holds_up_its_calls_alone() {
    let world = World::new();
    let folder = world.one("deaf").await;
    let input = json!({"text": "x".repeat(128 << 10)});
    for _ in 0..70 {
        let call = find(&folder, "s0_echo").run(input.clone(), world.cx("ses_1"));
        let failed = call.await.unwrap_err().to_string();
        assert!(failed.contains("no answer within 30 s"), "{failed}");
    }
    let other = world.folder("two", &["plain"]);
    other.ready(Duration::from_secs(60)).await;
    assert_eq!(world.call(&other, "s0_echo").await, Ok("Echo: hi".into()));
    assert!(folder.disconnect("s0").await);
    assert_eq!(status(&folder), Status::Disabled);
}

#[tokio::test(start_paused = true)]
async fn odd_tools_spoil_no_request() {
    let world = World::new();
    let folder = world.one("odd tools").await;
    let specs: Vec<_> = folder
        .offered()
        .tools
        .iter()
        .map(|tool| tool.spec())
        .collect();
    let names: Vec<&str> = specs.iter().map(|spec| &*spec.name).collect();
    assert_eq!(names, ["s0_twice", "s0_text", "s0_"]);
    for spec in &specs {
        assert_eq!(
            *spec.parameters,
            json!({"type": "object", "properties": {}})
        );
    }
    let folder = World::new().one("endless lists").await;
    assert_eq!(folder.offered().tools.len(), 50);
}

#[tokio::test(start_paused = true)]
async fn too_many_tools_are_offered_by_a_search() {
    let world = World::new();
    let folder = world.folder("one", &["many", "plain"]);
    folder.ready(Duration::from_secs(60)).await;
    let offered = folder.offered();
    assert!(offered.bytes > 24 << 10 && offered.tools.len() == 103);
    let names = |session: &str| -> Vec<String> {
        let is_offered = folder.is_offered(session);
        let all = offered.all().map(|tool| tool.spec().name.to_string());
        all.filter(|name| is_offered(name)).collect()
    };
    let always = ["tool_search", "mcp_list_resources", "mcp_read_resource"];
    assert_eq!(names("ses_1"), always);
    let search = Arc::clone(offered.search.as_ref().unwrap());
    let spec = search.spec();
    assert!(
        spec.description.contains("103 tools of s0 (100), s1 (3)"),
        "{}",
        spec.description
    );
    let run = async |input| search.run(input, world.cx("ses_1")).await.unwrap().output;
    let found = run(json!({"query": "text back"})).await;
    assert_eq!(found, "- s1_echo: Gives the text back");
    assert_eq!(
        run(json!({"query": "nothing-like-it"})).await,
        "No tool fits."
    );
    assert!(run(json!({})).await.ends_with("(83 more; use other words)"));
    let got = run(json!({"load": ["s1_echo", "s0_tool42", "no"]})).await;
    assert!(
        got.contains("s1_echo is in your list") && got.contains("There is no tool no."),
        "{got}"
    );
    let with_taken: Vec<&str> = ["s0_tool42", "s1_echo"].into_iter().chain(always).collect();
    assert_eq!(names("ses_1"), with_taken);
    assert_eq!(names("ses_2"), always);
    let few = World::with(|settings| settings.schema_bytes = 1 << 20)
        .one("many")
        .await;
    assert!(few.offered().search.is_none() && few.is_offered("x")("s0_tool1"));
}

#[tokio::test(start_paused = true)]
async fn a_model_lists_reads_and_watches_resources() {
    let world = World::new();
    let folder = world.folder("one", &["touches", "unwatchable"]);
    folder.ready(Duration::from_secs(60)).await;
    let offered = folder.offered();
    let names: Vec<String> = offered
        .resources
        .iter()
        .map(|tool| tool.spec().name.to_string())
        .collect();
    assert_eq!(names, ["mcp_list_resources", "mcp_read_resource"]);
    let [list, read] = &offered.resources[..] else {
        panic!("two tools");
    };
    let run = async |tool: &Arc<dyn kilo_ports::tool::Tool>, input| {
        let ran = tool.run(input, world.cx("ses_1")).await;
        ran.map(|output| output.output)
            .map_err(|error| error.to_string())
    };
    let listed = run(list, json!({"server": "s0"})).await.unwrap();
    assert_eq!(
        listed,
        "s0 a://b: b\ns0 template a://{name} (text/plain): any"
    );
    assert_eq!(
        run(list, json!({"query": "nothing"})).await.unwrap(),
        "There are none."
    );
    let failed = run(read, json!({"server": "no", "uri": "a://b"})).await;
    assert!(failed.unwrap_err().contains("those are: s0, s1"));
    let content = run(read, json!({"server": "s0", "uri": "a://b", "watch": true})).await;
    let content = content.unwrap();
    assert!(
        content.starts_with("content\n\n[It is watched"),
        "{content}"
    );
    let ask = world.host.asks.lock().last().cloned().unwrap();
    assert_eq!(
        (ask.permission.as_str(), ask.patterns, ask.always),
        (
            "mcp_read_resource",
            vec!["s0:a://b".to_owned()],
            vec!["s0:*".to_owned()]
        )
    );
    let refused = run(read, json!({"server": "s1", "uri": "a://b", "watch": true})).await;
    assert!(refused.unwrap().ends_with("[It is not watched: no.]"));

    // Changes are told with the next output, once, and only to who watches.
    let told = world.call(&folder, "s0_echo").await.unwrap();
    let note = "[The resource a://b of s0 has changed since you read it.]";
    assert_eq!(told, format!("touched\n\n{note}"));
    let other = world.call_as(&folder, "s0_echo", world.cx("ses_2")).await;
    assert_eq!(other.unwrap().output, "touched");
    // A server that is started anew is asked for them again.
    tokio::time::sleep(Duration::from_secs(301)).await;
    let told = run(read, json!({"server": "s0", "uri": "a://b"})).await;
    assert_eq!(told.unwrap(), format!("content\n\n{note}"));
    until("it is asked again", || {
        let methods = world.seen.methods();
        let asked = methods.iter().filter(|m| *m == "resources/subscribe");
        asked.count() == 3
    })
    .await;
}
