//! Web pages: fetched within bounds, turned into text.

pub mod address;
pub mod decode;
pub mod fetch;
mod html;
mod markdown;
pub mod target;

pub use markdown::{to_markdown, to_text};
