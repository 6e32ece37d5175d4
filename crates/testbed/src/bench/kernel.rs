//! A kernel in this process, with an operation whose steps do nothing.

use std::path::Path;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use qd_core::{id::TenantId, time::Timestamp};
use qd_kernel::{
    Kernel, KernelOptions, Result,
    access::PLATFORM_ADMIN,
    bus::NatsOptions,
    clock,
    context::{Context, Denials, Principal, PrincipalKind, RequestIds},
    idempotency::IdempotencyKey,
    jobs::Job,
    kernel::Tasks,
    mutation::Act,
    operation::{Operation, Outcome, Planned, Step, View, plan},
    registry::Registry,
    store::{Store, StoreOptions},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinSet};
use uuid::Uuid;

use super::Fallible;

pub const NOTHING: &str = "bench.nothing";
/// How often the end of one job is looked for, and that of many: on Postgres each look passes over what was deleted.
pub const LOOK: Duration = Duration::from_millis(1);
pub const LOOK_OF_MANY: Duration = Duration::from_millis(10);

/// What a job is asked to do, in its input.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Wish {
    /// 0 is one step too.
    #[serde(default)]
    pub steps: usize,
    /// How long each step takes, ms.
    #[serde(default)]
    pub take_ms: u64,
    /// Until when each step waits for the world, µs since 1970.
    #[serde(default)]
    pub wake_at: Option<i64>,
}

/// Steps that do nothing else, and say when they began.
struct Nothing {
    began: mpsc::UnboundedSender<Began>,
}

/// The beginning of a step that did not wait any more.
#[derive(Debug, Clone, Copy)]
pub struct Began {
    pub at: Instant,
    pub tenant: TenantId,
    /// How long after the time until which it waited.
    pub late: Duration,
}

impl Wish {
    fn of(input: &Value) -> Self {
        Self::deserialize(input).unwrap_or_default()
    }
}

#[async_trait]
impl Operation for Nothing {
    fn name(&self) -> &'static str {
        NOTHING
    }

    fn plan(&self, input: &Value, _view: &mut View<'_, '_>) -> Result<Planned> {
        let steps = Wish::of(input).steps.max(1);
        Ok(plan(NOTHING, input, "nothing", &vec![("nothing", "Do nothing"); steps])?.into())
    }

    async fn run(&self, step: &Step<'_>) -> Outcome {
        let (at, wish, now) = (Instant::now(), Wish::of(step.input), step.now);
        let wake = wish.wake_at.map_or(now, Timestamp::from_micros);
        if wake > now {
            return Outcome::Wait { after: wake.since(now), waiting_for: "its time".into() };
        }
        // Only some measurements listen.
        let _ = self.began.send(Began { at, tenant: step.context.scope.tenant_id, late: now.since(wake) });
        if wish.take_ms > 0 {
            tokio::time::sleep(Duration::from_millis(wish.take_ms)).await;
        }
        Outcome::done(Value::Null)
    }
}

/// The operation for a server, where nobody listens to what begins.
pub fn register(registry: &mut Registry) {
    registry.askable(Nothing { began: mpsc::unbounded_channel().0 });
}

/// A running kernel on a migrated database.
pub struct BenchKernel {
    pub kernel: Kernel,
    pub context: Context,
    /// When each step began.
    pub began: mpsc::UnboundedReceiver<Began>,
    tasks: Option<Tasks>,
}

/// The database of a data folder.
pub fn sqlite(data: &Path) -> String {
    format!("sqlite:{}", data.join("qd.db").display())
}

/// A kernel that knows the toys and the operation, none of its tasks started.
async fn make(url: &str, nats_url: Option<String>, began: mpsc::UnboundedSender<Began>) -> Fallible<Kernel> {
    let store = Store::open(url, StoreOptions::default()).await?;
    store.migrate().await?;
    let mut registry = Registry::default();
    crate::toy::register(&mut registry);
    registry.operation(Nothing { began });
    let nats = nats_url.map(|url| NatsOptions { url, credentials: None });
    let options = KernelOptions { nats, ..KernelOptions::default() };
    Ok(Kernel::new(store, registry, clock::system(), options).await?)
}

