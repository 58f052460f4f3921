//! Commands inside commands: `sudo rm x`, `find -exec`, `bash -c '...'`, `eval`.

use crate::word::Word;

/// What a command runs besides itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inner {
    /// A command; the outer one adds nothing of its own.
    Transparent(Vec<Word>),
    /// A command; the outer one matters too.
    Command(Vec<Word>),
    /// Several commands.
    Commands(Vec<Vec<Word>>),
    /// A text that a new shell runs.
    Text(String),
    /// A text that the same shell runs.
    Here(String),
}

/// How a program takes the command that it runs: letters and names of its options with values, and the number of its
/// own operands before the command.
struct Form {
    names: &'static [&'static str],
    letters: &'static str,
    long: &'static [&'static str],
    operands: usize,
    transparent: bool,
}

const FORMS: &[Form] = &[
    Form {
        names: &["time"],
        letters: "fo",
        long: &["--format", "--output"],
        operands: 0,
        transparent: true,
    },
    Form {
        names: &[
            "nohup", "builtin", "exec", "command", "setsid", "coproc", "chronic",
        ],
        letters: "a",
        long: &[],
        operands: 0,
        transparent: true,
    },
    Form {
        names: &["nice"],
        letters: "n",
        long: &["--adjustment"],
        operands: 0,
        transparent: true,
    },
    Form {
        names: &["ionice"],
        letters: "cn",
        long: &["--class", "--classdata"],
        operands: 0,
        transparent: true,
    },
    Form {
        names: &["timeout"],
        letters: "ks",
        long: &["--kill-after", "--signal"],
        operands: 1,
        transparent: true,
    },
    Form {
        names: &["stdbuf"],
        letters: "ioe",
        long: &["--input", "--output", "--error"],
        operands: 0,
        transparent: true,
    },
    Form {
        names: &["env"],
        letters: "uC",
        long: &["--unset", "--chdir"],
        operands: 0,
        transparent: true,
    },
    Form {
        names: &["sudo"],
        letters: "ugpCcrtThDRU",
        long: &[
            "--user", "--group", "--prompt", "--chdir", "--host", "--role", "--type", "--chroot",
        ],
        operands: 0,
        transparent: false,
    },
    Form {
        names: &["doas"],
        letters: "uC",
        long: &[],
        operands: 0,
        transparent: false,
    },
    Form {
        names: &["xargs"],
        letters: "adEILnPs",
        long: &[
            "--arg-file",
            "--delimiter",
            "--max-args",
            "--max-procs",
            "--max-lines",
            "--max-chars",
        ],
        operands: 0,
        transparent: false,
    },
    Form {
        names: &["strace", "ltrace"],
        letters: "oepsufaEIOPSUXb",
        long: &[],
        operands: 0,
        transparent: false,
    },
    Form {
        names: &["chroot"],
        letters: "",
        long: &[],
        operands: 1,
        transparent: false,
    },
    Form {
        names: &[
            "unshare",
            "systemd-run",
            "busybox",
            "toybox",
            "proot",
            "parallel",
            "prlimit",
            "runuser",
        ],
        letters: "upS",
        long: &["--unit", "--property", "--user"],
        operands: 0,
        transparent: false,
    },
    Form {
        names: &["taskset", "chrt"],
        letters: "",
        long: &[],
        operands: 1,
        transparent: false,
    },
    Form {
        names: &["flock"],
        letters: "wE",
        long: &["--timeout"],
        operands: 1,
        transparent: false,
    },
];

const SHELLS: [&str; 10] = [
    "bash", "sh", "dash", "zsh", "ksh", "ash", "mksh", "rbash", "fish", "yash",
];

/// What `words` run besides themselves; `stdin` is what a here-document feeds them.
pub fn inner(words: &[Word], stdin: Option<&str>) -> Option<Inner> {
    let program = words.first()?.literal()?;
    let name = base_name(&program);
    let rest = words.get(1..)?;
    match name {
        "find" => found(rest),
        "fd" | "fdfind" => {
            after_option(rest, &["-x", "-X", "--exec", "--exec-batch"]).map(Inner::Command)
        }
        "eval" => joined(rest).map(Inner::Here),
        "trap" => rest
            .iter()
            .find(|word| !word.head().starts_with('-'))?
            .literal()
            .map(Inner::Text),
        "su" | "script" | "flock" if has_text(rest) => text_after(rest, 'c').map(Inner::Text),
        "watch" => joined(skip_options(rest, "n", &["--interval"])).map(Inner::Text),
        "env" if rest.iter().any(split_string) => env_split(rest),
        "command"
            if rest
                .first()
                .is_some_and(|word| matches!(word.head(), "-v" | "-V")) =>
        {
            None
        }
        "ionice" | "taskset" if rest.iter().any(|word| word.head() == "-p") => None,
        _ if SHELLS.contains(&name) => shell(rest, stdin),
        _ => wrapped(name, rest),
    }
}

