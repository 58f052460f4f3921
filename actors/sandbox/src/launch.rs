//! What a child needs, made ready before it exists: after the clone nothing may allocate.

use crate::environment::Environment;
use kilo_ports::sandbox::ProcessSpec;
use rustix::fs::{Access, MemfdFlags, Mode, OFlags};
use std::ffi::{CString, OsStr, c_char};
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A program with its arguments, variables, folder and stdin, as `execve` wants them.
pub struct Launch {
    program: CString,
    directory: CString,
    /// Pointers into `_words`, closed by a null.
    argv: Vec<*const c_char>,
    /// Pointers into `_variables`, closed by a null.
    envp: Vec<*const c_char>,
    stdin: OwnedFd,
    _words: Vec<CString>,
    _variables: Vec<CString>,
}

impl Launch {
    /// Checks `spec` and makes it ready. Errors: the program is not there, a NUL inside a text.
    pub fn new(spec: &ProcessSpec, environment: &Environment, mark: &str) -> io::Result<Self> {
        let path = environment.path(&spec.env);
        let program = find(&spec.program, &path, &spec.directory)?;
        let mut words = vec![text(spec.program.as_bytes())?];
        for arg in &spec.args {
            words.push(text(arg.as_bytes())?);
        }
        let variables = environment.of_child(&spec.env, mark);
        Ok(Self {
            program: text(program.as_os_str().as_bytes())?,
            directory: text(spec.directory.as_os_str().as_bytes())?,
            argv: pointers(&words),
            envp: pointers(&variables),
            stdin: stdin(spec.stdin.as_deref())?,
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

    /// What it reads.
    pub fn stdin(&self) -> &OwnedFd {
        &self.stdin
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

/// `/dev/null`, or a file in memory that holds `bytes`: a pipe would need somebody to keep it full.
fn stdin(bytes: Option<&[u8]>) -> io::Result<OwnedFd> {
    let Some(bytes) = bytes else {
        return Ok(rustix::fs::open(
            "/dev/null",
            OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        )?);
    };
    let mut file =
        std::fs::File::from(rustix::fs::memfd_create("kilo-stdin", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into())
}
