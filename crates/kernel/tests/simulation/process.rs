//! A simulated process: a kernel of its own, a clock of its own, and a connection to the database that goes wrong.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use qd_core::time::Timestamp;
use qd_kernel::clock::{Clock, Source};
use qd_kernel::kernel::Tasks;
use qd_kernel::registry::Registry;
use qd_kernel::store::{Fault, Faults, SimulatedDatabase, Store};
use qd_kernel::{Kernel, KernelOptions};
use qd_testkit::{ManualClock, Scripted, clock};
use tokio::time::Instant;
use uuid::Uuid;

use crate::dice::Dice;

/// Virtual time since the start, and what this clock adds to it: a process's, or the database's.
#[derive(Clone)]
pub struct SkewedClock {
    ids: ManualClock,
    start: Instant,
    skew_ms: Arc<Mutex<i64>>,
}

impl SkewedClock {
    pub fn new(seed: u16) -> Self {
        Self { ids: ManualClock::new(seed), start: Instant::now(), skew_ms: Arc::default() }
    }

    pub fn step_to(&self, skew_ms: i64) {
        *self.skew_ms.lock().unwrap() = skew_ms;
    }
}

impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        let elapsed = i64::try_from(self.start.elapsed().as_micros()).unwrap();
        let now = clock::START.micros() + elapsed + *self.skew_ms.lock().unwrap() * 1000;
        Timestamp::from_micros(now)
    }

    fn steady(&self) -> Option<Duration> {
        Some(self.start.elapsed())
    }

    fn uuid(&self) -> Uuid {
        self.ids.set(self.now());
        self.ids.source().uuid()
    }

    fn random(&self, bytes: &mut [u8]) {
        self.ids.source().random(bytes);
    }
}

/// What is wrong with a process's connection now.
#[derive(Clone)]
pub struct Connection {
    dice: Dice,
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Copy)]
struct State {
    stormy: bool,
    cut_until: Option<Instant>,
}

impl Connection {
    pub fn new(dice: &Dice) -> Self {
        Self { dice: dice.clone(), state: Arc::new(Mutex::new(State { stormy: false, cut_until: None })) }
    }

    pub fn storm(&self, stormy: bool) {
        *self.state.lock().unwrap() = State { stormy, cut_until: None };
    }

    /// Nothing passes for so long.
    pub fn cut(&self, time: Duration) {
        self.state.lock().unwrap().cut_until = Some(Instant::now() + time);
    }
}

impl Faults for Connection {
    fn next(&self, writes: bool) -> BoxFuture<'static, Fault> {
        let (dice, state) = (self.dice.clone(), *self.state.lock().unwrap());
        Box::pin(async move {
            if let Some(until) = state.cut_until.filter(|until| *until > Instant::now()) {
                if dice.percent(50) {
                    return Fault::Lost;
                }
                // It arrives when the connection is back.
                tokio::time::sleep_until(until).await;
            }
            if !state.stormy {
                return Fault::None;
            }
            if dice.percent(20) {
                tokio::time::sleep(dice.millis(1, 40)).await;
            }
            match dice.below(100) {
                0..3 => Fault::Lost,
                3..6 if writes => Fault::Unanswered,
                _ => Fault::None,
            }
        })
    }
}

pub struct Process {
    pub clock: SkewedClock,
    pub connection: Connection,
    pub kernel: Kernel,
    tasks: Option<Tasks>,
    lease: Duration,
    database: SimulatedDatabase,
    operation: Box<dyn Fn() -> Scripted>,
}

impl Process {
    pub async fn new(
        index: u16,
        dice: &Dice,
        database: &SimulatedDatabase,
        lease: Duration,
        operation: impl Fn() -> Scripted + 'static,
    ) -> Self {
        let (clock, connection) = (SkewedClock::new(index), Connection::new(dice));
        let kernel = make(&clock, &connection, database, lease, operation()).await;
        Self {
            clock,
            connection,
            kernel,
            tasks: None,
            lease,
            database: database.clone(),
            operation: Box::new(operation),
        }
    }

    pub async fn start(&mut self) {
        self.tasks = self.kernel.start().await.ok();
    }

    pub fn runs(&self) -> bool {
        self.tasks.is_some()
    }

    /// All that it was doing ends where it is.
    pub fn crash(&mut self) {
        self.tasks = None;
    }

    /// A new life, which remembers nothing.
    pub async fn restart(&mut self) {
        self.crash();
        self.connection.storm(false);
        self.kernel =
            make(&self.clock, &self.connection, &self.database, self.lease, (self.operation)()).await;
        self.start().await;
    }
}

async fn make(
    clock: &SkewedClock,
    connection: &Connection,
    database: &SimulatedDatabase,
    lease: Duration,
    operation: Scripted,
) -> Kernel {
    let mut registry = Registry::default();
    registry.operation(operation);
    let source: Source = Arc::new(clock.clone());
    let store = Store::simulated(database, Arc::new(connection.clone()));
    store.migrate().await.expect("migrate");
    let options = KernelOptions {
        lease,
        slots: 8,
        roles: "worker".parse().expect("a role"),
        ..KernelOptions::default()
    };
    Kernel::new(store, registry, source, options).await.expect("make a kernel")
}
