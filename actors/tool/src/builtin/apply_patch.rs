//! `apply_patch`: changes several files at once, all or none.

use crate::after::{Written, after_write};
use crate::call::{self, facts};
use crate::diff::Change;
use crate::guard::{Wanted, ask_edit};
use crate::patch::{self, Section};
use crate::place::Place;
use crate::schema;
use crate::text::{FileLocks, TextFile, ending};
use kilo_ports::BoxFuture;
use kilo_ports::files::Staged;
use kilo_ports::tool::{Access, Tool, ToolCx, ToolError, ToolOutput, ToolSpec};
use kilo_protocol::model::FileChangeKind;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

/// Files that one patch may touch.
const SECTIONS_MAX: usize = 500;

/// Carries out a patch.
///
/// Every section is worked out in memory and every hunk checked before the request for permission, which shows the whole
/// change. Then all new files are staged beside their places and put there by renames. One section per file.
pub struct ApplyPatch {
    locks: Arc<FileLocks>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ApplyPatchInput {
    /// The whole patch
    patch_text: String,
}

/// A section, worked out.
struct Planned {
    letter: char,
    kind: &'static str,
    place: Place,
    file: TextFile,
    /// The new text; `None` removes the file.
    new: Option<String>,
    /// The same as the file's bytes.
    bytes: Option<Vec<u8>>,
    /// Where the file goes.
    target: Option<(Place, TextFile)>,
    change: Change,
}

impl ApplyPatch {
    /// The tool, with the locks that all writers share.
    pub fn new(locks: Arc<FileLocks>) -> Self {
        Self { locks }
    }
}

impl Tool for ApplyPatch {
    fn spec(&self) -> ToolSpec {
        schema::spec::<ApplyPatchInput>(
            "apply_patch",
            include_str!("descriptions/apply_patch.md"),
            Access::Writes,
        )
    }

    fn run(&self, input: Value, cx: ToolCx) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        let locks = self.locks.clone();
        Box::pin(async move { apply(call::arguments("apply_patch", input)?, &cx, locks).await })
    }
}

async fn apply(
    input: ApplyPatchInput,
    cx: &ToolCx,
    locks: Arc<FileLocks>,
) -> Result<ToolOutput, ToolError> {
    let sections =
        patch::parse(&input.patch_text).map_err(|error| ToolError::failed(error.to_string()))?;
    if sections.len() > SECTIONS_MAX {
        return Err(ToolError::failed(format!(
            "The patch has {} sections; {SECTIONS_MAX} is the limit",
            sections.len()
        )));
    }
    let planned = plan(sections, cx).await?;
    let metadata = request(&planned);
    let wanted: Vec<Wanted<'_>> = planned.iter().flat_map(Planned::wanted).collect();
    ask_edit(cx, &wanted, metadata.clone()).await?;
    for place in planned.iter().flat_map(Planned::places) {
        call::or_stopped(cx, cx.host.will_change(place.changed())).await?;
    }
    let mut planned = match carry_out(planned, locks).await? {
        Outcome::Whole(planned) => planned,
        Outcome::Half { changed, error } => {
            announce(cx, changed);
            return Err(error);
        }
    };
    let mut written: Vec<Written<'_>> = planned.iter_mut().filter_map(Planned::written).collect();
    let after = after_write(cx, &mut written).await;
    let output = format!("{}{}", report(&planned), after.note);
    let metadata = request(&planned);
    let mut changed: Vec<PathBuf> = Vec::new();
    for place in planned.iter().flat_map(Planned::places) {
        changed.push(place.changed());
    }
    announce(cx, planned.iter().flat_map(Planned::touched));
    let title = if planned.len() == 1 {
        "1 file".into()
    } else {
        format!("{} files", planned.len())
    };
    let metadata = facts([
        ("diagnostics", after.diagnostics.into()),
        ("diff", metadata["diff"].clone()),
        ("files", metadata["files"].clone()),
    ]);
    Ok(ToolOutput {
        title,
        output,
        metadata,
        changed,
        ..ToolOutput::default()
    })
}

fn announce(cx: &ToolCx, changed: impl IntoIterator<Item = (PathBuf, FileChangeKind)>) {
    for (path, how) in changed {
        cx.host.file_edited(path, how);
    }
}

/// A section with its file.
struct Opened {
    section: Section,
    place: Place,
    file: TextFile,
    target: Option<(Place, TextFile)>,
}

