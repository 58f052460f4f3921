//! Commands: prompts with a name and blanks to fill in.

use crate::load::Loaded;
use crate::skills::Skill;
use serde::Serialize;
use serde_json::Value;

const INIT: &str = include_str!("../defaults/commands/init.md");
const REVIEW: &str = include_str!("../defaults/commands/review.md");

/// A command, in the shape of `GET /command`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Command {
    /// What users call it by.
    pub name: String,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The agent that runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The model that runs it, `provider/model`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The model's variant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// `command` or `skill`; those of MCP servers are the session's to add.
    pub source: &'static str,
    /// It came from the user, not with the project.
    #[serde(skip_serializing_if = "is_false")]
    pub trusted: bool,
    /// Its text, with `$ARGUMENTS`, `$1`, `` !`shell` `` and `@file`.
    pub template: String,
    /// It runs in a child session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subtask: Option<bool>,
    /// The blanks of the template: `$1`, `$2`, …, then `$ARGUMENTS`.
    pub hints: Vec<String>,
}

/// All commands, sorted by name: built-in ones, those of the configuration (which win), and the skills under names that
/// are still free.
pub fn commands(loaded: &Loaded, skills: &[Skill]) -> Vec<Command> {
    let mut commands = vec![
        builtin(
            "init",
            "Write or improve the project's AGENTS.md",
            INIT,
            None,
        ),
        builtin(
            "review",
            "Review changes: uncommitted ones, a commit, a branch or a pull request",
            REVIEW,
            Some(true),
        ),
    ];
    for (name, fields) in &loaded.config.commands {
        let Some(mut command) = from_config(name, fields) else {
            continue;
        };
        command.trusted = loaded
            .project
            .get("command")
            .and_then(|project| project.get(name))
            .is_none();
        commands.retain(|old| old.name != *name);
        commands.push(command);
    }
    for skill in skills {
        if !commands.iter().any(|command| command.name == skill.name) {
            commands.push(from_skill(skill));
        }
    }
    commands.sort_by(|a, b| a.name.cmp(&b.name));
    commands
}

/// A piece of a filled template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text for the prompt.
    Text(String),
    /// A shell command whose output takes its place. Its blanks are filled in too, unquoted, as its author wrote it.
    Shell(String),
}

/// Fills a template in: `$ARGUMENTS` is the whole line, `$1`, `$2`, … its words (quotes hold words together), the highest
/// one takes all that is left. Arguments for a template without blanks go below it. Only the template can hold shell
/// commands: what a user gives as arguments stays text.
pub fn pieces(template: &str, arguments: &str) -> Vec<Piece> {
    let blanks = Blanks::of(template, arguments);
    let (mut pieces, mut rest) = (Vec::new(), template);
    while let Some((before, shell, after)) = next_shell(rest) {
        pieces.push(Piece::Text(blanks.fill(before)));
        pieces.push(Piece::Shell(blanks.fill(shell)));
        rest = after;
    }
    let mut last = blanks.fill(rest);
    if hints(template).is_empty() && !arguments.trim().is_empty() {
        last.push_str("\n\n");
        last.push_str(arguments);
    }
    pieces.push(Piece::Text(last));
    pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
    pieces
}

/// The blanks of a template: numbered ones by number, then `$ARGUMENTS`.
pub fn hints(template: &str) -> Vec<String> {
    let mut numbers: Vec<usize> = Vec::new();
    let mut all = false;
    for (_, blank) in blanks_of(template) {
        match blank {
            Blank::All => all = true,
            Blank::Number(number) if !numbers.contains(&number) => numbers.push(number),
            Blank::Number(_) => {}
        }
    }
    numbers.sort_unstable();
    let numbers = numbers.into_iter().map(|number| format!("${number}"));
    numbers
        .chain(all.then(|| "$ARGUMENTS".to_owned()))
        .collect()
}

fn next_shell(text: &str) -> Option<(&str, &str, &str)> {
    let start = text.find("!`")?;
    let length = text[start + 2..].find('`')?;
    Some((
        &text[..start],
        &text[start + 2..start + 2 + length],
        &text[start + 3 + length..],
    ))
}

enum Blank {
    All,
    Number(usize),
}

/// The blanks of a text with the ranges of bytes that they take.
fn blanks_of(text: &str) -> impl Iterator<Item = (std::ops::Range<usize>, Blank)> {
    text.match_indices('$').filter_map(|(at, _)| {
        let rest = &text[at + 1..];
        if rest.starts_with("ARGUMENTS") {
            return Some((at..at + 10, Blank::All));
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number = rest[..digits].parse().ok().filter(|number| *number > 0)?;
        Some((at..at + 1 + digits, Blank::Number(number)))
    })
}

struct Blanks<'a> {
    arguments: &'a str,
    words: Vec<String>,
    highest: usize,
}

