//! Programs whose risks are not in their options: languages, archives, second operands.

use super::kind::Kind::{Connects, Runs, Writes};
use super::kind::Risk;
use super::script::{awk_only_prints, sed_only_prints};
use super::table::{self, Outcomes};
use crate::word::Word;

/// The risks of a program's operands.
pub fn risks(name: &str, rest: &[Word], outcomes: Outcomes<'_>) -> Vec<Risk> {
    let operands = || rest.iter().filter(|word| !word.head().starts_with('-'));
    match name {
        "sed" | "gsed" => scripts(rest, &["-e", "--expression"], sed_only_prints),
        "awk" | "gawk" | "mawk" | "nawk" => awk(rest),
        "tar" | "bsdtar" | "gtar" => old_letters(rest, outcomes),
        "unzip" if !rest.iter().any(|word| is_one_of(word, "lptvZ")) => {
            vec![Risk::new("unzip", Writes)]
        }
        "less" | "more" | "most" => by_prefix(rest, "+"),
        "make" | "gmake" => operands()
            .filter(|word| word.head().contains('=') || word.literal().is_none())
            .map(|word| Risk::new(word.source.clone(), Runs))
            .collect(),
        // `HOST:PATH`, `rsync://…`
        "rsync" | "scp" => operands()
            .filter(|word| {
                let host = word.source.split('/').next().unwrap_or_default();
                host.contains(':') || word.source.starts_with("rsync:")
            })
            .map(|word| Risk::new(word.source.clone(), Connects))
            .collect(),
        // Anything but a format sets the clock.
        "date" => operands()
            .filter(|word| {
                !word.head().starts_with('+')
                    && word.head().chars().all(|c| c.is_ascii_digit() || c == '.')
            })
            .map(|word| Risk::new(word.source.clone(), Writes))
            .collect(),
        _ => Vec::new(),
    }
}

fn is_one_of(word: &Word, letters: &str) -> bool {
    let head = word.head();
    head.starts_with('-') && !head.starts_with("--") && head.contains(|c| letters.contains(c))
}

fn by_prefix(rest: &[Word], prefix: &str) -> Vec<Risk> {
    rest.iter()
        .filter(|word| word.head().starts_with(prefix) && word.head().len() > 1)
        .filter(|word| {
            !word
                .head()
                .chars()
                .skip(1)
                .all(|c| c.is_ascii_digit() || c == 'G' || c == 'F')
        })
        .map(|word| Risk::new(word.source.clone(), Runs))
        .collect()
}

/// The scripts of sed: every value of `-e`, else the first operand.
fn scripts(rest: &[Word], options: &[&str], only_prints: impl Fn(&str) -> bool) -> Vec<Risk> {
    let mut found = Vec::new();
    let mut by_option = false;
    let mut operand: Option<&Word> = None;
    let mut index = 0;
    let mut judge = |word: &Word, text: Option<String>| {
        if !text.is_some_and(|text| only_prints(&text)) {
            found.push(Risk::new(word.source.clone(), Runs));
        }
    };
    while let Some(word) = rest.get(index) {
        index += 1;
        let head = word.head();
        let is_cluster = head.starts_with('-') && !head.starts_with("--");
        if let Some((option, _)) = head.split_once('=').filter(|_| head.starts_with("--")) {
            if options.iter().any(|long| table::is_short_for(option, long)) {
                by_option = true;
                judge(
                    word,
                    word.literal()
                        .and_then(|text| text.split_once('=').map(|(_, script)| script.to_owned())),
                );
            }
        } else if options.iter().any(|long| {
            head == *long || (head.starts_with("--") && table::is_short_for(head, long))
        }) || (is_cluster && head.ends_with('e'))
        {
            by_option = true;
            if let Some(script) = rest.get(index) {
                judge(script, script.literal());
            }
            index += 1;
        } else if is_cluster && head.contains('e') && !head.contains('i') {
            by_option = true;
            let script = word.literal();
            judge(
                word,
                script.and_then(|text| text.split_once('e').map(|(_, script)| script.to_owned())),
            );
        } else if !head.starts_with('-') && operand.is_none() {
            operand = Some(word);
        }
    }
    if let Some(word) = operand.filter(|_| !by_option) {
        judge(word, word.literal());
    }
    found
}

/// The program of awk is its first operand.
fn awk(rest: &[Word]) -> Vec<Risk> {
    let mut index = 0;
    while let Some(word) = rest.get(index) {
        index += 1;
        let head = word.head();
        if matches!(head, "-F" | "-v" | "--field-separator" | "--assign") {
            index += 1;
        } else if head == "--" || (head.starts_with('-') && head.len() > 1) {
            continue;
        } else {
            let only_prints = word.literal().is_some_and(|text| awk_only_prints(&text));
            return if only_prints {
                Vec::new()
            } else {
                vec![Risk::new(word.source.clone(), Runs)]
            };
        }
    }
    Vec::new()
}

/// `tar xzf FILE`: the first word is letters even without a dash.
fn old_letters(rest: &[Word], outcomes: Outcomes<'_>) -> Vec<Risk> {
    let Some(first) = rest.first().filter(|word| !word.head().starts_with('-')) else {
        return Vec::new();
    };
    let Some(options) = table::of("tar") else {
        return Vec::new();
    };
    match first.literal() {
        // Their values follow as words, so that every letter is one.
        Some(letters) => letters
            .chars()
            .flat_map(|letter| options.risks(&[Word::quoted(format!("-{letter}"))], outcomes))
            .map(|risk| Risk::new(letters.clone(), risk.kind))
            .collect(),
        None => vec![Risk::new(first.source.clone(), Runs)],
    }
}
