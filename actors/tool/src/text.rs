//! Text files on disk: their encodings and line endings, read whole and written whole.

mod atomic;
pub mod encoding;
pub mod ending;
mod file;
mod locks;

pub use atomic::Staged;
pub use file::{TEXT_BYTES_MAX, TextFile};
pub use locks::FileLocks;
