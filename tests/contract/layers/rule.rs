//! A rule about what sources may say.

use crate::packages::{packages, root};
use crate::source::{code_of, sources, strings_of};
use regex::Regex;

/// What a rule looks at.
#[derive(Clone, Copy)]
pub enum On {
    /// Code without comments and without what stands in strings.
    Code,
    /// What stands in strings.
    Strings,
}

/// A rule: what no line of some files may have.
pub struct Rule {
    /// The rule in a sentence.
    pub says: &'static str,
    /// The files it is about, by their path in the workspace.
    pub looks_at: fn(&str) -> bool,
    /// What no line may have.
    pub finds: &'static str,
    pub on: On,
    /// Files that are named in the rule as exceptions. One that needs none is taken off the list.
    pub but_not: &'static [&'static str],
    /// A line that breaks the rule.
    pub breaks: &'static str,
}

impl Rule {
    /// Checks the rule on its own sample, then on the workspace.
    #[track_caller]
    pub fn holds(&self) {
        let finds = Regex::new(self.finds).expect("a rule is a regular expression");
        let says = self.says;
        assert_eq!(
            self.broken(&finds, self.breaks),
            [1],
            "the rule \"{says}\" cannot fail"
        );
        assert!(
            self.broken(&finds, &format!("// {}", self.breaks))
                .is_empty(),
            "\"{says}\" reads comments"
        );
        let in_tests = format!("#[cfg(test)]\nmod tests {{\n{}\n}}", self.breaks);
        assert!(
            self.broken(&finds, &in_tests).is_empty(),
            "\"{says}\" reads tests"
        );

        let mut wrong = Vec::new();
        let mut needed = Vec::new();
        let mut seen = 0;
        for (path, text) in sources(&root(), &packages()) {
            if !(self.looks_at)(&path) {
                continue;
            }
            seen += 1;
            let lines = self.broken(&finds, &text);
            match self.but_not.iter().find(|exception| **exception == path) {
                Some(exception) if !lines.is_empty() => needed.push(*exception),
                Some(_) => {}
                None => wrong.extend(lines.into_iter().map(|line| format!("{path}:{line}"))),
            }
        }
        assert!(seen > 0, "\"{says}\" looked at no file");
        assert!(wrong.is_empty(), "\"{says}\" is broken at {wrong:#?}");
        needed.sort_unstable();
        let mut listed = self.but_not.to_vec();
        listed.sort_unstable();
        assert_eq!(
            needed, listed,
            "\"{says}\" lists exceptions that are no longer needed"
        );
    }

    /// The lines that break the rule, from 1.
    fn broken(&self, finds: &Regex, text: &str) -> Vec<usize> {
        let text = match self.on {
            On::Code => code_of(text),
            On::Strings => strings_of(text),
        };
        let lines = text.lines().enumerate();
        lines
            .filter(|(_, line)| finds.is_match(line))
            .map(|(number, _)| number + 1)
            .collect()
    }
}
