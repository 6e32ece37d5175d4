//! A pretended outside world: counts what was tried and what took effect, and holds steps up until a test lets them go.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Outlives the kernels of a test, as the real one does. Cheap to clone; every clone is the same world.
#[derive(Clone, Default)]
pub struct World(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    tries: BTreeMap<String, u32>,
    effects: BTreeMap<String, u32>,
}

impl World {
    /// Counts a try of `name`; how many there were with this one.
    pub fn try_once(&self, name: &str) -> u32 {
        count(&mut self.state().tries, name)
    }

    /// Takes effect unless it did before (adopt-if-exists); whether it was new.
    pub fn adopt(&self, name: &str) -> bool {
        let mut state = self.state();
        let new = !state.effects.contains_key(name);
        if new {
            count(&mut state.effects, name);
        }
        new
    }

    /// Takes effect, whatever was before.
    pub fn effect(&self, name: &str) {
        count(&mut self.state().effects, name);
    }

    pub fn tries(&self, name: &str) -> u32 {
        self.state().tries.get(name).copied().unwrap_or(0)
    }

    pub fn effects(&self, name: &str) -> u32 {
        self.state().effects.get(name).copied().unwrap_or(0)
    }

    /// All effects by name with their counts.
    pub fn all_effects(&self) -> BTreeMap<String, u32> {
        self.state().effects.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(counts: &mut BTreeMap<String, u32>, name: &str) -> u32 {
    let n = counts.entry(name.to_owned()).or_default();
    *n += 1;
    *n
}

/// Closed until opened; whoever comes waits.
#[derive(Clone)]
pub struct Gate(watch::Sender<bool>);

impl Gate {
    pub fn closed() -> Self {
        Self(watch::Sender::new(false))
    }

    pub fn open(&self) {
        self.0.send_replace(true);
    }

    pub async fn pass(&self) {
        self.0.subscribe().wait_for(|open| *open).await.expect("this gate holds its own sender");
    }
}
