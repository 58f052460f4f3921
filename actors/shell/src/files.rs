//! Which words of a command are files, and what happens to them.

mod operand;
mod programs;

use crate::unwrap::base_name;
use crate::word::Word;
pub use operand::{Operand, Role};
use programs::{
    BLIND, COPIERS, EDITORS, GIT_READERS, LISTERS, MODE_FIRST, OTHER_VALUES, PATTERN_FIRST,
    READERS, REPLACERS, SCRIPTED, VALUES, WRITERS,
};

#[derive(Clone, Copy, PartialEq)]
enum Shape {
    /// Every operand is a file.
    All(Role),
    /// The first operand is something else: a pattern, a program text, a mode.
    AfterFirst(Role),
    /// The last operand is written, the others are read.
    Copy,
    /// The first operand is a script; the rest is the script's own.
    Script,
}

/// The files that a command names.
pub fn operands(words: &[Word]) -> Vec<Operand> {
    let Some((first, rest)) = words.split_first() else {
        return Vec::new();
    };
    let program = first.literal().unwrap_or_default();
    let name = base_name(&program);
    let mut found = option_values(name, rest);
    found.extend(replaced(name, rest));
    match shape(name, rest) {
        Some(shape) => found.extend(by_shape(name, shape, rest)),
        None if name == "dd" => found.extend(dd(rest)),
        None if name == "git" => found.extend(git(rest)),
        None if name == "curl" => found.extend(uploads(rest)),
        None if !BLIND.contains(&name) => found.extend(by_name(rest)),
        None => {}
    }
    found
}

/// Whether a file's name says that it holds settings with secrets.
pub fn is_env(name: &str) -> bool {
    name.ends_with(".env") || name.contains(".env.")
}

fn shape(name: &str, rest: &[Word]) -> Option<Shape> {
    let in_place = || rest.iter().any(is_in_place);
    if matches!(name, "sed" | "gsed") && in_place() {
        return Some(Shape::AfterFirst(Role::Edit));
    }
    if matches!(name, "perl" | "ruby") && has_program_text(rest) {
        return Some(Shape::All(if in_place() { Role::Edit } else { Role::Read }));
    }
    [
        (READERS, Shape::All(Role::Read)),
        (PATTERN_FIRST, Shape::AfterFirst(Role::Read)),
        (WRITERS, Shape::All(Role::Write)),
        (MODE_FIRST, Shape::AfterFirst(Role::Write)),
        (EDITORS, Shape::All(Role::Edit)),
        (LISTERS, Shape::All(Role::List)),
        (COPIERS, Shape::Copy),
        (SCRIPTED, Shape::Script),
    ]
    .into_iter()
    .find_map(|(names, shape)| names.contains(&name).then_some(shape))
}

fn is_in_place(word: &Word) -> bool {
    let head = word.head();
    head.starts_with("--in-place")
        || (head.starts_with('-') && !head.starts_with("--") && head.contains('i'))
}

fn has_program_text(rest: &[Word]) -> bool {
    let text = |head: &str| {
        head.starts_with('-') && !head.starts_with("--") && head.contains(['e', 'E', 'n', 'p'])
    };
    rest.iter().any(|word| text(word.head()))
}

