//! Durable jobs: 16 callers ask for jobs whose steps do nothing, and each move of each job is committed.
//!
//! A job of one step takes three commits: asked for, claimed, done. The floor writes the same rows with as many commits
//! and no kernel.

mod postgres;
mod sqlite;

use std::time::{Duration, Instant};

use qd_testkit::postgres::Postgres;
use tokio::task::JoinSet;

use super::{
    Bench, Fallible,
    kernel::{self, BenchKernel, job_create},
    report::{Aim, Row},
    spread::median,
};

const CALLERS: usize = 16;
const ROUNDS: usize = 3;
/// How long callers ask and floors write; what is queued then is still carried out and counted.
const ROUND: Duration = Duration::from_millis(1500);
/// A round ends here on a machine that is fast.
const MOST_JOBS: usize = 8_000;
const MOST_LONG_JOBS: usize = 1_000;
/// Of a long job.
const STEPS: usize = 10;

pub async fn measure(bench: &Bench) -> Fallible<Vec<Row>> {
    let mut rows = on_sqlite(bench).await?;
    if has_postgres() {
        rows.extend(on_postgres().await?);
    } else {
        rows.push(
            Row::new("jobs.postgres", 0.0, "jobs/s").note("skipped: no initdb (apt-get install postgresql)"),
        );
    }
    Ok(rows)
}

async fn on_sqlite(bench: &Bench) -> Fallible<Vec<Row>> {
    let (ours, bare) = (bench.folder()?, bench.folder()?);
    let kernel = BenchKernel::start(&kernel::sqlite(ours.path())).await?;
    let (_, context) = kernel::prepare(bare.path()).await?;
    let mut floor = sqlite::Floor::open(bare.path(), context.scope)?;
    let (mut jobs, mut steps, mut floor_jobs, mut floor_steps) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        jobs.push(round(&kernel, MOST_JOBS, 1).await?);
        floor_jobs.push(tokio::task::block_in_place(|| floor.jobs(ROUND))?);
        steps.push(round(&kernel, MOST_LONG_JOBS, STEPS).await? * STEPS as f64);
        floor_steps.push(tokio::task::block_in_place(|| floor.steps(ROUND))?);
    }
    kernel.stop().await;
    let note =
        format!("{CALLERS} callers, synchronous=FULL; floor: the same rows, a commit each, one thread");
    Ok(vec![
        Row::new("jobs.sqlite", median(jobs), "jobs/s")
            .floor(median(floor_jobs))
            .aim(Aim::RatioAtLeast(3.0))
            .note(&format!("3 commits a job; {note}")),
        Row::new("steps.sqlite", median(steps), "steps/s")
            .floor(median(floor_steps))
            .note(&format!("jobs of {STEPS} steps; {note}")),
    ])
}

async fn on_postgres() -> Fallible<Vec<Row>> {
    let server = Postgres::start().await;
    let (ours, bare) = (server.fresh_database().await, server.fresh_database().await);
    let kernel = BenchKernel::start(&ours.url).await?;
    let other = BenchKernel::start(&bare.url).await?;
    let scope = other.context.scope;
    other.stop().await;
    let mut floor = postgres::Floor::open(&bare.url, scope).await?;
    let (mut jobs, mut steps, mut floor_jobs, mut floor_steps) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        jobs.push(round(&kernel, MOST_JOBS, 1).await?);
        floor_jobs.push(floor.jobs(ROUND).await?);
        steps.push(round(&kernel, MOST_LONG_JOBS, STEPS).await? * STEPS as f64);
        floor_steps.push(floor.steps(ROUND).await?);
    }
    kernel.stop().await;
    let note = format!("{CALLERS} callers; floor: the same rows, a commit each, {CALLERS} connections");
    Ok(vec![
        Row::new("jobs.postgres", median(jobs), "jobs/s").floor(median(floor_jobs)).note(&note),
        Row::new("steps.postgres", median(steps), "steps/s").floor(median(floor_steps)).note(&note),
    ])
}

/// Jobs a second, from the first request until the queue is empty.
async fn round(bench: &BenchKernel, most: usize, steps: usize) -> Fallible<f64> {
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (kernel, context) = (bench.kernel.clone(), bench.context.clone());
        callers.spawn(async move {
            let mut asked = 0usize;
            while asked < most / CALLERS && start.elapsed() < ROUND {
                job_create(&kernel, &context, steps).await?;
                asked += 1;
            }
            Fallible::Ok(asked)
        });
    }
    let mut asked = 0;
    while let Some(done) = callers.join_next().await {
        asked += done??;
    }
    loop {
        let left = bench.kernel.store.read(|tx| -> qd_kernel::Result<i64> {
            Ok(tx.one("SELECT count(*) AS jobs FROM job_queue", &[], |row| row.get(0))?)
        });
        if left.await? == 0 {
            return Ok(asked as f64 / start.elapsed().as_secs_f64());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Where the testkit looks as well.
fn has_postgres() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = debian.map(|entry| entry.path().join("bin"));
    let whole =
        |folder: std::path::PathBuf| folder.join("initdb").exists() && folder.join("postgres").exists();
    std::env::split_paths(&path).chain(debian).any(whole)
}
