//! The heap of the daemon itself.

/// Blocks of this size and more lie in a mapping of their own, which goes back to the system with them.
const MAPPED_BYTES: libc::c_int = 1 << 20;
/// Free memory that the end of a heap may hold.
const TOP_BYTES: libc::c_int = 2 << 20;

/// Has the memory of large texts given back when they are dropped. By default the allocator takes the first of them as a
/// sign that more will come, and keeps what it had: 100 MiB after one answer of 16. Does nothing where it is not glibc's.
pub fn give_back_large_blocks() {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets two numbers of the allocator, under its own lock.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, TOP_BYTES);
    }
}
