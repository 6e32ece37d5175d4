//! A job and a run that do nothing, from the request until the end is seen on an open event stream.
//!
//! The job is what the peer's task is: asked for, carried out, known to be done. A run is more: a job hands it to an engine, and
//! an observer sees it end.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{
    Bench, Fallible,
    celery::Celery,
    client::{self, Client, Connection, Events},
    kernel::NOTHING,
    place::{Place, Site},
    process::Process,
    report::{Aim, Row},
    spread::Spread,
};

const RUNS: usize = 300;
/// Runs of a kind before the other kind's turn.
const TURN: usize = 50;
const TOY: &str = "idle";

pub async fn measure(bench: &Bench) -> Fallible<Vec<Row>> {
    let celery = Celery::start(bench).await?;
    let mut rows = vec![];
    for (number, place) in Place::available().0.into_iter().enumerate() {
        let site = Site::open(bench, place).await?;
        let (servers, token) = site.serve(bench).await?;
        let address = servers.first().ok_or("no server")?.address;
        let mut client = Client::open(address, &token).await?;
        publish(&mut client, TOY).await?;
        let mut events = Client::open(address, &token).await?.events("/api/v1/events").await?;
        // Bare SQLite is the one floor, measured beside the first.
        let data = site.folder.path().join("data-0");
        let bare = match number {
            0 => Some(Process::hello(&bench.program, Some(&data)).await?),
            _ => None,
        };
        let mut floor = match &bare {
            Some(bare) => Some(Floor::open(bare.address).await?),
            None => None,
        };
        let mut celery = match celery.as_ref().ok() {
            Some(celery) => Some(Connection::open(celery.address).await?),
            None => None,
        };
        let (mut jobs, mut runs, mut floors, mut peer) = (vec![], vec![], vec![], vec![]);
        for number in 0..RUNS + TURN {
            let job = no_op_job(&mut client, &mut events, number).await?;
            let run = no_op_run(&mut client, &mut events, number).await?;
            // The first turn only warms up.
            let counts = number >= TURN;
            if counts {
                jobs.push(job);
                runs.push(run);
            }
            if let Some(floor) = &mut floor {
                floors.extend(Some(floor.write().await?).filter(|_| counts));
            }
            if let Some(celery) = &mut celery {
                peer.extend(Some(Celery::trigger(celery).await?).filter(|_| counts));
            }
        }
        let (floors, peer) = (Spread::new(floors), Spread::new(peer));
        rows.extend(rows_of("job", place, &Spread::new(jobs), &floors, &peer));
        rows.extend(rows_of("run", place, &Spread::new(runs), &floors, &peer));
        for server in servers {
            server.stop().await?;
        }
    }
    if let Err(why) = celery {
        rows.push(Row::skipped("run.celery", &why));
    }
    Ok(rows)
}

fn rows_of(what: &str, place: Place, ours: &Spread, floors: &Spread, peer: &Spread) -> [Row; 2] {
    let name = |percentile: &str| match place {
        Place::Sqlite => format!("{what}.{percentile}"),
        _ => format!("{what}.{percentile}.{}", place.name()),
    };
    let row = |percentile: &str, share: f64| {
        let peer: Vec<f64> = (peer.len() > 0).then(|| peer.ms(share)).into_iter().collect();
        let row = Row::new(&name(percentile), ours.ms(share), "ms").peer_time(&peer);
        if floors.len() > 0 { row.floor(floors.ms(share)) } else { row }
    };
    let note = if floors.len() > 0 { "; floor: one commit and one event" } else { "" };
    [
        row("p50", 0.5)
            .aim(Aim::ValueAtMost(8.0))
            .aim(Aim::NoSlowerThanPeer)
            .note(&format!("{} one by one{note}; peer: Celery, Redis, FastAPI", ours.len())),
        row("p95", 0.95),
    ]
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
    let job = applied["job"]["id"].as_str().ok_or("nothing was published")?.to_owned();
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

async fn no_op_job(client: &mut Client, events: &mut Events, number: usize) -> Fallible<Duration> {
    let body = json!({ "operation": NOTHING, "input": {} });
    let (took, reply, event) =
        until(client, events, "/api/v1/jobs", &format!("job-{number}"), &body, "job.succeeded").await?;
    if reply["job"]["id"] != event["job_id"] {
        return Err(format!("asked for {} and saw the end of {}", reply["job"]["id"], event["job_id"]).into());
    }
    Ok(took)
}

async fn no_op_run(client: &mut Client, events: &mut Events, number: usize) -> Fallible<Duration> {
    let path = format!("/api/v1/toys/{TOY}/runs");
    let (took, reply, event) =
        until(client, events, &path, &format!("run-{number}"), &json!({}), "run.succeeded").await?;
    if reply["run"]["id"] != event["run_id"] {
        return Err(format!("started {} and saw the end of {}", reply["run"]["id"], event["run_id"]).into());
    }
    Ok(took)
}

/// How long it took from a request to the event that ends what it began; with the reply and the event.
async fn until(
    client: &mut Client,
    events: &mut Events,
    path: &str,
    key: &str,
    body: &Value,
    end: &str,
) -> Fallible<(Duration, Value, Value)> {
    let start = Instant::now();
    let headers = [("idempotency-key", key)];
    // The end may be seen before the request's own answer.
    let (reply, ended) = tokio::join!(client.call("POST", path, &headers, Some(body)), async {
        loop {
            let (name, event) = events.next().await?;
            if name == end {
                return Fallible::Ok((start.elapsed(), event));
            }
        }
    });
    let (took, event) = ended?;
    Ok((took, reply?.json()?, event))
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