/// Judges, loads and works out every section; asks for outside folders on the way, for each once.
async fn plan(sections: Vec<Section>, cx: &ToolCx) -> Result<Vec<Planned>, ToolError> {
    let mut opened = Vec::with_capacity(sections.len());
    let mut admitted = HashSet::new();
    for section in sections {
        let (path, move_to) = match &section {
            Section::Add { path, .. } | Section::Delete { path } => (path, None),
            Section::Update { path, move_to, .. } => (path, move_to.as_ref()),
        };
        let (place, file) = open(cx, path, &mut admitted).await?;
        let target = match move_to {
            Some(path) => Some(open(cx, path, &mut admitted).await?)
                .filter(|(target, _)| target.real != place.real),
            None => None,
        };
        opened.push(Opened {
            section,
            place,
            file,
            target,
        });
    }
    let replaced = take_replaced(&mut opened)?;
    let mut seen = HashSet::new();
    let mut planned = Vec::with_capacity(opened.len());
    for opened in opened {
        let plan = plan_one(opened, &replaced)?;
        for place in plan.places() {
            if !seen.insert(place.real.clone()) {
                return Err(ToolError::failed(format!(
                    "The patch has more than one section for {}",
                    place.shown()
                )));
            }
        }
        planned.push(plan);
    }
    if planned.iter().all(Planned::changes_nothing) {
        return Err(ToolError::failed(
            "The patch changes nothing: the files have these lines already, or they differ in their line ends only",
        ));
    }
    Ok(planned)
}

/// Takes out the sections that delete a file which another section puts there anew, and names those files.
fn take_replaced(opened: &mut Vec<Opened>) -> Result<HashSet<PathBuf>, ToolError> {
    let comes = |opened: &Opened| match (&opened.section, &opened.target) {
        (Section::Add { .. }, _) => Some(opened.place.real.clone()),
        (_, Some((target, _))) => Some(target.real.clone()),
        _ => None,
    };
    let coming: HashSet<PathBuf> = opened.iter().filter_map(comes).collect();
    let mut replaced = HashSet::new();
    let mut missing = None;
    opened.retain(|opened| {
        let real = &opened.place.real;
        let goes = matches!(opened.section, Section::Delete { .. }) && coming.contains(real);
        if !goes || replaced.contains(real) {
            return true;
        }
        if !opened.file.exists() {
            missing.get_or_insert_with(|| opened.file.shown.clone());
        }
        replaced.insert(real.clone());
        false
    });
    match missing {
        Some(shown) => Err(ToolError::failed(format!("File not found: {shown}"))),
        None => Ok(replaced),
    }
}

fn plan_one(opened: Opened, replaced: &HashSet<PathBuf>) -> Result<Planned, ToolError> {
    let Opened {
        section,
        place,
        file,
        target,
    } = opened;
    let shown = file.shown.clone();
    let may_come =
        |place: &Place, file: &TextFile| !file.exists() || replaced.contains(&place.real);
    let (letter, kind, new) = match section {
        Section::Add { content, .. } if file.exists() => {
            if !may_come(&place, &file) {
                return Err(ToolError::failed(format!(
                    "{shown} exists already, so the patch cannot add it"
                )));
            }
            ('M', "update", Some(ending::keep(&file.text, &content)))
        }
        Section::Add { content, .. } => ('A', "add", Some(content)),
        _ if !file.exists() => {
            return Err(ToolError::failed(format!("File not found: {shown}")));
        }
        Section::Delete { .. } => ('D', "delete", None),
        Section::Update { hunks, .. } => {
            let new = patch::apply(&file.text, &shown, &hunks)
                .map_err(|error| ToolError::failed(error.to_string()))?;
            match &target {
                Some((to, there)) if !may_come(to, there) => {
                    return Err(ToolError::failed(format!(
                        "{} exists already, so nothing can be moved there",
                        there.shown
                    )));
                }
                Some(_) => ('R', "move", Some(new)),
                None => ('M', "update", Some(new)),
            }
        }
    };
    Ok(Planned {
        letter,
        kind,
        change: Change::between(&shown, &file.text, new.as_deref().unwrap_or_default()),
        bytes: new.as_deref().map(|new| file.encode(new)).transpose()?,
        new,
        place,
        file,
        target,
    })
}

