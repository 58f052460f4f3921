//! The syntax tree of a text.

use std::ops::ControlFlow;
use tree_sitter::{ParseOptions, Parser, Tree};

/// Bytes of a text that is still parsed; a person must look at a longer one.
const TEXT_BYTES_MAX: usize = 256 * 1024;
/// Looks of the parser at its progress before it gives up (some hundred milliseconds).
const PARSER_TICKS_MAX: u32 = 50_000;

/// The syntax tree of a text; `None` when it is too long or too odd.
pub fn tree(text: &str) -> Option<Tree> {
    if text.len() > TEXT_BYTES_MAX || text.contains('\0') {
        return None;
    }
    let mut parser = Parser::new();
    parser
        .set_language(&tree_sitter_bash::LANGUAGE.into())
        .ok()?;
    let mut ticks = 0;
    let mut patience = |_: &_| {
        ticks += 1;
        if ticks > PARSER_TICKS_MAX {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let bytes = text.as_bytes();
    let mut read = |at: usize, _| bytes.get(at..).unwrap_or_default();
    parser.parse_with_options(
        &mut read,
        None,
        Some(ParseOptions::new().progress_callback(&mut patience)),
    )
}
