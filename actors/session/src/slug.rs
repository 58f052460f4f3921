//! Readable names for sessions: adjective-noun.

use kilo_protocol::{IdSource, Millis};

const ADJECTIVES: [&str; 32] = [
    "amber", "brave", "brisk", "calm", "clear", "clever", "cosmic", "crisp", "daring", "eager",
    "fleet", "gentle", "golden", "happy", "keen", "kind", "light", "lucky", "lunar", "mellow",
    "misty", "neat", "noble", "quick", "quiet", "silent", "solar", "steady", "sunny", "swift",
    "tidy", "vivid",
];
const NOUNS: [&str; 32] = [
    "badger", "bay", "beacon", "birch", "brook", "canyon", "cedar", "comet", "coral", "crane",
    "delta", "ember", "falcon", "fern", "fjord", "garden", "harbor", "heron", "island", "lantern",
    "maple", "meadow", "moon", "orchid", "otter", "panda", "pine", "planet", "reef", "river",
    "sparrow", "willow",
];

/// A name by chance.
pub fn slug(ids: &IdSource, now: Millis) -> String {
    // The random tail of an id is the engine's only source of chance.
    let id = ids.ascending("slug", now);
    let sum = id.bytes().rev().take(14).fold(0usize, |sum, byte| {
        sum.wrapping_mul(61).wrapping_add(byte as usize)
    });
    format!("{}-{}", ADJECTIVES[sum % 32], NOUNS[sum / 32 % 32])
}
