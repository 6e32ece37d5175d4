//! What a seed comes to.

use std::time::Duration;

use serde_json::{Value, json};

/// Keys that the jobs of one tenant contend for.
const KEYS: u64 = 3;
const STEPS: [&str; 5] = ["enter", "first", "ready", "second", "leave"];

/// How long and how hard.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    pub jobs: usize,
    pub tenants: usize,
    pub servers: usize,
    /// How long jobs are asked for and servers are killed.
    pub blows: Duration,
    pub nats_away: Duration,
    pub lease: Duration,
}

pub const SHORT: Form = Form {
    jobs: 200,
    tenants: 20,
    servers: 3,
    blows: Duration::from_secs(20),
    nats_away: Duration::from_secs(5),
    lease: Duration::from_secs(5),
};
pub const LONG: Form =
    Form { jobs: 2000, blows: Duration::from_secs(90), nats_away: Duration::from_secs(30), ..SHORT };

/// How a step of a job goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// So often, then no more.
    Times(u32),
    ForGood,
}

#[derive(Debug, Clone)]
pub struct Wish {
    pub name: String,
    pub tenant: String,
    pub locks: Vec<String>,
    /// When it is asked for, from the beginning.
    pub at: Duration,
    /// Which server is asked first.
    pub first: usize,
    pub fault: Option<(usize, Fault)>,
    /// So long after the answer it is cancelled.
    pub cancel: Option<Duration>,
    wait_ms: u64,
    act_ms: u64,
}

/// What is done to a server.
#[derive(Debug, Clone, Copy)]
pub struct Blow {
    pub server: usize,
    /// It is not killed but stands still, past its leases, and then goes on as if nothing was.
    pub stands_still: bool,
    /// How long.
    pub away: Duration,
}

pub struct Plan {
    pub wishes: Vec<Wish>,
    /// One a second.
    pub blows: Vec<Blow>,
}

/// SplitMix64: small, and the same on every machine.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn index(&mut self, n: usize) -> usize {
        usize::try_from(self.below(n as u64)).expect("below a usize")
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }
}

impl Plan {
    pub fn of(seed: u64, form: &Form) -> Self {
        let mut dice = Dice(seed);
        let wishes = (0..form.jobs).map(|index| Wish::drawn(&mut dice, form, index)).collect();
        let blows = (0..form.blows.as_secs()).map(|_| Blow::drawn(&mut dice, form)).collect();
        Self { wishes, blows }
    }
}

impl Blow {
    fn drawn(dice: &mut Dice, form: &Form) -> Self {
        let (server, stands_still) = (dice.index(form.servers), dice.below(5) == 0);
        let away = dice.millis(100, 800) + if stands_still { form.lease } else { Duration::ZERO };
        Self { server, stands_still, away }
    }
}

impl Wish {
    fn drawn(dice: &mut Dice, form: &Form, index: usize) -> Self {
        let tenant = format!("t{:02}", dice.index(form.tenants));
        let mut locks: Vec<String> =
            (0..dice.below(3)).map(|_| format!("key-{}", dice.below(KEYS))).collect();
        locks.sort();
        locks.dedup();
        let part = u32::try_from(index).expect("a small number");
        let fault = match dice.below(10) {
            0 => Some((dice.index(STEPS.len()), Fault::ForGood)),
            1 => Some((dice.index(STEPS.len()), Fault::Times(1))),
            _ => None,
        };
        Self {
            name: format!("{tenant}-{index:04}"),
            tenant,
            locks,
            at: form.blows * part / u32::try_from(form.jobs).expect("a small number"),
            first: dice.index(form.servers),
            fault,
            cancel: (dice.below(20) == 0).then(|| dice.millis(0, 1000)),
            wait_ms: dice.below(300),
            act_ms: dice.below(100),
        }
    }

    /// The body of the request.
    pub fn body(&self, world: &str) -> Value {
        let fail = self.fault.map(|(step, fault)| match fault {
            Fault::ForGood => json!({ "step": STEPS[step] }),
            Fault::Times(times) => json!({ "step": STEPS[step], "times": times }),
        });
        let input = json!({
            "name": self.name, "world": world, "locks": self.locks, "wait_ms": self.wait_ms, "act_ms": self.act_ms, "fail": fail,
        });
        json!({ "operation": "toy.five", "input": input, "reason": "a storm" })
    }

    /// In which states it may end.
    pub fn may_end(&self) -> &'static [&'static str] {
        match (self.fault, self.cancel) {
            // What fails in its first step has nothing to undo.
            (Some((0, Fault::ForGood)), None) => &["failed"],
            (Some((_, Fault::ForGood)), None) => &["undone"],
            (Some((0, Fault::ForGood)), Some(_)) => &["failed", "cancelled"],
            (Some((_, Fault::ForGood)), Some(_)) => &["undone", "cancelled"],
            (_, None) => &["succeeded"],
            (_, Some(_)) => &["succeeded", "cancelled", "undone"],
        }
    }
}
