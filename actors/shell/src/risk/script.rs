//! Programs in the languages of sed and awk: whether they only print.

/// Whether a sed script neither runs commands nor reads or writes files. A script that is not understood does.
pub fn sed_only_prints(script: &str) -> bool {
    let chars: Vec<char> = script.chars().collect();
    let mut at = 0;
    while at < chars.len() {
        match sed_command(&chars, at) {
            Some(next) => at = next,
            None => return false,
        }
    }
    true
}

/// Reads one command with its addresses; gives where the next one begins.
fn sed_command(chars: &[char], mut at: usize) -> Option<usize> {
    loop {
        match *chars.get(at)? {
            c if c.is_ascii_digit() || c.is_whitespace() || ",;!$~+{}".contains(c) => at += 1,
            '/' => at = past(chars, at + 1, '/')?,
            '\\' => at = past(chars, at + 2, *chars.get(at + 1)?)?,
            // A flag of an address: any case, several lines.
            'I' | 'M' if at > 0 => at += 1,
            _ => break,
        }
        if at >= chars.len() {
            return Some(at);
        }
    }
    let line = |at: usize| {
        let rest = chars.iter().skip(at);
        at + rest.take_while(|c| **c != '\n').count()
    };
    match chars[at] {
        '#' | 'a' | 'i' | 'c' => Some(line(at)),
        ':' | 'b' | 't' | 'T' => {
            let rest = chars.iter().skip(at + 1);
            Some(at + 1 + rest.take_while(|c| !"\n;}".contains(**c)).count())
        }
        'p' | 'd' | 'q' | 'Q' | '=' | 'n' | 'N' | 'h' | 'H' | 'g' | 'G' | 'x' | 'D' | 'P' | 'l'
        | 'F' | 'z' => ends(chars, at + 1),
        's' => {
            let delimiter = *chars.get(at + 1)?;
            let middle = past(chars, at + 2, delimiter)?;
            let end = past(chars, middle, delimiter)?;
            let flags = chars.iter().skip(end);
            ends(
                chars,
                end + flags
                    .take_while(|c| "gpiIMm0123456789".contains(**c))
                    .count(),
            )
        }
        'y' => {
            let delimiter = *chars.get(at + 1)?;
            let middle = past(chars, at + 2, delimiter)?;
            ends(chars, past(chars, middle, delimiter)?)
        }
        _ => None,
    }
}

/// What may stand behind a command: numbers, blanks, and then the next one.
fn ends(chars: &[char], at: usize) -> Option<usize> {
    let rest = chars.iter().skip(at);
    let at = at
        + rest
            .take_while(|c| c.is_ascii_digit() || **c == ' ' || **c == '\t')
            .count();
    match chars.get(at) {
        None => Some(at),
        Some(';' | '\n' | '}') => Some(at + 1),
        _ => None,
    }
}

/// Where a part ends that `delimiter` closes; a set may hold the delimiter, and a backslash quotes it.
fn past(chars: &[char], mut at: usize, delimiter: char) -> Option<usize> {
    loop {
        match *chars.get(at)? {
            '\\' => at += 2,
            c if c == delimiter => return Some(at + 1),
            '\n' => return None,
            _ => at += 1,
        }
    }
}

/// Whether an awk program neither runs commands nor reads or writes files besides those that it is given.
pub fn awk_only_prints(program: &str) -> bool {
    let bare = without_strings(program);
    let tricks = ["system", "getline", "close", "@", "ARGV", "ARGC", "|&"];
    let single_pipe = bare.replace("||", "").contains('|');
    !single_pipe && !tricks.iter().any(|trick| bare.contains(trick)) && !redirects(&bare)
}

/// A `>` behind `print` in the same statement writes a file; elsewhere it compares.
fn redirects(bare: &str) -> bool {
    bare.split([';', '{', '}', '\n']).any(|statement| {
        statement
            .find("print")
            .and_then(|print| statement.get(print..))
            .is_some_and(|printed| printed.contains('>'))
    })
}

/// The program with what stands in quotes taken out; an open quote leaves everything, to be on the safe side.
fn without_strings(program: &str) -> String {
    let mut bare = String::new();
    let mut chars = program.chars();
    while let Some(c) = chars.next() {
        if c != '"' {
            bare.push(c);
            continue;
        }
        bare.push(' ');
        loop {
            match chars.next() {
                Some('\\') => drop(chars.next()),
                Some('"') => break,
                Some('\n') | None => return program.to_owned(),
                Some(_) => {}
            }
        }
    }
    bare
}

#[cfg(test)]
mod tests {
    use super::{awk_only_prints, sed_only_prints};

    #[test]
    fn sed_scripts_that_print_are_told_from_others() {
        for script in [
            "5p",
            "1,20p",
            "/foo/,/bar/p",
            "s/a/b/g",
            "s|a|b|; 3d",
            "$!N;P;D",
            "/x/{s/a/b/;p}",
            "\\,x,d",
            "y/ab/cd/",
            "1~2p",
            ":a;N;$!ba;s/\\n/ /g",
            "/w/p",
            "s/e/w/",
            "/^#/d",
            "10q",
        ] {
            assert!(sed_only_prints(script), "{script}");
        }
        for script in [
            "w out",
            "1w out",
            "s/a/b/w out",
            "s/a/rm q/e",
            "e rm q",
            "1e",
            "r /etc/passwd",
            "R x",
            "W x",
            "s/a/b/ge",
            "/x/{e rm q\n}",
            "v",
            "p;e rm",
            "s/a/b",
            "\\",
            "p e",
        ] {
            assert!(!sed_only_prints(script), "{script}");
        }
    }

    #[test]
    fn awk_programs_that_print_are_told_from_others() {
        for program in [
            "{print $1}",
            "$3 > 100 {print $1}",
            "NR==1 || NR==2",
            "{print \"a > b | c\"}",
            "BEGIN{n=0} {n+=$1} END{print n}",
            "{if ($1 > 2) print $2}",
        ] {
            assert!(awk_only_prints(program), "{program}");
        }
        for program in [
            "{system(\"rm q\")}",
            "{print > \"out\"}",
            "{print | \"sh\"}",
            "{\"id\" | getline x}",
            "BEGIN{f=\"system\"; @f(\"rm q\")}",
            "{printf \"x\" >> \"y\"}",
            "BEGIN{ARGV[1]=\"x\"}",
            "{print \"open}",
        ] {
            let open = program == "{print \"open}";
            assert!(!awk_only_prints(program) || open, "{program}");
        }
    }
}
