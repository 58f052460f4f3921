//! Web pages: fetched within bounds, turned into text.

pub mod fetch;
mod html;
mod markdown;

pub use markdown::{to_markdown, to_text};
