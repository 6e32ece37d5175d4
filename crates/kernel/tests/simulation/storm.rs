//! One simulation: jobs are asked for while everything goes wrong, then it grows calm, and all of them must end well.

use std::sync::Arc;
use std::time::Duration;

use qd_core::error::{Error, ErrorKind};
use qd_core::id::JobId;
use qd_kernel::access::PLATFORM_ADMIN;
use qd_kernel::clock::Clock as _;
use qd_kernel::context::Context;
use qd_kernel::idempotency::IdempotencyKey;
use qd_kernel::mutation::Act;
use qd_kernel::operation::Outcome;
use qd_kernel::store::SimulatedDatabase;
use qd_testkit::Scripted;
use qd_testkit::kernel::context_in;
use qd_testkit::scripted::{Call, SCRIPTED};
use serde_json::json;
use tokio::time::Instant;

use crate::checks;
use crate::dice::Dice;
use crate::process::{Process, SkewedClock};
use crate::world::World;

pub const STEPS: [&str; 5] = ["enter", "act", "wait", "settle", "leave"];
const PROCESSES: u16 = 3;
const JOBS: u64 = 12;
const LEASE: Duration = Duration::from_secs(2);
const HOUR_MS: u64 = 3_600_000;
const STORM: Duration = Duration::from_secs(20);
/// By then every job has ended, whatever the clocks say: the longest pause between two tries is a minute and a half, and a job
/// has a few of them.
const CALM: Duration = Duration::from_secs(600);

/// A bug that the simulation must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    Nothing,
    /// The world takes writes of those who lost their lock.
    WorldWithoutFence,
    /// A job's token does not grow when another worker takes it.
    TokenThatStays,
    /// Claims do not ask whether a lease is over.
    LeaseWithoutExpiry,
    /// What was stored by a clock that was ahead stays as it is.
    TimesThatStay,
}

