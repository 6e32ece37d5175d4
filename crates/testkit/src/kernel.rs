//! A whole kernel on a test's database: the sample kind, the fake engine, a scripted operation, and short names for what
//! most tests do first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use qd_core::{
    audit::SigningKey,
    error::Result,
    id::{JobId, ProjectId, RunId, TenantId},
    plan::Risk,
    state::{JobState, RunState},
};
use qd_kernel::{
    Kernel, KernelOptions,
    access::{Authority, PLATFORM_ADMIN},
    audit::KeySource,
    bus::NatsOptions,
    clock::{self, Source},
    context::{Context, Denials, Principal, PrincipalKind, RequestIds, Scope},
    idempotency::IdempotencyKey,
    jobs::Job,
    kernel::Tasks,
    kind::Kind,
    logs::place::LogStoreOptions,
    mutation::Act,
    params,
    registry::Registry,
    runs::Run,
    secrets::MasterKey,
    store::{Store, StoreResult},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    FakeEngine, ManualClock, TestDatabase, World, eventually,
    sample::{SAMPLE, Sample, document},
    scripted::{SCRIPTED, Scripted},
};

/// A kernel with what stands around it. Dropping it ends its tasks at once, as a crash does.
pub struct TestKernel {
    pub kernel: Kernel,
    pub engine: Arc<FakeEngine>,
    pub world: World,
    pub scope: Scope,
    tasks: Option<Tasks>,
}

type Register = Box<dyn FnOnce(&mut Registry)>;

/// What a test may choose before the kernel starts.
pub struct Build {
    pub options: KernelOptions,
    store: Option<Store>,
    source: Source,
    engine: Arc<FakeEngine>,
    world: World,
    scripted: Option<Scripted>,
    more: Option<Register>,
    idle: bool,
    without_engine: bool,
}

impl Build {
    pub fn clock(mut self, clock: &ManualClock) -> Self {
        self.source = clock.source();
        self
    }

    /// Any other clock.
    pub fn source(mut self, source: Source) -> Self {
        self.source = source;
        self
    }

    /// An open, migrated store to share with another kernel, instead of one of its own.
    pub fn store(mut self, store: &Store) -> Self {
        self.store = Some(store.clone());
        self
    }

    pub fn engine(mut self, engine: &Arc<FakeEngine>) -> Self {
        self.engine = engine.clone();
        self
    }

    pub fn world(mut self, world: &World) -> Self {
        self.world = world.clone();
        self
    }

    /// What jobs of [`TestKernel::job`] do.
    pub fn scripted(mut self, scripted: Scripted) -> Self {
        self.scripted = Some(scripted);
        self
    }

    pub fn register(mut self, more: impl FnOnce(&mut Registry) + 'static) -> Self {
        self.more = Some(Box::new(more));
        self
    }

    pub fn slots(mut self, slots: usize) -> Self {
        self.options.slots = slots;
        self
    }

    pub fn lease(mut self, lease: Duration) -> Self {
        self.options.lease = lease;
        self
    }

    /// Plans of this risk and above want a second person.
    pub fn approval(mut self, from: Risk) -> Self {
        self.options.approval = Some(from);
        self
    }

    /// Logs go there and not into the database.
    pub fn log_store(mut self, url: &str) -> Self {
        // For a stand-in that takes any.
        let keys = Some(("test".to_owned(), "test".to_owned()));
        self.options.log_store = Some(LogStoreOptions { url: url.to_owned(), keys });
        self
    }

    /// Signs the audit with this key, the same for every kernel that is given it.
    pub fn audit_key(mut self, seed: u8) -> Self {
        self.options.audit.key = Some(KeySource::Key(SigningKey::from_seed(&[seed; 32])));
        self
    }

    /// With these master keys of secrets, in hex: the first seals.
    pub fn master_keys(mut self, keys: &[&str]) -> Self {
        for key in keys {
            let key = MasterKey::parse(key, "a test's key").expect("32 bytes in hex");
            self.options.secrets = self.options.secrets.with(key);
        }
        self
    }

    /// A process that does not have the engine of the sample kind.
    pub fn without_engine(mut self) -> Self {
        self.without_engine = true;
        self
    }

