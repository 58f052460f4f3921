//! The project, its version control, its files and its search, as the routes show them.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use kilo_worktree::find::{self, NameKind, Names};
use kilo_worktree::vcs::{self, ApplyError, DiffMode};
use kilo_worktree::{Projects, files, project};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use support::{Project, commit, names};

const A: &str = "hello world\nsecond line\n";

fn sample() -> Project {
    Project::with(&[
        ("a.txt", A),
        ("src/foo.ts", "export function foo() {\n  return 1\n}\n"),
        ("ünï.txt", "täxt\n"),
        (".gitignore", "ignored/\n"),
    ])
}

fn wire(value: impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap()
}

#[test]
fn project_id_is_the_root_commit_and_is_shared() {
    let project = sample();
    let root = project.repo.head().unwrap().target().unwrap().to_string();
    project.write("b.txt", "b\n");
    project.commit("second");
    let linked = project.data.join("linked");
    fs::create_dir_all(&project.data).unwrap();
    project.repo.worktree("linked", &linked, None).unwrap();
    let clone = project.data.join("clone");
    git2::Repository::clone(project.root.to_str().unwrap(), &clone).unwrap();
    let projects = Projects::new(project.data.join("project-ids"));
    let facts = projects.identify(&project.path("src"));
    assert_eq!(
        (facts.worktree.clone(), facts.project_id, facts.vcs),
        (project.root.clone(), root.clone(), Some("git"))
    );
    assert_eq!(facts.branch.as_deref(), Some("main"));
    let facts = projects.identify(&linked);
    assert_eq!(
        (facts.worktree, facts.main_worktree, facts.project_id),
        (linked, project.root.clone(), root.clone())
    );
    assert_eq!(projects.identify(&clone).project_id, root);
    fs::remove_dir_all(&project.root).unwrap();
    commit(&support::init(&project.root), "another history");
    assert_ne!(
        projects.identify(&project.root).project_id,
        root,
        "what was remembered is checked"
    );
}

#[test]
fn project_without_commit_or_repository_is_global() {
    let project = Project::empty();
    let projects = Projects::new(project.data.join("project-ids"));
    let facts = projects.identify(&project.root);
    assert_eq!(
        (facts.project_id.as_str(), facts.vcs, facts.worktree),
        (project::GLOBAL, Some("git"), project.root.clone())
    );
    let first = project.commit("first").to_string();
    assert_eq!(projects.identify(&project.root).project_id, first);
    let outside = tempfile::tempdir().unwrap();
    let facts = projects.identify(outside.path());
    assert_eq!(
        (facts.project_id.as_str(), facts.vcs, facts.worktree),
        (project::GLOBAL, None, PathBuf::from("/"))
    );
}

#[test]
fn project_with_two_roots_takes_the_smaller() {
    let project = sample();
    let author = git2::Signature::now("t", "t@example.com").unwrap();
    let head = project.repo.head().unwrap().peel_to_commit().unwrap();
    let tree = head.tree().unwrap();
    let other = project
        .repo
        .commit(None, &author, &author, "other root", &tree, &[])
        .unwrap();
    let other = project.repo.find_commit(other).unwrap();
    project
        .repo
        .commit(
            Some("HEAD"),
            &author,
            &author,
            "merge",
            &tree,
            &[&head, &other],
        )
        .unwrap();
    let id = Projects::new(project.data.join("ids"))
        .identify(&project.root)
        .project_id;
    assert_eq!(id, head.id().to_string().min(other.id().to_string()));
}

#[test]
fn vcs_names_branches_and_lists_changes() {
    let project = sample();
    assert_eq!(
        wire(vcs::info(&project.root)),
        json!({"branch": "main", "default_branch": "main"})
    );
    assert_eq!(wire(vcs::status(&project.root).unwrap()), json!([]));
    project.write("a.txt", "hello changed\n");
    project.write("new/fresh.txt", "one\n");
    project.write("ignored/x.txt", "x\n");
    project.remove("ünï.txt");
    assert_eq!(
        wire(vcs::status(&project.root).unwrap()),
        json!([
            {"file": "a.txt", "additions": 1, "deletions": 2, "status": "modified"},
            {"file": "new/fresh.txt", "additions": 1, "deletions": 0, "status": "added"},
            {"file": "ünï.txt", "additions": 0, "deletions": 1, "status": "deleted"},
        ])
    );
    assert_eq!(
        wire(files::status(&project.path("new")).unwrap()),
        json!([
            {"path": "../a.txt", "added": 1, "removed": 2, "status": "modified"},
            {"path": "fresh.txt", "added": 1, "removed": 0, "status": "added"},
            {"path": "../ünï.txt", "added": 0, "removed": 1, "status": "deleted"},
        ])
    );
    let outside = tempfile::tempdir().unwrap();
    assert_eq!(wire(vcs::info(outside.path())), json!({}));
    assert_eq!(wire(vcs::status(outside.path()).unwrap()), json!([]));
}

