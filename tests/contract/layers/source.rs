//! Source files, and what in them is code, a string or neither.

use crate::packages::Package;
use std::path::Path;

/// All source files of the packages but for tests and examples: path in the workspace, and text.
pub fn sources(root: &Path, packages: &[Package]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for package in packages.iter().filter(|package| package.folder != "tests") {
        walk(root, &root.join(&package.folder).join("src"), &mut found);
    }
    found.sort();
    found
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<(String, String)>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.expect("a source folder can be read").path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "tests") {
                walk(root, &path, found);
            }
        } else if is_source(&path) {
            let name = path
                .strip_prefix(root)
                .expect("a source lies in the workspace")
                .to_string_lossy()
                .into_owned();
            found.push((
                name,
                std::fs::read_to_string(&path).expect("a source can be read"),
            ));
        }
    }
}

/// Files that only tests use are called so.
fn is_source(path: &Path) -> bool {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let tests = [
        "tests.rs",
        "test.rs",
        "testing.rs",
        "corpus.rs",
        "samples.rs",
    ];
    name.ends_with(".rs") && !tests.contains(&name.as_str()) && !name.ends_with("_tests.rs")
}

/// The text with comments, strings and test modules blanked; lines stay where they are.
pub fn code_of(text: &str) -> String {
    without_tests(&split(text).0)
}

/// Only what stands in strings; lines stay where they are.
pub fn strings_of(text: &str) -> String {
    let (code, strings) = split(text);
    // A test module is found in the code and cut from the strings at the same line.
    let kept = without_tests(&code);
    let lines = strings.lines().zip(code.lines().zip(kept.lines()));
    lines
        .map(|(line, (all, kept))| if all == kept { line } else { "" })
        .collect::<Vec<_>>()
        .join("\n")
}

/// Blanks every `#[cfg(test)] mod … { … }`.
fn without_tests(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut lines = code.lines().peekable();
    while let Some(line) = lines.next() {
        let begins =
            line.trim() == "#[cfg(test)]" && lines.peek().is_some_and(|next| opens_module(next));
        if !begins {
            out.push_str(line);
            out.push('\n');
            continue;
        }
        out.push('\n');
        let mut depth = 0i32;
        for line in lines.by_ref() {
            out.push('\n');
            depth += line.matches('{').count() as i32 - line.matches('}').count() as i32;
            if depth <= 0 {
                break;
            }
        }
    }
    out
}

fn opens_module(line: &str) -> bool {
    let line = line
        .trim_start_matches("pub(crate) ")
        .trim_start_matches("pub ");
    line.trim_start().starts_with("mod ") && line.contains('{')
}

/// The code and the strings of a text, each with the other's places blank.
fn split(text: &str) -> (String, String) {
    let signs: Vec<char> = text.chars().collect();
    let (mut code, mut strings) = (String::new(), String::new());
    let mut at = 0;
    while at < signs.len() {
        let (kind, end) = token(&signs, at);
        for sign in &signs[at..end] {
            let blank = if *sign == '\n' { '\n' } else { ' ' };
            code.push(if kind == Kind::Code { *sign } else { blank });
            strings.push(if kind == Kind::String { *sign } else { blank });
        }
        at = end;
    }
    (code, strings)
}

#[derive(PartialEq)]
enum Kind {
    Code,
    String,
    Comment,
}

/// What begins at `at`, and where it ends.
fn token(signs: &[char], at: usize) -> (Kind, usize) {
    let starts = |text: &str| {
        text.chars()
            .enumerate()
            .all(|(n, sign)| signs.get(at + n) == Some(&sign))
    };
    if starts("//") {
        return (Kind::Comment, find(signs, at, |n| signs[n] == '\n'));
    }
    if starts("/*") {
        return (
            Kind::Comment,
            find(signs, at + 2, |n| signs[n] == '/' && signs[n - 1] == '*')
                .saturating_add(1)
                .min(signs.len()),
        );
    }
    let is_word = at > 0 && (signs[at - 1].is_alphanumeric() || signs[at - 1] == '_');
    if (starts("r\"") || starts("r#")) && !is_word {
        let hashes = signs[at + 1..]
            .iter()
            .take_while(|sign| **sign == '#')
            .count();
        if signs.get(at + 1 + hashes) == Some(&'"') {
            let ends = |n: usize| {
                signs[n] == '"'
                    && signs[n + 1..]
                        .iter()
                        .take(hashes)
                        .filter(|sign| **sign == '#')
                        .count()
                        == hashes
            };
            let end = find(signs, at + 2 + hashes, ends);
            return (Kind::String, (end + 1 + hashes).min(signs.len()));
        }
    }
    if starts("\"") {
        let mut end = at + 1;
        while end < signs.len() && signs[end] != '"' {
            end += if signs[end] == '\\' { 2 } else { 1 };
        }
        return (Kind::String, (end + 1).min(signs.len()));
    }
    // A character, not a lifetime: 'x' or '\x'.
    if starts("'") && (signs.get(at + 2) == Some(&'\'') || signs.get(at + 1) == Some(&'\\')) {
        let end = find(signs, at + 3, |n| signs[n - 1] == '\'');
        return (Kind::String, end);
    }
    (Kind::Code, at + 1)
}

fn find(signs: &[char], from: usize, is: impl Fn(usize) -> bool) -> usize {
    (from..signs.len()).find(|n| is(*n)).unwrap_or(signs.len())
}

#[test]
fn code_strings_and_comments_are_told_apart() {
    let text = "let a = \"x \\\" // y\"; // unsafe\nlet b = r#\"un\"safe\"#; /* c\n d */ let c = '\"'; fn f<'a>() {} let d = '\\n';\nz";
    let code = code_of(text);
    let lines: Vec<String> = code
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        lines,
        [
            "let a = ;",
            "let b = ;",
            "let c = ; fn f<'a>() {} let d = ;",
            "z"
        ]
    );
    let strings = strings_of(text);
    let strings: Vec<Vec<&str>> = strings
        .lines()
        .map(|line| {
            line.split("  ")
                .map(str::trim)
                .filter(|text| !text.is_empty())
                .collect()
        })
        .collect();
    assert_eq!(
        strings,
        [
            vec!["\"x \\\" // y\""],
            vec!["r#\"un\"safe\"#"],
            vec!["'\"'", "'\\n'"],
            vec![]
        ]
    );
}
