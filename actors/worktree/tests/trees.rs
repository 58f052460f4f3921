//! Worktrees: made, listed, kept from loss, removed and brought back; with the real git program.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;
mod trees_support;

use kilo_worktree::trees::{
    Answer, Conflict, Copies, How, Losses, NewTree, Order, Script, Setup, Share, Stage, State,
    TreeError,
};
use std::fs;
use std::os::unix::fs::symlink;
use support::commit;
use trees_support::{Yard, forced};

#[tokio::test]
async fn a_worktree_has_the_files_a_branch_and_ports_of_its_own() {
    let yard = Yard::new();
    let first = yard.make("feat one").await;
    let second = yard.make("feat one").await;
    assert_eq!(first.name, "feat-one");
    assert_eq!(first.branch.as_deref(), Some("opencode/feat-one"));
    assert!(second.name.starts_with("feat-one-"), "{}", second.name);
    assert_eq!(first.base.as_deref(), Some("main"));
    assert_eq!(
        fs::read_to_string(first.directory.join("a.txt")).unwrap(),
        "a\n"
    );
    assert_eq!(yard.git(&first.directory, &["status", "--porcelain"]), "");
    assert_eq!(
        yard.git(&first.directory, &["rev-parse", "--abbrev-ref", "HEAD"]),
        "opencode/feat-one\n"
    );
    assert!(first.port_base > 0 && first.port_base != second.port_base);
    assert_eq!(
        yard.trees.port_base(&first.directory.join("src")),
        first.port_base
    );
    assert_eq!(yard.trees.port_base(&yard.project.root), 0);
    let listed = yard.list().await;
    let names: Vec<&str> = listed
        .iter()
        .map(|listed| listed.tree.as_ref().unwrap().name.as_str())
        .collect();
    assert_eq!(names, [first.name.as_str(), second.name.as_str()]);
}

#[tokio::test]
async fn many_at_once_get_names_of_their_own() {
    let yard = Yard::new();
    let made = (0..8).map(|_| yard.make("same"));
    let made = futures_util::future::join_all(made).await;
    let names: std::collections::BTreeSet<_> = made.iter().map(|tree| &tree.name).collect();
    let ports: std::collections::BTreeSet<_> = made.iter().map(|tree| tree.port_base).collect();
    assert_eq!((names.len(), ports.len()), (8, 8));
    assert_eq!(yard.list().await.len(), 8);
}

/// Git dies over the entry of a worktree that another program is just writing; by then it may have made the branch.
#[tokio::test]
async fn a_registration_that_another_program_is_writing_is_waited_for() {
    // the first time, there is an entry without a text, and a branch is left
    let yard = Yard::with_git(
        "#!/bin/sh\n\
         at=.git/worktrees/theirs\n\
         case \"$*\" in *'worktree add'*) ;; *) exec /usr/bin/git \"$@\";; esac\n\
         if [ -e .git/met ]; then exec /usr/bin/git \"$@\"; fi\n\
         mkdir -p $at && echo /theirs/.git > $at/gitdir && : > $at/commondir && : > .git/met\n\
         /usr/bin/git \"$@\"; ended=$?\n\
         rm -r $at; /usr/bin/git branch opencode/same; exit $ended\n",
    );
    let tree = yard.make("same").await;
    assert!(yard.project.root.join(".git/met").exists());
    assert_eq!((tree.name.as_str(), yard.list().await.len()), ("same", 1));
}

