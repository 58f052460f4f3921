use super::find::place;
use super::{Hunk, PatchError, Step};
use crate::text::already::{follows_as_it_is, replaces_as_it_is};
use crate::text::ending::Ending;
use crate::text::indent::{self, Pair, fitted, same};
use std::borrow::Cow;

/// Carries out a file's hunks from top to bottom, each below the one before, and gives the new text.
///
/// Lines are compared exactly, then without blanks at their ends, then without blanks around them, then with the
/// typographic characters that models like to swap taken for plain ones. Lines that stay, stay as the file has them; lines
/// that come are put into the file's indentation where the hunk has another.
///
/// Errors: the hunk whose lines are not there, or whose indentation cannot be carried over.
pub fn apply(text: &str, path: &str, hunks: &[Hunk]) -> Result<String, PatchError> {
    let ending = Ending::of(text);
    let mut lines: Vec<&str> = text.split('\n').collect();
    // The piece after the last newline is no line.
    let ends_with_newline = lines.last() == Some(&"");
    if ends_with_newline {
        lines.pop();
    }
    let mut result: Vec<Cow<'_, str>> = Vec::with_capacity(lines.len());
    let mut done = 0;
    for hunk in hunks {
        let (at, count) = place(&lines, done, path, hunk)?;
        result.extend(lines[done..at].iter().map(|&line| Cow::Borrowed(line)));
        let have = &lines[at..at + count];
        let mut added = added(hunk, have, text, path)?.into_iter();
        carry_out(hunk, have, &mut added, ending, &mut result);
        done = at + count;
    }
    result.extend(lines[done..].iter().map(|&line| Cow::Borrowed(line)));
    let mut new = result.join("\n");
    if !result.is_empty() && (ends_with_newline || text.is_empty()) {
        new.push('\n');
    }
    Ok(new)
}

/// Adds a hunk's outcome to `result`; `have` are the file's lines that it covers, `added` the lines that come.
fn carry_out<'a>(
    hunk: &Hunk,
    have: &[&'a str],
    added: &mut impl Iterator<Item = String>,
    ending: Ending,
    result: &mut Vec<Cow<'a, str>>,
) {
    let mut have = have.iter();
    for step in &hunk.lines {
        match step {
            Step::Keep(_) => result.extend(have.next().map(|&line| Cow::Borrowed(line))),
            Step::Remove(_) => {
                have.next();
            }
            Step::Add(_) => {
                let line = added.next().unwrap_or_default();
                result.push(Cow::Owned(match ending {
                    Ending::CrLf => format!("{line}\r"),
                    Ending::Lf => line,
                }));
            }
        }
    }
}

/// The lines that a hunk adds, in the indentation that its other lines have in the file.
fn added(hunk: &Hunk, have: &[&str], text: &str, path: &str) -> Result<Vec<String>, PatchError> {
    let old: Vec<(&Step, &str)> = hunk
        .lines
        .iter()
        .filter(|step| !matches!(step, Step::Add(_)))
        .zip(have.iter().copied())
        .collect();
    let pairs = |removed_only: bool| -> Vec<Pair<'_>> {
        let pairs = old.iter().filter_map(|(step, have)| match step {
            Step::Keep(line) if !removed_only => Some((line.as_str(), *have)),
            Step::Remove(line) => Some((line.as_str(), *have)),
            _ => None,
        });
        pairs.collect()
    };
    let new: Vec<&str> = hunk
        .lines
        .iter()
        .filter_map(|step| match step {
            Step::Add(line) => Some(line.as_str()),
            _ => None,
        })
        .collect();
    let own = || new.iter().map(|line| (*line).to_owned()).collect();
    let is_same = pairs(false).iter().all(|(want, have)| same(want, have));
    if new.is_empty() || (is_same && !indent::matters(path)) {
        return Ok(own());
    }
    let joined = new.join("\n");
    if is_written_as_the_file(&old, hunk, &joined, text) {
        return Ok(own());
    }
    // A line that stays may have lost a blank to the patch's own column; those that go are the better witnesses.
    let fitted = fitted(&pairs(false), text, &joined).or_else(|| {
        Some(pairs(true))
            .filter(|pairs| !pairs.is_empty())
            .and_then(|pairs| fitted(&pairs, text, &joined))
    });
    match fitted {
        Some(lines) => Ok(lines.split('\n').map(str::to_owned).collect()),
        None if is_same => Ok(own()),
        None => Err(PatchError(format!(
            "The patch's lines stand in {path} with another indentation, and the new ones cannot be put into it for \
             certain. Read the file and give all lines indented as it is:\n{}",
            hunk.old().join("\n")
        ))),
    }
}

