//! Tokens on their way from the model to clients.

use crate::Bench;
use crate::clock::now_ns;
use crate::numbers::{percentile, round, spread};
use crate::process::cpu_s;
use crate::server::{Ground, Server};
use crate::watch::Watch;
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};

static BARRIER: AtomicU32 = AtomicU32::new(1);

/// What streams.
struct Flow {
    sessions: u32,
    tokens: u32,
    /// Tokens a second and session; 0 sends without delay.
    rate: u32,
    subscribers: usize,
}

/// Lets sessions stream, all at once after a barrier in the model.
async fn flow(server: &Server, flow: &Flow) -> anyhow::Result<Value> {
    let watches = try_join_all((0..flow.subscribers).map(|_| server.watch())).await?;
    let mut sessions = Vec::new();
    for _ in 0..flow.sessions {
        sessions.push(server.session().await?);
    }
    let bar = BARRIER.fetch_add(1, Ordering::Relaxed);
    let before = cpu_s(server.pid());
    let prompts = sessions.iter().enumerate().map(|(nth, id)| {
        let Flow {
            sessions,
            tokens,
            rate,
            ..
        } = flow;
        let text = format!("LOAD sid={nth} n={tokens} rate={rate} bar={bar}:{sessions}");
        async move { server.prompt(id, &text).await }
    });
    try_join_all(prompts).await?;
    let wanted = flow.sessions as usize * flow.tokens as usize;
    let ideal = u64::from(flow.tokens.checked_div(flow.rate).unwrap_or(1));
    let (mut latency, mut lost) = (Vec::new(), 0);
    for watch in &watches {
        // What does not come in time is lost, and counted as such.
        let _ = watch
            .until(ideal * 2 + 60, |seen| seen.latency_ms.len() >= wanted)
            .await;
        watch.look(|seen| {
            latency.extend_from_slice(&seen.latency_ms);
            lost += wanted - seen.latency_ms.len();
        });
    }
    watches[0].idle(&sessions, 60).await?;
    let span_s =
        watches[0].look(|seen| (seen.last_ns - seen.sent_ns.unwrap_or(seen.last_ns)) as f64 / 1e9);
    let cpu = (cpu_s(server.pid()) - before) * 1e6 / wanted as f64;
    Ok(json!({
        "added_ms": spread(latency), "lost": lost, "tokens_per_s": round(wanted as f64 / span_s), "cpu_us_per_token": round(cpu),
    }))
}

/// One session at 100 tokens a second: what the daemon adds to each.
pub async fn relay(bench: &Bench) -> anyhow::Result<Value> {
    let place = Ground::new(bench, true)?;
    let tokens = bench.times(2_000, 500) as u32;
    flow(
        &place.warm().await?,
        &Flow {
            sessions: 1,
            tokens,
            rate: 100,
            subscribers: 1,
        },
    )
    .await
}

/// A model without delay, 1 and 8 sessions: tokens a second at the client.
pub async fn zero_delay(bench: &Bench) -> anyhow::Result<Value> {
    let place = Ground::new(bench, true)?;
    let server = place.warm().await?;
    let tokens = bench.times(20_000, 5_000) as u32;
    let (mut one, mut eight) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let alone = flow(
            &server,
            &Flow {
                sessions: 1,
                tokens,
                rate: 0,
                subscribers: 1,
            },
        )
        .await?;
        one.push(alone["tokens_per_s"].as_f64().unwrap_or_default());
        let together = flow(
            &server,
            &Flow {
                sessions: 8,
                tokens: tokens / 8,
                rate: 0,
                subscribers: 1,
            },
        )
        .await?;
        eight.push(together["tokens_per_s"].as_f64().unwrap_or_default());
    }
    Ok(
        json!({"tokens_per_s_1": percentile(&mut one, 0.5), "tokens_per_s_8": percentile(&mut eight, 0.5)}),
    )
}

/// 200 sessions at 50 tokens a second each.
pub async fn concurrent(bench: &Bench) -> anyhow::Result<Value> {
    let place = Ground::new(bench, true)?;
    let tokens = bench.times(400, 150) as u32;
    flow(
        &place.warm().await?,
        &Flow {
            sessions: 200,
            tokens,
            rate: 50,
            subscribers: 1,
        },
    )
    .await
}

/// One session at 100 tokens a second, 100 clients.
pub async fn fan_out(bench: &Bench) -> anyhow::Result<Value> {
    let place = Ground::new(bench, true)?;
    let tokens = bench.times(1_000, 300) as u32;
    flow(
        &place.warm().await?,
        &Flow {
            sessions: 1,
            tokens,
            rate: 100,
            subscribers: 100,
        },
    )
    .await
}

/// 50 sessions of one folder are prompted at once: from each prompt to its first token, with checkpoints.
pub async fn first_token(bench: &Bench) -> anyhow::Result<Value> {
    const SESSIONS: u32 = 50;
    let place = Ground::new(bench, true)?;
    let server = place.warm().await?;
    let watch: Watch = server.watch().await?;
    let mut times = Vec::new();
    for _ in 0..bench.times(3, 1) {
        watch.reset();
        let mut sessions = Vec::new();
        for _ in 0..SESSIONS {
            sessions.push(server.session().await?);
        }
        let begun = now_ns();
        try_join_all(sessions.iter().enumerate().map(|(nth, id)| {
            let text = format!("LOAD sid={nth} n=5 rate=0");
            let server = &server;
            async move { server.prompt(id, &text).await }
        }))
        .await?;
        watch.idle(&sessions, 60).await?;
        watch.look(|seen| times.extend(seen.first_ns.values().map(|at| (at - begun) as f64 / 1e6)));
    }
    Ok(json!({"prompt_to_first_token_ms": spread(times)}))
}
