//! The keeper of one persistent process: this program in another role. The daemon starts it, and it does not end with it.

use kilo_config::Environment;
use kilo_ports::clock::SystemClock;
use kilo_sandbox::{ProcessSandbox, Settings};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Keeps the process that is ordered in `folder` until it ends. Its children have the environment of this process, which
/// the daemon has cleaned.
///
/// # Errors
/// The folder cannot be read, or another keeper holds it.
pub async fn keep(folder: &Path, environment: &Environment) -> io::Result<()> {
    // a signal for the daemon's terminal is none for this; refused only for a leader, which has no terminal to leave
    let _ = rustix::process::setsid();
    // so that it holds no worktree that somebody wants to take away
    rustix::process::chdir(folder)?;
    let variables = environment.vars.iter();
    let settings = Settings::new(variables.map(|(name, value)| (name.into(), value.into())));
    let sandbox = Arc::new(ProcessSandbox::new(settings)?);
    kilo_process::keep(folder, sandbox, Arc::new(SystemClock)).await
}