/// Makes the database of a data folder, and the owner's token for whoever serves it next.
pub async fn prepare(data: &Path) -> Fallible<(String, Context)> {
    let kernel = make(&sqlite(data), None, mpsc::unbounded_channel().0).await?;
    let (token, context) = (kernel.owner_token().await?, context(&kernel).await?);
    kernel.store.close().await;
    Ok((token, context))
}

async fn context(kernel: &Kernel) -> Fallible<Context> {
    let principal = Principal {
        id: Uuid::nil().into(),
        name: "bench".into(),
        kind: PrincipalKind::System,
        roles: vec![PLATFORM_ADMIN.into()],
        teams: vec![],
        held: std::sync::Arc::default(),
        limits: None,
    };
    let ids = RequestIds { request_id: "bench".into(), correlation_id: "bench".into(), trace_id: None };
    let scope = kernel.scope_find(None, None).await?.scope;
    let (authority, denials) = (kernel.authority.clone(), Denials::default());
    let (source, credential_id) = ("bench".into(), Uuid::nil());
    Ok(Context { principal, scope, ids, source, authority, denials, on_behalf_of: None, credential_id })
}

impl BenchKernel {
    pub async fn start(url: &str, nats_url: Option<String>) -> Fallible<Self> {
        let mut bench = Self::idle(url, nats_url).await?;
        bench.work().await?;
        Ok(bench)
    }

    /// One that takes requests and carries nothing out.
    pub async fn idle(url: &str, nats_url: Option<String>) -> Fallible<Self> {
        let (sender, began) = mpsc::unbounded_channel();
        let kernel = make(url, nats_url, sender).await?;
        let context = context(&kernel).await?;
        Ok(Self { kernel, context, began, tasks: None })
    }

    pub async fn work(&mut self) -> Fallible<()> {
        self.tasks = Some(self.kernel.start().await?);
        Ok(())
    }

    pub async fn stop(self) {
        if let Some(tasks) = self.tasks {
            tasks.stop().await;
        }
        self.kernel.store.close().await;
    }
}

/// Asks for a job of `steps` steps.
pub async fn job_create(kernel: &Kernel, context: &Context, steps: usize) -> Result<Job> {
    job_ask(kernel, context, Wish { steps, ..Wish::default() }).await
}

pub async fn job_ask(kernel: &Kernel, context: &Context, wish: Wish) -> Result<Job> {
    let key = IdempotencyKey::new(&kernel.source.uuid().to_string(), String::new())?;
    kernel.job_create(context, Act::new("jobs", "create"), NOTHING, json!(wish), key).await
}

/// Requests under way at once.
const AT_ONCE: usize = 2_000;

/// Asks for jobs all at once, as far as the store lets so many wait.
pub async fn jobs_create(bench: &BenchKernel, jobs: usize, steps: usize) -> Fallible<()> {
    let mut callers = JoinSet::new();
    for _ in 0..jobs {
        if callers.len() == AT_ONCE
            && let Some(done) = callers.join_next().await
        {
            done??;
        }
        let (kernel, context) = (bench.kernel.clone(), bench.context.clone());
        callers.spawn(async move { job_create(&kernel, &context, steps).await.map(drop) });
    }
    while let Some(done) = callers.join_next().await {
        done??;
    }
    Ok(())
}

/// Waits until no job is left in the queue, looking so often.
pub async fn queue_is_empty(kernel: &Kernel, look: Duration) -> Fallible<()> {
    loop {
        let next = kernel.store.read(|tx| -> Result<Option<i64>> {
            Ok(tx.opt("SELECT 1 AS there FROM job_queue LIMIT 1", &[], |row| row.get(0))?)
        });
        if next.await?.is_none() {
            return Ok(());
        }
        tokio::time::sleep(look).await;
    }
}
