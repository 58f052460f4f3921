//! The list of tools, and which of them a model is offered.

use crate::builtin::background_process::BackgroundProcess;
use crate::builtin::{
    apply_patch, bash, edit, glob, grep, question, read, skill, task, todowrite, webfetch, write,
};
use crate::check::Checker;
use crate::output::Bounded;
use crate::search::Searches;
use crate::text::FileLocks;
use crate::web::target::system_lookup;
use kilo_ports::background::Background;
use kilo_ports::tool::{Tool, ToolSpec};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

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

/// What the tools need of the program that they run in.
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

/// The tools of a folder. Built-in ones share file locks and search permits with those of every other folder.
#[derive(Clone)]
pub struct Registry {
    tools: Vec<Arc<Entry>>,
}

struct Entry {
    spec: ToolSpec,
    tool: Arc<dyn Tool>,
    /// Made with the first call: most tools are offered and never called.
    checker: OnceLock<Checker>,
}

impl Entry {
    fn new(tool: Arc<dyn Tool>) -> Arc<Self> {
        Arc::new(Self {
            spec: tool.spec(),
            tool,
            checker: OnceLock::new(),
        })
    }
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
            tools: tools.into_iter().map(Entry::new).collect(),
        }
    }

    /// These tools and the one that looks after background processes.
    pub fn with_background(&self, all: Arc<dyn Background>) -> Self {
        let tool: Arc<dyn Tool> = Arc::new(Bounded(BackgroundProcess(all)));
        self.with([tool])
    }

    /// These tools and others that a folder has: of MCP servers, of the user. A name that is taken already stays with its
    /// first owner, so nobody can put a tool of his own in a built-in one's place.
    pub fn with(&self, more: impl IntoIterator<Item = Arc<dyn Tool>>) -> Self {
        let mut all = self.clone();
        for tool in more {
            let entry = Entry::new(tool);
            if all.entry(&entry.spec.name).is_some() {
                let source = &entry.spec.source;
                tracing::warn!(tool = %entry.spec.name, ?source, "there is a tool of this name already");
                continue;
            }
            all.tools.push(entry);
        }
        all
    }

    fn entry(&self, name: &str) -> Option<&Arc<Entry>> {
        self.tools.iter().find(|entry| &*entry.spec.name == name)
    }

    /// The tool of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Tool>> {
        self.entry(name).map(|entry| &entry.tool)
    }

    /// The faces of all tools.
    pub fn specs(&self) -> Vec<ToolSpec> {
        self.tools.iter().map(|entry| entry.spec.clone()).collect()
    }

    /// All names: first those of built-in tools, also of ones to come, then the others.
    pub fn ids(&self) -> Vec<String> {
        let names = self.tools.iter().map(|entry| entry.spec.name.to_string());
        let others = names.filter(|name| !IDS.contains(&name.as_str()));
        IDS.map(str::to_owned).into_iter().chain(others).collect()
    }

    /// The tools that a model is offered, before any permission rule: models that were trained on patches get
    /// `apply_patch` in place of `edit` and `write`.
    pub fn offered(&self, model_id: &str) -> Vec<Arc<dyn Tool>> {
        let patches = prefers_patches(model_id);
        let fits = |spec: &ToolSpec| match &*spec.name {
            "apply_patch" => patches,
            "edit" | "write" => !patches,
            _ => true,
        };
        let offered = self.tools.iter().filter(|entry| fits(&entry.spec));
        offered.map(|entry| entry.tool.clone()).collect()
    }

    /// A call's arguments in the form of the tool's schema; those of an unknown tool as they are.
    ///
    /// Errors: the sentence for the model about what does not fit.
    pub fn check(&self, name: &str, input: Value) -> Result<Value, String> {
        let Some(entry) = self.entry(name) else {
            return Ok(input);
        };
        let checker = entry.checker.get_or_init(|| Checker::new(&entry.spec));
        checker.check(input)
    }
}

fn prefers_patches(model_id: &str) -> bool {
    model_id.contains("gpt-") && !model_id.contains("gpt-4") && !model_id.contains("oss")
}

#[cfg(test)]
mod tests {
    use super::{Options, Registry};
    use kilo_ports::BoxFuture;
    use kilo_ports::tool::{Access, Tool, ToolCx, ToolError, ToolOutput, ToolSource, ToolSpec};
    use serde_json::{Value, json};
    use std::sync::Arc;

    /// A tool of a server.
    struct Remote(&'static str);

    impl Tool for Remote {
        fn spec(&self) -> ToolSpec {
            ToolSpec {
                name: self.0.into(),
                description: "A tool of somebody else's server".into(),
                parameters: Arc::new(json!({
                    "type": "object",
                    "properties": {"point": {"$ref": "#/$defs/point"}},
                    "$defs": {"point": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}},
                    "additionalProperties": false,
                })),
                access: Access::Executes,
                source: ToolSource::Mcp {
                    server: "far".into(),
                },
            }
        }

        fn run(&self, _: Value, _: ToolCx) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
            Box::pin(std::future::ready(Ok(ToolOutput::default())))
        }
    }

    #[test]
    fn a_folder_has_tools_of_its_own_beside_the_built_in_ones() {
        let builtin = Registry::builtin(Options::default());
        let more: Vec<Arc<dyn Tool>> = vec![Arc::new(Remote("far_draw")), Arc::new(Remote("read"))];
        let folder = builtin.with(more);
        assert!(builtin.get("far_draw").is_none());
        assert_eq!(folder.specs().len(), builtin.specs().len() + 1);
        let source = |name: &str| folder.get(name).unwrap().spec().source.wire();
        assert_eq!(
            source("far_draw"),
            Some(json!({"type": "mcp", "server": "far"}))
        );
        assert_eq!(source("read"), None);
        assert!(folder.ids().contains(&"far_draw".to_owned()));
        let offered = folder.offered("claude");
        assert!(offered.iter().any(|tool| &*tool.spec().name == "far_draw"));
        let point = json!({"point": "{\"x\": \"3\"}"});
        assert_eq!(
            folder.check("far_draw", point),
            Ok(json!({"point": {"x": 3}}))
        );
        let refused = folder
            .check("far_draw", json!({"point": {}, "y": 1}))
            .unwrap_err();
        assert!(
            refused.contains("point.x is required and missing"),
            "{refused}"
        );
        assert!(
            refused.contains("has fields that are not known: "),
            "{refused}"
        );
    }

    fn offered(model: &str) -> Vec<String> {
        let offered = Registry::builtin(Options::default()).offered(model);
        let names = offered.iter().map(|tool| tool.spec().name.to_string());
        names.collect()
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
            assert_eq!(
                names.contains(&"apply_patch".to_owned()),
                patches,
                "{model}"
            );
            assert_eq!(names.contains(&"edit".to_owned()), !patches, "{model}");
            assert_eq!(names.contains(&"write".to_owned()), !patches, "{model}");
        }
    }

    #[test]
    fn every_tool_is_listed_and_described() {
        let registry = Registry::builtin(Options::default());
        for spec in registry.specs() {
            assert!(
                registry.ids().contains(&spec.name.to_string()),
                "{}",
                spec.name
            );
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
        let mut names: Vec<Arc<str>> = registry.specs().into_iter().map(|spec| spec.name).collect();
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
