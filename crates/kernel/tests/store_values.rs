//! Every type survives the trip through both databases, and what only one would take is refused by both.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use qd_core::id::RunId;
use qd_core::time::Timestamp;
use qd_kernel::params;
use qd_kernel::store::{Json, Store, StoreError, StoreResult, in_list};
use qd_testkit::{TestDatabase, both_stores};
use serde_json::json;

const SQLITE: &str = "CREATE TABLE v (id INTEGER PRIMARY KEY, b INTEGER, i INTEGER, f REAL, t TEXT, y BLOB, u BLOB, \
                      at INTEGER, j TEXT) STRICT";
const POSTGRES: &str = "CREATE TABLE v (id bigint PRIMARY KEY, b boolean, i bigint, f double precision, t text, \
                        y bytea, u uuid, at timestamptz, j text)";

async fn store(db: &TestDatabase) -> Store {
    db.with_schema(SQLITE, POSTGRES).await
}

fn run_id(byte: u8) -> RunId {
    RunId::from(uuid::Uuid::from_bytes([byte; 16]))
}

both_stores! {
    async fn every_type_comes_back_as_it_went(db: TestDatabase) {
        let store = store(&db).await;
        let times = [Timestamp::MIN, Timestamp::from_micros(-1), Timestamp::from_micros(1_700_000_000_123_457), Timestamp::MAX];
        let ints = [i64::MIN, -1, 0, i64::MAX];
        let floats = [f64::MIN, -0.1, 1e-300, f64::INFINITY];
        let texts = ["", "naïve ✓ 'quoted' \\ $1", "line\nbreak\ttab", "\u{1}\u{7f}\u{10ffff}"];
        for (n, ((at, i), (f, t))) in times.into_iter().zip(ints).zip(floats.into_iter().zip(texts)).enumerate() {
            let n = i64::try_from(n).unwrap();
            let row = store.write(move |tx| -> StoreResult<_> {
                let document = Json(json!({"b": [1, null, t], "a": 1.5}));
                let bytes = vec![0u8, 255, u8::try_from(n).unwrap()];
                tx.exec("INSERT INTO v (id, b, i, f, t, y, u, at, j) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9)",
                    params![n, n % 2 == 0, i, f, t, bytes, run_id(7), at, document])?;
                tx.one("SELECT b, i, f, t, y, u, at, j FROM v WHERE id = $1", params![n], |row| {
                    assert_eq!(row.get::<Json>(7)?, Json(json!({"b": [1, null, t], "a": 1.5})));
                    assert_eq!(row.get::<Vec<u8>>(4)?, vec![0u8, 255, u8::try_from(n).unwrap()]);
                    assert_eq!(row.get::<RunId>(5)?, run_id(7));
                    assert_eq!(row.len(), 8);
                    Ok((row.get::<bool>(0)?, row.get::<i64>(1)?, row.get::<f64>(2)?, row.get::<String>(3)?, row.get::<Timestamp>(6)?))
                })
            }).await.unwrap();
            assert_eq!(row, (n % 2 == 0, i, f, t.to_owned(), at));
        }
    }

    async fn null_is_none_of_every_type(db: TestDatabase) {
        let store = store(&db).await;
        store.write(|tx| -> StoreResult<()> {
            tx.exec("INSERT INTO v (id, b, i, f, t, y, u, at, j) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9)",
                params![1i32, None::<bool>, None::<i64>, None::<f64>, None::<&str>, None::<Vec<u8>>, None::<RunId>, None::<Timestamp>, None::<Json>])?;
            tx.one("SELECT b, i, f, t, y, u, at, j FROM v WHERE id = 1", &[], |row| {
                assert_eq!(row.get::<Option<bool>>(0)?, None);
                assert_eq!(row.get::<Option<i64>>(1)?, None);
                assert_eq!(row.get::<Option<f64>>(2)?, None);
                assert_eq!(row.get::<Option<String>>(3)?, None);
                assert_eq!(row.get::<Option<Vec<u8>>>(4)?, None);
                assert_eq!(row.get::<Option<RunId>>(5)?, None);
                assert_eq!(row.get::<Option<Timestamp>>(6)?, None);
                assert_eq!(row.get::<Option<Json>>(7)?, None);
                assert!(matches!(row.get::<i64>(1), Err(StoreError::Decode { column: 1, .. })));
                assert!(matches!(row.get::<i64>(99), Err(StoreError::Decode { column: 99, .. })));
                Ok(())
            })
        }).await.unwrap();
    }

    async fn what_one_database_would_take_differently_is_refused(db: TestDatabase) {
        let store = store(&db).await;
        let result = store.write(|tx| tx.exec("INSERT INTO v (id, t) VALUES (1, $1)", params!["a\0b"])).await;
        assert!(matches!(result, Err(StoreError::Nul)), "{result:?}");
        let result = store.write(|tx| tx.exec("INSERT INTO v (id, j) VALUES (1, $1)", params![Json(json!({"k": "a\0b"}))])).await;
        assert!(matches!(result, Err(StoreError::Nul)), "{result:?}");
        let result = store.write(|tx| tx.exec("INSERT INTO v (id, f) VALUES (1, $1)", params![f64::NAN])).await;
        assert!(matches!(result, Err(StoreError::Refused(_))), "{result:?}");
        let result = store.write(|tx| tx.exec("INSERT INTO v (id, t) VALUES ($1, $2)", params![1])).await;
        assert!(matches!(result, Err(StoreError::Refused(_))), "{result:?}");
        for sql in ["COMMIT", "-- x\nROLLBACK", "savepoint a", "BEGIN", "PRAGMA query_only=1", "SET statement_timeout=0"] {
            let result = store.write(move |tx| tx.exec(sql, &[])).await;
            assert!(matches!(result, Err(StoreError::Refused(_))), "{sql}: {result:?}");
        }
        let result = store.write(|tx| tx.exec("DELETE FROM v; COMMIT", &[])).await;
        assert!(result.is_err());
    }

    async fn placeholders_may_repeat_and_come_in_any_order(db: TestDatabase) {
        let store = store(&db).await;
        let found = store.write(|tx| -> StoreResult<Vec<i64>> {
            for n in 1..=5i64 {
                tx.exec("INSERT INTO v (id, t, i) VALUES ($2, $1, $2)", params![format!("t{n}"), n])?;
            }
            let wanted = [1i64, 3, 5];
            let (list, mut values) = in_list(&wanted, 2);
            let limit = 10i64;
            values.insert(0, &limit);
            tx.rows(&format!("SELECT id FROM v WHERE id IN ({list}) AND i < $1 AND id < $1 ORDER BY id"), &values, |row| row.get(0))
        }).await.unwrap();
        assert_eq!(found, [1, 3, 5]);
    }

    async fn a_constraint_is_named_alike(db: TestDatabase) {
        let store = db.with_schema(
            "CREATE TABLE p (id INTEGER PRIMARY KEY) STRICT;
             CREATE TABLE c (a TEXT NOT NULL, b INTEGER NOT NULL CONSTRAINT small CHECK (b < 10), p INTEGER REFERENCES p (id), UNIQUE (a, b)) STRICT",
            "CREATE TABLE p (id bigint PRIMARY KEY);
             CREATE TABLE c (a text NOT NULL, b bigint NOT NULL CONSTRAINT small CHECK (b < 10), p bigint REFERENCES p (id), UNIQUE (a, b))",
        ).await;
        let insert = |a: Option<&'static str>, b: i64, p: Option<i64>| {
            store.write(move |tx| tx.exec("INSERT INTO c (a, b, p) VALUES ($1, $2, $3)", params![a, b, p]))
        };
        insert(Some("x"), 1, None).await.unwrap();
        let unique = insert(Some("x"), 1, None).await;
        assert!(matches!(&unique, Err(StoreError::Unique { constraint }) if constraint == "c(a,b)"), "{unique:?}");
        let check = insert(Some("x"), 11, None).await;
        assert!(matches!(&check, Err(StoreError::Check { constraint }) if constraint == "small"), "{check:?}");
        let null = insert(None, 1, None).await;
        assert!(matches!(&null, Err(StoreError::Check { constraint }) if constraint == "c(a) not null"), "{null:?}");
        let foreign = insert(Some("y"), 1, Some(4)).await;
        assert!(matches!(foreign, Err(StoreError::ForeignKey { .. })), "{foreign:?}");
        let error = qd_core::error::Error::from(unique.unwrap_err());
        assert_eq!(error.kind, qd_core::error::ErrorKind::Conflict);
    }

    async fn a_value_never_shows_in_messages(db: TestDatabase) {
        let store = store(&db).await;
        let result = store.write(|tx| -> StoreResult<()> {
            tx.exec("INSERT INTO v (id, t) VALUES (1, $1)", params!["canary"])?;
            tx.one("SELECT t FROM v", &[], |row| row.get::<i64>(0)).map(drop)
        }).await;
        let text = format!("{result:?}");
        assert!(result.is_err() && !text.contains("canary"), "{text}");
        let result = store.write(|tx| tx.exec("INSERT INTO v (id, i) VALUES (2, $1)", params!["canary"])).await;
        let text = format!("{result:?}");
        assert!(result.is_err() && !text.contains("canary"), "{text}");
    }
}
