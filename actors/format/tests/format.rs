//! Formatters in a project, with real processes.

use kilo_config::Environment;
use kilo_config::programs::Programs;
use kilo_format::{Formatted, Formatters, Formatting, Status};
use kilo_sandbox::{ProcessSandbox, Settings};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

struct Project {
    folder: tempfile::TempDir,
    formatting: Arc<Formatting>,
}

impl Project {
    fn new(formatter: &Value) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(folder.path().join("top")).expect("it works");
        let mut environment = Environment::default();
        let path = format!("{}:/usr/bin:/bin", folder.path().join("bin").display());
        environment.vars.insert("PATH".into(), path.clone());
        let programs = Programs::new(&environment, &folder.path().join("top"));
        let formatters = Formatters::from_config(Some(formatter)).expect("some are on");
        let settings = Settings::new([("PATH".into(), path.into())]);
        let sandbox = Arc::new(ProcessSandbox::new(settings).expect("a sandbox"));
        Self {
            formatting: Arc::new(Formatting::new(formatters, programs, sandbox)),
            folder,
        }
    }

    /// With one formatter of the user's own for `.txt`.
    fn shell(script: &str) -> Self {
        let command = json!(["sh", "-c", script, "formatter", "$FILE"]);
        Self::new(
            &json!({"mine": {"command": command, "extensions": [".txt"], "environment": {"WORD": "two"}}}),
        )
    }

    fn top(&self) -> PathBuf {
        self.folder.path().join("top")
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.top().join(name);
        fs::create_dir_all(path.parent().expect("it works")).expect("it works");
        fs::write(&path, text).expect("it works");
        path
    }

    /// A program that adds its own name and arguments, but the last, to the file that the last names.
    fn program(&self, name: &str) {
        let path = self.top().join(name);
        fs::create_dir_all(path.parent().expect("it works")).expect("it works");
        let script = "#!/bin/sh\nfor last; do :; done\necho \"$(basename \"$0\") $# $(basename \"$PWD\")\" >> \"$last\"\n";
        fs::write(&path, script).expect("it works");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it works");
    }

    async fn format(&self, files: &[&Path]) -> Formatted {
        let files = files.iter().map(|file| file.to_path_buf()).collect();
        let cancel = CancellationToken::new();
        self.formatting.format(&self.top(), files, &cancel).await
    }

    fn status(&self, from: &Path) -> Vec<Status> {
        let (formatters, programs) = self.formatting.formatters();
        formatters.status(programs, from)
    }
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).expect("it works")
}

#[tokio::test]
async fn a_formatter_of_the_users_own_changes_the_file() {
    let project = Project::shell("sed -i \"s/one/$WORD/\" \"$1\"; echo done; pwd >&2");
    let (a, b) = (
        project.write("a.txt", "one\n"),
        project.write("b.md", "one\n"),
    );
    let same = project.write("c.txt", "three\n");
    let formatted = project.format(&[&a, &b, &same]).await;
    assert_eq!((text(&a).as_str(), text(&b).as_str()), ("two\n", "one\n"));
    assert_eq!(
        formatted,
        Formatted {
            changed: vec![a],
            warnings: vec![]
        }
    );
}