impl<'a> Blanks<'a> {
    fn of(template: &str, arguments: &'a str) -> Self {
        let highest = blanks_of(template)
            .filter_map(|(_, blank)| match blank {
                Blank::Number(number) => Some(number),
                Blank::All => None,
            })
            .max();
        Self {
            arguments,
            words: words(arguments),
            highest: highest.unwrap_or(0),
        }
    }

    /// One pass: what an argument brings in is not looked at again.
    fn fill(&self, text: &str) -> String {
        let (mut out, mut done) = (String::with_capacity(text.len() + self.arguments.len()), 0);
        for (range, blank) in blanks_of(text) {
            out.push_str(&text[done..range.start]);
            done = range.end;
            match blank {
                Blank::All => out.push_str(self.arguments),
                Blank::Number(number) => out.push_str(&self.word(number)),
            }
        }
        out.push_str(&text[done..]);
        out
    }

    fn word(&self, number: usize) -> String {
        let from = (number - 1).min(self.words.len());
        let to = if number == self.highest {
            self.words.len()
        } else {
            number.min(self.words.len())
        };
        self.words[from..to].join(" ")
    }
}

/// Splits at white space. A quote at the start of a word holds everything up to its partner together and falls away; one
/// without a partner, as in `don't`, is a plain character.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut rest) = (Vec::new(), line.trim_start());
    while let Some(first) = rest.chars().next() {
        let quoted = matches!(first, '"' | '\'')
            .then(|| rest[1..].split_once(first))
            .flatten();
        let (word, after) = match quoted {
            Some(pair) => pair,
            None => rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}

fn builtin(name: &str, description: &str, template: &str, subtask: Option<bool>) -> Command {
    let template = template.trim().to_owned();
    Command {
        name: name.to_owned(),
        description: Some(description.to_owned()),
        agent: None,
        model: None,
        variant: None,
        source: "command",
        trusted: true,
        hints: hints(&template),
        template,
        subtask,
    }
}

fn from_config(name: &str, fields: &Value) -> Option<Command> {
    let text = |key: &str| fields.get(key).and_then(Value::as_str).map(str::to_owned);
    let template = text("template")?;
    Some(Command {
        name: name.to_owned(),
        description: text("description"),
        agent: text("agent"),
        model: text("model"),
        variant: text("variant"),
        source: "command",
        trusted: false,
        hints: hints(&template),
        template,
        subtask: fields.get("subtask").and_then(Value::as_bool),
    })
}

fn from_skill(skill: &Skill) -> Command {
    Command {
        name: skill.name.clone(),
        description: skill.description.clone(),
        agent: None,
        model: None,
        variant: None,
        source: "skill",
        trusted: skill.trusted,
        hints: hints(&skill.content),
        template: skill.content.clone(),
        subtask: None,
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand_command(template: &str, arguments: &str) -> String {
        let texts = pieces(template, arguments).into_iter();
        texts
            .map(|piece| match piece {
                Piece::Text(text) | Piece::Shell(text) => text,
            })
            .collect()
    }

    #[test]
    fn blanks_are_filled_once_and_the_last_takes_the_rest() {
        let template = "Hello args=$ARGUMENTS first=$1 second=$2";
        assert_eq!(
            hints("$2 $ARGUMENTS $1 $2 $x $0"),
            ["$1", "$2", "$ARGUMENTS"]
        );
        assert_eq!(
            expand_command(template, r#"x "y z" w"#),
            r#"Hello args=x "y z" w first=x second=y z w"#
        );
        assert_eq!(expand_command("$1|$2|$3", "a"), "a||");
        assert_eq!(expand_command("$1", "$2 $ARGUMENTS"), "$2 $ARGUMENTS");
        assert_eq!(expand_command("Just do", " it"), "Just do\n\n it");
        assert_eq!(expand_command("Just do", ""), "Just do");
        assert_eq!(
            words(r#" don't "a b" 'c' "d "#),
            ["don't", "a b", "c", "\"d"]
        );
    }

    #[test]
    fn only_the_template_can_run_a_shell() {
        assert_eq!(
            pieces("Diff: !`git diff $1` of @a.txt $ARGUMENTS", "!`id`"),
            [
                Piece::Text("Diff: ".into()),
                Piece::Shell("git diff !`id`".into()),
                Piece::Text(" of @a.txt !`id`".into()),
            ]
        );
        assert_eq!(
            pieces("no shell", "x"),
            [Piece::Text("no shell\n\nx".into())]
        );
    }
}
