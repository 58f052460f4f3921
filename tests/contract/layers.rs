//! The layer rules, held up by the build's own words: `cargo metadata` says who depends on whom, the sources say who
//! names what. Each rule proves first that it can fail, on a sample that breaks it.
//!
//! I4 (no effect before its record) and I9's second half (children die with their owner) are about behaviour: the
//! session's simulation and the sandbox's own tests hold those up.

#[path = "layers/circles.rs"]
mod circles;
#[path = "layers/packages.rs"]
mod packages;
#[path = "layers/rule.rs"]
mod rule;
#[path = "layers/source.rs"]
mod source;

use packages::{Package, packages, root};
use rule::{On, Rule};
use source::sources;
use std::collections::BTreeSet;

// ---- who depends on whom ----

/// The workspace packages that each package may use, by its folder.
const ARROWS: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("protocol/sse", &[]),
    ("config", &["protocol"]),
    ("actors/ports", &["protocol"]),
    ("actors/pulse", &[]),
    ("actors/runtime", &["protocol", "config", "ports", "pulse"]),
    ("actors/shell", &["protocol", "config", "ports"]),
    ("actors/session", ASKING_PEERS),
    ("actors/store", SEAMS),
    (
        "actors/provider",
        &["protocol", "config", "ports", "runtime", "sse"],
    ),
    ("actors/tool", ASKING_PEERS),
    (
        "actors/mcp",
        &["protocol", "config", "ports", "runtime", "sse"],
    ),
    ("actors/sandbox", SEAMS),
    ("actors/terminal", SEAMS),
    ("actors/process", SEAMS),
    ("actors/watch", SEAMS),
    ("actors/files", SEAMS),
    ("actors/format", SEAMS),
    ("actors/lsp", SEAMS),
    ("actors/worktree", SEAMS),
    ("daemon/edge", &["protocol", "config", "pulse"]),
    (
        "daemon",
        &[
            "protocol", "config", "ports", "runtime", "session", "store", "provider", "tool",
            "shell", "sandbox", "terminal", "process", "watch", "files", "format", "lsp", "mcp",
            "worktree", "edge",
        ],
    ),
    ("clients/client", &["protocol", "sse"]),
    ("clients/cli", &["protocol", "config", "client", "daemon"]),
    ("tests", &["protocol", "sse", "config", "client", "daemon"]),
];
/// What a peer may use: never another peer.
const SEAMS: &[&str] = &["protocol", "config", "ports", "runtime"];
/// Peers that judge shell texts: the library that does it lies below them.
const ASKING_PEERS: &[&str] = &["protocol", "config", "ports", "runtime", "shell"];
/// What a cloud service may use: it reaches an engine only as any client does (I6).
const SERVICE: &[&str] = &["protocol", "config", "edge", "client", "kit"];
/// What tests of a peer may use besides: the fakes come with `ports`, commands run in the real sandbox,
/// sessions in the store in memory, and the daemon's
/// own tests stand on the harness of the whole-program tests.
const IN_TESTS: &[(&str, &str)] = &[
    ("actors/tool", "sandbox"),
    ("actors/tool", "files"),
    ("actors/format", "sandbox"),
    ("actors/terminal", "sandbox"),
    ("actors/worktree", "sandbox"),
    ("actors/process", "sandbox"),
    ("actors/lsp", "sandbox"),
    ("actors/session", "store"),
    ("daemon", "tests"),
];

/// What is wrong with a package's arrows.
fn wrong_arrows(package: &Package) -> Vec<String> {
    let folder = package.folder.as_str();
    let allowed = match ARROWS.iter().find(|(name, _)| *name == folder) {
        Some((_, allowed)) => *allowed,
        None if folder.starts_with("daemon/services/") => SERVICE,
        None => {
            return vec![format!(
                "{folder} has no row in ARROWS: say what it may use"
            )];
        }
    };
    let mut wrong = Vec::new();
    for dependency in package
        .dependencies
        .iter()
        .filter(|dependency| dependency.is_ours)
    {
        let name = dependency.name.trim_start_matches("kilo-");
        let in_tests = dependency.is_dev && IN_TESTS.contains(&(folder, name));
        if !allowed.contains(&name) && !in_tests {
            wrong.push(format!("{folder} must not use {name}"));
        }
    }
    wrong
}

