//! Migrations go up, down and up on both databases, the two schemas say the same, and what does not fit is refused.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use qd_kernel::store::{Backend, MigrationSet, StoreError, StoreOptions};
use qd_testkit::{TestDatabase, both_stores};

/// Where the two schemas differ, and why they may.
const ALLOWED: &[(&str, &str)] = &[
    ("event_head*", "Postgres numbers events by a relay, SQLite by its only writer"),
    ("event_outbox*", "Postgres numbers events by a relay, SQLite by its only writer"),
    ("event.column.pos", "Postgres numbers events by a relay, SQLite by its only writer"),
];

fn with(set: MigrationSet, file: &str, text: &str) -> MigrationSet {
    set.with(Backend::Sqlite, file, text).with(Backend::Postgres, file, text)
}

/// Two migrations; the second differs by `second`.
fn two(second: &str) -> MigrationSet {
    let set = with(MigrationSet::default(), "0001_a.up.sql", "CREATE TABLE a (id integer PRIMARY KEY)");
    let set = with(set, "0001_a.down.sql", "DROP TABLE a");
    let set = with(set, "0002_b.up.sql", second);
    with(set, "0002_b.down.sql", "DROP TABLE b")
}

fn options(migrations: MigrationSet) -> StoreOptions {
    StoreOptions { migrations, ..StoreOptions::default() }
}

const B: &str = "CREATE TABLE b (id integer PRIMARY KEY, t text NOT NULL)";

#[test]
fn both_databases_have_the_same_migrations_each_with_a_way_back() {
    MigrationSet::embedded().check().unwrap();
}

