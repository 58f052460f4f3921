//! Configuration: merged, by source, and what lies over it.

use super::Operation;
use super::row::{get, patch, put};

pub(super) static ROWS: &[Operation] = &[
    get(
        "/config",
        "config.get",
        "Gets the merged configuration of a directory.",
    ),
    // The handler checks it, not the contract: a null takes a key away, whatever the key's type is.
    patch(
        "/config",
        "config.update",
        "Changes the project's configuration file.",
    )
    .optional_body(),
    // Beside the configuration and not in it: clients keep what they get and send it back.
    get(
        "/config/warnings",
        "config.warnings",
        "Lists what is wrong in the configuration files.",
    ),
    get(
        "/config/providers",
        "config.providers",
        "Lists the configured providers and their default models.",
    ),
    get(
        "/config/overlay",
        "config.overlay",
        "Gets the settings laid over the configuration files.",
    ),
    patch(
        "/config/overlay",
        "config.overlayUpdate",
        "Changes the settings laid over the configuration files.",
    )
    .optional_body(),
    get(
        "/config/sources",
        "config.sources",
        "Lists the configuration files in their order.",
    ),
    get(
        "/config/effective",
        "config.effective",
        "Gets the configuration that is in effect.",
    ),
    get(
        "/config/rules",
        "config.rules",
        "Gets the project's rules file.",
    ),
    put(
        "/config/rules",
        "config.rulesUpdate",
        "Replaces the project's rules file.",
    )
    .optional_body()
    .with_content(),
    get(
        "/config/model-state",
        "config.modelState",
        "Gets recent and favourite models.",
    ),
    patch(
        "/config/model-state",
        "config.modelStateUpdate",
        "Changes recent and favourite models.",
    )
    .optional_body(),
];
