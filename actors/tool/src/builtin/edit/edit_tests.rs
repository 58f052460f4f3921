use crate::testing::Stage;
use kilo_ports::BoxFuture;
use kilo_ports::tool::{
    Ask, QuestionAnswer, TaskAgent, TaskAnswer, TaskOrder, ToolError, ToolHost,
};
use kilo_protocol::model::{FileChangeKind, Rule, Todo};
use kilo_protocol::{CallId, SessionId};
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::sync::Arc;

const RULE: &str = "===================================================================";

fn edit(stage: &Stage, file: &str, old: &str, new: &str) -> Value {
    json!({"filePath": stage.shown(file), "oldString": old, "newString": new})
}

#[tokio::test]
async fn one_place_is_replaced_and_shown() {
    let stage = Stage::new();
    stage.write("a.txt", "hello world\nsecond line\n");
    let output = stage
        .done("edit", edit(&stage, "a.txt", "world", "there"))
        .await;
    let path = stage.shown("a.txt");
    let diff = format!(
        "Index: {path}\n{RULE}\n--- {path}\n+++ {path}\n@@ -1,2 +1,2 @@\n-hello world\n+hello there\n second line\n"
    );
    let filediff = json!({"file": path, "patch": diff, "additions": 1, "deletions": 1});
    assert_eq!(stage.text("a.txt"), "hello there\nsecond line\n");
    assert_eq!(
        (output.title.as_str(), output.output.as_str()),
        ("a.txt", "Edit applied successfully.")
    );
    assert_eq!(
        Value::Object(output.metadata),
        json!({"diagnostics": {}, "diff": diff, "filediff": filediff, "truncated": false})
    );
    assert_eq!(output.changed, [stage.path("a.txt")]);
    assert_eq!(
        *stage.host.edited.lock(),
        [(stage.path("a.txt"), FileChangeKind::Change)]
    );
    let asks = stage.host.asks.lock();
    assert_eq!(asks.len(), 1);
    assert_eq!(
        (asks[0].permission.as_str(), asks[0].patterns.as_slice()),
        ("edit", ["a.txt".to_owned()].as_slice())
    );
    assert_eq!(asks[0].always, ["*"]);
    assert_eq!(
        Value::Object(asks[0].metadata.clone()),
        json!({"filepath": path, "diff": diff, "filediff": filediff})
    );
}

#[tokio::test]
async fn no_match_and_several_matches_leave_the_file() {
    let stage = Stage::new();
    stage.write("e.txt", "x x x\n");
    let error = stage
        .fails("edit", edit(&stage, "e.txt", "absent", "y"))
        .await;
    assert!(error.starts_with("Could not find oldString"), "{error}");
    let error = stage.fails("edit", edit(&stage, "e.txt", "x", "y")).await;
    assert!(error.starts_with("Found 3 matches"), "{error}");
    assert_eq!(stage.text("e.txt"), "x x x\n");
    assert!(stage.permissions().is_empty());
    let mut all = edit(&stage, "e.txt", "x", "y");
    all["replaceAll"] = true.into();
    stage.done("edit", all).await;
    assert_eq!(stage.text("e.txt"), "y y y\n");
}

#[tokio::test]
async fn endings_mark_and_encoding_are_kept() {
    let stage = Stage::new();
    stage.write("crlf.txt", "one\r\ntwo\r\nthree\r\n");
    stage
        .done("edit", edit(&stage, "crlf.txt", "one\ntwo", "ONE\nTWO"))
        .await;
    assert_eq!(stage.text("crlf.txt"), "ONE\r\nTWO\r\nthree\r\n");

    stage.write("bom.txt", "\u{feff}first\nsecond\n");
    stage
        .done("edit", edit(&stage, "bom.txt", "first", "FIRST"))
        .await;
    assert_eq!(stage.text("bom.txt"), "\u{feff}FIRST\nsecond\n");

    let wide = |text: &str| {
        [0xFF, 0xFE]
            .into_iter()
            .chain(text.encode_utf16().flat_map(u16::to_le_bytes))
            .collect::<Vec<u8>>()
    };
    stage.write("wide.txt", wide("grün\n"));
    stage
        .done("edit", edit(&stage, "wide.txt", "grün", "☃ rot"))
        .await;
    assert_eq!(stage.bytes("wide.txt"), wide("☃ rot\n"));

    stage.write("latin.txt", b"d\xE9j\xE0 vu, na\xEFve caf\xE9\n");
    stage
        .done("edit", edit(&stage, "latin.txt", "café", "thé"))
        .await;
    assert_eq!(
        stage.bytes("latin.txt"),
        b"d\xE9j\xE0 vu, na\xEFve th\xE9\n"
    );
    let error = stage
        .fails("edit", edit(&stage, "latin.txt", "thé", "☃"))
        .await;
    assert!(error.contains("no character"), "{error}");
}

