//! Text files on disk: their encodings and line endings, read whole and written whole.

pub mod already;
pub mod encoding;
pub mod ending;
mod file;
pub mod indent;
mod locks;

pub use file::{TEXT_BYTES_MAX, TextFile};
pub use locks::FileLocks;
