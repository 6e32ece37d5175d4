//! The job engine under a simulator: three processes on one database, a world that keeps count, and a seed that decides about
//! every delay, every lost and repeated message, every crash and every step of a clock, an hour ahead or back. Time is virtual.
//!
//! The kernel is the real one, on SQLite in memory; what is simulated is around it. `QD_SIM_SEED=n` runs one seed and tells
//! what happened; `QD_SIM_SEEDS=n` runs so many.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may fail by panicking")]

mod checks;
mod dice;
mod process;
mod storm;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use storm::{Plant, Simulated, Weather, simulate};

const SEEDS: u64 = 500;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn five_hundred_seeds_keep_every_promise() {
    let (first, last) = match (number("QD_SIM_SEED"), number("QD_SIM_SEEDS")) {
        (Some(seed), _) => (seed, seed + 1),
        (None, seeds) => (0, seeds.unwrap_or(SEEDS)),
    };
    let next = AtomicU64::new(first);
    let failed: Vec<String> = thread::scope(|scope| {
        let run = || {
            let mut failed = vec![];
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= last {
                    return failed;
                }
                let Simulated { wrong, story } = simulate(seed, Plant::Nothing, Weather::Storm);
                if number("QD_SIM_SEED").is_some() {
                    println!("{}", story.join("\n"));
                }
                if !wrong.is_empty() {
                    failed.push(format!("seed {seed}:\n  {}", wrong.join("\n  ")));
                }
            }
        };
        let threads: Vec<_> =
            (0..thread::available_parallelism().map_or(2, usize::from)).map(|_| scope.spawn(run)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(
        failed.is_empty(),
        "{} of {} seeds broke a promise; replay one with QD_SIM_SEED=<seed> cargo nextest run --workspace -E 'binary(simulation)'\n{}",
        failed.len(),
        last - first,
        failed.join("\n")
    );
}

/// Without this a replay would be another run.
#[test]
fn a_seed_tells_the_same_story_each_time() {
    for seed in [3, 14, 159] {
        let (first, second) =
            (simulate(seed, Plant::Nothing, Weather::Storm), simulate(seed, Plant::Nothing, Weather::Storm));
        assert_eq!(first.story, second.story, "seed {seed}");
        assert!(first.story.len() > 30, "something happened");
    }
}

/// What the first of so many seeds says that finds anything wrong.
fn found(plant: Plant, seeds: u64, weather: Weather) -> Vec<String> {
    (0..seeds)
        .map(|seed| simulate(seed, plant, weather).wrong)
        .find(|wrong| !wrong.is_empty())
        .unwrap_or_default()
}

#[test]
fn a_world_that_does_not_look_at_fences_is_caught() {
    let wrong = found(Plant::WorldWithoutFence, SEEDS, Weather::Storm);
    assert!(wrong.iter().any(|line| line.starts_with("safety:")), "{wrong:?}");
}

#[test]
fn a_fence_that_does_not_grow_is_caught() {
    let wrong = found(Plant::TokenThatStays, SEEDS, Weather::Storm);
    assert!(wrong.iter().any(|line| line.starts_with("safety:")), "{wrong:?}");
}

#[test]
fn times_of_a_clock_that_was_ahead_are_caught() {
    let wrong = found(Plant::TimesThatStay, SEEDS, Weather::Storm);
    assert!(wrong.iter().any(|line| line.starts_with("liveness:")), "{wrong:?}");
}

#[test]
fn in_calm_weather_no_step_is_tried_twice() {
    assert_eq!(found(Plant::Nothing, 50, Weather::Calm), Vec::<String>::new());
}

#[test]
fn a_claim_that_takes_leased_jobs_is_caught() {
    let wrong = found(Plant::LeaseWithoutExpiry, 10, Weather::Calm);
    assert!(wrong.iter().any(|line| line.contains("although all was well")), "{wrong:?}");
}
