//! A kernel in this process, with an operation whose steps do nothing.

use std::path::Path;
use std::time::Instant;

use async_trait::async_trait;
use qd_kernel::{
    Kernel, KernelOptions, Result,
    access::PLATFORM_ADMIN,
    clock,
    context::{Context, Principal, PrincipalKind, RequestIds},
    idempotency::IdempotencyKey,
    jobs::Job,
    kernel::Tasks,
    mutation::Act,
    operation::{Operation, Outcome, Planned, Step, View, plan},
    registry::Registry,
    store::{Store, StoreOptions},
};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::Fallible;

const NOTHING: &str = "bench.nothing";

/// Steps that do nothing and say when they began.
struct Nothing {
    began: mpsc::UnboundedSender<Instant>,
}

#[async_trait]
impl Operation for Nothing {
    fn name(&self) -> &'static str {
        NOTHING
    }

    fn plan(&self, input: &Value, _view: &mut View<'_, '_>) -> Result<Planned> {
        let steps = input["steps"].as_u64().and_then(|steps| usize::try_from(steps).ok()).unwrap_or(1);
        Ok(plan(NOTHING, input, "nothing", &vec![("nothing", "Do nothing"); steps])?.into())
    }

    async fn run(&self, _step: &Step<'_>) -> Outcome {
        // Only some measurements listen.
        let _ = self.began.send(Instant::now());
        Outcome::done(Value::Null)
    }
}

/// A running kernel on a migrated database.
pub struct BenchKernel {
    pub kernel: Kernel,
    pub context: Context,
    /// When each step began.
    pub began: mpsc::UnboundedReceiver<Instant>,
    tasks: Tasks,
}

/// The database of a data folder.
pub fn sqlite(data: &Path) -> String {
    format!("sqlite:{}", data.join("qd.db").display())
}

/// A kernel that knows the toys and the operation, none of its tasks started.
async fn make(url: &str, began: mpsc::UnboundedSender<Instant>) -> Fallible<Kernel> {
    let store = Store::open(url, StoreOptions::default()).await?;
    store.migrate().await?;
    let mut registry = Registry::default();
    crate::toy::register(&mut registry);
    registry.operation(Nothing { began });
    Ok(Kernel::new(store, registry, clock::system(), KernelOptions::default()).await?)
}

/// Makes the database of a data folder, and the owner's token for whoever serves it next.
pub async fn prepare(data: &Path) -> Fallible<(String, Context)> {
    let kernel = make(&sqlite(data), mpsc::unbounded_channel().0).await?;
    let (token, context) = (kernel.owner_token().await?, context(&kernel).await?);
    kernel.store.close().await;
    Ok((token, context))
}

async fn context(kernel: &Kernel) -> Fallible<Context> {
    let principal = Principal {
        id: Uuid::nil().into(),
        name: "bench".into(),
        kind: PrincipalKind::System,
        role: PLATFORM_ADMIN.into(),
    };
    let ids = RequestIds { request_id: "bench".into(), correlation_id: "bench".into(), trace_id: None };
    let scope = kernel.scope_find(None, None).await?.scope;
    Ok(Context { principal, scope, ids, source: "bench".into() })
}

impl BenchKernel {
    pub async fn start(url: &str) -> Fallible<Self> {
        let (sender, began) = mpsc::unbounded_channel();
        let kernel = make(url, sender).await?;
        let (context, tasks) = (context(&kernel).await?, kernel.start().await?);
        Ok(Self { kernel, context, began, tasks })
    }

    pub async fn stop(self) {
        self.tasks.stop().await;
        self.kernel.store.close().await;
    }
}

/// Asks for a job of `steps` steps.
pub async fn job_create(kernel: &Kernel, context: &Context, steps: usize) -> Result<Job> {
    let key = IdempotencyKey::new(&kernel.source.uuid().to_string(), String::new())?;
    kernel.job_create(context, Act::new("jobs", "create"), NOTHING, json!({ "steps": steps }), key).await
}
