use crate::World;
use kilo_config::agent::{Agent, DefaultAgentError, Mode, find};
use kilo_config::permission::{evaluate, is_hidden, matches};
use kilo_config::prompt::system_prompt;
use kilo_config::{agents, default_agent};
use kilo_protocol::model::Action;
use serde_json::{Value, json};

fn listed(world: &World) -> Vec<Agent> {
    agents(&world.env, &world.paths, &world.load())
}

fn decide(agents: &[Agent], name: &str, permission: &str, pattern: &str) -> Action {
    evaluate(
        permission,
        pattern,
        &[&find(agents, name).unwrap().permission],
    )
    .action
}

/// What this program allows beyond the recording (the group `everyday` of `agents.json`), to agents that may do things.
///
/// Reading is what an agent does all day; a question for each `git status` teaches people to answer without reading it.
/// The reference asks there because its rules cannot tell `find -name` from `find -delete`. Ours can: what runs programs or
/// writes is asked by the judge of shell texts whatever these rules say (`shell/src/risk/`).
fn is_everyday(agent: &str, permission: &str, pattern: &str) -> bool {
    let defaults: Value = serde_json::from_str(include_str!("../../defaults/agents.json")).unwrap();
    let groups = defaults["rules"]["everyday"].as_array().unwrap();
    let mut patterns = groups
        .iter()
        .flat_map(|group| group["allow bash"].as_array().unwrap());
    permission == "bash"
        && matches!(agent, "code" | "debug" | "general")
        && patterns.any(|allowed| matches(allowed.as_str().unwrap(), pattern))
}

/// Each row of the recording: the same decision for every agent, but for what is added to it by name.
#[test]
fn the_default_rules_decide_as_recorded() {
    let world = World::new();
    let list = listed(&world);
    let base = world
        .path("")
        .to_string_lossy()
        .trim_end_matches('/')
        .to_owned();
    let mut names = Vec::new();
    let mut checked = 0;
    for line in include_str!("../recorded/agent-decisions.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let columns: Vec<&str> = line.split('\t').collect();
        if columns[0] == "agents" {
            names = columns[1].split(' ').collect();
            continue;
        }
        let pattern: String = serde_json::from_str(columns[1]).unwrap();
        let pattern = pattern
            .replace("<home>", &format!("{base}/home"))
            .replace("<tmp>", &format!("{base}/tmp"))
            .replace("<relative data folder>", "../home/.local/share/kilo");
        for (name, letter) in names.iter().zip(columns[2].split(' ')) {
            let expected = match letter {
                "a" => Action::Allow,
                "d" => Action::Deny,
                _ if is_everyday(name, columns[0], &pattern) => Action::Allow,
                _ => Action::Ask,
            };
            assert_eq!(
                decide(&list, name, columns[0], &pattern),
                expected,
                "{name}: {} {pattern:?}",
                columns[0]
            );
            checked += 1;
        }
    }
    assert_eq!((names.len(), list.len()), (10, 10));
    assert!(checked > 2_000);
}

#[test]
fn everyday_reading_is_allowed_and_nothing_that_changes_things() {
    let list = listed(&World::new());
    for command in [
        "git status",
        "git log --oneline -5",
        "git branch --list",
        "find . -name x",
        "sed -n 1,5p a",
        "stat a",
        "test -f a",
        "node --version",
    ] {
        assert_eq!(
            decide(&list, "code", "bash", command),
            Action::Allow,
            "{command}"
        );
    }
    for command in [
        "git push",
        "git branch -D main",
        "git branch new",
        "git tag v1",
        "git stash",
        "git checkout .",
        "git config --list",
        "git ls-remote",
        "node --version x.js",
        "node x.js --version",
        "rm a",
        "xargs rm",
    ] {
        assert_eq!(
            decide(&list, "code", "bash", command),
            Action::Ask,
            "{command}"
        );
    }
    assert_eq!(
        decide(&list, "explore", "bash", "find . -name x"),
        Action::Deny
    );
    assert_eq!(decide(&list, "plan", "bash", "sed -n 1p a"), Action::Deny);
}