#[tokio::test]
async fn it_starts_from_what_is_named_or_from_the_changes_that_nobody_committed() {
    let yard = Yard::new();
    let old = yard.project.repo.head().unwrap().target().unwrap();
    yard.project.write("a.txt", "second\n");
    yard.project.commit("second");
    yard.project.write("a.txt", "not committed\n");
    yard.project.write("new.txt", "untracked\n");
    yard.project.remove("gone.txt");
    let from_old = yard
        .make_of(NewTree {
            base: Some(old.to_string()),
            ..yard.named("old")
        })
        .await
        .unwrap();
    assert_eq!(yard.read(&from_old, "a.txt"), "a\n");
    let with = yard
        .make_of(NewTree {
            changes: true,
            ..yard.named("with")
        })
        .await
        .unwrap();
    assert_eq!(yard.read(&with, "a.txt"), "not committed\n");
    assert_eq!(yard.read(&with, "new.txt"), "untracked\n");
    assert!(!with.directory.join("gone.txt").exists());
    assert_eq!(yard.project.read("a.txt"), "not committed\n");
    let branch = NewTree {
        checkout: Some("HEAD".into()),
        ..NewTree::default()
    };
    assert!(matches!(
        yard.make_of(branch).await,
        Err(TreeError::UnknownBase(_))
    ));
    yard.git(&yard.project.root, &["branch", "topic"]);
    let topic = NewTree {
        checkout: Some("topic".into()),
        ..NewTree::default()
    };
    let topic = yard.make_of(topic).await.unwrap();
    assert_eq!(
        (topic.name.as_str(), topic.branch.as_deref()),
        ("topic", Some("topic"))
    );
    yard.remove(&topic, Answer::default()).await.unwrap();
    assert_ne!(
        yard.git(&yard.project.root, &["branch", "--list", "topic"]),
        ""
    );
    let unknown = yard
        .make_of(NewTree {
            base: Some("nowhere".into()),
            ..yard.named("x")
        })
        .await;
    assert!(matches!(unknown, Err(TreeError::UnknownBase(name)) if name == "nowhere"));
    assert_eq!(yard.list().await.len(), 2);
}

#[tokio::test]
async fn what_would_be_lost_is_named_and_nothing_goes_without_an_answer() {
    let yard = Yard::new();
    let tree = yard.make("work").await;
    let refused = async |losses: Losses| match yard.remove(&tree, Answer::default()).await {
        Err(TreeError::WouldLose(found)) => {
            assert_eq!(*found, losses);
            assert!(tree.directory.join("a.txt").exists());
        }
        other => panic!("{other:?}"),
    };
    fs::write(tree.directory.join("a.txt"), "changed\n").unwrap();
    fs::write(tree.directory.join("n.txt"), "new\n").unwrap();
    let dirty = Losses {
        modified: vec!["a.txt".into()],
        untracked: vec!["n.txt".into()],
        ..Losses::default()
    };
    refused(dirty).await;
    yard.git(&tree.directory, &["add", "."]);
    yard.git(&tree.directory, &["commit", "-qm", "work"]);
    refused(Losses {
        commits: 1,
        ..Losses::default()
    })
    .await;
    yard.git(&yard.project.root, &["branch", "saved", "opencode/work"]);
    yard.git(
        &yard.project.root,
        &[
            "worktree",
            "lock",
            "--reason",
            "mine",
            &tree.directory.to_string_lossy(),
        ],
    );
    refused(Losses {
        locked: Some("mine".into()),
        ..Losses::default()
    })
    .await;
    yard.git(
        &yard.project.root,
        &["worktree", "unlock", &tree.directory.to_string_lossy()],
    );
    let nested = tree.directory.join("deps/inner");
    support::init(&nested);
    fs::write(tree.directory.join(".gitignore"), "deps\n").unwrap();
    yard.git(&tree.directory, &["add", ".gitignore"]);
    yard.git(&tree.directory, &["commit", "-qm", "ignore"]);
    yard.git(
        &yard.project.root,
        &["branch", "-f", "saved", "opencode/work"],
    );
    refused(Losses {
        nested: vec![nested.display().to_string()],
        ..Losses::default()
    })
    .await;
    fs::remove_dir_all(&nested).unwrap();
    let busy = Answer {
        force: false,
        users: vec!["session ses_1".into()],
    };
    assert!(
        matches!(yard.remove(&tree, busy).await, Err(TreeError::WouldLose(found)) if found.users == ["session ses_1"])
    );
    yard.remove(&tree, Answer::default()).await.unwrap();
    assert!(!tree.directory.exists());
    assert_eq!(
        yard.git(&yard.project.root, &["branch", "--list", "opencode/*"]),
        ""
    );
    assert_eq!(yard.list().await, []);
}

