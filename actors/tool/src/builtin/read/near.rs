//! What a missing file may have meant.

use kilo_ports::files::Spot;
use kilo_ports::tool::ToolError;
use std::path::Path;

/// Names given at most.
const NAMES_MAX: usize = 3;
/// Entries of the folder that are compared.
const ENTRIES_MAX: usize = 5_000;
/// Least similarity of a name worth telling.
const SIMILARITY_MIN: f64 = 0.6;

/// The error for a missing file, with names beside it that look like it.
pub(super) fn missing(spot: &dyn Spot, path: &Path) -> ToolError {
    let near = near_names(spot, path);
    let mut message = format!("File not found: {}", path.display());
    if !near.is_empty() {
        message.push_str(&format!("\nSimilar names there:\n{}", near.join("\n")));
    }
    ToolError::Failed(message)
}

fn near_names(spot: &dyn Spot, path: &Path) -> Vec<String> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Vec::new();
    };
    let name = name.to_string_lossy().to_lowercase();
    let entries = spot.beside(ENTRIES_MAX).unwrap_or_default();
    let mut scored: Vec<(f64, String)> = Vec::new();
    for entry in entries {
        let other = entry.to_string_lossy().to_lowercase();
        let score = likeness(&name, &other);
        if score >= SIMILARITY_MIN {
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
