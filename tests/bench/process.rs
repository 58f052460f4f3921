//! What the kernel says about processes.

use crate::numbers::round;
use std::fs::read_to_string;
use std::time::Instant;

const TICKS_PER_SECOND: f64 = 100.0;

/// The proportional memory of a process, in MiB.
pub fn pss_mib(pid: u32) -> f64 {
    let rollup = read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib: f64 = line
        .and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(f64::NAN);
    round(kib / 1024.0)
}

/// Seconds of processor time that a process and its finished children used. Steps of 10 ms.
pub fn cpu_s(pid: u32) -> f64 {
    let stat = read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest)
        .unwrap_or_default();
    let ticks: f64 = fields
        .split_whitespace()
        .skip(11)
        .take(4)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    ticks / TICKS_PER_SECOND
}

fn machine_busy_s() -> f64 {
    let stat = read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<f64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    let waits: f64 = fields.iter().skip(3).take(2).sum();
    (fields.iter().take(8).sum::<f64>() - waits) / TICKS_PER_SECOND
}

/// The machine's work since a moment.
pub struct Machine {
    at: Instant,
    others_s: f64,
}

impl Machine {
    /// Now.
    pub fn now() -> Self {
        Self {
            at: Instant::now(),
            others_s: machine_busy_s() - cpu_s(std::process::id()),
        }
    }

    /// Cores that were busy with other things since then.
    pub fn others(&self) -> f64 {
        let others = machine_busy_s() - cpu_s(std::process::id()) - self.others_s;
        round(others / self.at.elapsed().as_secs_f64())
    }
}