#[tokio::test]
async fn a_removed_worktree_comes_back_as_it_was() {
    let yard = Yard::new();
    let tree = yard.make("work").await;
    let path = |name: &str| tree.directory.join(name);
    fs::write(path("c.txt"), "committed\n").unwrap();
    yard.git(&tree.directory, &["add", "."]);
    yard.git(&tree.directory, &["commit", "-qm", "own"]);
    let head = yard.git(&tree.directory, &["rev-parse", "HEAD"]);
    fs::write(path("staged.txt"), "staged\n").unwrap();
    yard.git(&tree.directory, &["add", "staged.txt"]);
    fs::write(path("a.txt"), "changed\n").unwrap();
    fs::remove_file(path("gone.txt")).unwrap();
    fs::write(path("ü\u{1}.txt"), "odd name\n").unwrap();
    fs::write(path(".env"), "KEY=of-this-tree\n").unwrap();
    symlink("a.txt", path("link")).unwrap();
    let status = yard.git(&tree.directory, &["status", "--porcelain"]);
    let removed = yard.remove(&tree, forced()).await.unwrap();
    assert_eq!(removed.losses.modified, ["a.txt", "gone.txt", "staged.txt"]);
    assert!(!tree.directory.exists());
    assert_eq!(yard.kept().await.len(), 1);

    let back = yard.restore("work").await.unwrap();
    assert_eq!(
        (&back.directory, &back.branch, back.stage),
        (&tree.directory, &tree.branch, Stage::Ready)
    );
    assert_eq!(yard.git(&back.directory, &["rev-parse", "HEAD"]), head);
    assert_eq!(
        yard.git(&back.directory, &["status", "--porcelain"]),
        status
    );
    assert_eq!(yard.read(&back, ".env"), "KEY=of-this-tree\n");
    assert_eq!(yard.read(&back, "ü\u{1}.txt"), "odd name\n");
    assert_eq!(
        fs::read_link(path("link")).unwrap().to_string_lossy(),
        "a.txt"
    );
    assert_eq!(yard.kept().await, []);
    assert!(matches!(
        yard.restore("work").await,
        Err(TreeError::NotKept(_))
    ));
}

#[tokio::test]
async fn a_reset_takes_the_branch_to_where_its_base_is_now_and_can_be_taken_back() {
    let yard = Yard::new();
    let tree = yard.make("work").await;
    fs::write(tree.directory.join("a.txt"), "changed\n").unwrap();
    fs::write(tree.directory.join("n.txt"), "new\n").unwrap();
    fs::write(tree.directory.join(".env"), "KEY=1\n").unwrap();
    yard.project.write("main.txt", "of main\n");
    let main = yard.project.commit("main goes on");
    yard.trees
        .reset(&yard.place().await, &tree.directory, Answer::default())
        .await
        .unwrap();
    assert_eq!(yard.git(&tree.directory, &["status", "--porcelain"]), "");
    assert_eq!(
        yard.git(&tree.directory, &["rev-parse", "HEAD"]).trim(),
        main.to_string()
    );
    assert!(!tree.directory.join("n.txt").exists());
    assert_eq!(yard.read(&tree, ".env"), "KEY=1\n");
    let back = yard.restore("work").await.unwrap();
    assert_ne!(back.directory, tree.directory);
    assert_eq!(
        (yard.read(&back, "a.txt"), yard.read(&back, "n.txt")),
        ("changed\n".into(), "new\n".into())
    );
}

#[tokio::test]
async fn states_are_kept_for_thirty_days() {
    let yard = Yard::new();
    let tree = yard.make("work").await;
    yard.remove(&tree, forced()).await.unwrap();
    yard.clock.advance(30 * 24 * 3_600_000);
    assert_eq!(yard.again().kept().await.len(), 1);
    yard.clock.advance(1_000);
    assert_eq!(yard.again().kept().await, []);
}

#[tokio::test]
async fn trees_that_vanished_are_recognised_and_their_commits_kept() {
    let yard = Yard::new();
    let tree = yard.make("work").await;
    fs::write(tree.directory.join("c.txt"), "committed\n").unwrap();
    yard.git(&tree.directory, &["add", "."]);
    yard.git(&tree.directory, &["commit", "-qm", "own"]);
    fs::remove_dir_all(&tree.directory).unwrap();
    assert_eq!(yard.list().await[0].state, State::Vanished);
    let refused = yard.remove(&tree, Answer::default()).await;
    assert!(matches!(refused, Err(TreeError::WouldLose(losses)) if losses.commits == 1));
    yard.remove(&tree, forced()).await.unwrap();
    assert_eq!(yard.list().await, []);
    let back = yard.restore("work").await.unwrap();
    assert_eq!(yard.read(&back, "c.txt"), "committed\n");
}

