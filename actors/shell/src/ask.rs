//! The requests for permission that a shell text needs.

use crate::disk::{self, Roots};
use crate::files::{self, Operand, Role, is_env};
use crate::plan::{ShellPlan, SimpleCommand, Via};
use crate::prefix;
use crate::resolve::{Candidates, ResolvedPath, Resolver};
use crate::walk::parse;
use crate::word::{Word, pattern};
use kilo_config::permission::{evaluate, matches};
use kilo_ports::tool::Ask;
use kilo_protocol::model::{Action, Rule};
use serde_json::{Map, Value};
use std::path::Path;

/// Directory entries looked at when a command reads a whole folder.
const FOLDER_ENTRIES_MAX: usize = 4_000;

/// Where a text runs.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The folder in which it starts (absolute).
    pub start: &'a Path,
    /// The session's folder.
    pub directory: &'a Path,
    /// The root of the worktree around it.
    pub worktree: &'a Path,
    /// The user's home.
    pub home: &'a Path,
}

/// The requests for `text`, in the order in which they are to be made: `external_directory`, `read`, `edit`, `bash`; each
/// at most once, and only where there is something to ask.
///
/// `rules` are those in force: a file is asked for as `read` or `edit` beyond the built-in cases only where a rule names
/// such files. The metadata carries `command`, `description` if given, and `reason` where a person must look.
/// Reads the disk: not for an async thread.
pub fn requests(
    text: &str,
    description: Option<&str>,
    context: Context<'_>,
    rules: &[Rule],
) -> Vec<Ask> {
    let plan = parse(text);
    let roots = Roots::new(&[context.directory, context.worktree]);
    let resolver = Resolver::new(&plan, context.start, context.home, roots);
    let mut asking = Asking {
        plan: &plan,
        resolver,
        context,
        rules,
        found: Found::default(),
    };
    asking.start();
    asking.visits();
    asking.redirects();
    for command in &plan.commands {
        asking.command(command);
    }
    if plan.parse_error {
        asking
            .found
            .must_ask("the text could not be read for certain");
        if asking.found.patterns.is_empty() {
            asking.found.pattern(text.trim().to_owned(), None);
        }
    }
    if asking.found.patterns.is_empty() {
        asking.whole(text.trim());
    }
    asking.found.into_asks(text, description)
}

/// What there is to ask for.
#[derive(Debug, Default)]
struct Found {
    external: Vec<String>,
    external_path: Option<String>,
    reads: Vec<String>,
    edits: Vec<String>,
    edit_path: Option<String>,
    patterns: Vec<String>,
    always: Vec<String>,
    reason: Option<&'static str>,
}

impl Found {
    fn must_ask(&mut self, reason: &'static str) {
        self.reason.get_or_insert(reason);
    }

    /// A pattern, and what "always" would allow: the pattern itself if nothing else is given.
    fn pattern(&mut self, pattern: String, always: Option<String>) {
        add(&mut self.always, always.unwrap_or_else(|| pattern.clone()));
        add(&mut self.patterns, pattern);
    }

    fn into_asks(self, text: &str, description: Option<&str>) -> Vec<Ask> {
        let mut about = Map::new();
        about.insert("command".into(), text.into());
        if let Some(description) = description {
            about.insert("description".into(), description.into());
        }
        let mut asks = Vec::new();
        let mut push = |permission: &str,
                        patterns: &[String],
                        always: &[String],
                        extra: &[(&str, String)],
                        must_ask| {
            let mut metadata = about.clone();
            metadata.extend(
                extra
                    .iter()
                    .map(|(key, value)| ((*key).to_owned(), Value::from(value.clone()))),
            );
            let (patterns, always) = (patterns.to_vec(), always.to_vec());
            asks.push(Ask {
                permission: permission.into(),
                patterns,
                always,
                metadata,
                must_ask,
            });
        };
        if let Some(first) = self.external.first() {
            let folder = first
                .strip_suffix("/*")
                .filter(|folder| !folder.is_empty())
                .unwrap_or("/")
                .to_owned();
            let path = self.external_path.clone().unwrap_or_else(|| folder.clone());
            let extra = [("filepath", path), ("parentDir", folder)];
            push(
                "external_directory",
                &self.external,
                &self.external,
                &extra,
                false,
            );
        }
        if let Some(first) = self.reads.first() {
            push(
                "read",
                &self.reads,
                &self.reads,
                &[("filepath", first.clone())],
                false,
            );
        }
        if !self.edits.is_empty() {
            let extra = [
                ("filepath", self.edit_path.clone().unwrap_or_default()),
                ("diff", String::new()),
            ];
            push("edit", &self.edits, &self.edits, &extra, false);
        }
        let reason: Vec<(&str, String)> = self
            .reason
            .iter()
            .map(|reason| ("reason", (*reason).to_owned()))
            .collect();
        if !self.patterns.is_empty() || self.reason.is_some() {
            let whole = [text.trim().to_owned()];
            let patterns = if self.patterns.is_empty() {
                &whole[..]
            } else {
                &self.patterns
            };
            push(
                "bash",
                patterns,
                &self.always,
                &reason,
                self.reason.is_some(),
            );
        }
        asks
    }
}