#[test]
fn i1_to_i6_arrows_point_down_and_peers_never_name_each_other() {
    let sample = |folder: &str, uses: &str| wrong_arrows(&Package::sample(folder, &[(uses, true)]));
    assert!(!sample("protocol", "kilo-config").is_empty());
    assert!(!sample("actors/store", "kilo-session").is_empty());
    assert!(!sample("daemon/edge", "kilo-runtime").is_empty());
    assert!(!sample("daemon/services/gateway", "kilo-session").is_empty());
    assert!(!sample("actors/unheard-of", "kilo-ports").is_empty());
    assert!(sample("daemon/services/gateway", "kilo-client").is_empty());

    let packages = packages();
    assert!(
        packages.len() >= ARROWS.len(),
        "only {} packages were found",
        packages.len()
    );
    let wrong: Vec<String> = packages.iter().flat_map(wrong_arrows).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Crates that do I/O, or that only certain packages may use.
const FENCED: &[(&str, &[&str])] = &[
    ("actix", &["actors/runtime", "actors/session", "daemon"]),
    ("actix-rt", &["actors/runtime", "actors/session", "daemon"]),
    ("actix-web", &["daemon/edge", "daemon"]),
    ("actix-ws", &["daemon/edge", "daemon"]),
    ("sled", &["actors/store"]),
    ("git2", &["actors/worktree"]),
    ("libc", &["actors/sandbox"]),
    ("rmcp", &["actors/mcp"]),
];
/// What `protocol` must never use (I1).
const IO: &[&str] = &[
    "tokio",
    "tokio-util",
    "reqwest",
    "rustix",
    "libc",
    "futures-util",
    "hyper",
    "tracing-subscriber",
];

fn wrong_crates(package: &Package) -> Vec<String> {
    let folder = package.folder.as_str();
    let mut wrong = Vec::new();
    for dependency in &package.dependencies {
        let name = dependency.name.as_str();
        let fence = FENCED.iter().find(|(fenced, _)| *fenced == name);
        if fence.is_some_and(|(_, inside)| !inside.contains(&folder)) {
            wrong.push(format!("{folder} must not use {name}"));
        }
        if folder == "protocol" && IO.contains(&name) {
            wrong.push(format!("protocol must not use {name}: it does no I/O"));
        }
    }
    wrong
}

#[test]
fn i1_i2_protocol_does_no_io_and_actors_servers_and_stores_stay_in_their_crates() {
    for (folder, name) in [
        ("protocol", "tokio"),
        ("actors/tool", "actix"),
        ("actors/session", "actix-web"),
    ] {
        assert!(
            !wrong_crates(&Package::sample(folder, &[(name, false)])).is_empty(),
            "{folder} may use {name}"
        );
    }
    let wrong: Vec<String> = packages().iter().flat_map(wrong_crates).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What is wrong with a manifest's text: versions, lints and dependencies come from the workspace.
fn wrong_manifest(folder: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut section = "";
    let mut lints = BTreeSet::new();
    for line in text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        if line.starts_with('[') {
            section = line;
            continue;
        }
        let from_workspace = line.contains("workspace = true");
        if section.ends_with("dependencies]") && !from_workspace {
            wrong.push(format!("{folder}: {line}"));
        }
        if section == "[package]" && !line.starts_with("name") && !from_workspace {
            wrong.push(format!("{folder}: {line}"));
        }
        if section == "[lints]" && from_workspace {
            lints.insert("workspace");
        }
    }
    // The one crate that may hold unsafe code sets its own lints.
    if lints.is_empty() && folder != "actors/sandbox" {
        wrong.push(format!("{folder}: lints are not the workspace's"));
    }
    wrong
}

#[test]
fn manifests_take_versions_lints_and_dependencies_from_the_workspace() {
    let good = "[package]\nname = \"a\"\nversion.workspace = true\n[lints]\nworkspace = true\n[dependencies]\nserde.workspace = true\n";
    assert!(wrong_manifest("a", good).is_empty());
    assert!(
        !wrong_manifest(
            "a",
            &good.replace("serde.workspace = true", "serde = \"1\"")
        )
        .is_empty()
    );
    assert!(
        !wrong_manifest(
            "a",
            &good.replace("version.workspace = true", "version = \"1\"")
        )
        .is_empty()
    );
    assert!(!wrong_manifest("a", &good.replace("[lints]", "[features]")).is_empty());

    let wrong: Vec<String> = packages()
        .iter()
        .flat_map(|package| wrong_manifest(&package.folder, &package.manifest))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

// ---- who names what ----

#[test]
fn i1_protocol_touches_no_file_socket_process_or_clock() {
    Rule {
        says: "protocol only names shapes",
        looks_at: |path| path.starts_with("protocol/src/"),
        finds: r"\bstd::(fs|net|process|thread|env)\b|\basync\b|\bSystemTime\b|\bInstant\b",
        on: On::Code,
        but_not: &[],
        breaks: "let text = std::fs::read_to_string(path)?;",
    }
    .holds();
}

#[test]
fn i2_actix_is_named_only_where_actors_live() {
    Rule {
        says: "actix is named only in the runtime, in the session's actor, its messages and what finds and feeds it, and in the daemon",
        looks_at: |path| !path.starts_with("actors/runtime/") && !path.starts_with("daemon/src/"),
        finds: r"\bactix(_rt)?\b",
        on: On::Code,
        but_not: &[
            "actors/session/src/actor.rs",
            "actors/session/src/actor/handlers.rs",
            "actors/session/src/actor/stream.rs",
            "actors/session/src/actors.rs",
            "actors/session/src/message.rs",
            "actors/session/src/runner.rs",
            "actors/session/src/scope.rs",
        ],
        breaks: "use actix::prelude::*;",
    }
    .holds();
}

#[test]
fn i2_actix_web_is_named_only_where_http_is_served() {
    Rule {
        says: "actix-web and actix-ws are named only in edge and daemon",
        looks_at: |path| !path.starts_with("daemon/"),
        finds: r"\bactix_(web|ws|http)\b",
        on: On::Code,
        but_not: &[],
        breaks: "use actix_web::HttpRequest;",
    }
    .holds();
}

#[test]
fn i3_the_machine_and_the_fold_are_pure() {
    const PURE: [&str; 8] = [
        "machine.rs",
        "machine/",
        "apply.rs",
        "state.rs",
        "stored.rs",
        "record.rs",
        "input.rs",
        "conversation.rs",
    ];
    Rule {
        says: "no async, no clock, no chance, no thread and no wire event in the machine and the fold",
        looks_at: |path| {
            let file = path.strip_prefix("actors/session/src/");
            file.is_some_and(|file| PURE.iter().any(|pure| file.starts_with(pure)))
        },
        finds: r"\basync\b|\.await\b|\btokio\b|\bactix\b|\bSystemTime\b|\bInstant\b|\bClock\b|\brand\b|\bstd::(fs|net|thread|process|env)\b|\bMutex\b|\bRwLock\b|\bFrame\b|\bkilo_protocol::event\b",
        on: On::Code,
        but_not: &[],
        breaks: "let now = SystemTime::now();",
    }
    .holds();
}

#[test]
fn i3_only_project_names_wire_events() {
    Rule {
        says: "project.rs is the one file of the session that writes the names of events",
        looks_at: |path| path.starts_with("actors/session/src/"),
        finds: r"\b(session|message|permission|question|todo|file)\.(created|updated|deleted|removed|part|turn|status|idle|error|queue|asked|replied|rejected|diff|network|compacted|drain|drained|edited)\b",
        on: On::Strings,
        but_not: &["actors/session/src/project.rs"],
        breaks: r#"let name = "session.updated";"#,
    }
    .holds();
}

#[test]
fn i5_handlers_hold_no_state_and_take_no_lock() {
    Rule {
        says: "a handler group only calls",
        looks_at: |path| path.starts_with("daemon/src/groups/"),
        finds: r"\bMutex\b|\bRwLock\b|\.lock\(|\bstatic\s+[A-Z_]+\s*:|\bOnceLock\b|\bLazyLock\b|\bthread_local\b",
        on: On::Code,
        but_not: &[],
        breaks: "static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());",
    }
    .holds();
}

/// What a handler wants of a body stands in a type of `protocol/src/requests/`, where reviewers and clients see it.
#[test]
fn handlers_and_clients_speak_in_the_types_of_the_contract() {
    Rule {
        says: "a handler reads a body into a type of protocol, never into JSON",
        looks_at: |path| path.starts_with("daemon/src/groups"),
        finds: r"request\.json::<|request\.value\(|: *(serde_json::)?(Value|Map<String, *(serde_json::)?Value>) *= *request\b",
        on: On::Code,
        but_not: &[],
        breaks: "let body: Value = request.json()?;",
    }
    .holds();
    Rule {
        says: "the Rust client writes bodies as types of protocol",
        looks_at: |path| path.starts_with("clients/client/src/"),
        finds: r"\bjson!\(",
        on: On::Code,
        but_not: &[],
        breaks: r#"let body = json!({"token": token});"#,
    }
    .holds();
    Rule {
        says: "what is published is a variant of the one enum of events",
        looks_at: |path| path.starts_with("daemon/src/"),
        finds: r"\bEvent::Other\b",
        on: On::Code,
        but_not: &[],
        breaks: "let event = Event::Other { name, properties };",
    }
    .holds();
}

#[test]
fn i7_only_config_reads_the_environment_and_the_current_directory() {
    Rule {
        says: "environment, home and current directory are read in config alone",
        looks_at: |path| !path.starts_with("config/src/"),
        finds: r"\benv::(vars?(_os)?|current_dir|set_current_dir|set_var|remove_var|home_dir|temp_dir)\b",
        on: On::Code,
        but_not: &[],
        breaks: r#"let home = std::env::var("HOME");"#,
    }
    .holds();
}

#[test]
fn i8_no_queue_is_without_a_bound() {
    Rule {
        says: "do_send ignores a mailbox's bound, and an unbounded channel has none",
        looks_at: |path| !path.starts_with("actors/runtime/"),
        finds: r"\bdo_send\b|\bunbounded(_channel)?\b|\bUnbounded(Sender|Receiver)\b",
        on: On::Code,
        but_not: &[],
        breaks: "actor.do_send(Stop);",
    }
    .holds();
}

#[test]
fn i9_children_belong_to_the_sandbox() {
    Rule {
        says: "processes are started in the sandbox; the command line starts only the daemon, which is itself",
        looks_at: |path| !path.starts_with("actors/sandbox/"),
        finds: r"\bCommand::new\b|\bfork\(\)|\bposix_spawn\b",
        on: On::Code,
        but_not: &["clients/cli/src/command/daemon.rs"],
        breaks: r#"let git = Command::new("git");"#,
    }
    .holds();
}

#[test]
fn i10_unsafe_code_stays_in_the_sandbox() {
    Rule {
        says: "only the sandbox holds unsafe code, and nobody allows it to himself",
        looks_at: |path| !path.starts_with("actors/sandbox/"),
        finds: r"\bunsafe\b|\ballow\(\s*unsafe_code",
        on: On::Code,
        but_not: &[],
        breaks: "unsafe { libc::getpid() }",
    }
    .holds();
}

/// A file that is read needs those that it uses, and not those that use it.
#[test]
fn no_files_of_a_crate_use_one_another_in_a_circle() {
    let packages = packages();
    let sources = sources(&root(), &packages);
    let mut found = BTreeSet::new();
    for package in packages.iter().filter(|package| package.folder != "tests") {
        let src = format!("{}/src/", package.folder);
        let files: Vec<(String, String)> = sources
            .iter()
            .filter_map(|(path, text)| Some((path.strip_prefix(&src)?.to_string(), text.clone())))
            .collect();
        assert!(!files.is_empty(), "{src} has no sources");
        let circles = circles::circles(&files).into_iter();
        found.extend(circles.map(|circle| (package.folder.clone(), circle)));
    }
    assert!(found.is_empty(), "files that use one another: {found:#?}");
}