#[test]
fn a_plain_project_lists_the_built_in_agents_in_order() {
    let list = listed(&World::new());
    let names: Vec<&str> = list.iter().map(|agent| agent.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "code",
            "ask",
            "compaction",
            "debug",
            "explore",
            "general",
            "orchestrator",
            "plan",
            "summary",
            "title"
        ]
    );
    for agent in &list {
        assert!(agent.native);
        assert_eq!(
            agent.hidden,
            matches!(agent.name.as_str(), "title" | "summary" | "compaction")
        );
    }
    let mut title = serde_json::to_value(find(&list, "title").unwrap()).unwrap();
    assert_eq!(
        title.take(),
        json!({"name": "title", "mode": "primary", "native": true, "hidden": true, "temperature": 0.5,
               "permission": [{"permission": "*", "pattern": "*", "action": "deny"}], "options": {}})
    );
}

#[test]
fn tools_are_offered_as_the_rules_allow() {
    let list = listed(&World::new());
    let hidden = |name: &str, permission: &str| {
        is_hidden(permission, &[&find(&list, name).unwrap().permission])
    };
    for (name, permission, expected) in [
        ("code", "edit", false),
        ("code", "question", false),
        ("code", "repo_clone", true),
        ("general", "todowrite", true),
        ("general", "question", true),
        ("ask", "edit", true),
        ("ask", "bash", false),
        ("ask", "task", true),
        ("plan", "edit", false),
        ("plan", "task", false),
        ("explore", "edit", true),
        ("explore", "read", false),
        ("explore", "task", true),
        ("title", "read", true),
    ] {
        assert_eq!(hidden(name, permission), expected, "{name} {permission}");
    }
}

#[test]
fn the_configuration_changes_and_adds_agents() {
    let world = World::new();
    world.write(
        "project/kilo.json",
        r#"{"agent": {
            "reviewer": {"mode": "subagent", "description": "reviews", "prompt": "REVIEW", "model": "fake/a/small",
                         "permission": {"edit": "deny"}, "tools": {"webfetch": false}, "reasoningEffort": "high",
                         "options": {"x": 1}, "top_p": 0.5, "color": "info", "maxSteps": 3},
            "build": {"prompt": "CODE"}, "debug": {"disable": true}, "general": {"hidden": true}}}"#,
    );
    let list = listed(&world);
    let mut reviewer = serde_json::to_value(find(&list, "reviewer").unwrap()).unwrap();
    reviewer["permission"] = Value::Null;
    assert_eq!(
        reviewer,
        json!({"name": "reviewer", "description": "reviews", "mode": "subagent", "native": false, "topP": 0.5,
               "color": "info", "permission": null, "model": {"modelID": "a/small", "providerID": "fake"},
               "prompt": "REVIEW", "options": {"reasoningEffort": "high", "x": 1}, "steps": 3})
    );
    assert_eq!(decide(&list, "reviewer", "edit", "a"), Action::Deny);
    assert_eq!(decide(&list, "reviewer", "webfetch", "a"), Action::Deny);
    assert_eq!(decide(&list, "reviewer", "bash", "rm a"), Action::Ask);
    assert_eq!(system_prompt(find(&list, "code").unwrap()), ["CODE"]);
    assert!(find(&list, "debug").is_none());
    assert!(find(&list, "general").unwrap().hidden);
}

