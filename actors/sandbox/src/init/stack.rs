//! The memory on which a clone runs.

use std::ffi::c_void;
use std::io;

/// Bytes of each of the two stacks (init's, and the command's until `exec`).
const STACK_BYTES: usize = 64 * 1024;

/// Two stacks in one mapping, each with an inaccessible page below it.
pub struct Stack {
    base: *mut c_void,
}

// SAFETY: it is an address of a mapping that belongs to this value alone.
unsafe impl Send for Stack {}
// SAFETY: through a shared reference only the address can be had.
unsafe impl Sync for Stack {}

const GUARD_BYTES: usize = 64 * 1024;
const SLOT_BYTES: usize = GUARD_BYTES + STACK_BYTES;

impl Stack {
    /// Maps both. Errors: no memory.
    pub fn map() -> io::Result<Self> {
        // SAFETY: a new private mapping at an address that the kernel chooses.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                SLOT_BYTES * 2,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = Self { base };
        for slot in 0..2 {
            // SAFETY: inside the mapping made above, at a multiple of any page size up to 64 KiB.
            let opened = unsafe {
                let usable = stack.base.byte_add(slot * SLOT_BYTES + GUARD_BYTES);
                libc::mprotect(usable, STACK_BYTES, libc::PROT_READ | libc::PROT_WRITE)
            };
            if opened != 0 {
                let error = io::Error::last_os_error();
                // SAFETY: nothing ever ran on it.
                unsafe { stack.unmap() };
                return Err(error);
            }
        }
        Ok(stack)
    }

    /// Where init's stack begins; it grows down.
    pub fn init_top(&self) -> *mut c_void {
        // SAFETY: one past the first slot, a page boundary.
        unsafe { self.base.byte_add(SLOT_BYTES) }
    }

    /// Where the command's stack begins.
    pub fn command_top(&self) -> *mut c_void {
        // SAFETY: one past the second slot.
        unsafe { self.base.byte_add(SLOT_BYTES * 2) }
    }

    /// Gives the memory back. Dropped instead, it stays mapped for good.
    ///
    /// # Safety
    /// No process may run on it any more: it was never used, or its processes have been waited for.
    pub unsafe fn unmap(self) {
        // SAFETY: the mapping is this value's own, and the caller vouches that it is not in use.
        unsafe { libc::munmap(self.base, SLOT_BYTES * 2) };
    }
}
