//! `{env:NAME}` and `{file:path}` in a configuration's texts.

use crate::env::Environment;
use crate::files::{Stamp, read_text, read_text_inside};
use serde_json::Value;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const FILE_BYTES_MAX: u64 = 256 * 1024;

/// What a file's references may references.
pub(crate) struct References<'a> {
    /// The variables.
    pub env: &'a Environment,
    /// Relative paths start here.
    pub folder: &'a Path,
    /// The worktree's root, for a file that came with a project: environment references are then refused, and files must
    /// lie inside, symbolic links followed.
    pub confined_to: Option<&'a Path>,
}

/// Replaces the references in all texts of `value`. Files that were read, or looked for, are added to `seen`.
///
/// An unset variable gives an empty text; a file loses its trailing newline. The error is a sentence; the whole source
/// is then left out, because half of a configuration can be worse than none.
pub(crate) fn substitute(
    value: &mut Value,
    references: &References<'_>,
    seen: &mut Vec<(PathBuf, Option<Stamp>)>,
) -> Result<(), String> {
    match value {
        Value::String(text) if text.contains("{env:") || text.contains("{file:") => {
            *text = expand(text, references, seen)?;
        }
        Value::Array(list) => {
            for item in list {
                substitute(item, references, seen)?;
            }
        }
        Value::Object(fields) => {
            for (_, item) in fields {
                substitute(item, references, seen)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// One pass from left to right: what a reference brings in is not looked at again.
fn expand(
    text: &str,
    references: &References<'_>,
    seen: &mut Vec<(PathBuf, Option<Stamp>)>,
) -> Result<String, String> {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(start) = rest.find('{') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let reference = rest.find('}').map(|end| (&rest[1..end], &rest[end + 1..]));
        match reference {
            Some((inside, after)) if inside.starts_with("env:") => {
                if references.confined_to.is_some() {
                    return Err(format!(
                        "environment references are not allowed in a project's files: {{{inside}}}"
                    ));
                }
                out.push_str(references.env.get(inside[4..].trim()).unwrap_or_default());
                rest = after;
            }
            Some((inside, after)) if inside.starts_with("file:") => {
                out.push_str(&file(inside[5..].trim(), references, seen)?);
                rest = after;
            }
            _ => {
                out.push('{');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn file(
    name: &str,
    references: &References<'_>,
    seen: &mut Vec<(PathBuf, Option<Stamp>)>,
) -> Result<String, String> {
    let path = references.folder.join(references.env.expand_home(name));
    seen.push((path.clone(), Stamp::of(&path)));
    let text = match references.confined_to {
        Some(root) => read_text_inside(&path, root, FILE_BYTES_MAX),
        None => read_text(&path, FILE_BYTES_MAX),
    };
    let text = text.map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied if references.confined_to.is_some() => {
            format!("file reference leaves the project: {{file:{name}}}")
        }
        _ => format!("cannot read {{file:{name}}}: {error}"),
    })?;
    Ok(text
        .strip_suffix('\n')
        .map(|text| text.strip_suffix('\r').unwrap_or(text))
        .unwrap_or(&text)
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(value: Value, folder: &Path, confined: bool) -> Result<Value, String> {
        let mut env = Environment {
            home: folder.into(),
            ..Default::default()
        };
        env.vars.insert("KEY".into(), "{file:secret}".into());
        let mut value = value;
        let references = References {
            env: &env,
            folder,
            confined_to: confined.then_some(folder),
        };
        substitute(&mut value, &references, &mut Vec::new()).map(|()| value)
    }

    #[test]
    fn the_user_may_refer_to_variables_and_files_and_results_are_not_expanded_again() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("name.txt"), "from-file\n").unwrap();
        let value = json!({"a": ["x {env:KEY} y", "{file:./name.txt}", "{file:~/name.txt}", "{env:NONE}", "{other} {"]});
        assert_eq!(
            run(value, folder.path(), false).unwrap(),
            json!({"a": ["x {file:secret} y", "from-file", "from-file", "", "{other} {"]})
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_project_may_not_refer_to_variables_or_to_files_outside() {
        let root = tempfile::tempdir().unwrap();
        let project = root.path().join("project");
        std::fs::create_dir(&project).unwrap();
        std::fs::write(root.path().join("secret"), "s").unwrap();
        std::os::unix::fs::symlink(root.path().join("secret"), project.join("link")).unwrap();
        let refused = |text: &str| run(json!(text), &project, true).unwrap_err();
        assert!(refused("{env:KEY}").contains("environment references are not allowed"));
        assert!(refused("{file:../secret}").contains("leaves the project"));
        assert!(refused("{file:link}").contains("leaves the project"));
        assert!(refused("{file:none}").contains("cannot read"));
    }
}
