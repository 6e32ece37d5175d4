//! Migrations go up, down and up on both databases, the two schemas say the same, and what does not fit is refused.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use qd_core::time::Timestamp;
use qd_kernel::params;
use qd_kernel::store::{Backend, MigrationSet, StoreError, StoreOptions, StoreResult};
use qd_testkit::{TestDatabase, both_stores};
use uuid::Uuid;

/// The migration that holds resources by ids.
const HOLDERS: i64 = 20;

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

    async fn owners_whom_the_tenant_does_not_know_lose_what_they_never_had(db: TestDatabase) {
        let store = db.open().await;
        store.migrate_to(HOLDERS - 1).await.unwrap();
        let people = ["ann", "bob", "root", "tom", "shy"];
        let written = store.write(move |tx| -> StoreResult<()> {
            let id = |n: usize| Uuid::from_u128(n as u128);
            let (now, here, there, project, resource, team) = (Timestamp::EPOCH, id(100), id(101), id(102), id(103), id(104));
            for (tenant, name) in [(here, "here"), (there, "there")] {
                tx.exec("INSERT INTO tenant (id, name, created_at) VALUES ($1, $2, $3)", params![tenant, name, now])?;
            }
            tx.exec("INSERT INTO project (id, tenant_id, name, created_at) VALUES ($1, $2, 'p', $3)", params![project, here, now])?;
            for (n, name) in people.iter().enumerate() {
                tx.exec("INSERT INTO principal (id, name, kind, created_at) VALUES ($1, $2, 'user', $3)", params![id(n), *name, now])?;
            }
            for (n, level, object) in [(0, "tenant", here), (1, "tenant", there), (2, "platform", Uuid::nil())] {
                tx.exec(
                    "INSERT INTO role_binding (principal_id, role, level, object_id, tenant_id, created_by, created_at)
                     VALUES ($1, 'viewer', $2, $3, $3, 'x', $4)",
                    params![id(n), level, object, now],
                )?;
            }
            tx.exec(
                "INSERT INTO team (id, tenant_id, name, display_name, version, created_by, created_at) VALUES ($1, $2, 'core', '', 1, 'x', $3)",
                params![team, here, now],
            )?;
            tx.exec(
                "INSERT INTO team_member (team_id, principal_id, tenant_id, created_by, created_at) VALUES ($1, $2, $3, 'x', $4)",
                params![team, id(3), here, now],
            )?;
            tx.exec(
                "INSERT INTO resource (id, tenant_id, project_id, kind, name, display_name, description, metadata, state, version,
                   last_revision, last_run, publish_asked, publish_done, created_by, created_at, updated_at)
                 VALUES ($1, $2, $3, 'K', 'r', '', '', '{}', 'active', 1, 0, 0, 0, 0, 'x', $4, $4)",
                params![resource, here, project, now],
            )?;
            let owners = ["ann", "bob", "root", "tom", "shy", "nobody", "team:core", "team:none"];
            for (holder, owner) in owners.map(|owner| (owner, true)).into_iter().chain([("shy", false)]) {
                let access = if owner { "owner" } else { "viewer" };
                tx.exec(
                    "INSERT INTO resource_holder (resource_id, holder, owner, access, tenant_id, project_id, created_by, created_at)
                     VALUES ($1, $2, $3, $4, $5, $6, 'x', $7)",
                    params![resource, holder, owner, access, here, project, now],
                )?;
            }
            Ok(())
        });
        written.await.unwrap();
        store.migrate().await.unwrap();
        let left = store.read(|tx| -> StoreResult<Vec<(String, Option<Uuid>)>> {
            tx.rows("SELECT holder, principal_id FROM resource_holder ORDER BY holder, owner", &[], |row| Ok((row.get(0)?, row.get(1)?)))
        });
        let id = |n: u128| Some(Uuid::from_u128(n));
        let expected = [("ann", id(0)), ("root", id(2)), ("shy", id(4)), ("shy", id(4)), ("team:core", None), ("tom", id(3))];
        assert_eq!(left.await.unwrap(), expected.map(|(name, id)| (name.to_owned(), id)));
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
