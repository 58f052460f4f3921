//! How much checkpoints may take.

/// How much a checkpoint may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// An untracked file over this is left out (2 MiB).
    pub untracked_file_bytes_max: u64,
    /// A changed tracked file over this is left out (64 MiB).
    pub tracked_file_bytes_max: u64,
    /// A file that a tool names is kept up to this, ignored or not (16 MiB).
    pub named_file_bytes_max: u64,
    /// Files of a worktree; over it `track` fails (500,000).
    pub files_max: usize,
    /// Bytes that one walk reads; over it `track` fails before it reads any (1 GiB).
    pub walk_bytes_max: u64,
    /// Bytes of one worktree's checkpoints; over it `track` fails until a prune made room (4 GiB).
    pub store_bytes_max: u64,
    /// How long one walk may take (60 s).
    pub walk_ms_max: u64,
    /// How long a caller waits, walks of others included (150 s).
    pub wait_ms_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            untracked_file_bytes_max: 2 << 20,
            tracked_file_bytes_max: 64 << 20,
            named_file_bytes_max: 16 << 20,
            files_max: 500_000,
            walk_bytes_max: 1 << 30,
            store_bytes_max: 4 << 30,
            walk_ms_max: 60_000,
            wait_ms_max: 150_000,
        }
    }
}
