//! Keeps the daemon's own secrets from the commands that it runs.
//!
//! An init shares the daemon's memory (see `init.rs`), and `/proc/INIT/environ`, `mem`, `maps` and `fd` show what the
//! process's memory and descriptors are, not what the command was given. Two things close that way: the secrets leave
//! the block that the kernel shows as `environ`, and the memory is marked as not dumpable, after which the kernel lets
//! only root look into it. The mark belongs to the memory, so it covers the daemon, each init, and each command until
//! its `exec`, which starts with fresh memory. Root reads everything; no mark keeps it out.

use crate::environment::is_secret;
use std::ffi::{CStr, OsStr, c_char};
use std::io;
use std::os::unix::ffi::OsStrExt;

unsafe extern "C" {
    /// The C library's list of variables; null when there are none.
    static mut environ: *mut *mut c_char;
}

/// Takes [`crate::SECRETS`] and the variables named in `denied` out of this process's own environment, which later
/// children then do not inherit either. To be called at the start, after the environment was read, while no other
/// thread reads or changes variables.
pub fn conceal_variables(denied: &[String]) {
    // SAFETY: the caller vouches that nobody else uses the list now; each entry is a text of this process that may be
    // written to (the kernel's block on the stack, or the C library's copy).
    unsafe {
        let mut entry = environ;
        while !entry.is_null() && !(*entry).is_null() {
            let text = CStr::from_ptr(*entry).to_bytes();
            let (name_bytes, bytes) = (text.split(|byte| *byte == b'=').next(), text.len());
            let name = OsStr::from_bytes(name_bytes.unwrap_or_default());
            if is_secret(name) || denied.iter().any(|denied| OsStr::new(denied) == name) {
                // In place: unsetting would only drop the pointer and leave the text where `/proc` shows it. What is left
                // is an empty entry, which readers of the environment skip.
                std::ptr::write_bytes(*entry, 0, bytes);
            }
            entry = entry.add(1);
        }
    }
}

/// Closes this process's memory and descriptors to other processes of the same user. Costs core dumps and debuggers.
pub fn conceal_memory() -> io::Result<()> {
    // SAFETY: it sets a mark of this process.
    match unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
