//! Ten thousand jobs that wait for the world: what they cost one process, and whether each wakes at its time.
//!
//! A process of its own does it, so that its memory is its own. It has carried out as many jobs before, so that what a
//! process keeps for its next work is not counted as theirs.

use std::io::Write as _;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use qd_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::{
    Bench, Fallible,
    kernel::{BenchKernel, LOOK_OF_MANY, Wish, job_ask, job_create, queue_is_empty},
    place::{Place, Site},
    process::memory_mb,
    report::{Aim, Row},
    spread::Spread,
};

const JOBS: usize = 10_000;
/// Asked for at a time.
const CALLERS: usize = 64;
/// Until the first wakes: time enough for all of them to begin to wait.
const SLEEP: Duration = Duration::from_secs(30);
/// They wake one by one over this long.
const OVER: Duration = Duration::from_secs(10);
/// What is left to do has been done after so long.
const SETTLE: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub struct WaitArgs {
    #[arg(long)]
    database_url: String,
}

/// What the process found.
#[derive(Debug, Serialize, Deserialize)]
struct Found {
    idle_mb: f64,
    waiting_mb: f64,
    /// From asking for another job, while all wait, until it begins, ms.
    other_ms: f64,
    p50_ms: f64,
    p99_ms: f64,
}

pub async fn measure(bench: &Bench) -> Fallible<Vec<Row>> {
    let mut rows = vec![];
    for place in Place::available().0.into_iter().filter(|place| *place != Place::PostgresByThree) {
        let site = Site::open(bench, place).await?;
        let output = Command::new(&bench.program)
            .args(["wait", "--database-url", &site.url])
            .stderr(std::process::Stdio::inherit())
            .kill_on_drop(true)
            .output()
            .await?;
        if !output.status.success() {
            return Err(format!("{JOBS} jobs that wait: {}", output.status).into());
        }
        let found: Found = serde_json::from_slice(&output.stdout)?;
        let (name, each) = (place.name(), (found.waiting_mb - found.idle_mb) * 1e6 / JOBS as f64);
        rows.extend([
            Row::new(&format!("waiting.memory.{name}"), each.max(0.0), "B/job")
                .aim(Aim::ValueAtMost(1000.0))
                .note(&format!(
                    "{JOBS} that wait: {:.1} MB, idle {:.1} MB; another job begins after {:.2} ms",
                    found.waiting_mb, found.idle_mb, found.other_ms
                )),
            Row::new(&format!("waiting.late.{name}"), found.p99_ms, "ms").aim(Aim::ValueAtMost(100.0)).note(
                &format!(
                    "p99 after its time, p50 {:.2} ms; all wake over {} s",
                    found.p50_ms,
                    OVER.as_secs()
                ),
            ),
        ]);
    }
    Ok(rows)
}

/// The process: prints what it found as JSON.
pub async fn wait(args: WaitArgs) -> Fallible<()> {
    let mut bench = BenchKernel::start(&args.database_url, None).await?;
    ask(&bench, |_| Wish::default()).await?;
    queue_is_empty(&bench.kernel, LOOK_OF_MANY).await?;
    while bench.began.try_recv().is_ok() {}
    tokio::time::sleep(SETTLE).await;
    let idle_mb = memory_mb(std::process::id())?;

    let first = bench.kernel.source.now().micros() + i64::try_from(SLEEP.as_micros())?;
    let step = i64::try_from(OVER.as_micros())? / i64::try_from(JOBS)?;
    ask(&bench, |number| Wish { wake_at: Some(first + step * number), ..Wish::default() }).await?;
    all_wait(&bench).await?;
    tokio::time::sleep(SETTLE).await;
    let waiting_mb = memory_mb(std::process::id())?;
    let start = Instant::now();
    job_create(&bench.kernel, &bench.context, 1).await?;
    let other_ms = (began(&mut bench).await?.at - start).as_secs_f64() * 1000.0;
    if bench.kernel.source.now() >= Timestamp::from_micros(first) {
        return Err("the first woke before all of them waited: this machine is too slow or too busy".into());
    }

    let mut late = Vec::with_capacity(JOBS);
    for _ in 0..JOBS {
        late.push(began(&mut bench).await?.late);
    }
    let late = Spread::new(late);
    let found = Found { idle_mb, waiting_mb, other_ms, p50_ms: late.p50(), p99_ms: late.ms(0.99) };
    bench.stop().await;
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&found)?)?;
    Ok(())
}

async fn began(bench: &mut BenchKernel) -> Fallible<super::kernel::Began> {
    Ok(bench.began.recv().await.ok_or("the worker is gone")?)
}

async fn ask(bench: &BenchKernel, wish: impl Fn(i64) -> Wish) -> Fallible<()> {
    stream::iter(0i64..)
        .take(JOBS)
        .map(|number| job_ask(&bench.kernel, &bench.context, wish(number)))
        .buffer_unordered(CALLERS)
        .try_for_each(|_| async { Ok(()) })
        .await?;
    Ok(())
}

async fn all_wait(bench: &BenchKernel) -> Fallible<()> {
    let all = i64::try_from(JOBS)?;
    loop {
        let waiting = bench.kernel.store.read(|tx| -> qd_kernel::Result<i64> {
            Ok(tx.one("SELECT count(*) AS jobs FROM job WHERE state = 'waiting'", &[], |row| row.get(0))?)
        });
        if waiting.await? == all {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
