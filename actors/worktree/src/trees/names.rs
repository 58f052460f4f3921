//! Names of worktrees: made of what a person typed, or of two words.

/// Bytes of a name. With an ending and a temporary mark it stays below what file systems take (255).
const NAME_BYTES_MAX: usize = 200;

const FIRST: [&str; 32] = [
    "amber", "brisk", "calm", "clear", "coral", "crisp", "dapper", "eager", "early", "fleet",
    "gentle", "golden", "hardy", "humble", "ivory", "jolly", "keen", "lively", "lucid", "mellow",
    "nimble", "olive", "plain", "quiet", "rapid", "ruddy", "silver", "sober", "sunny", "tidal",
    "vivid", "witty",
];
const SECOND: [&str; 32] = [
    "alder", "badger", "beacon", "birch", "brook", "canyon", "cedar", "comet", "dune", "falcon",
    "fern", "fjord", "glade", "harbor", "heron", "island", "lagoon", "lark", "maple", "meadow",
    "otter", "pebble", "pine", "prairie", "raven", "ridge", "river", "sparrow", "summit",
    "thicket", "valley", "willow",
];

/// Makes a name of what a person typed: lower case, words joined by `-`. Empty when nothing of it can be used.
pub(super) fn slug(text: &str) -> String {
    let mut slug = String::new();
    for sign in text.chars().flat_map(char::to_lowercase) {
        if sign.is_ascii_alphanumeric() {
            slug.push(sign);
        } else if !slug.ends_with('-') && !slug.is_empty() {
            slug.push('-');
        }
    }
    slug.truncate(NAME_BYTES_MAX);
    slug.trim_end_matches('-').to_owned()
}

/// Two words, chosen by `seed`.
pub(super) fn words(seed: u64) -> String {
    let hash = blake3::hash(&seed.to_le_bytes());
    let [first, second, ..] = *hash.as_bytes();
    let pick = |list: &[&'static str; 32], byte: u8| list[usize::from(byte) % list.len()];
    format!("{}-{}", pick(&FIRST, first), pick(&SECOND, second))
}

#[cfg(test)]
mod tests {
    use super::{slug, words};

    #[test]
    fn what_was_typed_becomes_a_name_for_folders_and_branches() {
        assert_eq!(slug("feat one"), "feat-one");
        assert_eq!(slug("  Fix: the (big) Bug!! "), "fix-the-big-bug");
        assert_eq!(slug("../../etc/passwd"), "etc-passwd");
        assert_eq!(slug("日本"), "");
        assert_eq!(slug(&"x".repeat(500)).len(), 200);
        assert_eq!(slug(&format!("{} y", "x".repeat(199))).len(), 199);
    }

    #[test]
    fn words_are_two_and_differ() {
        let many: std::collections::BTreeSet<String> = (0..100).map(words).collect();
        assert!(many.len() > 80, "{}", many.len());
        assert!(many.iter().all(|name| name.split('-').count() == 2));
    }
}
