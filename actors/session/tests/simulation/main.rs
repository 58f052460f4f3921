//! A seeded simulation of one session: several clients, a scripted model with faults, a host that runs tools, late and
//! repeated messages, and processes that end after any record. Only the pure machine is real.
//!
//! `KILO_SIM_SEEDS` raises the number of seeds, `KILO_SIM_FROM` sets the first one. A failure names its seed.

mod chance;
mod checks;
mod clients;
mod host;
mod provider;
mod rules;
mod world;

use chance::Chance;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use world::World;

/// Inputs of a run before it is let to come to rest.
const INPUTS: usize = 250;

#[test]
fn whatever_happens_the_log_and_its_promises_hold() {
    let (from, seeds) = (number("KILO_SIM_FROM", 1), number("KILO_SIM_SEEDS", 200));
    let mut seen = world::Seen::default();
    for seed in from..from + seeds {
        let mut world = World::new(Chance::new(seed));
        let run = catch_unwind(AssertUnwindSafe(|| run(&mut world)));
        if let Err(failure) = run {
            let steps = world.last_steps(if seeds == 1 { usize::MAX } else { 40 });
            eprintln!(
                "KILO_SIM_FROM={seed} KILO_SIM_SEEDS=1 shows the whole run, which ended with\n{steps}"
            );
            resume_unwind(failure);
        }
        seen.add(&world.seen);
    }
    // A simulation that no longer reaches something proves nothing about it.
    if seeds >= 200 {
        seen.assert_everything_happened();
    }
}

fn run(world: &mut World) {
    for _ in 0..INPUTS {
        world.step();
        world.check();
    }
    world.come_to_rest();
    world.check_at_rest();
}

#[allow(
    clippy::disallowed_methods,
    reason = "a knob of the test run, not of the program"
)]
fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(otherwise)
}