    /// Joined to other kernels over this server.
    pub fn nats(mut self, nats: &crate::Nats) -> Self {
        self.options.nats = Some(NatsOptions { url: nats.url(), credentials: None });
        self
    }

    /// Without worker, observer and relay until [`TestKernel::start_tasks`].
    pub fn idle(mut self) -> Self {
        self.idle = true;
        self
    }

    pub async fn on(self, db: &TestDatabase) -> TestKernel {
        let store = match self.store {
            Some(store) => store,
            None => db.migrated().await,
        };
        let mut registry = Registry::default();
        registry.kind(Sample::default());
        if !self.without_engine {
            registry.engine(self.engine.clone());
        }
        if let Some(scripted) = self.scripted {
            registry.operation(scripted);
        }
        if let Some(more) = self.more {
            more(&mut registry);
        }
        let kernel = Kernel::new(store, registry, self.source, self.options).await.expect("make a kernel");
        let scope = kernel.scope_find(None, None).await.expect("find the default scope").scope;
        let mut made = TestKernel { kernel, engine: self.engine, world: self.world, scope, tasks: None };
        if !self.idle {
            made.start_tasks().await;
        }
        made
    }
}

impl TestKernel {
    pub fn build() -> Build {
        Build {
            options: KernelOptions::default(),
            store: None,
            source: clock::system(),
            engine: Arc::default(),
            world: World::default(),
            scripted: None,
            more: None,
            idle: false,
            without_engine: false,
        }
    }

    /// With the system's clock and its tasks running.
    pub async fn start(db: &TestDatabase) -> Self {
        Self::build().on(db).await
    }

    pub async fn start_tasks(&mut self) {
        self.tasks = Some(self.kernel.start().await.expect("start the kernel's tasks"));
    }

    /// Stops in order, then closes the store.
    pub async fn stop(mut self) {
        if let Some(tasks) = self.tasks.take() {
            tasks.stop().await;
        }
        self.kernel.store.close().await;
    }

    /// Tells every task to stop, at once, and answers what waits for their end; the store stays open.
    pub fn stopping_tasks(&mut self) -> impl Future<Output = ()> + use<> {
        let tasks = self.tasks.take();
        tasks.iter().for_each(Tasks::tell);
        async {
            if let Some(tasks) = tasks {
                tasks.stop().await;
            }
        }
    }

    /// Drops every task where it is; the store stays open.
    pub fn crash_tasks(&mut self) {
        self.tasks = None;
    }

    /// Drops every task where it is and closes the store, as a process does that is killed.
    pub async fn crash(mut self) {
        self.crash_tasks();
        self.kernel.store.close().await;
    }

    /// A person who may do everything.
    pub fn context(&self) -> Context {
        self.context_as("tester", PLATFORM_ADMIN)
    }

    pub fn context_as(&self, name: &str, role: &str) -> Context {
        context_in(self.scope, name, role)
    }

    /// Makes the person of [`Self::context_as`] an account with this role everywhere, where what they may do is looked up again.
    pub async fn enrol(&self, name: &'static str, role: &'static str) {
        let id = self.context().principal.id;
        let (now, nil) = (self.kernel.source.now(), Uuid::nil());
        let enrolled = self.kernel.store.write(move |tx| -> StoreResult<()> {
            tx.exec(
                "INSERT INTO principal (id, name, kind, created_at) VALUES ($1, $2, 'user', $3)",
                params![id, name, now],
            )?;
            tx.exec(
                "INSERT INTO role_binding (principal_id, role, level, object_id, tenant_id, created_by, created_at)
                 VALUES ($1, $2, 'platform', $3, $3, 'test', $4)",
                params![id, role, nil, now],
            )?;
            Ok(())
        });
        enrolled.await.unwrap_or_else(|error| panic!("enrol {name}: {error:?}"));
    }

    pub fn sample(&self) -> Arc<dyn Kind> {
        self.kernel.registry.find_kind(SAMPLE).expect("the sample kind is registered").clone()
    }

