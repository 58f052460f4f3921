//! `glob`: finds files by their paths.

use crate::call::{self, ask_any, facts};
use crate::place::Place;
use crate::rules;
use crate::schema;
use crate::search::{Dated, PathPattern, Searches, split_base, walk};
use kilo_ports::BoxFuture;
use kilo_ports::tool::{Access, Tool, ToolCx, ToolError, ToolOutput, ToolSpec};
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Files shown.
const FILES_MAX: usize = 100;
/// Files kept in memory before only the newest are.
const KEPT_MAX: usize = 20 * FILES_MAX;

/// Finds files whose path fits a pattern, newest first. Ignored files are left out, hidden ones are not.
pub struct Glob {
    searches: Searches,
}

#[derive(Deserialize, JsonSchema)]
struct GlobInput {
    /// The pattern, such as **/*.rs
    pattern: String,
    /// The folder to search (default: the working folder)
    path: Option<String>,
}

impl Glob {
    /// The tool, with the permits that all searches share.
    pub fn new(searches: Searches) -> Self {
        Self { searches }
    }
}

impl Tool for Glob {
    fn spec(&self) -> ToolSpec {
        schema::spec::<GlobInput>("glob", include_str!("descriptions/glob.md"), Access::Reads)
    }

    fn run(&self, input: Value, cx: ToolCx) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        let searches = self.searches.clone();
        Box::pin(async move { glob(call::arguments("glob", input)?, &cx, &searches).await })
    }
}

async fn glob(input: GlobInput, cx: &ToolCx, searches: &Searches) -> Result<ToolOutput, ToolError> {
    let (folder, rest) = match split_base(&input.pattern) {
        Some((folder, rest)) => (folder.display().to_string(), rest),
        None => (
            super::folder_or_here(input.path.as_deref()).to_owned(),
            input.pattern.clone(),
        ),
    };
    let pattern = PathPattern::new(&rest)?;
    let place = Place::find(cx, &folder).await?;
    place.admit(cx).await?;
    let mut request: Map<String, Value> = facts([("pattern", input.pattern.clone().into())]);
    request.extend(input.path.map(|path| ("path".to_owned(), path.into())));
    call::ask(cx, ask_any("glob", vec![input.pattern], request)).await?;
    let title = place.relative.clone();
    let rules = cx.host.rules();
    let cancel = cx.cancel.clone();
    let found = searches
        .run(cx, move || {
            super::expect_folder(&place)?;
            let found = Mutex::new(Newest::default());
            let look = |below: &Path| {
                // Only what is there in the held folder is shown: the walk goes by names.
                let Ok(facts) = place.spot.below(below).and_then(|file| file.facts()) else {
                    return;
                };
                let paths = place.patterns_of(below);
                if paths.iter().any(|path| rules::is_denied(&rules, path)) {
                    found.lock().withheld += 1;
                } else {
                    found.lock().add(Dated::of(facts, place.named(below)));
                }
            };
            let seen = AtomicBool::new(false);
            if !pattern.is_one_path() {
                walk(&place, &cancel, |below| {
                    if pattern.fits(below) || below == pattern.as_path() {
                        seen.fetch_or(below == pattern.as_path(), Ordering::Relaxed);
                        look(below);
                    }
                    true
                })?;
            }
            // A file that is named in full is meant, even where git ignores it.
            if !seen.into_inner() && !pattern.as_path().as_os_str().is_empty() {
                look(pattern.as_path());
            }
            Ok(found.into_inner())
        })
        .await?;
    Ok(shown(title, found))
}

/// The newest files of many.
#[derive(Default)]
struct Newest {
    files: Vec<Dated>,
    total: usize,
    /// Files that a rule denies to read.
    withheld: usize,
}

impl Newest {
    fn add(&mut self, file: Dated) {
        self.total += 1;
        self.files.push(file);
        if self.files.len() >= KEPT_MAX {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.files.sort_unstable_by(Dated::order);
        self.files.truncate(FILES_MAX);
    }
}

fn shown(title: String, mut found: Newest) -> ToolOutput {
    found.cut();
    let count = found.files.len();
    let truncated = found.total > count;
    let paths: Vec<String> = found
        .files
        .iter()
        .map(|file| file.path.display().to_string())
        .collect();
    let mut output = if paths.is_empty() {
        "No files found".to_owned()
    } else {
        paths.join("\n")
    };
    if truncated {
        output.push_str(&format!(
            "\n\n(The newest {count} of {} files are shown. Narrow the pattern or the path for the rest.)",
            found.total
        ));
    }
    if found.withheld > 0 {
        output.push_str(&format!(
            "\n\n({} files were left out because a rule denies reading them.)",
            found.withheld
        ));
    }
    let metadata = facts([("count", count.into()), ("truncated", truncated.into())]);
    ToolOutput {
        title,
        output,
        metadata,
        ..ToolOutput::default()
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Stage;
    use serde_json::Value;
    use serde_json::json;
    use std::time::{Duration, UNIX_EPOCH};

    fn age(stage: &Stage, name: &str, seconds: u64) {
        let file = std::fs::File::options()
            .write(true)
            .open(stage.path(name))
            .unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds))
            .unwrap();
    }

