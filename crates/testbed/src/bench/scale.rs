//! A hundred pipelines and runs against ten thousand and a hundred thousand: what people wait for must not grow with it.
//!
//! Both databases are filled so that the measured pages hold equally many rows: every fifth resource has runs, ten and
//! more of them. Calls alternate between the two, so that other work on the machine hits both.

use std::time::{Duration, Instant};

use qd_kernel::{page::PageRequest, resources::ResourceFilter, runs::RunFilter};
use rusqlite::Connection;
use tempfile::TempDir;

use super::{
    Bench, Fallible,
    fill::{Filled, fill},
    kernel::{self, BenchKernel, job_create},
    report::{Aim, Row},
    spread::Spread,
};

const TURNS: usize = 300;
const KIND: &str = "Toy";

/// A filled database with a kernel on it.
struct Side {
    bench: BenchKernel,
    /// Those that have runs.
    busy: Vec<Filled>,
    _folder: TempDir,
}

/// What each call took.
#[derive(Default)]
struct Times {
    list: Vec<Duration>,
    detail: Vec<Duration>,
    runs: Vec<Duration>,
    run: Vec<Duration>,
    claim: Vec<Duration>,
}

pub async fn measure(bench: &Bench) -> Fallible<Vec<Row>> {
    let mut small = Side::open(bench, 100, |index| if index < 50 && index % 5 == 0 { 10 } else { 0 }).await?;
    let mut large = Side::open(bench, 10_000, |index| if index % 5 == 0 { 50 } else { 0 }).await?;
    let (mut few, mut many) = (Times::default(), Times::default());
    for turn in 0..TURNS {
        small.turn(turn, &mut few).await?;
        large.turn(turn, &mut many).await?;
    }
    small.bench.stop().await;
    large.bench.stop().await;
    let row = |name: &str, what: &str, small: Vec<Duration>, large: Vec<Duration>| {
        Row::new(name, Spread::new(large).p50(), "ms")
            .floor(Spread::new(small).p50())
            .aim(Aim::RatioAtMost(1.5))
            .note(what)
    };
    let against = "p50 with 10,000 and 100,000 runs; floor: with 100 and 100";
    Ok(vec![
        row("scale.list", &format!("50 resources; {against}"), few.list, many.list),
        row("scale.detail", "a resource", few.detail, many.detail),
        row("scale.runs", "the newest 50 runs", few.runs, many.runs),
        row("scale.run", "a run", few.run, many.run),
        row("scale.claim", "asked for, until a worker begins", few.claim, many.claim),
    ])
}

impl Side {
    async fn open(bench: &Bench, resources: i64, runs: impl Fn(i64) -> i64) -> Fallible<Self> {
        let folder = bench.folder()?;
        let (_, context) = kernel::prepare(folder.path()).await?;
        let filled = tokio::task::block_in_place(|| -> Fallible<Vec<Filled>> {
            let mut connection = Connection::open(folder.path().join("qd.db"))?;
            fill(&mut connection, context.scope, resources, runs)
        })?;
        let bench = BenchKernel::start(&kernel::sqlite(folder.path()), None).await?;
        let busy = filled.into_iter().filter(|filled| !filled.runs.is_empty()).collect();
        Ok(Self { bench, busy, _folder: folder })
    }

    /// One call of each kind, on resources and runs all over the database.
    async fn turn(&mut self, turn: usize, times: &mut Times) -> Fallible<()> {
        let (kernel, scope) = (self.bench.kernel.clone(), self.bench.context.scope);
        let busy = self.busy.get(turn * 7919 % self.busy.len()).ok_or("nothing is filled in")?;
        let newest = busy.runs.last().ok_or("no runs are filled in")?.to_string();

        let start = Instant::now();
        let page =
            kernel.resource_list(scope, KIND, ResourceFilter::default(), PageRequest::first(50)).await?;
        times.list.push(start.elapsed());
        let start = Instant::now();
        kernel.resource_get(scope, KIND, &busy.name).await?;
        times.detail.push(start.elapsed());
        let start = Instant::now();
        let runs = kernel.run_list(scope, RunFilter::default(), PageRequest::first(50)).await?;
        times.runs.push(start.elapsed());
        let start = Instant::now();
        kernel.run_get(scope, &newest).await?;
        times.run.push(start.elapsed());
        if page.items.len() != 50 || runs.items.len() != 50 {
            return Err("a page is not full".into());
        }
        let start = Instant::now();
        job_create(&kernel, &self.bench.context, 1).await?;
        let began = self.bench.began.recv().await.ok_or("the worker is gone")?;
        times.claim.push(began.at - start);
        Ok(())
    }
}
