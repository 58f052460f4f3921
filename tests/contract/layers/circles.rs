//! Files of a crate that use one another in a circle.
//!
//! A file and what lies in the folder of its own name are one group among the files beside it. Uses are read from `use`
//! and from paths in the code; a use of what is above or inside the own group is none.

use crate::source::code_of;
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};

/// A module's place below its crate's root: `["effects", "model"]`.
type Place = Vec<String>;

/// The circles among these files of one crate (path below `src/`, text), each as its groups in order.
pub fn circles(files: &[(String, String)]) -> BTreeSet<Vec<String>> {
    let modules: BTreeMap<Place, String> = files
        .iter()
        .map(|(path, text)| (place_of(path), code_of(text)))
        .collect();
    let places: BTreeSet<&Place> = modules.keys().collect();
    let mut uses: BTreeMap<Vec<String>, BTreeSet<Vec<String>>> = BTreeMap::new();
    for (from, text) in &modules {
        for path in paths_in(text) {
            let Some(to) = target(from, &path, &places) else {
                continue;
            };
            // The two groups are the modules where the ways from the root part.
            let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
            if shared < from.len() && shared < to.len() {
                let groups = (from[..=shared].to_vec(), to[..=shared].to_vec());
                uses.entry(groups.0).or_default().insert(groups.1);
            }
        }
    }
    let reached: BTreeMap<_, _> = uses.keys().map(|from| (from, reach(from, &uses))).collect();
    let mut found = BTreeSet::new();
    for (group, there) in &reached {
        if !there.contains(*group) {
            continue;
        }
        let back = |other: &&Vec<String>| reached.get(other).is_some_and(|it| it.contains(*group));
        let circle = there.iter().filter(back).map(|group| group.join("/"));
        found.insert(circle.collect());
    }
    found
}

/// Everything that can be come to from `from`.
fn reach(
    from: &Vec<String>,
    uses: &BTreeMap<Vec<String>, BTreeSet<Vec<String>>>,
) -> BTreeSet<Vec<String>> {
    let mut there = BTreeSet::new();
    let mut next = vec![from];
    while let Some(group) = next.pop() {
        for to in uses.get(group).into_iter().flatten() {
            if there.insert(to.clone()) {
                next.push(to);
            }
        }
    }
    there
}

fn place_of(path: &str) -> Place {
    let mut place: Place = path
        .trim_end_matches(".rs")
        .split('/')
        .map(str::to_string)
        .collect();
    if matches!(
        place.last().map(String::as_str),
        Some("mod" | "lib" | "main")
    ) {
        place.pop();
    }
    place
}

/// The module that a path leads to, or `None` when it leaves the crate.
fn target(from: &Place, path: &str, places: &BTreeSet<&Place>) -> Option<Place> {
    let mut words = path.split("::").map(str::trim).peekable();
    let mut at = match *words.peek()? {
        "crate" => Vec::new(),
        "self" | "super" => from.clone(),
        _ => return None,
    };
    while let Some(word) = words.next_if(|word| matches!(*word, "crate" | "self" | "super")) {
        if word == "super" {
            at.pop()?;
        }
    }
    for word in words {
        at.push(word.to_string());
        if !places.contains(&at) {
            at.pop();
            break;
        }
    }
    Some(at)
}

/// The paths that a code names: those of `use` with their braces opened, and those that begin at the crate or above.
fn paths_in(code: &str) -> Vec<String> {
    let uses = Regex::new(r"\buse\s+([^;]+);").expect("a regular expression");
    let named = Regex::new(r"\b(crate|super|self)(::\w+)+").expect("a regular expression");
    let mut paths = Vec::new();
    for found in uses.captures_iter(code) {
        open(&found[1], "", &mut paths);
    }
    let rest = uses.replace_all(code, "");
    paths.extend(named.find_iter(&rest).map(|path| path.as_str().to_string()));
    paths
}

/// Opens the braces of a `use`.
fn open(tree: &str, before: &str, paths: &mut Vec<String>) {
    let tree = tree.trim();
    let Some((head, body)) = tree.split_once('{') else {
        paths.push(format!("{before}{tree}"));
        return;
    };
    let before = format!("{before}{}", head.trim());
    let body = body.trim_end().trim_end_matches('}');
    // The one brace that closes `body` is gone with those of its last branch: depth is counted from the left.
    let (mut depth, mut begin) = (0usize, 0);
    for (at, sign) in body.char_indices() {
        match sign {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                open(&body[begin..at], &before, paths);
                begin = at + 1;
            }
            _ => {}
        }
    }
    if !body[begin..].trim().is_empty() {
        open(&body[begin..], &before, paths);
    }
}

#[test]
fn circles_are_found_through_folders_braces_and_paths_in_code() {
    let files = |texts: &[(&str, &str)]| -> Vec<(String, String)> {
        let own = |(path, text): &(&str, &str)| (path.to_string(), text.to_string());
        texts.iter().map(own).collect()
    };
    let circle = |names: &[&str]| BTreeSet::from([names.iter().map(|it| it.to_string()).collect()]);

    let through = files(&[
        ("lib.rs", "mod a;\nmod b;\nmod c;\npub use a::One;"),
        ("a.rs", "mod inner;\nuse std::{fmt, io::{self, Read}};"),
        ("a/inner.rs", "use crate::{b::{Two, Three}, One};"),
        ("b.rs", "fn f() { crate::c::g() }"),
        ("c.rs", "use super::a::Four;"),
    ]);
    assert_eq!(circles(&through), circle(&["a", "b", "c"]));

    let inside = files(&[
        ("a.rs", "mod one;\nmod two;"),
        ("a/one.rs", "use super::two::Two;"),
        ("a/two.rs", "use super::one::One;"),
    ]);
    assert_eq!(circles(&inside), circle(&["a/one", "a/two"]));

    let none = files(&[
        ("a.rs", "mod inner;\nuse crate::b::Two;\nuse inner::Three;"),
        ("a/inner.rs", "use super::Four; // use crate::a"),
        (
            "b.rs",
            "const TEXT: &str = \"use crate::a::One;\";\n#[cfg(test)]\nmod tests {\nuse crate::a::One;\n}",
        ),
    ]);
    assert!(circles(&none).is_empty());
}
