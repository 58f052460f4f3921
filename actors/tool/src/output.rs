//! The bound on what a model gets from one call.

use crate::call;
use kilo_ports::cut::head;
use kilo_ports::tool::{ToolCx, ToolOutput};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Longest name of a kept output, without its ending.
const NAME_CHARS_MAX: usize = 150;

/// Cuts an output that is over the call's bounds. The head stays, the whole goes to a file below `cx.output_dir`, and a
/// last line says so. `metadata.truncated` is set in any case, `metadata.outputPath` when there is a file.
pub async fn bound(mut output: ToolOutput, cx: &ToolCx) -> ToolOutput {
    let head = head(&output.output, cx.output_lines_max, cx.output_bytes_max);
    if head.len() == output.output.len() {
        output.metadata.entry("truncated").or_insert(false.into());
        return output;
    }
    let (lines, bytes) = (output.output.lines().count(), output.output.len());
    let (shown_lines, shown_bytes) = (head.lines().count(), head.len());
    let cut = head.to_owned();
    let whole = std::mem::replace(&mut output.output, cut);
    output.metadata.insert("truncated".into(), true.into());
    let size = format!("{shown_lines} of {lines} lines, {shown_bytes} of {bytes} bytes");
    match keep(cx, whole).await {
        Some(path) => {
            let path = path.display().to_string();
            output.output.push_str(&format!(
                "\n\n[The output was cut here: {size} are shown. The whole is kept in {path}. \
                 Search it with grep, or read a part of it with offset and limit.]"
            ));
            output.metadata.insert("outputPath".into(), path.into());
        }
        None => output
            .output
            .push_str(&format!("\n\n[The output was cut here: {size} are shown.]")),
    }
    output
}

async fn keep(cx: &ToolCx, whole: String) -> Option<PathBuf> {
    let folder = cx.output_dir.clone();
    let path = folder.join(file_name(cx));
    let kept = path.clone();
    let written = tokio::task::spawn_blocking(move || save(&folder, &path, whole.as_bytes())).await;
    match written {
        Ok(Ok(())) => Some(kept),
        Ok(Err(error)) => {
            tracing::warn!(%error, path = %kept.display(), "cannot keep the whole output");
            None
        }
        Err(_) => None,
    }
}

fn save(folder: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)
}

/// A name that no other call of the daemon has: message ids are unique, call ids within a message.
fn file_name(cx: &ToolCx) -> String {
    let name = format!("{}_{}", cx.message, cx.call);
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' {
            c
        } else {
            '_'
        }
    };
    let name: String = name.chars().map(safe).take(NAME_CHARS_MAX).collect();
    format!("{name}.txt")
}

/// A tool whose output is bounded after it has run.
pub struct Bounded<T>(pub T);

impl<T: kilo_ports::tool::Tool> kilo_ports::tool::Tool for Bounded<T> {
    fn spec(&self) -> kilo_ports::tool::ToolSpec {
        self.0.spec()
    }

    fn run(
        &self,
        input: serde_json::Value,
        cx: ToolCx,
    ) -> kilo_ports::BoxFuture<'static, Result<ToolOutput, kilo_ports::tool::ToolError>> {
        let running = self.0.run(input, cx.clone());
        Box::pin(async move {
            if cx.cancel.is_cancelled() {
                return Err(call::stopped());
            }
            Ok(bound(running.await?, &cx).await)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::bound;
    use crate::testing::Stage;
    use kilo_ports::tool::ToolOutput;

    #[tokio::test]
    async fn a_long_output_is_cut_and_kept() {
        let stage = Stage::new();
        let whole: String = (1..=2_500).map(|n| format!("line {n}\n")).collect();
        let output = bound(
            ToolOutput {
                output: whole.clone(),
                ..ToolOutput::default()
            },
            &stage.cx,
        )
        .await;
        assert!(
            output
                .output
                .contains("line 2000\n\n[The output was cut here: 2000 of 2500 lines")
        );
        assert_eq!(output.metadata["truncated"], true);
        let path = output.metadata["outputPath"].as_str().unwrap();
        assert!(path.starts_with(stage.cx.output_dir.to_str().unwrap()));
        assert_eq!(std::fs::read_to_string(path).unwrap(), whole);
    }

    #[tokio::test]
    async fn a_short_output_is_left_alone() {
        let stage = Stage::new();
        let output = bound(
            ToolOutput {
                output: "x".into(),
                ..ToolOutput::default()
            },
            &stage.cx,
        )
        .await;
        assert_eq!(
            (output.output.as_str(), &output.metadata["truncated"]),
            ("x", &false.into())
        );
        assert!(!stage.cx.output_dir.exists());
    }
}