#[tokio::test]
async fn others_worktrees_are_listed_and_can_be_adopted_and_renamed() {
    let yard = Yard::new();
    let theirs = yard.project.data.join("theirs");
    fs::create_dir_all(&yard.project.data).unwrap();
    yard.git(
        &yard.project.root,
        &[
            "worktree",
            "add",
            "-q",
            "-b",
            "topic",
            &theirs.to_string_lossy(),
        ],
    );
    let listed = yard.list().await;
    assert_eq!((listed.len(), &listed[0].tree), (1, &None));
    let place = yard.place().await;
    let tree = yard.trees.adopt(&place, &theirs).await.unwrap();
    assert_eq!(
        (tree.name.as_str(), tree.branch.as_deref(), tree.owns_branch),
        ("theirs", Some("topic"), false)
    );
    assert_eq!(yard.trees.port_base(&theirs), tree.port_base);
    let renamed = yard
        .trees
        .rename(&place, &theirs, "Mine now")
        .await
        .unwrap();
    assert_eq!(
        (renamed.name.as_str(), renamed.branch.as_deref()),
        ("mine-now", Some("topic"))
    );
    yard.remove(&renamed, Answer::default()).await.unwrap();
    assert_ne!(
        yard.git(&yard.project.root, &["branch", "--list", "topic"]),
        ""
    );

    let tree = yard.make("own").await;
    yard.make("taken").await;
    assert!(matches!(
        yard.trees.rename(&place, &tree.directory, "taken").await,
        Err(TreeError::BadName(_))
    ));
    let renamed = yard
        .trees
        .rename(&place, &tree.directory, "better")
        .await
        .unwrap();
    assert_eq!(
        (renamed.branch.as_deref(), &renamed.directory),
        (Some("opencode/better"), &tree.directory)
    );
    assert_eq!(
        yard.git(&tree.directory, &["rev-parse", "--abbrev-ref", "HEAD"]),
        "opencode/better\n"
    );
    assert_eq!(
        yard.git(&yard.project.root, &["branch", "--list", "opencode/own"]),
        ""
    );
}

#[tokio::test]
async fn ignored_files_come_along_and_heavy_folders_are_shared() {
    let yard = Yard::new();
    yard.project.write(".env", "KEY=1\n");
    yard.project.write(".env.local", "KEY=2\n");
    yard.project.write("secrets/key.pem", "pem\n");
    yard.project.write("heavy/a/b.js", "module\n");
    yard.project.write(".worktreeinclude", "secrets/\n");
    let copies = Copies {
        folders: vec!["heavy".into(), "../outside".into()],
        share: Share::Hardlink,
        ..Copies::default()
    };
    let tree = yard.make_with(yard.named("work"), copies).await.unwrap();
    for (file, text) in [
        (".env", "KEY=1\n"),
        (".env.local", "KEY=2\n"),
        ("secrets/key.pem", "pem\n"),
        ("heavy/a/b.js", "module\n"),
    ] {
        assert_eq!(yard.read(&tree, file), text, "{file}");
    }
    fs::write(tree.directory.join(".env"), "KEY=changed\n").unwrap();
    assert_eq!(yard.project.read(".env"), "KEY=1\n");
}

