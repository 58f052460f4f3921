//! Starting, resting, sessions, one-shot runs.

use crate::Bench;
use crate::clock::{now_ns, since_ms};
use crate::numbers::{round, spread};
use crate::process::{cpu_s, pss_mib};
use crate::server::Ground;
use anyhow::ensure;
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::sleep;

const SESSIONS: usize = 1_000;

/// From the start of the process to the first 200 on `/global/health`, in a home that was used before.
pub async fn start(bench: &Bench) -> anyhow::Result<Value> {
    let place = Ground::new(bench, true)?;
    place.warm().await?.kill();
    let mut times = Vec::new();
    for _ in 0..bench.times(20, 5) {
        times.push(place.start().await?.start_ms);
    }
    Ok(json!({"used_home_ms": spread(times)}))
}

/// Memory after the start and after 1,000 sessions; processor time of doing nothing for 10 s.
pub async fn memory(bench: &Bench) -> anyhow::Result<Value> {
    let place = Ground::new(bench, true)?;
    let server = place.start().await?;
    sleep(Duration::from_secs(2)).await;
    let after_start = pss_mib(server.pid());
    let idle = Duration::from_secs(10);
    let before = cpu_s(server.pid());
    sleep(idle).await;
    let idle_cpu = (cpu_s(server.pid()) - before) / idle.as_secs_f64() * 100.0;
    for _ in 0..SESSIONS {
        server.session().await?;
    }
    sleep(Duration::from_secs(2)).await;
    Ok(json!({
        "pss_after_start_mib": after_start,
        "idle_cpu_percent": round(idle_cpu),
        "pss_after_1000_sessions_mib": pss_mib(server.pid()),
    }))
}

/// Sessions made a second, by 1 and by 16 clients; the list of 1,000.
pub async fn create(bench: &Bench) -> anyhow::Result<Value> {
    let place = Ground::new(bench, true)?;
    let server = place.warm().await?;
    let alone = bench.times(300, 100);
    let begun = now_ns();
    for _ in 0..alone {
        server.session().await?;
    }
    let one = alone as f64 / since_ms(begun) * 1e3;
    let (made, together) = (AtomicUsize::new(0), SESSIONS - alone);
    let begun = now_ns();
    try_join_all((0..16).map(|_| async {
        let caller = server.caller();
        while made.fetch_add(1, Ordering::Relaxed) < together {
            caller.session().await?;
        }
        anyhow::Ok(())
    }))
    .await?;
    let sixteen = together as f64 / since_ms(begun) * 1e3;
    let (mut times, mut bytes) = (Vec::new(), 0);
    for _ in 0..bench.times(50, 10) {
        let begun = now_ns();
        let list = server.get("/session?limit=1000").await?;
        times.push(since_ms(begun));
        bytes = list.len();
    }
    Ok(json!({
        "per_s_1_client": round(one), "per_s_16_clients": round(sixteen), "list_1000_ms": spread(times), "list_bytes": bytes,
    }))
}

/// `kilo run "hi"` from start to end, without a daemon.
pub async fn run(bench: &Bench) -> anyhow::Result<Value> {
    let place = Ground::new(bench, true)?;
    let mut times = Vec::new();
    for nth in 0..=bench.times(10, 3) {
        let begun = now_ns();
        let status = place.kilo(&["run", "hi"]).status()?;
        ensure!(status.success(), "kilo run ended with {status}");
        if nth > 0 {
            times.push(since_ms(begun)); // the first one warms the home
        }
    }
    Ok(json!({"wall_ms": spread(times)}))
}