impl Plant {
    fn rewrite(self) -> Option<fn(&str) -> Option<String>> {
        match self {
            Self::Nothing | Self::WorldWithoutFence => None,
            Self::TokenThatStays => Some(|sql| {
                let claim =
                    sql.starts_with("UPDATE job_queue SET due_at = $1, set_at = $4, token = token + 1");
                claim.then(|| sql.replacen("token = token + 1", "token = MAX(token, 1)", 1))
            }),
            Self::TimesThatStay => Some(|sql| {
                let mends = sql.starts_with("UPDATE job_queue SET due_at = due_at - (set_at - $1)");
                mends.then(|| format!("{sql} AND job_queue.step < 0"))
            }),
            Self::LeaseWithoutExpiry => Some(|sql| {
                let claim =
                    sql.starts_with("UPDATE job_queue SET due_at = $1, set_at = $4, token = token + 1");
                claim.then(|| sql.replacen("due_at <= $4", "$4 > 0", 1))
            }),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Everything goes wrong.
    Storm,
    /// Nothing does but clocks, which step as they like; then no step is ever tried twice.
    Calm,
}

pub struct Simulated {
    pub wrong: Vec<String>,
    /// The events of all jobs in their order, then what the world saw.
    pub story: Vec<String>,
}

pub fn simulate(seed: u64, plant: Plant, weather: Weather) -> Simulated {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(run(seed, plant, weather))
}

async fn run(seed: u64, plant: Plant, weather: Weather) -> Simulated {
    let stormy = weather == Weather::Storm;
    let (dice, world) = (Dice::new(seed), World::new(plant != Plant::WorldWithoutFence));
    let database_clock = SkewedClock::new(PROCESSES + 1);
    let shown = database_clock.clone();
    let database = SimulatedDatabase::open(Arc::new(move || shown.now()), plant.rewrite()).unwrap();
    let mut processes = vec![];
    for index in 0..PROCESSES {
        let (dice_of_steps, world) = (dice.clone(), world.clone());
        let operation = move || scripted(&dice_of_steps, &world, weather);
        let mut process = Process::new(index + 1, &dice, &database, LEASE, operation).await;
        process.start().await;
        process.connection.storm(stormy);
        processes.push(process);
    }
    let scope = {
        processes[0].connection.storm(false);
        let scope = processes[0].kernel.scope_find(None, None).await.unwrap().scope;
        processes[0].connection.storm(stormy);
        scope
    };
    let context = context_in(scope, "tester", PLATFORM_ADMIN);
    let jobs = storm(&dice, &mut processes, &database_clock, &context, weather).await;
    for process in &mut processes {
        if !process.runs() {
            process.restart().await;
        }
        process.connection.storm(false);
    }
    let kernel = processes[0].kernel.clone();
    let until = Instant::now() + CALM;
    loop {
        let mut all_ended = true;
        for id in &jobs {
            all_ended &= kernel.job_get(scope, *id).await.is_ok_and(|job| job.state.is_terminal());
        }
        if all_ended || Instant::now() > until {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let mut wrong = world.wrong();
    if weather == Weather::Calm {
        wrong.extend(world.tried_twice());
    }
    wrong.extend(checks::liveness(&kernel, scope, &jobs).await);
    wrong.extend(checks::safety(&kernel, scope, &jobs, &world).await);
    let mut story = checks::story(&kernel, scope).await;
    story.extend(world.diary());
    Simulated { wrong, story }
}

/// Asks for jobs while processes crash, connections are cut, clocks step and calls come at random. Answers the jobs whose
/// asking was acknowledged.
async fn storm(
    dice: &Dice,
    processes: &mut [Process],
    database_clock: &SkewedClock,
    context: &Context,
    weather: Weather,
) -> Vec<JobId> {
    let (end, mut jobs, mut asked) = (Instant::now() + STORM, vec![], 0);
    while Instant::now() < end || asked < JOBS {
        tokio::time::sleep(dice.millis(20, 400)).await;
        let index = usize::try_from(dice.below(u64::from(PROCESSES))).unwrap();
        if asked < JOBS && dice.percent(60) {
            if let Some(id) = ask(&processes[index], context, dice, asked).await {
                jobs.push(id);
                asked += 1;
            }
            continue;
        }
        let process = &mut processes[index];
        if weather == Weather::Calm {
            match dice.below(8) {
                0 => process.clock.step_to(skew(dice)),
                1 => database_clock.step_to(skew(dice)),
                _ => process.kernel.bus.call_workers(),
            }
            continue;
        }
        match dice.below(14) {
            0..2 if process.runs() => process.crash(),
            0..4 if !process.runs() => {
                process.restart().await;
                process.connection.storm(true);
            }
            4..6 => process.connection.cut(dice.millis(100, 5000)),
            6..8 => process.clock.step_to(skew(dice)),
            8 => database_clock.step_to(skew(dice)),
            9 => {
                if let Some(id) = jobs.get(usize::try_from(dice.below(JOBS)).unwrap()) {
                    let _ = process.kernel.job_cancel(context, *id, String::new()).await;
                }
            }
            // A call that is late, repeated, or about nothing; those that are lost are the ones that nobody makes.
            _ => process.kernel.bus.call_workers(),
        }
    }
    jobs
}

/// A second and a half, or an hour, either way; in milliseconds.
fn skew(dice: &Dice) -> i64 {
    let most = if dice.percent(50) { 1500 } else { HOUR_MS };
    i64::try_from(dice.below(most * 2)).unwrap() - i64::try_from(most).unwrap()
}

/// The same key until it is acknowledged, as clients do.
async fn ask(process: &Process, context: &Context, dice: &Dice, number: u64) -> Option<JobId> {
    let keys: Vec<String> = (0..dice.below(3)).map(|_| format!("things/{}", dice.below(4))).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let mut input = Scripted::locked(&STEPS, &keys);
    input["fails"] = json!(dice.percent(15));
    for _ in 0..8 {
        let key = IdempotencyKey::new(&format!("job-{number}"), "body".into()).unwrap();
        let act = Act::new("tests", "script");
        match process.kernel.job_create(context, act, SCRIPTED, input.clone(), key).await {
            Ok(job) => return Some(job.id),
            Err(error) if matches!(error.kind, ErrorKind::Unavailable | ErrorKind::Internal) => {}
            Err(error) => panic!("ask for a job: {error:?}"),
        }
    }
    None
}

fn scripted(dice: &Dice, world: &World, weather: Weather) -> Scripted {
    let (dice, world) = (dice.clone(), world.clone());
    let (dice_back, world_back) = (dice.clone(), world.clone());
    let (dice_off, world_off) = (dice.clone(), world.clone());
    Scripted::new(move |call: Call| {
        let (dice, world) = (dice.clone(), world.clone());
        async move { attempt(&dice, &world, call, weather).await }
    })
    .max_attempts(20)
    .on_undo(move |call: Call| {
        let (dice, world) = (dice_back.clone(), world_back.clone());
        async move {
            back(&dice, &world, &call).await?;
            Ok(None)
        }
    })
    .on_call_off(move |call: Call| {
        let (dice, world) = (dice_off.clone(), world_off.clone());
        async move { back(&dice, &world, &call).await }
    })
}

async fn attempt(dice: &Dice, world: &World, call: Call, weather: Weather) -> Outcome {
    let chance = if weather == Weather::Storm { 4 } else { 0 };
    let away = || Outcome::Retry(Error::unavailable("world_away", "the world is away"));
    tokio::time::sleep(dice.millis(1, 60)).await;
    if dice.percent(4) {
        // A slow world: longer than a lease, so that it may act for somebody who is no longer the owner.
        tokio::time::sleep(dice.millis(500, 5000)).await;
    }
    if dice.percent(chance) {
        return away();
    }
    if call.step == "wait" && dice.percent(50) {
        return Outcome::Wait { after: dice.millis(10, 3000), waiting_for: "the world".into() };
    }
    if call.step == "settle" && call.input["fails"] == true {
        return Outcome::Fatal(Error::invalid("nonsense", "that cannot be"));
    }
    let acted = world.act(&call);
    if acted.is_err() {
        return Outcome::Retry(Error::conflict("fenced_off", "the world has seen a later holder"));
    }
    // It took effect, and the answer is lost.
    if dice.percent(chance) { away() } else { Outcome::done(json!({ "made": call.step })) }
}

async fn back(dice: &Dice, world: &World, call: &Call) -> qd_core::error::Result<()> {
    tokio::time::sleep(dice.millis(1, 30)).await;
    let away = || Error::unavailable("world_away", "the world is away");
    if dice.percent(5) || world.take_back(call).is_err() || dice.percent(5) { Err(away()) } else { Ok(()) }
}
