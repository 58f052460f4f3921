//! Measures the daemon: one command for any contributor, `tests/bench/run [--quick] [--only ROWS] [--out FILE]`.
//!
//! A row is a file under `rows/`; all spawn the program named by `KILO_BIN` in a fresh home, with a model server in this
//! process. A token's latency is its receipt at an event stream less its send in the model, on one clock; a token counts
//! once, at its first sight. `others` is the share of a core that other processes used meanwhile: take medians and ratios
//! when it is not near 0.

#![allow(
    clippy::disallowed_methods,
    reason = "a measuring program reads clocks and starts programs"
)]
#![allow(clippy::unwrap_used, reason = "a broken measurement should stop")]

mod clock;
mod load;
mod numbers;
mod process;
mod rows;
mod server;
mod tokens;
mod watch;

use load::Load;
use numbers::table;
use process::Machine;
use serde_json::{Map, Value, json};
use std::io::Write;

/// What a row gets.
pub struct Bench {
    /// The model server.
    pub load: Load,
    /// Fewer repetitions.
    pub quick: bool,
}

impl Bench {
    /// `whole` repetitions, or `quick` ones.
    pub fn times(&self, whole: usize, quick: usize) -> usize {
        if self.quick { quick } else { whole }
    }
}

struct Arguments {
    quick: bool,
    only: Option<Vec<String>>,
    out: Option<String>,
}

fn arguments() -> anyhow::Result<Arguments> {
    let mut arguments = Arguments {
        quick: false,
        only: None,
        out: None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || {
            words
                .next()
                .ok_or_else(|| anyhow::anyhow!("{word} needs a value"))
        };
        match word.as_str() {
            "--quick" => arguments.quick = true,
            "--only" => arguments.only = Some(value()?.split(',').map(str::to_owned).collect()),
            "--out" => arguments.out = Some(value()?),
            _ => anyhow::bail!(
                "usage: [--quick] [--only {}] [--out FILE]",
                rows::NAMES.join(",")
            ),
        }
    }
    if let Some(unknown) = arguments
        .only
        .iter()
        .flatten()
        .find(|name| !rows::NAMES.contains(&name.as_str()))
    {
        anyhow::bail!("no row {unknown}; there are {}", rows::NAMES.join(", "));
    }
    Ok(arguments)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = arguments()?;
    let bench = Bench {
        load: Load::start(),
        quick: arguments.quick,
    };
    let mut results = Map::new();
    for name in rows::NAMES {
        if arguments
            .only
            .as_ref()
            .is_some_and(|only| !only.iter().any(|wanted| wanted == name))
        {
            continue;
        }
        let machine = Machine::now();
        let mut row = match rows::measure(name, &bench).await {
            Ok(row) => row,
            Err(error) => json!({"failed": format!("{error:#}")}),
        };
        row["others"] = machine.others().into();
        let _ = write!(std::io::stderr(), "{}", table(name, &row));
        results.insert(name.to_owned(), row);
    }
    let failed = results.values().any(|row| row.get("failed").is_some());
    let whole = serde_json::to_string_pretty(&Value::Object(results))?;
    match arguments.out {
        Some(path) => std::fs::write(path, whole)?,
        None => writeln!(std::io::stdout(), "{whole}")?,
    }
    anyhow::ensure!(!failed, "a row failed");
    Ok(())
}
