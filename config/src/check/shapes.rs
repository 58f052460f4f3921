//! The table of keys. A key that is not here is left alone.

use super::Shape::{self, *};

type Fields = &'static [(&'static str, Shape)];

const TEXTS: Shape = List(&Text);
const TEXT_MAP: Shape = Map(&Text);
const FLAG_MAP: Shape = Map(&Flag);
/// The words of a rule.
pub(super) const ACTIONS: &[&str] = &["ask", "allow", "deny"];
const PERMISSION: Shape = Either(&[
    OneOf(ACTIONS),
    Map(&Either(&[OneOf(ACTIONS), Map(&Action)])),
]);
const REFERENCES: Shape = Map(&Either(&[Text, Map(&Any)]));

/// The configuration.
pub(super) const ROOT: Fields = &[
    ("$schema", Text),
    ("shell", Text),
    ("logLevel", OneOf(&["DEBUG", "INFO", "WARN", "ERROR"])),
    ("server", Shape::Fields(SERVER)),
    ("command", Map(&Shape::Fields(COMMAND))),
    (
        "skills",
        Shape::Fields(&[("paths", TEXTS), ("urls", TEXTS)]),
    ),
    ("reference", REFERENCES),
    ("references", REFERENCES),
    ("watcher", Shape::Fields(&[("ignore", TEXTS)])),
    ("snapshot", Flag),
    ("worktree", Shape::Fields(WORKTREE)),
    (
        "session",
        Shape::Fields(&[("resume", OneOf(&["auto", "ask", "off"]))]),
    ),
    (
        "retention",
        Shape::Fields(&[("enabled", Flag), ("maxAgeDays", Number)]),
    ),
    ("plugin", List(&Either(&[Text, List(&Any)]))),
    ("share", OneOf(&["manual", "auto", "disabled"])),
    ("autoshare", Flag),
    ("autoupdate", Either(&[Flag, OneOf(&["notify"])])),
    ("disabled_providers", TEXTS),
    ("enabled_providers", TEXTS),
    ("remote_control", Flag),
    ("shared_agent_board", Flag),
    ("indexing", Map(&Any)),
    ("privacy_mode", Flag),
    ("sandbox", Shape::Fields(SANDBOX)),
    ("model", Text),
    ("small_model", Text),
    ("subagent_model", Text),
    ("subagent_variant", Text),
    ("subagent_variant_overrides", TEXT_MAP),
    ("subagent_depth", Integer(0)),
    ("default_agent", Text),
    ("username", Text),
    ("mode", Map(&Shape::Open(AGENT))),
    ("agent", Map(&Shape::Open(AGENT))),
    ("provider", Map(&Shape::Fields(PROVIDER))),
    ("mcp", Map(&Shape::Fields(MCP))),
    ("formatter", Either(&[Flag, Map(&Shape::Fields(FORMATTER))])),
    ("lsp", Either(&[Flag, Map(&Shape::Fields(LSP))])),
    ("instructions", TEXTS),
    ("permission", PERMISSION),
    ("tools", FLAG_MAP),
    ("web_search", Flag),
    ("enterprise", Shape::Fields(&[("url", Text)])),
    ("commit_message", Shape::Fields(&[("prompt", Text)])),
    (
        "tool_output",
        Shape::Fields(&[("max_lines", Integer(1)), ("max_bytes", Integer(1))]),
    ),
    ("compaction", Shape::Fields(COMPACTION)),
    ("experimental", Map(&Any)),
    // Wishes about how clients look: theirs to read, kept for them.
    ("attachment", Any),
    ("auto_collapse_reasoning", Any),
    ("code_edit_display", Any),
    ("console", Any),
    ("hide_prompt_training_models", Any),
    ("layout", Any),
    ("mcp_tool_display", Any),
    ("reasoning_display", Any),
    ("terminal_command_display", Any),
];

const WORKTREE: Fields = &[
    ("copy", TEXTS),
    ("folders", TEXTS),
    ("link", OneOf(&["reflink", "hardlink"])),
    ("setup_timeout", Integer(1)),
];

const SERVER: Fields = &[
    ("port", Integer(1)),
    ("hostname", Text),
    ("mdns", Flag),
    ("mdnsDomain", Text),
    ("cors", TEXTS),
];

