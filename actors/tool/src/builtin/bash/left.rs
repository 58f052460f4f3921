//! What a command seems to leave running.

/// Words that start something which is to outlive the shell.
const DETACHERS: [&str; 3] = ["nohup", "setsid", "disown"];

/// Whether a command starts something in the background and does not wait for it. A guess from the text, only for a
/// hint: what a quoted text or a comment says may be taken for a command.
pub fn is_left_running(command: &str) -> bool {
    let words = || command.split(|letter: char| letter.is_whitespace() || ";()&|".contains(letter));
    if words().any(|word| word == "wait" || word == "fg") {
        return false;
    }
    words().any(|word| DETACHERS.contains(&word)) || has_background(command)
}

/// An `&` outside of quotes that is none of `&&`, `&>`, `>&`, `<&`, `|&`.
fn has_background(command: &str) -> bool {
    let (mut quote, mut before) = (None, ' ');
    let mut letters = command.chars().peekable();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (None | Some('"'), '\\') => drop(letters.next()),
            (None, '\'' | '"') => quote = Some(letter),
            (Some(open), _) if open == letter => quote = None,
            (None, '&')
                if !"&><|".contains(before) && !matches!(letters.peek(), Some('&' | '>')) =>
            {
                return true;
            }
            _ => {}
        }
        before = letter;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_in_the_background_is_noticed() {
        for command in [
            "npm run dev &",
            "server >log 2>&1 & sleep 1; curl x",
            "nohup x",
            "(a&)",
        ] {
            assert!(is_left_running(command), "{command}");
        }
        for command in [
            "a && b",
            "make 2>&1 | tail",
            "make &> log",
            "make |& tail",
            "curl 'http://a/?b&c'",
            "echo \"a & b\" a\\&b",
            "a & b & wait",
        ] {
            assert!(!is_left_running(command), "{command}");
        }
    }
}
