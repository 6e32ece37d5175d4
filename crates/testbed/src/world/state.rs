//! What the world remembers, and how it judges what is done to it.

use std::{collections::BTreeMap, time::Instant};

use serde::Serialize;

use super::client::{Deed, Done, Phase};

#[derive(Debug, Default, Serialize)]
pub struct World {
    pub effects: BTreeMap<String, Effect>,
    /// Deeds and undos that came with a fence lower than the highest one seen.
    refused: u64,
    /// Somebody entered with a key while another one was inside.
    overlaps: Vec<String>,
    /// Somebody acted without being inside.
    outside: Vec<String>,
    /// Two holders claim one effect.
    claimed_twice: Vec<String>,
    inside: BTreeMap<String, String>,
    #[serde(skip)]
    highest: BTreeMap<String, i64>,
}

#[derive(Debug, Serialize)]
pub struct Effect {
    holder: String,
    /// How often it took effect: more than once is what must not happen.
    made: u32,
    tries: u32,
    undone: u32,
    undo_tries: u32,
    /// It took effect and was not undone.
    present: bool,
    #[serde(skip)]
    phase: Phase,
    #[serde(skip)]
    since: Instant,
}

#[derive(Debug, Serialize)]
pub struct Refused {
    key: String,
    fence: i64,
    highest: i64,
}

impl World {
    pub fn act(&mut self, deed: &Deed) -> Result<Done, Refused> {
        self.fence(deed)?;
        let present = self.effects.get(&deed.name).is_some_and(|effect| effect.present);
        if !present {
            match deed.phase {
                Phase::Enter => self.enter(deed),
                Phase::Inside | Phase::Leave => self.expect_inside(deed),
                Phase::Free => {}
            }
            if deed.phase == Phase::Leave {
                self.leave(deed);
            }
        }
        let effect = self.effects.entry(deed.name.clone()).or_insert_with(|| Effect {
            holder: deed.holder.clone(),
            made: 0,
            tries: 0,
            undone: 0,
            undo_tries: 0,
            present: false,
            phase: deed.phase,
            since: Instant::now(),
        });
        effect.tries += 1;
        if effect.holder != deed.holder {
            self.claimed_twice.push(format!("{}: {} and {}", deed.name, effect.holder, deed.holder));
        }
        if !present {
            (effect.made, effect.present) = (effect.made + 1, true);
        }
        let passed = u64::try_from(effect.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Done { adopted: present, ready_in_ms: deed.ready_after_ms.saturating_sub(passed) })
    }

    /// Whether there was something to undo.
    pub fn undo(&mut self, deed: &Deed) -> Result<bool, Refused> {
        self.fence(deed)?;
        let Some(effect) = self.effects.get_mut(&deed.name) else { return Ok(false) };
        effect.undo_tries += 1;
        if !effect.present {
            return Ok(false);
        }
        (effect.present, effect.undone) = (false, effect.undone + 1);
        match effect.phase {
            Phase::Enter => self.leave(deed),
            Phase::Leave => self.enter(deed),
            Phase::Inside => self.expect_inside(deed),
            Phase::Free => {}
        }
        Ok(true)
    }

    fn fence(&mut self, deed: &Deed) -> Result<(), Refused> {
        for (key, fence) in &deed.keys {
            let highest = self.highest.get(key).copied().unwrap_or(i64::MIN);
            if *fence < highest {
                self.refused += 1;
                return Err(Refused { key: key.clone(), fence: *fence, highest });
            }
        }
        self.highest.extend(deed.keys.iter().map(|(key, fence)| (key.clone(), *fence)));
        Ok(())
    }

    fn enter(&mut self, deed: &Deed) {
        for key in deed.keys.keys() {
            let before = self.inside.insert(key.clone(), deed.holder.clone());
            if let Some(other) = before.filter(|other| *other != deed.holder) {
                self.overlaps
                    .push(format!("{key}: {other} was inside when {} entered ({})", deed.holder, deed.name));
            }
        }
    }

    fn leave(&mut self, deed: &Deed) {
        self.inside.retain(|key, holder| *holder != deed.holder || !deed.keys.contains_key(key));
    }

    fn expect_inside(&mut self, deed: &Deed) {
        for key in deed.keys.keys() {
            if self.inside.get(key) != Some(&deed.holder) {
                self.outside.push(format!("{key}: {} was not inside for {}", deed.holder, deed.name));
            }
        }
    }
}
