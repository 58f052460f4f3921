//! `kilo attach`: says what can be used until the terminal UI is there.

use crate::exit::Exit;
use crate::terminal::note;
use clap::Args;

/// What `kilo attach` takes.
#[derive(Args, Clone, Debug)]
pub struct AttachArgs {
    /// The server's address.
    pub url: String,
}

/// Names what works today; status 1.
pub fn execute(args: &AttachArgs) -> Exit {
    note(&format!(
        "The terminal UI is not available yet. Today this works:\n  kilo run --attach {url} \"…\"          one prompt there\n  kilo run --attach {url} -c \"…\"       and on in the same session",
        url = args.url
    ));
    Exit::FAILED
}
