//! `write`: gives a file a whole new content.

use crate::after::{Written, after_write};
use crate::call::{self, facts};
use crate::diff::Change;
use crate::guard::{Wanted, ask_edit};
use crate::place::Place;
use crate::schema;
use crate::text::ending;
use crate::text::{FileLocks, TextFile};
use kilo_ports::BoxFuture;
use kilo_ports::tool::{Access, Tool, ToolCx, ToolError, ToolOutput, ToolSpec};
use kilo_protocol::model::FileChangeKind;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

/// Writes a file, and the folders above it.
///
/// An existing file keeps its encoding, its mark, its mode, and its `\r\n` where all its lines have it. Asks for `edit`
/// with the change; the file must still be the one that the change was made from.
pub struct Write {
    locks: Arc<FileLocks>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct WriteInput {
    /// The whole content of the file
    content: String,
    /// The file to write; missing folders are made
    file_path: String,
}

impl Write {
    /// The tool, with the locks that all writers share.
    pub fn new(locks: Arc<FileLocks>) -> Self {
        Self { locks }
    }
}

impl Tool for Write {
    fn spec(&self) -> ToolSpec {
        schema::spec::<WriteInput>(
            "write",
            include_str!("descriptions/write.md"),
            Access::Writes,
        )
    }

    fn run(&self, input: Value, cx: ToolCx) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        let locks = self.locks.clone();
        Box::pin(async move { write(call::arguments("write", input)?, &cx, &locks).await })
    }
}

async fn write(input: WriteInput, cx: &ToolCx, locks: &FileLocks) -> Result<ToolOutput, ToolError> {
    let place = Place::find(cx, &input.file_path).await?;
    super::refuse_reserved(&place)?;
    place.admit(cx).await?;
    let file = TextFile::load(&place).await?;
    let exists = file.exists();
    let (new, mut change) = {
        let (old, shown) = (file.text.clone(), file.shown.clone());
        call::blocking(move || {
            let content = input
                .content
                .strip_prefix('\u{feff}')
                .unwrap_or(&input.content);
            let new = ending::keep(&old, content);
            let change = Change::between(&shown, &old, &new);
            Ok((new, change))
        })
        .await?
    };
    let bytes = file.encode(&new)?;
    let wanted = Wanted {
        place: &place,
        file: &file,
        new: Some(&new),
    };
    ask_edit(cx, &[wanted], change.request()).await?;
    call::or_stopped(cx, cx.host.will_change(place.changed())).await?;
    let file = file.replace(locks, bytes).await?;
    let written = Written {
        place: &place,
        old: &file.text,
        new: &new,
        change: &mut change,
    };
    let after = after_write(cx, &mut [written]).await;
    cx.host
        .file_edited(place.absolute.clone(), FileChangeKind::of_write(exists));
    Ok(ToolOutput {
        title: place.relative.clone(),
        output: format!("Wrote file successfully.{}", after.note),
        metadata: facts([
            ("diagnostics", after.diagnostics.into()),
            ("filepath", place.shown().into()),
            ("exists", exists.into()),
            ("diff", change.patch.clone().into()),
            ("filediff", change.filediff()),
        ]),
        changed: vec![place.changed()],
        ..ToolOutput::default()
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::Stage;
    use kilo_protocol::model::FileChangeKind;
    use serde_json::{Value, json};

    #[tokio::test]
    async fn a_new_file_and_its_folders() {
        let stage = Stage::new();
        let output = stage
            .done(
                "write",
                json!({"filePath": stage.shown("new/n.txt"), "content": "one\ntwo\n"}),
            )
            .await;
        let path = stage.shown("new/n.txt");
        let diff = format!(
            "Index: {path}\n{}\n--- {path}\n+++ {path}\n@@ -0,0 +1,2 @@\n+one\n+two\n",
            "=".repeat(67)
        );
        assert_eq!(stage.text("new/n.txt"), "one\ntwo\n");
        assert_eq!(
            (output.title.as_str(), output.output.as_str()),
            ("new/n.txt", "Wrote file successfully.")
        );
        assert_eq!(
            Value::Object(output.metadata),
            json!({
                "diagnostics": {}, "filepath": path, "exists": false, "diff": diff,
                "filediff": {"file": path, "patch": diff, "additions": 2, "deletions": 0}, "truncated": false,
            })
        );
        assert_eq!(
            stage.permissions(),
            [("edit".to_owned(), vec!["new/n.txt".to_owned()])]
        );
        assert_eq!(
            *stage.host.edited.lock(),
            [(stage.path("new/n.txt"), FileChangeKind::Add)]
        );
        assert_eq!(*stage.host.will_change.lock(), [stage.path("new/n.txt")]);
    }

    #[tokio::test]
    async fn an_existing_file_keeps_its_form() {
        let stage = Stage::new();
        stage.write("a.txt", "\u{feff}a\r\nb\r\n");
        let output = stage
            .done("write", json!({"filePath": "a.txt", "content": "x\ny\n"}))
            .await;
        assert_eq!(output.metadata["exists"], true);
        assert_eq!(stage.text("a.txt"), "\u{feff}x\r\ny\r\n");
    }

    #[tokio::test]
    async fn places_that_are_no_files_are_refused() {
        let stage = Stage::new();
        std::fs::create_dir(stage.path("d")).unwrap();
        let error = stage
            .fails("write", json!({"filePath": "d", "content": "x"}))
            .await;
        assert!(error.contains("folder"), "{error}");
        let error = stage
            .fails("write", json!({"filePath": "a\0b", "content": "x"}))
            .await;
        assert!(error.contains("NUL"), "{error}");
        let error = stage
            .fails("write", json!({"filePath": "/dev/null", "content": "x"}))
            .await;
        assert!(error.contains("regular"), "{error}");
    }

    #[tokio::test]
    async fn outside_paths_ask_first() {
        let stage = Stage::new();
        stage.host.denied.lock().push("external_directory".into());
        stage
            .fails(
                "write",
                json!({"filePath": "../../escape.txt", "content": "x"}),
            )
            .await;
        assert!(!stage.base().parent().unwrap().join("escape.txt").exists());
        assert_eq!(stage.permissions().len(), 1);
    }

    #[tokio::test]
    async fn writers_of_one_file_do_not_mix() {
        let stage = Stage::new();
        let writes = (0..20).map(|n| {
            stage.run(
                "write",
                json!({"filePath": "a.txt", "content": format!("{n}\n").repeat(1_000)}),
            )
        });
        let results = futures_util::future::join_all(writes).await;
        assert!(results.iter().any(Result::is_ok));
        let text = stage.text("a.txt");
        let first = text.lines().next().unwrap();
        assert!(text.lines().all(|line| line == first) && text.lines().count() == 1_000);
        assert_eq!(std::fs::read_dir(stage.root()).unwrap().count(), 1);
    }
}
