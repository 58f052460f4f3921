//! What the scripted model says, turn by turn.

use super::project::{Project, RIGHT, WRONG};
use serde_json::{Value, json};

/// The user's prompt.
pub const PROMPT: &str = "The tests fail. Find out why, fix it, and show me that it works.";
/// The command that runs the tests.
pub const TEST_COMMAND: &str = "sh test.sh";
/// What the model says at the end.
pub const CLOSING: &str = "Fixed. `$*` splits every argument at its spaces; `\"$@\"` keeps each one whole, so \
    \"Ada Lovelace\" is greeted once, by her full name. Both tests pass now.";

/// One answer of the model: a text, then calls of tools.
#[derive(Clone, Debug)]
pub struct Turn {
    /// What it says.
    pub text: String,
    /// `(name, arguments)`, in order.
    pub calls: Vec<(&'static str, Value)>,
}

/// The answers in order.
pub fn turns(project: &Project) -> Vec<Turn> {
    let read = |name: &str| ("read", json!({"filePath": project.path(name)}));
    let test = |why: &str| ("bash", json!({"command": TEST_COMMAND, "description": why}));
    let edit =
        json!({"filePath": project.path("greet.sh"), "oldString": WRONG, "newString": RIGHT});
    vec![
        turn(
            "I'll read the program and its tests first.",
            vec![read("greet.sh"), read("test.sh")],
        ),
        turn(
            "Now let me see the failure with my own eyes.",
            vec![test("Runs the tests")],
        ),
        turn(
            "The full name comes back as two greetings: the loop runs over an unquoted `$*`, and the shell splits that at \
             every space. One line to change.",
            vec![("edit", edit)],
        ),
        turn("The same tests again:", vec![test("Runs the tests again")]),
        turn(CLOSING, vec![]),
    ]
}

fn turn(text: &str, calls: Vec<(&'static str, Value)>) -> Turn {
    Turn {
        text: text.to_owned(),
        calls,
    }
}
