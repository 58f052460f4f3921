//! Secrets: kept out of logs, compared in constant time, and the file that holds the token.

use rustix::fs::OFlags;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use subtle::ConstantTimeEq as _;

/// A password or token. It shows itself nowhere.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Makes a random one: 256 bits, 64 hex digits.
    pub fn random() -> Self {
        let bytes: [u8; 32] = rand::random();
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Compares without telling by its time how much fits. An empty secret fits nothing.
    pub fn fits(&self, offered: &str) -> bool {
        !self.0.is_empty() && self.0.as_bytes().ct_eq(offered.as_bytes()).into()
    }

    /// Gives the text away, for the one place that has to show or send it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Reads the token in the file at `path`, or makes the file with a random one, mode 0600.
///
/// Several processes may do so at once: all get the same token. It blocks; call it at start.
/// Errors: `PermissionDenied` if others may read the file or own it, `InvalidData` if it holds no token.
pub fn token_file(path: &Path) -> io::Result<Secret> {
    match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        result => return result,
    }
    match create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read(path),
        result => result,
    }
}

fn read(path: &Path) -> io::Result<Secret> {
    let nofollow = OFlags::NOFOLLOW.bits() as i32;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nofollow)
        .open(path)?;
    let about = file.metadata()?;
    let mine = about.uid() == rustix::process::geteuid().as_raw();
    if !mine || about.mode() & 0o077 != 0 || !about.is_file() {
        let message = "the token file must be a plain file of this user with mode 0600";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    let mut text = String::new();
    file.take(4096).read_to_string(&mut text)?;
    let token = text.trim();
    if token.len() < 32 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the token file holds no token",
        ));
    }
    Ok(token.into())
}

/// Writes a whole file beside the place and links it there, so that nobody ever reads half a token.
fn create(path: &Path) -> io::Result<Secret> {
    let token = Secret::random();
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{:016x}", rand::random::<u64>()));
    let draft = Path::new(&name);
    let mut file: File = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(draft)?;
    let written = writeln!(file, "{}", token.reveal()).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| fs::hard_link(draft, path));
    fs::remove_file(draft)?;
    linked.map(|()| token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn only_the_whole_secret_fits() {
        let secret = Secret::from("s3cret");
        assert!(secret.fits("s3cret"));
        for wrong in ["", "s3cre", "s3cret ", "S3cret"] {
            assert!(!secret.fits(wrong), "{wrong:?}");
        }
        assert!(!Secret::from("").fits(""));
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }

    #[test]
    fn the_token_file_is_private_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let made = token_file(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(token_file(&path).unwrap().reveal(), made.reveal());
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "no draft is left"
        );

        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(
            token_file(&path).unwrap_err().kind(),
            io::ErrorKind::PermissionDenied
        );
    }
}
