use super::{Hunk, PatchError, Section, Step};

const BEGIN: &str = "*** Begin Patch";
const END: &str = "*** End Patch";
const ADD: &str = "*** Add File: ";
const DELETE: &str = "*** Delete File: ";
const UPDATE: &str = "*** Update File: ";
const MOVE: &str = "*** Move to: ";
const END_OF_FILE: &str = "*** End of File";

/// Reads a patch: `*** Begin Patch`, sections, `*** End Patch`. A shell's here-document around it is taken off.
///
/// Errors: what is wrong and in which line, counted from the patch's first.
pub fn parse(text: &str) -> Result<Vec<Section>, PatchError> {
    let lines: Vec<&str> = text.trim().lines().collect();
    let begin = lines.iter().position(|line| line.trim() == BEGIN);
    let end = lines.iter().rposition(|line| line.trim() == END);
    let (Some(begin), Some(end)) = (begin, end) else {
        return Err(PatchError(format!(
            "The patch must begin with \"{BEGIN}\" and end with \"{END}\""
        )));
    };
    if !is_wrapper(&lines[..begin]) || begin > end {
        return Err(PatchError(format!("The patch must begin with \"{BEGIN}\"")));
    }
    let mut reader = Reader {
        lines: &lines[begin + 1..end],
        at: 0,
    };
    let mut sections = Vec::new();
    while let Some(line) = reader.next() {
        if !line.trim().is_empty() {
            sections.push(reader.section(line)?);
        }
    }
    if sections.is_empty() {
        return Err(PatchError("The patch has no sections".into()));
    }
    Ok(sections)
}

/// Whether the lines before a patch are nothing or the head of a here-document.
fn is_wrapper(lines: &[&str]) -> bool {
    match lines
        .iter()
        .filter(|line| !line.trim().is_empty())
        .collect::<Vec<_>>()
        .as_slice()
    {
        [] => true,
        [only] => only.contains("<<"),
        _ => false,
    }
}

struct Reader<'a> {
    lines: &'a [&'a str],
    at: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let line = self.lines.get(self.at).copied();
        self.at += usize::from(line.is_some());
        line
    }

    /// The next line if it belongs to the section being read.
    fn next_inside(&mut self) -> Option<&'a str> {
        let line = self.lines.get(self.at).copied()?;
        let is_head = [ADD, DELETE, UPDATE]
            .iter()
            .any(|head| line.starts_with(head));
        if is_head { None } else { self.next() }
    }

    fn fault(&self, why: &str) -> PatchError {
        PatchError(format!("Line {} of the patch: {why}", self.at + 1))
    }

    fn section(&mut self, head: &str) -> Result<Section, PatchError> {
        if let Some(path) = head.strip_prefix(ADD) {
            return self.added(path.trim());
        }
        if let Some(path) = head.strip_prefix(DELETE) {
            return Ok(Section::Delete {
                path: path.trim().into(),
            });
        }
        if let Some(path) = head.strip_prefix(UPDATE) {
            return self.updated(path.trim());
        }
        Err(self.fault(&format!(
            "expected a section such as \"{UPDATE}PATH\", found \"{head}\""
        )))
    }

    fn added(&mut self, path: &str) -> Result<Section, PatchError> {
        let mut content = String::new();
        while let Some(line) = self.next_inside() {
            match line.strip_prefix('+') {
                Some(line) => {
                    content.push_str(line);
                    content.push('\n');
                }
                None if line.trim().is_empty() => {}
                None => return Err(self.fault("every line of a new file begins with \"+\"")),
            }
        }
        Ok(Section::Add {
            path: path.into(),
            content,
        })
    }

    fn updated(&mut self, path: &str) -> Result<Section, PatchError> {
        let mut move_to = None;
        if let Some(line) = self.lines.get(self.at)
            && let Some(target) = line.strip_prefix(MOVE)
        {
            move_to = Some(target.trim().to_owned());
            self.at += 1;
        }
        let mut hunks = Vec::new();
        while let Some(line) = self.next_inside() {
            if let Some(context) = line.strip_prefix("@@") {
                // Several such lines in a row narrow one change.
                if hunks
                    .last()
                    .is_none_or(|hunk: &Hunk| !hunk.lines.is_empty())
                {
                    hunks.push(Hunk::default());
                }
                if let Some(hunk) = hunks.last_mut() {
                    hunk.contexts.extend(context_of(context));
                }
            } else if line.trim() == END_OF_FILE {
                let hunk = hunks
                    .last_mut()
                    .ok_or_else(|| self.fault("the end of the file stands before any change"))?;
                hunk.at_end = true;
            } else {
                if hunks.is_empty() {
                    hunks.push(Hunk::default());
                }
                self.change_line(line, &mut hunks)?;
            }
        }
        hunks.retain(|hunk| !hunk.lines.is_empty());
        if hunks.is_empty() && move_to.is_none() {
            return Err(PatchError(format!("The section of {path} changes nothing")));
        }
        Ok(Section::Update {
            path: path.into(),
            move_to,
            hunks,
        })
    }

    fn change_line(&self, line: &str, hunks: &mut [Hunk]) -> Result<(), PatchError> {
        let Some(hunk) = hunks.last_mut() else {
            return Ok(());
        };
        let mut chars = line.chars();
        let step = match chars.next() {
            Some('+') => Step::Add(chars.as_str().into()),
            Some('-') => Step::Remove(chars.as_str().into()),
            Some(' ') => Step::Keep(chars.as_str().into()),
            // An empty line is an unchanged empty line whose blank was lost.
            None => Step::Keep(String::new()),
            Some(_) => {
                return Err(self.fault("a line of a change begins with \" \", \"+\" or \"-\""));
            }
        };
        hunk.lines.push(step);
        Ok(())
    }
}

