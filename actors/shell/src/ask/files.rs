//! Files that a text reads and writes.

use super::asking::Asking;
use super::found::add;
use crate::disk;
use crate::files::{Copies, LEFT_OUT, Operand, Role, can_leave_out, is_env};
use crate::plan::{SimpleCommand, Why};
use crate::resolve::{Candidates, ResolvedPath};
use crate::word::Word;
use kilo_config::permission::matches;
use serde_json::json;
use std::path::{Path, PathBuf};

impl Asking<'_> {
    pub(super) fn redirects(&mut self) {
        for redirect in &self.plan.redirects {
            if is_device(&redirect.target) {
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
            let asked = self.files(&places, role, &redirect.target);
            if let Some(text) = redirect.alone.as_ref().filter(|_| asked) {
                self.found.pattern(text.clone(), Some(text.clone()));
            }
        }
    }

    pub(super) fn operand(&mut self, operand: &Operand, command: &SimpleCommand) {
        // What `find -exec` and `xargs` put in was found by them.
        if is_device(&operand.word) || operand.word.source == "{}" {
            return;
        }
        let places = self
            .resolver
            .candidates(&operand.word, command.at, &command.cwds);
        self.files(&places, operand.role, &operand.word);
        if operand.recursive {
            self.below(&places, command);
        }
    }

    /// What a copy or a move makes at its target, below a folder too.
    pub(super) fn copied(&mut self, copies: &Copies, command: &SimpleCommand) {
        let at = |word: &Word| {
            self.resolver
                .candidates(word, command.at, &command.cwds)
                .known
        };
        let targets = at(&copies.target);
        let mut made: Vec<ResolvedPath> = Vec::new();
        for source in copies.sources.iter().flat_map(at) {
            for target in &targets {
                made.extend(self.resolver.copies_of(&source, target, copies.deep));
            }
        }
        for place in made {
            self.guarded(&place);
        }
    }

    /// Requests for files that are used in a certain way; gives whether a person must look at a write.
    fn files(&mut self, places: &Candidates, role: Role, word: &Word) -> bool {
        let mut asked = false;
        places.folders.iter().for_each(|folder| self.leave(folder));
        for place in &places.known {
            self.leave(place);
            match role {
                Role::List => {}
                Role::Read => self.read(place),
                Role::Write => self.write(place),
                Role::Edit => asked |= self.edit(place, word),
            }
        }
        if places.unknown {
            asked |= self.unknown_file(role, word);
        }
        asked
    }

    /// A file that only the running shell knows: no rule for the program can speak for it.
    fn unknown_file(&mut self, role: Role, word: &Word) -> bool {
        let permission = match role {
            Role::List => return false,
            Role::Read => "read",
            Role::Write | Role::Edit => "edit",
        };
        let everything = [permission, "external_directory"]
            .iter()
            .all(|permission| self.rules.allow_everything(permission));
        // Text of the model's own may go to a file that only a person may have changed.
        let everything = everything && (role != Role::Edit || self.rules.allow_everything("bash"));
        if everything {
            return false;
        }
        if role == Role::Edit {
            self.found.must_ask(Why::UnknownFile.reason());
            return true;
        }
        if self.rules.may_allow("bash", &word.source) {
            self.found.must_ask(Why::UnknownWord.reason());
        }
        self.found.pattern(word.source.clone(), None);
        false
    }

    pub(super) fn leave(&mut self, place: &ResolvedPath) {
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
        let guarded = patterns
            .iter()
            .any(|pattern| self.rules.guard("read", pattern));
        if named(&place.shown) || named(&place.real) || guarded {
            patterns
                .into_iter()
                .for_each(|pattern| add(&mut self.found.reads, pattern));
        }
    }

    /// A file that is made, moved or removed: the command's own pattern speaks for it, unless a rule names such files.
    fn write(&mut self, place: &ResolvedPath) {
        self.guarded(place);
        let patterns = self.patterns(place);
        for pattern in patterns {
            if self.rules.guard("edit", &pattern) {
                self.written(place, pattern, "");
            }
        }
    }

    /// A file that gets text of the command's making; gives whether a person must look.
    fn edit(&mut self, place: &ResolvedPath, word: &Word) -> bool {
        let mut asked = self.guarded(place);
        add(&mut self.found.writes, place.shown.display().to_string());
        if place.real != place.shown {
            add(&mut self.found.writes, place.real.display().to_string());
        }
        for pattern in self.patterns(place) {
            asked |= self.written(place, pattern, &word.source);
        }
        asked
    }

    fn written(&mut self, place: &ResolvedPath, pattern: String, source: &str) -> bool {
        if self.rules.deny("edit", &pattern) {
            add(&mut self.found.forbidden, pattern);
            return true;
        }
        if self.rules.allow_all_of("edit", &pattern) || self.is_allowed_with(source) {
            return false;
        }
        add(&mut self.found.writes, place.shown.display().to_string());
        self.found.must_ask(format!("it writes to {pattern}"));
        true
    }

    /// Whether a rule allows a command of the text together with this file, as an answer "always" does.
    fn is_allowed_with(&self, source: &str) -> bool {
        !source.is_empty()
            && self.plan.commands.iter().any(|command| {
                command.text.contains(source)
                    && self.rules.allow_with("bash", &command.text, source)
            })
    }

    /// What no rule may allow.
    fn guarded(&mut self, place: &ResolvedPath) -> bool {
        let Some(guard) = self.context.guarded.of_either(&place.shown, &place.real) else {
            return false;
        };
        self.found.must_ask(guard.reason());
        let mark = json!({
            "path": place.shown.display().to_string(),
            "kind": guard.as_str(),
            "reason": guard.reason(),
        });
        add(&mut self.found.guarded, mark);
        true
    }

    /// Whether searches may run without the files with secrets that they would come across, and without which. Where a
    /// text reads such a file on purpose, or may mean another `grep`, a person is asked about those too.
    pub(super) fn left_out(&mut self, text: &str) -> &'static [&'static str] {
        if self.found.met.is_empty() {
            return &[];
        }
        let other_grep = ["grep()", "grep ()", "function", "unset", "alias", "enable"];
        let is_plain = !other_grep.iter().any(|sign| text.contains(sign));
        if is_plain && self.found.reads.is_empty() && !self.plan.parse_error {
            return &LEFT_OUT;
        }
        for place in std::mem::take(&mut self.found.met) {
            self.read(&place);
        }
        &[]
    }

    /// A folder that is read whole: the first file with secrets in it stands for all.
    fn below(&mut self, places: &Candidates, command: &SimpleCommand) {
        let words = &command.words;
        let can_leave_out = command.direct && can_leave_out(words);
        let only = |name: &str| includes(words, name);
        if can_leave_out {
            self.met(places, &only);
        }
        let only = |name: &str| only(name) && !(can_leave_out && is_env(name));
        for place in self.project_folders(places) {
            let found = self.resolver.first_below(&place.real, |path, name| {
                only(name) && (is_env(name) || self.is_guarded_read(path))
            });
            match found {
                Some(Some(path)) => self.read(&found_at(path)),
                Some(None) => {}
                // Its secrets are left out, and the rules name no other files that are read here.
                None if can_leave_out && !self.rules.guards("read") => {}
                None if self.rules.allow_everything("read") => {}
                None => self.found.must_ask(Why::TooMuch.reason()),
            }
        }
    }

    fn met(&mut self, places: &Candidates, only: &dyn Fn(&str) -> bool) {
        for place in self.project_folders(places) {
            let found = self
                .resolver
                .first_below(&place.real, |_, name| only(name) && is_env(name));
            match found {
                Some(Some(path)) => self.found.met.push(found_at(path)),
                Some(None) => {}
                None => self.found.met.push(found_at(place.real.join(".env"))),
            }
        }
    }

    fn project_folders(&self, places: &Candidates) -> Vec<ResolvedPath> {
        let folders = places.known.iter();
        folders
            .filter(|place| self.resolver.inside(&place.real) && place.real.is_dir())
            .cloned()
            .collect()
    }

    fn is_guarded_read(&self, path: &Path) -> bool {
        let place = ResolvedPath {
            shown: path.to_path_buf(),
            real: path.to_path_buf(),
        };
        let patterns = self.patterns(&place);
        patterns
            .iter()
            .any(|pattern| self.rules.guard("read", pattern))
    }

    /// The path relative to the worktree, and where it leads when that is elsewhere.
    fn patterns(&self, place: &ResolvedPath) -> Vec<String> {
        let roots = [self.context.worktree, self.context.directory];
        let real_roots = self.resolver.real_roots();
        let mut patterns = vec![relative(&place.shown, &roots)];
        let real = relative(
            &place.real,
            &real_roots.each_ref().map(|root| root.as_path()),
        );
        add(&mut patterns, real);
        patterns
    }
}

fn found_at(path: PathBuf) -> ResolvedPath {
    ResolvedPath {
        real: disk::real(&path),
        shown: path,
    }
}

fn is_device(word: &Word) -> bool {
    word.literal().is_some_and(|path| disk::is_device(&path))
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
