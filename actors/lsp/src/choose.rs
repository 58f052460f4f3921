//! Which servers a file has: configuration, list, and what of it is on this machine and in the project.

use crate::table::{BUILT_IN, BuiltIn, Setting};
use kilo_config::programs::{Programs, fits, texts};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The servers that a folder's configuration switches on.
///
/// `lsp: true` and an object switch the built-in list on; an object changes entries of it (`disabled`, `command`,
/// `extensions`, `env`, `initialization`, `memory_mb`) and adds others. Without the key, or with `false`, there are none.
pub struct Servers {
    list: Vec<Entry>,
}

struct Entry {
    id: String,
    known: Option<&'static BuiltIn>,
    /// What the configuration says in place of the list.
    command: Option<Vec<String>>,
    extensions: Vec<String>,
    env: Vec<(String, String)>,
    initialization: Value,
    memory_mb: Option<u64>,
}

/// A server for a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    /// It can be started.
    Ready(Ready),
    /// Its program is not there.
    Missing {
        /// The server.
        id: String,
        /// The program.
        program: String,
        /// What would install it, where that is known.
        install: Option<&'static str>,
    },
}

/// What is to be started.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ready {
    /// The server's name.
    pub id: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Variables set on top of the daemon's.
    pub env: Vec<(String, String)>,
    /// The workspace's root.
    pub root: PathBuf,
    /// Its options as JSON.
    pub initialization: String,
    /// MiB of memory that it and what it started may use, where the configuration says so.
    pub memory_mb: Option<u64>,
}

impl Servers {
    /// Reads the value of the key `lsp`; `None` where there are none.
    pub fn from_config(value: Option<&Value>) -> Option<Self> {
        let none = Map::new();
        let entries = match value? {
            Value::Bool(true) => &none,
            Value::Object(entries) => entries,
            _ => return None,
        };
        let mut list: Vec<Entry> = Vec::new();
        for known in BUILT_IN {
            let names = std::iter::once(&known.id).chain(known.aliases);
            let entry = names.into_iter().find_map(|name| entries.get(*name));
            list.extend(Entry::read(
                known.id,
                entry.unwrap_or(&Value::Null),
                Some(known),
            ));
        }
        let is_known = |name: &str| {
            let mut known = BUILT_IN.iter();
            known.any(|known| known.id == name || known.aliases.contains(&name))
        };
        for (id, entry) in entries.iter().filter(|(name, _)| !is_known(name)) {
            list.extend(Entry::read(id, entry, None));
        }
        Some(Self { list })
    }

    /// Whether any server may be for this file, by its name alone.
    pub fn fits(&self, file: &Path) -> bool {
        let mut entries = self.list.iter();
        entries.any(|entry| fits(file, &entry.extensions))
    }

    /// The servers for `file`, in the session's folder `directory`. Of a group the first that fits. Blocks on the disk.
    pub fn choose(&self, programs: &Programs, directory: &Path, file: &Path) -> Vec<Choice> {
        let Some(from) = file.parent() else {
            return Vec::new();
        };
        let mut groups: Vec<&str> = Vec::new();
        let mut choices = Vec::new();
        for entry in &self.list {
            if !fits(file, &entry.extensions) || !entry.is_wanted(programs, from) {
                continue;
            }
            let group = entry.known.map(|known| known.group).unwrap_or_default();
            if !group.is_empty() {
                if groups.contains(&group) {
                    continue;
                }
                groups.push(group);
            }
            choices.push(entry.choose(programs, directory, from));
        }
        choices
    }
}

impl Entry {
    fn read(id: &str, entry: &Value, known: Option<&'static BuiltIn>) -> Option<Self> {
        if entry.get("disabled") == Some(&Value::Bool(true)) {
            return None;
        }
        let command = texts(entry.get("command")).filter(|command| !command.is_empty());
        if command.is_none() && known.is_none() {
            return None;
        }
        let built_in = known.map(|known| known.extensions).unwrap_or_default();
        let extensions = texts(entry.get("extensions"))
            .unwrap_or_else(|| built_in.iter().map(|text| (*text).to_owned()).collect());
        let env: BTreeMap<String, String> = entry
            .get("env")
            .and_then(|value| serde_json::from_value(value.clone()).ok())
            .unwrap_or_default();
        Some(Self {
            id: id.to_owned(),
            known,
            command,
            extensions,
            env: env.into_iter().collect(),
            initialization: entry.get("initialization").cloned().unwrap_or_default(),
            memory_mb: entry.get("memory_mb").and_then(Value::as_u64),
        })
    }

    fn is_wanted(&self, programs: &Programs, from: &Path) -> bool {
        let Some(known) = self.known else {
            return true;
        };
        let is_anothers = !known.never.is_empty() && programs.nearest(from, known.never).is_some();
        let has_needs = || programs.signed(from, known.needs).is_some();
        !is_anothers && (known.needs.is_empty() || has_needs())
    }