/// Whether a program that runs another one does so in another folder.
pub fn moves(words: &[Word]) -> bool {
    let program = words.first().and_then(Word::literal).unwrap_or_default();
    let options: &[&str] = match base_name(&program) {
        "env" => &["-C", "--c"],
        "sudo" => &["-D", "-R", "--chd", "--chr"],
        "chroot" => return true,
        _ => return false,
    };
    words
        .iter()
        .any(|word| options.iter().any(|option| word.head().starts_with(option)))
}

/// Whether a command runs a text or a program that only the running shell knows; `inner` is what could be told of it.
pub fn hides(words: &[Word], inner: Option<&Inner>) -> bool {
    let Some((first, rest)) = words.split_first() else {
        return false;
    };
    let program = first.literal().unwrap_or_default();
    let name = base_name(&program);
    let untold = inner.is_none() && !rest.is_empty();
    let has = |options: &[&str]| rest.iter().any(|word| options.contains(&word.head()));
    match name {
        "parallel" | "fc" => true,
        "eval" | "watch" => untold,
        "su" | "script" | "flock" if has_text(rest) => untold,
        "env" if rest.iter().any(split_string) => untold,
        "trap" => {
            let text = rest.iter().find(|word| !word.head().starts_with('-'));
            text.is_some_and(|text| text.literal().is_none())
        }
        "source" | "." => rest.first().is_some_and(is_no_file),
        "compgen" | "complete" | "mapfile" | "readarray" => has(&["-C", "-F"]),
        "bind" => has(&["-x", "-f"]),
        "sudo" | "doas" => inner.is_none() && has(&["-s", "-i", "--shell", "--login"]),
        _ if SHELLS.contains(&name) => inner.is_none() && shell_hides(rest),
        _ => false,
    }
}

/// A shell without a text that is known: it reads one, unless a file is named.
fn shell_hides(rest: &[Word]) -> bool {
    if has_text(rest) {
        return true;
    }
    let only_tells = rest
        .iter()
        .any(|word| matches!(word.head(), "--version" | "--help"));
    let script = skip_options(rest, "oO", &["--rcfile", "--init-file"]);
    let by_option = rest
        .iter()
        .any(|word| matches!(word.head(), "-s" | "--rcfile" | "--init-file" | "-i"));
    !only_tells && (by_option || script.first().is_none_or(is_no_file))
}

/// A script that is no file of the disk: what comes through a pipe, or a name that is not known.
fn is_no_file(word: &Word) -> bool {
    match word.literal() {
        Some(path) => path == "-" || path.starts_with("/dev/") || path.starts_with("/proc/"),
        None => true,
    }
}

/// In which words of the command that `xargs` and `find` run another text is put, and whether words come behind them.
pub fn input(words: &[Word]) -> (Option<String>, bool) {
    let program = words.first().and_then(Word::literal).unwrap_or_default();
    match base_name(&program) {
        "find" => (Some("{}".into()), false),
        "fd" | "fdfind" | "parallel" => (Some("{".into()), true),
        "xargs" => {
            let replaced = replaced(words.get(1..).unwrap_or_default());
            let behind = replaced.is_none();
            (replaced, behind)
        }
        _ => (None, false),
    }
}

/// What every text that is put in certainly begins with: `find` puts a folder before each name.
pub fn leads(words: &[Word]) -> &'static str {
    let program = words.first().and_then(Word::literal).unwrap_or_default();
    let start = words.get(1).map(Word::head).unwrap_or_default();
    if base_name(&program) == "find" && !start.starts_with('-') {
        "./"
    } else {
        ""
    }
}

/// The text that `xargs -I TEXT` replaces.
fn replaced(rest: &[Word]) -> Option<String> {
    let mut words = rest.iter();
    while let Some(word) = words.next() {
        let text = word.literal().unwrap_or_default();
        if !text.starts_with('-') {
            return None;
        }
        match text.as_str() {
            "-I" => {
                return words
                    .next()
                    .map(|value| value.literal().unwrap_or_default());
            }
            "-i" | "--replace" => return Some("{}".into()),
            "-a" | "-d" | "-E" | "-L" | "-n" | "-P" | "-s" => drop(words.next()),
            _ => {
                let glued = text
                    .strip_prefix("-I")
                    .or_else(|| text.strip_prefix("-i"))
                    .or_else(|| text.strip_prefix("--replace="));
                if let Some(glued) = glued {
                    return Some(glued.to_owned());
                }
            }
        }
    }
    None
}

