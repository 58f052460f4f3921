//! Times checkpoints: `cargo run --release -p kilo-worktree --example snapshot-bench`.
//!
//! Prints one line a case, in milliseconds: small folder unchanged, a crowd in one folder, 10,000 files first and
//! unchanged, one file changed, and the files of a repository without a commit.

use git2::{IndexAddOption, Repository, Signature};
use kilo_ports::checkpoint::Checkpoints;
use kilo_worktree::GitCheckpoints;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

#[tokio::main(worker_threads = 2)]
async fn main() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let small = scratch.path().join("small");
    repository(&small, 20, true);
    let keeper = GitCheckpoints::new(scratch.path().join("snapshots"));
    report("20 files, first", time(&keeper, &small).await);
    settle().await;
    report(
        "20 files, unchanged, median of 200",
        median(&keeper, &small, 200).await,
    );
    report(
        "20 files, 50 callers at once, median of 20",
        crowd(&keeper, &small).await,
    );
    fs::write(small.join("d0/f1.txt"), "changed\n").expect("a file");
    report("20 files, one changed", time(&keeper, &small).await);

    for (name, committed) in [("committed", true), ("untracked", false)] {
        let big = scratch.path().join(name);
        repository(&big, 10_000, committed);
        report(
            &format!("10,000 files {name}, first"),
            time(&keeper, &big).await,
        );
        settle().await;
        report(
            &format!("10,000 files {name}, unchanged, median of 20"),
            median(&keeper, &big, 20).await,
        );
        fs::write(big.join("d3/f1003.txt"), "changed\n").expect("a file");
        report(
            &format!("10,000 files {name}, one changed"),
            time(&keeper, &big).await,
        );
        let fresh = GitCheckpoints::new(scratch.path().join("snapshots"));
        report(
            &format!("10,000 files {name}, first after a restart"),
            time(&fresh, &big).await,
        );
    }
}

fn report(what: &str, took: Duration) {
    println!("{:>9.3} ms  {what}", took.as_secs_f64() * 1_000.0);
}

/// Lets the files grow older than the clock's step, so that stamps can be trusted.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

async fn time(keeper: &GitCheckpoints, folder: &Path) -> Duration {
    let start = Instant::now();
    keeper
        .track(folder.to_path_buf())
        .await
        .expect("a checkpoint");
    start.elapsed()
}

async fn median(keeper: &GitCheckpoints, folder: &Path, count: usize) -> Duration {
    time(keeper, folder).await;
    let mut times = Vec::new();
    for _ in 0..count {
        times.push(time(keeper, folder).await);
    }
    times.sort();
    times[count / 2]
}

async fn crowd(keeper: &GitCheckpoints, folder: &Path) -> Duration {
    let mut times = Vec::new();
    for _ in 0..20 {
        let start = Instant::now();
        let callers: Vec<_> = (0..50)
            .map(|_| tokio::spawn(keeper.track(folder.to_path_buf())))
            .collect();
        for caller in callers {
            caller.await.expect("a caller").expect("a checkpoint");
        }
        times.push(start.elapsed());
    }
    times.sort();
    times[10]
}

fn repository(folder: &Path, files: usize, committed: bool) {
    let repo = Repository::init(folder).expect("a repository");
    fs::write(
        folder.join(".gitignore"),
        "target/\nnode_modules/\n*.log\n.env*\n!keep.log\n/build\n**/cache/*\n",
    )
    .expect("a file");
    for file in 0..files {
        let sub = folder.join(format!("d{}", file % 100 / if files < 100 { 5 } else { 1 }));
        fs::create_dir_all(&sub).expect("a folder");
        let text = format!("line of file {file}\n").repeat(1 + file % 200);
        fs::write(sub.join(format!("f{file}.txt")), text).expect("a file");
    }
    std::thread::sleep(Duration::from_millis(50)); // so that git need not doubt the stamps
    if committed {
        let mut index = repo.index().expect("an index");
        index
            .add_all(["*"], IndexAddOption::DEFAULT, None)
            .expect("files");
        index.write().expect("an index");
        let tree = repo
            .find_tree(index.write_tree().expect("a tree"))
            .expect("a tree");
        let author = Signature::now("t", "t@example.com").expect("a name");
        repo.commit(Some("HEAD"), &author, &author, "first", &tree, &[])
            .expect("a commit");
    }
}
