//! Pure functions from the protocol's values to lines of text.

pub mod diff;
pub mod json;
pub mod tool;
pub mod transcript;