/// The last part of a program's path.
pub fn base_name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

fn wrapped(name: &str, rest: &[Word]) -> Option<Inner> {
    let form = FORMS.iter().find(|form| form.names.contains(&name))?;
    let after = skip_options(rest, form.letters, form.long);
    let command = after
        .get(form.operands..)
        .filter(|command| !command.is_empty())?
        .to_vec();
    Some(if form.transparent {
        Inner::Transparent(command)
    } else {
        Inner::Command(command)
    })
}

/// The words after a program's own options.
pub fn skip_options<'a>(words: &'a [Word], letters: &str, long: &[&str]) -> &'a [Word] {
    let mut index = 0;
    while let Some(word) = words.get(index) {
        let Some(text) = word.literal() else { break };
        if text == "--" {
            index += 1;
            break;
        }
        if !text.starts_with('-') || text == "-" {
            break;
        }
        let takes_value = if text.starts_with("--") {
            long.contains(&text.as_str())
        } else {
            text.chars()
                .next_back()
                .is_some_and(|letter| letters.contains(letter))
        };
        index += if takes_value { 2 } else { 1 };
    }
    words.get(index..).unwrap_or_default()
}

/// `bash -c TEXT`, or a text on stdin when there is no script.
fn shell(rest: &[Word], stdin: Option<&str>) -> Option<Inner> {
    if has_text(rest) {
        return text_after(rest, 'c').map(Inner::Text);
    }
    let script = skip_options(rest, "oO", &["--rcfile", "--init-file"]);
    let reads_stdin =
        script.is_empty() || rest.iter().any(|word| word.head() == "-s") || script[0].head() == "-";
    stdin
        .filter(|_| reads_stdin)
        .map(|text| Inner::Text(text.to_owned()))
}

fn has_text(rest: &[Word]) -> bool {
    rest.iter().any(|word| is_cluster(word, 'c'))
}

fn is_cluster(word: &Word, letter: char) -> bool {
    let text = word.literal().unwrap_or_default();
    let body = text.strip_prefix('-').unwrap_or_default();
    !body.starts_with('-') && body.contains(letter) && body.chars().all(char::is_alphanumeric)
}

/// The first word after the option with `letter` that is no option itself.
fn text_after(rest: &[Word], letter: char) -> Option<String> {
    let at = rest.iter().position(|word| is_cluster(word, letter))?;
    rest.get(at + 1..)?
        .iter()
        .find(|word| !word.head().starts_with(['-', '+']))?
        .literal()
}

fn after_option(rest: &[Word], options: &[&str]) -> Option<Vec<Word>> {
    let at = rest
        .iter()
        .position(|word| options.contains(&word.head()))?;
    rest.get(at + 1..)
        .filter(|command| !command.is_empty())
        .map(<[Word]>::to_vec)
}

fn joined(rest: &[Word]) -> Option<String> {
    let texts: Option<Vec<String>> = rest.iter().map(Word::literal).collect();
    texts
        .filter(|texts| !texts.is_empty())
        .map(|texts| texts.join(" "))
}

/// All commands of `find`'s actions; each ends with `;` or `+`.
fn found(rest: &[Word]) -> Option<Inner> {
    let mut commands = Vec::new();
    let mut open: Option<Vec<Word>> = None;
    for word in rest {
        let text = word.literal();
        match (&mut open, text.as_deref()) {
            (Some(command), Some(";" | "+")) => {
                commands.push(std::mem::take(command));
                open = None;
            }
            (Some(command), _) => command.push(word.clone()),
            (None, Some("-exec" | "-execdir" | "-ok" | "-okdir")) => open = Some(Vec::new()),
            (None, _) => {}
        }
    }
    commands.extend(open);
    commands.retain(|command| !command.is_empty());
    (!commands.is_empty()).then_some(Inner::Commands(commands))
}

fn split_string(word: &Word) -> bool {
    word.head().starts_with("-S") || word.head().starts_with("--split-string")
}

fn env_split(rest: &[Word]) -> Option<Inner> {
    let at = rest.iter().position(split_string)?;
    let own = rest.get(at)?.literal()?;
    let glued = own
        .strip_prefix("--split-string=")
        .or_else(|| own.strip_prefix("-S"))
        .unwrap_or_default();
    let after = rest.get(at + 1..)?;
    let after = if after.is_empty() {
        String::new()
    } else {
        joined(after)?
    };
    Some(Inner::Text(format!("{glued} {after}")))
}
