//! Long sessions, and sessions that were killed.

use crate::Bench;
use crate::clock::{now_ns, since_ms};
use crate::numbers::{round, spread};
use crate::server::{Ground, Server};
use crate::tokens;
use anyhow::Context;
use serde_json::{Value, json};

/// A session of 2,000 messages: prompt to the request's arrival at the model, warm and after a restart; reading it whole.
pub async fn history(bench: &Bench) -> anyhow::Result<Value> {
    let place = Ground::new(bench, false)?;
    let server = place.warm().await?;
    let id = server.session().await?;
    let turns = bench.times(1_000, 100);
    let watch = server.watch().await?;
    let begun = now_ns();
    for nth in 0..turns {
        watch.reset();
        let question = format!(
            "Question {nth}: please tell me about part {nth} of the plan, in a few words, with reasons."
        );
        server
            .prompt(&id, &format!("{question}\nLOAD sid={nth} n=20 rate=0"))
            .await?;
        watch.idle(std::slice::from_ref(&id), 60).await?;
    }
    let fill_s = since_ms(begun) / 1e3;
    drop(watch);
    let warm = to_provider(bench, &server, &id, 5).await?;
    server.kill();
    let server = place.start().await?;
    let restarted = to_provider(bench, &server, &id, 1).await?;
    let (mut times, mut bytes) = (Vec::new(), 0);
    for _ in 0..bench.times(20, 5) {
        let begun = now_ns();
        bytes = server.get(&format!("/session/{id}/message")).await?.len();
        times.push(since_ms(begun));
    }
    Ok(json!({
        "messages": turns * 2, "fill_s": round(fill_s), "prompt_to_provider_warm_ms": spread(warm),
        "prompt_to_provider_restarted_ms": restarted.first().copied().map(round), "get_ms": spread(times), "get_bytes": bytes,
    }))
}

/// From the prompt to the arrival of its request at the model.
async fn to_provider(
    bench: &Bench,
    server: &Server,
    id: &str,
    times: u32,
) -> anyhow::Result<Vec<f64>> {
    let watch = server.watch().await?;
    let mut found = Vec::new();
    for nth in 0..times {
        watch.reset();
        let sid = 900_000 + nth;
        let begun = now_ns();
        server
            .prompt(id, &format!("LOAD sid={sid} n=5 rate=0"))
            .await?;
        watch.idle(&[id.to_owned()], 60).await?;
        let asked = bench.load.answered(sid, 1).await?;
        found.push((asked[0].arrived_ns - begun) as f64 / 1e6);
    }
    Ok(found)
}

/// The daemon is killed in mid-stream: tokens that a client had and that are not there afterwards; time to be back.
pub async fn kill(bench: &Bench) -> anyhow::Result<Value> {
    let place = Ground::new(bench, true)?;
    let (mut lost, mut seen_all, mut back, mut left_open) = (0, 0, Vec::new(), 0);
    for nth in 0..bench.times(5, 2) {
        let server = place.warm().await?;
        let watch = server.watch().await?;
        let id = server.session().await?;
        let sid = 2_000 + nth as u32;
        server
            .prompt(&id, &format!("LOAD sid={sid} n=2000 rate=200"))
            .await?;
        watch.until(60, |seen| seen.latency_ms.len() >= 200).await?;
        server.kill();
        let seen = watch.look(|seen| seen.latency_ms.len());
        let begun = now_ns();
        let server = place.start().await?;
        let messages = server.get(&format!("/session/{id}/message")).await?;
        back.push(since_ms(begun));
        let mut kept = 0;
        tokens::scan(&messages, |owner, _, _| kept += usize::from(owner == sid));
        lost += seen.saturating_sub(kept);
        seen_all += seen;
        let messages: Value = serde_json::from_slice(&messages)?;
        let answers = messages
            .as_array()
            .context("a list")?
            .iter()
            .filter(|message| message["info"]["role"] == "assistant");
        left_open += answers
            .filter(|answer| answer["info"]["time"]["completed"].is_null())
            .count();
        server.kill();
    }
    Ok(json!({
        "tokens_seen": seen_all, "tokens_lost": lost, "answers_left_open": left_open, "kill_to_messages_ms": spread(back),
    }))
}