#[test]
fn vcs_diff_follows_its_mode() {
    let project = sample();
    project.write("a.txt", "hello changed\n");
    let patch = "diff --git a/a.txt b/a.txt\nindex f0e9ea9..47688cf 100644\n--- a/a.txt\n+++ b/a.txt\n@@ -1,2 +1 @@\n-hello world\n-second line\n+hello changed\n";
    let expected = json!([{"file": "a.txt", "patch": patch, "additions": 1, "deletions": 2, "status": "modified"}]);
    assert_eq!(
        wire(vcs::diff(&project.root, DiffMode::Git, 3).unwrap()),
        expected
    );
    assert_eq!(vcs::raw_diff(&project.root).unwrap(), patch);
    assert_eq!(
        wire(vcs::diff(&project.root, DiffMode::Branch, 3).unwrap()),
        json!([]),
        "on the default branch"
    );
    let head = project.repo.head().unwrap().peel_to_commit().unwrap();
    project.repo.branch("side", &head, false).unwrap();
    project.repo.set_head("refs/heads/side").unwrap();
    project.commit("changed on the side");
    project.write("n.txt", "new\n");
    let changed = |mode| -> Vec<_> {
        let files = vcs::diff(&project.root, mode, 3).unwrap();
        files
            .into_iter()
            .map(|file| (file.file, file.status.unwrap()))
            .collect()
    };
    assert_eq!(changed(DiffMode::Git), names(&["added n.txt"]));
    assert_eq!(
        changed(DiffMode::Branch),
        names(&["modified a.txt", "added n.txt"])
    );
    assert_eq!(changed(DiffMode::LastCommit), names(&["modified a.txt"]));
    assert_eq!(vcs::diff_since(&project.root, "main", 3).unwrap().len(), 2);
    assert_eq!(
        vcs::file_since(&project.root, "main", "a.txt".as_ref())
            .unwrap()
            .unwrap(),
        A.as_bytes()
    );
    assert!(matches!(
        vcs::diff_since(&project.root, "nothing", 3),
        Err(vcs::VcsError::UnknownCommit(_))
    ));
}

#[test]
fn patch_is_applied_wholly_or_not_at_all() {
    let project = sample();
    let new = "diff --git a/q.txt b/q.txt\nnew file mode 100644\n--- /dev/null\n+++ b/q.txt\n@@ -0,0 +1 @@\n+q\n";
    vcs::apply(&project.root, new).unwrap();
    assert_eq!(project.read("q.txt"), "q\n");
    for bad in [
        "garbage",
        "",
        new,
        "diff --git a/../x b/../x\nnew file mode 100644\n--- /dev/null\n+++ b/../x\n@@ -0,0 +1 @@\n+q\n",
    ] {
        let error = vcs::apply(&project.root, bad).unwrap_err();
        assert_eq!(
            (error.reason(), error.to_string().as_str()),
            ("not-clean", "Patch can't be applied"),
            "{bad}"
        );
    }
    let half = format!(
        "{}{}",
        "diff --git a/a.txt b/a.txt\n--- a/a.txt\n+++ b/a.txt\n@@ -1,2 +1,2 @@\n-hello world\n+hello\n second line\n",
        "diff --git a/ünï.txt b/ünï.txt\n--- a/ünï.txt\n+++ b/ünï.txt\n@@ -1 +1 @@\n-other\n+x\n"
    );
    assert!(matches!(
        vcs::apply(&project.root, &half),
        Err(ApplyError::NotClean(_))
    ));
    assert_eq!(project.read("a.txt"), A);
    let outside = tempfile::tempdir().unwrap();
    assert_eq!(
        vcs::apply(outside.path(), new).unwrap_err().reason(),
        "non-git"
    );
}

#[test]
fn patch_does_not_leave_the_worktree() {
    let project = sample();
    let outside = project.data.join("outside");
    fs::create_dir_all(&outside).unwrap();
    symlink(&outside, project.path("link")).unwrap();
    let new = |path: &str| {
        format!(
            "diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+q\n"
        )
    };
    for path in [
        ".git/hooks/post-commit",
        ".GIT/config2",
        "link/x",
        "link/deep/x",
        "src/../../x",
    ] {
        let result = vcs::apply(&project.root, &new(path));
        assert!(result.is_err(), "{path}");
    }
    let link = "diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+../data/outside\n\\ No newline at end of file\n";
    assert!(vcs::apply(&project.root, &format!("{link}{}", new("l/x"))).is_err());
    fs::write(outside.join("file"), "old\n").unwrap();
    symlink(outside.join("file"), project.path("file-link")).unwrap();
    let change = "diff --git a/file-link b/file-link\n--- a/file-link\n+++ b/file-link\n@@ -1 +1 @@\n-old\n+new\n";
    assert!(vcs::apply(&project.root, change).is_err());
    assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "old\n");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert!(!project.exists(".git/hooks/post-commit") && !project.exists(".git/config2"));
}

