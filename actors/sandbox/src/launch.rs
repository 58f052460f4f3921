//! What a child needs, made ready before it exists: after the clone nothing may allocate.

use crate::environment::Environment;
use rustix::fs::Access;
use std::ffi::{CString, OsStr, c_char};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What is to be started.
#[derive(Clone, Copy)]
pub struct Program<'a> {
    pub name: &'a str,
    pub args: &'a [String],
    pub directory: &'a Path,
    pub env: &'a [(String, String)],
    pub has_terminal: bool,
}

/// A program with its arguments, variables and folder, as `execve` wants them.
pub struct Launch {
    program: CString,
    directory: CString,
    /// Pointers into `_words`, closed by a null.
    argv: Vec<*const c_char>,
    /// Pointers into `_variables`, closed by a null.
    envp: Vec<*const c_char>,
    _words: Vec<CString>,
    _variables: Vec<CString>,
}

impl Launch {
    /// Checks `program` and makes it ready. Errors: it is not there, a NUL inside a text.
    pub fn new(program: Program<'_>, environment: &Environment, mark: &str) -> io::Result<Self> {
        let path = environment.path(program.env);
        let found = find(program.name, &path, program.directory)?;
        let mut words = vec![text(program.name.as_bytes())?];
        for arg in program.args {
            words.push(text(arg.as_bytes())?);
        }
        let variables = environment.of_child(program.env, mark, program.has_terminal);
        Ok(Self {
            program: text(found.as_os_str().as_bytes())?,
            directory: text(program.directory.as_os_str().as_bytes())?,
            argv: pointers(&words),
            envp: pointers(&variables),
            _words: words,
            _variables: variables,
        })
    }

    /// The program's path.
    pub fn program(&self) -> &CString {
        &self.program
    }

    /// The folder to start in.
    pub fn directory(&self) -> &CString {
        &self.directory
    }

    /// Its arguments, the program's name first.
    pub fn argv(&self) -> *const *const c_char {
        self.argv.as_ptr()
    }

    /// Its variables.
    pub fn envp(&self) -> *const *const c_char {
        self.envp.as_ptr()
    }
}

fn text(bytes: &[u8]) -> io::Result<CString> {
    CString::new(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a NUL byte inside a text"))
}

fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    texts
        .iter()
        .map(|text| text.as_ptr())
        .chain([std::ptr::null()])
        .collect()
}

/// A name without `/` is searched in `path`; any other is taken as it is, from `directory` on.
fn find(program: &str, path: &OsStr, directory: &Path) -> io::Result<PathBuf> {
    if program.contains('/') {
        return Ok(PathBuf::from(program));
    }
    for folder in path.as_bytes().split(|byte| *byte == b':') {
        let candidate = directory.join(OsStr::from_bytes(folder)).join(program);
        let runs = rustix::fs::access(&candidate, Access::EXEC_OK).is_ok();
        if runs && candidate.is_file() {
            return Ok(candidate);
        }
    }
    Err(io::ErrorKind::NotFound.into())
}