#[tokio::test]
async fn a_setup_script_runs_in_the_worktree_and_its_failure_keeps_it() {
    let yard = Yard::new();
    yard.project.write(
        ".kilo/setup-script",
        "echo \"$REPO_PATH $KILO_PORT_BASE\" > made.txt; test -d \"$WORKTREE_PATH\"; echo said\n",
    );
    let (place, tree) = (yard.place().await, yard.make("work").await);
    let script = yard.trees.script(&place).await.unwrap();
    let heard = parking_lot::Mutex::new(String::new());
    let said = |text: &str| heard.lock().push_str(text);
    let tree = yard.trees.expect_set_up(&place, tree).await;
    let listed = yard.list().await;
    assert_eq!(listed[0].tree.as_ref().unwrap().setup, Setup::Running);
    let tree = yard
        .trees
        .set_up(&place, tree, &[script], 10_000, &said)
        .await
        .unwrap();
    assert_eq!(tree.setup, Setup::Done);
    assert_eq!(*heard.lock(), "said\n");
    assert_eq!(
        yard.read(&tree, "made.txt"),
        format!("{} {}\n", yard.project.root.display(), tree.port_base)
    );
    let failing = [Script::shell("echo no network >&2; exit 3")];
    let tree = yard
        .trees
        .set_up(&place, tree, &failing, 10_000, &|_| {})
        .await
        .unwrap();
    let message = "it ended with 3\nno network".to_string();
    assert_eq!(
        tree.setup,
        Setup::Failed {
            message: message.clone()
        }
    );
    assert_eq!(
        yard.list().await[0].tree.as_ref().unwrap().setup,
        Setup::Failed { message }
    );
    let endless = [Script::shell("sleep 60")];
    let tree = yard
        .trees
        .set_up(&place, tree, &endless, 50, &|_| {})
        .await
        .unwrap();
    assert!(
        matches!(tree.setup, Setup::Failed { message } if message.starts_with("it took longer"))
    );
}