#[test]
fn raw_diff_of_one_worktree_applies_to_another() {
    let (from, to) = (sample(), sample());
    from.write("a.txt", "hello there\nsecond line\n");
    from.write("deep/new.txt", "no newline");
    from.write("binary.dat", b"\0\x01\x02".repeat(100));
    from.remove("src/foo.ts");
    to.write("ünï.txt", "somebody's own change\n");
    vcs::apply(&to.root, &vcs::raw_diff(&from.root).unwrap()).unwrap();
    assert_eq!(to.read("a.txt"), from.read("a.txt"));
    assert_eq!(to.read("deep/new.txt"), "no newline");
    assert_eq!(
        fs::read(to.path("binary.dat")).unwrap(),
        fs::read(from.path("binary.dat")).unwrap()
    );
    assert!(!to.exists("src/foo.ts"));
    assert_eq!(to.read("ünï.txt"), "somebody's own change\n");
}

#[test]
fn folder_is_listed_folders_first() {
    let project = sample();
    project.write("ignored/x.txt", "x\n");
    project.write("B.txt", "b\n");
    let list = wire(files::list(&project.root, ".").unwrap());
    let rows: Vec<String> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            format!(
                "{} {} {} {}",
                row["name"].as_str().unwrap(),
                row["path"].as_str().unwrap(),
                row["type"].as_str().unwrap(),
                row["ignored"]
            )
        })
        .collect();
    assert_eq!(
        rows,
        [
            ".git .git/ directory false",
            "ignored ignored/ directory true",
            "src src/ directory false",
            ".gitignore .gitignore file false",
            "a.txt a.txt file false",
            "B.txt B.txt file false",
            "ünï.txt ünï.txt file false",
        ]
    );
    let foo = wire(files::list(&project.root, "src").unwrap());
    let absolute = project.path("src/foo.ts");
    assert_eq!(
        foo,
        json!([{"name": "foo.ts", "path": "src/foo.ts", "absolute": absolute, "type": "file", "ignored": false}])
    );
    assert!(matches!(
        files::list(&project.root, ".."),
        Err(files::FileError::Outside(_))
    ));
}

#[test]
fn file_content_is_text_binary_or_refused() {
    let project = sample();
    let content = |path: &str| files::content(&project.root, path).map(wire);
    assert_eq!(
        content("a.txt").unwrap(),
        json!({"type": "text", "content": "hello world\nsecond line"})
    );
    assert_eq!(
        content("ünï.txt").unwrap(),
        json!({"type": "text", "content": "täxt"})
    );
    assert_eq!(
        content("none/at/all").unwrap(),
        json!({"type": "text", "content": ""})
    );
    project.write("bin.dat", b"\0\x01\x02");
    let binary = json!({"type": "binary", "content": "AAEC", "encoding": "base64", "mimeType": "application/octet-stream"});
    assert_eq!(content("bin.dat").unwrap(), binary);
    symlink("/etc/passwd", project.path("link")).unwrap();
    symlink("a.txt", project.path("inside")).unwrap();
    assert_eq!(
        content("inside").unwrap()["content"],
        "hello world\nsecond line"
    );
    for outside in [
        "../../../../etc/passwd",
        "/etc/passwd",
        "link",
        "src/../../x",
    ] {
        assert!(
            matches!(content(outside), Err(files::FileError::Outside(_))),
            "{outside}"
        );
    }
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        project.path("pipe"),
        rustix::fs::Mode::from_raw_mode(0o600),
    )
    .unwrap();
    assert!(matches!(
        content("pipe"),
        Err(files::FileError::NotAFile(_))
    ));
    assert!(matches!(content("src"), Err(files::FileError::NotAFile(_))));
    fs::File::create(project.path("huge"))
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    assert!(matches!(
        content("huge"),
        Err(files::FileError::TooLarge(_))
    ));
}

