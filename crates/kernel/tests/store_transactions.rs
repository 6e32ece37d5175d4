//! What a closure wrote is there or not there, whole, on both databases, whatever happens in it or beside it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use qd_kernel::params;
use qd_kernel::store::{Store, StoreError, StoreResult, Tx};
use qd_testkit::{TestDatabase, both_stores};

const SQLITE: &str = "CREATE TABLE n (id INTEGER PRIMARY KEY, v INTEGER NOT NULL CHECK (v >= 0)) STRICT";
const POSTGRES: &str = "CREATE TABLE n (id bigint PRIMARY KEY, v bigint NOT NULL CHECK (v >= 0))";

async fn store(db: &TestDatabase) -> Store {
    db.with_schema(SQLITE, POSTGRES).await
}

fn insert(tx: &mut Tx<'_>, id: i64, v: i64) -> StoreResult<u64> {
    tx.exec("INSERT INTO n (id, v) VALUES ($1, $2)", params![id, v])
}

async fn ids(store: &Store) -> Vec<i64> {
    store.read(|tx| tx.rows("SELECT id FROM n ORDER BY id", &[], |row| row.get(0))).await.unwrap()
}

#[derive(Debug, PartialEq)]
enum Domain {
    Mine,
    Store(String),
}

impl From<StoreError> for Domain {
    fn from(error: StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

both_stores! {
    async fn an_error_of_the_callers_own_undoes_everything(db: TestDatabase) {
        let store = store(&db).await;
        let result: Result<(), Domain> = store.write(|tx| {
            insert(tx, 1, 1)?;
            tx.exec_later("INSERT INTO n (id, v) VALUES ($1, $2)", params![2, 2])?;
            Err(Domain::Mine)
        }).await;
        assert_eq!(result, Err(Domain::Mine));
        assert_eq!(ids(&store).await, [0i64; 0]);
        let own = store.write(|_| -> StoreResult<()> { Err(StoreError::abort("mine")) }).await;
        assert!(matches!(own, Err(StoreError::Abort(error)) if error.to_string() == "mine"));
    }

    async fn what_was_put_off_is_committed_and_is_seen_by_later_statements(db: TestDatabase) {
        let store = store(&db).await;
        let seen: i64 = store.write(|tx| -> StoreResult<i64> {
            tx.exec_later("INSERT INTO n (id, v) VALUES ($1, $2)", params![1, 1])?;
            tx.exec_later("UPDATE n SET v = v + $1 WHERE id = 1", params![41])?;
            tx.one("SELECT v FROM n WHERE id = 1", &[], |row| row.get(0))
        }).await.unwrap();
        assert_eq!(seen, 42);
        store.write(|tx| tx.exec_later("INSERT INTO n (id, v) VALUES ($1, $2)", params![2, 2])).await.unwrap();
        assert_eq!(ids(&store).await, [1, 2]);
    }

    async fn an_error_of_what_was_put_off_fails_the_whole(db: TestDatabase) {
        let store = store(&db).await;
        let result = store.write(|tx| -> StoreResult<()> {
            insert(tx, 1, 1)?;
            tx.exec_later("INSERT INTO n (id, v) VALUES ($1, $2)", params![1, 2])?;
            tx.exec_later("INSERT INTO n (id, v) VALUES ($1, $2)", params![3, 3])
        }).await;
        assert!(matches!(&result, Err(StoreError::Unique { constraint }) if constraint == "n(id)"), "{result:?}");
        assert_eq!(ids(&store).await, [0i64; 0]);
    }

    async fn a_part_may_fail_alone_and_parts_nest(db: TestDatabase) {
        let store = store(&db).await;
        store.write(|tx| -> StoreResult<()> {
            insert(tx, 1, 1)?;
            let part = tx.attempt(|tx| insert(tx, 1, 2));
            assert!(matches!(part, Err(StoreError::Unique { .. })));
            tx.attempt(|tx| -> StoreResult<()> {
                insert(tx, 2, 2)?;
                let inner: Result<(), Domain> = tx.attempt(|tx| {
                    insert(tx, 3, 3)?;
                    Err(Domain::Mine)
                });
                assert_eq!(inner, Err(Domain::Mine));
                insert(tx, 4, 4).map(drop)
            })?;
            // Its error is the part's, though it is sent later.
            let late = tx.attempt(|tx| tx.exec_later("INSERT INTO n (id, v) VALUES ($1, $2)", params![1, 9]));
            assert!(matches!(late, Err(StoreError::Unique { .. })), "{late:?}");
            // Passing over an error inside a part fails the part.
            let passed = tx.attempt(|tx| -> StoreResult<()> {
                insert(tx, 7, 7)?;
                let _ = insert(tx, 8, -1);
                Ok(())
            });
            assert!(matches!(passed, Err(StoreError::Poisoned)), "{passed:?}");
            insert(tx, 5, 5).map(drop)
        }).await.unwrap();
        assert_eq!(ids(&store).await, [1, 2, 4, 5]);
    }

    async fn an_error_passed_over_keeps_nothing(db: TestDatabase) {
        let store = store(&db).await;
        let result = store.write(|tx| -> StoreResult<()> {
            insert(tx, 1, 1)?;
            let _ = insert(tx, 2, -1);
            assert!(matches!(insert(tx, 3, 3), Err(StoreError::Poisoned)));
            Ok(())
        }).await;
        assert!(matches!(result, Err(StoreError::Poisoned)), "{result:?}");
        assert_eq!(ids(&store).await, [0i64; 0]);
        let missing = store.write(|tx| -> StoreResult<()> {
            let none = tx.one("SELECT v FROM n WHERE id = 77", &[], |row| row.get::<i64>(0));
            assert!(matches!(none, Err(StoreError::NotFound)));
            insert(tx, 4, 4).map(drop)
        }).await;
        assert!(missing.is_ok() && ids(&store).await == [4]);
    }

    async fn a_panic_is_an_error_and_undoes_everything(db: TestDatabase) {
        let store = store(&db).await;
        let result = store.write(|tx| -> StoreResult<()> {
            insert(tx, 1, 1)?;
            let _: StoreResult<()> = tx.attempt(|_| panic!("on purpose"));
            Ok(())
        }).await;
        assert!(matches!(&result, Err(StoreError::Panic(text)) if text == "on purpose"), "{result:?}");
        let result = store.read(|_| -> StoreResult<()> { panic!("number {}", 2) }).await;
        assert!(matches!(&result, Err(StoreError::Panic(text)) if text == "number 2"), "{result:?}");
        store.write(|tx| insert(tx, 2, 2)).await.unwrap();
        assert_eq!(ids(&store).await, [2]);
    }

    async fn a_read_cannot_write_and_sees_one_state(db: TestDatabase) {
        let store = store(&db).await;
        let result = store.read(|tx| insert(tx, 1, 1)).await;
        assert!(matches!(result, Err(StoreError::ReadOnly(_))), "{result:?}");
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let (began, has_begun) = tokio::sync::oneshot::channel::<()>();
        let (mut began, reader) = (Some(began), store.clone());
        let counts = tokio::spawn(async move {
            reader.read(move |tx| -> StoreResult<(i64, i64)> {
                let first = tx.one("SELECT count(*) FROM n", &[], |row| row.get(0))?;
                if let Some(began) = began.take() {
                    let _ = began.send(());
                }
                let _ = wait.recv();
                Ok((first, tx.one("SELECT count(*) FROM n", &[], |row| row.get(0))?))
            }).await
        });
        has_begun.await.unwrap();
        store.write(|tx| insert(tx, 1, 1)).await.unwrap();
        go.send(()).unwrap();
        assert_eq!(counts.await.unwrap().unwrap(), (0, 0));
        assert_eq!(ids(&store).await, [1]);
    }

    async fn no_update_is_lost_among_64_writers(db: TestDatabase) {
        let store = store(&db).await;
        store.write(|tx| insert(tx, 1, 0)).await.unwrap();
        let mut writers = tokio::task::JoinSet::new();
        for _ in 0..64 {
            let store = store.clone();
            writers.spawn(async move {
                for _ in 0..10 {
                    store.write(|tx| -> StoreResult<()> {
                        let lock = tx.backend().for_update();
                        let v: i64 = tx.one(&format!("SELECT v FROM n WHERE id = 1{lock}"), &[], |row| row.get(0))?;
                        tx.exec_later("UPDATE n SET v = $1 WHERE id = 1", params![v + 1])
                    }).await.unwrap();
                }
            });
        }
        writers.join_all().await;
        let v: i64 = store.read(|tx| tx.one("SELECT v FROM n", &[], |row| row.get(0))).await.unwrap();
        assert_eq!(v, 640);
    }

    async fn deadlocked_closures_run_again_until_all_are_through(db: TestDatabase) {
        let store = store(&db).await;
        store.write(|tx| { insert(tx, 1, 0)?; insert(tx, 2, 0) }).await.unwrap();
        let mut writers = tokio::task::JoinSet::new();
        for n in 0..6i64 {
            let store = store.clone();
            writers.spawn(async move {
                let (first, second) = if n % 2 == 0 { (1, 2) } else { (2, 1) };
                store.write(move |tx| -> StoreResult<u64> {
                    tx.exec("UPDATE n SET v = v + 1 WHERE id = $1", params![first])?;
                    tx.exec("UPDATE n SET v = v + 1 WHERE id = $1", params![second])
                }).await
            });
        }
        for result in writers.join_all().await {
            result.unwrap();
        }
        let sum: i64 = store.read(|tx| tx.one("SELECT CAST(sum(v) AS bigint) FROM n", &[], |row| row.get(0))).await.unwrap();
        assert_eq!(sum, 12);
    }

    async fn one_failing_closure_among_200_harms_no_other(db: TestDatabase) {
        let store = store(&db).await;
        // Holds the writer until all 200 wait, so that they share a commit.
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let (began, has_begun) = tokio::sync::oneshot::channel::<()>();
        let holder = tokio::spawn({
            let (store, mut began) = (store.clone(), Some(began));
            async move {
                store.write(move |_| -> StoreResult<()> {
                    if let Some(began) = began.take() {
                        let _ = began.send(());
                    }
                    let _ = wait.recv();
                    Ok(())
                }).await
            }
        });
        has_begun.await.unwrap();
        let mut writers = tokio::task::JoinSet::new();
        for id in 0..200i64 {
            let store = store.clone();
            writers.spawn(async move {
                (id, store.write(move |tx| -> StoreResult<()> {
                    insert(tx, id, 1)?;
                    match id {
                        50 => insert(tx, 1000, -1).map(drop),
                        100 => panic!("on purpose"),
                        150 => Err(StoreError::abort("mine")),
                        _ => Ok(()),
                    }
                }).await)
            });
        }
        if db.backend == qd_kernel::store::Backend::Sqlite {
            while store.stats().queued < 200 {
                tokio::task::yield_now().await;
            }
        }
        go.send(()).unwrap();
        holder.await.unwrap().unwrap();
        for (id, result) in writers.join_all().await {
            assert_eq!(result.is_ok(), !matches!(id, 50 | 100 | 150), "{id}: {result:?}");
        }
        let expected: Vec<i64> = (0..200).filter(|id| !matches!(id, 50 | 100 | 150)).collect();
        assert_eq!(ids(&store).await, expected);
        if db.backend == qd_kernel::store::Backend::Sqlite {
            assert!(store.stats().commits <= 5, "{:?}", store.stats());
        }
    }

    async fn a_caller_that_goes_away_does_not_undo_its_commit(db: TestDatabase) {
        let store = store(&db).await;
        let runs = Arc::new(AtomicUsize::new(0));
        let seen = runs.clone();
        let mut write = Box::pin(store.write(move |tx| {
            seen.fetch_add(1, Ordering::SeqCst);
            insert(tx, 1, 1)
        }));
        assert!(futures::poll!(write.as_mut()).is_pending() || runs.load(Ordering::SeqCst) == 1);
        drop(write);
        while ids(&store).await.is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }

    async fn a_closed_store_says_so_and_answers_what_waited(db: TestDatabase) {
        let store = store(&db).await;
        let mut waiting = tokio::task::JoinSet::new();
        for id in 0..50i64 {
            let store = store.clone();
            waiting.spawn(async move { store.write(move |tx| insert(tx, id, 1)).await });
        }
        store.close().await;
        for result in waiting.join_all().await {
            assert!(matches!(result, Ok(1) | Err(StoreError::Unavailable(_))), "{result:?}");
        }
        let late = store.write(|tx| insert(tx, 99, 1)).await;
        assert!(matches!(late, Err(StoreError::Unavailable(_))), "{late:?}");
        let again = db.open().await;
        again.health().await.unwrap();
    }

    async fn a_statement_that_takes_too_long_is_ended(db: TestDatabase) {
        let options = qd_kernel::store::StoreOptions {
            read_limit: std::time::Duration::from_millis(200), ..Default::default()
        };
        let store = db.open_with(options).await;
        let endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 2000000000) SELECT count(*) FROM c";
        let result = store.read(move |tx| tx.one(endless, &[], |row| row.get::<i64>(0))).await;
        assert!(matches!(result, Err(StoreError::Timeout(_))), "{result:?}");
        store.health().await.unwrap();
    }
}
