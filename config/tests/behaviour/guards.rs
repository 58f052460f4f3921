//! Configuration that fails must not allow more than its author wanted.

use crate::World;
use kilo_config::agents;
use kilo_config::guard::ASKS;
use kilo_config::permission::evaluate;
use kilo_protocol::model::Action;

/// What holds for one call of an agent.
fn decide(world: &World, agent: &str, permission: &str, pattern: &str) -> Action {
    let agents = agents(&world.env, &world.paths, &world.load());
    let agent = agents.iter().find(|known| known.name == agent).unwrap();
    evaluate(permission, pattern, &[&agent.permission]).action
}

/// The decisions of `code` for an edit, a command that is allowed by default, and a read.
fn code(world: &World) -> [Action; 3] {
    [("edit", "a.rs"), ("bash", "ls -l"), ("read", "a.rs")]
        .map(|(permission, pattern)| decide(world, "code", permission, pattern))
}

fn warned(world: &World) -> String {
    let warnings = world.load().warnings;
    let lines: Vec<String> = warnings
        .iter()
        .map(|warning| format!("{}: {}", warning.path, warning.message))
        .collect();
    lines.join("\n")
}

const FREE: [Action; 3] = [Action::Allow, Action::Allow, Action::Allow];
const ASKED: [Action; 3] = [Action::Ask, Action::Ask, Action::Ask];

#[test]
fn a_file_that_cannot_be_understood_makes_everything_ask() {
    assert_eq!(code(&World::new()), FREE);
    for text in [
        r#"{"permission": {"edit": "deny"}"#,
        r#"{"permission": {"edit": "deny"}, }}"#,
        r#"["deny"]"#,
        r#""deny""#,
        r#"{"permission": {"edit": "deny"}, "model": "{file:missing}"}"#,
    ] {
        for place in [
            "home/.config/kilo/kilo.json",
            "project/kilo.json",
            "project/.kilo/kilo.jsonc",
        ] {
            let world = World::new();
            world.write(place, text);
            assert_eq!(code(&world), ASKED, "{place}: {text}");
            let said = warned(&world);
            assert!(said.contains(place) && said.contains(ASKS), "{said}");
        }
    }
    let world = World::new().with_variable("KILO_CONFIG_CONTENT", "{");
    assert_eq!(code(&world), ASKED);
    let world = World::new();
    world.write("etc/kilo.json", "{");
    assert_eq!(code(&world), ASKED);
}

#[test]
fn a_file_that_cannot_be_read_makes_everything_ask() {
    let world = World::new().with_variable("KILO_CONFIG", "<root>/none.json");
    assert_eq!(code(&world), ASKED);
    assert!(warned(&world).contains("does not exist, but KILO_CONFIG names it"));

    let world = World::new();
    std::os::unix::fs::symlink("nowhere", world.path("project/kilo.json")).unwrap();
    assert_eq!(code(&world), ASKED);
    assert!(warned(&world).contains("symbolic link to nothing"));

    let world = World::new();
    std::fs::create_dir_all(world.path("home/.config/kilo/kilo.json")).unwrap();
    assert_eq!(code(&world), ASKED);

    let world = World::new();
    world.write(
        "home/.kilo/kilo.json",
        &format!("{{}}{}", " ".repeat(2 << 20)),
    );
    assert_eq!(code(&world), ASKED);
}

#[test]
fn denials_stay_denials_beside_a_broken_file() {
    let world = World::new();
    world.write("project/kilo.json", "{");
    world.write(
        "home/.config/kilo/kilo.json",
        r#"{"permission": {"bash": {"*": "allow", "git push *": "deny"}}}"#,
    );
    assert_eq!(decide(&world, "code", "bash", "git push x"), Action::Deny);
    assert_eq!(decide(&world, "code", "bash", "make"), Action::Ask);
    assert_eq!(decide(&world, "plan", "edit", "a.rs"), Action::Deny);
}

