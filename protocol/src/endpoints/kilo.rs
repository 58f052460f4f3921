//! The account: profile, organisation, cloud sessions, small models for completion.

use super::Operation;
use super::row::{get, post};

pub(super) static ROWS: &[Operation] = &[
    get(
        "/kilo/profile",
        "kilo.profile",
        "Gets the profile of the account.",
    )
    // Nobody is signed in (seen: real server 7.7.9 without an account).
    .absent_with(401, r#"{"_tag":"Unauthorized"}"#),
    get(
        "/kilo/auth-status",
        "kilo.authStatus",
        "Tells whether an account is signed in.",
    ),
    get(
        "/kilo/modes",
        "kilo.modes",
        "Lists the modes of the organisation.",
    )
    .absent(r#"{"modes":[]}"#),
    post(
        "/kilo/fim",
        "kilo.fim",
        "Completes code between a prefix and a suffix.",
    )
    .optional_body()
    .with_content()
    .sse(),
    post("/kilo/edit", "kilo.edit", "Proposes the next edit.")
        .optional_body()
        .with_content(),
    post(
        "/kilo/audio/transcriptions",
        "kilo.audio.transcriptions",
        "Turns speech into text.",
    )
    .optional_body()
    .with_content(),
    get(
        "/kilo/models/images",
        "kilo.models.images",
        "Lists the models that make images.",
    ),
    get(
        "/kilo/models/transcriptions",
        "kilo.models.transcriptions",
        "Lists the models that turn speech into text.",
    ),
    get(
        "/kilo/notifications",
        "kilo.notifications",
        "Lists the account's notices.",
    )
    .absent("[]"),
    post(
        "/kilo/organization",
        "kilo.organization.set",
        "Chooses the organisation in use.",
    )
    .optional_body(),
    get(
        "/kilo/cloud-sessions",
        "kilo.cloudSessions",
        "Lists the account's cloud sessions.",
    ),
    get(
        "/kilo/cloud/session/{id}",
        "kilo.cloud.session.get",
        "Gets a cloud session.",
    ),
    post(
        "/kilo/cloud/session/import",
        "kilo.cloud.session.import",
        "Copies a cloud session to this machine.",
    )
    .optional_body(),
];
