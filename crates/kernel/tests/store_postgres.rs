//! What only Postgres does: connections that die between, during and at the end of a transaction.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use qd_kernel::params;
use qd_kernel::store::{Store, StoreError, StoreOptions, StoreResult, Tx};
use qd_testkit::{Cut, Proxy, TestDatabase};
use tokio::net::TcpListener;

const SCHEMA: &str = "CREATE TABLE n (id bigint PRIMARY KEY)";

async fn store(db: &TestDatabase) -> Store {
    db.with_schema("", SCHEMA).await
}

fn insert(tx: &mut Tx<'_>, id: i64) -> StoreResult<u64> {
    tx.exec("INSERT INTO n (id) VALUES ($1)", params![id])
}

async fn ids(store: &Store) -> Vec<i64> {
    store.read(|tx| tx.rows("SELECT id FROM n ORDER BY id", &[], |row| row.get(0))).await.unwrap()
}

fn backend(tx: &mut Tx<'_>) -> StoreResult<i64> {
    tx.one("SELECT CAST(pg_backend_pid() AS bigint)", &[], |row| row.get(0))
}

/// Ends a backend from another store's connection, and waits until it is gone.
async fn kill(other: &Store, pid: i64) {
    let gone = move |tx: &mut Tx<'_>| -> StoreResult<i64> {
        tx.exec("SELECT pg_terminate_backend(CAST($1 AS integer))", params![i32::try_from(pid).unwrap()])?;
        tx.one(
            "SELECT count(*) FROM pg_stat_activity WHERE pid = $1",
            params![i32::try_from(pid).unwrap()],
            |row| row.get(0),
        )
    };
    while other.read(gone).await.unwrap() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_killed_between_transactions_is_not_noticed() {
    let db = TestDatabase::postgres().await;
    let one = StoreOptions { connections: 1, ..StoreOptions::default() };
    let (store, other) = (store(&db).await, db.open_with(one.clone()).await);
    store.close().await;
    let store = db.open_with(one).await;
    for round in 0..10i64 {
        let pid = store.read(backend).await.unwrap();
        kill(&other, pid).await;
        // A transaction that is put off wholly: nothing is sent before COMMIT.
        store.write(move |tx| tx.exec_later("INSERT INTO n (id) VALUES ($1)", params![round])).await.unwrap();
    }
    assert_eq!(ids(&store).await.len(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_killed_during_a_transaction_runs_it_once_more() {
    let db = TestDatabase::postgres().await;
    let (store, other) = (store(&db).await, db.open().await);
    let (pids, mut killed) = tokio::sync::mpsc::unbounded_channel();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let writer = store.clone();
    let runs = Arc::new(AtomicUsize::new(0));
    let seen = runs.clone();
    let write = tokio::spawn(async move {
        writer
            .write(move |tx| -> StoreResult<()> {
                insert(tx, 1)?;
                if seen.fetch_add(1, Ordering::SeqCst) == 0 {
                    let pid = backend(tx)?;
                    let _ = pids.send(pid);
                    let _ = wait.recv();
                }
                insert(tx, 2).map(drop)
            })
            .await
    });
    kill(&other, killed.recv().await.unwrap()).await;
    go.send(()).unwrap();
    write.await.unwrap().unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    assert_eq!(ids(&store).await, [1, 2]);
}

async fn commit_is_cut(cut: Cut) -> (TestDatabase, Store, usize, StoreResult<()>) {
    let db = TestDatabase::postgres().await;
    let direct = store(&db).await;
    let proxy = Proxy::start(&db.url).await;
    let through = Store::open(&proxy.url, StoreOptions::default()).await.unwrap();
    through.write(|tx| insert(tx, 1)).await.unwrap();
    proxy.cut_next_commit(cut);
    let runs = Arc::new(AtomicUsize::new(0));
    let seen = runs.clone();
    let result = through
        .write(move |tx| -> StoreResult<()> {
            seen.fetch_add(1, Ordering::SeqCst);
            insert(tx, 2)?;
            tx.exec_later("INSERT INTO n (id) VALUES ($1)", params![3])
        })
        .await;
    through.write(|tx| insert(tx, 4)).await.unwrap();
    (db, direct, runs.load(Ordering::SeqCst), result)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_never_arrived_has_an_unknown_outcome() {
    let (_db, direct, runs, result) = commit_is_cut(Cut::BeforeServer).await;
    assert!(matches!(result, Err(StoreError::UnknownOutcome(_))), "{result:?}");
    assert_eq!((runs, ids(&direct).await), (1, vec![1, 4]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_was_lost_has_an_unknown_outcome_and_is_not_run_again() {
    let (_db, direct, runs, result) = commit_is_cut(Cut::AfterServer).await;
    assert!(matches!(result, Err(StoreError::UnknownOutcome(_))), "{result:?}");
    assert_eq!(runs, 1);
    let all = async {
        while ids(&direct).await != [1, 2, 3, 4] {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), all).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_down_is_unavailable_soon() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let start = Instant::now();
    let result = Store::open(&format!("postgres://u@127.0.0.1:{port}/d"), StoreOptions::default()).await;
    assert!(matches!(result.err(), Some(StoreError::Unavailable(_))));
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_changed_under_a_prepared_statement_is_read_anew() {
    let db = TestDatabase::postgres().await;
    let one = StoreOptions { connections: 1, ..StoreOptions::default() };
    store(&db).await.close().await;
    let (store, other) = (db.open_with(one).await, db.open().await);
    store.write(|tx| insert(tx, 1)).await.unwrap();
    assert_eq!(ids(&store).await, [1]);
    other.write(|tx| tx.exec("ALTER TABLE n ALTER COLUMN id TYPE integer", &[])).await.unwrap();
    assert_eq!(ids(&store).await, [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_pool_answers_in_time() {
    let db = TestDatabase::postgres().await;
    const PATIENCE: Duration = Duration::from_millis(50);
    let options = StoreOptions { connections: 1, patience: PATIENCE, ..StoreOptions::default() };
    let store = db.open_with(options).await;
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (began, has_begun) = tokio::sync::oneshot::channel::<()>();
    let (holder, mut began) = (store.clone(), Some(began));
    let hold = tokio::spawn(async move {
        holder
            .read(move |_| -> StoreResult<()> {
                if let Some(began) = began.take() {
                    let _ = began.send(());
                }
                let _ = wait.recv();
                Ok(())
            })
            .await
    });
    has_begun.await.unwrap();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.health().await }
    });
    while store.stats().queued == 0 {
        tokio::task::yield_now().await;
    }
    let queued = Instant::now();
    while queued.elapsed() <= PATIENCE {
        tokio::task::yield_now().await;
    }
    go.send(()).unwrap();
    hold.await.unwrap().unwrap();
    let late = waiting.await.unwrap();
    assert!(matches!(late, Err(StoreError::Unavailable(_))), "{late:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_comes_too_late_leaves_nothing_to_the_next_transaction() {
    const LIMIT: Duration = Duration::from_millis(300);
    let db = TestDatabase::postgres().await;
    store(&db).await.close().await;
    let options = StoreOptions { connections: 1, write_limit: LIMIT, ..StoreOptions::default() };
    let store = db.open_with(options).await;
    let late = store
        .write(|tx| {
            insert(tx, 1)?;
            let start = Instant::now();
            while start.elapsed() <= LIMIT {
                std::thread::yield_now();
            }
            Ok::<_, StoreError>(())
        })
        .await;
    assert!(matches!(late, Err(StoreError::Timeout(_))), "{late:?}");
    store.write(|tx| insert(tx, 2)).await.unwrap();
    assert_eq!(ids(&store).await, [2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sslmode_require_is_refused_by_a_server_without_tls_and_prefer_is_not() {
    let db = TestDatabase::postgres().await;
    let url = |mode: &str| db.url.replace("sslmode=disable", &format!("sslmode={mode}"));
    Store::open(&url("prefer"), StoreOptions::default()).await.unwrap().health().await.unwrap();
    let required = Store::open(&url("require"), StoreOptions::default()).await;
    assert!(matches!(required.err(), Some(StoreError::Unavailable(_))));
}

/// A process that stands still in the midst of a transaction (its machine is suspended) keeps its connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stands_still_in_a_transaction_loses_its_locks() {
    let db = TestDatabase::postgres().await;
    let (store, other) = (store(&db).await, db.open().await);
    store.write(|tx| insert(tx, 1)).await.unwrap();
    let (locked, is_locked) = std::sync::mpsc::channel();
    let (go_on, waits) = std::sync::mpsc::channel::<()>();
    let (mut runs, first) = (0, store.clone());
    let standing = tokio::spawn(async move {
        first
            .write(move |tx| -> StoreResult<u32> {
                runs += 1;
                tx.exec("UPDATE n SET id = id + 10", &[])?;
                let _ = locked.send(());
                // Stands still, until the other one has done its work; run again it goes on at once.
                let _ = waits.recv();
                tx.exec("UPDATE n SET id = id + 100", &[])?;
                Ok(runs)
            })
            .await
    });
    tokio::task::spawn_blocking(move || is_locked.recv().unwrap()).await.unwrap();
    other.write(|tx| tx.exec("UPDATE n SET id = id + 1", &[])).await.unwrap();
    assert_eq!(ids(&other).await, [2], "nothing of the one that stands still is kept");
    drop(go_on);
    assert_eq!(standing.await.unwrap().unwrap(), 2, "it is run again");
    assert_eq!(ids(&other).await, [112]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_unavailable_within_seconds_and_answers_again_by_itself() {
    let db = TestDatabase::postgres().await;
    let proxy = Proxy::start(&db.url).await;
    drop(store(&db).await);
    let store = Store::open(&proxy.url, StoreOptions::default()).await.unwrap();
    store.write(|tx| insert(tx, 1)).await.unwrap();
    proxy.hang();
    let asked = Instant::now();
    let many = (2..40).map(|id| {
        let store = store.clone();
        tokio::spawn(async move { store.write(move |tx| insert(tx, id)).await })
    });
    for refused in futures::future::join_all(many).await {
        let refused = refused.unwrap();
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    }
    // One second until somebody asks, three of silence, and some for a busy machine.
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    let again = Instant::now();
    assert!(store.health().await.is_err());
    assert!(
        again.elapsed() < Duration::from_secs(1),
        "who comes later is refused at once: {:?}",
        again.elapsed()
    );
    proxy.back();
    qd_testkit::eventually("it answers", async || store.health().await.ok()).await;
    store.write(|tx| insert(tx, 1000)).await.unwrap();
    assert_eq!(ids(&store).await, [1, 1000]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_takes_long_is_waited_for() {
    let db = TestDatabase::postgres().await;
    let store = store(&db).await;
    let slept = store.write(|tx| tx.one("SELECT CAST(pg_sleep(6) AS text)", &[], |row| row.get::<String>(0)));
    assert_eq!(slept.await.unwrap(), "");
}