/// Whether the lines that come are indented as the file is, though the hunk's other lines are not: a model that read the
/// file for what it writes may quote what it replaces from memory.
fn is_written_as_the_file(old: &[(&Step, &str)], hunk: &Hunk, new: &str, text: &str) -> bool {
    let removed = old.iter().filter_map(|(step, have)| match step {
        Step::Remove(line) => Some((line.as_str(), *have)),
        _ => None,
    });
    let (want, have): (Vec<&str>, Vec<&str>) = removed.unzip();
    if !have.is_empty() {
        return want.iter().zip(&have).any(|(want, have)| !same(want, have))
            && replaces_as_it_is(&have, &want, new, text);
    }
    let is_new = |step: &Step| matches!(step, Step::Add(_));
    let kept = hunk.lines.iter().take_while(|step| !is_new(step)).count();
    let before = kept.checked_sub(1).and_then(|last| old.get(last));
    before.is_some_and(|(step, have)| match step {
        Step::Keep(line) => !same(line, have) && follows_as_it_is((line, have), new, text),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Section, parse};
    use super::apply;

    fn patched(text: &str, body: &str) -> Result<String, String> {
        let sections = parse(&format!(
            "*** Begin Patch\n*** Update File: f\n{body}\n*** End Patch"
        ))
        .unwrap();
        let Section::Update { hunks, .. } = &sections[0] else {
            panic!()
        };
        apply(text, "f", hunks).map_err(|error| error.0)
    }

    #[test]
    fn hunks_follow_each_other() {
        let text = "a\nb\nc\nb\nd\n";
        assert_eq!(
            patched(text, "@@\n-b\n+1\n@@\n-b\n+2"),
            Ok("a\n1\nc\n2\nd\n".into())
        );
        assert_eq!(patched(text, "@@ c\n-b\n+2"), Ok("a\nb\nc\n2\nd\n".into()));
        assert_eq!(
            patched("x\nx\n", "@@\n-x\n+y\n*** End of File"),
            Ok("x\ny\n".into())
        );
    }

    #[test]
    fn lines_are_added() {
        assert_eq!(patched("a\nb\n", "@@\n+c"), Ok("a\nb\nc\n".into()));
        assert_eq!(patched("a\nb\n", "@@ a\n+c"), Ok("a\nc\nb\n".into()));
        assert_eq!(patched("", "@@\n+c"), Ok("c\n".into()));
    }

    #[test]
    fn endings_are_kept() {
        assert_eq!(patched("a\r\nb\r\n", "@@\n-b\n+c"), Ok("a\r\nc\r\n".into()));
        assert_eq!(patched("a\nb", "@@\n-a\n+c"), Ok("c\nb".into()));
        assert_eq!(
            patched("a\nb\r\nc\nd\n", "@@\n-d\n+e"),
            Ok("a\nb\r\nc\ne\n".into())
        );
    }

    #[test]
    fn blanks_and_typography_are_forgiven() {
        assert_eq!(patched("  a  \nb\n", "@@\n-a\n+x"), Ok("  x\nb\n".into()));
        assert_eq!(
            patched("  a  \nb\n", "@@\n a\n-b\n+x"),
            Ok("  a  \nx\n".into())
        );
        assert_eq!(
            patched("say “hi” – now\n", "@@\n-say \"hi\" - now\n+x"),
            Ok("x\n".into())
        );
    }

    #[test]
    fn each_line_after_the_marks_narrows_the_next() {
        let text = "class A:\n    def f(self):\n        return 1\n\nclass B:\n    def f(self):\n        return 1\n\n\
                    def f(self):\n    return 1\n";
        let of_b = text.replace(
            "class B:\n    def f(self):\n        return 1",
            "class B:\n    def f(self):\n        return 2",
        );
        for contexts in [
            "@@ class B:\n@@     def f(self):",
            "@@ class B:\n@@ def f(self):",
            "@@ class B:",
        ] {
            let patch = format!("{contexts}\n-        return 1\n+        return 2");
            assert_eq!(
                patched(text, &patch).as_deref(),
                Ok(of_b.as_str()),
                "{contexts}"
            );
        }
        // What is not below them is not taken from elsewhere.
        let other = "class A:\n    def f(self):\n        return 1\n\nclass B:\n    def f(self):\n        return 2\n    def g(self):\n        return 1\n";
        for patch in [
            "@@ class B:\n@@ def f(self):\n-        return 1\n+        return 3",
            "@@ class B:\n@@ def h(self):\n-        return 1\n+        return 3",
            "@@ class A:\n@@ def g(self):\n-        return 1\n+        return 3",
        ] {
            assert!(patched(other, patch).is_err(), "{patch}");
        }
        let braces = "class A\n{\n    void f(\n        int x\n    )\n    {\n        one();\n    }\n}\nclass B\n{\n    void f()\n    {\n        one();\n    }\n}\n";
        let (first, last) = braces.split_at(braces.rfind("one").unwrap());
        assert_eq!(
            patched(
                braces,
                "@@ class B\n@@ void f()\n-        one();\n+        two();"
            ),
            Ok(format!("{first}{}", last.replace("one", "two")))
        );
        // A line without a block of its own only says where to begin.
        assert_eq!(
            patched("a\nb\nx\nb\n", "@@ x\n-b\n+c"),
            Ok("a\nb\nx\nc\n".into())
        );
        // As other diffs do, the line may be the one above that the change is no part of.
        let after = "def a():\n    pass\n\nx = 1\n";
        assert_eq!(
            patched(after, "@@ def a():\n-x = 1\n+x = 2"),
            Ok(after.replace("x = 1", "x = 2"))
        );
    }

    #[test]
    fn lines_come_in_the_files_indentation() {
        let text = "class A:\n    def f(self):\n        return 1\n";
        assert_eq!(
            patched(
                text,
                "@@\n def f(self):\n-    return 1\n+    if x:\n+        return 2"
            ),
            Ok("class A:\n    def f(self):\n        if x:\n            return 2\n".into())
        );
        let tabs = "func f() {\n\tif x {\n\t\ty()\n\t}\n}\n";
        assert_eq!(
            patched(tabs, "@@\n     if x {\n-        y()\n+        z()\n     }"),
            Ok(tabs.replace("y()", "z()"))
        );
        // A blank that the patch's own column took is no other indentation.
        assert_eq!(
            patched("a:\n    b\n    c\n", "@@\n    b\n-    c\n+    d"),
            Ok("a:\n    b\n    d\n".into())
        );
        let error = patched("a:\n    b\n        c\n    d\n", "@@\n-b\n-c\n-d\n+x").unwrap_err();
        assert!(error.contains("another indentation"), "{error}");
    }

    #[test]
    fn lines_that_are_written_as_the_file_is_stay_so() {
        let text = "class A:\n    def f(self):\n        return 1\n";
        let two = text.replace("return 1", "return 2");
        for body in [
            // The lines that go are quoted without their indentation, those that come have it.
            "@@\n-def f(self):\n-    return 1\n+    def f(self):\n+        return 2",
            "@@\n def f(self):\n-    return 1\n+        return 2",
            "@@\n-return 1\n+        return 2",
            // All have it, or none.
            "@@\n     def f(self):\n-        return 1\n+        return 2",
            "@@\n def f(self):\n-    return 1\n+    return 2",
        ] {
            assert_eq!(patched(text, body).as_deref(), Ok(two.as_str()), "{body}");
        }
        let more = text.replace("return 1", "x = 1\n        return 1");
        for body in [
            "@@\n def f(self):\n+        x = 1",
            "@@\n def f(self):\n+    x = 1",
            "@@\n     def f(self):\n+        x = 1",
        ] {
            assert_eq!(patched(text, body).as_deref(), Ok(more.as_str()), "{body}");
        }
        let after = format!("{text}        y = 2\n");
        for body in ["@@\n return 1\n+        y = 2", "@@\n return 1\n+y = 2"] {
            assert_eq!(patched(text, body).as_deref(), Ok(after.as_str()), "{body}");
        }
        let tabs = "func f() {\n\tif x {\n\t\ty()\n\t}\n}\n";
        for body in [
            "@@\n-    if x {\n-        y()\n+\tif x {\n+\t\tz()\n     }",
            "@@\n-y()\n+\t\tz()",
        ] {
            assert_eq!(
                patched(tabs, body),
                Ok(tabs.replace("y()", "z()")),
                "{body}"
            );
        }
    }

    #[test]
    fn what_is_not_there_is_told() {
        assert!(
            patched("a\n", "@@\n-q\n+x")
                .unwrap_err()
                .contains("could not be found:\nq")
        );
        assert!(
            patched("a\n", "@@ q\n-a\n+x")
                .unwrap_err()
                .contains("the line after @@")
        );
        assert!(patched("a\nb\n", "@@\n-b\n+x\n@@\n-a\n+y").is_err());
    }
}
