//! The outside world of a simulation: what took effect, who is inside what, and the highest fences it has seen.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use qd_testkit::scripted::Call;

#[derive(Clone)]
pub struct World(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// By job and step.
    effects: BTreeMap<String, u32>,
    tries: BTreeMap<String, u32>,
    fences: BTreeMap<String, i64>,
    inside: BTreeMap<String, String>,
    wrong: Vec<String>,
    diary: Vec<String>,
    looks_at_fences: bool,
}

/// The world has seen a later holder.
#[derive(Debug)]
pub struct Refused;

impl World {
    pub fn new(looks_at_fences: bool) -> Self {
        Self(Arc::new(Mutex::new(State { looks_at_fences, ..State::default() })))
    }

    /// A step acts. Adopts what is there already.
    pub fn act(&self, call: &Call) -> Result<(), Refused> {
        let mut state = self.0.lock().unwrap();
        *state.tries.entry(format!("{}/{}", call.job_id, call.step)).or_default() += 1;
        state.admit(call)?;
        let job = call.job_id.to_string();
        state.diary.push(format!("{} {job} does {} under {}", call.now, call.step, call.fencing_token));
        for (key, _) in &call.fences {
            let other = state.inside.get(key).filter(|inside| **inside != job).cloned();
            if let Some(other) = other {
                state.wrong.push(format!("safety: {key} is used by {job} while {other} is inside"));
            }
            match call.step.as_str() {
                "leave" => drop(state.inside.remove(key)),
                _ => drop(state.inside.insert(key.clone(), job.clone())),
            }
        }
        *state.effects.entry(format!("{job}/{}", call.step)).or_default() = 1;
        Ok(())
    }

    /// A step's effect is taken back; it may not be there.
    pub fn take_back(&self, call: &Call) -> Result<(), Refused> {
        let mut state = self.0.lock().unwrap();
        state.admit(call)?;
        let job = call.job_id.to_string();
        state.diary.push(format!("{} {job} takes back {} under {}", call.now, call.step, call.fencing_token));
        state.effects.remove(&format!("{job}/{}", call.step));
        if call.step == "enter" {
            state.inside.retain(|_, inside| *inside != job);
        }
        Ok(())
    }

    pub fn has(&self, job: &str, step: &str) -> bool {
        self.0.lock().unwrap().effects.contains_key(&format!("{job}/{step}"))
    }

    /// Steps that came here more than once: somebody took a job from a worker that was well.
    pub fn tried_twice(&self) -> Vec<String> {
        let state = self.0.lock().unwrap();
        let twice = state.tries.iter().filter(|(_, tries)| **tries > 1);
        twice
            .map(|(step, tries)| format!("safety: {step} was tried {tries} times although all was well"))
            .collect()
    }

    /// What was done in which order.
    pub fn diary(&self) -> Vec<String> {
        self.0.lock().unwrap().diary.clone()
    }

    pub fn wrong(&self) -> Vec<String> {
        self.0.lock().unwrap().wrong.clone()
    }
}

impl State {
    /// Refuses whoever comes with a lower fence than was seen, for the job and for each of its keys.
    fn admit(&mut self, call: &Call) -> Result<(), Refused> {
        let job = (format!("job {}", call.job_id), call.fencing_token);
        let all: Vec<(String, i64)> = call.fences.iter().cloned().chain([job]).collect();
        if self.looks_at_fences
            && all.iter().any(|(key, fence)| self.fences.get(key).is_some_and(|seen| fence < seen))
        {
            return Err(Refused);
        }
        for (key, fence) in all {
            let seen = self.fences.entry(key).or_default();
            *seen = (*seen).max(fence);
        }
        Ok(())
    }
}
