//! Which files git would ignore: `.gitignore` files, deepest first, then `info/exclude`, then the user's own excludes.

use crate::checkout::Checkout;
use crate::stamp::{Stamp, kernel_now_ns};
use git2::Repository;
use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, statat};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of an ignore file that are read.
const TEXT_BYTES_MAX: u64 = 1024 * 1024;

/// One ignore file as it was when last read.
pub(super) struct Layer {
    stamp: Stamp,
    settled: bool,
    text: Vec<u8>,
    pub rules: Arc<Gitignore>,
}

/// Reads the ignore file `name` in `folder` again if it changed; says whether its rules did.
pub(super) fn refresh(
    layer: &mut Option<Layer>,
    folder: impl AsFd,
    name: &Path,
    follow: bool,
) -> bool {
    let seen_at_ns = kernel_now_ns();
    let flags = if follow {
        AtFlags::empty()
    } else {
        AtFlags::SYMLINK_NOFOLLOW
    };
    let stamp = statat(&folder, name, flags)
        .ok()
        .map(|stat| Stamp::of(&stat));
    let Some(stamp) = stamp.filter(|stamp| stamp.file_type() == FileType::RegularFile) else {
        return layer.take().is_some();
    };
    if layer
        .as_ref()
        .is_some_and(|layer| layer.settled && layer.stamp == stamp)
    {
        return false;
    }
    let Some(text) = read(folder, name) else {
        return layer.take().is_some();
    };
    let settled = stamp.is_settled(seen_at_ns);
    if let Some(layer) = layer.as_mut().filter(|layer| layer.text == text) {
        (layer.stamp, layer.settled) = (stamp, settled);
        return false;
    }
    *layer = Some(Layer {
        stamp,
        settled,
        rules: Arc::new(compile(&text)),
        text,
    });
    true
}

fn read(folder: impl AsFd, name: &Path) -> Option<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(folder, name, flags, Mode::empty()).ok()?);
    let mut text = Vec::new();
    file.take(TEXT_BYTES_MAX).read_to_end(&mut text).ok()?;
    Some(text)
}

/// Compiles an ignore file's lines; a line that is no pattern is left out, as git does.
fn compile(text: &[u8]) -> Gitignore {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut builder = GitignoreBuilder::new(".");
    for line in text.split(|&byte| byte == b'\n') {
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
        let _ = builder.add_line(None, &line);
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}

/// The rules that hold in a folder: its own, then those of the folders above.
pub(super) struct Chain<'a> {
    pub above: Option<&'a Chain<'a>>,
    pub rules: &'a Gitignore,
    /// Where, in a path from the worktree's root, the part that these rules look at begins.
    pub start: usize,
}

impl Chain<'_> {
    /// Whether `path` (from the worktree's root) is ignored; its parents are taken not to be.
    pub fn ignores(&self, path: &[u8], is_folder: bool) -> bool {
        let mut chain = Some(self);
        while let Some(here) = chain {
            let part = Path::new(OsStr::from_bytes(&path[here.start.min(path.len())..]));
            match here.rules.matched(part, is_folder) {
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
                Match::None => chain = here.above,
            }
        }
        false
    }
}

/// The ignore files outside of the worktree's folders.
pub(super) struct Outer {
    exclude_path: PathBuf,
    global_path: Option<PathBuf>,
    pub exclude: Option<Layer>,
    pub global: Option<Layer>,
}

impl Outer {
    /// Finds where the two files are; reads neither.
    pub fn of(checkout: &Checkout) -> Self {
        let configured = Repository::open(&checkout.root)
            .and_then(|repo| repo.config())
            .and_then(|config| config.get_path("core.excludesFile"));
        Self {
            exclude_path: checkout.common_dir.join("info/exclude"),
            global_path: configured
                .ok()
                .or_else(ignore::gitignore::gitconfig_excludes_path),
            exclude: None,
            global: None,
        }
    }

    /// Reads both again if they changed; says whether any rule did.
    pub fn refresh(&mut self) -> bool {
        let exclude = refresh(&mut self.exclude, rustix::fs::CWD, &self.exclude_path, true);
        let global = match &self.global_path {
            Some(path) => refresh(&mut self.global, rustix::fs::CWD, path, true),
            None => false,
        };
        exclude || global
    }
}
