//! `kilo` without a command, or with a text where a command should stand: what to type.

use crate::context::Context;
use crate::exit::Exit;
use crate::terminal::{line, note};

const FIRST_STEPS: &str =
    "  kilo run \"explain this project\"   one prompt and its answer; `kilo run -c \"…\"` goes on
  kilo models                       what can answer; `kilo auth login PROVIDER` stores a key
  kilo demo                         a whole session with a scripted model; needs nothing
  kilo --help                       all commands";

/// Says what to type first. There is no terminal UI yet that could start here.
pub fn execute(cx: &Context) -> Exit {
    line(&format!(
        "{}, an open, self-hosted coding agent. What to type:",
        cx.terminal.bold("kilo")
    ));
    line(FIRST_STEPS);
    Exit::OK
}

/// Answers what is no command: a misspelt one is named, a text is a prompt that lacks `run`. Status 2, as for every wrong
/// use.
pub fn no_command(words: &[String], known: &clap::Command) -> Exit {
    let first = words.first().map(String::as_str).unwrap_or_default();
    let names = known.get_subcommands().map(clap::Command::get_name);
    let meant = closest(first, names);
    if let (Some(meant), false) = (meant, first.contains(' ')) {
        let rest = quoted(&words[1..]);
        note(&format!(
            "error: there is no command {first:?}. Did you mean this?"
        ));
        note(&format!("  kilo {}", format!("{meant} {rest}").trim_end()));
    } else {
        note("error: a prompt needs the command `run` before it:");
        note(&format!("  kilo run {}", quoted(words)));
    }
    note("`kilo --help` lists all commands.");
    Exit::USAGE
}

fn closest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const ALIKE: f64 = 0.8;
    names
        .map(|name| (strsim::jaro_winkler(word, name), name))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// The words as one would type them: a text with blanks or signs of the shell in quotes.
fn quoted(words: &[String]) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./=:,@+".contains(c);
    let words: Vec<String> = words
        .iter()
        .map(|word| {
            if !word.is_empty() && word.chars().all(is_plain) {
                word.clone()
            } else if word.contains(['"', '$', '`', '\\', '!']) {
                format!("'{}'", word.replace('\'', r"'\''"))
            } else {
                format!("\"{word}\"")
            }
        })
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_shown_as_one_would_type_them() {
        let words =
            |list: &[&str]| quoted(&list.iter().map(|&word| word.to_owned()).collect::<Vec<_>>());
        assert_eq!(
            words(&["explain this", "--auto"]),
            "\"explain this\" --auto"
        );
        assert_eq!(words(&["what's $HOME?"]), r"'what'\''s $HOME?'");
    }

    #[test]
    fn a_misspelt_command_is_recognised_and_a_text_is_not() {
        let names = ["run", "session", "daemon", "models"];
        let closest = |word| closest(word, names.into_iter());
        assert_eq!(closest("sesion"), Some("session"));
        assert_eq!(closest("model"), Some("models"));
        assert_eq!(closest("explain"), None);
        assert_eq!(closest("fix"), None);
    }
}