#[test]
fn changed_text_carries_its_changes() {
    let project = sample();
    project.write("a.txt", "hello changed\nsecond line\nthird");
    let content = wire(files::content(&project.root, "a.txt").unwrap());
    assert_eq!(content["content"], "hello changed\nsecond line\nthird");
    assert_eq!(
        content["patch"],
        json!({
            "oldFileName": "a.txt", "newFileName": "a.txt", "oldHeader": "old", "newHeader": "new",
            "hunks": [{"oldStart": 1, "oldLines": 2, "newStart": 1, "newLines": 3, "lines": [
                "-hello world", "+hello changed", " second line", "+third", "\\ No newline at end of file",
            ]}],
        })
    );
    assert!(
        content["diff"]
            .as_str()
            .unwrap()
            .starts_with("Index: a.txt\n====")
    );
    project.write("fresh.txt", "new\n");
    assert_eq!(
        wire(files::content(&project.root, "fresh.txt").unwrap()),
        json!({"type": "text", "content": "new"})
    );
}

#[test]
fn text_is_found_as_ripgrep_reports_it() {
    let project = sample();
    project.write("ignored/x.txt", "function foo\n");
    project.write("bin.dat", b"function foo\0");
    project.write("crlf.txt", "one\r\ntwo foo foo\r\n");
    let found = wire(find::text(&project.root, "foo", 100).unwrap());
    assert_eq!(
        found,
        json!([
            {"path": {"text": "crlf.txt"}, "lines": {"text": "two foo foo\r\n"}, "line_number": 2, "absolute_offset": 5,
             "submatches": [{"match": {"text": "foo"}, "start": 4, "end": 7}, {"match": {"text": "foo"}, "start": 8, "end": 11}]},
            {"path": {"text": "src/foo.ts"}, "lines": {"text": "export function foo() {\n"}, "line_number": 1, "absolute_offset": 0,
             "submatches": [{"match": {"text": "foo"}, "start": 16, "end": 19}]},
        ])
    );
    assert_eq!(find::text(&project.root, "foo", 1).unwrap().len(), 1);
    assert!(find::text(&project.root, "(", 10).is_err());
}

#[test]
fn names_are_found_best_first() {
    let project = sample();
    for path in [
        "src/deep/bar.ts",
        "src/foo/index.ts",
        "docs/food.md",
        ".hidden/foo.ts",
        "f/o/other.rs",
        "ignored/foo.ts",
        "zzz.txt",
    ] {
        project.write(path, "x\n");
    }
    let names = Names::default();
    let found = |query: &str, kind, limit| names.files(&project.root, query, kind, limit);
    assert_eq!(
        found("foo", NameKind::Any, 4),
        ["src/foo/", "src/foo.ts", ".hidden/foo.ts", "docs/food.md"]
    );
    assert_eq!(found("FOO", NameKind::File, 1), ["src/foo.ts"]);
    assert_eq!(found("sdb", NameKind::Any, 9), ["src/deep/bar.ts"]);
    assert_eq!(found("deep", NameKind::Folder, 9), ["src/deep/"]);
    assert_eq!(found("", NameKind::Any, 1).len(), 1);
    assert_eq!(found("qqqq", NameKind::Any, 9), Vec::<String>::new());
    assert_eq!(found("foo", NameKind::Any, 0), Vec::<String>::new());
    project.write("ÄÖ/Grün.TS", "x\n");
    assert_eq!(found("grün", NameKind::File, 1), ["ÄÖ/Grün.TS"]);
    assert_eq!(found("äög", NameKind::File, 1), ["ÄÖ/Grün.TS"]);
}

/// A list of names is kept; whatever changes below the folder shows in the next answer.
#[test]
fn names_are_those_of_now() {
    let project = sample();
    project.write("one/two/three.ts", "x\n");
    let names = Names::default();
    // Long enough that the folders' times are old, so that the list counts.
    let found = |query: &str| {
        let mut found = Vec::new();
        for _ in 0..100 {
            found = names.files(&project.root, query, NameKind::File, 9);
            std::thread::yield_now();
        }
        found
    };
    assert_eq!(found("three"), ["one/two/three.ts"]);
    project.write("one/two/other-three.ts", "x\n");
    assert_eq!(found("three").len(), 2);
    let place = |name: &str| project.root.join(name);
    std::fs::remove_file(place("one/two/three.ts")).unwrap();
    assert_eq!(found("three"), ["one/two/other-three.ts"]);
    std::fs::rename(place("one/two"), place("one/zwei")).unwrap();
    assert_eq!(found("three"), ["one/zwei/other-three.ts"]);
    project.write("one/.gitignore", "zwei/\n");
    assert_eq!(found("three"), Vec::<String>::new());
    project.write("one/.gitignore", "drei/\n");
    assert_eq!(found("three"), ["one/zwei/other-three.ts"]);
    project.write(".git/info/exclude", "one/\n");
    assert_eq!(found("three"), Vec::<String>::new());
    std::fs::remove_dir_all(&project.root).unwrap();
    assert_eq!(found("three"), Vec::<String>::new());
}
