use super::{Guard, Guarded, changes_install_hooks};
use std::path::Path;

fn guarded() -> Guarded {
    Guarded {
        roots: vec!["/p".into()],
        home: "/home/u".into(),
        folders: vec![
            "/home/u/.config/kilo".into(),
            "/home/u/.local/share/kilo".into(),
        ],
        free: vec!["/home/u/.local/share/kilo/plans".into()],
        named: vec!["/p/docs/house.txt".into()],
        patterns: vec![("/p/docs/rules".into(), Some("md".into()))],
    }
}

#[test]
fn files_are_guarded_by_their_names() {
    let guarded = guarded();
    for (path, expected) in [
        // Git, of any repository and in any letter case.
        ("/p/.git/config", Some(Guard::Git)),
        ("/p/.git", Some(Guard::Git)),
        ("/p/sub/.GIT/hooks/pre-commit", Some(Guard::Git)),
        ("/elsewhere/.Git/HEAD", Some(Guard::Git)),
        ("/p/.gitmodules", Some(Guard::Git)),
        ("/p/a/.gitattributes", Some(Guard::Git)),
        ("/home/u/.gitconfig", Some(Guard::Git)),
        ("/home/u/.config/git/config", Some(Guard::Git)),
        ("/p/.gitignore", None),
        ("/p/x.git", None),
        // Agents.
        ("/home/u/.config/kilo/kilo.json", Some(Guard::Agent)),
        ("/home/u/.kilo/kilo.json", Some(Guard::Agent)),
        ("/home/u/.local/share/kilo/auth.json", Some(Guard::Agent)),
        ("/home/u/.local/share/kilo/plans/a.md", None),
        ("/p/.kilo/plans/a.md", None),
        ("/p/.kilo/plans/a.json", Some(Guard::Agent)),
        ("/p/.kilo/plans/agent/a.md", Some(Guard::Agent)),
        ("/p/.kilo/agent/a.md", Some(Guard::Agent)),
        ("/p/.kilo/agent/.kilo/plans/a.md", Some(Guard::Agent)),
        ("/p/.kilo/agent/.kilo/worktrees/x/a.md", Some(Guard::Agent)),
        ("/p/.opencode/plugin/x.ts", Some(Guard::Agent)),
        ("/p/KILO.jsonc", Some(Guard::Agent)),
        ("/p/deep/opencode.json", Some(Guard::Agent)),
        ("/p/.mcp.json", Some(Guard::Agent)),
        ("/p/src/AGENTS.md", Some(Guard::Agent)),
        ("/p/claude.md", Some(Guard::Agent)),
        ("/p/docs/house.txt", Some(Guard::Agent)),
        ("/p/docs/rules/new.md", Some(Guard::Agent)),
        ("/p/docs/rules/new.txt", None),
        ("/p/docs/agents-guide.md", None),
        // What runs by itself.
        ("/p/.vscode/tasks.json", Some(Guard::Executable)),
        ("/p/.envrc", Some(Guard::Executable)),
        ("/p/web/.husky/pre-commit", Some(Guard::Executable)),
        ("/p/.github/workflows/ci.yml", Some(Guard::Executable)),
        ("/p/.github/README.md", None),
        ("/p/lefthook.yml", Some(Guard::Executable)),
        ("/p/.cargo/config.toml", Some(Guard::Executable)),
        ("/home/u/.bashrc", Some(Guard::Executable)),
        ("/home/u/.ssh/authorized_keys", Some(Guard::Executable)),
        ("/etc/profile.d/x.sh", Some(Guard::Executable)),
        ("/p/src/main.rs", None),
        ("/p/package.json", None),
        ("/p/bin/x", None),
    ] {
        assert_eq!(guarded.of(Path::new(path)), expected, "{path}");
    }
}

#[test]
fn a_project_inside_a_guarded_folder_is_judged_from_its_own_root() {
    let mut guarded = guarded();
    guarded.roots = vec!["/p/.kilo/worktrees/fix".into()];
    assert_eq!(
        guarded.of(Path::new("/p/.kilo/worktrees/fix/src/a.rs")),
        None
    );
    assert_eq!(
        guarded.of(Path::new("/p/.kilo/worktrees/fix/AGENTS.md")),
        Some(Guard::Agent)
    );
    // Seen from the project around it, another worktree is a project too; its entry itself is not.
    guarded.roots = vec!["/p".into()];
    assert_eq!(
        guarded.of(Path::new("/p/.kilo/worktrees/fix/src/a.rs")),
        None
    );
    assert_eq!(
        guarded.of(Path::new("/p/.kilo/worktrees/fix")),
        Some(Guard::Agent)
    );
}

#[test]
fn the_stronger_form_of_a_path_counts() {
    let guarded = guarded();
    let either = |meant: &str, real: &str| guarded.of_either(Path::new(meant), Path::new(real));
    assert_eq!(either("/p/notes.md", "/p/.git/config"), Some(Guard::Git));
    assert_eq!(either("/p/.envrc", "/p/AGENTS.md"), Some(Guard::Agent));
    assert_eq!(either("/p/a", "/p/b"), None);
}

#[test]
fn install_hooks_are_told_from_other_changes_of_a_package() {
    let old = r#"{"scripts": {"test": "x", "postinstall": "a"}}"#;
    let tests = r#"{"scripts": {"test": "y", "postinstall": "a"}}"#;
    let hook = r#"{"scripts": {"test": "x", "postinstall": "b"}}"#;
    let changes = |path: &str, new: &str| changes_install_hooks(Path::new(path), old, new);
    assert!(!changes("/p/package.json", tests));
    assert!(changes("/p/package.json", hook));
    assert!(changes("/p/package.json", "{}"));
    assert!(!changes("/p/other.json", hook));
}
