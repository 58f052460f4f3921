//! Tool steps.

use crate::Bench;
use crate::numbers::spread;
use crate::server::Ground;
use serde_json::{Map, Value};

const STEPS: usize = 20;

/// From the model's last byte, which asks for a tool, to the next request's arrival at the model.
pub async fn step(bench: &Bench) -> anyhow::Result<Value> {
    let mut row = Map::new();
    for snapshots in [true, false] {
        let place = Ground::new(bench, snapshots)?;
        let server = place.warm().await?;
        let watch = server.watch().await?;
        for tool in ["read", "bash"] {
            let mut times = Vec::new();
            for nth in 0..bench.times(5, 1) {
                let id = server.session().await?;
                let file = place.folder().join("small.txt");
                let sid = 1_000 + nth;
                let text = format!(
                    "LOAD sid={sid} steps={STEPS} tool={tool} n=1 file={}",
                    file.display()
                );
                server.prompt(&id, &text).await?;
                watch.idle(&[id], 60).await?;
                let asked = bench.load.answered(sid as u32, STEPS + 1).await?;
                let gaps = asked
                    .windows(2)
                    .map(|pair| pair[1].arrived_ns.saturating_sub(pair[0].ended_ns) as f64 / 1e6);
                times.extend(gaps);
            }
            let name = format!(
                "{tool}_{}_ms",
                if snapshots {
                    "with_snapshots"
                } else {
                    "without_snapshots"
                }
            );
            row.insert(name, spread(times));
        }
    }
    Ok(Value::Object(row))
}
