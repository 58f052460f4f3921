//! Turns the words of a plan into places on the disk.

use crate::budget::Budget;
use crate::context::Context;
use crate::disk::{self, Roots};
use crate::expand::{Scope, Text, expand, is_number};
use crate::plan::{Cwd, Move, ShellPlan};
use crate::weigh::HOLE;
use crate::word::Word;
use std::path::{Path, PathBuf};

/// Where a text runs, and what counts as inside.
pub struct Resolver<'a> {
    plan: &'a ShellPlan,
    context: Context<'a>,
    roots: Roots,
    real_roots: [PathBuf; 2],
    budget: Budget<'a>,
}

/// A place that a word may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedPath {
    /// The path as meant: absolute, without `.` and `..`.
    pub shown: PathBuf,
    /// The path without links.
    pub real: PathBuf,
}

/// All places that a word may name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidates {
    /// Those that are known.
    pub known: Vec<ResolvedPath>,
    /// There may be others.
    pub unknown: bool,
    /// Folders in which the unknown ones are.
    pub folders: Vec<ResolvedPath>,
}

impl<'a> Resolver<'a> {
    /// A resolver for the plan of a text.
    pub fn new(plan: &'a ShellPlan, context: Context<'a>, roots: Roots) -> Self {
        Self {
            plan,
            context,
            roots,
            real_roots: [context.worktree, context.directory].map(disk::real),
            budget: Budget::new(context.cancelled),
        }
    }

    /// The worktree and the session's folder without links.
    pub fn real_roots(&self) -> &[PathBuf; 2] {
        &self.real_roots
    }

    /// Whether all that the text gives a variable before `at` are numbers.
    pub fn is_number(&self, name: &str, at: usize) -> bool {
        is_number(name, at, self.scope())
    }

    /// A word as far as it is known, with holes for the rest.
    pub fn shape(&self, word: &Word, at: usize) -> String {
        let expanded = expand(word, at, self.scope());
        match expanded.texts.as_slice() {
            [text] if !expanded.unknown && !text.has_wildcard() => text.plain(),
            _ => word.shape(HOLE),
        }
    }

    /// Where the files of `source` come to be when it is copied to `target`: as it, in it, or with what is in it.
    pub fn copies_of(
        &self,
        source: &ResolvedPath,
        target: &ResolvedPath,
        deep: bool,
    ) -> Vec<ResolvedPath> {
        let mut made = Vec::new();
        let name = source.shown.file_name().unwrap_or_default();
        let mut add = |path: PathBuf| made.push(place(&path));
        add(target.shown.join(name));
        if deep && source.real.is_dir() {
            let below = |path: &Path| path.strip_prefix(&source.real).map(Path::to_path_buf);
            // Nothing is wanted, so that all are seen.
            let _ = self.first_below(&source.real, |path, _| {
                if let Ok(below) = below(path) {
                    add(target.shown.join(&below));
                    add(target.shown.join(name).join(&below));
                }
                false
            });
        }
        made
    }

    /// What a word becomes, if all of that is known: its texts, and the names that its wildcards find now.
    pub fn outcomes(&self, word: &Word, at: usize, cwds: &[Cwd]) -> Option<Vec<String>> {
        if let Some(text) = word.with_numbers() {
            return Some(vec![text]);
        }
        let expanded = expand(word, at, self.scope());
        if expanded.unknown {
            return None;
        }
        let mut outcomes = Vec::new();
        for text in &expanded.texts {
            let leads = text
                .0
                .first()
                .is_some_and(|(c, active)| *active && "*?[".contains(*c));
            if !leads {
                outcomes.push(text.plain());
                continue;
            }
            let (folders, anywhere) = self.folders(cwds);
            if anywhere {
                return None;
            }
            for folder in folders {
                let names = disk::matches(&folder, text, &self.budget)?;
                outcomes.extend(names.iter().map(|path| {
                    let name = path.strip_prefix(&folder).unwrap_or(path);
                    name.to_string_lossy().into_owned()
                }));
            }
        }
        Some(outcomes)
    }

    /// The first file below a folder that `wanted` accepts; `None` when there is too much to look at.
    pub fn first_below(
        &self,
        folder: &Path,
        wanted: impl FnMut(&Path, &str) -> bool,
    ) -> Option<Option<PathBuf>> {
        disk::first_below(folder, &self.budget, wanted)
    }

    /// Whether a real path is in the project.
    pub fn inside(&self, real: &Path) -> bool {
        self.roots.contains(real)
    }