/// The line that `@@` names; line numbers as other diffs have them name nothing.
fn context_of(text: &str) -> Option<String> {
    let text = text.strip_prefix(' ').unwrap_or(text).trim_end();
    let text = match (text.starts_with('-'), text.split_once("@@")) {
        (true, Some((_, after))) => after.trim(),
        _ => text.strip_suffix("@@").map_or(text, str::trim_end),
    };
    (!text.trim().is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::{Hunk, Section, Step};
    use super::parse;

    #[test]
    fn all_sections() {
        let patch = "cat <<'EOF'\n*** Begin Patch\n*** Update File: a.txt\n*** Move to: b.txt\n@@ fn main() {\n keep\n-old\n+new\n\
                     *** End of File\n*** Add File: p.txt\n+one\n+\n+two\n*** Delete File: d.txt\n*** End Patch\nEOF";
        let hunk = Hunk {
            contexts: vec!["fn main() {".into()],
            lines: vec![
                Step::Keep("keep".into()),
                Step::Remove("old".into()),
                Step::Add("new".into()),
            ],
            at_end: true,
        };
        assert_eq!(
            parse(patch).unwrap(),
            [
                Section::Update {
                    path: "a.txt".into(),
                    move_to: Some("b.txt".into()),
                    hunks: vec![hunk]
                },
                Section::Add {
                    path: "p.txt".into(),
                    content: "one\n\ntwo\n".into()
                },
                Section::Delete {
                    path: "d.txt".into()
                },
            ]
        );
    }

    #[test]
    fn a_bare_hunk_needs_no_marker_and_numbers_are_no_context() {
        let patch =
            "*** Begin Patch\n*** Update File: a\n-x\n+y\n@@ -3,4 +3,4 @@\n-p\n+q\n*** End Patch";
        let Section::Update { hunks, .. } = &parse(patch).unwrap()[0] else {
            panic!()
        };
        assert_eq!((hunks.len(), hunks[1].contexts.len()), (2, 0));
    }

    #[test]
    fn lines_that_narrow_a_change_belong_together() {
        let patch = "*** Begin Patch\n*** Update File: a\n@@ class A\n@@\n@@ def f\n-x\n+y\n@@ class B\n-p\n*** End Patch";
        let Section::Update { hunks, .. } = &parse(patch).unwrap()[0] else {
            panic!()
        };
        assert_eq!(hunks[0].contexts, ["class A", "def f"]);
        assert_eq!(hunks[1].contexts, ["class B"]);
    }

    #[test]
    fn faults_are_told() {
        let wrapped = |body: &str| {
            parse(&format!("*** Begin Patch\n{body}\n*** End Patch"))
                .unwrap_err()
                .0
        };
        assert!(parse("hello").unwrap_err().0.contains("Begin Patch"));
        assert!(wrapped("").contains("no sections"));
        assert!(wrapped("*** Update File: a").contains("changes nothing"));
        assert!(wrapped("*** Add File: a\nno plus").contains("begins with \"+\""));
        assert!(wrapped("stray").contains("expected a section"));
        assert!(wrapped("*** Update File: a\n@@\n?x").contains("begins with"));
        assert!(parse("one\ntwo\n*** Begin Patch\n*** Delete File: a\n*** End Patch").is_err());
        assert!(parse("*** End Patch\n*** Begin Patch").is_err());
    }
}