    fn choose(&self, programs: &Programs, directory: &Path, from: &Path) -> Choice {
        let command = match (&self.command, self.known) {
            (Some(command), _) => programs
                .find(&command[0], directory)
                .map(|program| with_program(&program, command.iter().skip(1))),
            (None, Some(known)) => known.commands.iter().find_map(|command| {
                let program = programs.own_or_found(from, known.own, command[0])?;
                Some(with_program(&program, command.iter().skip(1)))
            }),
            (None, None) => None,
        };
        let Some(command) = command else {
            let built_in = self
                .known
                .map(|known| known.commands[0][0])
                .unwrap_or_default();
            let named = self.command.as_ref().map(|command| command[0].clone());
            return Choice::Missing {
                id: self.id.clone(),
                program: named.unwrap_or_else(|| built_in.to_owned()),
                install: self.known.map(|known| known.install),
            };
        };
        let settings = self.known.map_or(Setting::None, |known| known.asks_for);
        let mut initialization = found_setting(settings, programs, from);
        merge(&mut initialization, &self.initialization);
        Choice::Ready(Ready {
            id: self.id.clone(),
            command,
            env: self.env.clone(),
            root: self.root(programs, directory, from),
            initialization: initialization.to_string(),
            memory_mb: self.memory_mb.filter(|max| *max > 0),
        })
    }

    /// The nearest marked folder; else the session's folder, or the file's own when it lies elsewhere.
    fn root(&self, programs: &Programs, directory: &Path, from: &Path) -> PathBuf {
        let groups = self.known.map(|known| known.roots).unwrap_or_default();
        for group in groups {
            if let Some(root) = programs.signed(from, group) {
                return root.to_owned();
            }
        }
        if from.starts_with(directory) {
            return directory.to_owned();
        }
        programs.above(from).last().unwrap_or(from).to_owned()
    }
}

fn with_program<T: AsRef<str>>(program: &Path, args: impl Iterator<Item = T>) -> Vec<String> {
    let mut command = vec![program.to_string_lossy().into_owned()];
    command.extend(args.map(|arg| arg.as_ref().to_owned()));
    command
}

/// What a server is told of the project; null where there is nothing.
fn found_setting(setting: Setting, programs: &Programs, from: &Path) -> Value {
    let nearest = |name: &str| {
        let mut places = programs.above(from).map(|folder| folder.join(name));
        places.find(|place| place.exists())
    };
    match setting {
        Setting::None => Value::Null,
        Setting::TsServer => {
            let mut told = json!({"disableAutomaticTypingAcquisition": true});
            if let Some(path) = nearest("node_modules/typescript/lib/tsserver.js") {
                told["tsserver"] = json!({"path": path});
            }
            told
        }
        Setting::NoSchemas => json!({"yaml": {"schemaStore": {"enable": false}}}),
        Setting::TsSdk => nearest("node_modules/typescript/lib")
            .map(|path| json!({"typescript": {"tsdk": path}}))
            .unwrap_or_default(),
        Setting::Python => [".venv/bin/python", "venv/bin/python"]
            .iter()
            .find_map(|name| nearest(name))
            .map(|path| json!({"python": {"pythonPath": path}}))
            .unwrap_or_default(),
    }
}

