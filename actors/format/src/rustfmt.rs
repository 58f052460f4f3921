//! What rustfmt has to be told: called by itself it takes every crate for one of 2015.

use kilo_config::programs::{Programs, manifest};
use std::path::Path;

/// The newest edition that is known: for files of no crate.
const NEWEST: &str = "2024";

/// `--edition` of the crate that a file in the folder `from` belongs to.
pub fn args(programs: &Programs, from: &Path) -> [String; 2] {
    let mut inherits = false;
    for folder in programs.above(from) {
        let Some(text) = manifest(&folder.join("Cargo.toml")) else {
            continue;
        };
        match edition(&text, inherits) {
            Found::Named(edition) => return ["--edition".into(), edition],
            Found::Inherited => inherits = true,
            // A package that says nothing is one of 2015.
            Found::Nothing if !inherits => return ["--edition".into(), "2015".into()],
            Found::Nothing => {}
        }
    }
    ["--edition".into(), NEWEST.into()]
}

#[derive(Debug, PartialEq)]
enum Found {
    Named(String),
    Inherited,
    Nothing,
}

/// Reads `edition` of `[package]`, or of `[workspace.package]` for those that inherit it. Line by line: a reader of TOML
/// would be a lot of program for one word.
fn edition(text: &str, of_workspace: bool) -> Found {
    let wanted = if of_workspace {
        "[workspace.package]"
    } else {
        "[package]"
    };
    let mut section = "";
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        }
        let Some(value) = line.strip_prefix("edition").filter(|_| section == wanted) else {
            continue;
        };
        let value = value.trim_start();
        let is_year =
            |text: &&str| text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit());
        let year = value.split(['"', '\'']).nth(1).filter(is_year);
        match year {
            Some(year) if value.starts_with('=') => return Found::Named(year.to_owned()),
            _ if value.contains("workspace") => return Found::Inherited,
            _ => {}
        }
    }
    Found::Nothing
}

#[cfg(test)]
mod tests {
    use super::{Found, args, edition};
    use kilo_config::Environment;
    use kilo_config::programs::Programs;
    use std::fs;

    #[test]
    fn the_edition_is_the_packages_or_the_workspaces() {
        for (text, of_workspace, expected) in [
            (
                "[package]\nedition = \"2021\"",
                false,
                Found::Named("2021".into()),
            ),
            (
                "[package]\nedition='2018' # old",
                false,
                Found::Named("2018".into()),
            ),
            (
                "[package]\nedition.workspace = true",
                false,
                Found::Inherited,
            ),
            (
                "[package]\nedition = { workspace = true }",
                false,
                Found::Inherited,
            ),
            ("[dependencies]\nedition = \"2021\"", false, Found::Nothing),
            (
                "[workspace.package]\nedition = \"2024\"",
                true,
                Found::Named("2024".into()),
            ),
            ("[package]\nedition = \"--config=x\"", false, Found::Nothing),
        ] {
            assert_eq!(edition(text, of_workspace), expected, "{text}");
        }
    }

    #[test]
    fn a_member_inherits_from_the_workspace_above() {
        let top = tempfile::tempdir().unwrap();
        let member = top.path().join("member/src");
        fs::create_dir_all(&member).unwrap();
        let workspace = "[workspace.package]\nedition = \"2021\"\n";
        fs::write(top.path().join("Cargo.toml"), workspace).unwrap();
        let manifest = "[package]\nname = \"m\"\nedition.workspace = true\n";
        fs::write(top.path().join("member/Cargo.toml"), manifest).unwrap();
        let programs = Programs::new(&Environment::default(), top.path());
        assert_eq!(args(&programs, &member)[1], "2021");
        assert_eq!(args(&programs, top.path())[1], "2015");
        fs::remove_file(top.path().join("Cargo.toml")).unwrap();
        assert_eq!(args(&programs, &member)[1], "2024");
    }
}
