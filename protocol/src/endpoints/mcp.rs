//! MCP servers: state, sign-in, connection.

use super::Operation;
use super::row::{delete, get, post};

pub(super) static ROWS: &[Operation] = &[
    get(
        "/mcp",
        "mcp.status",
        "Lists the MCP servers and their state.",
    ),
    post(
        "/mcp",
        "mcp.add",
        "Adds an MCP server for the life of the instance.",
    )
    .optional_body(),
    post(
        "/mcp/{name}/auth",
        "mcp.auth.start",
        "Starts the sign-in of an MCP server.",
    ),
    delete(
        "/mcp/{name}/auth",
        "mcp.auth.remove",
        "Forgets the sign-in of an MCP server.",
    ),
    post(
        "/mcp/{name}/auth/callback",
        "mcp.auth.callback",
        "Finishes the sign-in of an MCP server with a code.",
    )
    .optional_body(),
    post(
        "/mcp/{name}/auth/authenticate",
        "mcp.auth.authenticate",
        "Signs in to an MCP server and waits for the result.",
    ),
    // Ours: the reference does not tell where a server comes from and what it costs.
    get(
        "/x/mcp",
        "x.mcp.list",
        "Lists the MCP servers with their origin, users and cost, and the project's `.mcp.json`.",
    ),
    post(
        "/mcp/{name}/connect",
        "mcp.connect",
        "Connects an MCP server.",
    ),
    post(
        "/mcp/{name}/disconnect",
        "mcp.disconnect",
        "Disconnects an MCP server.",
    ),
];
