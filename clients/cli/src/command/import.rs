//! `kilo import`: stores a session that `kilo export` printed.

use crate::connect;
use crate::context::Context;
use crate::exit::Exit;
use crate::options::Remote;
use crate::terminal::line;
use anyhow::{Context as _, bail};
use clap::Args;
use kilo_client::Transcript;
use std::io::Read;

const FILE_BYTES_MAX: u64 = 512 << 20;

/// What `kilo import` takes.
#[derive(Args, Clone, Debug)]
pub struct ImportArgs {
    /// The file; `-` reads standard input.
    pub file: String,
    /// Store it again even if it is there already.
    #[arg(long)]
    pub force: bool,
}

/// Stores the session in this folder, under its own id.
pub async fn execute(args: &ImportArgs, cx: &Context) -> anyhow::Result<Exit> {
    if args.file.starts_with("http://") || args.file.starts_with("https://") {
        bail!("only files can be imported; fetch the address first");
    }
    let bytes = read(&args.file, cx).with_context(|| format!("cannot read {}", args.file))?;
    let transcript: Transcript = serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is not an exported session", args.file))?;
    let directory = cx.env.cwd.to_string_lossy().into_owned();
    let link = connect::open(cx, &Remote::default(), &directory).await?;
    let result = link.client.import_session(&transcript, args.force).await;
    link.close().await;
    let imported = result?;
    let id = transcript
        .info
        .get("id")
        .and_then(|id| id.as_str())
        .unwrap_or("the session");
    if imported.skipped {
        line(&format!(
            "{id} is here already; nothing was changed (--force stores it again)"
        ));
    } else {
        line(&format!(
            "Imported {id}: {} messages, {} parts",
            imported.messages, imported.parts
        ));
    }
    Ok(Exit::OK)
}

fn read(file: &str, cx: &Context) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if file == "-" {
        std::io::stdin()
            .lock()
            .take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(cx.env.cwd.join(file))?
            .take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > FILE_BYTES_MAX {
        bail!("it is over {} MiB", FILE_BYTES_MAX >> 20);
    }
    Ok(bytes)
}
