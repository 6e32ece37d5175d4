//! What only SQLite does: a full disk that takes the whole transaction with it, the folder's lock, the log's size.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use qd_kernel::params;
use qd_kernel::store::{Backend, MigrationSet, Store, StoreError, StoreOptions, StoreResult, Tx};
use qd_testkit::TestDatabase;

const SCHEMA: &str = "CREATE TABLE b (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT";

fn options() -> StoreOptions {
    let migrations = MigrationSet::default().with(Backend::Sqlite, "0001_test.up.sql", SCHEMA);
    StoreOptions { migrations, ..StoreOptions::default() }
}

fn insert(tx: &mut Tx<'_>, id: i64, bytes: usize) -> StoreResult<u64> {
    tx.exec("INSERT INTO b (id, body) VALUES ($1, $2)", params![id, vec![7u8; bytes]])
}

async fn count(store: &Store) -> i64 {
    store.read(|tx| tx.one("SELECT count(*) FROM b", &[], |row| row.get(0))).await.unwrap()
}

type Call = Box<dyn FnMut(&mut Tx<'_>) -> StoreResult<u64> + Send>;

/// Runs writes while the writer is held, so that they all share one commit.
async fn in_one_group(store: &Store, calls: Vec<Call>) -> Vec<StoreResult<u64>> {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (began, has_begun) = tokio::sync::oneshot::channel::<()>();
    let (holder, mut began) = (store.clone(), Some(began));
    let hold = tokio::spawn(async move {
        let hold = move |_: &mut Tx<'_>| -> StoreResult<()> {
            if let Some(began) = began.take() {
                let _ = began.send(());
            }
            let _ = wait.recv();
            Ok(())
        };
        holder.write(hold).await
    });
    has_begun.await.unwrap();
    let mut tasks = Vec::new();
    for (n, mut call) in calls.into_iter().enumerate() {
        let writer = store.clone();
        tasks.push(tokio::spawn(async move { writer.write(move |tx| call(tx)).await }));
        // One after the other into the queue: the test says in which order they run.
        while store.stats().queued <= n {
            tokio::task::yield_now().await;
        }
    }
    go.send(()).unwrap();
    hold.await.unwrap().unwrap();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_fails_the_closure_that_filled_it_and_no_other() {
    let db = TestDatabase::sqlite().await;
    let store = db.open_with(StoreOptions { sqlite_max_pages: Some(100), ..options() }).await;
    store.migrate().await.unwrap();
    let mut calls: Vec<Call> = Vec::new();
    for id in 0..20i64 {
        calls.push(match id {
            10 => Box::new(move |tx| insert(tx, id, 1 << 20)),
            // Passes over it: nothing of it may be committed, above all not what comes after.
            15 => Box::new(move |tx| {
                let _ = tx.attempt(|tx| insert(tx, id, 1 << 20));
                insert(tx, 1000, 1)
            }),
            _ => Box::new(move |tx| insert(tx, id, 100)),
        });
    }
    for (id, result) in in_one_group(&store, calls).await.into_iter().enumerate() {
        match id {
            10 => assert!(matches!(result, Err(StoreError::Full(_))), "{result:?}"),
            15 => assert!(matches!(result, Err(StoreError::Poisoned | StoreError::Full(_))), "{result:?}"),
            _ => assert!(result.is_ok(), "{id}: {result:?}"),
        }
    }
    assert!(store.stats().reruns > 0, "SQLite no longer rolls back everything: this test tests nothing");
    assert_eq!(count(&store).await, 18);
    let full = store.write(|tx| insert(tx, 2000, 1 << 20)).await;
    assert!(matches!(full, Err(StoreError::Full(_))), "{full:?}");
    store.write(|tx| insert(tx, 2001, 100)).await.unwrap();
    assert_eq!(count(&store).await, 19);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closure_that_overruns_its_time_is_undone_alone() {
    let db = TestDatabase::sqlite().await;
    let store = db.open_with(StoreOptions { write_limit: Duration::from_millis(100), ..options() }).await;
    store.migrate().await.unwrap();
    let endless = "INSERT INTO b (id, body) WITH RECURSIVE c(x) AS (SELECT 10 UNION ALL SELECT x + 1 FROM c) \
                   SELECT x, zeroblob(1) FROM c";
    let calls: Vec<Call> = vec![
        Box::new(|tx| insert(tx, 1, 1)),
        Box::new(move |tx| tx.exec(endless, &[])),
        Box::new(|tx| insert(tx, 2, 1)),
    ];
    let results = in_one_group(&store, calls).await;
    assert!(matches!(results[1], Err(StoreError::Timeout(_))), "{:?}", results[1]);
    assert!(results[0].is_ok() && results[2].is_ok(), "{results:?}");
    assert_eq!(count(&store).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_is_refused_and_the_lock_goes_with_the_store() {
    let db = TestDatabase::sqlite().await;
    let store = db.open_with(options()).await;
    let second = Store::open(&db.url, options()).await;
    let text = second.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(text.contains("another process has"), "{text}");
    store.close().await;
    db.open_with(options()).await.health().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_cut_to_nothing_when_idle() {
    let db = TestDatabase::sqlite().await;
    let store = db.open_with(options()).await;
    store.migrate().await.unwrap();
    store.write(|tx| insert(tx, 1, 500_000)).await.unwrap();
    let wal = format!("{}-wal", db.url.trim_start_matches("sqlite:"));
    assert!(std::fs::metadata(&wal).unwrap().len() > 500_000);
    let empty = async {
        while std::fs::metadata(&wal).unwrap().len() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), empty).await.unwrap();
    assert_eq!(count(&store).await, 1);
}

#[tokio::test]
async fn a_url_without_a_file_is_refused() {
    for url in ["sqlite:", "sqlite::memory:", "mysql://x"] {
        let result = Store::open(url, options()).await;
        assert!(matches!(result.err(), Some(StoreError::Refused(_))), "{url}");
    }
}
