//! Postgres: a pool of threads, each with one connection on a current-thread runtime of its own.
//!
//! A closure is synchronous and so is its thread; no tokio worker ever waits for it. BEGIN is sent with the first
//! statement, `exec_later` with COMMIT, so that a transaction of one read and three writes is two round trips.
//! Writes run in READ COMMITTED, reads in REPEATABLE READ READ ONLY. How statements travel is in [`round`], how a
//! closure is run again in [`worker`], how a database that hangs is told from one that is slow in [`pulse`].

mod fault;
mod pool;
mod pulse;
mod round;
mod session;
mod target;
mod tls;
mod types;
mod worker;

use std::sync::Arc;
use std::thread::JoinHandle;

use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use self::pool::Pool;
pub(super) use self::session::PgSession;
use self::target::Target;
use super::work::Queued;
use super::{Counters, StoreOptions, StoreResult};

/// What another database than the store's is reached with, by libpq's `sslmode`.
pub(crate) fn postgres_tls(sslmode: &str) -> StoreResult<(SslMode, MakeRustlsConnect)> {
    let (_, options) = tls::split(&format!("?sslmode={sslmode}"))?;
    Ok((options.mode, options.connector()?))
}

pub(super) struct Postgres {
    pool: Arc<Pool>,
}

impl Postgres {
    /// Reads the URL; the first connection is made by the first closure.
    pub fn open(url: &str, options: &StoreOptions, counters: &Arc<Counters>) -> StoreResult<Self> {
        let target = Target::parse(url, options)?;
        Ok(Self { pool: Arc::new(Pool::new(target, options, counters.clone())) })
    }

    pub fn send(&self, queued: Queued) -> StoreResult<()> {
        self.pool.submit(queued)
    }

    pub fn queue_length(&self) -> usize {
        self.pool.queue_length()
    }

    /// Takes no more closures; the threads to join: they end when what waits has been answered.
    pub fn close(&self) -> Vec<JoinHandle<()>> {
        self.pool.close()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Not joined: the last clone of a store may go on a tokio worker.
        drop(self.pool.close());
    }
}
