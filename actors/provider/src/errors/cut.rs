//! How much of an answer an error carries.

/// The most bytes of an answer's body that an error carries.
pub const BODY_BYTES_MAX: usize = 16 * 1024;

/// The begin of `text`, at most `bytes_max` bytes, cut between two characters.
pub(super) fn cut(text: &str, bytes_max: usize) -> String {
    kilo_ports::cut::start(text, bytes_max).to_owned()
}
