//! Random histories of worktrees with processes that end anywhere: nothing that somebody wrote is ever lost, and nothing
//! half-made is left.
//!
//! Every text that is written is its own token. As long as nobody deletes it himself it has to be in a file of a worktree or
//! in something that a ref of the repository holds.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;
mod trees_support;

use git2::{ObjectType, Repository, TreeWalkMode, TreeWalkResult};
use kilo_worktree::Trees;
use kilo_worktree::trees::{Answer, Copies, Listed, NewTree, Order, Place, State, Tree, TreeError};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use trees_support::{Yard, forced};

/// Steps of one history.
const STEPS: usize = 14;

/// A xorshift generator.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

struct History {
    yard: Yard,
    place: Place,
    chance: Chance,
    /// What has to be somewhere, by the folder and the file that it was written to last.
    open: BTreeMap<(PathBuf, String), String>,
    /// What was uncommitted in a worktree that is removed or reset.
    kept: BTreeSet<String>,
    /// What was committed.
    safe: BTreeSet<String>,
    next: usize,
    said: Vec<String>,
}

impl History {
    async fn new(seed: u64) -> Self {
        let yard = Yard::new();
        let place = yard.place().await;
        Self {
            yard,
            place,
            chance: Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            open: BTreeMap::new(),
            kept: BTreeSet::new(),
            safe: BTreeSet::new(),
            next: 0,
            said: Vec::new(),
        }
    }

    fn token(&mut self) -> String {
        self.next += 1;
        format!("token {}.\n", self.next)
    }

    async fn living(&self) -> Vec<Listed> {
        let mut listed = self.yard.again().list().await;
        listed.retain(|listed| listed.state == State::Ready);
        listed
    }

    async fn one(&mut self) -> Option<Listed> {
        let mut living = self.living().await;
        match living.len() {
            0 => None,
            count => Some(living.swap_remove(self.chance.below(count))),
        }
    }

    /// Somebody writes a file.
    fn write(&mut self, directory: &Path) {
        let file = ["a.txt", "new.txt", "deep/er.txt"][self.chance.below(3)];
        let text = self.token();
        let path = directory.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // what was restored may be overwritten like anything else
        let before = fs::read_to_string(&path).unwrap_or_default();
        self.kept.remove(&before);
        fs::write(path, &text).unwrap();
        self.open
            .insert((directory.to_path_buf(), file.into()), text);
    }

    fn commit(&mut self, directory: &Path) {
        support::commit(&Repository::open(directory).unwrap(), "work");
        let here = |key: &&(PathBuf, String)| key.0 == directory;
        let keys: Vec<_> = self.open.keys().filter(here).cloned().collect();
        for key in keys {
            self.safe.extend(self.open.remove(&key));
        }
    }

    /// What was open in a folder is somewhere else by now, and stays to be found.
    fn settled(&mut self, directory: &Path) {
        let here = |key: &&(PathBuf, String)| key.0 == directory;
        let keys: Vec<_> = self.open.keys().filter(here).cloned().collect();
        for key in keys {
            self.kept.extend(self.open.remove(&key));
        }
    }

    async fn step(&mut self) {
        self.yard.clock.advance(1_500);
        let ends_after = match self.chance.below(2) {
            0 => -1,
            _ => self.chance.below(8) as i64,
        };
        let left = AtomicI64::new(ends_after);
        let process = self.yard.ending(Some(Box::new(move |_| {
            ends_after < 0 || left.fetch_sub(1, Ordering::SeqCst) > 0
        })));
        let trees = process.trees.clone();
        drop(process);
        let (what, listed) = (self.chance.below(12), self.one().await);
        let Some(listed) = listed.filter(|_| what > 1) else {
            let changes = self.chance.below(2) == 0;
            let root = self.yard.project.root.clone();
            if changes {
                self.write(&root);
            }
            let made = self.create(&trees, changes).await;
            return self.said.push(format!("create {made:?}"));
        };
        let directory = listed.directory.clone();
        let done = match what {
            2..=4 => {
                self.write(&directory);
                "write".into()
            }
            5 => {
                self.commit(&directory);
                "commit".into()
            }
            6 => {
                let removed = trees
                    .remove(&self.place, &directory, Answer::default())
                    .await;
                if removed.is_ok() {
                    assert!(
                        !self.open.keys().any(|key| key.0 == directory),
                        "{:#?}",
                        self.said
                    );
                }
                format!("remove {:?}", removed.map(|_| ()))
            }
            7 | 8 => {
                let removed = trees.remove(&self.place, &directory, forced()).await;
                self.settled(&directory);
                format!("remove by force {:?}", removed.map(|_| ()))
            }
            9 => {
                let reset = trees.reset(&self.place, &directory, forced()).await;
                self.settled(&directory);
                format!("reset {:?}", reset.map(|_| ()))
            }
            10 => {
                let name = format!("name {}", self.next);
                let renamed = trees.rename(&self.place, &directory, &name).await;
                format!("rename {:?}", renamed.map(|_| ()))
            }
            _ => self.come_back(&trees, &directory).await,
        };
        self.said.push(done);
    }