#[test]
fn a_rule_with_an_unknown_action_asks() {
    for (text, expected) in [
        (
            r#"{"permission": {"edit": "denied"}}"#,
            [Action::Ask, Action::Allow, Action::Allow],
        ),
        (
            r#"{"permission": {"edit": ["deny"]}}"#,
            [Action::Ask, Action::Allow, Action::Allow],
        ),
        (
            r#"{"permission": {"edit": {"*.rs": "Deny"}}}"#,
            [Action::Ask, Action::Allow, Action::Allow],
        ),
        (
            r#"{"permission": {"bash": {"ls *": "no"}}}"#,
            [Action::Allow, Action::Ask, Action::Allow],
        ),
        (
            r#"{"permission": {"bash": {"ls *": false}}}"#,
            [Action::Allow, Action::Ask, Action::Allow],
        ),
        (r#"{"permission": {"*": "denied"}}"#, ASKED),
        (r#"{"permission": "denied"}"#, ASKED),
        (r#"{"permission": ["deny"]}"#, ASKED),
        (
            r#"{"tools": {"write": "false"}}"#,
            [Action::Ask, Action::Allow, Action::Allow],
        ),
        (r#"{"tools": "none"}"#, ASKED),
        (r#"{"agent": {"code": {"permission": "denied"}}}"#, ASKED),
        (
            r#"{"agent": {"build": {"permission": {"read": "denied"}}}}"#,
            [Action::Allow, Action::Allow, Action::Ask],
        ),
        (r#"{"agent": {"code": "off"}}"#, ASKED),
        (r#"{"agent": {"code": {"disable": "yes"}}}"#, ASKED),
        (r#"{"agent": []}"#, ASKED),
        (r#"{"default_agent": ["plan"]}"#, ASKED),
        (r#"{"model": 5}"#, FREE),
        (
            r#"{"permission": {"edit": null, "bash": {"ls *": null}}}"#,
            FREE,
        ),
    ] {
        let world = World::new();
        world.write("project/kilo.json", text);
        assert_eq!(code(&world), expected, "{text}");
        let is_said = warned(&world).contains(ASKS);
        assert_eq!(is_said, expected != FREE, "{text}: {}", warned(&world));
    }
}

#[test]
fn an_unknown_action_does_not_loosen_a_denial_below() {
    let world = World::new();
    world.write(
        "home/.config/kilo/kilo.json",
        r#"{"permission": {"bash": {"rm *": "deny"}, "edit": "deny"}}"#,
    );
    world.write(
        "project/kilo.json",
        r#"{"permission": {"bash": {"rm *": "denied"}, "edit": "denied"}}"#,
    );
    assert_eq!(decide(&world, "code", "bash", "rm x"), Action::Deny);
    assert_eq!(decide(&world, "code", "edit", "x"), Action::Deny);
}

#[test]
fn a_misspelt_rule_asks_and_names_the_key_that_was_meant() {
    for (text, name, expected) in [
        (
            r#"{"permissions": {"edit": "deny"}}"#,
            "\"permission\"",
            ASKED,
        ),
        (r#"{"Permission": "deny"}"#, "\"permission\"", ASKED),
        (r#"{"tool": {"bash": false}}"#, "\"tools\"", ASKED),
        (
            r#"{"permission": {"edits": "deny"}}"#,
            "\"edit\"",
            [Action::Ask, Action::Allow, Action::Allow],
        ),
        (
            r#"{"permission": {"write": "deny"}}"#,
            "\"edit\"",
            [Action::Ask, Action::Allow, Action::Allow],
        ),
        (
            r#"{"permission": {"Bash": {"ls *": "deny"}}}"#,
            "\"bash\"",
            [Action::Allow, Action::Ask, Action::Allow],
        ),
        (
            r#"{"agent": {"code": {"permissions": {"edit": "deny"}}}}"#,
            "\"permission\"",
            ASKED,
        ),
        (
            r#"{"agents": {"code": {"permission": {"edit": "deny"}}}}"#,
            "\"agent\"",
            ASKED,
        ),
        (
            r#"{"permissions": {"edit": "allow"}}"#,
            "\"permission\"",
            FREE,
        ),
        (r#"{"modle": "a/b"}"#, "\"model\"", FREE),
    ] {
        let world = World::new();
        world.write("project/kilo.json", text);
        assert_eq!(code(&world), expected, "{text}");
        let said = warned(&world);
        assert!(
            said.contains(&format!("did you mean {name}?")),
            "{text}: {said}"
        );
        assert_eq!(said.contains(ASKS), expected != FREE, "{text}: {said}");
    }
    let world = World::new();
    world.write(
        "project/kilo.json",
        r#"{"theme": "dark", "permission": {"server_tool": "deny"}}"#,
    );
    assert_eq!((code(&world), warned(&world)), (FREE, String::new()));
    assert_eq!(world.load().unknown[0].message, "theme: unknown key");
}

#[test]
fn a_key_that_stands_twice_is_told_and_loses_no_denial() {
    let world = World::new();
    let text = r#"{"model": "p/a", "model": "p/b", "permission": {"edit": "deny"}, "permission": {"bash": "allow"}}"#;
    world.write("project/kilo.json", text);
    assert_eq!(code(&world), ASKED);
    let said = warned(&world);
    assert!(said.contains("permission: stands more than once"), "{said}");
    assert!(said.contains("model: stands more than once"), "{said}");
    assert_eq!(said.matches(ASKS).count(), 1, "{said}");
    assert_eq!(world.load().merged["model"], "p/b");
    world.write(
        "project/kilo.json",
        r#"{"permission": {"edit": "allow"}, "permission": {"bash": "allow"}}"#,
    );
    assert_eq!(code(&world), FREE);
}

#[test]
fn an_agents_file_that_fails_guards_that_agent() {
    let world = World::new();
    world.write(
        "project/.kilo/agent/code.md",
        "---\npermission:\n  edit: deny\n edit: x\n---\n",
    );
    assert_eq!(code(&world), ASKED);
    assert_eq!(decide(&world, "general", "edit", "x"), Action::Allow);

    let world = World::new();
    world.write(
        "project/.kilo/agent/code.md",
        "---\npermission:\n  edit: denied\n---\n",
    );
    assert_eq!(code(&world), [Action::Ask, Action::Allow, Action::Allow]);
}
