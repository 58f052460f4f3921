//! `kilo keep`: what the daemon starts for a process that outlives it. Not for people.

use crate::context::Context;
use crate::exit::Exit;
use crate::host;
use anyhow::Context as _;
use clap::Args;
use std::path::PathBuf;

/// What `kilo keep` takes.
#[derive(Args, Clone, Debug)]
pub struct KeepArgs {
    /// The process's folder.
    pub folder: PathBuf,
}

/// Keeps the process until it ends.
pub async fn execute(args: &KeepArgs, cx: &Context) -> anyhow::Result<Exit> {
    let kept = host::keep(&args.folder, &cx.env).await;
    kept.with_context(|| format!("cannot keep the process of {}", args.folder.display()))?;
    Ok(Exit::OK)
}