#[tokio::test]
async fn a_result_comes_home_as_a_patch_with_what_is_there_already() {
    let yard = Yard::new();
    yard.project
        .write("lines.txt", "1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    yard.project.commit("lines");
    let tree = yard.make("work").await;
    fs::write(
        tree.directory.join("lines.txt"),
        "one\n2\n3\n4\n5\n6\n7\n8\n9\n",
    )
    .unwrap();
    yard.git(&tree.directory, &["commit", "-qam", "first line"]);
    fs::write(tree.directory.join("new.txt"), "new\n").unwrap();
    fs::remove_file(tree.directory.join("gone.txt")).unwrap();
    yard.project
        .write("lines.txt", "1\n2\n3\n4\n5\n6\n7\n8\nnine\n");
    yard.project.write("mine.txt", "mine\n");
    let looked = yard
        .apply(
            &tree,
            Order {
                only_look: true,
                ..Order::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(looked.files, ["gone.txt", "lines.txt", "new.txt"]);
    assert!(!yard.project.exists("new.txt"));
    let landed = yard
        .apply(
            &tree,
            Order {
                files: Some(vec!["new.txt".into()]),
                ..Order::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(landed.files, ["new.txt"]);
    let landed = yard.apply(&tree, Order::default()).await.unwrap();
    assert_eq!(landed.files, ["gone.txt", "lines.txt"]);
    assert_eq!(
        yard.project.read("lines.txt"),
        "one\n2\n3\n4\n5\n6\n7\n8\nnine\n"
    );
    assert_eq!(
        (yard.project.read("new.txt"), yard.project.read("mine.txt")),
        ("new\n".into(), "mine\n".into())
    );
    assert!(!yard.project.exists("gone.txt"));
    assert_eq!(
        yard.apply(&tree, Order::default()).await.unwrap().files,
        [""; 0]
    );
}

#[tokio::test]
async fn conflicts_are_named_file_by_file_and_nothing_is_written() {
    let yard = Yard::new();
    let tree = yard.make("work").await;
    for (file, text) in [
        ("a.txt", "theirs\n"),
        ("added.txt", "theirs\n"),
        ("fine.txt", "fine\n"),
    ] {
        fs::write(tree.directory.join(file), text).unwrap();
    }
    fs::write(tree.directory.join("gone.txt"), "still here\n").unwrap();
    yard.project.write("a.txt", "ours\n");
    yard.project.write("added.txt", "ours\n");
    yard.project.remove("gone.txt");
    let Err(TreeError::Conflicts(found)) = yard.apply(&tree, Order::default()).await else {
        panic!()
    };
    let conflict = |file: &str, kind: &'static str, merged: Option<&str>| Conflict {
        file: file.into(),
        kind: kind.into(),
        merged: merged.map(Into::into),
    };
    let marks = "<<<<<<< here\nours\n=======\ntheirs\n>>>>>>> worktree\n";
    assert_eq!(
        found,
        [
            conflict("a.txt", "both-changed", Some(marks)),
            conflict("added.txt", "both-added", Some(marks)),
            conflict("gone.txt", "deleted-here", None),
        ]
    );
    assert!(!yard.project.exists("fine.txt"));
    assert_eq!(yard.project.read("a.txt"), "ours\n");
}

#[tokio::test]
async fn commits_come_home_on_top_of_what_is_there_or_merged() {
    let yard = Yard::new();
    let tree = yard.make("work").await;
    fs::write(tree.directory.join("c.txt"), "1\n").unwrap();
    yard.git(&tree.directory, &["add", "."]);
    yard.git(&tree.directory, &["commit", "-qm", "one"]);
    fs::write(tree.directory.join("c.txt"), "2\n").unwrap();
    let order = |how, message: Option<&str>| Order {
        how,
        message: message.map(Into::into),
        ..Order::default()
    };
    assert!(matches!(
        yard.apply(&tree, order(How::Commits, None)).await,
        Err(TreeError::Uncommitted)
    ));
    yard.project.write("mine.txt", "of main\n");
    yard.project.commit("main goes on");
    yard.project.write("open.txt", "not committed\n");
    let landed = yard
        .apply(&tree, order(How::Commits, Some("two")))
        .await
        .unwrap();
    assert_eq!(
        (landed.commits.len(), landed.files),
        (2, vec!["c.txt".to_string()])
    );
    assert_eq!(
        yard.git(&yard.project.root, &["log", "--format=%s"]),
        "two\none\nmain goes on\nfirst\n"
    );
    assert_eq!(
        yard.git(&yard.project.root, &["status", "--porcelain"]),
        "?? open.txt\n"
    );

    let other = yard.make("other").await;
    fs::write(other.directory.join("d.txt"), "d\n").unwrap();
    yard.project.write("mine.txt", "again\n");
    yard.git(
        &yard.project.root,
        &["commit", "-qam", "main goes on again"],
    );
    yard.apply(&other, order(How::Merge, Some("three")))
        .await
        .unwrap();
    assert_eq!(
        yard.git(&yard.project.root, &["log", "-1", "--format=%s %P"])
            .split(' ')
            .count(),
        5
    );
    assert!(matches!(
        yard.apply(&other, order(How::Merge, None)).await,
        Err(TreeError::Nothing)
    ));

    let third = yard.make("third").await;
    fs::write(third.directory.join("mine.txt"), "third\n").unwrap();
    yard.project.write("mine.txt", "not committed\n");
    let Err(TreeError::Conflicts(found)) = yard.apply(&third, order(How::Commits, Some("x"))).await
    else {
        panic!()
    };
    assert_eq!(
        (found[0].file.as_str(), &*found[0].kind),
        ("mine.txt", "uncommitted")
    );
    assert_eq!(yard.project.read("mine.txt"), "not committed\n");
}

#[tokio::test]
async fn changes_move_into_a_worktree_and_leave_the_place_clean() {
    let yard = Yard::new();
    yard.project.write("a.txt", "changed\n");
    yard.project.write("n.txt", "new\n");
    let tree = yard
        .make_of(NewTree {
            changes: true,
            ..yard.named("moved")
        })
        .await
        .unwrap();
    yard.trees.clear(&yard.place().await).await.unwrap();
    assert_eq!(yard.git(&yard.project.root, &["status", "--porcelain"]), "");
    assert_eq!(
        (yard.read(&tree, "a.txt"), yard.read(&tree, "n.txt")),
        ("changed\n".into(), "new\n".into())
    );
    assert_eq!(yard.kept().await[0].why, "moved");
}

#[tokio::test]
async fn places_without_a_commit_or_a_repository_are_refused() {
    let yard = Yard::empty();
    assert!(matches!(
        yard.make_of(NewTree::default()).await,
        Err(TreeError::NoCommit)
    ));
    assert!(!yard.trees.root().join("project").join("x").exists());
    let outside = tempfile::tempdir().unwrap();
    assert!(matches!(
        yard.trees.place("global", outside.path()).await,
        Err(TreeError::NotGit(_))
    ));
    commit(&yard.project.repo, "first");
    yard.make("now").await;
}
