//! What the editor extension and the manager of several agents ask for.

use super::Operation;
use super::row::{get, post};

pub(super) static ROWS: &[Operation] = &[
    post(
        "/kilocode/session/{sessionID}/resume",
        "kilocode.resumeSession",
        "Goes on with an interrupted session.",
    )
    .optional_body(),
    post(
        "/kilocode/session/{sessionID}/drain",
        "kilocode.drainSession",
        "Announces when the session's queue is empty.",
    )
    .optional_body(),
    get(
        "/kilocode/session/{sessionID}/board",
        "kilocode.sessionBoard",
        "Gets the notice board of a session.",
    ),
    post(
        "/kilocode/session/{sessionID}/board/reset",
        "kilocode.resetSessionBoard",
        "Empties the notice board of a session.",
    )
    .optional_body(),
    post(
        "/kilocode/heap/snapshot",
        "kilocode.heap.snapshot",
        "Writes a picture of the daemon's memory to a file.",
    ),
    get(
        "/kilocode/command/files",
        "kilocode.commandFiles",
        "Lists the files that define commands.",
    ),
    post(
        "/kilocode/command/remove",
        "kilocode.removeCommand",
        "Deletes a command's file.",
    )
    .optional_body(),
    post(
        "/kilocode/skill/remove",
        "kilocode.removeSkill",
        "Deletes a skill's folder.",
    )
    .optional_body(),
    post(
        "/kilocode/agent/remove",
        "kilocode.removeAgent",
        "Deletes an agent's file.",
    )
    .optional_body(),
    get(
        "/kilocode/marketplace",
        "kilocode.marketplace.list",
        "Lists what the marketplace offers.",
    ),
    post(
        "/kilocode/marketplace/install",
        "kilocode.marketplace.install",
        "Installs an item of the marketplace.",
    )
    .optional_body(),
    post(
        "/kilocode/marketplace/remove",
        "kilocode.marketplace.remove",
        "Removes an installed item of the marketplace.",
    )
    .optional_body(),
    post(
        "/kilocode/snapshot/remove",
        "kilocode.removeSnapshot",
        "Deletes the snapshots of a worktree.",
    )
    .optional_body(),
    post(
        "/kilocode/worktree/teardown",
        "kilocode.teardownWorktree",
        "Takes down a worktree with all that runs in it.",
    )
    .optional_body(),
    post(
        "/kilocode/snapshot/prepare",
        "kilocode.snapshot.prepare",
        "Makes the snapshot store ready before the first turn.",
    ),
    get(
        "/kilocode/provider-usage",
        "kilocode.providerUsage.get",
        "Gets how much of each provider's allowance is used.",
    ),
    post(
        "/kilocode/provider-usage/refresh",
        "kilocode.providerUsage.refresh",
        "Asks the providers anew for the used allowance.",
    ),
    get(
        "/kilocode/notebook",
        "kilocode.notebook.list",
        "Lists the open notebook requests.",
    ),
    post(
        "/kilocode/notebook/{requestID}/reply",
        "kilocode.notebook.reply",
        "Answers a notebook request.",
    )
    .optional_body()
    .with_content(),
    post(
        "/kilocode/notebook/{requestID}/reject",
        "kilocode.notebook.reject",
        "Refuses a notebook request.",
    )
    .optional_body(),
    get(
        "/kilocode/agent-manager",
        "kilocode.agentManager.list",
        "Lists the open requests to the agent manager.",
    ),
    post(
        "/kilocode/agent-manager/{requestID}/reply",
        "kilocode.agentManager.reply",
        "Answers a request to the agent manager.",
    )
    .optional_body(),
    post(
        "/kilocode/agent-manager/{requestID}/reject",
        "kilocode.agentManager.reject",
        "Refuses a request to the agent manager.",
    )
    .optional_body(),
    get(
        "/kilocode/background-jobs",
        "kilocode.backgroundJobs",
        "Lists the jobs that run in the background.",
    )
    .absent_for("sessionID", "[]"),
    post(
        "/kilocode/background-jobs/{jobID}/cancel",
        "kilocode.backgroundJob.cancel",
        "Stops a background job.",
    ),
    post(
        "/kilocode/background-jobs/{jobID}/promote",
        "kilocode.backgroundJob.promote",
        "Brings a background job to the front.",
    ),
    get(
        "/kilocode/wakeups",
        "kilocode.wakeups",
        "Lists the planned wake-ups of sessions.",
    )
    .absent("[]"),
    get(
        "/kilocode/retention",
        "kilocode.retention.status",
        "Tells the rules and the last run of the clean-up.",
    ),
    post(
        "/kilocode/retention/run",
        "kilocode.retention.run",
        "Runs the clean-up of old sessions now.",
    )
    .optional_body(),
    get(
        "/kilocode/anaconda-desktop/status",
        "anacondaDesktop.status",
        "Tells whether Anaconda Desktop is there.",
    ),
    post(
        "/kilocode/anaconda-desktop/open",
        "anacondaDesktop.open",
        "Opens Anaconda Desktop.",
    ),
    post(
        "/kilocode/anaconda-desktop/sync",
        "anacondaDesktop.sync",
        "Takes over the models of Anaconda Desktop.",
    )
    .optional_body(),
    post(
        "/kilocode/migrate/sessions",
        "kilocode.migrate.sessions",
        "Takes over sessions of an older client.",
    )
    .optional_body()
    .with_content(),
    post(
        "/kilocode/migrate/sessions/discover",
        "kilocode.migrate.discover",
        "Looks for sessions of an older client.",
    )
    .optional_body(),
    post(
        "/kilocode/session-import/project",
        "kilocode.sessionImport.project",
        "Imports a project record.",
    )
    .optional_body(),
    post(
        "/kilocode/session-import/session",
        "kilocode.sessionImport.session",
        "Imports a session record.",
    )
    .optional_body()
    .with_content(),
    post(
        "/kilocode/session-import/message",
        "kilocode.sessionImport.message",
        "Imports a message record.",
    )
    .optional_body()
    .with_content(),
    post(
        "/kilocode/session-import/part",
        "kilocode.sessionImport.part",
        "Imports a part record.",
    )
    .optional_body()
    .with_content(),
];
