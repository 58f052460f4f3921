use crate::World;
use kilo_config::sources_json;
use kilo_config::view::Resume;
use serde_json::{Value, json};
use std::time::Instant;

fn names(world: &World) -> Vec<String> {
    let loaded = world.load();
    let list = sources_json(&loaded)["sources"].as_array().unwrap().clone();
    let root = world.path("").to_string_lossy().into_owned();
    list.iter()
        .map(|source| source["source"].as_str().unwrap().replace(&root, ""))
        .collect()
}

#[test]
fn every_place_wins_over_the_ones_below_it() {
    let world = World::new()
        .with_variable("KILO_CONFIG", "<root>/named.json")
        .with_variable("KILO_CONFIG_DIR", "<root>/extra")
        .with_variable(
            "KILO_CONFIG_CONTENT",
            r#"{"c8": "content", "c9": "content"}"#,
        )
        .with_variable("USER", "me");
    let places = [
        "home/.config/kilo/config.json",
        "home/.config/kilo/kilo.jsonc",
        "home/.kilo/kilo.json",
        "named.json",
        "project/kilo.json",
        "project/.kilocode/kilo.json",
        "project/.kilo/kilo.jsonc",
        "extra/kilo.json",
    ];
    for (index, place) in places.iter().enumerate() {
        // Each place sets the keys from its own number upward, so key N must end up with place N.
        let fields: Vec<String> = (index..10)
            .map(|key| format!("\"c{key}\": \"{place}\""))
            .collect();
        world.write(place, &format!("{{ // here\n {}, }}", fields.join(",")));
    }
    world.write("etc/kilo.json", r#"{"c9": "managed"}"#);
    let loaded = world.load();
    assert_eq!(loaded.warnings, []);
    for (index, place) in places.iter().enumerate() {
        assert_eq!(loaded.merged[format!("c{index}")], *place);
    }
    assert_eq!(
        (&loaded.merged["c8"], &loaded.merged["c9"]),
        (&json!("content"), &json!("managed"))
    );
    assert_eq!(loaded.merged["username"], "me");
    assert_eq!(loaded.global["c2"], "home/.kilo/kilo.json");
    assert_eq!(loaded.global.get("username"), None);
    assert_eq!(loaded.project["c5"], "project/.kilocode/kilo.json");
    assert_eq!(loaded.trusted["c4"], "named.json");
    assert_eq!(
        names(&world),
        [
            "builtin",
            "home/.config/kilo/config.json",
            "home/.config/kilo/kilo.jsonc",
            "home/.kilo/kilo.json",
            "named.json",
            "project/kilo.json",
            "project/.kilocode/kilo.json",
            "project/.kilo/kilo.jsonc",
            "extra/kilo.json",
            "KILO_CONFIG_CONTENT",
            "etc/kilo.json",
        ]
    );
}

#[test]
fn a_plain_project_lists_where_a_client_may_write() {
    let world = World::new();
    assert_eq!(
        names(&world),
        [
            "builtin",
            "home/.config/kilo/kilo.jsonc",
            "project/kilo.json"
        ]
    );
    let path = world.write("project/kilo.json", "{}");
    let sources = sources_json(&world.load());
    let source = sources["sources"]
        .as_array()
        .unwrap()
        .iter()
        .find(|source| source["path"] == json!(path))
        .cloned();
    assert_eq!(
        source.unwrap(),
        json!({"order": 2, "kind": "file", "scope": "project", "label": "kilo.json", "source": path, "path": path,
               "exists": true, "editable": true})
    );
}

#[test]
fn opencode_names_count_only_without_a_kilo_name() {
    let world = World::new();
    world.write("project/opencode.json", r#"{"username": "oc"}"#);
    assert_eq!(world.load().merged["username"], "oc");
    world.write("project/kilo.jsonc", r#"{"model": "a/b"}"#);
    assert_ne!(world.load().merged["username"], "oc");
}

#[test]
fn files_are_found_upward_to_the_root_of_the_worktree_and_no_further() {
    let world = World::new();
    world.write("kilo.json", r#"{"model": "outside/x"}"#);
    world.write(
        "project/kilo.json",
        r#"{"model": "root/x", "small_model": "root/y"}"#,
    );
    let deep = world.write("project/a/b/kilo.json", r#"{"model": "deep/x"}"#);
    let loaded = world.load_at(deep.parent().unwrap());
    assert_eq!(
        (&loaded.merged["model"], &loaded.merged["small_model"]),
        (&json!("deep/x"), &json!("root/y"))
    );
    // Outside a repository only the directory itself counts, also when the caller says `/` is the worktree.
    let plain = world.write("plain/a/x", "").parent().unwrap().to_owned();
    world.write("plain/kilo.json", r#"{"model": "above/x"}"#);
    let loaded = kilo_config::load(&world.env, &world.paths, &plain, std::path::Path::new("/"));
    assert_eq!(
        (loaded.merged.get("model"), &loaded.worktree),
        (None, &plain)
    );
}

#[test]
fn what_is_wrong_is_left_out_with_a_warning() {
    let world = World::new();
    let model = world.write("project/kilo.json", r#"{"model": 5, "username": "kept"}"#);
    let broken = world.write("home/.config/kilo/kilo.json", "{ \"model\": }");
    let list = world.write("project/.kilo/kilo.json", "[]");
    let loaded = world.load();
    assert_eq!(
        (loaded.merged.get("model"), &loaded.merged["username"]),
        (None, &json!("kept"))
    );
    let warnings: Vec<(&str, &str)> = loaded
        .warnings
        .iter()
        .map(|warning| (warning.path.as_str(), warning.message.as_str()))
        .collect();
    assert_eq!(warnings.len(), 3, "{warnings:#?}");
    assert_eq!(warnings[0].0, broken.to_str().unwrap());
    assert!(warnings[0].1.contains("not valid JSON") && warnings[0].1.contains("line 1"));
    assert_eq!(
        warnings[1],
        (
            model.to_str().unwrap(),
            "1 value is left out: model: expected string, got 5"
        )
    );
    assert_eq!(loaded.warnings[1].detail.as_deref(), Some("model"));
    assert_eq!(warnings[2].0, list.to_str().unwrap());
}

#[cfg(unix)]
#[test]
fn a_project_reads_neither_the_environment_nor_files_outside() {
    let world = World::new().with_variable("SECRET", "s3cret");
    world.write(
        "home/.config/kilo/kilo.json",
        r#"{"username": "{env:SECRET}"}"#,
    );
    assert_eq!(world.load().merged["username"], "s3cret");

    world.write("project/name.txt", "from-file\n");
    world.write(
        "project/kilo.json",
        r#"{"instructions": ["{file:./name.txt}"], "model": "a/b"}"#,
    );
    assert_eq!(world.load().merged["instructions"], json!(["from-file"]));

    world.write(
        "project/kilo.json",
        r#"{"instructions": ["{env:SECRET}"], "model": "a/b"}"#,
    );
    let loaded = world.load();
    assert_eq!(loaded.merged.get("model"), None);
    assert!(
        loaded.warnings[0]
            .message
            .contains("environment references are not allowed")
    );

    let outside = world.write("outside.json", r#"{"model": "a/b"}"#);
    std::fs::remove_file(world.path("project/kilo.json")).unwrap();
    std::os::unix::fs::symlink(outside, world.path("project/kilo.json")).unwrap();
    let loaded = world.load();
    assert_eq!(loaded.merged.get("model"), None);
    assert!(loaded.warnings[0].message.contains("leaves the project"));
}

#[test]
fn markdown_agents_and_commands_are_configuration_too() {
    let world = World::new();
    world.write(
        "project/.kilo/command/deep/hello.md",
        "---\ndescription: say hello\nagent: plan\n---\nHello $1\n",
    );
    world.write(
        "project/.kilo/agents/x.md",
        "---\nmode: subagent\nsteps: many\n---\nBe x.\n",
    );
    world.write("home/.config/kilo/mode/m.md", "Be m.");
    let bad = world.write("home/.kilo/agent/bad.md", "---\nnonsense\n---\n");
    let loaded = world.load();
    assert_eq!(
        loaded.merged["command"],
        json!({"deep/hello": {"description": "say hello", "agent": "plan", "template": "Hello $1"}})
    );
    assert_eq!(
        loaded.merged["agent"],
        json!({"m": {"prompt": "Be m.", "mode": "primary"}, "x": {"mode": "subagent", "prompt": "Be x."}})
    );
    assert_eq!(loaded.warnings.len(), 2);
    assert_eq!(loaded.warnings[0].path, bad.to_str().unwrap());
    assert_eq!(loaded.warnings[1].detail.as_deref(), Some("agent.x.steps"));
}

#[test]
fn any_change_of_a_file_that_could_count_is_seen() {
    let world = World::new();
    world.write("project/kilo.json", r#"{"username": "{file:name}"}"#);
    world.write("project/.kilo/agent/a.md", "one");
    for (name, content) in [
        ("home/.config/kilo/kilo.json", "{}"),
        ("project/kilo.jsonc", "{}"),
        ("project/name", "x"),
        (
            "project/kilo.json",
            "{ \"username\": \"longer than it was before\" }",
        ),
        ("project/.kilo/agent/a.md", "three"),
        ("project/.kilo/agent/b.md", "two"),
        ("project/.kilo/command/c.md", "two"),
        ("project/.kilocode/kilo.json", "{}"),
        ("etc/kilo.json", "{}"),
    ] {
        let loaded = world.load();
        assert!(!loaded.is_stale(), "before {name}");
        world.write(name, content);
        assert!(loaded.is_stale(), "after {name}");
    }
}

#[test]
fn the_typed_view_has_defaults_and_reads_values() {
    let world = World::new();
    let config = world.load().config;
    assert!(config.snapshot && config.compaction.auto);
    assert_eq!(
        (config.tool_output.max_lines, config.tool_output.max_bytes),
        (2_000, 51_200)
    );
    assert_eq!((config.resume, config.permission), (Resume::Ask, vec![]));

    world.write(
        "project/kilo.json",
        r#"{"snapshot": false, "session": {"resume": "auto"}, "share": "disabled", "compaction": {"threshold_percent": 80},
            "tool_output": {"max_lines": 5}, "enabled_providers": [], "subagent_depth": 2, "server": {"port": 70000},
            "tools": {"write": false}, "permission": {"edit": "ask"}, "mode": {"old": {"prompt": "p"}}}"#,
    );
    let config = world.load().config;
    assert!(!config.snapshot);
    assert_eq!(config.resume, Resume::Auto);
    assert_eq!(config.compaction.threshold_percent, Some(80.0));
    assert_eq!(
        (config.tool_output.max_lines, config.tool_output.max_bytes),
        (5, 51_200)
    );
    assert_eq!(config.enabled_providers, Some(vec![]));
    let rules: Vec<String> = config
        .permission
        .iter()
        .map(|rule| format!("{} {:?}", rule.permission, rule.action))
        .collect();
    assert_eq!(rules, ["edit Deny", "edit Ask"]);
    assert_eq!(
        Value::Object(config.agents),
        json!({"old": {"prompt": "p", "mode": "primary"}})
    );
}

#[test]
fn keys_of_a_project_that_could_act_are_listed_with_their_file() {
    let world = World::new();
    world.write(
        "home/.config/kilo/kilo.json",
        r#"{"mcp": {"mine": {"type": "local", "command": ["x"]}}}"#,
    );
    let file = world.write(
        "project/.kilo/kilo.json",
        r#"{"mcp": {"theirs": {"type": "local", "command": ["x"]}}}"#,
    );
    let command = world.write("project/.kilo/command/c.md", "See !`id`");
    let loaded = world.load();
    let keys: Vec<_> = loaded
        .project_keys
        .iter()
        .map(|key| (key.key.as_str(), key.file.clone()))
        .collect();
    assert_eq!(keys, [("mcp.theirs", file), ("command.c", command)]);
    assert_eq!(
        loaded.trusted["mcp"],
        json!({"mine": {"type": "local", "command": ["x"]}})
    );
}

#[test]
fn loading_stays_cheap() {
    let world = World::new();
    world.write("home/.config/kilo/kilo.json", r#"{"model": "a/b"}"#);
    world.write(
        "project/kilo.json",
        r#"{"permission": {"bash": {"*": "ask"}}}"#,
    );
    // The best of many rounds: what the machine does besides must not fail the test.
    let best = (0..50).map(|_| {
        let start = Instant::now();
        let loaded = world.load();
        let loading = start.elapsed();
        assert!(!loaded.is_stale());
        (loading, start.elapsed() - loading)
    });
    let (loading, checking) = best.min().unwrap();
    println!("load {loading:?}, is_stale {checking:?}");
    assert!(
        loading.as_micros() < 1_000 && checking.as_micros() < 500,
        "{loading:?} {checking:?}"
    );
}
