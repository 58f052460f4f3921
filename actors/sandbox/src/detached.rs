//! Programs that outlive the daemon.

use crate::environment::Environment;
use crate::init::Inits;
use kilo_ports::sandbox::ProcessSpec;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// Starts a program with the variables of any child, but without a run's mark, by which the daemon's end finds what is left
/// of its runs. It is on the list of inits while it is this daemon's child: what kills strays must know it.
#[allow(
    clippy::disallowed_methods,
    reason = "this is the crate that starts processes, and no init of a run may hold this one"
)]
pub fn start(spec: &ProcessSpec, environment: &Environment, inits: &Arc<Inits>) -> io::Result<()> {
    let mut command = Command::new(&spec.program);
    command
        .args(&spec.args)
        .current_dir(&spec.directory)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    for entry in environment.of_child(&spec.env, "", false) {
        let entry = entry.as_bytes();
        let Some(at) = entry.iter().position(|byte| *byte == b'=') else {
            continue;
        };
        command.env(
            OsStr::from_bytes(&entry[..at]),
            OsStr::from_bytes(&entry[at + 1..]),
        );
    }
    let mut started = None;
    let pid = inits.start(|| {
        let child = started.insert(command.spawn()?);
        i32::try_from(child.id()).map_err(io::Error::other)
    })?;
    let listed = Arc::clone(inits);
    std::thread::Builder::new()
        .name("kilo-detached".into())
        .stack_size(64 * 1024)
        .spawn(move || {
            listed.end(pid, || {
                if let Some(mut child) = started {
                    let _ = child.wait();
                }
            });
        })
        .map(drop)
}