    #[tokio::test]
    async fn files_that_fit_newest_first() {
        let stage = Stage::new();
        for (name, seconds) in [
            ("src/foo.ts", 1),
            ("b.ts", 3),
            (".hidden/c.ts", 2),
            (".git/d.ts", 9),
            ("e.rs", 5),
        ] {
            stage.write(name, "");
            age(&stage, name, seconds);
        }
        let output = stage.done("glob", json!({"pattern": "**/*.ts"})).await;
        let paths = ["b.ts", ".hidden/c.ts", "src/foo.ts"]
            .map(|name| stage.shown(name))
            .join("\n");
        assert_eq!(output.output, paths);
        assert_eq!(output.title, "");
        assert_eq!(
            Value::Object(output.metadata),
            json!({"count": 3, "truncated": false})
        );
        assert_eq!(
            stage.permissions(),
            [("glob".to_owned(), vec!["**/*.ts".to_owned()])]
        );
        let output = stage
            .done("glob", json!({"pattern": "*.ts", "path": "src"}))
            .await;
        assert_eq!(
            (output.output, output.title),
            (stage.shown("src/foo.ts"), "src".to_owned())
        );
    }

    #[tokio::test]
    async fn nothing_found_and_ignored_files() {
        let stage = Stage::new();
        std::fs::create_dir(stage.path(".git")).unwrap();
        stage.write(".gitignore", "out/\n");
        stage.write("out/x.ts", "");
        let output = stage.done("glob", json!({"pattern": "**/*.ts"})).await;
        assert_eq!(
            (output.output.as_str(), &output.metadata["count"]),
            ("No files found", &json!(0))
        );
        // A path in full is no search: ignored or not, it is there.
        stage.write("x.ts", "");
        for (pattern, path, name) in [
            ("out/x.ts", None, "out/x.ts"),
            ("./out/x.ts", None, "out/x.ts"),
            ("x.ts", Some("out"), "out/x.ts"),
            ("x.ts", None, "x.ts"),
            (stage.shown("out/x.ts").as_str(), None, "out/x.ts"),
        ] {
            let output = stage
                .done(
                    "glob",
                    json!({"pattern": pattern, "path": path.unwrap_or_default()}),
                )
                .await;
            assert_eq!(output.output, stage.shown(name), "{pattern}");
        }
        stage.write("app/[id]/page.ts", "");
        let output = stage
            .done("glob", json!({"pattern": "app/[id]/page.ts"}))
            .await;
        assert_eq!(output.output, stage.shown("app/[id]/page.ts"));
        let output = stage.done("glob", json!({"pattern": "out/y.ts"})).await;
        assert_eq!(output.output, "No files found");
    }

    #[tokio::test]
    async fn absolute_patterns_and_outside_folders() {
        let stage = Stage::new();
        stage.write("src/foo.ts", "");
        let output = stage
            .done(
                "glob",
                json!({"pattern": format!("{}/*.ts", stage.shown("src"))}),
            )
            .await;
        assert_eq!(output.output, stage.shown("src/foo.ts"));
        stage.host.denied.lock().push("external_directory".into());
        assert_eq!(
            stage.fails("glob", json!({"pattern": "/etc/*.conf"})).await,
            "rejected"
        );
        assert_eq!(
            stage.fails("glob", json!({"pattern": "../../*"})).await,
            "rejected"
        );
        let error = stage
            .fails("glob", json!({"pattern": "*", "path": "src/foo.ts"}))
            .await;
        assert!(error.contains("not a folder"), "{error}");
        let error = stage
            .fails("glob", json!({"pattern": "*", "path": "none"}))
            .await;
        assert!(error.contains("not found"), "{error}");
    }

    #[tokio::test]
    async fn links_are_not_followed() {
        let stage = Stage::new();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret.ts"), "").unwrap();
        std::os::unix::fs::symlink(outside.path(), stage.path("link")).unwrap();
        assert_eq!(
            stage
                .done("glob", json!({"pattern": "**/*.ts"}))
                .await
                .output,
            "No files found"
        );
        stage.host.denied.lock().push("external_directory".into());
        assert_eq!(
            stage
                .fails("glob", json!({"pattern": "*", "path": "link"}))
                .await,
            "rejected"
        );
    }

    #[tokio::test]
    async fn a_large_tree() {
        let stage = Stage::new();
        for n in 0..10_000 {
            if n % 100 == 0 {
                std::fs::create_dir_all(stage.path(&format!("d{}", n / 100))).unwrap();
            }
            std::fs::write(
                stage.path(&format!("d{}/f{n}.txt", n / 100)),
                format!("number {n}\n"),
            )
            .unwrap();
        }
        let bound = Duration::from_secs(20);
        let output =
            tokio::time::timeout(bound, stage.done("glob", json!({"pattern": "**/*.txt"})))
                .await
                .unwrap();
        assert_eq!(output.metadata["count"], 100);
        assert!(output.output.ends_with("(The newest 100 of 10000 files are shown. Narrow the pattern or the path for the rest.)"));
        let output = tokio::time::timeout(
            bound,
            stage.done("grep", json!({"pattern": "number 9999$"})),
        )
        .await
        .unwrap();
        assert_eq!(output.metadata["matches"], 1);
        let output = tokio::time::timeout(bound, stage.done("grep", json!({"pattern": "number"})))
            .await
            .unwrap();
        assert_eq!(output.metadata["truncated"], true);
        assert!(output.output.len() < 20_000);
    }

    #[tokio::test]
    async fn a_stopped_search_stops() {
        let stage = Stage::new();
        stage.cx.cancel.cancel();
        assert_eq!(
            stage.fails("glob", json!({"pattern": "*"})).await,
            "Tool execution aborted"
        );
    }
}