#[tokio::test]
async fn an_empty_old_string_only_makes_a_new_file() {
    let stage = Stage::new();
    stage
        .done("edit", edit(&stage, "new/n.txt", "", "one\n"))
        .await;
    assert_eq!(stage.text("new/n.txt"), "one\n");
    let error = stage
        .fails("edit", edit(&stage, "new/n.txt", "", "two\n"))
        .await;
    assert!(error.contains("exists already"), "{error}");
    let error = stage
        .fails("edit", edit(&stage, "none.txt", "a", "b"))
        .await;
    assert_eq!(
        error,
        format!("File not found: {}", stage.shown("none.txt"))
    );
    let error = stage
        .fails("edit", edit(&stage, "new/n.txt", "one", "one"))
        .await;
    assert!(error.contains("the same"), "{error}");
}

#[tokio::test]
async fn a_refusal_writes_nothing() {
    let stage = Stage::new();
    stage.write("a.txt", "a\n");
    stage.host.denied.lock().push("edit".into());
    let error = stage
        .run("edit", edit(&stage, "a.txt", "a", "b"))
        .await
        .unwrap_err();
    assert!(matches!(error, ToolError::Rejected(_)));
    assert_eq!(stage.text("a.txt"), "a\n");
}

#[tokio::test]
async fn links_that_lead_outside_ask_for_the_outside() {
    let stage = Stage::new();
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().canonicalize().unwrap().join("t.txt");
    std::fs::write(&target, "a\n").unwrap();
    std::os::unix::fs::symlink(&target, stage.path("link.txt")).unwrap();
    let output = stage.done("edit", edit(&stage, "link.txt", "a", "b")).await;
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "b\n");
    assert!(stage.path("link.txt").is_symlink());
    assert_eq!(output.changed, std::slice::from_ref(&target));
    let folder = format!("{}/*", target.parent().unwrap().display());
    let target = target.display().to_string();
    let edit = ("edit".to_owned(), vec!["link.txt".to_owned(), target]);
    assert_eq!(
        stage.permissions(),
        [("external_directory".to_owned(), vec![folder]), edit]
    );
}

#[tokio::test]
async fn the_program_s_own_file_is_reserved() {
    let stage = Stage::new();
    stage.write(".kilo/agent-manager.json", "{}\n");
    let error = stage
        .fails("edit", edit(&stage, ".kilo/agent-manager.json", "{}", "[]"))
        .await;
    assert!(error.contains("agent-manager.json"), "{error}");
}

/// A host whose user answers after someone else has changed the file.
struct Meddler(PathBuf);

