//! The kernel as one value: the store, what the planes registered, and the tasks that carry work out.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use qd_core::{
    error::{Error, Result},
    id::{ProjectId, TenantId},
    plan::Risk,
    time::Timestamp,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    access::{Authority, rules::KnownRules},
    audit::{AuditOptions, Auditing},
    bus::{Bus, NatsOptions, nats::Nats},
    clock::Source,
    connections,
    credentials::{callers::Callers, signing::SigningKeys},
    events::Patience,
    failpoint::Failpoints,
    federation::{Federation, FederationOptions},
    jobs::InFlight,
    logs::place::{LogPlace, LogStoreOptions},
    observer::Handed,
    operation::Operation,
    operations,
    outbound::{Outbound, OutboundOptions},
    params, policies,
    reckoning::Reckoning,
    registry::Registry,
    retention,
    roles::{Role, Roles},
    schedules,
    secrets::{SecretOptions, Secrets},
    store::{Backend, Store},
    subscriptions,
    tenants::{Named, NamedScope},
};

/// What an operator may tune, and what tests shorten.
#[derive(Debug, Clone)]
pub struct KernelOptions {
    /// Which tasks this process starts.
    pub roles: Roles,
    /// How long a worker owns a job without a heartbeat.
    pub lease: Duration,
    /// Jobs carried out at once by this process.
    pub slots: usize,
    /// Where log chunks go; into the database without one.
    pub log_store: Option<LogStoreOptions>,
    /// A run's log beyond this many bytes loses its oldest chunks.
    pub max_log_bytes: i64,
    /// Logs of runs that ended longer ago than this are removed.
    pub log_retention: Duration,
    /// Events older than this are removed.
    pub event_retention: Duration,
    /// Jobs that ended longer ago than this are removed, and plans that nobody could apply any more.
    pub job_retention: Duration,
    /// How long an idempotency key is remembered; 24 hours at least.
    pub idempotency_retention: Duration,
    /// How long a plan may wait to be applied.
    pub plan_ttl: Duration,
    /// Plans of this risk and above want a second person's approval; none without.
    pub approval: Option<Risk>,
    /// How many runs may be active at once on an engine, by its name.
    pub engine_limits: BTreeMap<String, u32>,
    /// How often a receiver of webhooks is tried, and how long is waited in between.
    pub webhook_patience: Patience,
    /// Where a test lets the process die.
    pub failpoints: Option<Failpoints>,
    /// The bus that joins the processes of one database; none for a process that is alone.
    pub nats: Option<NatsOptions>,
    pub audit: AuditOptions,
    /// The master keys of the secrets, as they were given.
    pub secrets: SecretOptions,
    /// Which addresses that users give may be called.
    pub outbound: OutboundOptions,
    /// Whom the operator trusts to say who somebody is.
    pub federation: FederationOptions,
}

impl Default for KernelOptions {
    fn default() -> Self {
        Self {
            roles: Roles::ALL,
            lease: Duration::from_secs(15),
            slots: 64,
            log_store: None,
            max_log_bytes: 256 * 1024 * 1024,
            log_retention: Duration::from_hours(24 * 90),
            event_retention: Duration::from_hours(24 * 180),
            job_retention: Duration::from_hours(24 * 180),
            idempotency_retention: Duration::from_hours(48),
            plan_ttl: Duration::from_hours(24 * 7),
            approval: None,
            engine_limits: BTreeMap::new(),
            webhook_patience: Patience::default(),
            failpoints: None,
            nats: None,
            audit: AuditOptions::default(),
            secrets: SecretOptions::default(),
            outbound: OutboundOptions::default(),
            federation: FederationOptions::default(),
        }
    }
}

type Scopes = HashMap<(Named<TenantId>, Named<ProjectId>), (NamedScope, Timestamp)>;
type ScopeCache = std::sync::Mutex<Scopes>;

/// Cheap to clone; every clone is the same kernel.
#[derive(Clone)]
pub struct Kernel {
    pub store: Store,
    pub registry: Arc<Registry>,
    pub source: Source,
    pub bus: Bus,
    pub options: Arc<KernelOptions>,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) handed: Arc<Handed>,
    /// What is due is due by this clock, and not by `source`.
    pub(crate) reckoning: Arc<Reckoning>,
    pub(crate) callers: Arc<Callers>,
    pub(crate) signing: Arc<SigningKeys>,
    pub(crate) federation: Arc<Federation>,
    /// Who may do what.
    pub authority: Authority,
    pub(crate) rules: Arc<KnownRules>,
    pub(crate) audit: Arc<Auditing>,
    /// Where log chunks go, if not into the database.
    pub log_place: Option<Arc<LogPlace>>,
    pub secrets: Secrets,
    /// What addresses that users give are called with.
    pub outbound: Outbound,
    /// Who this process is among those on the same database, for as long as it lives.
    pub(crate) process: Uuid,
    scopes: Arc<ScopeCache>,
}

/// The running tasks of a kernel; stop them before the store is closed.
pub struct Tasks {
    stop: CancellationToken,
    set: JoinSet<()>,
    /// Stopped last: what the others say while they stop still reaches other processes.
    calls_stop: CancellationToken,
    calls: JoinSet<()>,
}

