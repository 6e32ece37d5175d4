//! What must be true when all is over.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tokio_postgres::Client;

use super::plan::Wish;

const MUST_BE_NONE: [(&str, &str); 6] = [
    ("jobs in the queue", "SELECT count(*) FROM job_queue"),
    ("jobs that have not ended", "SELECT count(*) FROM job WHERE ended_at IS NULL"),
    ("held locks", "SELECT count(*) FROM job_lock WHERE job_id IS NOT NULL"),
    ("waits for locks", "SELECT count(*) FROM job_lock_wait"),
    (
        "events that are missing or stand twice",
        "SELECT COALESCE(max(pos) - min(pos) + 1 - count(*), 0) FROM event",
    ),
    (
        "jobs without exactly one record of who asked",
        "SELECT count(*) FROM job j WHERE (SELECT count(*) FROM audit a WHERE a.job_id = j.id AND a.action = 'jobs.ask') <> 1",
    ),
];

/// The lines of the report that count what must not be, and what is wrong in words.
#[derive(Debug, Default)]
pub struct Verdict {
    pub lost: usize,
    pub doubled: usize,
    pub overlaps: usize,
    pub refused: u64,
    pub ends: BTreeMap<String, usize>,
    pub faults: Vec<String>,
}

pub async fn judge(
    db: &Client,
    world: &Value,
    wishes: &[Wish],
    answered: &BTreeMap<String, String>,
) -> Verdict {
    let mut verdict = Verdict::default();
    for (what, sql) in MUST_BE_NONE {
        let rows: i64 = db.query_one(sql, &[]).await.expect("count").get(0);
        if rows != 0 {
            verdict.faults.push(format!("{rows} {what}"));
        }
    }
    let rows = db.query("SELECT id::text, state, input FROM job", &[]).await.expect("read the jobs");
    let jobs: BTreeMap<String, (String, String)> = rows
        .iter()
        .map(|row| {
            let input: Value = serde_json::from_str(row.get(2)).expect("JSON");
            (row.get(0), (row.get(1), input["name"].as_str().expect("a name").to_owned()))
        })
        .collect();
    let asked: BTreeSet<&String> = jobs.values().map(|(_, name)| name).collect();
    verdict.doubled += jobs.len() - asked.len();
    for wish in wishes {
        let Some((state, _)) = answered.get(&wish.name).and_then(|id| jobs.get(id)) else {
            verdict.lost += 1;
            verdict.faults.push(format!("{} was accepted and there is no job", wish.name));
            continue;
        };
        *verdict.ends.entry(state.clone()).or_default() += 1;
        if !wish.may_end().contains(&state.as_str()) {
            verdict.faults.push(format!(
                "{} is {state}, and may be {:?}: {wish:?}",
                wish.name,
                wish.may_end()
            ));
        }
        for step in ["enter", "first", "ready", "second", "leave"] {
            let effect = &world["effects"][format!("{}/{step}", wish.name)];
            if (effect["present"] == true) != (state == "succeeded") {
                verdict.faults.push(format!("{} is {state}, and {step} is {effect}", wish.name));
            }
        }
    }
    histories(db, &jobs, &mut verdict.faults).await;
    for (name, effect) in world["effects"].as_object().into_iter().flatten() {
        if effect["made"].as_u64() > Some(1) {
            verdict.doubled += 1;
            verdict.faults.push(format!("{name} took effect more than once: {effect}"));
        }
    }
    let list = |name: &str| world[name].as_array().cloned().unwrap_or_default();
    verdict.doubled += list("claimed_twice").len();
    verdict.overlaps = list("overlaps").len() + list("outside").len();
    verdict.refused = world["refused"].as_u64().unwrap_or(0);
    for wrong in ["overlaps", "outside", "claimed_twice"] {
        verdict.faults.extend(list(wrong).iter().map(|what| format!("{wrong}: {what}")));
    }
    if verdict.doubled > 0 {
        verdict.faults.push(format!("{} effects or jobs are doubled", verdict.doubled));
    }
    if world["inside"].as_object().is_some_and(|inside| !inside.is_empty()) {
        verdict.faults.push(format!("still inside: {}", world["inside"]));
    }
    verdict
}

/// The events of each job: queued first, running at most once, one end and nothing behind it.
async fn histories(db: &Client, jobs: &BTreeMap<String, (String, String)>, faults: &mut Vec<String>) {
    let sql = "SELECT job_id::text, type FROM event WHERE job_id IS NOT NULL ORDER BY pos";
    let mut events: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in db.query(sql, &[]).await.expect("read the events") {
        events.entry(row.get(0)).or_default().push(row.get(1));
    }
    for (id, (state, name)) in jobs {
        let of = events.remove(id).unwrap_or_default();
        let count = |kind: &str| of.iter().filter(|found| *found == kind).count();
        let ends: usize = ["succeeded", "failed", "cancelled", "undone"]
            .iter()
            .map(|end| count(&format!("job.{end}")))
            .sum();
        let right = of.first().is_some_and(|first| first == "job.queued")
            && of.last() == Some(&format!("job.{state}"))
            && count("job.queued") == 1
            && count("job.running") == 1
            && count("job.undoing") == usize::from(state == "undone")
            && ends == 1;
        if !right {
            faults.push(format!("the events of {name} ({state}) are {of:?}"));
        }
    }
}