/// Puts `over` over `base`, object by object.
fn merge(base: &mut Value, over: &Value) {
    match (base, over) {
        (_, Value::Null) => {}
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Choice, Servers};
    use kilo_config::Environment;
    use kilo_config::programs::Programs;
    use serde_json::{Value, json};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};

    struct Project(tempfile::TempDir);

    impl Project {
        fn new(files: &[&str]) -> Self {
            let project = Self(tempfile::tempdir().expect("a folder"));
            for file in files {
                let (name, text) = file.split_once('=').unwrap_or((file, ""));
                let path = project.0.path().join(name);
                fs::create_dir_all(path.parent().expect("a parent")).expect("made");
                fs::write(&path, text).expect("written");
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set");
            }
            project
        }

        fn top(&self) -> PathBuf {
            self.0.path().join("top")
        }

        /// `id root` or `id -program` of each server for a file, relative to the top.
        fn chosen(&self, lsp: Value, file: &str) -> Vec<String> {
            let mut environment = Environment::default();
            let path = self.0.path().join("bin").display().to_string();
            environment.vars.insert("PATH".into(), path);
            let programs = Programs::new(&environment, &self.top());
            let servers = Servers::from_config(Some(&lsp)).expect("some");
            let chosen = servers.choose(&programs, &self.top(), &self.top().join(file));
            let line = |choice: Choice| match choice {
                Choice::Ready(ready) => {
                    let root = ready
                        .root
                        .strip_prefix(self.top())
                        .unwrap_or(Path::new("?"));
                    format!("{} {}", ready.id, root.display())
                }
                Choice::Missing { id, program, .. } => format!("{id} -{program}"),
            };
            chosen.into_iter().map(line).collect()
        }
    }

    #[test]
    fn roots_are_the_nearest_markers_and_groups_have_one_server() {
        let project = Project::new(&[
            "bin/rust-analyzer",
            "bin/pyright-langserver",
            "bin/deno",
            "top/Cargo.toml=[workspace]\nmembers = [\"a\"]\n",
            "top/a/Cargo.toml=[package]\n",
            "top/py/setup.py",
            "top/ty/pyproject.toml=[tool.ty.rules]\n",
            "top/web/package.json={}",
            "top/web/node_modules/.bin/typescript-language-server",
            "top/deno/deno.json={}",
        ]);
        for (file, expected) in [
            ("a/src/x.rs", vec!["rust-analyzer "]),
            ("py/deep/x.py", vec!["pyright py"]),
            ("ty/x.py", vec!["ty -ty"]),
            ("web/src/x.tsx", vec!["typescript web"]),
            ("x.ts", vec!["typescript -typescript-language-server"]),
            ("deno/x.ts", vec!["deno deno"]),
            ("x.go", vec!["gopls -gopls"]),
            ("x.txt", vec![]),
            ("Dockerfile", vec!["dockerfile -docker-langserver"]),
        ] {
            assert_eq!(project.chosen(json!(true), file), expected, "{file}");
        }
    }

    #[test]
    fn the_configuration_changes_the_list() {
        let project = Project::new(&["bin/rust-analyzer", "bin/mine", "top/own/server"]);
        let lsp = json!({
            "rust": {"disabled": true},
            "gopls": {"command": ["mine", "--go"]},
            "mine": {"command": ["own/server"], "extensions": [".go", ".conf"]},
            "gone": {"command": ["nowhere"], "extensions": [".conf"]},
            "nothing": {"disabled": false},
        });
        assert!(project.chosen(lsp.clone(), "x.rs").is_empty());
        assert_eq!(project.chosen(lsp.clone(), "x.go"), ["gopls ", "mine "]);
        assert_eq!(project.chosen(lsp, "x.conf"), ["mine ", "gone -nowhere"]);
        for off in [json!(false), json!(null), json!("x")] {
            assert!(Servers::from_config(Some(&off)).is_none());
        }
    }

    #[test]
    fn servers_that_fetch_unasked_are_told_not_to_unless_the_user_wants_it() {
        let project = Project::new(&[
            "bin/typescript-language-server",
            "bin/yaml-language-server",
            "top/node_modules/typescript/lib/tsserver.js",
        ]);
        let mut environment = Environment::default();
        let path = project.0.path().join("bin").display().to_string();
        environment.vars.insert("PATH".into(), path);
        let programs = Programs::new(&environment, &project.top());
        let options = |lsp: Value, file: &str| {
            let servers = Servers::from_config(Some(&lsp)).expect("some");
            let chosen = servers.choose(&programs, &project.top(), &project.top().join(file));
            let ready = chosen.into_iter().find_map(|choice| match choice {
                Choice::Ready(ready) => Some(ready),
                Choice::Missing { .. } => None,
            });
            let ready = ready.expect("a server");
            serde_json::from_str::<Value>(&ready.initialization).expect("JSON")
        };
        let script = options(json!(true), "a.js");
        assert_eq!(script["disableAutomaticTypingAcquisition"], true);
        assert!(script["tsserver"]["path"].is_string());
        let yaml = options(json!(true), "a.yaml");
        assert_eq!(yaml["yaml"]["schemaStore"]["enable"], false);
        let own = json!({"disableAutomaticTypingAcquisition": false});
        let lsp = json!({"typescript": {"initialization": own}});
        let script = options(lsp, "a.js");
        assert_eq!(script["disableAutomaticTypingAcquisition"], false);
    }

    #[test]
    fn what_the_project_has_is_told_and_the_users_own_wins() {
        let project = Project::new(&[
            "bin/pyright-langserver",
            "top/.venv/bin/python",
            "top/setup.py",
        ]);
        let mut environment = Environment::default();
        let path = project.0.path().join("bin").display().to_string();
        environment.vars.insert("PATH".into(), path);
        let programs = Programs::new(&environment, &project.top());
        let options = |lsp: Value| {
            let servers = Servers::from_config(Some(&lsp)).expect("some");
            let file = project.top().join("a.py");
            let chosen = servers.choose(&programs, &project.top(), &file);
            let Some(Choice::Ready(ready)) = chosen.into_iter().next() else {
                panic!("no server");
            };
            serde_json::from_str::<Value>(&ready.initialization).expect("JSON")
        };
        let python = project.top().join(".venv/bin/python");
        let found = json!({"python": {"pythonPath": python}});
        assert_eq!(options(json!(true)), found);
        let own = json!({"python": {"analysis": {"x": 1}, "pythonPath": "/p"}});
        let lsp = json!({"pyright": {"initialization": own}});
        assert_eq!(options(lsp)["python"], own["python"]);
    }
}
