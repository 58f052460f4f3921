//! Git: what of it runs programs, writes elsewhere, reads outside or talks to other machines.

use super::kind::Kind::{self, Connects, Reads, Runs, Writes};
use super::kind::Risk;
use super::table::{Options, Outcomes, is_short_for};
use crate::unwrap::{base_name, skip_options};
use crate::word::Word;

/// Git's own options that take the next word as their value.
const OWN_VALUES: [&str; 6] = [
    "--git-dir",
    "--work-tree",
    "--namespace",
    "--exec-path",
    "--config-env",
    "--attr-source",
];

/// Long options of any subcommand.
const LONG: &[(&str, Kind)] = &[
    ("--upload-pack", Runs),
    ("--receive-pack", Runs),
    ("--exec", Runs),
    ("--ext-diff", Runs),
    ("--extcmd", Runs),
    ("--tool", Runs),
    ("--open-files-in-pager", Runs),
    ("--template", Runs),
    ("--config", Runs),
    ("--env-filter", Runs),
    ("--tree-filter", Runs),
    ("--index-filter", Runs),
    ("--msg-filter", Runs),
    ("--commit-filter", Runs),
    ("--parent-filter", Runs),
    ("--tag-name-filter", Runs),
    ("--subdirectory-filter", Runs),
    ("--smtp-server", Runs),
    ("--sendmail-cmd", Runs),
    ("--output", Writes),
    ("--output-directory", Writes),
    ("--separate-git-dir", Writes),
    ("--export-marks", Writes),
    ("--unsafe-paths", Writes),
    ("--in-place", Writes),
    ("--no-index", Reads),
    ("--remote", Connects),
];
/// Subcommands, their risky letters, and letters with values.
type Letters = (
    &'static [&'static str],
    &'static [(char, Kind)],
    &'static str,
);

/// Letters of a subcommand, with those that take values.
const SHORT: &[Letters] = &[
    (&["clone"], &[('u', Runs), ('c', Runs)], "bjo"),
    (&["rebase"], &[('x', Runs)], "CXs"),
    (&["difftool", "mergetool"], &[('x', Runs), ('t', Runs)], "O"),
    (&["grep"], &[('O', Runs)], "ABCem"),
    (&["archive"], &[('o', Writes)], ""),
    (&["format-patch"], &[('o', Writes)], "USGLnv"),
    (
        &[
            "log",
            "show",
            "diff",
            "whatchanged",
            "reflog",
            "diff-tree",
            "diff-index",
            "diff-files",
            "range-diff",
        ],
        &[('O', Reads)],
        "GLSUlnBMC",
    ),
    (&["commit"], &[], "mCcSuFt"),
    (&["tag", "notes"], &[], "mCcuF"),
    (&["merge"], &[], "mXsSF"),
    (&["blame", "annotate"], &[], "LMCS"),
    (&["config"], &[('f', Runs), ('e', Runs)], ""),
    (&["fast-import", "bugreport"], &[('o', Writes)], ""),
    (&["ls-files"], &[], "x"),
];

/// Subcommands that do what no rule for git as a whole can mean.
const WHOLE: &[(&str, Kind)] = &[
    ("filter-branch", Runs),
    ("filter-repo", Runs),
    ("difftool", Runs),
    ("mergetool", Runs),
    ("instaweb", Runs),
    ("web--browse", Runs),
    ("send-email", Connects),
    ("imap-send", Connects),
    ("daemon", Connects),
    ("http-backend", Connects),
    ("shell", Runs),
    ("hook", Runs),
    ("gui", Runs),
    ("citool", Runs),
    ("gitk", Runs),
    ("p4", Connects),
    ("svn", Connects),
    ("cvsimport", Connects),
    ("cvsserver", Connects),
    ("upload-pack", Runs),
    ("receive-pack", Runs),
    ("remote-ext", Runs),
    ("remote-fd", Runs),
    ("remote-http", Connects),
    ("remote-https", Connects),
    ("upload-archive", Runs),
    ("credential", Reads),
    ("credential-store", Reads),
    ("credential-cache", Reads),
    ("maintenance", Runs),
    ("fsmonitor--daemon", Runs),
    ("scalar", Runs),
    ("fast-import", Writes),
    ("merge-file", Writes),
    ("merge-one-file", Writes),
    ("merge-index", Runs),
    ("interpret-trailers", Runs),
    ("for-each-repo", Runs),
    ("checkout-index", Writes),
    ("bugreport", Writes),
    ("diagnose", Writes),
    ("sh-setup", Runs),
    ("sh-i18n", Runs),
];

