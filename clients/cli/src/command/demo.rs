//! `kilo demo`: a whole session before one's eyes.

use crate::context::Context;
use crate::demo;
use crate::exit::Exit;
use clap::Args;

/// What `kilo demo` takes.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// Do not pause between the steps.
    #[arg(long)]
    pub fast: bool,
}

/// Plays the demo. Status 0 only if every step really happened.
pub async fn execute(args: &DemoArgs, cx: &Context) -> anyhow::Result<Exit> {
    Box::pin(demo::play(args.fast, cx)).await
}
