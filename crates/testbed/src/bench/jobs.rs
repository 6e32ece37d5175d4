//! Durable jobs whose steps do nothing, each move of each job committed: many at once, and one that is long.
//!
//! A job of one step takes three commits: asked for, claimed, done. The floor writes the same rows with as many commits
//! and no kernel, one transaction for each move; the peer is Celery, which writes nothing down between two tasks. Where a
//! backlog is worked off, the floor is the plain worker: it takes one job at a time from the same queue and commits each step.

mod postgres;
mod sqlite;

use std::time::{Duration, Instant};

use super::{
    Bench, Fallible,
    celery::Celery,
    kernel::{BenchKernel, LOOK, LOOK_OF_MANY, job_create, jobs_create, queue_is_empty},
    place::{Place, Site},
    report::{Aim, Row},
    spread::median,
};

const ROUNDS: usize = 5;
/// Asked for at once.
const JOBS: usize = 2_000;
/// Connections of the floor on Postgres.
const CONNECTIONS: usize = 16;
/// How long the floor writes.
const ROUND: Duration = Duration::from_millis(700);
/// Jobs of several steps, asked for at once, and how many steps they have.
const LONG_JOBS: usize = 200;
const STEPS: usize = 10;
/// Steps of a job that is alone.
const CHAIN: usize = 40;
/// Such jobs in a round.
const CHAINS: usize = 8;
/// Jobs that lie there when workers begin, and how many steps they have.
const BACKLOG: usize = 3_000;
const BACKLOG_STEPS: i64 = 3;

/// The bare driver on a database of its own.
enum Floor {
    Sqlite(sqlite::Floor),
    Postgres(postgres::Floor),
}

/// A figure of each round.
#[derive(Default)]
struct Rounds {
    jobs: Vec<f64>,
    steps: Vec<f64>,
    chain: Vec<f64>,
    drain: Vec<f64>,
}

pub async fn measure(bench: &Bench) -> Fallible<Vec<Row>> {
    let mut rows = vec![];
    let (places, missing) = Place::available();
    let (celery, mut peer) = (Celery::start(bench).await?, Rounds::default());
    for (number, place) in places.into_iter().enumerate() {
        let (ours, floor) = at(bench, place, celery.as_ref().ok().filter(|_| number == 0), &mut peer).await?;
        let name = place.name();
        let by = if place == Place::Sqlite { "synchronous=FULL, one thread" } else { "16 connections" };
        rows.extend([
            Row::new(&format!("jobs.{name}"), median(ours.jobs), "jobs/s")
                .floor(median(floor.jobs))
                .peer_rate(&peer.jobs)
                .aim(Aim::NoSlowerThanPeer)
                .note(&format!("{JOBS} of one step at once; floor: the same rows, a commit each, {by}")),
            Row::new(&format!("steps.{name}"), median(ours.steps), "steps/s")
                .floor(median(floor.steps))
                .note(&format!("{LONG_JOBS} jobs of {STEPS} steps at once")),
            Row::new(&format!("chain.{name}"), median(ours.chain), "ms")
                .floor(median(floor.chain))
                .peer_time(&peer.chain)
                .aim(Aim::NoSlowerThanPeer)
                .note(&format!("one job of {CHAIN} steps, p50")),
            Row::new(&format!("drain.{name}"), median(ours.drain), "jobs/s")
                .floor(median(floor.drain))
                .aim(Aim::RatioAtLeast(5.0))
                .note(&format!(
                    "a backlog of {BACKLOG} of {BACKLOG_STEPS} steps; floor: plain workers, {by}"
                )),
        ]);
    }
    if let Err(why) = celery {
        rows.push(Row::skipped("jobs.celery", &why));
    }
    rows.extend(missing.map(|why| Row::skipped("jobs.postgres", why)));
    Ok(rows)
}

