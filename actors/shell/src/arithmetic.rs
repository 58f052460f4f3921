//! Arithmetic: bash evaluates a variable's value as a further expression, and subscripts in that run commands.

/// What an expression reads and sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expression {
    /// Variables whose values are evaluated, with whether the expression set each before.
    pub reads: Vec<String>,
    /// Variables that it gives a number.
    pub writes: Vec<String>,
}

/// Reads an expression of numbers, variables and operators; `None` for anything else (subscripts, substitutions, quotes).
pub fn read(text: &str) -> Option<Expression> {
    let chars: Vec<char> = text.chars().collect();
    let mut found = Expression::default();
    let mut at = 0;
    while let Some(c) = chars.get(at).copied() {
        let end = match c {
            c if c.is_ascii_digit() => {
                end_of(&chars, at, |c| c.is_ascii_alphanumeric() || c == '#')
            }
            c if is_start(c) => {
                let end = end_of(&chars, at, is_part);
                let name: String = chars.get(at..end)?.iter().collect();
                let stepped = steps_before(&chars, at);
                name_at(&chars, end, name, stepped, &mut found)?;
                end
            }
            '$' => dollar(&chars, at + 1, &mut found)?,
            c if c.is_whitespace() || "+-*/%<>=!&|^~?:(),".contains(c) => at + 1,
            _ => return None,
        };
        at = end;
    }
    Some(found)
}

fn is_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn end_of(chars: &[char], at: usize, is_in: impl Fn(char) -> bool) -> usize {
    let rest = chars.iter().skip(at);
    at + rest.take_while(|c| is_in(**c)).count()
}

/// A bare name: set where `=` follows, read and set where it steps or an operator stands before the `=`, else read.
/// `None` for a subscript.
fn name_at(
    chars: &[char],
    end: usize,
    name: String,
    stepped: bool,
    found: &mut Expression,
) -> Option<()> {
    let next = end_of(chars, end, char::is_whitespace);
    let behind: String = chars.iter().skip(next).take(3).collect();
    if behind.starts_with('[') {
        return None;
    }
    if behind.starts_with('=') && !behind.starts_with("==") {
        found.writes.push(name);
        return Some(());
    }
    let operators = ["+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>="];
    let steps = behind.starts_with("++") || behind.starts_with("--");
    let sets = stepped || steps || operators.iter().any(|sign| behind.starts_with(sign));
    read_name(name.clone(), found);
    if sets {
        found.writes.push(name);
    }
    Some(())
}

/// Whether `++` or `--` stands before a place.
fn steps_before(chars: &[char], at: usize) -> bool {
    let before: String = chars.iter().take(at).collect();
    let before = before.trim_end();
    before.ends_with("++") || before.ends_with("--")
}

fn read_name(name: String, found: &mut Expression) {
    if !found.writes.contains(&name) {
        found.reads.push(name);
    }
}

/// `$NAME`, `${NAME}`, `${#NAME}`, and the parameters that are numbers by themselves. Gives where it ends.
fn dollar(chars: &[char], at: usize, found: &mut Expression) -> Option<usize> {
    match chars.get(at)? {
        '#' | '?' | '$' | '!' => Some(at + 1),
        c if is_start(*c) => {
            let end = end_of(chars, at, is_part);
            read_name(chars.get(at..end)?.iter().collect(), found);
            Some(end)
        }
        '{' => {
            let close = chars.iter().skip(at).position(|c| *c == '}')? + at;
            let name: String = chars.get(at + 1..close)?.iter().collect();
            if let Some(counted) = name.strip_prefix('#') {
                let counted = counted.strip_suffix("[@]").unwrap_or(counted);
                (counted.is_empty() || counted.chars().all(is_part)).then_some(())?;
            } else {
                let mut letters = name.chars();
                let whole = letters.next().is_some_and(is_start) && letters.all(is_part);
                whole.then_some(())?;
                read_name(name, found);
            }
            Some(close + 1)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn numbers_and_names_are_read_and_everything_else_is_not() {
        let shown = |text| {
            read(text).map(|found| format!("{}={}", found.writes.join(","), found.reads.join(",")))
        };
        for (text, wanted) in [
            ("1 + 0x1f * 16#ff", Some("=")),
            ("i = 0, i < n", Some("i=n")),
            ("i++", Some("i=i")),
            ("--i", Some("i=i")),
            ("i += 1", Some("i=i")),
            ("x == 1 ? $y : ${z}", Some("=x,y,z")),
            ("$# + ${#a} + ${#a[@]} + $?", Some("=")),
            ("a[1]", None),
            ("$(rm q)", None),
            ("`rm q`", None),
            ("${x:-1}", None),
            ("$1", None),
            ("'1'", None),
        ] {
            assert_eq!(shown(text).as_deref(), wanted, "{text}");
        }
    }
}
