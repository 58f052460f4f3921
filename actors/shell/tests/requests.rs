//! Shell texts and the requests that they must raise.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use kilo_ports::guarded::Guarded;
use kilo_ports::tool::Ask;
use kilo_protocol::model::Rule;
use kilo_shell::{Context, requests};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

struct Scene {
    _folder: tempfile::TempDir,
    base: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        for path in ["project/src/deep", "outside", "home"] {
            std::fs::create_dir_all(base.join(path)).unwrap();
        }
        for path in [
            "src/a.ts",
            "src/b.ts",
            ".env",
            "prod.env",
            ".env.example",
            "script.py",
        ] {
            std::fs::write(base.join("project").join(path), "x").unwrap();
        }
        symlink(base.join("outside"), base.join("project/link")).unwrap();
        symlink(".env", base.join("project/envlink")).unwrap();
        Self {
            _folder: folder,
            base,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.base.join(name)
    }

    /// `P/` and `O/` in a text stand for the project and a folder outside, in answers `H` for home too.
    fn asks(&self, text: &str, rules: &[Rule]) -> Vec<Ask> {
        let long = |text: &str, letter: &str, path: &Path| {
            let path = path.display().to_string();
            let at = |text: String, before: &str, after: &str| {
                text.replace(
                    &format!("{before}{letter}{after}"),
                    &format!("{before}{path}{after}"),
                )
            };
            let mut text = text.to_owned();
            for before in [" ", "=", "'"] {
                text = at(text, before, "/");
                text = at(text, before, " ");
            }
            match text.strip_suffix(&format!(" {letter}")) {
                Some(head) => format!("{head} {path}"),
                None => text,
            }
        };
        let text = long(
            &long(text, "P", &self.path("project")),
            "O",
            &self.path("outside"),
        );
        self.raw(&text, None, "project", rules, &[])
    }

    fn watched(&self, text: &str, cancelled: &dyn Fn() -> bool) -> Vec<Ask> {
        let (project, home) = (self.path("project"), self.path("home"));
        let context = Context {
            start: &project,
            directory: &project,
            worktree: &project,
            home: &home,
            guarded: &Guarded::default(),
            rules: &[],
            saved: &[],
            cancelled,
        };
        requests(text, None, context)
    }

    fn raw(
        &self,
        text: &str,
        description: Option<&str>,
        start: &str,
        rules: &[Rule],
        saved: &[Rule],
    ) -> Vec<Ask> {
        let (project, home) = (self.path("project"), self.path("home"));
        let guarded = Guarded {
            roots: vec![project.clone()],
            home: home.clone(),
            folders: vec![home.join(".config/kilo")],
            ..Guarded::default()
        };
        let context = Context {
            start: &self.path(start),
            directory: &project,
            worktree: &project,
            home: &home,
            guarded: &guarded,
            rules,
            saved,
            cancelled: &|| false,
        };
        requests(text, description, context)
    }

    fn short(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, letter) in [("project", "P"), ("outside", "O"), ("home", "H")] {
            text = text.replace(&self.path(name).display().to_string(), letter);
        }
        text.replace(&self.base.display().to_string(), "B")
    }

    fn answer(&self, text: &str) -> String {
        let mut parts = Vec::new();
        for ask in self.asks(text, &[]) {
            let name = if ask.permission == "external_directory" {
                "out"
            } else {
                &ask.permission
            };
            let must = if ask.must_ask { "!" } else { "" };
            let files = ask.metadata.get("files").and_then(|files| files.as_array());
            let files: Vec<&str> = files
                .into_iter()
                .flatten()
                .filter_map(|file| file.as_str())
                .collect();
            let files = if files.is_empty() {
                String::new()
            } else {
                format!(" [{}]", files.join(" "))
            };
            parts.push(format!("{name}{must}{files}: {}", ask.patterns.join(" + ")));
        }
        self.short(&parts.join(" / ")).replace('\n', "\\n")
    }
}

/// The texts and answers of `corpus.txt`.
fn corpus() -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut text: Vec<&str> = Vec::new();
    let lines = include_str!("corpus.txt")
        .lines()
        .skip_while(|line| line.starts_with("# ") || *line == "#");
    for line in lines {
        match line.strip_prefix("=>") {
            Some(answer) => pairs.push((
                std::mem::take(&mut text).join("\n"),
                answer.trim().to_owned(),
            )),
            None if line.is_empty() && text.is_empty() => {}
            None => text.push(line),
        }
    }
    pairs
}

