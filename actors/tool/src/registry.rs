//! The list of tools, and which of them a model is offered.

use crate::builtin::{
    apply_patch, bash, edit, glob, grep, question, read, skill, task, todowrite, webfetch, write,
};
use crate::output::Bounded;
use crate::search::Searches;
use crate::text::FileLocks;
use crate::web::target::system_lookup;
use kilo_ports::tool::{Tool, ToolSpec};
use std::net::SocketAddr;
use std::sync::Arc;

/// Every name that a tool has or will have, in the order of `GET /experimental/tool/ids`.
const IDS: [&str; 16] = [
    "invalid",
    "question",
    "bash",
    "read",
    "glob",
    "grep",
    "edit",
    "write",
    "task",
    "webfetch",
    "todowrite",
    "websearch",
    "skill",
    "apply_patch",
    "plan_exit",
    "suggest",
];

/// What the tools need from their surroundings.
#[derive(Clone, Debug)]
pub struct Options {
    /// The name under which `webfetch` introduces itself.
    pub user_agent: String,
    /// Searches that run at the same time in the whole daemon; the rest wait.
    pub searches_max: usize,
    /// Where the daemon listens: what `webfetch` never gets.
    pub own_address: Option<SocketAddr>,
    /// The environment names a proxy for web requests.
    pub proxied: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            user_agent: concat!(
                "Mozilla/5.0 (compatible; kilo/",
                env!("CARGO_PKG_VERSION"),
                ")"
            )
            .into(),
            searches_max: 4,
            own_address: None,
            proxied: false,
        }
    }
}

/// The tools of a daemon. One is enough for all sessions: file locks and search permits are shared.
pub struct Registry {
    tools: Vec<(&'static str, Arc<dyn Tool>)>,
}

impl Registry {
    /// The built-in tools.
    pub fn builtin(options: Options) -> Self {
        let locks = Arc::new(FileLocks::default());
        let searches = Searches::new(options.searches_max);
        let tools: Vec<Arc<dyn Tool>> = vec![
            Arc::new(Bounded(question::Question)),
            Arc::new(bash::Bash),
            Arc::new(read::Read),
            Arc::new(Bounded(glob::Glob::new(searches.clone()))),
            Arc::new(Bounded(grep::Grep::new(searches))),
            Arc::new(Bounded(edit::Edit::new(locks.clone()))),
            Arc::new(Bounded(write::Write::new(locks.clone()))),
            Arc::new(Bounded(task::Task)),
            Arc::new(Bounded(webfetch::WebFetch {
                agent: options.user_agent.into(),
                own: options.own_address,
                proxied: options.proxied,
                lookup: system_lookup(),
            })),
            Arc::new(Bounded(todowrite::TodoWrite)),
            Arc::new(Bounded(skill::Skill)),
            Arc::new(Bounded(apply_patch::ApplyPatch::new(locks))),
        ];
        Self {
            tools: tools
                .into_iter()
                .map(|tool| (tool.spec().name, tool))
                .collect(),
        }
    }

    /// The tool of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Tool>> {
        self.tools
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, tool)| tool)
    }

    /// The faces of all tools.
    pub fn specs(&self) -> Vec<ToolSpec> {
        self.tools.iter().map(|(_, tool)| tool.spec()).collect()
    }

    /// All names, those of tools to come included.
    pub fn ids(&self) -> Vec<&'static str> {
        IDS.to_vec()
    }

    /// The tools that a model is offered, before any permission rule: models that were trained on patches get
    /// `apply_patch` in place of `edit` and `write`. `client` (`cli`, `vscode`, …) hides nothing yet.
    pub fn offered(&self, model_id: &str, client: &str) -> Vec<&dyn Tool> {
        let _ = client;
        let patches = prefers_patches(model_id);
        let fits = |name: &str| match name {
            "apply_patch" => patches,
            "edit" | "write" => !patches,
            _ => true,
        };
        self.tools
            .iter()
            .filter(|(name, _)| fits(name))
            .map(|(_, tool)| &**tool)
            .collect()
    }
}

fn prefers_patches(model_id: &str) -> bool {
    model_id.contains("gpt-") && !model_id.contains("gpt-4") && !model_id.contains("oss")
}

#[cfg(test)]
mod tests {
    use super::{Options, Registry};

    fn offered(model: &str) -> Vec<&'static str> {
        let registry = Registry::builtin(Options::default());
        registry
            .offered(model, "cli")
            .iter()
            .map(|tool| tool.spec().name)
            .collect()
    }

    #[test]
    fn patches_are_for_models_that_know_them() {
        for (model, patches) in [
            ("gpt-5.1", true),
            ("openai/gpt-5-codex", true),
            ("gpt-4o", false),
            ("gpt-oss-120b", false),
            ("claude", false),
        ] {
            let names = offered(model);
            assert_eq!(names.contains(&"apply_patch"), patches, "{model}");
            assert_eq!(names.contains(&"edit"), !patches, "{model}");
            assert_eq!(names.contains(&"write"), !patches, "{model}");
        }
    }

    #[test]
    fn every_tool_is_listed_and_described() {
        let registry = Registry::builtin(Options::default());
        for spec in registry.specs() {
            assert!(registry.ids().contains(&spec.name), "{}", spec.name);
            assert_eq!(spec.parameters["type"], "object");
            assert!(spec.description.len() > 40, "{}", spec.name);
            for field in spec.parameters["required"].as_array().unwrap() {
                assert!(
                    spec.parameters["properties"]
                        .get(field.as_str().unwrap())
                        .is_some()
                );
            }
        }
        let mut names: Vec<&str> = registry.specs().iter().map(|spec| spec.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), registry.specs().len());
        for name in [
            "read",
            "write",
            "edit",
            "bash",
            "glob",
            "grep",
            "task",
            "todowrite",
            "webfetch",
            "question",
            "skill",
        ] {
            assert!(registry.get(name).is_some(), "{name}");
        }
    }
}
