//! Agents, modes and commands that are written as markdown files.

use crate::files::{Stamp, is_inside, read_text};
use crate::front_matter;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

const DEPTH_MAX: usize = 4;
const FILES_MAX: usize = 512;
const BYTES_MAX: u64 = 64 * 1024;

/// One markdown file as a piece of configuration, `{agent: {name: {...}}}` or `{command: {name: {...}}}`; or why it is
/// none.
pub(crate) struct Piece {
    pub path: PathBuf,
    /// The agent that it describes, if it is about one.
    pub agent: Option<String>,
    pub value: Result<Value, String>,
}

/// What a folder holds.
#[derive(Default)]
pub(crate) struct Found {
    pub pieces: Vec<Piece>,
    /// Folders that cannot be listed as a whole, each with the reason.
    pub unread: Vec<(PathBuf, String)>,
}

/// The markdown files of a configuration folder, sorted by path. Everything that was looked at goes to `seen`.
///
/// `confined_to` is the project's root for a folder of the project: files that leave it through a symbolic link are errors.
pub(crate) fn pieces(
    folder: &Path,
    confined_to: Option<&Path>,
    seen: &mut Vec<(PathBuf, Option<Stamp>)>,
) -> Found {
    const PLACES: [(&str, Kind, usize); 6] = [
        ("agent", Kind::Agent, DEPTH_MAX),
        ("agents", Kind::Agent, DEPTH_MAX),
        ("mode", Kind::Mode, 1),
        ("modes", Kind::Mode, 1),
        ("command", Kind::Command, DEPTH_MAX),
        ("commands", Kind::Command, DEPTH_MAX),
    ];
    let mut found = Found::default();
    for (name, kind, depth) in PLACES {
        let root = folder.join(name);
        let files = list(&root, depth, seen, &mut found.unread);
        for path in files {
            let name = name_below(&root, &path);
            let outside = confined_to.is_some_and(|root| !is_inside(&path, root));
            let agent = (!matches!(kind, Kind::Command)).then(|| name.clone());
            let value = if outside {
                Err("file leaves the project".to_owned())
            } else {
                kind.read(&path, name)
            };
            found.pieces.push(Piece { path, agent, value });
        }
    }
    found
}

/// The `.md` files below `root`, sorted by path, at most [`FILES_MAX`]. A missing folder has none.
pub(crate) fn markdown_below(
    root: &Path,
    depth: usize,
    seen: &mut Vec<(PathBuf, Option<Stamp>)>,
) -> Vec<PathBuf> {
    list(root, depth, seen, &mut Vec::new())
}

fn list(
    root: &Path,
    depth: usize,
    seen: &mut Vec<(PathBuf, Option<Stamp>)>,
    unread: &mut Vec<(PathBuf, String)>,
) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![(root.to_owned(), depth)];
    while let Some((folder, depth)) = folders.pop() {
        let stamp = Stamp::of(&folder);
        seen.push((folder.clone(), stamp));
        if stamp.is_none() {
            continue;
        }
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            // A file of that name is nobody's agent.
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => continue,
            Err(error) => {
                unread.push((folder, format!("cannot be read: {error}")));
                continue;
            }
        };
        for (count, entry) in entries.flatten().enumerate() {
            if count == FILES_MAX {
                unread.push((folder, format!("holds more than {FILES_MAX} files")));
                break;
            }
            let path = entry.path();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && depth > 1 {
                folders.push((path, depth - 1));
            } else if !is_folder
                && path.extension().is_some_and(|extension| extension == "md")
                && files.len() < FILES_MAX
            {
                seen.push((path.clone(), Stamp::of(&path)));
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The path below `root` without `.md`: the name that users call it by.
fn name_below(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path).with_extension("");
    below
        .components()
        .map(|step| step.as_os_str().to_string_lossy())
        .collect::<Vec<_>>()
        .join("/")
}

#[derive(Clone, Copy)]
enum Kind {
    Agent,
    Mode,
    Command,
}

impl Kind {
    fn read(self, path: &Path, name: String) -> Result<Value, String> {
        let text =
            read_text(path, BYTES_MAX).map_err(|error| format!("cannot read it: {error}"))?;
        let document = front_matter::parse(&text)?;
        let mut fields = document.fields;
        let (section, body) = match self {
            Self::Agent | Self::Mode => ("agent", "prompt"),
            Self::Command => ("command", "template"),
        };
        if !document.body.is_empty() || matches!(self, Self::Command) {
            fields.insert(body.into(), document.body.into());
        }
        if matches!(self, Self::Mode) {
            fields.insert("mode".into(), "primary".into());
        }
        Ok(json!({section: Map::from_iter([(name, Value::Object(fields))])}))
    }
}
