//! A run that does nothing, from the request that starts it until its end is seen on an open event stream.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{
    Bench, Fallible,
    client::{self, Client, Connection, Events},
    process::Process,
    report::{Aim, Row},
    spread::Spread,
    start::Served,
};

const RUNS: usize = 300;
/// Runs of a kind before the other kind's turn.
const TURN: usize = 50;
const TOY: &str = "idle";

pub async fn measure(bench: &Bench) -> Fallible<Vec<Row>> {
    let served = Served::start(bench).await?;
    let address = served.process.address;
    let mut client = Client::open(address, &served.token).await?;
    publish(&mut client, TOY).await?;
    let mut events = Client::open(address, &served.token).await?.events("/api/v1/events").await?;
    let bare = Process::hello(&bench.program, Some(&served.data)).await?;
    let mut floor = Floor::open(bare.address).await?;

    let (mut ours, mut floors) = (vec![], vec![]);
    for number in 0..RUNS + TURN {
        let took = no_op(&mut client, &mut events, number).await?;
        let bare = floor.write().await?;
        // The first turn only warms up.
        if number >= TURN {
            ours.push(took);
            floors.push(bare);
        }
    }
    let (ours, floors) = (Spread::new(ours), Spread::new(floors));
    Ok(vec![
        Row::new("run.p50", ours.p50(), "ms")
            .floor(floors.p50())
            .aim(Aim::ValueAtMost(8.0))
            .note(&format!("{} one by one; floor: one commit and one event", ours.len())),
        Row::new("run.p95", ours.ms(0.95), "ms").floor(floors.ms(0.95)),
    ])
}

/// Makes a toy and publishes it.
pub async fn publish(client: &mut Client, name: &str) -> Fallible<()> {
    let document = json!({
        "apiVersion": "quarterdeck/v1", "kind": "Toy", "metadata": { "name": name }, "spec": { "size": 12 },
    });
    let applied = client
        .call("POST", "/api/v1/apply?publish=true", &[("idempotency-key", name)], Some(&document))
        .await?
        .json()?;
    let job = applied["jobs"][0]["id"].as_str().ok_or("nothing was published")?.to_owned();
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let job = client.get(&format!("/api/v1/jobs/{job}")).await?;
        match job["state"].as_str() {
            Some("succeeded") => return Ok(()),
            Some("queued" | "running" | "waiting") if Instant::now() < until => {}
            state => return Err(format!("publishing {name} is {state:?}: {}", job["error"]).into()),
        }
    }
}

async fn no_op(client: &mut Client, events: &mut Events, number: usize) -> Fallible<Duration> {
    let key = format!("run-{number}");
    let path = format!("/api/v1/toys/{TOY}/runs");
    let start = Instant::now();
    // The end may be seen before the request's own answer.
    let (headers, body) = ([("idempotency-key", key.as_str())], json!({}));
    let (reply, ended) = tokio::join!(client.call("POST", &path, &headers, Some(&body)), async {
        loop {
            let (name, event) = events.next().await?;
            if name == "run.succeeded" {
                return Fallible::Ok((start.elapsed(), event));
            }
        }
    });
    let (reply, (took, event)) = (reply?.json()?, ended?);
    if reply["run"]["id"] != event["run_id"] {
        return Err(format!("started {} and saw the end of {}", reply["run"]["id"], event["run_id"]).into());
    }
    Ok(took)
}

/// The bare server's write, and its event.
struct Floor {
    connection: Connection,
    events: Events,
    request: Vec<u8>,
}

impl Floor {
    async fn open(address: SocketAddr) -> Fallible<Self> {
        let stream = client::request("GET", "/events", &[], None);
        Ok(Self {
            connection: Connection::open(address).await?,
            events: Connection::open(address).await?.events(&stream).await?,
            request: client::request("POST", "/runs", &[], Some(&json!({ "params": {} }))),
        })
    }

    async fn write(&mut self) -> Fallible<Duration> {
        let start = Instant::now();
        let (reply, ended) = tokio::join!(self.connection.send(&self.request), async {
            let seen = self.events.next().await;
            (start.elapsed(), seen)
        });
        reply?.json()?;
        ended.1?;
        Ok(ended.0)
    }
}
