//! The small broken program of the demo: a greeter that takes a name apart.

use std::io;
use std::path::{Path, PathBuf};

/// The line with the bug.
pub const WRONG: &str = "for name in $*; do";
/// The same line without it.
pub const RIGHT: &str = "for name in \"$@\"; do";

const GREET: &str = r#"#!/bin/sh
# Greets everybody who is named on the command line.
for name in $*; do
    echo "Hello, $name!"
done
"#;

const TEST: &str = r#"#!/bin/sh
# Runs the greeter and compares what it says.
failed=0
check() {
    if [ "$2" = "$3" ]; then
        echo "ok      $1"
    else
        echo "not ok  $1: got '$2'"
        failed=1
    fi
}
check "one name" "$(sh greet.sh Ada)" "Hello, Ada!"
check "a full name" "$(sh greet.sh 'Ada Lovelace')" "Hello, Ada Lovelace!"
exit $failed
"#;

const README: &str = "# greeter\n\nSays hello. `sh test.sh` tests it.\n";

/// The project's folder.
pub struct Project {
    root: PathBuf,
}

impl Project {
    /// Writes the files, and an empty repository by hand: the machine may have no git.
    pub fn make(root: &Path) -> io::Result<Self> {
        for folder in [".git/objects", ".git/refs/heads"] {
            std::fs::create_dir_all(root.join(folder))?;
        }
        let files = [
            (".git/HEAD", "ref: refs/heads/main\n"),
            (
                ".git/config",
                "[core]\n\trepositoryformatversion = 0\n\tbare = false\n",
            ),
            ("greet.sh", GREET),
            ("test.sh", TEST),
            ("README.md", README),
        ];
        for (name, text) in files {
            std::fs::write(root.join(name), text)?;
        }
        Ok(Self {
            root: root.to_owned(),
        })
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Its folder as the protocol has it.
    pub fn directory(&self) -> String {
        self.root.to_string_lossy().into_owned()
    }

    /// A file of it.
    pub fn path(&self, name: &str) -> String {
        self.root.join(name).to_string_lossy().into_owned()
    }

    /// What the greeter's file holds now.
    pub fn greeter(&self) -> io::Result<String> {
        std::fs::read_to_string(self.root.join("greet.sh"))
    }

    /// The greeter's file with the bug.
    pub fn broken() -> String {
        GREET.to_owned()
    }

    /// The greeter's file as the model will repair it.
    pub fn repaired() -> String {
        GREET.replace(WRONG, RIGHT)
    }
}
