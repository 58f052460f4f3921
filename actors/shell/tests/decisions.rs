//! Shell texts under whole sets of rules: what runs unasked, what is asked, what is denied.
//!
//! The cases are in `decisions.txt`. A request is judged as the session's machine does it: a denial wins, then what must
//! be asked, then the last rule.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use kilo_config::permission::evaluate;
use kilo_config::{Environment, Paths};
use kilo_ports::guarded::Guarded;
use kilo_protocol::model::{Action, Rule};
use kilo_shell::{Context, requests};
use std::path::PathBuf;

struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scene = Self { folder };
        for path in [
            "project/.git/HEAD",
            "project/src/a.ts",
            "project/.env",
            "home/x",
            "outside/y",
        ] {
            scene.write(path, "x");
        }
        for path in [
            "nested/.git/HEAD",
            "bare/HEAD",
            "bare/objects/x",
            "evil/kilo.json",
        ] {
            scene.write(&format!("project/{path}"), "x");
        }
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// The rules of an agent under a configuration's `permission`.
    fn rules(&self, agent: &str, permission: &str) -> Vec<Rule> {
        let config = self.path("configured/kilo.json");
        std::fs::create_dir_all(config.parent().unwrap()).unwrap();
        std::fs::write(&config, format!("{{\"permission\": {permission}}}")).unwrap();
        let env = Environment {
            home: self.path("home"),
            cwd: self.path("home"),
            temp: self.path("tmp"),
            ..Environment::default()
        };
        let mut paths = Paths::of(&env);
        paths.managed = self.path("etc");
        let folder = self.path("configured");
        let loaded = kilo_config::load(&env, &paths, &folder, &folder);
        let agents = kilo_config::agents(&env, &paths, &loaded);
        let found = agents.into_iter().find(|found| found.name == agent);
        found.unwrap().permission
    }

    fn outcome(&self, text: &str, rules: &[Rule]) -> &'static str {
        let (project, home) = (self.path("project"), self.path("home"));
        let guarded = Guarded {
            roots: vec![project.clone()],
            home: home.clone(),
            folders: vec![home.join(".config/kilo"), home.join(".config/opencode")],
            ..Guarded::default()
        };
        let context = Context {
            start: &project,
            directory: &project,
            worktree: &project,
            home: &home,
            guarded: &guarded,
            rules,
            saved: &[],
            cancelled: &|| false,
        };
        let text = text
            .replace("OUTSIDE", &self.path("outside").display().to_string())
            .replace("\\n", "\n");
        let mut asks = false;
        for ask in requests(&text, None, context) {
            let actions: Vec<Action> = ask
                .patterns
                .iter()
                .map(|pattern| evaluate(&ask.permission, pattern, &[rules]).action)
                .collect();
            if actions.contains(&Action::Deny) {
                return "denied";
            }
            asks |= ask.must_ask || actions.contains(&Action::Ask);
        }
        if asks { "asks" } else { "runs" }
    }
}

#[test]
fn every_text_is_decided_as_it_should_be() {
    let scene = Scene::new();
    let mut rules = Vec::new();
    let mut checked = 0;
    let mut wrong = Vec::new();
    let mut set = "";
    for line in include_str!("decisions.txt").lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(head) = line.strip_prefix("== ") {
            set = head;
            let (agent, permission) = head.split_once(' ').unwrap();
            rules = scene.rules(agent, permission);
            continue;
        }
        let (wanted, text) = line.split_once(' ').unwrap();
        let found = scene.outcome(text, &rules);
        checked += 1;
        if found != wanted {
            wrong.push(format!("{set}\n  {text}\n  wanted {wanted}, got {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked >= 321, "only {checked} cases");
}