const COMMAND: Fields = &[
    ("template", Text),
    ("description", Text),
    ("agent", Text),
    ("model", Text),
    ("variant", Text),
    ("subtask", Flag),
];

const SANDBOX: Fields = &[
    ("enabled", Flag),
    ("network", OneOf(&["allow", "deny"])),
    ("writable_paths", TEXTS),
    ("allowed_hosts", TEXTS),
];

const AGENT: Fields = &[
    ("model", Text),
    ("variant", Text),
    ("temperature", Number),
    ("top_p", Number),
    ("prompt", Text),
    ("tools", FLAG_MAP),
    ("disable", Flag),
    ("description", Text),
    ("mode", OneOf(&["subagent", "primary", "all"])),
    ("displayName", Text),
    ("source", Text),
    ("hidden", Flag),
    ("options", Map(&Any)),
    ("color", Colour),
    ("steps", Integer(1)),
    ("maxSteps", Integer(1)),
    ("permission", PERMISSION),
];

const PROVIDER: Fields = &[
    ("api", Text),
    ("name", Text),
    ("env", TEXTS),
    ("id", Text),
    ("npm", Text),
    ("whitelist", TEXTS),
    ("blacklist", TEXTS),
    ("options", Shape::Open(PROVIDER_OPTIONS)),
    ("models", Map(&Shape::Fields(MODEL))),
];

const TIMEOUT: Shape = Either(&[Integer(1), Flag]);

const PROVIDER_OPTIONS: Fields = &[
    ("apiKey", Text),
    ("baseURL", Text),
    ("enterpriseUrl", Text),
    ("setCacheKey", Flag),
    ("timeout", TIMEOUT),
    ("headerTimeout", TIMEOUT),
    ("chunkTimeout", Integer(1)),
];

const MODALITIES: Shape = List(&OneOf(&["text", "audio", "image", "video", "pdf"]));

const MODEL: Fields = &[
    ("id", Text),
    ("name", Text),
    ("family", Text),
    ("release_date", Text),
    ("attachment", Flag),
    ("reasoning", Flag),
    ("temperature", Flag),
    ("tool_call", Flag),
    ("interleaved", Either(&[Flag, Text, Map(&Any)])),
    ("cost", Shape::Fields(COST)),
    (
        "limit",
        Shape::Fields(&[("context", Number), ("input", Number), ("output", Number)]),
    ),
    (
        "modalities",
        Shape::Fields(&[("input", MODALITIES), ("output", MODALITIES)]),
    ),
    ("experimental", Flag),
    ("status", OneOf(&["alpha", "beta", "deprecated", "active"])),
    ("provider", Shape::Fields(&[("npm", Text), ("api", Text)])),
    ("options", Map(&Any)),
    ("headers", TEXT_MAP),
    ("variants", Map(&Map(&Any))),
];

const COST: Fields = &[
    ("input", Number),
    ("output", Number),
    ("cache_read", Number),
    ("cache_write", Number),
];

const MCP: Fields = &[
    ("type", OneOf(&["local", "remote"])),
    ("command", TEXTS),
    ("environment", TEXT_MAP),
    ("env", TEXT_MAP),
    ("cwd", Text),
    ("url", Text),
    ("headers", TEXT_MAP),
    ("oauth", Either(&[Flag, Map(&Any)])),
    ("enabled", Flag),
    ("timeout", Integer(1)),
];

const FORMATTER: Fields = &[
    ("disabled", Flag),
    ("command", TEXTS),
    ("environment", TEXT_MAP),
    ("extensions", TEXTS),
];

const LSP: Fields = &[
    ("command", TEXTS),
    ("extensions", TEXTS),
    ("disabled", Flag),
    ("env", TEXT_MAP),
    ("initialization", Map(&Any)),
    ("memory_mb", Integer(1)),
];

const COMPACTION: Fields = &[
    ("auto", Flag),
    ("threshold_percent", Number),
    ("prune", Flag),
    ("tail_turns", Integer(0)),
    ("preserve_recent_tokens", Integer(0)),
    ("reserved", Integer(0)),
];