fn by_shape(name: &str, shape: Shape, rest: &[Word]) -> Vec<Operand> {
    let recursive = is_recursive(name, rest);
    let plain = plain_operands(name, rest);
    let of = |word: &Word, role| Operand {
        word: word.clone(),
        role,
        recursive,
    };
    match shape {
        Shape::All(role) if matches!(name, "find" | "fd" | "fdfind") => plain
            .iter()
            .take_while(|word| !word.head().starts_with(['-', '(', '!']))
            .map(|word| of(word, role))
            .collect(),
        // A program text of perl or ruby is no file; judged as one it is a strange name inside the project.
        Shape::All(role) if matches!(name, "perl" | "ruby") => {
            plain.iter().skip(1).map(|word| of(word, role)).collect()
        }
        Shape::All(role) => plain.iter().map(|word| of(word, role)).collect(),
        Shape::AfterFirst(role) => {
            let skipped = usize::from(!pattern_by_option(name, rest));
            let mut found: Vec<Operand> = plain
                .iter()
                .skip(skipped)
                .map(|word| of(word, role))
                .collect();
            if found.is_empty() && recursive {
                found.push(of(&Word::quoted("."), role));
            }
            found
        }
        Shape::Copy => {
            let count = plain.len();
            let into = has_target_option(rest);
            let role = |index| {
                if index + 1 == count && count > 1 && !into {
                    Role::Write
                } else {
                    Role::Read
                }
            };
            plain
                .iter()
                .enumerate()
                .map(|(index, word)| Operand {
                    word: (*word).clone(),
                    role: role(index),
                    recursive: false,
                })
                .collect()
        }
        Shape::Script
            if rest
                .iter()
                .any(|word| matches!(word.head(), "-c" | "-e" | "-m" | "--eval" | "-p" | "-r")) =>
        {
            Vec::new()
        }
        Shape::Script => plain
            .first()
            .map(|word| of(word, Role::Read))
            .into_iter()
            .collect(),
    }
}

fn has_target_option(rest: &[Word]) -> bool {
    rest.iter().any(|word| {
        let head = word.head();
        head.starts_with("--t") || (head.starts_with("-t") && !head.starts_with("--"))
    })
}

/// A copy or a move.
pub struct Copies {
    /// What is taken.
    pub sources: Vec<Word>,
    /// Where it comes to be.
    pub target: Word,
    /// Folders with what is in them.
    pub deep: bool,
}

/// What a command copies or moves, and where to.
pub fn copies(words: &[Word]) -> Option<Copies> {
    let (first, rest) = words.split_first()?;
    let program = first.literal()?;
    let name = base_name(&program);
    COPIERS.contains(&name).then_some(())?;
    let mut sources: Vec<Word> = plain_operands(name, rest).into_iter().cloned().collect();
    let by_option = option_values(name, rest);
    let target = by_option
        .iter()
        .rfind(|operand| has_target_option(rest) && operand.role == Role::Write);
    let target = match target {
        Some(target) => target.word.clone(),
        None => sources.pop()?,
    };
    let deep = matches!(name, "mv" | "gmv")
        || rest.iter().any(|word| {
            let head = word.head();
            head.starts_with("--r")
                || head.starts_with("--a")
                || (head.starts_with('-')
                    && !head.starts_with("--")
                    && head.contains(['r', 'R', 'a']))
        });
    Some(Copies {
        sources,
        target,
        deep: deep && name != "ln",
    })
}

/// Files besides the shape's that a command writes: the sources of a move, what is packed in place, an output behind
/// an input.
fn replaced(name: &str, rest: &[Word]) -> Vec<Operand> {
    let plain = plain_operands(name, rest);
    let shows = rest.iter().any(|word| {
        let head = word.head();
        matches!(head, "--stdout" | "--to-stdout" | "--list" | "--test")
            || (head.starts_with('-') && !head.starts_with("--") && head.contains(['c', 'l', 't']))
    });
    let (words, role): (&[&Word], Role) = match name {
        "tar" | "bsdtar" | "gtar" => return archive(rest),
        "uniq" | "xxd" => (plain.get(1..2).unwrap_or_default(), Role::Edit),
        "history" if rest.iter().any(|word| is_cluster_of(word, &['w', 'a'])) => {
            (&plain, Role::Edit)
        }
        "mv" | "gmv" if has_target_option(rest) => (&plain, Role::Write),
        "mv" | "gmv" => (
            plain.split_last().map_or(&[], |(_, sources)| sources),
            Role::Write,
        ),
        // What `--keep` keeps is joined by a new file all the same.
        _ if REPLACERS.contains(&name) && !shows => (&plain, Role::Write),
        _ => return Vec::new(),
    };
    let operand = |word: &&Word| Operand {
        word: (*word).clone(),
        role,
        recursive: false,
    };
    let mut found: Vec<Operand> = words.iter().map(operand).collect();
    if REPLACERS.contains(&name) {
        found.extend(words.iter().filter_map(|word| {
            let text = word.literal()?;
            let word = Word::quoted(text.rsplit_once('.')?.0);
            Some(operand(&&word))
        }));
    }
    found
}

