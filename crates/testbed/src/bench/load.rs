//! One request again and again over kept connections, as fast as the answers come.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::{Fallible, client::Connection, spread::Spread};

pub const CONNECTIONS: usize = 16;

/// What a round came to.
pub struct Round {
    pub per_second: f64,
    pub latencies: Vec<Duration>,
}

/// Sends `request` over all connections for `length`; any answer but 200 is an error.
pub async fn round(address: SocketAddr, request: Vec<u8>, length: Duration) -> Fallible<Round> {
    let request = Arc::new(request);
    let mut connections = vec![];
    for _ in 0..CONNECTIONS {
        connections.push(Connection::open(address).await?);
    }
    let mut tasks = JoinSet::new();
    let start = Instant::now();
    for mut connection in connections {
        let request = request.clone();
        tasks.spawn(async move {
            let mut latencies = vec![];
            while start.elapsed() < length {
                let sent = Instant::now();
                let reply = connection.send(&request).await?;
                if reply.status != 200 {
                    reply.json()?;
                }
                latencies.push(sent.elapsed());
            }
            Fallible::Ok(latencies)
        });
    }
    let mut latencies = vec![];
    while let Some(done) = tasks.join_next().await {
        latencies.extend(done??);
    }
    Ok(Round { per_second: latencies.len() as f64 / start.elapsed().as_secs_f64(), latencies })
}

/// Rounds together: the middle rate, and all latencies.
pub fn together(rounds: Vec<Round>) -> (f64, Spread) {
    let rate = super::spread::median(rounds.iter().map(|round| round.per_second).collect());
    (rate, Spread::new(rounds.into_iter().flat_map(|round| round.latencies).collect()))
}