async fn open(
    cx: &ToolCx,
    path: &str,
    admitted: &mut HashSet<String>,
) -> Result<(Place, TextFile), ToolError> {
    let place = Place::find(cx, path).await?;
    super::refuse_reserved(&place)?;
    if place
        .external
        .as_ref()
        .is_none_or(|folder| !admitted.contains(folder))
    {
        place.admit(cx).await?;
        admitted.extend(place.external.clone());
    }
    let file = TextFile::load(&place).await?;
    Ok((place, file))
}

impl Planned {
    fn places(&self) -> impl Iterator<Item = &Place> {
        [&self.place]
            .into_iter()
            .chain(self.target.as_ref().map(|(place, _)| place))
    }

    fn files(&self) -> impl Iterator<Item = &TextFile> {
        [&self.file]
            .into_iter()
            .chain(self.target.as_ref().map(|(_, file)| file))
    }

    /// The file as it was written, for what comes after.
    fn written(&mut self) -> Option<Written<'_>> {
        Some(Written {
            place: self.target.as_ref().map_or(&self.place, |(place, _)| place),
            old: &self.file.text,
            new: self.new.as_deref()?,
            change: &mut self.change,
        })
    }

    fn changes_nothing(&self) -> bool {
        self.target.is_none() && self.file.exists() && self.new.as_deref() == Some(&self.file.text)
    }

    /// The files that change: a moved one goes here and comes there.
    fn wanted(&self) -> Vec<Wanted<'_>> {
        let new = self.new.as_deref();
        let source = Wanted {
            place: &self.place,
            file: &self.file,
            new: new.filter(|_| self.target.is_none()),
        };
        let target = self.target.as_ref();
        let target = target.map(|(place, file)| Wanted { place, file, new });
        [source].into_iter().chain(target).collect()
    }

    /// What happened to its files, once it was carried out.
    fn touched(&self) -> impl Iterator<Item = (PathBuf, FileChangeKind)> {
        let source = match (&self.new, &self.target) {
            (Some(_), None) => FileChangeKind::of_write(self.file.exists()),
            _ => FileChangeKind::Unlink,
        };
        let target = self.target.as_ref().map(|(place, file)| {
            let how = FileChangeKind::of_write(file.exists());
            (place.absolute.clone(), how)
        });
        [(self.place.absolute.clone(), source)]
            .into_iter()
            .chain(target)
    }

    fn facts(&self) -> Value {
        let mut facts = facts([
            ("filePath", self.place.shown().into()),
            ("relativePath", self.place.relative.clone().into()),
            ("type", self.kind.into()),
            ("patch", self.change.patch.clone().into()),
            ("additions", self.change.additions.into()),
            ("deletions", self.change.deletions.into()),
        ]);
        if let Some((target, _)) = &self.target {
            facts.insert("movePath".into(), target.shown().into());
        }
        Value::Object(facts)
    }
}

fn request(planned: &[Planned]) -> Map<String, Value> {
    let paths: Vec<String> = planned
        .iter()
        .map(|plan| plan.place.relative.clone())
        .collect();
    let diff: String = planned
        .iter()
        .map(|plan| plan.change.patch.as_str())
        .collect();
    let files: Vec<Value> = planned.iter().map(Planned::facts).collect();
    facts([
        ("filepath", paths.join(", ").into()),
        ("diff", diff.into()),
        ("files", files.into()),
    ])
}

fn report(planned: &[Planned]) -> String {
    let line = |plan: &Planned| match &plan.target {
        Some((target, _)) => format!(
            "{} {} -> {}",
            plan.letter, plan.place.relative, target.relative
        ),
        None => format!("{} {}", plan.letter, plan.place.relative),
    };
    let lines: Vec<String> = planned.iter().map(line).collect();
    format!("Patch applied successfully:\n{}", lines.join("\n"))
}

/// How far a patch came.
enum Outcome {
    /// All of it.
    Whole(Vec<Planned>),
    /// Some of it: what had changed when a file could not be written.
    Half {
        changed: Vec<(PathBuf, FileChangeKind)>,
        error: ToolError,
    },
}

