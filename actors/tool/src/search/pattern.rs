use globset::{GlobBuilder, GlobMatcher};
use kilo_ports::tool::ToolError;
use std::path::{Path, PathBuf};

/// A pattern for paths, with `*`, `**`, `?`, `[…]` and `{a,b}`.
///
/// Without a slash it is about the file's name, at any depth; with one, about the path from the search's folder.
#[derive(Clone, Debug)]
pub struct PathPattern {
    matcher: GlobMatcher,
    by_name: bool,
    plain: String,
}

impl PathPattern {
    /// Reads a pattern.
    ///
    /// Errors: [`ToolError::Failed`] that says what is wrong with it.
    pub fn new(pattern: &str) -> Result<Self, ToolError> {
        let plain = pattern.trim_start_matches("./").trim_start_matches('/');
        let glob = GlobBuilder::new(plain)
            .literal_separator(true)
            .build()
            .map_err(|error| {
                ToolError::failed(format!(
                    "The pattern \"{pattern}\" is not valid: {}",
                    error.kind()
                ))
            })?;
        Ok(Self {
            matcher: glob.compile_matcher(),
            plain: plain.to_owned(),
            by_name: !pattern.contains('/'),
        })
    }

    /// The pattern as a path: there may be a file of just that name, brackets included.
    pub fn as_path(&self) -> &Path {
        Path::new(&self.plain)
    }

    /// Whether no other path can fit.
    pub fn is_one_path(&self) -> bool {
        !self.by_name && is_plain(&self.plain)
    }

    /// Whether `path`, relative to the search's folder, fits.
    pub fn fits(&self, path: &Path) -> bool {
        if self.by_name {
            return path
                .file_name()
                .is_some_and(|name| self.matcher.is_match(name));
        }
        self.matcher.is_match(path)
    }
}

/// Whether a piece of a pattern stands for itself.
fn is_plain(piece: &str) -> bool {
    !piece.contains(['*', '?', '[', '{', '\\'])
}

/// Splits an absolute pattern, or one that begins with `..` or `~`, into the folder it is about and the rest.
pub fn split_base(pattern: &str) -> Option<(PathBuf, String)> {
    if !(pattern.starts_with('/') || pattern.starts_with("~/") || pattern.starts_with("../")) {
        return None;
    }
    let pieces: Vec<&str> = pattern.split('/').collect();
    let plain = pieces[..pieces.len() - 1]
        .iter()
        .take_while(|piece| is_plain(piece))
        .count();
    let folder = pieces[..plain].join("/");
    let folder = if folder.is_empty() {
        "/".to_owned()
    } else {
        folder
    };
    // A slash in front keeps a pattern of one piece to the folder itself.
    Some((folder.into(), format!("/{}", pieces[plain..].join("/"))))
}

#[cfg(test)]
mod tests {
    use super::{PathPattern, split_base};
    use std::path::Path;

    #[test]
    fn names_and_paths() {
        let fits =
            |pattern: &str, path: &str| PathPattern::new(pattern).unwrap().fits(Path::new(path));
        for (pattern, path, fit) in [
            ("*.ts", "deep/x.ts", true),
            ("**/*.ts", "x.ts", true),
            ("src/*.ts", "src/x.ts", true),
            ("src/*.ts", "src/a/x.ts", false),
            ("./src/**", "src/a/x.ts", true),
            ("*.{ts,tsx}", "a/x.tsx", true),
            ("/x.ts", "a/x.ts", false),
            ("?.ts", "xy.ts", false),
        ] {
            assert_eq!(fits(pattern, path), fit, "{pattern} {path}");
        }
        assert!(PathPattern::new("a[").is_err());
    }

    #[test]
    fn absolute_patterns_are_split() {
        let split = |pattern| {
            split_base(pattern).map(|(folder, rest)| (folder.display().to_string(), rest))
        };
        assert_eq!(split("/a/b/*.ts"), Some(("/a/b".into(), "/*.ts".into())));
        assert_eq!(split("/a/b"), Some(("/a".into(), "/b".into())));
        assert_eq!(split("/*"), Some(("/".into(), "/*".into())));
        assert_eq!(split("../x/**/y"), Some(("../x".into(), "/**/y".into())));
        assert_eq!(split("src/*.ts"), None);
    }
}