impl Kernel {
    /// Takes a migrated store. Adds the kernel's own operations and makes what every installation has.
    pub async fn new(
        store: Store,
        mut registry: Registry,
        source: Source,
        options: KernelOptions,
    ) -> Result<Self> {
        operations::register(&mut registry);
        connections::register_types(&mut registry);
        connections::register(&mut registry);
        policies::register(&mut registry);
        schedules::register(&mut registry);
        subscriptions::register(&mut registry);
        let relayed = store.backend() == Backend::Postgres;
        if !store.is_shared() && options.roles != Roles::ALL {
            return Err(Error::malformed(
                "roles_need_postgres",
                "with SQLite one process has all roles; several that share the work need --database-url postgres://…",
            ));
        }
        if let Some(name) = options.engine_limits.keys().find(|name| registry.find_engine(name).is_none()) {
            let known: Vec<&str> = registry.engines().map(|engine| engine.name()).collect();
            let detail = format!("there is no engine {name:?} to limit; there is {}", known.join(", "));
            return Err(Error::malformed("unknown_engine", detail));
        }
        if options.idempotency_retention < retention::IDEMPOTENCY_LEAST {
            return Err(Error::malformed(
                "retention_too_short",
                "an idempotency key is kept for 24 hours at least: whoever asks again within a day must find his job",
            ));
        }
        let log_place = options.log_store.as_ref().map(LogPlace::open).transpose()?;
        let audit = Auditing::open(&options.audit)?;
        let process = source.uuid();
        let authority = Authority::of(&registry)?;
        let secrets = Secrets::new(store.clone(), source.clone(), options.secrets.clone());
        let outbound = Outbound::new(&options.outbound, !store.is_shared());
        let federation =
            Arc::new(Federation::open(&options.federation, &options.outbound, authority.roles())?);
        let kernel = Self {
            store,
            registry: Arc::new(registry),
            reckoning: Arc::new(Reckoning::new(source.clone())),
            source,
            bus: Bus::new(relayed),
            options: Arc::new(options),
            in_flight: Arc::default(),
            handed: Arc::default(),
            callers: Arc::default(),
            signing: Arc::default(),
            federation,
            authority,
            rules: Arc::default(),
            audit,
            log_place,
            secrets,
            outbound,
            process,
            scopes: Arc::default(),
        };
        kernel.reckon().await?;
        kernel.tenants_bootstrap().await?;
        kernel.owner_bootstrap().await?;
        kernel.audit_key_agree().await?;
        Ok(kernel)
    }

    /// Starts the tasks of this process's roles.
    pub async fn start(&self) -> Result<Tasks> {
        let roles = self.options.roles;
        if !self.store.is_shared() {
            // Nobody else can hold the file, so every lease is that of a process that is gone.
            self.leases_release().await?;
        }
        let (stop, calls_stop) = (CancellationToken::new(), CancellationToken::new());
        let (mut set, mut calls) = (JoinSet::new(), JoinSet::new());
        set.spawn(self.clone().reckoning_run(stop.clone()));
        if let Some(options) = &self.options.nats {
            let nats = Nats::connect(options, self.installation().await?, &self.bus).await?;
            calls.spawn(self.clone().calls_run(nats.clone(), calls_stop.clone()));
            if roles.has(Role::Worker) {
                set.spawn(self.clone().outlet_run(nats.clone(), stop.clone()));
                set.spawn(self.clone().dead_letters_run(nats, stop.clone()));
            }
        }
        if roles.has(Role::Worker) {
            set.spawn(self.clone().worker_run(stop.clone()));
            set.spawn(self.clone().heartbeat_run(stop.clone()));
            set.spawn(self.clone().relay_run(stop.clone()));
            set.spawn(self.clone().retention_run(stop.clone()));
            set.spawn(self.clone().schedules_run(stop.clone()));
            set.spawn(self.clone().signing_keys_run(stop.clone()));
            set.spawn(self.clone().subscriptions_run(stop.clone()));
            set.spawn(self.clone().logs_ship_run(stop.clone()));
            set.spawn(self.clone().audit_seal_run(stop.clone()));
            set.spawn(self.clone().audit_checkpoints_run(stop.clone()));
            for sink in &self.audit.sinks {
                set.spawn(self.clone().audit_sink_run(sink.clone(), stop.clone()));
            }
            for consumer in self.registry.consumers() {
                set.spawn(self.clone().consumer_run(consumer.clone(), stop.clone()));
            }
        } else {
            set.spawn(self.clone().positions_run(stop.clone()));
        }
        if roles.has(Role::Observer) {
            set.spawn(self.clone().observer_run(stop.clone()));
        }
        Ok(Tasks { stop, set, calls_stop, calls })
    }

    /// What this database is called among those that share a bus; made once.
    pub async fn installation(&self) -> Result<Uuid> {
        let id = self.source.uuid();
        self.store
            .write(move |tx| -> Result<Uuid> {
                tx.exec(
                    "INSERT INTO installation (one, id) VALUES (1, $1) ON CONFLICT (one) DO NOTHING",
                    params![id],
                )?;
                Ok(tx.one("SELECT id FROM installation WHERE one = 1", &[], |row| row.get(0))?)
            })
            .await
    }

    pub fn operation(&self, name: &str) -> Result<Arc<dyn Operation>> {
        self.registry
            .find_operation(name)
            .cloned()
            .ok_or_else(|| Error::internal("operation_unknown", format!("no operation {name} is registered")))
    }

    pub(crate) fn scopes(&self) -> std::sync::MutexGuard<'_, Scopes> {
        self.scopes.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Tasks {
    /// Tells the tasks to stop; [`Self::stop`] waits for their end.
    pub fn tell(&self) {
        self.stop.cancel();
    }

    /// Lets what is running come to the end of its step, then stops. Jobs go on where they are at the next start.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.set.join_next().await.is_some() {}
        self.calls_stop.cancel();
        while self.calls.join_next().await.is_some() {}
    }
}