#[test]
fn every_text_raises_its_requests() {
    let scene = Scene::new();
    let pairs = corpus();
    assert!(pairs.len() > 250);
    let wrong: Vec<String> = pairs
        .iter()
        .map(|(text, wanted)| (text, wanted, scene.answer(text)))
        .filter(|(_, wanted, answer)| *wanted != answer)
        .map(|(text, wanted, answer)| format!("{text}\n  wanted {wanted}\n  got    {answer}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn always_covers_the_command_not_the_program() {
    let scene = Scene::new();
    let always = |text: &str| {
        scene
            .asks(text, &[])
            .last()
            .map(|ask| ask.always.join(" + "))
            .unwrap_or_default()
    };
    for (text, wanted) in [
        ("mkdir p1", "mkdir *"),
        ("git commit -m x", "git commit *"),
        ("git remote add x y", "git remote add *"),
        ("npm run build -- --watch", "npm run build *"),
        (
            "npm --prefix web run build",
            "npm --prefix web run build * + npm run build *",
        ),
        ("docker compose up -d", "docker compose up *"),
        ("git -C src push", "git -C src push * + git push *"),
        ("FOO=1 npm test", "npm test * + FOO=1 npm test *"),
        ("CI=1 npm test", "npm test *"),
        ("git", "git"),
        ("ls && rm x", "ls * + rm *"),
        ("python3 -c 'x y'", "python3 -c 'x y'"),
        ("sudo rm x", "sudo rm x + rm *"),
        ("bash -c 'ls -l'", "bash -c 'ls -l' + ls *"),
        ("$X y", ""),
        ("cat $F", "cat *"),
        ("echo x > out.txt", "echo * > out.txt"),
        ("ls | tee out.txt", "ls * + tee out.txt"),
        ("git log --output=x", "git log --output=x"),
    ] {
        assert_eq!(always(text), wanted, "{text}");
    }
}

#[test]
fn rules_that_name_files_hold_for_commands_too() {
    use kilo_protocol::model::Action;
    let scene = Scene::new();
    let rule = |permission: &'static str, pattern: &'static str| Rule {
        permission: permission.into(),
        pattern: pattern.into(),
        action: Action::Deny,
    };
    let rules = [
        rule("read", "src/*"),
        rule("edit", "*.lock"),
        rule("bash", "nohup *"),
        rule("edit", "*"),
    ];
    let asked = |text: &str| {
        let asks = scene.asks(text, &rules);
        asks.into_iter()
            .map(|ask| format!("{} {}", ask.permission, ask.patterns.join(" + ")))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        asked("cat src/a.ts"),
        ["read src/a.ts", "bash cat src/a.ts"]
    );
    assert_eq!(
        asked("cp script.py Cargo.lock"),
        ["edit Cargo.lock", "bash cp script.py Cargo.lock"]
    );
    assert_eq!(asked("touch x"), ["edit x", "bash touch x"]);
    assert_eq!(asked("nohup ls"), ["bash nohup ls + ls"]);
}

#[test]
fn a_text_without_a_command_is_asked_about_as_a_whole() {
    use kilo_protocol::model::Action;
    let scene = Scene::new();
    let bash = |action| {
        [Rule {
            permission: "bash".into(),
            pattern: "*".into(),
            action,
        }]
    };
    let whole = |text: &str, rules: &[Rule]| {
        let asks = scene.asks(text, rules);
        asks.iter().any(|ask| {
            ask.permission == "bash" && (ask.must_ask || ask.patterns == [text.to_owned()])
        })
    };
    for text in [
        "[[ -v 'a[$(rm q)]' ]]",
        "Y=$((X))",
        "(( X ))",
        "Y=$[X]",
        "[[ x -eq y ]]",
        "X=${Y:Z}",
        "X=${!Y}",
        "X=${Y@P}",
        "declare -i x=y",
        "declare -n q=PATH",
        "declare -a 'x=([$X]=1)'",
        "export 'a[$X]=1'",
        "unset 'a[$X]'",
        "a[X]=1",
        "for x in $((X)); do (( x )); done",
        "case $((X)) in esac",
        "> out.txt",
        "< src/a.ts",
        "f() (( X ))",
    ] {
        assert!(whole(text, &bash(Action::Ask)), "{text}");
        let denied = scene.asks(text, &bash(Action::Deny));
        assert!(denied.iter().any(|ask| ask.permission == "bash"), "{text}");
    }
    for text in ["X=1", "cd src", "X='a b' Y=$Z", "declare -A m", "(cd src)"] {
        assert!(!whole(text, &bash(Action::Allow)), "{text}");
        assert!(!whole(text, &bash(Action::Ask)), "{text}");
        assert!(whole(text, &bash(Action::Deny)), "{text}");
    }
}

#[test]
fn a_request_tells_what_it_is_about() {
    let scene = Scene::new();
    let asks = scene.raw("cat /etc/hostname > $X", Some("look"), "project", &[], &[]);
    let about = |index: usize| serde_json::to_value(&asks[index].metadata).unwrap();
    let command = "cat /etc/hostname > $X";
    assert_eq!(
        about(0),
        serde_json::json!({
            "command": command, "description": "look", "filepath": "/etc/hostname", "parentDir": "/etc",
        })
    );
    assert_eq!(
        about(1)["reason"],
        "it writes to a file that only the running shell knows"
    );
    assert_eq!((asks[0].must_ask, asks[1].must_ask), (false, true));
}

#[test]
fn a_start_outside_is_asked_for() {
    let scene = Scene::new();
    let start = scene.path("outside");
    let asks = scene.raw("cat ../project/src/a.ts x", None, "outside", &[], &[]);
    let outside = format!("{}/*", start.display());
    assert_eq!(
        (asks[0].permission.as_str(), &asks[0].patterns),
        ("external_directory", &vec![outside])
    );
}

#[test]
fn odd_and_huge_texts_end_and_must_be_looked_at() {
    let scene = Scene::new();
    let deep = "(".repeat(2_000) + "ls" + &")".repeat(2_000);
    let nested = (0..10).fold("ls".to_owned(), |text, _| format!("eval {}", quote(&text)));
    let chain = vec!["ls"; 5_000].join(" && ");
    let braces = format!("echo x > {}", "{a,b}".repeat(20));
    for text in [
        deep,
        nested,
        chain,
        braces,
        "a".repeat(300_000),
        "ls \0".to_owned(),
        "<<<<<< ((( `".to_owned(),
    ] {
        let last = scene.asks(&text, &[]).pop();
        assert!(
            last.is_some_and(|ask| ask.must_ask),
            "{}",
            text.get(..40).unwrap_or(&text)
        );
    }
}

#[test]
fn every_beginning_of_every_text_can_be_read() {
    let scene = Scene::new();
    for (text, _) in corpus() {
        for (end, _) in text.char_indices() {
            scene.asks(&text[..end], &[]);
        }
    }
}

/// Wildcards over many files share one budget; what is not looked at any more is asked about as it stands.
#[test]
fn many_wildcards_over_many_files_cost_a_bounded_look() {
    let scene = Scene::new();
    let many = scene.path("project/many");
    std::fs::create_dir_all(&many).unwrap();
    for number in 0..3_000 {
        std::fs::write(many.join(format!("f{number}")), "").unwrap();
    }
    let text = format!("cat {}", "many/f*9 ".repeat(2_000));
    let looks = std::cell::Cell::new(0_usize);
    let cancelled = || {
        looks.set(looks.get() + 1);
        false
    };
    let asks = scene.watched(&text, &cancelled);
    assert!(looks.get() < 20_000, "{} looks", looks.get());
    let bash = asks.last().unwrap();
    assert!(bash.patterns.contains(&"many/f*9".to_owned()));
    // A folder that is too large to look through is not taken for one without secrets.
    let large = scene.path("project/large");
    std::fs::create_dir_all(&large).unwrap();
    for number in 0..4_100 {
        std::fs::write(large.join(format!("f{number}")), "").unwrap();
    }
    assert!(scene.asks("grep -Rn x large", &[]).pop().unwrap().must_ask);
    assert!(!scene.asks("grep -rn x large", &[]).pop().unwrap().must_ask);
    // Who no longer waits ends it at the next look.
    let looks = std::cell::Cell::new(0_usize);
    let cancelled = || {
        looks.set(looks.get() + 1);
        true
    };
    scene.watched(&text, &cancelled);
    assert!(looks.get() < 10_000, "{} looks", looks.get());
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
