//! The requests for permission that a shell text needs.

mod asking;
mod files;
mod found;

use crate::context::Context;
use crate::disk::{self, Roots};
use crate::files as operands;
use crate::plan::{Evaluated, SimpleCommand, Via, Why};
use crate::prefix;
use crate::resolve::{ResolvedPath, Resolver};
use crate::risk;
use crate::walk::parse;
use crate::weigh::{HOLE, Rules};
use crate::word::{Word, pattern};
use asking::Asking;
use found::{Found, add};
use kilo_ports::tool::Ask;

/// Words of a command of which the beginning of another command may be one.
const SUFFIXES_MAX: usize = 32;

/// The requests for `text`, in the order in which they are to be made: `external_directory`, `read`, `edit`, `bash`; each
/// at most once, and only where there is something to ask.
///
/// Files that a text writes are part of the `bash` request (`metadata.files`); it must be asked where the rules for
/// `edit` ask about one of them. `edit` is asked only for what those rules deny. The metadata carries `command`,
/// `description` if given, and `reason` where a person must look. Reads the disk: not for an async thread.
pub fn requests(text: &str, description: Option<&str>, context: Context<'_>) -> Vec<Ask> {
    judge(text, description, context).asks
}

/// What a text needs before it may run.
#[derive(Debug, Default)]
pub struct Judgement {
    /// The requests, in the order in which they are to be made.
    pub asks: Vec<Ask>,
    /// Names (as for `grep --exclude`) that every `grep` of the text must leave out: then it shows no secrets, and
    /// nobody need be asked about them.
    pub left_out: &'static [&'static str],
}

/// The requests of [`requests`], and what the text must be kept from instead of asking.
pub fn judge(text: &str, description: Option<&str>, context: Context<'_>) -> Judgement {
    let plan = parse(text);
    let roots = Roots::new(&[context.directory, context.worktree]);
    let mut asking = Asking {
        plan: &plan,
        resolver: Resolver::new(&plan, context, roots),
        context,
        rules: Rules::new(context.rules, context.saved),
        found: Found::default(),
    };
    asking.start();
    asking.folder_changes();
    asking.redirects();
    asking.in_order();
    if plan.parse_error && !asking.rules.allow_everything("bash") {
        asking.found.must_ask(Why::Unread.reason());
    }
    if asking.found.patterns.is_empty() {
        asking.whole(text.trim());
    }
    let left_out = asking.left_out(text);
    Judgement {
        asks: asking.found.into_asks(text, description),
        left_out,
    }
}

