//! Secrets: written and told of, never shown; opened for their use alone, and each use written down before.

use qd_core::error::ErrorKind;
use qd_kernel::access::VIEWER;
use qd_kernel::audit::{AuditFilter, AuditRecord};
use qd_kernel::connections::{CONNECTION, SecretRef};
use qd_kernel::events::EventFilter;
use qd_kernel::page::PageRequest;
use qd_kernel::params;
use qd_kernel::secrets::{Secret, SecretInfo, SecretPath, SecretUse, Secrets, StoredRef};
use qd_kernel::store::{Backend, StoreResult};
use qd_testkit::kernel::{foreign_scope, key};
use qd_testkit::sample::document_of;
use qd_testkit::{TestDatabase, TestKernel, both_stores};
use serde_json::{Value, json};

pub const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
pub const OTHER_KEY: &str = "f00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

pub fn path(text: &str) -> SecretPath {
    text.parse().unwrap()
}

pub fn reference(text: &str) -> StoredRef {
    text.parse().unwrap()
}

pub async fn put(t: &TestKernel, at: &str, value: &str) -> SecretInfo {
    t.kernel.secret_put(&t.context(), path(at), Secret::new(value)).await.unwrap().0
}

pub fn usage(t: &TestKernel, purpose: &str, covers: bool) -> SecretUse {
    SecretUse {
        scope: t.scope,
        by: "engine test".into(),
        principal_id: None,
        purpose: purpose.into(),
        source: "test".into(),
        correlation_id: "correlation-7".into(),
        job_id: None,
        covers,
    }
}

pub async fn read(t: &TestKernel, at: &str) -> qd_core::error::Result<String> {
    let secret = t.kernel.secrets.resolve(&reference(at), &usage(t, "a test", true)).await?;
    Ok(secret.expose().to_owned())
}

async fn audit(t: &TestKernel) -> Vec<AuditRecord> {
    t.kernel.audit_list(t.scope, AuditFilter::default(), PageRequest::first(100)).await.unwrap().items
}

/// All bytes that a table keeps of secrets, and all text of audit and events.
async fn everything(t: &TestKernel) -> String {
    let events = t.kernel.events_after(t.scope, EventFilter::default(), 0, 500).await.unwrap();
    let sealed: Vec<Vec<u8>> = t
        .kernel
        .store
        .read(|tx| -> StoreResult<Vec<Vec<u8>>> {
            tx.rows("SELECT sealed FROM secret_version", &[], |row| row.get(0))
        })
        .await
        .unwrap();
    let sealed: Vec<String> =
        sealed.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
    format!("{}{}{}", json!(audit(t).await), json!(events), sealed.concat())
}

