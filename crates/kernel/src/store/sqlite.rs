//! SQLite: one writer thread that commits in groups, a few reader threads, one process per data folder.
//!
//! WAL with `synchronous=FULL`: an answered write survives a power loss. What a closure's connection may do is set
//! here; how closures share a commit is in [`writer`], how reads are bounded in [`reader`].

mod reader;
mod session;
mod writer;

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::mpsc;

pub use self::session::Rewrite;
pub(super) use self::session::SqliteSession;
use super::work::Queued;
use super::{Counters, StoreError, StoreOptions, StoreResult};

/// Closures that may wait for the writer before their callers wait to hand one in.
const WRITE_QUEUE: usize = 4096;
const READ_QUEUE: usize = 4096;
const READERS: usize = 4;
/// Statements kept prepared on each connection; with 16 and 60 texts SQLite was 3.3 times slower.
const STATEMENTS: usize = 256;

pub(super) struct Sqlite {
    /// `None` once closed.
    queues: RwLock<Option<Queues>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Clone)]
struct Queues {
    writes: mpsc::Sender<Queued>,
    reads: crossbeam_channel::Sender<Queued>,
}

impl Sqlite {
    /// Opens the file, made where it is missing, and takes the folder's lock. Blocks.
    pub fn open(path: &Path, options: &StoreOptions, counters: &Arc<Counters>) -> StoreResult<Self> {
        let lock = Arc::new(lock_folder(path)?);
        let writer = connect(path, options, true)?;
        let mut readers = Vec::new();
        for _ in 0..READERS {
            readers.push(SqliteSession::new(connect(path, options, false)?)?);
        }
        if let Some(pages) = options.sqlite_max_pages {
            writer.pragma_update(None, "max_page_count", pages)?;
        }
        let mut threads = Vec::new();
        let (writes, write_queue) = mpsc::channel(WRITE_QUEUE);
        let (reads, read_queue) = crossbeam_channel::bounded(READ_QUEUE);
        let writer = writer::Writer::new(SqliteSession::new(writer)?, options, counters.clone())?;
        threads.push(spawn("qd-store-write", lock.clone(), move || writer.run(write_queue))?);
        for session in readers {
            let (queue, patience, counters) = (read_queue.clone(), options.patience, counters.clone());
            let read = move || reader::run(session, &queue, patience, &counters);
            threads.push(spawn("qd-store-read", lock.clone(), read)?);
        }
        Ok(Self { queues: RwLock::new(Some(Queues { writes, reads })), threads: Mutex::new(threads) })
    }

    /// Hands a closure to the writer or to the readers; waits while the writer's queue is full.
    pub async fn send(&self, queued: Queued) -> StoreResult<()> {
        let closed = || StoreError::Unavailable("the store is closed".into());
        let Queues { writes, reads } = self.queues().ok_or_else(closed)?;
        if queued.writes {
            return writes.send(queued).await.map_err(|_| closed());
        }
        reads.try_send(queued).map_err(|error| match error {
            crossbeam_channel::TrySendError::Full(_) => {
                StoreError::Unavailable("too many reads are waiting".into())
            }
            crossbeam_channel::TrySendError::Disconnected(_) => closed(),
        })
    }

    pub fn queue_length(&self) -> usize {
        let length =
            |queues: Queues| queues.reads.len() + queues.writes.max_capacity() - queues.writes.capacity();
        self.queues().map_or(0, length)
    }

    /// Takes no more closures; the threads to join: they end when what waits has been answered.
    pub fn close(&self) -> Vec<JoinHandle<()>> {
        self.queues.write().unwrap_or_else(PoisonError::into_inner).take();
        std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn queues(&self) -> Option<Queues> {
        self.queues.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The folder stays locked until the last of the threads has closed its connection.
fn spawn(name: &str, lock: Arc<File>, run: impl FnOnce() + Send + 'static) -> StoreResult<JoinHandle<()>> {
    let body = move || {
        run();
        drop(lock);
    };
    std::thread::Builder::new()
        .name(name.into())
        .spawn(body)
        .map_err(|error| StoreError::Unavailable(format!("start a database thread: {error}")))
}

fn connect(path: &Path, options: &StoreOptions, writes: bool) -> StoreResult<Connection> {
    let mut flags = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_READ_WRITE;
    if writes {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let connection = Connection::open_with_flags(path, flags)
        .map_err(|error| StoreError::Unavailable(format!("open {}: {error}", path.display())))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=5000; PRAGMA foreign_keys=ON; \
         PRAGMA trusted_schema=OFF;",
    )?;
    connection.execute_batch(&format!("PRAGMA cache_size=-{}", options.sqlite_cache_kib))?;
    if writes {
        // A checkpoint every 1,000 pages by the writer itself stalled least (4 ms); what a long read made the WAL
        // grow to is given back at the next one.
        connection.execute_batch("PRAGMA wal_autocheckpoint=1000; PRAGMA journal_size_limit=16777216")?;
    } else {
        connection.execute_batch("PRAGMA query_only=ON; PRAGMA temp_store=MEMORY")?;
    }
    Ok(connection)
}

/// Two processes on one SQLite file would each believe to be the only writer, claimer and cache: the second is
/// refused. A process that just ended gets a moment to let go.
fn lock_folder(path: &Path) -> StoreResult<File> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = folder.join("qd.lock");
    let failed = |error: std::io::Error| StoreError::Unavailable(format!("lock {}: {error}", file.display()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&file).map_err(failed)?;
    let until = Instant::now() + Duration::from_secs(1);
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Unavailable(format!(
                    "another process has {} open (it holds {})",
                    path.display(),
                    file.display()
                )));
            }
        }
    }
}

/// The path of `sqlite:<path>` (also `sqlite://<path>`).
pub(super) fn path_of(url: &str) -> StoreResult<PathBuf> {
    let path = url.strip_prefix("sqlite:").unwrap_or(url);
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path.starts_with(':') {
        return Err(StoreError::Refused(format!("{url} names no file; write sqlite:<path>")));
    }
    Ok(PathBuf::from(path))
}
