//! A directory: files, version control, project, processes, language servers, index, isolation.

use super::Operation;
use super::row::{get, patch, post, put};

pub(super) static ROWS: &[Operation] = &[
    get(
        "/find",
        "find.text",
        "Searches file contents for a pattern.",
    ),
    get("/find/file", "find.files", "Searches file names."),
    get("/find/symbol", "find.symbols", "Searches symbols by name."),
    get("/file", "file.list", "Lists a folder."),
    get("/file/content", "file.read", "Reads a file."),
    get(
        "/file/status",
        "file.status",
        "Lists files that differ from the last commit.",
    ),
    // Clients ask this first: it tells them which folder the daemon took their directory for.
    get("/path", "path.get", "Tells the folders in use."),
    get("/vcs", "vcs.get", "Tells the branch of the repository."),
    get(
        "/vcs/status",
        "vcs.status",
        "Lists changed files of the repository.",
    ),
    get(
        "/vcs/diff",
        "vcs.diff",
        "Gets the changes of the repository file by file.",
    ),
    // For programs; `vcs.diff` has the same in pieces that a client can fold.
    get(
        "/vcs/diff/raw",
        "vcs.diff.raw",
        "Gets the changes of the repository as one patch.",
    ),
    post(
        "/vcs/apply",
        "vcs.apply",
        "Applies a patch to the working tree.",
    )
    .optional_body()
    .with_content(),
    get(
        "/lsp",
        "lsp.status",
        "Lists the language servers and their state.",
    ),
    get(
        "/formatter",
        "formatter.status",
        "Lists the formatters and their state.",
    ),
    get("/project", "project.list", "Lists the known projects."),
    get(
        "/project/current",
        "project.current",
        "Gets the project of a directory.",
    ),
    post(
        "/project/git/init",
        "project.initGit",
        "Makes a repository in the directory.",
    ),
    patch(
        "/project/{projectID}",
        "project.update",
        "Changes a project's name, icon or commands.",
    )
    .optional_body(),
    get(
        "/project/{projectID}/directories",
        "project.directories",
        "Lists the directories of a project.",
    ),
    get(
        "/background-process",
        "backgroundProcess.list",
        "Lists the background processes.",
    ),
    get(
        "/background-process/{processID}",
        "backgroundProcess.get",
        "Gets a background process.",
    ),
    get(
        "/background-process/{processID}/logs",
        "backgroundProcess.logs",
        "Gets the output of a background process.",
    ),
    post(
        "/background-process/{processID}/stop",
        "backgroundProcess.stop",
        "Stops a background process.",
    ),
    post(
        "/background-process/{processID}/restart",
        "backgroundProcess.restart",
        "Starts a background process again.",
    ),
    post(
        "/background-process/session/{sessionID}/stop",
        "backgroundProcess.stopSession",
        "Stops the background processes of a session.",
    ),
    get(
        "/indexing/status",
        "indexing.status",
        "Tells how far the code index is.",
    )
    .absent(
        r#"{"state":"Disabled","message":"Indexing disabled.","processedFiles":0,"totalFiles":0,"percent":0}"#,
    ),
    get(
        "/indexing/warnings",
        "indexing.warnings",
        "Lists the troubles of the code index.",
    )
    .absent("[]"),
    get(
        "/indexing/models",
        "indexing.models",
        "Lists the models that the code index can use.",
    ),
    put(
        "/indexing/consent",
        "indexing.consent",
        "Records whether the project may be indexed.",
    )
    .optional_body(),
    get(
        "/sandbox/support",
        "sandbox.support",
        "Tells which isolation this machine offers.",
    )
    .described_as_absent(),
];
