//! After a write: the one place where a formatter and diagnostics come in, for `write`, `edit` and `apply_patch` alike; and
//! after a command, which may have written anything.

use crate::call;
use crate::diff::Change;
use crate::place::Place;
use crate::text::TextFile;
use kilo_ports::after_write::{AFTER_WRITE_MS_MAX, Aftermath};
use kilo_ports::tool::ToolCx;
use kilo_protocol::Millis;
use serde_json::{Map, Value};
use std::time::Duration;

/// A file that was written.
pub struct Written<'a> {
    /// Where it is.
    pub place: &'a Place,
    /// Its text before the call.
    pub old: &'a str,
    /// Its text as the call wrote it.
    pub new: &'a str,
    /// The call's change, which becomes what is on the disk.
    pub change: &'a mut Change,
}

/// What a tool adds to its result.
#[derive(Debug, Default)]
pub struct After {
    /// For the metadata.
    pub diagnostics: Map<String, Value>,
    /// For the model, behind the output; empty where there is nothing to say.
    pub note: String,
}

/// Lets the host's hook look at the files and takes what it changed into their changes. Neither a stopped call nor a hook
/// that takes too long undoes the write.
pub async fn after_write(cx: &ToolCx, written: &mut [Written<'_>]) -> After {
    let Some(hook) = cx.host.after_write() else {
        return After::default();
    };
    let files = written.iter().map(|file| file.place.changed()).collect();
    let cancel = cx.cancel.child_token();
    let looking = hook.after_write(cx.directory.clone(), files, cancel.clone());
    let looking = tokio::time::timeout(Duration::from_millis(AFTER_WRITE_MS_MAX), looking);
    let looked = call::or_stopped(cx, looking).await;
    cancel.cancel();
    let (aftermath, is_late) = match looked {
        Ok(Ok(aftermath)) => (aftermath, false),
        Ok(Err(_)) => (Aftermath::default(), true),
        Err(_) => (Aftermath::default(), false),
    };
    let mut notes: Vec<String> = Vec::new();
    for file in written.iter_mut() {
        // A hook that was cut off may have changed any of them.
        let is_named = aftermath.changed.contains(&file.place.changed());
        if (is_named || is_late) && take_in(file).await {
            notes.push(format!(
                "{} was formatted after the write: read it before the next edit of these lines.",
                file.place.relative
            ));
        }
    }
    if is_late {
        notes.push("Formatting and diagnostics took too long and were stopped.".to_owned());
    }
    notes.extend(aftermath.note);
    After {
        diagnostics: aftermath.diagnostics,
        note: notes.iter().map(|note| format!("\n\n{note}")).collect(),
    }
}

/// Lets the host's hook look at what a command changed since `since`.
pub async fn after_command(cx: &ToolCx, since: Millis) -> After {
    let Some(hook) = cx.host.after_write() else {
        return After::default();
    };
    let cancel = cx.cancel.child_token();
    let looking = hook.after_command(cx.directory.clone(), since, cancel.clone());
    let looking = tokio::time::timeout(Duration::from_millis(AFTER_WRITE_MS_MAX), looking);
    let looked = call::or_stopped(cx, looking).await;
    cancel.cancel();
    match looked {
        Ok(Ok(aftermath)) => After {
            diagnostics: aftermath.diagnostics,
            note: aftermath
                .note
                .map(|note| format!("\n\n{note}"))
                .unwrap_or_default(),
        },
        _ => After::default(),
    }
}

/// Reads a file once more; tells whether it is another than was written.
async fn take_in(file: &mut Written<'_>) -> bool {
    let Ok(now) = TextFile::load(file.place).await else {
        return false;
    };
    if now.text == file.new {
        return false;
    }
    let (shown, old) = (file.change.file.clone(), file.old.to_owned());
    let change = call::blocking(move || Ok(Change::between(&shown, &old, &now.text))).await;
    if let Ok(change) = change {
        *file.change = change;
    }
    true
}

#[cfg(test)]
mod tests {
    use crate::testing::Stage;
    use kilo_ports::BoxFuture;
    use kilo_ports::after_write::{AfterWrite, Aftermath};
    use kilo_protocol::Millis;
    use serde_json::json;
    use std::path::PathBuf;
    use std::sync::Arc;
    use tokio_util::sync::CancellationToken;

    /// Puts every word on a line of its own, and finds fault with `bad`.
    struct Formatter;

    impl AfterWrite for Formatter {
        fn after_write(
            &self,
            _: PathBuf,
            files: Vec<PathBuf>,
            _: CancellationToken,
        ) -> BoxFuture<'static, Aftermath> {
            let mut aftermath = Aftermath::default();
            for file in files {
                let text = std::fs::read_to_string(&file).unwrap_or_default();
                if text.contains("bad") {
                    let shown = file.display().to_string();
                    aftermath
                        .diagnostics
                        .insert(shown, json!([{"message": "bad"}]));
                    aftermath.note = Some("bad stands there".into());
                }
                if text.contains(' ') {
                    std::fs::write(&file, text.replace(' ', "\n")).unwrap();
                    aftermath.changed.push(file);
                }
            }
            Box::pin(std::future::ready(aftermath))
        }
    }

    /// Never comes to an end.
    struct Stuck;

    /// Finds fault with every command.
    struct Fault;

    impl AfterWrite for Fault {
        fn after_command(
            &self,
            _: PathBuf,
            since: Millis,
            _: CancellationToken,
        ) -> BoxFuture<'static, Aftermath> {
            let mut aftermath = Aftermath::default();
            let found = json!([{"message": "bad", "since": since > 1_700_000_000_000}]);
            aftermath.diagnostics.insert("/a".into(), found);
            aftermath.note = Some("bad stands there".into());
            Box::pin(std::future::ready(aftermath))
        }

        fn after_write(
            &self,
            _: PathBuf,
            _: Vec<PathBuf>,
            _: CancellationToken,
        ) -> BoxFuture<'static, Aftermath> {
            Box::pin(std::future::ready(Aftermath::default()))
        }
    }

    #[tokio::test]
    async fn what_a_command_broke_is_behind_its_output() {
        let stage = Stage::new();
        let command = json!({"command": "echo x", "description": "say x"});
        let plain = stage.done("bash", command.clone()).await;
        assert!(plain.metadata.get("diagnostics").is_none());
        *stage.host.after_write.lock() = Some(Arc::new(Fault));
        let output = stage.done("bash", command).await;
        assert_eq!(
            output.output,
            format!("{}\n\nbad stands there", plain.output)
        );
        assert_eq!(output.metadata["diagnostics"]["/a"][0]["since"], true);
    }

    impl AfterWrite for Stuck {
        fn after_write(
            &self,
            _: PathBuf,
            _: Vec<PathBuf>,
            _: CancellationToken,
        ) -> BoxFuture<'static, Aftermath> {
            Box::pin(std::future::pending())
        }
    }

    #[tokio::test]
    async fn what_a_formatter_changed_is_in_the_result() {
        let stage = Stage::new();
        *stage.host.after_write.lock() = Some(Arc::new(Formatter));
        stage.write("b.txt", "x\n");
        let patch = "*** Begin Patch\n*** Update File: b.txt\n@@\n-x\n+y bad\n*** Add File: c.txt\n+z\n*** End Patch";
        for (tool, input, file, text, added) in [
            (
                "write",
                json!({"filePath": "a.txt", "content": "one two\n"}),
                "a.txt",
                "one\ntwo\n",
                "+one\n+two\n",
            ),
            (
                "edit",
                json!({"filePath": "a.txt", "oldString": "two", "newString": "three bad"}),
                "a.txt",
                "one\nthree\nbad\n",
                "-two\n+three\n+bad\n",
            ),
            (
                "apply_patch",
                json!({"patchText": patch}),
                "b.txt",
                "y\nbad\n",
                "-x\n+y\n+bad\n",
            ),
        ] {
            let output = stage.done(tool, input).await;
            assert_eq!(stage.text(file), text, "{tool}");
            let diff = output.metadata["diff"].as_str().unwrap();
            assert!(diff.contains(added), "{tool}: {diff}");
            assert!(
                output.output.contains(&format!("{file} was formatted")),
                "{tool}"
            );
            let found = output.metadata["diagnostics"].get(stage.shown(file));
            assert_eq!(found.is_some(), text.contains("bad"), "{tool}");
            assert_eq!(
                output.output.ends_with("bad stands there"),
                text.contains("bad")
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_hook_that_takes_too_long_is_left() {
        let stage = Stage::new();
        *stage.host.after_write.lock() = Some(Arc::new(Stuck));
        let input = json!({"filePath": "a.txt", "content": "one two\n"});
        let output = stage.done("write", input).await;
        assert_eq!(stage.text("a.txt"), "one two\n");
        assert!(output.output.ends_with("took too long and were stopped."));
    }
}