/// Whether a word is short options with one of these letters.
fn is_cluster_of(word: &Word, letters: &[char]) -> bool {
    let head = word.head();
    head.starts_with('-') && !head.starts_with("--") && head.contains(letters)
}

/// The archive of `tar`, which its letter `f` names, with a dash before the letters or without.
fn archive(rest: &[Word]) -> Vec<Operand> {
    let mut found = Vec::new();
    for (at, pair) in rest.windows(2).enumerate() {
        let [letters, file] = pair else { continue };
        let head = letters.head();
        let is_cluster = head.starts_with('-') && !head.starts_with("--") && head.ends_with('f');
        let is_old = at == 0 && !head.starts_with('-') && head.contains('f');
        if is_cluster || is_old {
            found.push(Operand {
                word: file.clone(),
                role: if packs(rest) { Role::Write } else { Role::Read },
                recursive: false,
            });
        }
    }
    found
}

/// Whether `tar` packs files: by an option, or by a letter of its first word, which needs no dash.
fn packs(rest: &[Word]) -> bool {
    let short = |word: &Word| word.head().starts_with('-') && !word.head().starts_with("--");
    let named = rest.iter().any(|word| {
        let head = word.head();
        // Long options may be cut short.
        let long = [
            "--create",
            "--append",
            "--update",
            "--concatenate",
            "--catenate",
        ];
        (head.len() > 3 && long.iter().any(|name| name.starts_with(head)))
            || (short(word) && head.contains(['c', 'r', 'u', 'A']))
    });
    let first = rest.first().map(Word::head).unwrap_or_default();
    named || (!first.starts_with('-') && first.contains(['c', 'r', 'u', 'A']))
}

/// Searches that show what stands in every file below a folder, hidden ones included, and what packs all of it into one
/// file or stream that no longer has their names.
fn is_recursive(name: &str, rest: &[Word]) -> bool {
    let flag = |letters: &[char], names: &[&str]| {
        rest.iter().any(|word| {
            let head = word.head();
            names.contains(&head)
                || (head.starts_with('-') && !head.starts_with("--") && head.contains(letters))
        })
    };
    match name {
        "grep" | "egrep" | "fgrep" | "zgrep" => {
            flag(&['r', 'R'], &["--recursive", "--dereference-recursive"])
        }
        "rg" => flag(&['u', '.'], &["--hidden", "--unrestricted", "--no-ignore"]),
        "ag" | "ack" => flag(&['u'], &["--hidden", "--unrestricted", "--all-types"]),
        "diff" => flag(&['r'], &["--recursive"]),
        "tar" | "bsdtar" | "gtar" => packs(rest),
        "zip" => flag(&['r', 'R'], &["--recurse-paths", "--recurse-patterns"]),
        "7z" | "7za" => rest
            .first()
            .is_some_and(|word| matches!(word.head(), "a" | "u")),
        // Whatever they run on each file may show it.
        "find" => flag(&[], &["-exec", "-execdir", "-ok", "-okdir"]),
        "fd" | "fdfind" => flag(&['x', 'X'], &["--exec", "--exec-batch"]),
        _ => false,
    }
}

/// The words that are no options and no values of options.
fn plain_operands<'a>(name: &str, rest: &'a [Word]) -> Vec<&'a Word> {
    let (letters, long) = OTHER_VALUES
        .iter()
        .find(|(names, ..)| names.contains(&name))
        .map_or(("", &[][..]), |(_, letters, long)| (letters, long));
    let mut plain = Vec::new();
    let mut only_operands = false;
    let mut index = 0;
    while let Some(word) = rest.get(index) {
        index += 1;
        let head = word.head();
        if only_operands || !head.starts_with('-') || head == "-" {
            if head != "-" || word.pieces.len() > 1 {
                plain.push(word);
            }
        } else if head == "--" {
            only_operands = true;
        } else if takes_value(head, letters, long) || is_file_option(name, head) {
            index += 1;
        }
    }
    plain
}