/// Checks that no file was changed meanwhile, stages everything, then puts it in place.
async fn carry_out(planned: Vec<Planned>, locks: Arc<FileLocks>) -> Result<Outcome, ToolError> {
    let paths: Vec<PathBuf> = planned
        .iter()
        .flat_map(Planned::places)
        .map(|place| place.real.clone())
        .collect();
    let held = locks
        .hold(&paths.iter().map(PathBuf::as_path).collect::<Vec<_>>())
        .await;
    call::blocking(move || {
        let _held = held;
        for file in planned.iter().flat_map(Planned::files) {
            file.still_same()?;
        }
        let mut staged = Vec::new();
        for plan in &planned {
            let to = plan
                .target
                .as_ref()
                .map_or(&plan.file, |(_, target)| target);
            if let Some(bytes) = &plan.bytes {
                let file = to.stage(bytes.clone());
                staged.push(file.map_err(|error| unwritten(to, &error))?);
            }
        }
        let mut staged = staged.into_iter();
        for (done, plan) in planned.iter().enumerate() {
            if let Err(error) = put(plan, &mut staged) {
                let written = planned.get(..done).unwrap_or_default();
                return Ok(Outcome::Half {
                    changed: written.iter().flat_map(Planned::touched).collect(),
                    error: half_done(plan, &error, written),
                });
            }
        }
        Ok(Outcome::Whole(planned))
    })
    .await
}

fn put(plan: &Planned, staged: &mut impl Iterator<Item = Box<dyn Staged>>) -> std::io::Result<()> {
    if plan.bytes.is_some() {
        staged.next().map_or(Ok(()), Staged::commit)?;
    }
    if plan.bytes.is_none() || plan.target.is_some() {
        plan.file.remove()?;
    }
    Ok(())
}

fn unwritten(file: &TextFile, error: &std::io::Error) -> ToolError {
    ToolError::failed(format!(
        "Cannot write {}: {error}. Nothing was changed.",
        file.shown
    ))
}

fn half_done(plan: &Planned, error: &std::io::Error, written: &[Planned]) -> ToolError {
    let names: Vec<&str> = written
        .iter()
        .map(|plan| plan.place.relative.as_str())
        .collect();
    let done = if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(", ")
    };
    ToolError::failed(format!(
        "Cannot write {}: {error}. Changed before that: {done}.",
        plan.place.shown()
    ))
}

#[cfg(test)]
mod tests {
    use crate::testing::Stage;
    use kilo_protocol::model::FileChangeKind;
    use serde_json::json;

    fn patch(body: &str) -> serde_json::Value {
        json!({"patchText": format!("*** Begin Patch\n{body}\n*** End Patch")})
    }

    #[tokio::test]
    async fn all_kinds_of_sections() {
        let stage = Stage::new();
        stage.write("a.txt", "hello world\nsecond\n");
        stage.write("old.txt", "x\r\ny\r\n");
        stage.write("gone.txt", "bye\n");
        let body = "*** Update File: a.txt\n@@\n-hello world\n+hello patch\n*** Add File: new/p.txt\n+new\n\
                    *** Update File: old.txt\n*** Move to: moved.txt\n@@\n-y\n+z\n*** Delete File: gone.txt";
        let output = stage.done("apply_patch", patch(body)).await;
        assert_eq!(stage.text("a.txt"), "hello patch\nsecond\n");
        assert_eq!(stage.text("new/p.txt"), "new\n");
        assert_eq!(stage.text("moved.txt"), "x\r\nz\r\n");
        assert!(!stage.path("old.txt").exists() && !stage.path("gone.txt").exists());
        assert_eq!(
            output.output,
            "Patch applied successfully:\nM a.txt\nA new/p.txt\nR old.txt -> moved.txt\nD gone.txt"
        );
        assert_eq!(output.title, "4 files");
        assert_eq!(
            output.metadata["files"][2]["movePath"],
            stage.shown("moved.txt")
        );
        assert_eq!(output.changed.len(), 5);
        assert_eq!(*stage.host.will_change.lock(), output.changed);
        let touched = [
            ("a.txt", FileChangeKind::Change),
            ("new/p.txt", FileChangeKind::Add),
            ("old.txt", FileChangeKind::Unlink),
            ("moved.txt", FileChangeKind::Add),
            ("gone.txt", FileChangeKind::Unlink),
        ];
        let touched = touched.map(|(name, how)| (stage.path(name), how));
        assert_eq!(*stage.host.edited.lock(), touched);
        let patterns = ["a.txt", "new/p.txt", "old.txt", "moved.txt", "gone.txt"]
            .map(str::to_owned)
            .to_vec();
        assert_eq!(stage.permissions(), [("edit".to_owned(), patterns)]);
    }

