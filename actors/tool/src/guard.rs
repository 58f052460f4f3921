//! The request to change files. What no rule may allow is marked, so that a person sees why it is asked.

use crate::call::{self, ask_any};
use crate::place::Place;
use crate::text::TextFile;
use kilo_ports::guarded::{Guarded, changes_install_hooks};
use kilo_ports::tool::{Ask, ToolCx, ToolError};
use serde_json::{Map, Value, json};

/// A file that a call is about to change.
pub struct Wanted<'a> {
    /// Where it is.
    pub place: &'a Place,
    /// As it is.
    pub file: &'a TextFile,
    /// Its text afterwards; nothing when it goes.
    pub new: Option<&'a str>,
}

/// Why a person must answer: a word for clients, a sentence for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    kind: &'static str,
    reason: &'static str,
}

const LINKED: Mark = Mark {
    kind: "linked",
    reason: "the file has other names, and what they name changes with it",
};
const HOOKS: Mark = Mark {
    kind: "executable",
    reason: "a package manager runs the scripts that this changes whenever it installs",
};

/// Asks for `edit`. A guarded file among `wanted` is asked about whatever the rules and saved answers say, and named in
/// `metadata.guarded` (`[{path, kind, reason}]`); an answer "always" then allows nothing further.
pub async fn ask_edit(
    cx: &ToolCx,
    wanted: &[Wanted<'_>],
    metadata: Map<String, Value>,
) -> Result<(), ToolError> {
    call::ask(cx, request(&cx.guarded, wanted, metadata)).await
}

fn request(guarded: &Guarded, wanted: &[Wanted<'_>], metadata: Map<String, Value>) -> Ask {
    let patterns = wanted.iter().flat_map(|wanted| wanted.place.patterns());
    let mut ask = ask_any("edit", patterns.collect(), metadata);
    let marks: Vec<Value> = wanted
        .iter()
        .filter_map(|wanted| {
            let mark = mark(guarded, wanted)?;
            Some(json!({"path": wanted.place.shown(), "kind": mark.kind, "reason": mark.reason}))
        })
        .collect();
    if !marks.is_empty() {
        ask.must_ask = true;
        ask.always = Vec::new();
        ask.metadata.insert("guarded".into(), marks.into());
    }
    ask
}

fn mark(guarded: &Guarded, wanted: &Wanted<'_>) -> Option<Mark> {
    let Wanted { place, file, new } = wanted;
    let by_name = guarded.of_either(&place.absolute, &place.real);
    let guard = by_name.max(
        file.in_repository
            .then_some(kilo_ports::guarded::Guard::Git),
    );
    if let Some(guard) = guard {
        return Some(Mark {
            kind: guard.as_str(),
            reason: guard.reason(),
        });
    }
    // Whoever removes one of a file's names changes none of the others.
    let new = (*new)?;
    if file.facts.names > 1 {
        return Some(LINKED);
    }
    changes_install_hooks(&place.real, &file.text, new).then_some(HOOKS)
}

#[cfg(test)]
mod tests {
    use crate::testing::Stage;
    use serde_json::{Value, json};
    use std::os::unix::fs::symlink;

    /// What the newest request said: whether a person must answer, and the kinds of the guarded files.
    fn last(stage: &Stage) -> (bool, Vec<String>) {
        let asks = stage.host.asks.lock();
        let ask = asks.last().unwrap();
        let marks = ask.metadata.get("guarded").and_then(Value::as_array);
        let kinds = marks.into_iter().flatten();
        let kinds = kinds.map(|mark| mark["kind"].as_str().unwrap().to_owned());
        assert_eq!(ask.permission, "edit");
        assert_eq!(ask.must_ask, ask.always.is_empty());
        (ask.must_ask, kinds.collect())
    }

    async fn written(path: &str, content: &str, stage: &Stage) -> (bool, Vec<String>) {
        stage
            .done("write", json!({"filePath": path, "content": content}))
            .await;
        last(stage)
    }

    fn must(kinds: &[&str]) -> (bool, Vec<String>) {
        (
            !kinds.is_empty(),
            kinds.iter().map(|kind| (*kind).to_owned()).collect(),
        )
    }

    #[tokio::test]
    async fn guarded_files_are_always_asked_for() {
        let stage = Stage::new();
        for (path, kinds) in [
            ("src/a.rs", &[][..]),
            (".git/hooks/pre-commit", &["git"]),
            ("sub/.Git/config", &["git"]),
            (".gitmodules", &["git"]),
            ("bare/HEAD", &["git"]),
            ("bare/hooks/post-update", &["git"]),
            ("~/.config/kilo/kilo.json", &["agent"]),
            ("~/.kilo/kilo.json", &["agent"]),
            ("kilo.json", &["agent"]),
            (".opencode/plugin/x.ts", &["agent"]),
            (".mcp.json", &["agent"]),
            ("src/AGENTS.md", &["agent"]),
            (".vscode/tasks.json", &["executable"]),
            (".envrc", &["executable"]),
            (".kilo/plans/p.md", &[]),
        ] {
            assert_eq!(written(path, "x", &stage).await, must(kinds), "{path}");
        }
    }

    #[tokio::test]
    async fn links_do_not_hide_a_guarded_file() {
        let stage = Stage::new();
        stage.write(".git/config", "[core]\n");
        stage.write("one.txt", "x");
        symlink(stage.path(".git"), stage.path("data")).unwrap();
        symlink(stage.path(".git/config"), stage.path("notes.txt")).unwrap();
        symlink(stage.path(".git/new"), stage.path("dangling.txt")).unwrap();
        std::fs::hard_link(stage.path(".git/config"), stage.path("hard.txt")).unwrap();
        for path in ["data/config", "notes.txt", "dangling.txt"] {
            assert_eq!(written(path, "y", &stage).await, must(&["git"]), "{path}");
        }
        stage.write(".git/config", "[core]\n");
        std::fs::remove_file(stage.path("hard.txt")).unwrap();
        std::fs::hard_link(stage.path(".git/config"), stage.path("hard.txt")).unwrap();
        assert_eq!(written("hard.txt", "y", &stage).await, must(&["linked"]));
        let edit = json!({"filePath": "hard.txt", "oldString": "y", "newString": "z"});
        stage.done("edit", edit).await;
        assert_eq!(last(&stage), must(&["linked"]));
    }

    #[tokio::test]
    async fn patches_are_asked_for_by_each_of_their_ends() {
        let stage = Stage::new();
        stage.write(".git/hooks/a", "a\n");
        stage.write("b", "b\n");
        for body in [
            "*** Update File: b\n*** Move to: .git/hooks/b",
            "*** Update File: .git/hooks/a\n*** Move to: a",
            "*** Delete File: .git/hooks/b",
            "*** Add File: plain\n+x\n*** Add File: .git/hooks/c\n+x",
        ] {
            let patch = format!("*** Begin Patch\n{body}\n*** End Patch");
            stage.done("apply_patch", json!({"patchText": patch})).await;
            assert_eq!(last(&stage), must(&["git"]), "{body}");
        }
    }

    #[tokio::test]
    async fn a_package_is_asked_for_when_its_install_hooks_change() {
        let stage = Stage::new();
        stage.write("package.json", r#"{"scripts": {"test": "a"}}"#);
        let test = r#"{"scripts": {"test": "b"}}"#;
        assert_eq!(written("package.json", test, &stage).await, must(&[]));
        let hook = r#"{"scripts": {"test": "b", "prepare": "c"}}"#;
        assert_eq!(
            written("package.json", hook, &stage).await,
            must(&["executable"])
        );
    }
}
