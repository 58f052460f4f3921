//! `kilo serve`: the HTTP API in the foreground.

use crate::context::Context;
use crate::exit::Exit;
use crate::host::{Engine, Start};
use crate::options::Network;
use crate::signals::Signals;
use crate::terminal::{line, note};
use clap::Args;

/// What `kilo serve` takes.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// Where to listen.
    #[command(flatten)]
    pub network: Network,
}

/// Serves until SIGINT or SIGTERM; then it ends within a second, with status 0.
pub async fn execute(args: ServeArgs, cx: &Context) -> anyhow::Result<Exit> {
    let mut signals = Signals::listen()?;
    let network = args.network;
    let mdns = network.mdns;
    let engine = Engine::start(start(network, cx)).await?;
    warn(cx, mdns);
    line(&format!("kilo server listening on {}", engine.url()));
    Ok(engine.serve(&mut signals).await)
}

/// What an engine that others may use is started with.
pub fn start(network: Network, cx: &Context) -> Start {
    Start {
        env: cx.env.clone(),
        hostname: network.hostname,
        port: network.port,
        cors: network.cors,
        embedded: false,
    }
}

/// Says what is open or missing.
fn warn(cx: &Context, mdns: bool) {
    if cx.env.get("KILO_SERVER_PASSWORD").is_none() {
        note("warning: KILO_SERVER_PASSWORD is not set, so programs of this user need no password");
    }
    if mdns {
        note("warning: --mdns is accepted, but announcing the server is not available yet");
    }
}
