//! Worktrees beyond what the reference has: with an answer to what would be lost, brought home, brought back, and several
//! versions of one prompt.

use super::Operation;
use super::row::{get, post};

pub(super) static ROWS: &[Operation] = &[
    get(
        "/x/worktree",
        "x.worktree.list",
        "Lists the worktrees of the repository with their state.",
    ),
    post(
        "/x/worktree",
        "x.worktree.create",
        "Makes a worktree from a branch, a commit or the present state.",
    )
    .optional_body(),
    post(
        "/x/worktree/remove",
        "x.worktree.remove",
        "Removes a worktree and keeps its state for 30 days.",
    )
    .required_body(),
    post(
        "/x/worktree/reset",
        "x.worktree.reset",
        "Takes a worktree back to its base and keeps its state for 30 days.",
    )
    .required_body(),
    post(
        "/x/worktree/rename",
        "x.worktree.rename",
        "Gives a worktree and its branch another name.",
    )
    .required_body(),
    post(
        "/x/worktree/adopt",
        "x.worktree.adopt",
        "Takes a worktree that somebody else made into the list.",
    )
    .required_body(),
    post(
        "/x/worktree/apply",
        "x.worktree.apply",
        "Brings the result of a worktree home.",
    )
    .required_body(),
    get(
        "/x/worktree/kept",
        "x.worktree.kept",
        "Lists the states that can be restored.",
    ),
    post(
        "/x/worktree/restore",
        "x.worktree.restore",
        "Brings a removed or reset worktree back.",
    )
    .required_body(),
    post(
        "/x/session/{sessionID}/worktree",
        "x.session.worktree",
        "Lets a session go on in a new worktree with the uncommitted changes.",
    )
    .optional_body(),
    get("/x/fleet", "x.fleet.list", "Lists the fleets."),
    post(
        "/x/fleet",
        "x.fleet.start",
        "Starts several versions of one prompt, each in a worktree of its own.",
    )
    .required_body()
    .with_content(),
    get(
        "/x/fleet/{fleetID}",
        "x.fleet.compare",
        "Compares the versions of a fleet.",
    ),
    post(
        "/x/fleet/{fleetID}/keep",
        "x.fleet.keep",
        "Brings the result of one version home.",
    )
    .required_body(),
];