fn add(list: &mut Vec<String>, item: String) {
    if !list.contains(&item) {
        list.push(item);
    }
}

struct Asking<'a> {
    plan: &'a ShellPlan,
    resolver: Resolver<'a>,
    context: Context<'a>,
    rules: &'a [Rule],
    found: Found,
}

impl Asking<'_> {
    fn start(&mut self) {
        let start = self.context.start;
        self.leave(&ResolvedPath {
            shown: disk::flat(start),
            real: disk::real(start),
        });
    }

    fn visits(&mut self) {
        for visit in &self.plan.visits {
            match &visit.target {
                Some(target) => {
                    let places = self.resolver.candidates(target, visit.at, &visit.cwds);
                    places
                        .known
                        .iter()
                        .chain(&places.folders)
                        .for_each(|place| self.leave(place));
                }
                None => self.leave(&self.resolver.home()),
            }
        }
    }

    fn redirects(&mut self) {
        for redirect in &self.plan.redirects {
            if redirect
                .target
                .literal()
                .is_some_and(|path| disk::is_device(&path))
            {
                continue;
            }
            let places = self
                .resolver
                .candidates(&redirect.target, redirect.at, &redirect.cwds);
            let role = if redirect.writes {
                Role::Edit
            } else {
                Role::Read
            };
            self.files(&places, role, &redirect.target);
        }
    }

    fn command(&mut self, command: &SimpleCommand) {
        for operand in files::operands(&command.words) {
            self.operand(&operand, command);
        }
        match command.via {
            Via::Cd => return,
            Via::Wrapper if !self.is_ruled(command) => return,
            Via::Wrapper | Via::Itself => {}
        }
        let always = suggestion(&command.words, "");
        self.found.pattern(command.text.clone(), always);
        if let Some(plain) = prefix::plainest(&command.words).filter(|_| command.program.is_some())
        {
            self.found.pattern(
                pattern(&plain, &command.redirections),
                suggestion(&plain, ""),
            );
        }
        if !command.settings.is_empty() {
            let settings = format!("{} ", command.settings.join(" "));
            self.found.pattern(
                format!("{settings}{}", command.text),
                suggestion(&command.words, &settings),
            );
        }
    }

    /// A text without a command of its own: whatever it is, it is not run where bash is denied, and what is not known to
    /// be harmless is asked about as it stands.
    fn whole(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if self.plan.acts || evaluate("bash", text, &[self.rules]).action == Action::Deny {
            self.found.pattern(text.to_owned(), None);
        }
    }

    fn operand(&mut self, operand: &Operand, command: &SimpleCommand) {
        let free = operand
            .word
            .literal()
            .is_some_and(|path| disk::is_device(&path));
        // What `find -exec` and `xargs` put in was found by them.
        if free || operand.word.source == "{}" {
            return;
        }
        let places = self
            .resolver
            .candidates(&operand.word, command.at, &command.cwds);
        self.files(&places, operand.role, &operand.word);
        if operand.recursive {
            self.below(&places, &command.words);
        }
    }

    /// Requests for files that are used in a certain way.
    fn files(&mut self, places: &Candidates, role: Role, word: &Word) {
        places.folders.iter().for_each(|folder| self.leave(folder));
        for place in &places.known {
            self.leave(place);
            match role {
                Role::List => {}
                Role::Read => self.read(place),
                Role::Write => self.write(place),
                Role::Edit => self.edit(place),
            }
        }
        match role {
            Role::Edit if places.unknown => self
                .found
                .must_ask("it writes to a file that only the running shell knows"),
            // No rule for the program can speak for a file that nobody knows: the word is a pattern of its own.
            Role::Read | Role::Write if places.unknown => {
                self.found.pattern(word.source.clone(), None)
            }
            _ => {}
        }
    }

    fn leave(&mut self, place: &ResolvedPath) {
        if self.resolver.inside(&place.real) {
            return;
        }
        let folder = if place.real.is_dir() {
            &place.real
        } else {
            place.real.parent().unwrap_or(&place.real)
        };
        add(
            &mut self.found.external,
            format!("{}/*", folder.display().to_string().trim_end_matches('/')),
        );
        self.found
            .external_path
            .get_or_insert_with(|| place.shown.display().to_string());
    }

    fn read(&mut self, place: &ResolvedPath) {
        let named = |path: &Path| {
            path.file_name()
                .is_some_and(|name| is_env(&name.to_string_lossy()))
        };
        let patterns = self.patterns(place);
        if named(&place.shown) || named(&place.real) || self.is_guarded("read", &patterns) {
            patterns
                .into_iter()
                .for_each(|pattern| add(&mut self.found.reads, pattern));
        }
    }

    fn write(&mut self, place: &ResolvedPath) {
        let patterns = self.patterns(place);
        if self.is_guarded("edit", &patterns) {
            self.edit(place);
        }
    }

    fn edit(&mut self, place: &ResolvedPath) {
        for pattern in self.patterns(place) {
            add(&mut self.found.edits, pattern);
        }
        self.found
            .edit_path
            .get_or_insert_with(|| place.shown.display().to_string());
    }

    /// A folder that is read whole: the first file with secrets in it stands for all.
    fn below(&mut self, places: &Candidates, words: &[Word]) {
        let only = |name: &str| includes(words, name);
        for place in &places.known {
            if self.resolver.inside(&place.real)
                && place.real.is_dir()
                && let Some(path) = disk::first_below(&place.real, FOLDER_ENTRIES_MAX, |name| {
                    is_env(name) && only(name)
                })
            {
                self.read(&ResolvedPath {
                    real: disk::real(&path),
                    shown: path,
                });
            }
        }
    }

    /// The path relative to the worktree, and where it leads when that is elsewhere.
    fn patterns(&self, place: &ResolvedPath) -> Vec<String> {
        let roots = [self.context.worktree, self.context.directory];
        let real_roots = roots.map(disk::real);
        let mut patterns = vec![relative(&place.shown, &roots)];
        let real = relative(
            &place.real,
            &real_roots.each_ref().map(|root| root.as_path()),
        );
        add(&mut patterns, real);
        patterns
    }

    /// Whether a rule that names certain files, and does not allow them, speaks of one of these.
    fn is_guarded(&self, permission: &str, patterns: &[String]) -> bool {
        self.rules.iter().any(|rule| {
            rule.permission == permission
                && rule.pattern != "*"
                && rule.action != Action::Allow
                && patterns
                    .iter()
                    .any(|pattern| matches(&rule.pattern, pattern))
        })
    }

    /// Whether a rule speaks of the wrapper itself.
    fn is_ruled(&self, command: &SimpleCommand) -> bool {
        let Some(program) = &command.program else {
            return false;
        };
        self.rules.iter().any(|rule| {
            rule.permission == "bash" && rule.pattern.split(' ').next() == Some(program)
        })
    }
}

fn suggestion(words: &[Word], settings: &str) -> Option<String> {
    prefix::suggestion(words).map(|suggestion| format!("{settings}{suggestion}"))
}

fn relative(path: &Path, roots: &[&Path]) -> String {
    let root = roots
        .iter()
        .find(|root| root.parent().is_some() && path.starts_with(root));
    let shown = root
        .and_then(|root| path.strip_prefix(root).ok())
        .unwrap_or(path)
        .display()
        .to_string();
    if shown.is_empty() { ".".into() } else { shown }
}

/// Whether `--include` of grep or `-name` of find let a file through; without any, all are.
fn includes(words: &[Word], name: &str) -> bool {
    let text = |word: &Word| {
        word.literal()
            .unwrap_or_else(|| word.source.replace(['\'', '"'], ""))
    };
    let texts: Vec<String> = words.iter().map(text).collect();
    let included = texts
        .iter()
        .filter_map(|text| text.strip_prefix("--include="));
    let named = texts.windows(2).filter_map(|pair| match pair {
        [option, pattern] if option == "-name" => Some(pattern.as_str()),
        _ => None,
    });
    let mut patterns = included.chain(named).peekable();
    patterns.peek().is_none() || patterns.any(|pattern| matches(pattern, name))
}