/// Subcommands that git brings along; any other is an alias, or a program called `git-…`.
const KNOWN: &[&str] = &[
    "add",
    "am",
    "annotate",
    "apply",
    "archive",
    "bisect",
    "blame",
    "branch",
    "bundle",
    "cat-file",
    "check-attr",
    "check-ignore",
    "check-mailmap",
    "check-ref-format",
    "checkout",
    "cherry",
    "cherry-pick",
    "clean",
    "clone",
    "column",
    "commit",
    "commit-graph",
    "commit-tree",
    "config",
    "count-objects",
    "describe",
    "diff",
    "diff-files",
    "diff-index",
    "diff-tree",
    "fast-export",
    "fetch",
    "fetch-pack",
    "fmt-merge-msg",
    "for-each-ref",
    "format-patch",
    "fsck",
    "gc",
    "get-tar-commit-id",
    "grep",
    "hash-object",
    "help",
    "index-pack",
    "init",
    "init-db",
    "log",
    "lfs",
    "ls-files",
    "ls-remote",
    "ls-tree",
    "mailinfo",
    "mailsplit",
    "merge",
    "merge-base",
    "merge-tree",
    "mktag",
    "mktree",
    "multi-pack-index",
    "mv",
    "name-rev",
    "notes",
    "pack-objects",
    "pack-redundant",
    "pack-refs",
    "patch-id",
    "prune",
    "prune-packed",
    "pull",
    "push",
    "range-diff",
    "read-tree",
    "rebase",
    "reflog",
    "refs",
    "remote",
    "repack",
    "replace",
    "replay",
    "request-pull",
    "rerere",
    "reset",
    "restore",
    "rev-list",
    "rev-parse",
    "revert",
    "rm",
    "send-pack",
    "shortlog",
    "show",
    "show-branch",
    "show-index",
    "show-ref",
    "sparse-checkout",
    "stage",
    "stash",
    "status",
    "stripspace",
    "submodule",
    "switch",
    "symbolic-ref",
    "tag",
    "unpack-file",
    "unpack-objects",
    "update-index",
    "update-ref",
    "update-server-info",
    "var",
    "verify-commit",
    "verify-pack",
    "verify-tag",
    "version",
    "whatchanged",
    "worktree",
    "write-tree",
];

/// Whether the command is git.
pub fn is_git(words: &[Word]) -> bool {
    let program = words.first().and_then(Word::literal);
    program.is_some_and(|program| base_name(&program) == "git")
}

/// The folder in which git looks for its repository, from where the command runs.
pub fn folder(words: &[Word]) -> Word {
    let mut folder = Word::quoted(".");
    let mut rest = words.iter().skip(1);
    while let Some(word) = rest.next().filter(|word| word.head().starts_with('-')) {
        if word.head() == "-C" {
            folder = rest.next().cloned().unwrap_or(folder);
        } else if OWN_VALUES.contains(&word.head()) || word.head() == "-c" {
            rest.next();
        }
    }
    folder
}