impl ToolHost for Meddler {
    fn ask(&self, _: &CallId, _: Ask) -> BoxFuture<'static, Result<(), ToolError>> {
        std::fs::write(&self.0, "changed meanwhile\n").unwrap();
        Box::pin(std::future::ready(Ok(())))
    }
    fn progress(&self, _: &CallId, _: Option<String>, _: Map<String, Value>) {}
    fn question(
        &self,
        _: &CallId,
        _: Vec<Value>,
    ) -> BoxFuture<'static, Result<QuestionAnswer, ToolError>> {
        unreachable!()
    }
    fn set_todos(&self, _: Vec<Todo>) -> BoxFuture<'static, Result<(), ToolError>> {
        unreachable!()
    }
    fn task_agents(&self) -> Vec<TaskAgent> {
        Vec::new()
    }
    fn task(
        &self,
        _: &CallId,
        _: TaskOrder,
        _: Box<dyn FnOnce(SessionId, Value) + Send>,
    ) -> BoxFuture<'static, Result<TaskAnswer, ToolError>> {
        unreachable!()
    }
    fn file_edited(&self, _: PathBuf, _: FileChangeKind) {}
    fn nearby_instructions(&self, _: PathBuf) -> BoxFuture<'static, Vec<(PathBuf, String)>> {
        Box::pin(std::future::ready(Vec::new()))
    }
    fn rules(&self) -> Vec<Rule> {
        Vec::new()
    }
    fn skills(&self) -> Vec<(String, String, PathBuf)> {
        Vec::new()
    }
}

#[tokio::test]
async fn a_file_that_changed_while_the_user_thought_is_left_alone() {
    let mut stage = Stage::new();
    stage.write("a.txt", "hello\n");
    stage.cx.host = Arc::new(Meddler(stage.path("a.txt")));
    let error = stage
        .fails("edit", edit(&stage, "a.txt", "hello", "bye"))
        .await;
    assert!(error.contains("changed by someone else"), "{error}");
    assert_eq!(stage.text("a.txt"), "changed meanwhile\n");
}