both_stores! {
    async fn a_secret_is_written_told_of_and_opened_for_its_use_alone(db: TestDatabase) {
        let t = TestKernel::build().master_keys(&[KEY]).on(&db).await;
        let (info, created) =
            t.kernel.secret_put(&t.context(), path("warehouse/password"), Secret::new("canary-one")).await.unwrap();
        assert!(created && info.version == 1 && info.created_by == "tester");
        let (info, created) =
            t.kernel.secret_put(&t.context(), path("warehouse/password"), Secret::new("canary-two")).await.unwrap();
        assert!(!created && info.version == 2);
        put(&t, "api/token", "canary-three").await;

        let first = t.kernel.secret_list(t.scope, PageRequest::first(1)).await.unwrap();
        assert_eq!(first.items[0].path, "api/token");
        let next = PageRequest::new(Some(1), first.next_cursor.as_deref()).unwrap();
        assert_eq!(t.kernel.secret_list(t.scope, next).await.unwrap().items[0].path, "warehouse/password");

        assert_eq!(read(&t, "secret://warehouse/password").await.unwrap(), "canary-two");
        assert_eq!(read(&t, "secret://warehouse/password#1").await.unwrap(), "canary-one");
        for missing in ["secret://warehouse/password#3", "secret://nothing"] {
            assert_eq!(read(&t, missing).await.unwrap_err().code, "secret_missing");
        }
        let all = everything(&t).await;
        assert!(!all.contains("canary"), "{all}");
        assert!(all.contains("secret.written"));
    }

    async fn each_use_is_written_down_before_the_value_is_had(db: TestDatabase) {
        let t = TestKernel::build().master_keys(&[KEY]).on(&db).await;
        put(&t, "api/token", "canary").await;
        let resolve = async |purpose: &str, covers: bool| {
            t.kernel.secrets.resolve(&reference("secret://api/token"), &usage(&t, purpose, covers)).await.unwrap();
        };
        let uses = async || -> Vec<AuditRecord> {
            let mut all = audit(&t).await;
            all.retain(|record| record.action == "secrets.resolve");
            all
        };
        resolve("run curate#1", true).await;
        resolve("run curate#1", true).await;
        assert_eq!(uses().await.len(), 1, "a record covers what the same purpose reads soon after");
        resolve("run curate#2", true).await;
        resolve("test of connections/x", false).await;
        resolve("test of connections/x", false).await;
        let found = uses().await;
        assert_eq!(found.len(), 4, "another purpose is another record, and what a person asks for is one each time");
        let first = found.last().unwrap();
        assert_eq!((first.actor.as_str(), first.reason.as_str()), ("engine test", "run curate#1"));
        assert_eq!((first.object.name.as_str(), first.correlation_id.as_str()), ("api/token", "correlation-7"));
        assert_eq!((&first.changes[0]["pointer"], &first.changes[0]["after"]), (&json!("/version"), &json!(1)));
        assert_eq!(first.changes[1]["pointer"], "/covers_uses_until");
        // A new version is another thing to have read.
        put(&t, "api/token", "canary-two").await;
        resolve("run curate#1", true).await;
        assert_eq!(uses().await.len(), 5);
    }

    async fn without_its_record_a_value_is_not_had(db: TestDatabase) {
        let t = TestKernel::build().master_keys(&[KEY]).on(&db).await;
        put(&t, "api/token", "canary").await;
        let broken = t.kernel.store.write(|tx| -> StoreResult<()> {
            tx.exec("ALTER TABLE audit RENAME TO audit_away", &[]).map(drop)
        });
        broken.await.unwrap();
        assert!(read(&t, "secret://api/token").await.is_err());
    }

    async fn what_is_changed_moved_or_put_back_does_not_open(db: TestDatabase) {
        let t = TestKernel::build().master_keys(&[KEY]).on(&db).await;
        put(&t, "a/one", "canary-one").await;
        put(&t, "a/one", "canary-two").await;
        put(&t, "a/other", "canary-three").await;
        for (what, sql) in [
            ("an older version in place of the newer", "UPDATE secret_version SET sealed = (SELECT v.sealed FROM secret_version v JOIN secret s ON s.id = v.secret_id WHERE s.path = 'a/one' AND v.version = 1) WHERE version = 2"),
            ("another secret's value", "UPDATE secret_version SET sealed = (SELECT v.sealed FROM secret_version v JOIN secret s ON s.id = v.secret_id WHERE s.path = 'a/other') WHERE version = 2"),
            ("another path", "UPDATE secret SET path = 'b/one' WHERE path = 'a/one'"),
        ] {
            let before: Vec<u8> = t.kernel.store.read(|tx| -> StoreResult<Vec<u8>> {
                tx.one("SELECT sealed FROM secret_version WHERE version = 2", &[], |row| row.get(0))
            }).await.unwrap();
            let changed = t.kernel.store.write(move |tx| -> StoreResult<u64> { tx.exec(sql, &[]) }).await.unwrap();
            assert_eq!(changed, 1, "{what}");
            let at = if what == "another path" { "secret://b/one" } else { "secret://a/one" };
            let error = read(&t, at).await.unwrap_err();
            assert_eq!((error.kind, error.code), (ErrorKind::Internal, "secret_unreadable"), "{what}");
            t.kernel.store.write(move |tx| -> StoreResult<()> {
                tx.exec("UPDATE secret SET path = 'a/one' WHERE path = 'b/one'", &[])?;
                tx.exec("UPDATE secret_version SET sealed = $1 WHERE version = 2", params![before])?;
                Ok(())
            }).await.unwrap();
            assert_eq!(read(&t, "secret://a/one").await.unwrap(), "canary-two", "{what}: put right again");
        }
    }

    async fn a_secret_that_is_made_again_is_another_one(db: TestDatabase) {
        let t = TestKernel::build().master_keys(&[KEY]).on(&db).await;
        put(&t, "a", "canary-old").await;
        let old: Vec<u8> = t.kernel.store.read(|tx| -> StoreResult<Vec<u8>> {
            tx.one("SELECT sealed FROM secret_version", &[], |row| row.get(0))
        }).await.unwrap();
        t.kernel.secret_delete(&t.context(), &path("a"), "a test".into()).await.unwrap();
        assert_eq!(t.kernel.secret_get(t.scope, &path("a")).await.unwrap_err().code, "secret_not_found");
        assert_eq!(put(&t, "a", "canary-new").await.version, 1);
        t.kernel.store.write(move |tx| -> StoreResult<u64> {
            tx.exec("UPDATE secret_version SET sealed = $1", params![old])
        }).await.unwrap();
        assert_eq!(read(&t, "secret://a").await.unwrap_err().code, "secret_unreadable");
    }

    async fn who_is_elsewhere_or_may_not_finds_and_writes_nothing(db: TestDatabase) {
        let t = TestKernel::build().master_keys(&[KEY]).on(&db).await;
        put(&t, "a", "canary").await;
        let elsewhere = foreign_scope();
        assert_eq!(t.kernel.secret_get(elsewhere, &path("a")).await.unwrap_err().code, "secret_not_found");
        assert!(t.kernel.secret_list(elsewhere, PageRequest::first(10)).await.unwrap().items.is_empty());
        let foreign = SecretUse { scope: elsewhere, ..usage(&t, "theft", true) };
        assert_eq!(t.kernel.secrets.resolve(&reference("secret://a"), &foreign).await.unwrap_err().code, "secret_missing");
        let viewer = t.context_as("viewer", VIEWER);
        let denied = t.kernel.secret_put(&viewer, path("a"), Secret::new("x")).await.unwrap_err();
        assert_eq!(denied.kind, ErrorKind::Forbidden);
        let denied = t.kernel.secret_delete(&viewer, &path("a"), String::new()).await.unwrap_err();
        assert_eq!(denied.kind, ErrorKind::Forbidden);
        assert_eq!(t.kernel.connection_test(&viewer, "x", None).await.unwrap_err().kind, ErrorKind::Forbidden);
        assert_eq!(read(&t, "secret://a").await.unwrap(), "canary");
    }

    async fn values_that_are_none_are_refused_without_being_repeated(db: TestDatabase) {
        let t = TestKernel::build().master_keys(&[KEY]).on(&db).await;
        for wrong in [String::new(), "canary\0".to_owned(), "canary".repeat(11_000)] {
            let error = t.kernel.secret_put(&t.context(), path("a"), Secret::new(wrong)).await.unwrap_err();
            assert_eq!((error.kind, error.code), (ErrorKind::Invalid, "bad_secret_value"));
            assert!(!format!("{error:?}").contains("canary"));
        }
    }

    async fn sixteen_who_write_at_once_each_make_a_version(db: TestDatabase) {
        let t = TestKernel::build().master_keys(&[KEY]).on(&db).await;
        // Also the tenant's first data key is made once.
        let all = (0..16).map(|n| {
            let (kernel, context) = (t.kernel.clone(), t.context());
            async move { kernel.secret_put(&context, path("a"), Secret::new(format!("v{n}"))).await }
        });
        for done in futures::future::join_all(all).await {
            done.unwrap();
        }
        assert_eq!(t.kernel.secret_get(t.scope, &path("a")).await.unwrap().version, 16);
        assert_eq!(t.number("SELECT count(*) FROM secret_key").await, 1);
        let mut seen = std::collections::BTreeSet::new();
        for version in 1..=16 {
            seen.insert(read(&t, &format!("secret://a#{version}")).await.unwrap());
        }
        assert_eq!(seen.len(), 16);
    }

    async fn a_missing_or_wrong_master_key_is_told_with_its_id_and_nothing_is_sealed(db: TestDatabase) {
        let store = db.migrated().await;
        let none = TestKernel::build().store(&store).idle().on(&db).await;
        let error = none.kernel.secret_put(&none.context(), path("a"), Secret::new("canary")).await.unwrap_err();
        assert_eq!((error.kind, error.code), (ErrorKind::Unavailable, "secret_key_missing"));
        assert!(none.kernel.secrets.health().await.ok, "there is nothing yet that it could not open");

        let right = TestKernel::build().store(&store).master_keys(&[KEY]).idle().on(&db).await;
        put(&right, "a", "canary").await;
        let id = right.kernel.secret_keys(right.scope).await.unwrap().master.unwrap();
        assert!(right.kernel.secrets.health().await.ok);

        let health = none.kernel.secrets.health().await;
        assert!(!health.ok && health.detail.contains(&id), "{health:?}");
        assert_eq!(read(&none, "secret://a").await.unwrap_err().code, "secret_key_missing");

        let wrong = TestKernel::build().store(&store).master_keys(&[OTHER_KEY]).idle().on(&db).await;
        let health = wrong.kernel.secrets.health().await;
        assert!(!health.ok && health.detail.contains(&id) && !health.detail.contains(&OTHER_KEY[2..20]), "{health:?}");
        for error in [
            read(&wrong, "secret://a").await.unwrap_err(),
            wrong.kernel.secret_put(&wrong.context(), path("b"), Secret::new("canary")).await.unwrap_err(),
        ] {
            assert_eq!(error.code, "secret_key_wrong");
            assert!(error.detail.contains(&id) && !error.detail.contains(KEY), "{error}");
        }
        assert_eq!(wrong.number("SELECT count(*) FROM secret").await, 1);
    }

    async fn a_reference_is_checked_held_and_named_when_somebody_would_remove_it(db: TestDatabase) {
        let t = TestKernel::build().master_keys(&[KEY]).on(&db).await;
        let spec = |token: &str| json!({ "type": "http", "address": "https://api.example.org", "token": token });
        let apply = async |spec: Value| {
            let documents = vec![document_of(CONNECTION, "api", spec)];
            t.kernel.apply(&t.context(), documents, String::new(), Some(key())).await
        };
        for (wrong, code) in [("secret://api/token", "unknown_secret"), ("secret://api//token", "wrong_type")] {
            let refused = apply(spec(wrong)).await.unwrap_err();
            let violation = &refused.violations[0];
            assert_eq!((violation.pointer.as_str(), violation.code.as_str()), ("/spec/token", code), "{refused:?}");
        }
        put(&t, "api/token", "canary").await;
        let missing = apply(spec("secret://api/token#2")).await.unwrap_err();
        assert_eq!(missing.violations[0].code, "unknown_secret");
        let (_, job) = apply(spec("secret://api/token#1")).await.unwrap();
        t.job_ended(job.unwrap().id).await;

        let info = t.kernel.secret_get(t.scope, &path("api/token")).await.unwrap();
        let by: Vec<_> = info.referred_by.iter().map(|one| (one.kind.as_str(), one.name.as_str(), one.pointer.as_str(), one.version)).collect();
        assert_eq!(by, [(CONNECTION, "api", "/token", Some(1))]);
        let refused = t.kernel.secret_delete(&t.context(), &path("api/token"), String::new()).await.unwrap_err();
        assert_eq!((refused.kind, refused.code), (ErrorKind::Conflict, "secret_in_use"));
        assert!(refused.detail.contains("Connection api at /token"), "{refused}");

        // The next revision needs it no more.
        let (_, job) = apply(json!({ "type": "http", "address": "https://api.example.org", "token": { "env": "X" } })).await.unwrap();
        t.job_ended(job.unwrap().id).await;
        t.kernel.secret_delete(&t.context(), &path("api/token"), String::new()).await.unwrap();
        assert_eq!(t.number("SELECT count(*) FROM secret_version").await, 0);
    }
}

