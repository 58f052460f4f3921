//! What a missing file may have meant.

use crate::place::Place;
use crate::rules;
use kilo_ports::tool::ToolError;
use kilo_protocol::model::Rule;
use std::path::Path;

/// Names given at most.
const NAMES_MAX: usize = 3;
/// Entries of the folder that are compared.
const ENTRIES_MAX: usize = 5_000;
/// Least similarity of a name worth telling.
const SIMILARITY_MIN: f64 = 0.6;

/// The error for a missing file, with names beside it that look like it. What a rule denies to read is left out.
pub(super) fn missing(place: &Place, rules: &[Rule]) -> ToolError {
    let near = near_names(place, rules);
    let mut message = format!("File not found: {}", place.absolute.display());
    if !near.is_empty() {
        message.push_str(&format!("\nSimilar names there:\n{}", near.join("\n")));
    }
    ToolError::Failed(message)
}

fn near_names(place: &Place, rules: &[Rule]) -> Vec<String> {
    let path = &place.absolute;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Vec::new();
    };
    let name = name.to_string_lossy().to_lowercase();
    let entries = place.spot.beside(ENTRIES_MAX).unwrap_or_default();
    let mut scored: Vec<(f64, String)> = Vec::new();
    for entry in entries {
        let other = entry.to_string_lossy().to_lowercase();
        let score = likeness(&name, &other);
        let is_denied = || {
            let names = place.patterns_beside(Path::new(&entry));
            names.iter().any(|name| rules::is_denied(rules, name))
        };
        if score >= SIMILARITY_MIN && !is_denied() {
            scored.push((score, folder.join(&entry).display().to_string()));
        }
    }
    scored.sort_by(|(one, a), (two, b)| two.total_cmp(one).then_with(|| a.cmp(b)));
    scored
        .into_iter()
        .take(NAMES_MAX)
        .map(|(_, path)| path)
        .collect()
}

fn likeness(name: &str, other: &str) -> f64 {
    let stem = |name: &str| {
        name.split('.')
            .find(|piece| !piece.is_empty())
            .unwrap_or(name)
            .to_owned()
    };
    let (one, two) = (stem(name), stem(other));
    if one == two
        || (one.len() >= 3 && two.contains(&one))
        || (two.len() >= 3 && one.contains(&two))
    {
        return 1.0;
    }
    strsim::normalized_damerau_levenshtein(name, other)
}