/// The file after an edit, or the error.
async fn edited(name: &str, text: &str, old: &str, new: &str) -> Result<String, String> {
    let stage = Stage::new();
    stage.write(name, text);
    let done = stage.run("edit", edit(&stage, name, old, new)).await;
    done.map(|_| stage.text(name))
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_text_in_another_indentation_is_put_into_the_files() {
    let python =
        "class A:\n    def f(self):\n        return 1\n\n    def g(self):\n        return 2\n";
    for (name, text, old, new, expected) in [
        // None in place of four blanks.
        (
            "a.py",
            python,
            "def f(self):\n    return 1\n",
            "def f(self):\n    if x:\n        return 3\n",
            "class A:\n    def f(self):\n        if x:\n            return 3\n\n    def g(self):\n        return 2\n",
        ),
        // Blanks in place of tabs.
        (
            "a.go",
            "func f() {\n\tif x {\n\t\ty()\n\t}\n}\n",
            "    if x {\n        y()\n    }",
            "    if x {\n        z()\n        w()\n    }",
            "func f() {\n\tif x {\n\t\tz()\n\t\tw()\n\t}\n}\n",
        ),
        // Tabs in place of blanks.
        (
            "b.py",
            python,
            "\tdef g(self):\n\t\treturn 2",
            "\tdef g(self):\n\t\tx = 1\n\t\treturn x",
            "class A:\n    def f(self):\n        return 1\n\n    def g(self):\n        x = 1\n        return x\n",
        ),
        // Blanks around the whole text do not come in.
        (
            "c.txt",
            "one two three\n",
            "  two \n",
            "  four \n",
            "one four three\n",
        ),
        // The first line was copied without its blanks.
        (
            "d.py",
            "class A:\n        def f(self):\n            return 1\n",
            "def f(self):\n        return 1",
            "def f(self):\n        return 2",
            "class A:\n        def f(self):\n            return 2\n",
        ),
        // The very text, but new lines of a kind that breaks the file.
        (
            "e.py",
            "def f():\n\treturn 1\n",
            "def f():\n",
            "def f():\n    x()\n",
            "def f():\n\tx()\n\treturn 1\n",
        ),
        ("f.txt", "a\n\tb\n", "a\n", "a\n    c\n", "a\n    c\n\tb\n"),
        // A blank at a line's end is no other indentation: tabs that the new text brings are meant.
        (
            "h.sh",
            "a <<X\n    b \nX\n",
            "    b\nX",
            "    b\n\tc\nX",
            "a <<X\n    b\n\tc\nX\n",
        ),
        // Line ends do not count as indentation.
        (
            "g.cs",
            "a\r\n    b();\r\n    c();\r\n",
            "b();\nc();\n",
            "b();\nd();\n",
            "a\r\n    b();\r\n    d();\r\n",
        ),
    ] {
        assert_eq!(
            edited(name, text, old, new).await.as_deref(),
            Ok(expected),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_new_text_that_is_written_as_the_file_is_stays_so() {
    let python = "def f():\n    x = 1\n    y = 2\n";
    for (name, text, old, new, expected) in [
        (
            "a.ts",
            "function a() {\n    return 1\n}\n",
            "  function a() {\n      return 1\n  }",
            "function a() {\n    return 2\n}",
            "function a() {\n    return 2\n}\n",
        ),
        // What was searched for is too deep: the new line is not made less deep than its neighbours.
        (
            "b.py",
            python,
            "      x = 1",
            "    x = 3",
            "def f():\n    x = 3\n    y = 2\n",
        ),
        // Not deep enough: it is not made deeper.
        (
            "c.py",
            python,
            "x = 1\ny = 2\n",
            "    x = 3\n    if x:\n        y = 2\n",
            "def f():\n    x = 3\n    if x:\n        y = 2\n",
        ),
        // Steps of two were searched for, steps of four are written.
        (
            "d.py",
            python,
            "def f():\n  x = 1\n",
            "def f():\n    x = 3\n",
            "def f():\n    x = 3\n    y = 2\n",
        ),
        // In the way of what was searched for, it is carried over as before, even where a line comes to lie as the file's.
        (
            "e.py",
            python,
            "x = 1\ny = 2\n",
            "if z:\n    x = 1\n    y = 2\n",
            "def f():\n    if z:\n        x = 1\n        y = 2\n",
        ),
    ] {
        let edit = edited(name, text, old, new).await;
        assert_eq!(edit.as_deref(), Ok(expected), "{name}");
    }
}

/// The text stands in the file exactly, behind the blanks of its line, and the new one brings those blanks again.
#[tokio::test]
async fn blanks_that_are_there_already_are_not_doubled() {
    let text = "fn f() {\n    one();\n    two();\n}\n";
    let both = text.replace("one();", "one();\n    more();");
    for (old, new, expected) in [
        ("one();", "    one();\n    more();", both.as_str()),
        ("one();", "one();\n    more();", &both),
        ("    one();", "    one();\n    more();", &both),
        (
            "one();\n    two();",
            "    if x {\n        one();\n    }",
            "fn f() {\n    if x {\n        one();\n    }\n}\n",
        ),
        // One line says nothing of where it was meant to begin.
        (
            "two();",
            "    two();",
            &text.replace("two();", "    two();"),
        ),
        // Other lines further out: the first is deeper on purpose.
        (
            "two();",
            "    .two()\n  .three();",
            &text.replace("two();", "    .two()\n  .three();"),
        ),
        // Behind code the blanks are meant.
        (
            "();\n    two",
            "    ();\n    two",
            &text.replace("one();", "one    ();"),
        ),
    ] {
        for name in ["a.rs", "a.py"] {
            let got = edited(name, text, old, new).await;
            assert_eq!(got.as_deref(), Ok(expected), "{name}: {old:?} -> {new:?}");
        }
    }
}

#[tokio::test]
async fn an_indentation_that_cannot_be_carried_over_is_refused() {
    let text = "a:\n    b\n        c\n    d\n";
    let edit = edited("a.txt", text, "b\nc\nd", "b\nx\nd").await;
    let error = edit.unwrap_err();
    assert!(error.contains("another indentation"), "{error}");
}

#[tokio::test]
async fn an_edit_that_changes_nothing_says_so() {
    for (text, old, new) in [
        ("a\r\nb\r\n", "a\r\nb", "a\nb"),
        ("a\nb\n", "a\nb\n", "a\r\nb\r\n"),
        ("x\n  a\n", "a ", "a"),
    ] {
        let error = edited("a.txt", text, old, new).await.unwrap_err();
        assert!(error.contains("changes nothing"), "{error}");
    }
}
