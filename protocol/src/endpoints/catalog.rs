//! What there is to choose from: providers, agents, commands, skills; and small generators of text.

use super::Operation;
use super::row::{delete, get, post, put};

pub(super) static ROWS: &[Operation] = &[
    // The key goes to a file of its own, never into the configuration, which people commit.
    put(
        "/auth/{providerID}",
        "auth.set",
        "Stores a provider's credentials.",
    )
    .optional_body(),
    delete(
        "/auth/{providerID}",
        "auth.remove",
        "Forgets a provider's credentials.",
    ),
    get("/command", "command.list", "Lists the commands."),
    get("/agent", "app.agents", "Lists the agents."),
    get("/skill", "app.skills", "Lists the skills."),
    // `?refresh=true` is ours: it fetches the list of models first.
    get(
        "/provider",
        "provider.list",
        "Lists the providers and their models.",
    ),
    get(
        "/provider/auth",
        "provider.auth",
        "Lists the ways to sign in to each provider.",
    ),
    post(
        "/provider/{providerID}/oauth/authorize",
        "provider.oauth.authorize",
        "Starts the sign-in of a provider.",
    )
    .optional_body(),
    post(
        "/provider/{providerID}/oauth/callback",
        "provider.oauth.callback",
        "Finishes the sign-in of a provider.",
    )
    .optional_body(),
    post(
        "/agent-builder/preview",
        "agentBuilder.preview",
        "Shows the agent file that a draft would give.",
    )
    .optional_body(),
    put(
        "/agent-builder/{id}",
        "agentBuilder.save",
        "Saves an agent file.",
    )
    .optional_body(),
    post(
        "/commit-message",
        "commitMessage.generate",
        "Proposes a commit message.",
    )
    .optional_body(),
    // A prompt may carry a whole file.
    post(
        "/enhance-prompt",
        "enhancePrompt.enhance",
        "Rewrites a prompt so that it says more.",
    )
    .optional_body()
    .with_content(),
];
