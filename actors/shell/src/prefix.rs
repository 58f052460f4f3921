//! How much of a command names what it does: `git commit`, `npm run build`, `ls`.

mod table;

use crate::unwrap::base_name;
use crate::word::Word;
use table::{GLOBAL, HARMLESS, RUNS_ANYTHING, WORDS};

/// Whether setting the variable for a command, or exporting it, needs no word.
pub fn is_harmless_variable(name: &str) -> bool {
    HARMLESS.contains(&name) || name.starts_with("LC_")
}

/// Whether setting the variable in the shell alone may change what later commands are: it is usually exported already,
/// or the shell itself heeds it.
pub fn is_weighty_variable(name: &str) -> bool {
    const EXACT: [&str; 34] = [
        "PATH",
        "IFS",
        "ENV",
        "CDPATH",
        "HOME",
        "SHELL",
        "SHELLOPTS",
        "PROMPT_COMMAND",
        "PS4",
        "VISUAL",
        "BROWSER",
        "PWD",
        "OLDPWD",
        "GLOBIGNORE",
        "LESS",
        "LESSOPEN",
        "LESSCLOSE",
        "TMPDIR",
        "FIGNORE",
        "EXECIGNORE",
        "POSIXLY_CORRECT",
        "ZDOTDIR",
        "INPUTRC",
        "TERMINFO",
        "HOSTALIASES",
        "LOCALDOMAIN",
        "RES_OPTIONS",
        "GCONV_PATH",
        "KUBECONFIG",
        "DOCKER_HOST",
        "CURL_HOME",
        "WGETRC",
        "MAKEFILES",
        "OPENSSL_CONF",
    ];
    const STARTS: [&str; 25] = [
        "BASH",
        "LD_",
        "DYLD_",
        "GIT_",
        "XDG_",
        "SSH_",
        "SUDO_",
        "GLIBC_",
        "MALLOC_",
        "PYTHON",
        "NODE_",
        "PERL",
        "RUBY",
        "GEM_",
        "JAVA_",
        "_JAVA_",
        "CARGO_",
        "RUSTC",
        "RIPGREP_",
        "NPM_CONFIG",
        "npm_config",
        "YARN_",
        "PIP_",
        "UV_",
        "KILO_",
    ];
    const ENDS: [&str; 10] = [
        "_OPTIONS",
        "_OPTS",
        "_proxy",
        "_PROXY",
        "PAGER",
        "EDITOR",
        "_ASKPASS",
        "_CONFIG_PATH",
        "FLAGS",
        "_WRAPPER",
    ];
    let ends = ENDS.iter().any(|end| name.ends_with(end));
    !is_harmless_variable(name)
        && (EXACT.contains(&name) || ends || STARTS.iter().any(|start| name.starts_with(start)))
}

/// The pattern that an answer "always" would allow for a command, or `None` when only that very command can be meant.
pub fn suggestion(words: &[Word]) -> Option<String> {
    let program = words.first()?.literal()?;
    if RUNS_ANYTHING.contains(&base_name(&program)) {
        return None;
    }
    let shown: Vec<String> = words.iter().map(Word::canonical).collect();
    let texts: Vec<String> = words
        .iter()
        .map(|word| word.literal().unwrap_or_default())
        .collect();
    let wanted = word_count(&texts);
    let mut taken = 0;
    let mut named = 0;
    let (letters, long) = options_of(base_name(&program));
    while named < wanted {
        let text = texts.get(taken)?;
        // A word that only the running shell knows names nothing.
        if text.is_empty() {
            return None;
        }
        taken += if text.starts_with('-') && taken > 0 {
            option_words(text, letters, long)
        } else {
            1
        };
        named += usize::from(!text.starts_with('-') || taken == 0);
    }
    Some(format!("{} *", shown.get(..taken)?.join(" ")))
}

fn word_count(texts: &[String]) -> usize {
    let program = texts
        .first()
        .map(|text| base_name(text))
        .unwrap_or_default();
    let (letters, long) = options_of(program);
    let mut named = vec![program.to_owned()];
    let mut index = 1;
    while let Some(text) = texts.get(index).filter(|_| named.len() < 3) {
        if text.starts_with('-') {
            index += option_words(text, letters, long);
        } else {
            named.push(text.clone());
            index += 1;
        }
    }
    (1..=named.len())
        .rev()
        .find_map(|count| {
            let prefix = named.get(..count)?.join(" ");
            WORDS
                .iter()
                .find(|(name, _)| *name == prefix)
                .map(|(_, words)| *words)
        })
        .unwrap_or(1)
}

fn options_of(program: &str) -> (&'static str, &'static [&'static str]) {
    GLOBAL
        .iter()
        .find(|(name, ..)| *name == program)
        .map_or(("", &[]), |(_, letters, long)| (letters, long))
}

fn option_words(option: &str, letters: &str, long: &[&str]) -> usize {
    let takes_value = if option.starts_with("--") {
        long.contains(&option)
    } else {
        option.len() == 2
            && option
                .chars()
                .next_back()
                .is_some_and(|letter| letters.contains(letter))
    };
    if takes_value { 2 } else { 1 }
}

/// The command in its plainest form, where that differs: its program without a path, and without the options before its
/// subcommand. A rule against `git push` must hold for `/usr/bin/git -C x push` too.
pub fn plainest(words: &[Word]) -> Option<Vec<Word>> {
    let (first, rest) = words.split_first()?;
    let program = first.literal()?;
    let name = base_name(&program);
    let (letters, long) = options_of(name);
    let known = GLOBAL.iter().any(|(program, ..)| *program == name);
    let rest = if known {
        subcommand(rest, letters, long)
    } else {
        rest
    };
    if name.is_empty() || (name == program && rest.len() + 1 == words.len()) {
        return None;
    }
    Some(
        std::iter::once(Word::quoted(name))
            .chain(rest.iter().cloned())
            .collect(),
    )
}

/// The words from the subcommand on; all of them when there is none.
fn subcommand<'a>(rest: &'a [Word], letters: &str, long: &[&str]) -> &'a [Word] {
    let mut index = 0;
    while let Some(text) = rest.get(index).and_then(Word::literal) {
        if !text.starts_with(['-', '+']) {
            return rest.get(index..).unwrap_or(rest);
        }
        index += option_words(&text, letters, long);
    }
    rest
}