    /// A sample with this spec, published.
    pub async fn published(&self, name: &str, spec: Value) {
        let (_, jobs) = self
            .kernel
            .apply(&self.context(), vec![document(name, spec)], String::new(), Some(key()))
            .await
            .unwrap_or_else(|error| panic!("apply {name}: {error:?}"));
        if let Some(job) = jobs {
            let job = self.job_ended(job.id).await;
            assert_eq!(job.state, JobState::Succeeded, "publish {name}: {:?}", job.error);
        }
    }

    /// Starts a run of a published sample.
    pub async fn run(&self, name: &str) -> (Job, Run) {
        self.run_with(name, json!({}), key()).await.unwrap_or_else(|error| panic!("run {name}: {error:?}"))
    }

    pub async fn run_with(&self, name: &str, params: Value, key: IdempotencyKey) -> Result<(Job, Run)> {
        self.kernel.run_start(&self.context(), &*self.sample(), name, params, None, key).await
    }

    /// Asks for a job of the scripted operation.
    pub async fn job(&self, steps: &[&str]) -> JobId {
        self.job_of(Scripted::input(steps)).await
    }

    /// The same with any input.
    pub async fn job_of(&self, input: Value) -> JobId {
        let act = Act::new("tests", "script");
        let job = self.kernel.job_create(&self.context(), act, SCRIPTED, input, key()).await;
        job.unwrap_or_else(|error| panic!("create a job: {error:?}")).id
    }

    pub async fn job_now(&self, id: JobId) -> Job {
        self.kernel.job_get(self.scope, id).await.unwrap_or_else(|error| panic!("get job {id}: {error:?}"))
    }

    pub async fn run_now(&self, id: RunId) -> Run {
        let run = self.kernel.run_get(self.scope, &id.to_string()).await;
        run.unwrap_or_else(|error| panic!("get run {id}: {error:?}"))
    }

    /// Waits until the job is in an end state.
    pub async fn job_ended(&self, id: JobId) -> Job {
        eventually(&format!("job {id} ends"), async || {
            let job = self.job_now(id).await;
            job.state.is_terminal().then_some(job)
        })
        .await
    }

    pub async fn job_in(&self, id: JobId, state: JobState) -> Job {
        eventually(&format!("job {id} is {state}"), async || {
            let job = self.job_now(id).await;
            (job.state == state).then_some(job)
        })
        .await
    }

    pub async fn run_in(&self, id: RunId, state: RunState) -> Run {
        eventually(&format!("run {id} is {state}"), async || {
            let run = self.run_now(id).await;
            (run.state == state).then_some(run)
        })
        .await
    }

    /// The name of a run's present attempt in the fake engine.
    pub fn external(&self, run: &Run) -> String {
        format!("fake-{}-{}", run.id, run.attempt)
    }

    /// What a SELECT of one number answers.
    pub async fn number(&self, sql: &'static str) -> i64 {
        number(&self.kernel.store, sql).await
    }
}

/// What a SELECT of one number answers.
pub async fn number(store: &Store, sql: &'static str) -> i64 {
    let found: StoreResult<i64> = store.read(move |tx| tx.one(sql, &[], |row| row.get(0))).await;
    found.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// A context in any scope, also in one that does not exist.
pub fn context_in(scope: Scope, name: &str, role: &str) -> Context {
    Context {
        principal: Principal {
            id: Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0001).into(),
            name: name.into(),
            kind: PrincipalKind::User,
            roles: vec![role.into()],
            teams: vec![],
            held: Arc::default(),
            limits: None,
        },
        scope,
        ids: RequestIds {
            request_id: "request-1".into(),
            correlation_id: "correlation-1".into(),
            trace_id: None,
        },
        source: "test".into(),
        authority: Authority::default(),
        denials: Denials::default(),
        on_behalf_of: None,
        credential_id: Uuid::nil(),
    }
}

/// A scope that nothing is in.
pub fn foreign_scope() -> Scope {
    let id = Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_00ff);
    Scope { tenant_id: TenantId::from(id), project_id: ProjectId::from(id) }
}

/// An idempotency key that no other request of this process has.
pub fn key() -> IdempotencyKey {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    key_of(&format!("key-{}", COUNT.fetch_add(1, Ordering::Relaxed)), "body")
}

pub fn key_of(key: &str, fingerprint: &str) -> IdempotencyKey {
    IdempotencyKey::new(key, fingerprint.into()).expect("a legal key")
}
