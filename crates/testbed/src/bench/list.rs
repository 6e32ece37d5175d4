//! Fifty runs over HTTP, by 16 connections at once.

use std::time::Duration;

use rusqlite::Connection;

use super::{
    Bench, Fallible, client,
    fill::fill,
    load::{self, CONNECTIONS},
    process::Process,
    report::{Aim, Row},
    start::Served,
};

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(1500);
/// Runs of the resource; the page takes the newest 50.
const RUNS: i64 = 1000;

pub async fn measure(bench: &Bench) -> Fallible<Vec<Row>> {
    let served = Served::start(bench).await?;
    let mut database = Connection::open(served.data.join("qd.db"))?;
    let scope = served.context.scope;
    let filled = fill(&mut database, scope, 1, |_| RUNS)?;
    let resource = filled.first().ok_or("nothing was filled in")?;
    let bare = Process::hello(&bench.program, Some(&served.data)).await?;

    let authorization = format!("Bearer {}", served.token);
    let path = format!("/api/v1/toys/{}/runs?limit=50", resource.name);
    let ours = client::request("GET", &path, &[("authorization", &authorization)], None);
    let path = format!("/runs?project={}&resource={}&limit=50", scope.project_id, resource.id);
    let floor = client::request("GET", &path, &[], None);
    let same = |bytes: &[u8]| -> Fallible<usize> {
        let page: serde_json::Value = serde_json::from_slice(bytes)?;
        Ok(page["items"].as_array().map_or(0, Vec::len))
    };
    let replies = (
        client::Connection::open(served.process.address).await?.send(&ours).await?,
        client::Connection::open(bare.address).await?.send(&floor).await?,
    );
    if same(&replies.0.body)? != 50 || same(&replies.1.body)? != 50 {
        return Err("the page does not hold 50 runs".into());
    }
    let (mut rounds, mut floors) = (vec![], vec![]);
    for number in 0..=ROUNDS {
        let round = load::round(served.process.address, ours.clone(), ROUND).await?;
        let bare = load::round(bare.address, floor.clone(), ROUND).await?;
        // The first round only warms up.
        if number > 0 {
            rounds.push(round);
            floors.push(bare);
        }
    }
    let ((rate, spread), (floor_rate, floor_spread)) = (load::together(rounds), load::together(floors));
    let note =
        format!("{CONNECTIONS} connections, {} and {} bytes", replies.0.body.len(), replies.1.body.len());
    Ok(vec![
        Row::new("list.rate", rate, "req/s").floor(floor_rate).aim(Aim::RatioAtLeast(0.5)).note(&note),
        Row::new("list.p50", spread.p50(), "ms").floor(floor_spread.p50()),
        Row::new("list.p99", spread.ms(0.99), "ms").floor(floor_spread.ms(0.99)),
    ])
}