both_stores! {
    async fn every_migration_goes_up_down_and_up(db: TestDatabase) {
        let store = db.open().await;
        let newest = MigrationSet::embedded().newest(db.backend);
        let mut schemas = vec![];
        for version in 1..=newest {
            store.migrate_to(version).await.unwrap();
            schemas.push(store.schema().await.unwrap());
        }
        for version in (0..newest).rev() {
            store.migrate_to(version).await.unwrap();
            let schema = store.schema().await.unwrap();
            match usize::try_from(version).unwrap().checked_sub(1) {
                Some(at) => assert_eq!(schema, schemas[at], "down to {version}"),
                None => assert_eq!(schema.tables.keys().collect::<Vec<_>>(), ["schema_migration"]),
            }
        }
        let report = store.migrate().await.unwrap();
        assert_eq!((report.from, report.to), (0, newest));
        assert_eq!(Some(&store.schema().await.unwrap()), schemas.last());
        assert!(store.migrate().await.unwrap().steps.is_empty());
    }

    async fn two_processes_that_start_together_do_not_collide(db: TestDatabase) {
        // SQLite has one process only; two callers stand for it.
        let first = db.open_with(options(two(B))).await;
        let second = if db.backend == Backend::Sqlite { first.clone() } else { db.open_with(options(two(B))).await };
        let (one, two) = tokio::join!(first.migrate(), second.migrate());
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_eq!((one.to, two.to), (2, 2));
        assert_eq!(one.steps.len() + two.steps.len(), 2);
    }

    async fn a_failed_migration_is_undone_whole_and_named(db: TestDatabase) {
        let store = db.open_with(options(two("CREATE TABLE b (id integer PRIMARY KEY); CREATE TABLE a (x integer)"))).await;
        let error = store.migrate().await.unwrap_err();
        assert!(matches!(&error, StoreError::Migration(text) if text.starts_with("0002_b up: ")), "{error}");
        let tables = store.schema().await.unwrap().tables;
        assert_eq!(tables.keys().collect::<Vec<_>>(), ["a", "schema_migration"]);
        store.close().await;
        let report = db.open_with(options(two(B))).await.migrate().await.unwrap();
        assert_eq!((report.from, report.to, report.steps), (1, 2, vec!["0002_b up".to_owned()]));
    }

    async fn an_edited_or_a_newer_schema_is_refused_in_words(db: TestDatabase) {
        let store = db.open_with(options(two(B))).await;
        store.migrate().await.unwrap();
        store.close().await;
        let edited = db.open_with(options(two("CREATE TABLE b (id integer PRIMARY KEY)"))).await;
        let error = edited.migrate().await.unwrap_err().to_string();
        assert!(error.contains("0002") || error.contains("version 2 (b) was applied from another text"), "{error}");
        edited.close().await;
        let older = with(MigrationSet::default(), "0001_a.up.sql", "CREATE TABLE a (id integer PRIMARY KEY)");
        let older = db.open_with(options(older)).await;
        let error = older.migrate().await.unwrap_err().to_string();
        assert!(error.contains("version 2 (b), which this binary does not know"), "{error}");
        let error = older.migrate_to(7).await.unwrap_err().to_string();
        assert!(error.contains("no schema version 7"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_two_schemas_are_equal_but_for_a_written_list() {
    let (sqlite, postgres) = (TestDatabase::sqlite().await, TestDatabase::postgres().await);
    let sqlite = sqlite.migrated().await.schema().await.unwrap();
    let postgres = postgres.migrated().await.schema().await.unwrap();
    let differences = sqlite.differences(&postgres, ALLOWED);
    let text: Vec<_> = differences.iter().map(ToString::to_string).collect();
    assert!(text.is_empty(), "{}", text.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_sort_of_difference_is_found() {
    let (left, right) = (TestDatabase::sqlite().await, TestDatabase::postgres().await);
    let sqlite = "CREATE TABLE p (id INTEGER PRIMARY KEY AUTOINCREMENT) STRICT;
        CREATE TABLE c (a TEXT NOT NULL DEFAULT 'x', b INTEGER NOT NULL CHECK (b IN (0, 1)), u BLOB CHECK (length(u) = 16),
          at INTEGER, p INTEGER REFERENCES p (id) ON DELETE CASCADE, s TEXT CHECK (s IN ('a', 'b')), UNIQUE (a, b)) STRICT;
        CREATE INDEX c_at ON c (at DESC, a) WHERE s = 'a'";
    let same = "CREATE TABLE p (id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY);
        CREATE TABLE c (a text NOT NULL DEFAULT 'x', b boolean NOT NULL, u uuid, at timestamptz,
          p bigint REFERENCES p (id) ON DELETE CASCADE, s text CHECK (s IN ('a', 'b')), UNIQUE (a, b));
        CREATE INDEX c_at ON c (at DESC, a) WHERE s = 'a'";
    let left = left.with_schema(sqlite, "").await.schema().await.unwrap();
    let equal = right.with_schema("", same).await.schema().await.unwrap();
    let found = |differences: Vec<qd_kernel::store::Difference>| -> Vec<String> {
        differences.into_iter().map(|difference| difference.path).collect()
    };
    assert_eq!(found(left.differences(&equal, &[])), [""; 0]);
    assert_eq!(found(left.differences(&equal, &[("c.none", "no reason")])), ["c.none"]);
    for (from, to, path) in [
        ("DEFAULT 'x'", "DEFAULT 'y'", "c.column.a"),
        ("at timestamptz", "at text", "c.column.at"),
        ("b boolean NOT NULL", "b boolean", "c.column.b"),
        ("ON DELETE CASCADE", "", "c.foreign_key.p"),
        ("at DESC, a", "at, a", "c.index.c_at"),
        ("WHERE s = 'a'", "WHERE s = 'b'", "c.index.c_at"),
        ("UNIQUE (a, b)", "UNIQUE (a, b, s)", "c.unique.a,b"),
        ("CHECK (s IN ('a', 'b'))", "CHECK (s IN ('a', 'b', 'c'))", "c.check.'a' 'b' = s"),
        ("GENERATED ALWAYS AS IDENTITY", "", "p.column.id"),
    ] {
        let database = TestDatabase::postgres().await;
        let other = database.with_schema("", &same.replace(from, to)).await.schema().await.unwrap();
        let paths = found(left.differences(&other, &[]));
        assert!(paths.iter().any(|found| found == path), "{to}: {paths:?}");
    }
}