    async fn create(&mut self, trees: &Trees, changes: bool) -> Result<(), TreeError> {
        let new = NewTree {
            name: Some("tree".into()),
            changes,
            ..NewTree::default()
        };
        let tree = trees.create(&self.place, new.clone()).await?;
        trees
            .fill(&self.place, tree, &new, Copies::default())
            .await?;
        Ok(())
    }

    /// Restores a state, or brings a result home.
    async fn come_back(&mut self, trees: &Trees, directory: &Path) -> String {
        let kept = self.yard.again().kept().await;
        if let Some(kept) = kept.first().filter(|_| self.chance.below(3) > 0) {
            let restored = trees.restore(&self.place, &kept.id).await;
            return format!("restore {:?}", restored.map(|_| ()));
        }
        let applied = trees.apply(&self.place, directory, Order::default()).await;
        format!("apply {:?}", applied.map(|_| ()))
    }

    /// The next process looks at what is there.
    async fn check(&mut self) {
        let listed = self.yard.again().list().await;
        let said = &self.said;
        for listed in &listed {
            assert_eq!(listed.state, State::Ready, "{listed:?} {said:#?}");
        }
        let trees: Vec<&Tree> = listed
            .iter()
            .filter_map(|listed| listed.tree.as_ref())
            .collect();
        assert_eq!(
            trees.len(),
            listed.len(),
            "one has no record: {listed:#?} {said:#?}"
        );
        let ports: BTreeSet<u16> = trees.iter().map(|tree| tree.port_base).collect();
        assert_eq!(ports.len(), trees.len(), "{said:#?}");
        let folder = self.yard.trees.root().join("project");
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let names: BTreeSet<PathBuf> = entries
            .map(|entry| entry.path())
            .filter(|path| !path.ends_with(".kilo"))
            .collect();
        let known: BTreeSet<PathBuf> = listed
            .iter()
            .map(|listed| listed.directory.clone())
            .collect();
        assert_eq!(names, known, "folders and list differ: {said:#?}");
        let text = self.everything(&listed);
        for token in self.safe.iter().chain(&self.kept).chain(self.open.values()) {
            assert!(
                text.contains(token.as_str()),
                "{token:?} is lost: {said:#?}"
            );
        }
    }

    /// All texts in worktrees and in what refs hold.
    fn everything(&self, listed: &[Listed]) -> String {
        let mut text = String::new();
        let roots = listed.iter().map(|listed| listed.directory.clone());
        for root in roots.chain([self.yard.project.root.clone()]) {
            for file in ["a.txt", "new.txt", "deep/er.txt"] {
                text.push_str(&fs::read_to_string(root.join(file)).unwrap_or_default());
            }
        }
        let repo = Repository::open(&self.yard.project.root).unwrap();
        let mut walk = repo.revwalk().unwrap();
        for reference in repo.references().unwrap().flatten() {
            walk.push(reference.peel_to_commit().unwrap().id()).unwrap();
        }
        let mut seen = BTreeSet::new();
        for commit in walk.flatten() {
            let tree = repo.find_commit(commit).unwrap().tree().unwrap();
            tree.walk(TreeWalkMode::PreOrder, |_, entry| {
                if entry.kind() == Some(ObjectType::Blob) && seen.insert(entry.id()) {
                    let blob = repo.find_blob(entry.id()).unwrap();
                    text.push_str(&String::from_utf8_lossy(blob.content()));
                }
                TreeWalkResult::Ok
            })
            .unwrap();
        }
        text
    }
}

async fn run(seed: u64) {
    let mut history = History::new(seed).await;
    for _ in 0..STEPS {
        history.step().await;
        history.check().await;
    }
}

#[tokio::test]
async fn nothing_is_lost_in_random_histories_with_kills() {
    for seed in 0..12 {
        run(seed).await;
    }
}

#[tokio::test]
#[ignore = "the long form, minutes"]
async fn nothing_is_lost_in_two_thousand_histories() {
    for seed in 1_000..3_000 {
        run(seed).await;
        if seed % 100 == 0 {
            println!("{seed}");
        }
    }
}
