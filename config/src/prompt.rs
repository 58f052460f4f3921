//! What the model is told before the conversation begins.
//!
//! The texts are in `defaults/prompts`. An agent's own prompt (from the configuration or a markdown file) replaces them;
//! the environment and the instructions of the project are the session's to add.

use crate::agent::Agent;
use std::path::Path;

const BASE: &str = include_str!("../defaults/prompts/base.md");
const CODE: &str = include_str!("../defaults/prompts/code.md");
const PLAN: &str = include_str!("../defaults/prompts/plan.md");
const ASK: &str = include_str!("../defaults/prompts/ask.md");
const DEBUG: &str = include_str!("../defaults/prompts/debug.md");
const ORCHESTRATOR: &str = include_str!("../defaults/prompts/orchestrator.md");
const GENERAL: &str = include_str!("../defaults/prompts/general.md");
const EXPLORE: &str = include_str!("../defaults/prompts/explore.md");
const TITLE: &str = include_str!("../defaults/prompts/title.md");
const SUMMARY: &str = include_str!("../defaults/prompts/summary.md");
const COMPACTION: &str = include_str!("../defaults/prompts/compaction.md");

/// The agent's prompt: its own, or the common one and the one of its kind. Never empty.
pub fn system_prompt(agent: &Agent) -> Vec<String> {
    if let Some(prompt) = &agent.prompt {
        return vec![prompt.clone()];
    }
    let texts: &[&str] = match agent.name.as_str() {
        "plan" => &[BASE, PLAN],
        "ask" => &[BASE, ASK],
        "debug" => &[BASE, DEBUG],
        "orchestrator" => &[BASE, ORCHESTRATOR],
        "general" => &[BASE, GENERAL],
        "explore" => &[EXPLORE],
        "title" => &[TITLE],
        "summary" => &[SUMMARY],
        "compaction" => &[COMPACTION],
        _ => &[BASE, CODE],
    };
    texts.iter().map(|text| text.trim().to_owned()).collect()
}

/// The facts of an environment block.
#[derive(Clone, Copy, Debug)]
pub struct EnvFacts<'a> {
    /// The session's folder.
    pub directory: &'a Path,
    /// The root of the worktree.
    pub worktree: &'a Path,
    /// It is a git repository.
    pub is_git: bool,
    /// `linux`, `macos`, `windows`.
    pub platform: &'a str,
    /// Today, as `2026-01-31`.
    pub date: &'a str,
    /// `provider/model`.
    pub model: &'a str,
}

/// The block that tells the model where it is. Changes at most once a day, so that prompts stay cached.
pub fn environment_block(facts: EnvFacts<'_>) -> String {
    let mut lines = vec![format!("Working directory: {}", facts.directory.display())];
    if facts.worktree != facts.directory {
        lines.push(format!("Root of the project: {}", facts.worktree.display()));
    }
    lines.push(format!(
        "Git repository: {}",
        if facts.is_git { "yes" } else { "no" }
    ));
    lines.push(format!("Platform: {}", facts.platform));
    lines.push(format!("Today's date: {}", facts.date));
    lines.push(format!("Model: {}", facts.model));
    format!("<env>\n{}\n</env>", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_names_the_root_only_where_it_differs() {
        let facts = EnvFacts {
            directory: Path::new("/p/sub"),
            worktree: Path::new("/p"),
            is_git: true,
            platform: "linux",
            date: "2026-01-31",
            model: "x/y",
        };
        assert_eq!(
            environment_block(facts),
            "<env>\nWorking directory: /p/sub\nRoot of the project: /p\nGit repository: yes\nPlatform: linux\n\
             Today's date: 2026-01-31\nModel: x/y\n</env>"
        );
        let same = environment_block(EnvFacts {
            directory: Path::new("/p"),
            ..facts
        });
        assert!(!same.contains("Root"));
    }
}
