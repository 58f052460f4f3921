//! What every command gets.

use crate::terminal::Terminal;
use kilo_config::Environment;

/// The process and its terminal, read once.
pub struct Context {
    /// Variables, home and current directory.
    pub env: Environment,
    /// What standard output can show.
    pub terminal: Terminal,
}
