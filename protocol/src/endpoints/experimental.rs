//! Routes that may still change: worktrees, workspaces, copies of projects, the console account.

use super::Operation;
use super::row::{delete, get, post};

pub(super) static ROWS: &[Operation] = &[
    post(
        "/experimental/control-plane/move-session",
        "experimental.controlPlane.moveSession",
        "Moves a session to another directory.",
    )
    .optional_body(),
    get(
        "/experimental/capabilities",
        "experimental.capabilities.get",
        "Tells which optional features are on.",
    )
    .absent(r#"{"backgroundSubagents":false}"#),
    get(
        "/experimental/console",
        "experimental.console.get",
        "Gets the console account in use.",
    )
    .absent(r#"{"consoleManagedProviders":[],"switchableOrgCount":0}"#),
    get(
        "/experimental/console/orgs",
        "experimental.console.listOrgs",
        "Lists the organisations of the console account.",
    )
    .absent(r#"{"orgs":[]}"#),
    post(
        "/experimental/console/switch",
        "experimental.console.switchOrg",
        "Changes the organisation of the console account.",
    )
    .optional_body(),
    get(
        "/experimental/tool",
        "tool.list",
        "Lists the tools of a model with their parameters.",
    ),
    get(
        "/experimental/tool/ids",
        "tool.ids",
        "Lists the names of all tools.",
    ),
    get(
        "/experimental/worktree",
        "worktree.list",
        "Lists the project's worktrees.",
    ),
    post(
        "/experimental/worktree",
        "worktree.create",
        "Makes a worktree with a branch of its own.",
    )
    .optional_body(),
    delete(
        "/experimental/worktree",
        "worktree.remove",
        "Deletes a worktree and its branch.",
    )
    .optional_body(),
    post(
        "/experimental/worktree/reset",
        "worktree.reset",
        "Takes a worktree back to its base.",
    )
    .optional_body(),
    get(
        "/experimental/worktree/diff",
        "worktree.diff",
        "Gets the changes of a worktree against its base.",
    ),
    get(
        "/experimental/worktree/diff/summary",
        "worktree.diffSummary",
        "Gets the changed files of a worktree, without their text.",
    ),
    get(
        "/experimental/worktree/diff/file",
        "worktree.diffFile",
        "Gets the change of one file of a worktree.",
    ),
    // Of all projects, for a client that is in none; `session.list` is of one.
    get(
        "/experimental/session",
        "experimental.session.list",
        "Lists the sessions of all projects.",
    ),
    post(
        "/experimental/session/{sessionID}/background",
        "experimental.session.background",
        "Lets a running session go on in the background.",
    ),
    get(
        "/experimental/resource",
        "experimental.resource.list",
        "Lists the resources of the MCP servers.",
    ),
    post(
        "/experimental/resource/read",
        "mcp.readResource",
        "Reads a resource of an MCP server.",
    )
    .optional_body(),
    // For a client's own buttons: no model and no session is asked.
    post(
        "/experimental/mcp/call-tool",
        "mcp.callTool",
        "Calls a tool of an MCP server.",
    )
    .optional_body()
    .with_content(),
    post(
        "/experimental/project/{projectID}/copy/generate-name",
        "experimental.projectCopy.generateName",
        "Proposes a name for a copy of a project.",
    )
    .optional_body(),
    get(
        "/experimental/workspace/adapter",
        "experimental.workspace.adapter.list",
        "Lists the kinds of workspaces.",
    )
    .absent("[]"),
    get(
        "/experimental/workspace",
        "experimental.workspace.list",
        "Lists the workspaces of the project.",
    )
    .absent("[]"),
    post(
        "/experimental/workspace",
        "experimental.workspace.create",
        "Makes a workspace.",
    )
    .optional_body(),
    post(
        "/experimental/workspace/sync-list",
        "experimental.workspace.syncList",
        "Brings the list of workspaces up to date.",
    ),
    get(
        "/experimental/workspace/status",
        "experimental.workspace.status",
        "Lists the state of each workspace.",
    )
    .absent("[]"),
    delete(
        "/experimental/workspace/{id}",
        "experimental.workspace.remove",
        "Deletes a workspace.",
    ),
    post(
        "/experimental/workspace/warp",
        "experimental.workspace.warp",
        "Moves a session into a workspace.",
    )
    .optional_body(),
    post(
        "/experimental/project/{projectID}/copy",
        "v2.projectCopy.create",
        "Makes a copy of a project's folder.",
    )
    .optional_body(),
    delete(
        "/experimental/project/{projectID}/copy",
        "v2.projectCopy.remove",
        "Deletes a copy of a project's folder.",
    )
    .optional_body(),
    post(
        "/experimental/project/{projectID}/copy/refresh",
        "v2.projectCopy.refresh",
        "Brings the list of copies up to date.",
    ),
];