#[test]
fn the_users_rules_hold_and_cannot_make_a_reading_agent_write() {
    let world = World::new();
    world.write(
        "project/kilo.json",
        r#"{"permission": {"*": "allow", "bash": {"*": "allow", "git log *": "ask", "cat secret*": "deny"}, "webfetch": "deny",
            "read": {"keys/*": "ask"}, "external_directory": {"~/shared/*": "allow"}}}"#,
    );
    let list = listed(&world);
    assert_eq!(decide(&list, "code", "bash", "rm -rf x"), Action::Allow);
    assert_eq!(decide(&list, "code", "webfetch", "x"), Action::Deny);
    let shared = world.path("home/shared/x");
    assert_eq!(
        decide(
            &list,
            "code",
            "external_directory",
            shared.to_str().unwrap()
        ),
        Action::Allow
    );
    for name in ["plan", "ask", "explore"] {
        assert_eq!(
            decide(&list, name, "edit", "src/a.rs"),
            Action::Deny,
            "{name}"
        );
        assert_eq!(
            decide(&list, name, "bash", "rm -rf x"),
            Action::Deny,
            "{name}"
        );
        assert_eq!(
            decide(&list, name, "bash", "cat secret.txt"),
            Action::Deny,
            "{name}"
        );
        assert_eq!(
            decide(&list, name, "bash", "cat open.txt"),
            Action::Allow,
            "{name}"
        );
        assert_eq!(
            decide(&list, name, "bash", "git log -1"),
            Action::Ask,
            "{name}"
        );
        assert_eq!(decide(&list, name, "webfetch", "x"), Action::Deny, "{name}");
        assert_eq!(decide(&list, name, "read", "keys/a"), Action::Ask, "{name}");
        assert_eq!(
            decide(&list, name, "some_tool", "x"),
            Action::Deny,
            "{name}"
        );
    }
    assert_eq!(
        decide(&list, "plan", "edit", ".kilo/plans/a.md"),
        Action::Allow
    );
    assert_eq!(decide(&list, "title", "read", "x"), Action::Deny);
}

#[test]
fn an_agents_own_rules_come_last() {
    let world = World::new();
    world.write(
        "project/kilo.json",
        r#"{"permission": {"bash": "deny"}, "agent": {"plan": {"permission": {"bash": {"make *": "allow"}}}}}"#,
    );
    let list = listed(&world);
    assert_eq!(decide(&list, "plan", "bash", "make check"), Action::Allow);
    assert_eq!(decide(&list, "plan", "bash", "ls"), Action::Deny);
    assert_eq!(decide(&list, "code", "bash", "make check"), Action::Deny);
}

#[test]
fn the_default_agent_must_be_one_that_a_user_may_start() {
    let chosen = |config: &str| {
        let world = World::new();
        world.write("project/kilo.json", config);
        let loaded = world.load();
        let list = agents(&world.env, &world.paths, &loaded);
        (
            default_agent(&loaded, &list).map(|agent| agent.name.clone()),
            list[0].name.clone(),
        )
    };
    assert_eq!(chosen("{}"), (Ok("code".into()), "code".into()));
    assert_eq!(
        chosen(r#"{"default_agent": "plan"}"#),
        (Ok("plan".into()), "plan".into())
    );
    assert_eq!(
        chosen(r#"{"agent": {"code": {"disable": true}}}"#),
        (Ok("ask".into()), "ask".into())
    );
    assert_eq!(
        chosen(r#"{"default_agent": "explore"}"#),
        (
            Err(DefaultAgentError::Subagent("explore".into())),
            "code".into()
        )
    );
    assert_eq!(
        chosen(r#"{"default_agent": "title"}"#).0,
        Err(DefaultAgentError::Hidden("title".into()))
    );
    assert_eq!(
        chosen(r#"{"default_agent": "none"}"#).0,
        Err(DefaultAgentError::Missing("none".into()))
    );
}

#[test]
fn every_agent_has_a_prompt_and_reading_agents_are_reminded() {
    let list = listed(&World::new());
    for agent in &list {
        let prompt = system_prompt(agent);
        assert!(prompt.iter().all(|text| text.len() > 100), "{}", agent.name);
        let has_base = prompt[0].starts_with("You are Kilo, a coding agent");
        let is_lone = agent.hidden || agent.name == "explore";
        assert_eq!(
            (has_base, prompt.len()),
            (!is_lone, if is_lone { 1 } else { 2 }),
            "{}",
            agent.name
        );
    }
    assert_eq!(find(&list, "general").unwrap().mode, Mode::Subagent);
}