#[tokio::test]
async fn a_server_that_is_alone_makes_its_key_once_and_never_in_place_of_a_lost_one() {
    use std::os::unix::fs::PermissionsExt as _;
    let (db, folder) = (TestDatabase::sqlite().await, tempfile::tempdir().unwrap());
    let store = db.migrated().await;
    let build = || {
        let mut build = TestKernel::build().store(&store).idle();
        build.options.secrets.folder = Some(folder.path().to_owned());
        build
    };
    let t = build().on(&db).await;
    assert!(t.kernel.secrets.health().await.ok);
    let file = folder.path().join("secret.key");
    assert!(!file.exists(), "only when it is needed");
    put(&t, "a", "canary").await;
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no half-made file is left");
    let again = build().on(&db).await;
    assert_eq!(read(&again, "secret://a").await.unwrap(), "canary");
    std::fs::remove_file(&file).unwrap();
    let lost = build().on(&db).await;
    assert!(!lost.kernel.secrets.health().await.ok);
    let error = lost.kernel.secret_put(&lost.context(), path("b"), Secret::new("x")).await.unwrap_err();
    assert_eq!(error.code, "secret_key_missing");
    assert!(!file.exists(), "a second set would hide that the first is lost");
}

#[tokio::test]
async fn on_postgres_no_key_is_made_for_many() {
    let (db, folder) = (TestDatabase::postgres().await, tempfile::tempdir().unwrap());
    let mut build = TestKernel::build().idle();
    build.options.secrets.folder = Some(folder.path().to_owned());
    let t = build.on(&db).await;
    assert_eq!(t.kernel.store.backend(), Backend::Postgres);
    let error = t.kernel.secret_put(&t.context(), path("a"), Secret::new("x")).await.unwrap_err();
    assert_eq!(error.code, "secret_key_missing");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_secret_is_read_where_it_lies_and_never_shown() {
    let db = TestDatabase::sqlite().await;
    let t = TestKernel::build().master_keys(&[KEY]).idle().on(&db).await;
    let (secrets, usage): (&Secrets, _) = (&t.kernel.secrets, usage(&t, "a test", true));
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("token");
    let file = SecretRef::File(at.clone());
    assert_eq!(file.read(secrets, &usage).await.unwrap_err().code, "secret_missing");
    std::fs::write(&at, "canary-4711\n").unwrap();
    let secret = file.read_word(secrets, &usage).await.unwrap();
    assert_eq!(secret.expose(), "canary-4711");
    assert!(!format!("{secret:?}").contains("canary"));
    for wrong in ["", " \n", "canary one", "canary\nX-Other: 1", "canaryé"] {
        std::fs::write(&at, wrong).unwrap();
        let error = file.read_word(secrets, &usage).await.unwrap_err();
        assert!(!format!("{error:?} {error}").contains("canary"), "{wrong:?}: {error:?}");
    }
    std::fs::write(&at, [0x63, 0x61, 0xff]).unwrap();
    assert!(!format!("{:?}", file.read(secrets, &usage).await.unwrap_err()).contains("ca\\"));
    let unset = SecretRef::Env("NO_SUCH_VARIABLE_OF_A_TEST".into()).read(secrets, &usage).await.unwrap_err();
    assert!(unset.detail.contains("NO_SUCH_VARIABLE_OF_A_TEST is not set"), "{unset}");
    put(&t, "p", "two words").await;
    let stored: SecretRef = serde_json::from_value(json!("secret://p")).unwrap();
    assert_eq!(stored.read(secrets, &usage).await.unwrap().expose(), "two words");
    let error = stored.read_word(secrets, &usage).await.unwrap_err();
    assert!(error.detail.starts_with("secret://p holds more than one word"), "{error}");
}