/// Rounds of ours, of the floor and of the peer in turn.
async fn at(
    bench: &Bench,
    place: Place,
    celery: Option<&Celery>,
    peer: &mut Rounds,
) -> Fallible<(Rounds, Rounds)> {
    let (site, bare) = (Site::open(bench, place).await?, Site::open(bench, place).await?);
    let (kernel, workers) = site.kernel(bench).await?;
    let mut bottom = Floor::open(&bare).await?;
    let (mut ours, mut floor) = (Rounds::default(), Rounds::default());
    for _ in 0..ROUNDS {
        ours.jobs.push(at_once(&kernel, JOBS, 1).await?);
        floor.jobs.push(bottom.jobs().await?);
        ours.steps.push(at_once(&kernel, LONG_JOBS, STEPS).await? * STEPS as f64);
        floor.steps.push(bottom.steps().await?);
        for _ in 0..CHAINS {
            let start = Instant::now();
            job_create(&kernel.kernel, &kernel.context, CHAIN).await?;
            queue_is_empty(&kernel.kernel, LOOK).await?;
            ours.chain.push(start.elapsed().as_secs_f64() * 1000.0);
            floor.chain.push(bottom.chain().await?.as_secs_f64() * 1000.0);
        }
        if let Some(celery) = celery {
            peer.jobs.push(JOBS as f64 / celery.burst(JOBS).await?.as_secs_f64());
            peer.chain.push(celery.chain(CHAIN).await?.as_secs_f64() * 1000.0);
        }
    }
    for worker in workers {
        worker.stop().await?;
    }
    kernel.stop().await;
    for _ in 0..ROUNDS {
        ours.drain.push(drained(bench, &site).await?);
        let idle = BenchKernel::idle(&bare.url, None).await?;
        jobs_create(&idle, BACKLOG, BACKLOG_STEPS as usize).await?;
        floor.drain.push(BACKLOG as f64 / bottom.drain(BACKLOG_STEPS).await?.as_secs_f64());
        idle.stop().await;
    }
    Ok((ours, floor))
}

/// Jobs a second, from when the workers begin until the queue is empty.
async fn drained(bench: &Bench, site: &Site) -> Fallible<f64> {
    let workers = site.workers(bench).await?;
    let mut kernel = BenchKernel::idle(&site.url, site.nats_url()).await?;
    for worker in &workers {
        worker.hold()?;
    }
    jobs_create(&kernel, BACKLOG, BACKLOG_STEPS as usize).await?;
    let start = Instant::now();
    for worker in &workers {
        worker.go_on()?;
    }
    kernel.work().await?;
    queue_is_empty(&kernel.kernel, LOOK_OF_MANY).await?;
    let took = start.elapsed();
    for worker in workers {
        worker.stop().await?;
    }
    kernel.stop().await;
    Ok(BACKLOG as f64 / took.as_secs_f64())
}

impl Floor {
    async fn open(site: &Site) -> Fallible<Self> {
        let kernel = BenchKernel::start(&site.url, None).await?;
        let scope = kernel.context.scope;
        kernel.stop().await;
        Ok(match site.place {
            Place::Sqlite => Self::Sqlite(sqlite::Floor::open(site.folder.path(), scope)?),
            _ => Self::Postgres(postgres::Floor::open(&site.url, scope).await?),
        })
    }

    async fn jobs(&mut self) -> Fallible<f64> {
        match self {
            Self::Sqlite(floor) => Ok(tokio::task::block_in_place(|| floor.jobs(ROUND))?),
            Self::Postgres(floor) => floor.jobs(ROUND).await,
        }
    }

    async fn steps(&mut self) -> Fallible<f64> {
        match self {
            Self::Sqlite(floor) => Ok(tokio::task::block_in_place(|| floor.steps(ROUND))?),
            Self::Postgres(floor) => floor.steps(ROUND).await,
        }
    }

    async fn chain(&mut self) -> Fallible<Duration> {
        match self {
            Self::Sqlite(floor) => Ok(tokio::task::block_in_place(|| floor.chain(CHAIN))?),
            Self::Postgres(floor) => floor.chain(CHAIN).await,
        }
    }

    /// Until the queue is empty.
    async fn drain(&mut self, steps: i64) -> Fallible<Duration> {
        match self {
            Self::Sqlite(floor) => Ok(tokio::task::block_in_place(|| floor.drain(steps))?),
            Self::Postgres(floor) => floor.drain(steps).await,
        }
    }
}

/// Jobs a second, from the first request until the queue is empty.
async fn at_once(bench: &BenchKernel, jobs: usize, steps: usize) -> Fallible<f64> {
    let start = Instant::now();
    jobs_create(bench, jobs, steps).await?;
    queue_is_empty(&bench.kernel, LOOK_OF_MANY).await?;
    Ok(jobs as f64 / start.elapsed().as_secs_f64())
}