impl Asking<'_> {
    fn start(&mut self) {
        let start = self.context.start;
        self.leave(&ResolvedPath {
            shown: disk::flat(start),
            real: disk::real(start),
        });
    }

    fn folder_changes(&mut self) {
        for visit in &self.plan.visits {
            match &visit.target {
                Some(target) => {
                    let places = self.resolver.candidates(target, visit.at, &visit.cwds);
                    places
                        .known
                        .iter()
                        .chain(&places.folders)
                        .for_each(|place| self.leave(place));
                }
                None => self.leave(&self.resolver.home()),
            }
        }
    }

    /// Commands, and what is evaluated without being one, as they come in the text.
    fn in_order(&mut self) {
        let mut evaluated = self.plan.evaluated.iter().peekable();
        for command in &self.plan.commands {
            while let Some(next) = evaluated.next_if(|next| next.at < command.at) {
                self.evaluated(next);
            }
            self.command(command);
        }
        evaluated.for_each(|next| self.evaluated(next));
    }

    fn evaluated(&mut self, evaluated: &Evaluated) {
        let numbers = evaluated.numbers.as_ref();
        let harmless = numbers.is_some_and(|names| {
            names
                .iter()
                .all(|name| self.resolver.is_number(name, evaluated.at))
        });
        if harmless {
            return;
        }
        self.unknown(evaluated.why);
        self.found.pattern(evaluated.text.clone(), None);
    }

    /// It may run anything.
    fn unknown(&mut self, why: Why) {
        if !self.rules.allow_everything("bash") {
            self.found.must_ask(why.reason());
        }
    }

    fn command(&mut self, command: &SimpleCommand) {
        for operand in operands::operands(&command.words) {
            self.operand(&operand, command);
        }
        if let Some(copies) = operands::copies(&command.words) {
            self.copied(&copies, command);
        }
        match command.via {
            Via::Cd | Via::Wrapper if !self.is_ruled(command) => return,
            Via::Cd | Via::Wrapper | Via::Itself => {}
        }
        self.named(command);
        self.settings(command);
        let outcomes = |word: &Word| self.resolver.outcomes(word, command.at, &command.cwds);
        for risk in risk::risks(&command.words, &outcomes) {
            self.risk(&risk, command);
        }
        if risk::is_git(&command.words) {
            self.repository(command);
        }
        self.hidden(command);
    }

    /// The command itself, and in its plainest form.
    fn named(&mut self, command: &SimpleCommand) {
        let program_known = command
            .words
            .first()
            .is_some_and(|word| word.literal().is_some());
        let mut forms = vec![command.words.clone()];
        forms.extend(prefix::plainest(&command.words).filter(|_| command.program.is_some()));
        for words in forms {
            let text = pattern(&words, &command.redirections);
            let shape = self.shape(&words, command);
            if shape.contains(HOLE) && !self.rules.allow_all_of("bash", &shape) {
                if !program_known {
                    self.found.must_ask(Why::Unknown.reason());
                } else if self.rules.may_allow("bash", &text) {
                    self.found.must_ask(Why::UnknownWord.reason());
                }
            }
            let always = program_known.then(|| self.always(&words, "", command));
            self.found.pattern(text, always);
        }
    }

    /// What an answer "always" allows: the command with any operands. If it writes to files, with those alone.
    fn always(&self, words: &[Word], settings: &str, command: &SimpleCommand) -> String {
        let writes = operands::operands(words)
            .iter()
            .any(|operand| operand.role == operands::Role::Edit);
        let redirections = &command.redirections;
        prefix::suggestion(words)
            .filter(|_| !writes)
            .map(|suggestion| format!("{settings}{suggestion}{redirections}"))
            .unwrap_or_else(|| format!("{settings}{}", pattern(words, redirections)))
    }

    /// Variables that are set for the command alone.
    fn settings(&mut self, command: &SimpleCommand) {
        if command.settings.is_empty() {
            return;
        }
        let settings = format!("{} ", command.settings.join(" "));
        let always = self.always(&command.words, &settings, command);
        if command.weighty {
            self.unknown(Why::Redirects);
        }
        self.found.pattern(
            format!("{settings}{}", command.text),
            (!command.weighty).then_some(always),
        );
    }

    /// An option that does more than what a rule for the program speaks of.
    fn risk(&mut self, risk: &risk::Risk, command: &SimpleCommand) {
        let text = &command.text;
        // A rule for the program alone names its option no more than any other.
        let named = match command.words.first() {
            Some(program) if program.canonical() == risk.name => text,
            _ => &risk.name,
        };
        let by_name = self.rules.allow_with("bash", text, named);
        let by_all = if risk.kind == risk::Kind::Runs {
            self.rules.allow_everything("bash")
        } else {
            self.rules.allow_as_everything("bash", text)
        };
        if !by_name && !by_all {
            self.found
                .must_ask(format!("{}: {}", risk.name, risk.kind.reason()));
            self.found.always.retain(|always| !always.ends_with('*'));
            add(&mut self.found.always, text.clone());
        }
    }

    /// Git obeys the configuration of the repository in which it runs.
    fn repository(&mut self, command: &SimpleCommand) {
        let folder = risk::git_folder(&command.words);
        let places = self.resolver.candidates(&folder, command.at, &command.cwds);
        let foreign = places
            .known
            .iter()
            .any(|place| disk::has_own_repository(&place.real, self.context.worktree));
        if (foreign || places.unknown) && !self.rules.allow_everything("bash") {
            self.found
                .must_ask("git obeys the configuration of another repository");
        }
    }

    /// A denied command among the words of another, which may well run it.
    fn hidden(&mut self, command: &SimpleCommand) {
        if operands::only_reads(&command.words) || !self.rules.forbid_something("bash") {
            return;
        }
        for at in 1..command.words.len().min(SUFFIXES_MAX) {
            let suffix = pattern(command.words.get(at..).unwrap_or_default(), "");
            let own = command
                .words
                .get(at)
                .and_then(Word::literal)
                .unwrap_or_default();
            if self.rules.forbid("bash", &suffix) || self.rules.forbid("bash", &own) {
                self.found.must_ask(Why::Unknown.reason());
                return;
            }
        }
    }

    /// The command as rules see it, with holes for what only the running shell knows.
    fn shape(&self, words: &[Word], command: &SimpleCommand) -> String {
        let mut shape: Vec<String> = Vec::new();
        for (at, word) in words.iter().enumerate() {
            shape.push(match word.literal() {
                Some(_) => word.canonical(),
                None if at > 0 => self.resolver.shape(word, command.at),
                None => HOLE.to_string(),
            });
        }
        if command.open_ended {
            shape.push(HOLE.to_string());
        }
        format!("{}{}", shape.join(" "), command.redirections)
    }

    /// A text without a command of its own: whatever it is, it is not run where bash is denied, and what is not known to
    /// be harmless is asked about as it stands.
    fn whole(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if self.plan.acts || self.rules.deny("bash", text) {
            self.found.pattern(text.to_owned(), None);
        }
    }

    /// Whether a rule speaks of a command that is asked about only then.
    fn is_ruled(&self, command: &SimpleCommand) -> bool {
        command
            .program
            .as_ref()
            .is_some_and(|program| self.rules.speak_of("bash", program))
    }
}
