//! A run's own charts: at most 500 points a stage. When a stage has more, every second one is dropped, so that the whole run
//! stays in view at half the detail.

use std::collections::BTreeMap;

use qd_core::{error::Result, id::RunId};
use serde_json::Value;

use crate::{
    params,
    store::{Json, Tx},
};

const MOST_POINTS: usize = 500;

pub(super) fn append(tx: &mut Tx<'_>, run_id: RunId, attempt: i64, points: &[(String, Value)]) -> Result<()> {
    let mut by_stage: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for (stage, point) in points {
        by_stage.entry(stage).or_default().push(point);
    }
    for (stage, new) in by_stage {
        let old: Option<Json<Vec<Value>>> = tx.opt(
            "SELECT points FROM run_chart WHERE run_id = $1 AND attempt = $2 AND stage = $3",
            params![run_id, attempt, stage],
            |row| row.get(0),
        )?;
        let mut all = old.unwrap_or_default().0;
        all.extend(new.into_iter().cloned());
        let text = Value::from(thin(all)).to_string();
        tx.exec(
            "INSERT INTO run_chart (run_id, attempt, stage, points) VALUES ($1, $2, $3, $4)
             ON CONFLICT (run_id, attempt, stage) DO UPDATE SET points = excluded.points",
            params![run_id, attempt, stage, text],
        )?;
    }
    Ok(())
}

/// Halves until it fits; the newest point always stays.
fn thin(mut points: Vec<Value>) -> Vec<Value> {
    while points.len() > MOST_POINTS {
        let newest = points.len() - 1;
        let mut index = 0;
        points.retain(|_| {
            let keep = index % 2 == newest % 2;
            index += 1;
            keep
        });
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_the_newest_and_the_order() {
        let kept = thin((0..1201).map(Value::from).collect());
        assert!(kept.len() <= MOST_POINTS && kept.len() > MOST_POINTS / 2);
        assert_eq!(kept.last(), Some(&Value::from(1200)));
        assert!(kept.windows(2).all(|pair| pair[0].as_i64() < pair[1].as_i64()));
    }
}