    #[tokio::test]
    async fn one_bad_hunk_and_nothing_is_written() {
        let stage = Stage::new();
        stage.write("a.txt", "a\n");
        stage.write("b.txt", "b\n");
        let body = "*** Add File: n.txt\n+n\n*** Update File: a.txt\n@@\n-a\n+x\n*** Update File: b.txt\n@@\n-q\n+x";
        let error = stage.fails("apply_patch", patch(body)).await;
        assert!(
            error.contains("does not fit") && error.contains("b.txt"),
            "{error}"
        );
        assert_eq!(
            (stage.text("a.txt"), stage.path("n.txt").exists()),
            ("a\n".into(), false)
        );
        assert!(stage.permissions().is_empty());
    }

    #[tokio::test]
    async fn what_cannot_be_is_refused() {
        let stage = Stage::new();
        stage.write("a.txt", "a\n");
        for (body, words) in [
            ("*** Add File: a.txt\n+x", "exists already"),
            ("*** Delete File: none.txt", "File not found"),
            ("*** Update File: none.txt\n@@\n-a\n+b", "File not found"),
            (
                "*** Delete File: a.txt\n*** Delete File: ./a.txt",
                "more than one section",
            ),
            (
                "*** Add File: b.txt\n+x\n*** Update File: a.txt\n*** Move to: b.txt\n@@\n-a\n+b",
                "more than one section",
            ),
        ] {
            let error = stage.fails("apply_patch", patch(body)).await;
            assert!(error.contains(words), "{body}: {error}");
        }
        assert_eq!(stage.text("a.txt"), "a\n");
    }

    #[tokio::test]
    async fn a_file_that_goes_and_comes_is_replaced() {
        for body in [
            "*** Delete File: a.txt\n*** Add File: ./a.txt\n+new\n+text",
            "*** Add File: a.txt\n+new\n+text\n*** Delete File: a.txt",
        ] {
            let stage = Stage::new();
            stage.write("a.txt", "old\r\n");
            let output = stage.done("apply_patch", patch(body)).await;
            assert_eq!(output.output, "Patch applied successfully:\nM a.txt");
            assert_eq!(output.metadata["files"][0]["type"], "update");
            assert_eq!(stage.text("a.txt"), "new\r\ntext\r\n");
            assert_eq!(output.changed, [stage.path("a.txt")]);
        }
        let stage = Stage::new();
        stage.write("a.txt", "a\n");
        stage.write("b.txt", "b\n");
        let body = "*** Delete File: b.txt\n*** Update File: a.txt\n*** Move to: b.txt\n@@\n-a\n+c";
        stage.done("apply_patch", patch(body)).await;
        assert_eq!(
            (stage.text("b.txt").as_str(), stage.path("a.txt").exists()),
            ("c\n", false)
        );
        let error = stage
            .fails(
                "apply_patch",
                patch("*** Delete File: n\n*** Add File: n\n+x"),
            )
            .await;
        assert!(error.contains("File not found"), "{error}");
    }

    #[tokio::test]
    async fn a_patch_that_changes_nothing_says_so() {
        let stage = Stage::new();
        stage.write("a.txt", "a\r\n");
        let error = stage
            .fails("apply_patch", patch("*** Update File: a.txt\n@@\n-a\n+a"))
            .await;
        assert!(error.contains("changes nothing"), "{error}");
    }

    #[tokio::test]
    async fn an_outside_folder_is_asked_for_once() {
        let stage = Stage::new();
        let outside = tempfile::tempdir().unwrap();
        let shown = outside.path().display();
        let body = format!("*** Add File: {shown}/a\n+a\n*** Add File: {shown}/b\n+b");
        stage.done("apply_patch", patch(&body)).await;
        assert_eq!(stage.permissions().len(), 2);
    }

    #[tokio::test]
    async fn a_failed_stage_leaves_no_trace() {
        let stage = Stage::new();
        stage.write("a.txt", "a\n");
        stage.write("file", "x");
        let body = "*** Update File: a.txt\n@@\n-a\n+b\n*** Add File: file/below.txt\n+x";
        let error = stage.fails("apply_patch", patch(body)).await;
        assert!(error.contains("file/below.txt"), "{error}");
        assert_eq!(stage.text("a.txt"), "a\n");
        assert_eq!(std::fs::read_dir(stage.root()).unwrap().count(), 2);
    }
}