#[tokio::test]
async fn whatever_goes_wrong_the_file_is_as_written() {
    for (script, said) in [
        (
            "echo half > \"$1\"; echo '\u{1b}[31mline 3\u{1b}[0m: bad' >&2; exit 2",
            "exit code 2: line 3: bad",
        ),
        ("echo told on stdout; exit 1", "exit code 1: told on stdout"),
        (": > \"$1\"", "it emptied the file"),
        ("rm \"$1\"", "No such file"),
        (
            "rm \"$1\"; mkdir \"$1\"; rmdir \"$1\"; exit 3",
            "exit code 3",
        ),
        ("echo half > \"$1\"; kill -9 $$", "ended by signal 9"),
        (
            "echo half > \"$1\"; head -c 100000000 /dev/zero | tr '\\0' x; exit 4",
            "exit code 4: xxx",
        ),
        ("head -c 9000000 /dev/zero > \"$1\"", "too large"),
    ] {
        let project = Project::shell(script);
        let file = project.write("a.txt", "one\n");
        let formatted = project.format(&[&file]).await;
        assert_eq!(text(&file), "one\n", "{script}");
        assert!(formatted.changed.is_empty(), "{script}");
        let warning = formatted.warnings.join("|");
        assert!(
            warning.contains("Formatter mine failed on a.txt"),
            "{warning}"
        );
        assert!(
            warning.contains(said) && warning.len() < 600,
            "{script}: {warning}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_formatter_that_never_ends_is_ended() {
    let project = Project::shell("sleep 1000 & echo half > \"$1\"; sleep 1000");
    let file = project.write("a.txt", "one\n");
    let formatted = project.format(&[&file]).await;
    assert_eq!(text(&file), "one\n");
    assert!(
        formatted.warnings[0].ends_with("longer than 5 s"),
        "{formatted:?}"
    );
}

#[tokio::test]
async fn a_stopped_call_leaves_the_file_as_written() {
    let project = Project::shell("echo half > \"$1\"; sleep 1000");
    let file = project.write("a.txt", "one\n");
    let cancel = CancellationToken::new();
    let (formatting, top) = (Arc::clone(&project.formatting), project.top());
    let (files, stop) = (vec![file.clone()], cancel.clone());
    let running = tokio::spawn(async move { formatting.format(&top, files, &stop).await });
    while text(&file) != "half\n" {
        tokio::task::yield_now().await;
    }
    cancel.cancel();
    assert_eq!(running.await.unwrap(), Formatted::default());
    assert_eq!(text(&file), "one\n");
}

#[tokio::test]
async fn one_that_cannot_be_started_is_named_once() {
    let formatter = json!({"mine": {"command": ["/nowhere/x", "$FILE"], "extensions": [".txt"]}});
    let project = Project::new(&formatter);
    let file = project.write("a.txt", "one\n");
    let first = project.format(&[&file]).await;
    assert!(first.warnings[0].contains("cannot be started"), "{first:?}");
    assert_eq!(project.format(&[&file]).await, Formatted::default());
    let status = project.status(&project.top());
    let mine = status.iter().find(|line| line.name == "mine").unwrap();
    assert!(!mine.enabled);
}

#[tokio::test]
async fn the_projects_own_tool_comes_first_and_only_where_it_is_wanted() {
    let project = Project::new(&json!(true));
    project.program("../bin/prettier");
    project.program("web/node_modules/.bin/prettier");
    project.program("../bin/ruff");
    let file = project.write("web/src/a.ts", "x\n");
    let python = project.write("a.py", "x\n");
    assert_eq!(
        project.format(&[&file, &python]).await,
        Formatted::default()
    );
    project.write(
        "web/package.json",
        r#"{"devDependencies": {"prettier": "3"}}"#,
    );
    project.write("pyproject.toml", "[tool.ruff]\nline-length = 80\n");
    let formatted = project.format(&[&file, &python]).await;
    assert_eq!(formatted.changed, [file.clone(), python.clone()]);
    assert_eq!(text(&file), "x\nprettier 3 web\n");
    assert_eq!(text(&python), "x\nruff 3 top\n");
    let enabled = |from: PathBuf| -> Vec<String> {
        let status = project.status(&from).into_iter();
        let enabled = status.filter(|line| line.enabled);
        enabled.map(|line| line.name).collect()
    };
    assert!(enabled(project.top().join("web")).contains(&"prettier".to_owned()));
    assert!(!enabled(project.top()).contains(&"prettier".to_owned()));
    // A nearer wish of another tool: only one of the built-in list runs.
    project.program("web/node_modules/.bin/biome");
    project.write("web/biome.json", "{}");
    project.write("web/src/a.ts", "y\n");
    project.format(&[&file]).await;
    assert_eq!(text(&file), "y\nbiome 4 web\n");
}

#[tokio::test]
async fn the_configuration_changes_the_built_in_list() {
    let formatter = json!({
        "shfmt": {"disabled": true},
        "gofmt": {"command": ["sh", "-c", "echo own >> \"$0\"", "$FILE"]},
        "second": {"command": ["sh", "-c", "echo second >> \"$0\"", "$FILE"], "extensions": ["go", ".go"]},
        "nothing": {"extensions": [".go"]},
    });
    let project = Project::new(&formatter);
    let file = project.write("a.go", "x\n");
    assert_eq!(project.format(&[&file]).await.changed.len(), 1);
    assert_eq!(text(&file), "x\nown\nsecond\n");
    let status = project.status(&project.top());
    let names: Vec<_> = status.iter().map(|line| line.name.as_str()).collect();
    assert!(!names.contains(&"shfmt") && !names.contains(&"nothing"));
    let gofmt = status.iter().find(|line| line.name == "gofmt").unwrap();
    assert_eq!(
        (gofmt.enabled, &*gofmt.extensions),
        (true, &[".go".to_owned()][..])
    );
    for off in [json!(false), json!("yes"), json!(null)] {
        assert!(Formatters::from_config(Some(&off)).is_none());
    }
    assert!(Formatters::from_config(None).is_none());
}

#[tokio::test]
async fn a_file_whose_name_looks_like_an_option_or_holds_odd_signs_is_one_argument() {
    let project = Project::shell("echo \"$#\" >> \"$1\"");
    for name in [
        "-n $(x) 'a' ü.txt",
        "--config=x.txt",
        "a b\tc.txt",
        "quote\"s and `back` \\ ticks.txt",
        "two\nlines.txt",
        "$FILE;*?[a]{b}~.txt",
        "-.txt",
    ] {
        let file = project.write(name, "one\n");
        let formatted = project.format(&[&file]).await;
        assert_eq!(formatted.changed, std::slice::from_ref(&file), "{name:?}");
        assert_eq!(text(&file), "one\n1\n", "{name:?}");
    }
}

#[tokio::test]
async fn a_failure_that_repeats_is_told_once_until_the_formatter_works_again() {
    let script = "grep -q good \"$1\" && exit 0; echo no config >&2; exit $(wc -l < \"$1\")";
    let project = Project::shell(script);
    let mut told = Vec::new();
    for text in ["x\n", "y\n", "x\nx\n", "z\n", "good\n", "x\n", "y\n"] {
        let file = project.write("a.txt", text);
        told.push(project.format(&[&file]).await.warnings.len());
    }
    assert_eq!(told, [1, 0, 1, 0, 0, 1, 0]);
}

/// Left out where no rustfmt is installed.
#[tokio::test]
async fn rustfmt_knows_the_edition_and_leaves_other_modules_alone() {
    let folder = tempfile::tempdir().unwrap();
    let environment = Environment::from_process();
    let programs = Programs::new(&environment, folder.path());
    if programs.find("rustfmt", folder.path()).is_none() {
        return;
    }
    let settings = Settings::new(
        environment
            .vars
            .iter()
            .map(|(name, value)| (name.into(), value.into())),
    );
    let sandbox = Arc::new(ProcessSandbox::new(settings).expect("a sandbox"));
    let formatters = Formatters::from_config(Some(&json!(true))).expect("on");
    let formatting = Arc::new(Formatting::new(formatters, programs, sandbox));
    fs::write(
        folder.path().join("Cargo.toml"),
        "[package]\nedition = \"2021\"\n",
    )
    .unwrap();
    let (main, other) = (
        folder.path().join("main.rs"),
        folder.path().join("other.rs"),
    );
    fs::write(&main, "mod other;\nasync  fn a(){}\n").unwrap();
    fs::write(&other, "fn  b(){}\n").unwrap();
    let cancel = CancellationToken::new();
    let formatted = formatting
        .format(folder.path(), vec![main.clone()], &cancel)
        .await;
    if formatted
        .warnings
        .iter()
        .any(|warning| warning.contains("is not installed"))
    {
        return;
    }
    assert_eq!(formatted.warnings, Vec::<String>::new());
    assert_eq!(text(&main), "mod other;\nasync fn a() {}\n");
    assert_eq!(text(&other), "fn  b(){}\n");
    fs::write(&main, "fn broken( {\n").unwrap();
    let formatted = formatting
        .format(folder.path(), vec![main.clone()], &cancel)
        .await;
    assert!(
        formatted.warnings[0].contains("rustfmt failed on main.rs"),
        "{formatted:?}"
    );
    assert_eq!(text(&main), "fn broken( {\n");
}
