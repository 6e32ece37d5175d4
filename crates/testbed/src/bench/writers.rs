//! Sixteen people who save their working copies without a pause: nobody gets an error, and nobody waits long.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{
    Bench, Fallible,
    client::{self, Client},
    load::{self, CONNECTIONS},
    process::Process,
    report::{Aim, Row},
    spread::Spread,
    start::Served,
};

const FLOOR: Duration = Duration::from_secs(3);

/// What one writer met.
#[derive(Default)]
struct Met {
    latencies: Vec<Duration>,
    /// Answers of 500 and above.
    server_errors: usize,
    /// Any other answer but success.
    refused: usize,
    locked: usize,
}

pub async fn measure(bench: &Bench) -> Fallible<Vec<Row>> {
    let served = Served::start(bench).await?;
    let bare = Process::hello(&bench.program, Some(&served.data)).await?;
    let floor = client::request("POST", "/runs", &[], Some(&json!({ "spec": spec(1) })));
    let floor = Spread::new(load::round(bare.address, floor, FLOOR).await?.latencies);
    bare.stop().await?;

    let length = Duration::from_secs(bench.seconds);
    let mut clients = vec![];
    for number in 0..CONNECTIONS {
        let mut client = Client::open(served.process.address, &served.token).await?;
        let document = json!({
            "apiVersion": "quarterdeck/v1", "kind": "Toy", "metadata": { "name": name(number) }, "spec": spec(1),
        });
        client.call("POST", "/api/v1/toys", &[], Some(&document)).await?.json()?;
        clients.push(client);
    }
    let start = Instant::now();
    let mut writers = JoinSet::new();
    for (number, client) in clients.into_iter().enumerate() {
        writers.spawn(write(client, number, length));
    }
    let mut all = Met::default();
    while let Some(met) = writers.join_next().await {
        let met = met??;
        all.latencies.extend(met.latencies);
        all.server_errors += met.server_errors;
        all.refused += met.refused;
        all.locked += met.locked;
    }
    let took = start.elapsed().as_secs_f64();
    let spread = Spread::new(all.latencies);
    let counts = format!(
        "{} saved by {CONNECTIONS} in {took:.0} s, {} refused, {} × \"database is locked\"; p50 {:.2} ms, longest {:.0} ms",
        spread.len(),
        all.refused,
        all.locked,
        spread.p50(),
        spread.ms(1.0)
    );
    Ok(vec![
        Row::new("writers.p99", spread.ms(0.99), "ms")
            .floor(floor.ms(0.99))
            .aim(Aim::ValueAtMost(50.0))
            .note(&counts),
        Row::new("writers.rate", spread.len() as f64 / took, "writes/s")
            .floor(floor.len() as f64 / FLOOR.as_secs_f64())
            .note("floor: one row, a commit each"),
        Row::new("writers.errors", (all.server_errors + all.locked) as f64, "answers")
            .aim(Aim::ValueAtMost(0.0))
            .note("5xx or a locked database"),
    ])
}

fn name(number: usize) -> String {
    format!("written-{number:02}")
}

fn spec(size: usize) -> Value {
    json!({ "color": "red", "size": size, "parts": [{ "name": "wheel", "count": 4 }, { "name": "axle", "count": 2 }] })
}

/// Saves one toy's working copy again and again, each time on the version that it got back.
async fn write(mut client: Client, number: usize, length: Duration) -> Fallible<Met> {
    let path = format!("/api/v1/toys/{}/working-copy", name(number));
    let mut version = client.get(&path).await?["version"].as_i64().ok_or("no version")?;
    let (mut met, start) = (Met::default(), Instant::now());
    for size in (2..=100).cycle() {
        if start.elapsed() >= length {
            break;
        }
        let (tag, body) = (format!("\"{version}\""), json!({ "spec": spec(size) }));
        let request = client.request("PUT", &path, &[("if-match", tag.as_str())], Some(&body));
        let sent = Instant::now();
        let reply = client.send(&request).await?;
        match reply.status {
            200 => {
                met.latencies.push(sent.elapsed());
                let saved: Value = serde_json::from_slice(&reply.body)?;
                version = saved["version"].as_i64().ok_or("no version")?;
            }
            500.. => met.server_errors += 1,
            _ => met.refused += 1,
        }
        met.locked += usize::from(reply.body.windows(18).any(|part| part == b"database is locked"));
    }
    Ok(met)
}
