//! A repository with worktrees, run by the real git program in the real sandbox.
#![allow(dead_code, reason = "each test target uses a part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use crate::support::Project;
use kilo_ports::clock::Clock;
use kilo_ports::fakes::FakeClock;
use kilo_ports::sandbox::{Exit, ProcessSpec, Sandbox};
use kilo_sandbox::{ProcessSandbox, Settings};
use kilo_worktree::Trees;
use kilo_worktree::trees::{
    Answer, Copies, GoesOn, Kept, Landed, Listed, NewTree, Order, Place, Removed, Tree, TreeError,
};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub struct Yard {
    pub project: Project,
    pub trees: Trees,
    pub clock: Arc<FakeClock>,
    sandbox: Arc<dyn Sandbox>,
}

pub fn forced() -> Answer {
    Answer {
        force: true,
        users: Vec::new(),
    }
}

impl Yard {
    /// A repository with a few files, `.env*`, `secrets` and `heavy` ignored.
    pub fn new() -> Self {
        Self::empty().filled()
    }

    /// The same with a program in place of git, which finds the real one as `/usr/bin/git`.
    pub fn with_git(script: &str) -> Self {
        let yard = Self::on_path("bin:");
        let git = yard.project.root.with_file_name("bin").join("git");
        fs::create_dir_all(git.parent().unwrap()).unwrap();
        fs::write(&git, script).unwrap();
        fs::set_permissions(&git, fs::Permissions::from_mode(0o755)).unwrap();
        yard.filled()
    }

    fn filled(self) -> Self {
        let yard = self;
        for (path, text) in [
            ("a.txt", "a\n"),
            ("gone.txt", "gone\n"),
            (
                ".gitignore",
                ".env*\nsecrets/\nheavy/\n.kilo/\n.worktreeinclude\n",
            ),
        ] {
            yard.project.write(path, text);
        }
        yard.project.commit("first");
        yard
    }

    /// One without a commit.
    pub fn empty() -> Self {
        Self::on_path("")
    }

    /// `first`: a folder beside the repository with a colon behind it, or nothing.
    fn on_path(first: &str) -> Self {
        let project = Project::empty();
        let config = "[user]\n\tname = t\n\temail = t@example.com\n";
        let mut file = fs::read_to_string(project.root.join(".git/config")).unwrap();
        file.push_str(config);
        fs::write(project.root.join(".git/config"), file).unwrap();
        let clock = Arc::new(FakeClock::at(1_700_000_000_000));
        let home = project.root.with_file_name("home");
        fs::create_dir_all(&home).unwrap();
        let first = match first {
            "" => String::new(),
            first => project.root.with_file_name(first).display().to_string(),
        };
        let path = format!("{first}/usr/local/bin:/usr/bin:/bin");
        let settings = Settings::new([
            ("PATH".into(), path.into()),
            ("HOME".into(), home.into()),
            ("GIT_CONFIG_NOSYSTEM".into(), "1".into()),
        ]);
        let sandbox: Arc<dyn Sandbox> = Arc::new(ProcessSandbox::new(settings).unwrap());
        let root = project.data.join("worktree");
        let trees = Trees::new(
            root,
            Arc::clone(&sandbox),
            Arc::clone(&clock) as Arc<dyn Clock>,
        );
        Self {
            project,
            trees,
            clock,
            sandbox,
        }
    }

    /// As the next process sees it.
    pub fn again(&self) -> Yarded<'_> {
        self.ending(None)
    }

    /// A process that ends where `goes_on` says.
    pub fn ending(&self, goes_on: Option<GoesOn>) -> Yarded<'_> {
        let root = self.project.data.join("worktree");
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let trees = Trees::ending(root, Arc::clone(&self.sandbox), clock, goes_on);
        Yarded { yard: self, trees }
    }

    pub async fn place(&self) -> Place {
        self.trees
            .place("project", &self.project.root)
            .await
            .unwrap()
    }

    pub fn named(&self, name: &str) -> NewTree {
        NewTree {
            name: Some(name.into()),
            ..NewTree::default()
        }
    }

    pub async fn make(&self, name: &str) -> Tree {
        self.make_of(self.named(name)).await.unwrap()
    }

    pub async fn make_of(&self, new: NewTree) -> Result<Tree, TreeError> {
        self.make_with(new, Copies::default()).await
    }

    pub async fn make_with(&self, new: NewTree, copies: Copies) -> Result<Tree, TreeError> {
        let place = self.place().await;
        let tree = self.trees.create(&place, new.clone()).await?;
        self.trees.fill(&place, tree, &new, copies).await
    }

    pub async fn list(&self) -> Vec<Listed> {
        self.trees.list(&self.place().await, false).await.unwrap()
    }

    pub async fn kept(&self) -> Vec<Kept> {
        self.trees.kept(&self.place().await).await.unwrap()
    }

    pub async fn remove(&self, tree: &Tree, answer: Answer) -> Result<Removed, TreeError> {
        let place = self.place().await;
        self.trees.remove(&place, &tree.directory, answer).await
    }

    pub async fn restore(&self, what: &str) -> Result<Tree, TreeError> {
        self.trees.restore(&self.place().await, what).await
    }

    pub async fn apply(&self, tree: &Tree, order: Order) -> Result<Landed, TreeError> {
        self.trees
            .apply(&self.place().await, &tree.directory, order)
            .await
    }

    pub fn read(&self, tree: &Tree, file: &str) -> String {
        fs::read_to_string(tree.directory.join(file)).unwrap()
    }

    /// Runs git as a user would.
    pub fn git(&self, directory: &Path, words: &[&str]) -> String {
        let (exit, output) = self.program("git", directory, words);
        assert_eq!(exit, Exit::Code(0), "{words:?}: {output}");
        output
    }

    /// Runs a program; how it ended and what it said.
    pub fn program(&self, program: &str, directory: &Path, words: &[&str]) -> (Exit, String) {
        let spec = ProcessSpec {
            program: program.into(),
            args: words.iter().map(|word| (*word).to_owned()).collect(),
            directory: directory.to_path_buf(),
            env: Vec::new(),
            timeout_ms: Some(60_000),
            stdin: None,
        };
        let (send, mut receive) = mpsc::channel(1_024);
        let sandbox = Arc::clone(&self.sandbox);
        let running = async move {
            let exit = sandbox.run(spec, send, CancellationToken::new()).await;
            let mut output = Vec::new();
            while let Some(piece) = receive.recv().await {
                output.extend_from_slice(&piece);
            }
            (exit.unwrap(), String::from_utf8_lossy(&output).into_owned())
        };
        let runtime = || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            builder.enable_all().build().unwrap()
        };
        std::thread::scope(|scope| {
            let done = scope.spawn(|| runtime().block_on(running));
            done.join().unwrap()
        })
    }

    /// The same repository seen from another folder, with worktrees elsewhere.
    pub fn trees_at(&self, root: &Path) -> Trees {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        Trees::new(root.to_path_buf(), Arc::clone(&self.sandbox), clock)
    }
}

/// The same worktrees in the hands of another process.
pub struct Yarded<'a> {
    yard: &'a Yard,
    pub trees: Trees,
}

impl Yarded<'_> {
    pub async fn kept(&self) -> Vec<Kept> {
        self.trees.kept(&self.yard.place().await).await.unwrap()
    }

    pub async fn list(&self) -> Vec<Listed> {
        self.trees
            .list(&self.yard.place().await, false)
            .await
            .unwrap()
    }
}