fn takes_value(head: &str, letters: &str, long: &[&str]) -> bool {
    if head.starts_with("--") {
        return long.contains(&head);
    }
    head.len() == 2
        && head
            .chars()
            .next_back()
            .is_some_and(|letter| letters.contains(letter))
}

fn is_file_option(name: &str, head: &str) -> bool {
    VALUES
        .iter()
        .any(|(programs, options, _)| programs.contains(&name) && options.contains(&head))
}

/// `grep -e PATTERN`: then the first operand is a file.
fn pattern_by_option(name: &str, rest: &[Word]) -> bool {
    let given = |options: &[&str]| {
        rest.iter()
            .any(|word| options.iter().any(|option| word.head().starts_with(option)))
    };
    match name {
        "grep" | "egrep" | "fgrep" | "zgrep" | "rg" => given(&["-e", "-f", "--regexp", "--file"]),
        "sed" | "gsed" => {
            given(&["-e", "-f", "--expression", "--file"]) || exact(rest, &["-ne", "-ie", "-Ee"])
        }
        "awk" | "gawk" | "mawk" | "nawk" => given(&["-f", "--file"]),
        "jq" | "yq" => given(&["-f", "--from-file"]),
        _ => false,
    }
}

fn exact(rest: &[Word], options: &[&str]) -> bool {
    rest.iter().any(|word| options.contains(&word.head()))
}

/// Files that come as the value of an option: `-C DIR`, `--output=FILE`, `-o/tmp/x`.
fn option_values(name: &str, rest: &[Word]) -> Vec<Operand> {
    let mut found = Vec::new();
    let role_of = |option: &str| {
        let fits = |(programs, options, _): &&(&[&str], &[&str], Role)| {
            programs.contains(&name) && options.contains(&option)
        };
        VALUES.iter().find(fits).map(|(.., role)| *role)
    };
    let known =
        shape(name, rest).is_some() || VALUES.iter().any(|(programs, ..)| programs.contains(&name));
    for (index, word) in rest.iter().enumerate() {
        let head = word.head();
        if let Some(role) = role_of(head) {
            found.extend(rest.get(index + 1).map(|value| Operand {
                word: value.clone(),
                role,
                recursive: false,
            }));
        } else if let Some((option, _)) = head.split_once('=').filter(|_| head.starts_with("--")) {
            let role = role_of(option)
                .or_else(|| leads_away(head.get(option.len() + 1..)?, known).then_some(Role::Read));
            let value = word.without_prefix(option.len() + 1);
            found.extend(role.zip(value).map(|(role, word)| Operand {
                word,
                role,
                recursive: false,
            }));
        } else if let Some(at) = glued(name, head).filter(|_| known) {
            let role = head.get(..2).and_then(role_of).unwrap_or(Role::Read);
            found.extend(word.without_prefix(at).map(|word| Operand {
                word,
                role,
                recursive: false,
            }));
        }
    }
    found
}

/// Where a path begins that is glued to short options: `-C/etc`, `-at../x`. A program text may look like one.
fn glued(name: &str, head: &str) -> Option<usize> {
    let letters = head
        .strip_prefix('-')
        .filter(|rest| !rest.starts_with('-') && !PATTERN_FIRST.contains(&name))?;
    let count = letters
        .chars()
        .take_while(char::is_ascii_alphabetic)
        .count();
    (count > 0 && leads_away(letters.get(count..)?, true)).then_some(count + 1)
}

fn leads_away(value: &str, known: bool) -> bool {
    known && (value.starts_with(['/', '~']) || value.starts_with("..") || is_env(value))
}

