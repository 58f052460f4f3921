//! Every bound of the engine, with its unit in its name.

use std::time::Duration;

/// Frames that a slow subscriber may lag behind before it has to read the log.
pub const BUS_FRAMES: usize = 1_024;
/// Bytes of all those frames; what is older than these has to be read from the log.
pub const BUS_BYTES: usize = 64 << 20;
/// Messages that wait for a session actor; a full mailbox is a 503.
pub const SESSION_MAILBOX: usize = 32;
/// Messages that wait for a session's tool runner: the calls of two answers, since an aborted turn's may still lie there.
pub const RUNNER_MAILBOX: usize = 2 * CALLS_MAX + 8;
/// Batches of a provider's stream that a session takes at once.
pub const BATCHES_AT_ONCE: usize = 16;
/// Pieces of text that a session shows one by one; more at once are joined.
pub const PIECES_APART: usize = 8;
/// Prompts that may wait behind a running turn.
pub const QUEUE_MAX: usize = 64;
/// Model calls in one turn, when the agent sets no bound.
pub const STEPS_MAX: u32 = 500;
/// Tool calls in one answer.
pub const CALLS_MAX: usize = 128;
/// Calls in a row that are denied by a rule, unknown or malformed, after which the turn ends.
pub const FRUITLESS_CALLS_MAX: usize = 10;
/// Bytes of one call's arguments.
pub const ARGUMENTS_BYTES_MAX: usize = 4 << 20;
/// Bytes of text in one part of an answer; what comes after ends the turn with an error.
pub const PART_BYTES_MAX: usize = 16 << 20;
/// How long a caller waits for a session to take a message.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// An actor that nobody needed for this long is dropped; the log has everything.
pub const PASSIVATE_AFTER: Duration = Duration::from_secs(30 * 60);
/// How often an actor looks whether it is still needed.
pub const TICK: Duration = Duration::from_secs(60);
/// Deaths within [`DEATH_WINDOW`] after which a session is left alone.
pub const DEATHS_MAX: usize = 3;
/// The window in which deaths count.
pub const DEATH_WINDOW: Duration = Duration::from_secs(60);
/// Bytes of records after the newest view before a new one is made (and at least half the size of that view).
pub const VIEW_BYTES_MIN: u64 = 256 << 10;
/// How long a title may take to be made.
pub const TITLE_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a model that a tool asks beside the conversation may take.
pub const ASIDE_TIMEOUT: Duration = Duration::from_secs(120);
/// Pause between two looks whether a provider can be reached again.
pub const NETWORK_POLL: Duration = Duration::from_secs(3);
/// How long a session looks for the network by itself; a reply works at any time.
pub const NETWORK_POLLS_MAX: u32 = 1_200;
/// Records that one read of the log hands to a subscriber that catches up.
pub const CATCH_UP_RECORDS: usize = 512;
/// Live output of tools is shown at most this often.
pub const PROGRESS_EVERY: Duration = Duration::from_millis(50);
/// How long a call that was told to stop may take before it is dropped.
pub const STOP_GRACE: Duration = Duration::from_secs(10);
/// Nesting of child sessions.
pub const SUBAGENT_DEPTH: usize = 5;
/// An attached file that goes into a prompt.
pub const ATTACHMENT_BYTES_MAX: u64 = 20 << 20;
