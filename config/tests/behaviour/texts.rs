use crate::World;
use kilo_config::commands::commands;
use kilo_config::instructions::{Instructions, collect, nearby};
use kilo_config::skills::skills;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn collected(world: &World) -> Instructions {
    collect(&world.env, &world.paths, &world.load())
}

fn paths(world: &World, found: &Instructions) -> Vec<String> {
    let base = world.path("");
    found
        .files
        .iter()
        .map(|file| {
            file.path
                .strip_prefix(&base)
                .unwrap()
                .to_string_lossy()
                .into_owned()
        })
        .collect()
}

#[test]
fn the_users_file_and_all_hits_of_the_first_project_name_count() {
    let world = World::new();
    world.write("home/.claude/CLAUDE.md", "claude");
    world.write("project/CLAUDE.md", "root claude");
    world.write("project/sub/CLAUDE.md", "sub claude");
    world.write("AGENTS.md", "outside");
    let sub = world.path("project/sub");
    let found = collect(&world.env, &world.paths, &world.load_at(&sub));
    assert_eq!(
        paths(&world, &found),
        [
            "home/.claude/CLAUDE.md",
            "project/CLAUDE.md",
            "project/sub/CLAUDE.md"
        ]
    );

    world.write("home/.config/kilo/AGENTS.md", "mine");
    world.write("project/AGENTS.md", "root");
    let found = collect(&world.env, &world.paths, &world.load_at(&sub));
    assert_eq!(
        paths(&world, &found),
        ["home/.config/kilo/AGENTS.md", "project/AGENTS.md"]
    );
    assert!(found.to_prompt()[1].ends_with("AGENTS.md:\nroot"));

    let world = world
        .with_variable("KILO_CONFIG_DIR", "<root>/extra")
        .with_variable("KILO_DISABLE_CLAUDE_CODE", "1");
    world.write("extra/AGENTS.md", "extra");
    std::fs::remove_file(world.path("project/AGENTS.md")).unwrap();
    assert_eq!(paths(&world, &collected(&world)), ["extra/AGENTS.md"]);
}

#[test]
fn rules_folders_and_named_files_count() {
    let world = World::new();
    world.write("home/notes/me.md", "me");
    world.write(
        "home/.config/kilo/kilo.json",
        r#"{"instructions": ["~/notes/*.md", "https://x/y.md"]}"#,
    );
    world.write("project/.kilo/rules/style.md", "style");
    world.write("project/.kilocode/rules/deep/old.md", "old");
    world.write("project/docs/a.md", "a");
    world.write("project/docs/b.txt", "b");
    world.write("project/packages/x/GUIDE.md", "x");
    world.write("project/node_modules/y/GUIDE.md", "y");
    world.write(
        "project/kilo.json",
        r#"{"instructions": ["docs/*.md", "**/GUIDE.md", "./docs/a.md", "none.md"]}"#,
    );
    let found = collected(&world);
    assert_eq!(
        paths(&world, &found),
        [
            "project/.kilocode/rules/deep/old.md",
            "project/.kilo/rules/style.md",
            "home/notes/me.md",
            "project/docs/a.md",
            "project/packages/x/GUIDE.md",
        ]
    );
    assert_eq!(found.urls, ["https://x/y.md"]);
}

#[cfg(unix)]
#[test]
fn a_project_cannot_bring_in_files_of_the_user() {
    let world = World::new();
    let secret = world.write("home/.ssh/id", "s3cret");
    std::os::unix::fs::symlink(&secret, world.path("project/AGENTS.md")).unwrap();
    let named = json!({"instructions": [secret, "../home/.ssh/id", "~/.ssh/*"]});
    world.write("project/kilo.json", &named.to_string());
    let found = collected(&world);
    assert_eq!(found.files, []);
    assert_eq!(found.skipped.len(), 3);
    // A pattern of the user's that is meant for every project does not open this one's links either.
    std::fs::remove_file(world.path("project/kilo.json")).unwrap();
    std::os::unix::fs::symlink(&secret, world.path("project/notes.md")).unwrap();
    world.write(
        "home/.config/kilo/kilo.json",
        r#"{"instructions": ["notes.md"]}"#,
    );
    assert_eq!(collected(&world).files, []);
    // A place outside that the user names is the user's business.
    let named = json!({"instructions": [secret]});
    world.write("home/.config/kilo/kilo.json", &named.to_string());
    assert_eq!(collected(&world).files.len(), 1);
}

#[test]
fn long_files_are_cut_and_too_many_are_skipped() {
    let world = World::new();
    for number in 0..6 {
        world.write(
            &format!("project/.kilo/rules/{number}.md"),
            &"x".repeat(70_000),
        );
    }
    let found = collected(&world);
    assert_eq!((found.files.len(), found.skipped.len()), (4, 2));
    assert!(
        found
            .files
            .iter()
            .all(|file| file.text.ends_with("(cut after 65536 bytes)"))
    );
}