/// The risks of git's words.
pub fn risks(rest: &[Word], outcomes: Outcomes<'_>) -> Vec<Risk> {
    let after = skip_options(rest, "Cc", &OWN_VALUES);
    let own = rest.get(..rest.len() - after.len()).unwrap_or_default();
    let mut found = own_risks(own);
    let Some((subcommand, rest)) = after.split_first() else {
        return found;
    };
    let Some(name) = subcommand.literal() else {
        found.push(Risk::new(subcommand.source.clone(), Runs));
        return found;
    };
    if name.starts_with('-') {
        return found;
    }
    if let Some((_, kind)) = WHOLE.iter().find(|(whole, _)| *whole == name) {
        found.push(Risk::new(name.clone(), *kind));
    } else if !KNOWN.contains(&name.as_str()) {
        found.push(Risk::new(name.clone(), Runs));
    }
    found.extend(subcommand_risks(&name, rest));
    let short = SHORT
        .iter()
        .find(|(names, ..)| names.contains(&name.as_str()));
    let (short, values) = short.map_or((&[][..], "m"), |(_, short, values)| (*short, *values));
    let options = Options {
        names: &[],
        long: LONG,
        short,
        values,
    };
    found.extend(options.risks(rest, outcomes));
    found
}

/// `-c` names programs; `--git-dir` and its like another repository, whose configuration does.
fn own_risks(own: &[Word]) -> Vec<Risk> {
    let mut found = Vec::new();
    for word in own {
        let option = word.head().split('=').next().unwrap_or_default();
        let risky = option == "-c"
            || [
                "--config-env",
                "--exec-path",
                "--git-dir",
                "--work-tree",
                "--bare",
            ]
            .iter()
            .any(|long| is_short_for(option, long));
        // Alone it only prints the path.
        let only_prints = option == "--exec-path" && !word.head().contains('=');
        if risky && !only_prints {
            found.push(Risk::new(option, Runs));
        }
        if word.literal().is_none() && word.head().is_empty() {
            found.push(Risk::new(word.source.clone(), Runs));
        }
    }
    found
}

fn subcommand_risks(name: &str, rest: &[Word]) -> Vec<Risk> {
    let texts: Vec<String> = rest
        .iter()
        .map(|word| word.literal().unwrap_or_default())
        .collect();
    let plain: Vec<&str> = texts
        .iter()
        .map(String::as_str)
        .filter(|text| !text.starts_with('-'))
        .collect();
    let first = plain.first().copied().unwrap_or_default();
    let has = |option: &str| texts.iter().any(|text| text == option);
    let mut found = Vec::new();
    match (name, first) {
        ("bisect", "run") | ("submodule", "foreach") => found.push(Risk::new(first, Runs)),
        ("submodule", "add" | "set-url" | "set-branch") => found.push(Risk::new(first, Writes)),
        ("bundle", "create") => found.push(Risk::new(first, Writes)),
        ("lfs", "install" | "update" | "uninstall") => found.push(Risk::new(first, Runs)),
        ("rebase", _) if has("-i") || has("--interactive") => {}
        ("config", _) if !only_shows_settings(&texts, &plain) => {
            found.push(Risk::new("config", Runs));
        }
        _ => {}
    }
    // Addresses of the form `ext::COMMAND`; they run it.
    for text in &texts {
        if text.starts_with("ext::") || text.starts_with("fd::") {
            found.push(Risk::new(text.split("::").next().unwrap_or_default(), Runs));
        }
    }
    found
}

fn only_shows_settings(texts: &[String], plain: &[&str]) -> bool {
    let shows = [
        "--get",
        "--get-all",
        "--get-regexp",
        "--get-urlmatch",
        "--list",
        "-l",
    ];
    let changes = texts.iter().any(|text| {
        let long = [
            "--add",
            "--unset",
            "--unset-all",
            "--replace-all",
            "--rename-section",
            "--remove-section",
            "--edit",
            "--file",
            "--blob",
        ];
        long.iter()
            .any(|long| is_short_for(text.split('=').next().unwrap_or_default(), long))
            || matches!(text.as_str(), "-e" | "-f")
            || text.is_empty()
    });
    let asked = texts.iter().any(|text| shows.contains(&text.as_str()));
    let by_word = matches!(plain.first().copied(), Some("get" | "list"));
    !changes && (asked || by_word || plain.len() == 1)
}
