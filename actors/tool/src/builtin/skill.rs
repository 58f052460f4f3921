//! `skill`: gives the model a skill's instructions.

use crate::call::{self, facts};
use crate::schema;
use kilo_ports::BoxFuture;
use kilo_ports::tool::{Access, Ask, Tool, ToolCx, ToolError, ToolOutput, ToolSpec};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Files of a skill that its output names.
const FILES_MAX: usize = 10;
/// Files and folders looked at for that.
const ENTRIES_MAX: usize = 1_000;
/// Bytes of a SKILL.md.
const SKILL_BYTES_MAX: u64 = 1024 * 1024;

/// Loads a skill: the text of its SKILL.md, its folder, and some of the files beside it.
pub struct Skill;

#[derive(Deserialize, JsonSchema)]
struct SkillInput {
    /// The skill's name
    name: String,
}

/// The tool's description with the skills on offer: name, description, path.
pub fn describe(skills: &[(String, String, PathBuf)]) -> String {
    let lines: Vec<String> = skills
        .iter()
        .map(|(name, description, _)| format!("- {name}: {description}"))
        .collect();
    let list = if lines.is_empty() {
        "(none)".to_owned()
    } else {
        lines.join("\n")
    };
    format!(
        "{}\n\nSkills:\n{list}",
        include_str!("descriptions/skill.md").trim_end()
    )
}

impl Tool for Skill {
    fn spec(&self) -> ToolSpec {
        schema::spec::<SkillInput>(
            "skill",
            include_str!("descriptions/skill.md"),
            Access::Reads,
        )
    }

    fn run(&self, input: Value, cx: ToolCx) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        Box::pin(async move { skill(call::arguments("skill", input)?, &cx).await })
    }
}

async fn skill(input: SkillInput, cx: &ToolCx) -> Result<ToolOutput, ToolError> {
    let skills = cx.host.skills();
    let name = input.name;
    let Some((_, _, path)) = skills.iter().find(|(known, _, _)| *known == name) else {
        let names: Vec<&str> = skills.iter().map(|(name, _, _)| name.as_str()).collect();
        let names = if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        };
        return Err(ToolError::failed(format!(
            "Skill \"{name}\" not found. Available skills: {names}"
        )));
    };
    let names = vec![name.clone()];
    let permission = "skill".to_owned();
    let ask = Ask {
        permission,
        patterns: names.clone(),
        always: names,
        metadata: Map::new(),
        must_ask: false,
        version: None,
    };
    call::ask(cx, ask).await?;
    let path = path.clone();
    let loaded = name.clone();
    let (folder, output) = call::blocking(move || load(&loaded, &path)).await?;
    let metadata = facts([("name", name.clone().into()), ("dir", folder.into())]);
    Ok(ToolOutput {
        title: format!("Loaded skill: {name}"),
        output,
        metadata,
        ..ToolOutput::default()
    })
}

fn load(name: &str, path: &Path) -> Result<(String, String), ToolError> {
    let failed = |error: std::io::Error| {
        ToolError::failed(format!("Cannot read {}: {error}", path.display()))
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(SKILL_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    let text = String::from_utf8_lossy(&bytes);
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut output = format!(
        "<skill name=\"{name}\">\n{}\n</skill>\n\n",
        without_front_matter(&text).trim()
    );
    output.push_str(&format!(
        "Folder of the skill (its paths start there): {}",
        folder.display()
    ));
    let files = sample(folder, path);
    if !files.is_empty() {
        output.push_str("\nSome of its files:");
        for file in files {
            output.push_str(&format!("\n{}", file.display()));
        }
    }
    Ok((folder.display().to_string(), output))
}

/// The text below the block of fields between two `---` lines.
fn without_front_matter(text: &str) -> &str {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Some(rest) = text
        .strip_prefix("---\n")
        .or_else(|| text.strip_prefix("---\r\n"))
    else {
        return text;
    };
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        at += line.len();
        if line.trim_end() == "---" {
            return &rest[at..];
        }
    }
    text
}

/// The first files below `folder` by name, without SKILL.md itself. Links are not followed.
fn sample(folder: &Path, skill: &Path) -> Vec<PathBuf> {
    let walk = ignore::WalkBuilder::new(folder)
        .follow_links(false)
        .max_depth(Some(4))
        .sort_by_file_name(std::ffi::OsStr::cmp)
        .build();
    let entries = walk.take(ENTRIES_MAX).filter_map(Result::ok);
    let files = entries.filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()));
    files
        .map(ignore::DirEntry::into_path)
        .filter(|path| path != skill)
        .take(FILES_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{describe, load, without_front_matter};
    use crate::testing::Stage;
    use serde_json::json;

    #[tokio::test]
    async fn a_missing_skill_names_the_others() {
        let stage = Stage::new();
        let error = stage.fails("skill", json!({"name": "nope"})).await;
        assert_eq!(error, "Skill \"nope\" not found. Available skills: none");
    }

    #[test]
    fn text_folder_and_files() {
        let stage = Stage::new();
        stage.write("s/SKILL.md", "---\nname: s\n---\nDo it well.\n");
        for n in 0..15 {
            stage.write(&format!("s/files/f{n:02}.txt"), "x");
        }
        let (folder, output) = load("s", &stage.path("s/SKILL.md")).unwrap();
        assert_eq!(folder, stage.shown("s"));
        let files: Vec<String> = (0..10)
            .map(|n| stage.shown(&format!("s/files/f{n:02}.txt")))
            .collect();
        assert_eq!(
            output,
            format!(
                "<skill name=\"s\">\nDo it well.\n</skill>\n\nFolder of the skill (its paths start there): {folder}\n\
                 Some of its files:\n{}",
                files.join("\n")
            )
        );
    }

    #[test]
    fn front_matter_is_taken_off() {
        assert_eq!(without_front_matter("---\na: b\n---\nx"), "x");
        assert_eq!(without_front_matter("---\nno end"), "---\nno end");
        assert!(describe(&[]).ends_with("Skills:\n(none)"));
    }
}
