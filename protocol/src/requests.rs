//! What clients say: the bodies of operations, as the daemon reads them and as our own clients write them.
//!
//! A body is held against the contract (see [`crate::contract`]) before it is read into one of these; so nothing is
//! checked here again. Fields that nobody reads yet are left out. The files follow the groups of operations.

mod answers;
mod configuration;
mod import;
mod mcp;
mod prompt;
mod server;
mod session;
mod workspace;
mod worktree;

pub use answers::{
    AllowEverything, PermissionAnswer, ReplyPermission, ReplyQuestion, RespondPermission, SaveRules,
};
pub use configuration::{ConfigPatch, Credentials};
pub use import::{ImportMessage, ImportPart, ImportProject, ImportSession, Imported};
pub use mcp::{AddServer, CallTool, ReadResource, SignInCode};
pub use prompt::{InputPart, InputPartBody, Prompt, RunCommand, Shell};
pub use server::{History, LogLevel, LogLine};
pub use session::{Drain, Fork, NewSession, Revert, Summarize, UpdateSession, UpdateTime};
pub use workspace::{ApplyPatch, UpdateProject};
pub use worktree::{
    ApplyAs, ApplyWorktree, CreateWorktree, EndWorktree, KeepOfFleet, MakeWorktree, MoveSession,
    MoveTo, NamedWorktree, RenameWorktree, RestoreWorktree, SessionToWorktree, StartFleet,
    TeardownWorktree,
};

use serde::Serialize;

/// The body of an operation that takes one and needs nothing in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Empty {}

fn is_false(flag: &bool) -> bool {
    !flag
}
