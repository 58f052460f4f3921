//! Machine tests: a script goes in, its records and effects come out as lines. No runtime, no wait.
//!
//! The script's words are in [`script`], how a line of the outcome is written in [`show`]. After every input the bench
//! compares the fold of all records with the live state, and the numbers of the durable events. Ids are written in the
//! order of their appearance: `m1` a message, `p1` a part, `per1` a request for permission, `que1` a question.

mod aborts;
mod asks;
mod bench;
mod compaction;
mod crash;
mod edits;
mod endings;
mod growth;
mod late;
mod queue;
mod script;
mod shell;
mod show;
mod tools;
mod trouble;
mod turns;
mod undo;

use bench::Bench;

/// Runs a script from a new session to its end.
fn script(text: &str) -> Outcome {
    let mut bench = Bench::new();
    bench.play(text);
    Outcome {
        lines: bench.lines.clone(),
        bench,
    }
}

/// What a script led to.
struct Outcome {
    lines: Vec<String>,
    bench: Bench,
}

impl Outcome {
    /// Whether a line begins like this.
    fn says(&self, begin: &str) -> bool {
        self.lines.iter().any(|line| line.starts_with(begin))
    }

    fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// Compares the whole outcome.
    #[track_caller]
    fn expect(&self, expected: &str) -> &Self {
        compare(&self.lines, expected);
        self
    }

    /// Compares what came from the last input that begins with `input` on.
    #[track_caller]
    fn since(&self, input: &str, expected: &str) -> &Self {
        let from = self
            .lines
            .iter()
            .rposition(|line| line.starts_with(&format!("- {input}")));
        let from = from.unwrap_or_else(|| panic!("no input begins with {input:?}"));
        compare(&self.lines[from..], expected);
        self
    }

    /// Nothing is open: what must hold whenever a session does nothing.
    #[track_caller]
    fn is_settled(&self) -> &Self {
        self.bench.assert_settled();
        self
    }
}

#[track_caller]
fn compare(lines: &[String], expected: &str) {
    let expected: Vec<&str> = expected
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let actual = lines.join("\n");
    assert!(
        lines == expected,
        "the outcome is\n{actual}\n\nbut should be\n{}",
        expected.join("\n")
    );
}