    /// The places that `word` may name, seen at the place `at` of the text from the folders `cwds`.
    pub fn candidates(&self, word: &Word, at: usize, cwds: &[Cwd]) -> Candidates {
        let expanded = expand(word, at, self.scope());
        let mut places = Candidates {
            unknown: expanded.unknown,
            ..Candidates::default()
        };
        let (folders, anywhere) = self.folders(cwds);
        for text in &expanded.texts {
            let absolute = text.0.first().is_some_and(|(c, _)| *c == '/');
            if expanded.unknown {
                places
                    .folders
                    .extend(known_folder(text).map(|text| place(Path::new(&text))));
                continue;
            }
            if text.0.is_empty() {
                continue;
            }
            if absolute {
                self.add(&mut places, Path::new("/"), text);
                continue;
            }
            places.unknown |= anywhere;
            for folder in &folders {
                self.add(&mut places, folder, text);
            }
        }
        places
    }

    /// Home, as a place.
    pub fn home(&self) -> ResolvedPath {
        place(self.context.home)
    }

    fn scope(&self) -> Scope<'a> {
        Scope {
            variables: &self.plan.variables,
            home: self.context.home,
        }
    }

    fn add(&self, places: &mut Candidates, folder: &Path, text: &Text) {
        if !text.has_wildcard() {
            return push(places, place(&folder.join(text.plain())));
        }
        let base = place(&disk::base(folder, text));
        if !self.inside(&base.real) {
            places.folders.push(base);
            return;
        }
        match disk::matches(folder, text, &self.budget) {
            Some(matches) => matches.iter().for_each(|path| push(places, place(path))),
            None => places.unknown = true,
        }
    }

    /// The folders (as `cd` shows them) in which a command may run, and whether it may be elsewhere too.
    fn folders(&self, cwds: &[Cwd]) -> (Vec<PathBuf>, bool) {
        let reached = self.reached(cwds, true);
        // What should never run may still run, for a reason that cannot be seen from here.
        if reached.0.is_empty() && !reached.1 {
            self.reached(cwds, false)
        } else {
            reached
        }
    }

    fn reached(&self, cwds: &[Cwd], careful: bool) -> (Vec<PathBuf>, bool) {
        let mut folders = Vec::new();
        let mut anywhere = false;
        for cwd in cwds {
            match self.folder(cwd, careful) {
                Destination::Folder(folder) if !folders.contains(&folder) => folders.push(folder),
                Destination::Folder(_) | Destination::Never => {}
                Destination::Anywhere => anywhere = true,
            }
        }
        (folders, anywhere)
    }

    fn folder(&self, cwd: &Cwd, careful: bool) -> Destination {
        let Some(moves) = &cwd.moves else {
            return Destination::Anywhere;
        };
        let mut folder = self.context.start.to_path_buf();
        for change in moves {
            let (Move::To(target, at) | Move::Missing(target, at)) = change;
            let Some(next) = self.destination(&folder, target.as_ref(), *at) else {
                return Destination::Anywhere;
            };
            match change {
                Move::To(..) => folder = next,
                Move::Missing(..) if careful && next.is_dir() => return Destination::Never,
                Move::Missing(..) => {}
            }
        }
        Destination::Folder(folder)
    }

    fn destination(&self, folder: &Path, target: Option<&Word>, at: usize) -> Option<PathBuf> {
        let Some(target) = target else {
            return Some(self.context.home.to_path_buf());
        };
        let expanded = expand(target, at, self.scope());
        match expanded.texts.as_slice() {
            [text] if !expanded.unknown && !text.has_wildcard() => {
                Some(disk::flat(&folder.join(text.plain())))
            }
            _ => None,
        }
    }
}

enum Destination {
    Folder(PathBuf),
    Anywhere,
    /// The way there cannot have been gone.
    Never,
}

/// Of a text that goes on unknown: its folder, if it names one from the root on.
fn known_folder(text: &Text) -> Option<String> {
    let plain = text.plain();
    let slash = plain.rfind('/')?;
    plain
        .starts_with('/')
        .then(|| plain.get(..=slash).unwrap_or_default().to_owned())
}

fn place(path: &Path) -> ResolvedPath {
    ResolvedPath {
        shown: disk::flat(path),
        real: disk::real(path),
    }
}

fn push(places: &mut Candidates, place: ResolvedPath) {
    if !places.known.contains(&place) {
        places.known.push(place);
    }
}
