//! How many connections are held at once, and by whom.
//!
//! A connection that does nothing costs memory and a descriptor until it ends by itself. So there is a most, and no single
//! address has more than half of it, unless it is a listed proxy: whoever takes all that it can get leaves the other half.
//! A connection too many is told so and closed, instead of being left to wait.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use ipnet::IpNet;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use qd_core::error::Error;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::Semaphore,
};

use super::address::{block, is_trusted};
use crate::{http::problem::ProblemBody, listen::Connection, metrics::Metrics};

/// Descriptors that are left for everything else.
const SPARE: usize = 256;
/// Refusals that are written at once; more are closed without a word.
const REFUSALS: usize = 64;
const REFUSAL_TIME: Duration = Duration::from_secs(1);
/// What a connection too many is answered, by hand: nothing of it was read, and nothing of the routes is asked.
static REFUSAL: LazyLock<String> = LazyLock::new(|| {
    let error = Error::unavailable("too_many_connections", "more connections than this server holds");
    let body = ProblemBody {
        problem_type: format!("/docs/errors#{}", error.code),
        title: error.kind.title().into(),
        status: error.http_status(),
        code: error.code.into(),
        detail: error.detail,
        correlation_id: String::new(),
        errors: vec![],
    };
    let body = serde_json::to_string(&body).unwrap_or_default();
    format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 2\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
});

pub struct Connections {
    most: usize,
    /// That one address may have.
    share: usize,
    trusted: Vec<IpNet>,
    held: Mutex<Held>,
    refusals: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Held {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One connection that is held.
pub struct Permit {
    connections: Arc<Connections>,
    address: IpAddr,
}

impl Connections {
    pub fn new(most: usize, trusted: Vec<IpNet>, metrics: Arc<Metrics>) -> Arc<Self> {
        let most = most.max(1);
        Arc::new(Self {
            most,
            share: most.div_ceil(2),
            trusted,
            held: Mutex::default(),
            refusals: Arc::new(Semaphore::new(REFUSALS)),
            metrics,
        })
    }

    /// A place for a connection from `address`, while there is one for it.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Permit> {
        let trusted = is_trusted(address.to_canonical(), &self.trusted);
        let address = block(address);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = held.by_address.get(&address).copied().unwrap_or(0);
        if held.all >= self.most || (of_address >= self.share && !trusted) {
            drop(held);
            self.metrics.connection_refused();
            return None;
        }
        held.all += 1;
        held.by_address.insert(address, of_address + 1);
        self.metrics.connections(held.all);
        drop(held);
        Some(Permit { connections: self.clone(), address })
    }

    /// Says that there is no place, to whom it can be said in the clear.
    pub fn refuse(&self, mut stream: Connection) {
        let Ok(turn) = self.refusals.clone().try_acquire_owned() else { return };
        tokio::spawn(async move {
            let said = async {
                stream.write_all(REFUSAL.as_bytes()).await?;
                stream.shutdown().await?;
                // What is not read when a socket closes takes the answer along with it.
                let mut rest = [0; 1024];
                while stream.read(&mut rest).await? > 0 {}
                std::io::Result::Ok(())
            };
            // Nobody is left to be told that it could not be told.
            let _ = tokio::time::timeout(REFUSAL_TIME, said).await;
            drop(turn);
        });
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut held = self.connections.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.all -= 1;
        self.connections.metrics.connections(held.all);
        if let Some(of_address) = held.by_address.get_mut(&self.address) {
            *of_address -= 1;
            if *of_address == 0 {
                held.by_address.remove(&self.address);
            }
        }
    }
}

/// As many of `wanted` connections as the system has descriptors for, having asked it for all that it gives.
pub fn possible(wanted: usize) -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return wanted };
    let soft = match soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        true => hard,
        false => soft,
    };
    let room = usize::try_from(soft).unwrap_or(usize::MAX).saturating_sub(SPARE).max(SPARE);
    if room < wanted {
        tracing::warn!(
            descriptors = soft,
            connections = room,
            "this process may open few files: raise its limit (ulimit -n) to hold more connections"
        );
    }
    wanted.min(room)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::BuildInfo;

    fn connections(most: usize, trusted: &[&str]) -> Arc<Connections> {
        let trusted = trusted.iter().map(|network| network.parse().unwrap()).collect();
        Connections::new(most, trusted, Arc::new(Metrics::new(&BuildInfo::new("test"))))
    }

    fn admitted(connections: &Arc<Connections>, address: &str, times: usize) -> Vec<Permit> {
        (0..times).filter_map(|_| connections.admit(address.parse().unwrap())).collect()
    }

    #[test]
    fn one_address_leaves_half_for_the_others() {
        let connections = connections(10, &[]);
        let greedy = admitted(&connections, "192.0.2.1", 20);
        assert_eq!(greedy.len(), 5);
        let others = admitted(&connections, "192.0.2.2", 3);
        assert_eq!(others.len(), 3);
        assert_eq!(admitted(&connections, "192.0.2.3", 20).len(), 2, "and none beyond the most");
        drop(greedy);
        assert_eq!(admitted(&connections, "192.0.2.1", 20).len(), 5, "what has ended is free again");
    }

    #[test]
    fn a_listed_proxy_may_have_all() {
        let connections = connections(10, &["192.0.2.0/24"]);
        assert_eq!(admitted(&connections, "192.0.2.1", 20).len(), 10);
    }
}
