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
const JOBS: usize = 6_000;
/// Of ten steps each.
const LONG_JOBS: usize = 1_000;
const STEPS: usize = 10;
const FLOOR_JOBS: usize = 1_500;
const FLOOR_STEPS: usize = 4_000;

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
        jobs.push(round(&kernel, JOBS, 1).await?);
        floor_jobs.push(rate(FLOOR_JOBS, tokio::task::block_in_place(|| floor.jobs(FLOOR_JOBS))?));
        steps.push(round(&kernel, LONG_JOBS, STEPS).await? * STEPS as f64);
        floor_steps.push(rate(FLOOR_STEPS, tokio::task::block_in_place(|| floor.steps(FLOOR_STEPS))?));
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
        jobs.push(round(&kernel, JOBS / 2, 1).await?);
        floor_jobs.push(rate(FLOOR_JOBS, floor.jobs(FLOOR_JOBS).await?));
        steps.push(round(&kernel, LONG_JOBS / 2, STEPS).await? * STEPS as f64);
        floor_steps.push(rate(FLOOR_STEPS, floor.steps(FLOOR_STEPS).await?));
    }
    kernel.stop().await;
    let note = format!("{CALLERS} callers; floor: the same rows, a commit each, {CALLERS} connections");
    Ok(vec![
        Row::new("jobs.postgres", median(jobs), "jobs/s").floor(median(floor_jobs)).note(&note),
        Row::new("steps.postgres", median(steps), "steps/s").floor(median(floor_steps)).note(&note),
    ])
}

fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// Jobs a second, from the first request until the queue is empty.
async fn round(bench: &BenchKernel, jobs: usize, steps: usize) -> Fallible<f64> {
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (kernel, context) = (bench.kernel.clone(), bench.context.clone());
        callers.spawn(async move {
            for _ in 0..jobs / CALLERS {
                job_create(&kernel, &context, steps).await?;
            }
            Fallible::Ok(())
        });
    }
    while let Some(done) = callers.join_next().await {
        done??;
    }
    loop {
        let left = bench.kernel.store.read(|tx| -> qd_kernel::Result<i64> {
            Ok(tx.one("SELECT count(*) AS jobs FROM job_queue", &[], |row| row.get(0))?)
        });
        if left.await? == 0 {
            return Ok(rate(jobs / CALLERS * CALLERS, start.elapsed()));
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