#[test]
fn instructions_in_any_usual_encoding_are_read_and_others_are_named() {
    let world = World::new();
    let text = "Verwende größere Schriften. Используй пробелы.";
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let path = world.write("project/AGENTS.md", "");
    std::fs::write(&path, &wide).unwrap();
    assert_eq!(collected(&world).files[0].text, text);
    std::fs::write(&path, [&[0xFF, 0xFE], &wide[..]].concat()).unwrap();
    assert_eq!(collected(&world).files[0].text, text);
    std::fs::write(&path, b"Gr\xF6\xDFere \xC4nderungen vorher pr\xFCfen.").unwrap();
    assert_eq!(
        collected(&world).files[0].text,
        "Größere Änderungen vorher prüfen."
    );
    std::fs::write(&path, b"\x7fELF\x02\0\0\x01").unwrap();
    let found = collected(&world);
    assert_eq!((found.files.len(), &found.skipped[0].0), (0, &path));
    assert!(
        found.skipped[0].1.contains("encoding"),
        "{:?}",
        found.skipped
    );
}

#[test]
fn instructions_near_a_file_come_once_and_only_from_below() {
    let world = World::new();
    world.write("project/AGENTS.md", "root");
    let upper = world.write("project/a/AGENTS.md", "upper");
    let lower = world.write("project/a/b/CLAUDE.md", "lower");
    let file = world.write("project/a/b/c/x.rs", "");
    let (project, mut seen) = (world.project(), BTreeSet::new());
    let near = |seen: &BTreeSet<_>| nearby(&world.env, &file, &project, &project, seen);
    assert_eq!(
        near(&seen),
        [
            (upper.clone(), "upper".to_owned()),
            (lower.clone(), "lower".to_owned())
        ]
    );
    seen.insert(upper);
    assert_eq!(near(&seen), [(lower.clone(), "lower".to_owned())]);
    let of_itself = nearby(&world.env, &lower, &project, &project, &seen);
    assert_eq!(of_itself, []);
    assert_eq!(
        nearby(&world.env, &world.path("home/x"), &project, &project, &seen),
        []
    );
}

#[test]
fn skills_come_from_all_places_and_the_nearest_wins() {
    let world = World::new();
    let skill = |name: &str, text: &str| {
        format!("---\nname: {name}\ndescription: >\n  about\n  {name}\n---\n\n{text}\n")
    };
    world.write(
        "home/.claude/skills/one/SKILL.md",
        &skill("one", "user one"),
    );
    world.write("home/.config/kilo/skill/two/SKILL.md", &skill("two", "two"));
    let one = world.write(
        "project/.kilo/skills/one/SKILL.md",
        &skill("one", "project one"),
    );
    world.write("project/.agents/skills/three/SKILL.md", "no head");
    world.write("project/.kilo/skills/broken/SKILL.md", "---\nwhat\n---\n");
    world.write("project/mine/four/SKILL.md", &skill("four", "four"));
    world.write(
        "project/kilo.json",
        r#"{"skills": {"paths": ["mine", "../home/.claude"]}}"#,
    );
    let loaded = world.load();
    let found = skills(&world.env, &world.paths, &loaded);
    let names: Vec<(&str, bool)> = found
        .iter()
        .map(|skill| (skill.name.as_str(), skill.trusted))
        .collect();
    assert_eq!(
        names,
        [
            ("four", false),
            ("one", false),
            ("three", false),
            ("two", true)
        ]
    );
    assert_eq!(
        serde_json::to_value(&found[1]).unwrap(),
        json!({"name": "one", "description": "about one", "location": one, "content": "project one"})
    );
}

#[test]
fn commands_are_built_in_written_or_skills() {
    let world = World::new();
    world.write(
        "project/.kilo/command/hello.md",
        "---\ndescription: say hello\nagent: plan\nmodel: fake/small\n---\nHello args=$ARGUMENTS first=$1 second=$2\n",
    );
    world.write(
        "home/.config/kilo/kilo.json",
        r#"{"command": {"inline": {"template": "Do it", "subtask": true}}}"#,
    );
    world.write(
        "project/.kilo/skills/helper/SKILL.md",
        "---\ndescription: helps\n---\nHelp.",
    );
    world.write("project/.kilo/skills/hello/SKILL.md", "shadowed");
    let loaded = world.load();
    let list = commands(&loaded, &skills(&world.env, &world.paths, &loaded));
    let names: Vec<&str> = list.iter().map(|command| command.name.as_str()).collect();
    assert_eq!(names, ["hello", "helper", "init", "inline", "review"]);
    let shown: Vec<Value> = list
        .iter()
        .map(|command| serde_json::to_value(command).unwrap())
        .collect();
    assert_eq!(
        shown[0],
        json!({"name": "hello", "description": "say hello", "agent": "plan", "model": "fake/small", "source": "command",
               "template": "Hello args=$ARGUMENTS first=$1 second=$2", "hints": ["$1", "$2", "$ARGUMENTS"]})
    );
    assert_eq!(
        shown[3],
        json!({"name": "inline", "source": "command", "trusted": true, "template": "Do it", "subtask": true, "hints": []})
    );
    assert_eq!(
        (&shown[1]["source"], &shown[2]["hints"]),
        (&json!("skill"), &json!(["$ARGUMENTS"]))
    );
}