fn dd(rest: &[Word]) -> Vec<Operand> {
    let mut found = Vec::new();
    for word in rest {
        for (key, role) in [("if=", Role::Read), ("of=", Role::Edit)] {
            if word.head().starts_with(key) {
                found.extend(word.without_prefix(key.len()).map(|word| Operand {
                    word,
                    role,
                    recursive: false,
                }));
            }
        }
    }
    found
}

/// Contents of files that git shows (`REVISION:FILE` too), and folders elsewhere that it makes.
fn git(rest: &[Word]) -> Vec<Operand> {
    let rest =
        crate::unwrap::skip_options(rest, "Cc", &["--git-dir", "--work-tree", "--namespace"]);
    let Some((subcommand, rest)) = rest.split_first() else {
        return Vec::new();
    };
    let reads = GIT_READERS.contains(&subcommand.head());
    let makes = matches!(
        subcommand.head(),
        "clone" | "init" | "worktree" | "submodule"
    );
    let mut found = Vec::new();
    let mut after_option = false;
    for word in rest {
        let head = word.head();
        if head.starts_with('-') {
            // A message may begin like a path.
            after_option =
                matches!(head, "--message") || (head.ends_with('m') && !head.starts_with("--"));
            continue;
        }
        if std::mem::take(&mut after_option) {
            continue;
        }
        let after_colon = head.find(':').map_or(0, |at| at + 1);
        if reads && is_env(head) {
            found.extend(word.without_prefix(after_colon).map(|word| Operand {
                word,
                role: Role::Read,
                recursive: false,
            }));
        } else if leads_away(head, true) && (makes || !is_env(head)) {
            let role = if makes { Role::Write } else { Role::Read };
            found.push(Operand {
                word: word.clone(),
                role,
                recursive: false,
            });
        }
    }
    found
}

/// `curl -d @FILE`, `-F name=@FILE`.
fn uploads(rest: &[Word]) -> Vec<Operand> {
    let at = |word: &Word| {
        word.head().find('@').filter(|at| {
            *at == 0
                || word
                    .head()
                    .get(..*at)
                    .is_some_and(|head| head.ends_with('='))
        })
    };
    let value = |word: &Word| word.without_prefix(at(word)? + 1);
    rest.iter()
        .filter_map(value)
        .map(|word| Operand {
            word,
            role: Role::Read,
            recursive: false,
        })
        .collect()
}

/// A program that is not known: only names that speak for themselves count.
fn by_name(rest: &[Word]) -> Vec<Operand> {
    let speaks = |word: &&Word| {
        word.literal()
            .is_some_and(|text| is_env(base_name(&text)) && !text.starts_with('-'))
    };
    rest.iter()
        .filter(speaks)
        .map(|word| Operand {
            word: word.clone(),
            role: Role::Read,
            recursive: false,
        })
        .collect()
}

/// Names of files that a search of a whole folder leaves out, in the form of `--exclude`: those of [`is_env`].
pub const LEFT_OUT: [&str; 2] = ["*.env", "*.env.*"];

/// Whether the command is a `grep` through folders that can be told to leave files out.
pub fn can_leave_out(words: &[Word]) -> bool {
    let follows_links = words.iter().skip(1).any(|word| {
        let head = word.head();
        head.starts_with("--d")
            || (head.starts_with('-') && !head.starts_with("--") && head.contains('R'))
    });
    words.first().is_some_and(|word| word.head() == "grep") && !follows_links
}

/// Whether a program shows or compares its words and files, and runs none of them.
pub fn only_reads(words: &[Word]) -> bool {
    let program = words.first().and_then(Word::literal).unwrap_or_default();
    let name = base_name(&program);
    let lists = [
        BLIND,
        READERS,
        PATTERN_FIRST,
        LISTERS,
        WRITERS,
        MODE_FIRST,
        EDITORS,
        COPIERS,
    ];
    // Searches that run what they are told to are looked into elsewhere.
    name != "find" && lists.iter().any(|names| names.contains(&name))
}
