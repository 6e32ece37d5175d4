//! One tenant has ten thousand jobs in the queue: how long until another tenant's job begins.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use qd_core::id::TenantId;
use qd_kernel::{context::Context, params, store::Store};

use super::{
    Bench, Fallible,
    kernel::{BenchKernel, Wish, job_ask},
    place::{Place, Site},
    report::{Aim, Row},
    spread::Spread,
};

const QUEUED: usize = 10_000;
const CALLERS: usize = 64;
/// Of the other tenant.
const JOBS: usize = 100;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(20);
const OTHER: &str = "other";
/// What a step of the many takes: as long as a call to the world.
const TAKE_MS: u64 = 100;

pub async fn measure(bench: &Bench) -> Fallible<Vec<Row>> {
    let mut rows = vec![];
    for place in Place::available().0.into_iter().filter(|place| *place != Place::PostgresByThree) {
        let site = Site::open(bench, place).await?;
        let mut kernel = BenchKernel::start(&site.url, None).await?;
        let other = other_tenant(&kernel).await?;
        // The first ones only warm up.
        others(&mut kernel, &other).await?;
        let idle = others(&mut kernel, &other).await?;
        let wish = Wish { take_ms: TAKE_MS, ..Wish::default() };
        stream::iter(0..QUEUED)
            .map(|_| job_ask(&kernel.kernel, &kernel.context, wish))
            .buffer_unordered(CALLERS)
            .try_for_each(|_| async { Ok(()) })
            .await?;
        let beside = others(&mut kernel, &other).await?;
        let left = queued(&kernel.kernel.store).await?;
        kernel.stop().await;
        if left == 0 {
            return Err("the many jobs ended too soon to be in anybody's way".into());
        }
        rows.push(
            Row::new(&format!("fairness.{}", place.name()), beside.p50(), "ms")
                .floor(idle.p50())
                .aim(Aim::RatioAtMost(2.0))
                .note(&format!(
                    "asked for until begun, p50 beside {left} and more queued of another tenant, p95 {:.2} ms; floor: alone, p95 {:.2} ms",
                    beside.ms(0.95),
                    idle.ms(0.95)
                )),
        );
    }
    Ok(rows)
}

/// From asking for a job until it begins, one after the other.
async fn others(kernel: &mut BenchKernel, other: &Context) -> Fallible<Spread> {
    let mut took = vec![];
    for _ in 0..JOBS {
        let start = Instant::now();
        job_ask(&kernel.kernel, other, Wish::default()).await?;
        let tenant = other.scope.tenant_id;
        took.push(began(kernel, tenant).await? - start);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(Spread::new(took))
}

async fn began(kernel: &mut BenchKernel, tenant: TenantId) -> Fallible<Instant> {
    loop {
        let began = kernel.began.recv().await.ok_or("the worker is gone")?;
        if began.tenant == tenant {
            return Ok(began.at);
        }
    }
}

async fn other_tenant(bench: &BenchKernel) -> Fallible<Context> {
    let kernel = &bench.kernel;
    let (tenant, project, now) = (kernel.source.uuid(), kernel.source.uuid(), kernel.source.now());
    kernel
        .store
        .write(move |tx| -> qd_kernel::Result<()> {
            tx.exec(
                "INSERT INTO tenant (id, name, created_at) VALUES ($1, $2, $3)",
                params![tenant, OTHER, now],
            )?;
            tx.exec(
                "INSERT INTO project (id, tenant_id, name, created_at) VALUES ($1, $2, 'default', $3)",
                params![project, tenant, now],
            )?;
            Ok(())
        })
        .await?;
    let scope = kernel.scope_find(Some(OTHER), None).await?.scope;
    Ok(Context { scope, ..bench.context.clone() })
}

async fn queued(store: &Store) -> Fallible<i64> {
    let count = store.read(|tx| -> qd_kernel::Result<i64> {
        Ok(tx.one("SELECT count(*) AS jobs FROM job_queue", &[], |row| row.get(0))?)
    });
    Ok(count.await?)
}
