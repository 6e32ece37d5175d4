//! One unbroken chain a tenant, whoever writes and whoever seals, and whatever happens to them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;
use qd_core::audit::{FindingKind, Line};
use qd_kernel::params;
use qd_kernel::store::Backend;
use qd_testkit::kernel::context_in;
use qd_testkit::{TestDatabase, TestKernel, both_stores, eventually};
use tokio_postgres::NoTls;

use super::*;

const WRITERS: u64 = 16;
const EACH: u64 = 20;

/// What each writer said, by its name and in the order of the chain.
fn said(text: &str) -> BTreeMap<String, Vec<u64>> {
    let mut by_writer: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for line in text.lines() {
        if let Line::Record(record) = Line::read(line.as_bytes()).unwrap()
            && let Some(n) = record.record["changes"][0]["before"].as_u64()
        {
            let name = record.record["object"]["name"].as_str().unwrap().to_owned();
            by_writer.entry(name).or_default().push(n);
        }
    }
    by_writer
}

/// Each writer's records are there once; in its own order, because it waited for each before the next.
fn whole(text: &str, writers: usize) {
    let proof = checked(text).unwrap_or_else(|finding| panic!("{finding:?}"));
    let said = said(text);
    assert_eq!((said.len(), proof.to), (writers, (writers as u64 * EACH) as i64));
    for (writer, ns) in said {
        assert_eq!(ns, (0..EACH).collect::<Vec<_>>(), "each of {writer}, in its order");
    }
}

/// Half of the writers in each scope, all at once.
async fn write(kernels: &[&TestKernel], scopes: [Scope; 2]) {
    join_all((0..WRITERS).map(|writer| {
        let kernel = &kernels[writer as usize % kernels.len()].kernel;
        let context =
            context_in(scopes[writer as usize / 2 % 2], "tester", qd_kernel::access::PLATFORM_ADMIN);
        async move {
            for n in 0..EACH {
                say(kernel, &context, &format!("writer-{writer}"), n).await.unwrap();
            }
        }
    }))
    .await;
}

both_stores! {
    async fn sixteen_writers_keep_one_unbroken_chain_per_tenant(db: TestDatabase) {
        let one = TestKernel::build().audit_key(KEY).on(&db).await;
        // With Postgres a second process writes and seals beside it; with SQLite there is none.
        let second = match db.backend {
            Backend::Postgres => Some(TestKernel::build().audit_key(KEY).on(&db).await),
            Backend::Sqlite => None,
        };
        let scopes = [one.scope, tenant(&one, "other").await];
        let kernels: Vec<&TestKernel> = std::iter::once(&one).chain(&second).collect();
        // Both seal at once all the time, also where the lease says that only one should.
        let done = Arc::new(AtomicBool::new(false));
        let sealers = join_all(kernels.iter().map(|t| {
            let done = done.clone();
            async move {
                while !done.load(Ordering::Relaxed) {
                    // A transaction that lost to another one is made again at the next look.
                    let _ = t.kernel.audit_seal().await;
                    tokio::task::yield_now().await;
                }
            }
        }));
        let writers = async {
            write(&kernels, scopes).await;
            done.store(true, Ordering::Relaxed);
        };
        tokio::join!(writers, sealers);
        sealed(&one).await;
        for scope in scopes {
            whole(&exported(&one, Some(scope.tenant_id)).await, WRITERS as usize / 2);
        }
    }

    async fn records_are_sealed_soon_after_they_were_written(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        say(&t.kernel, &t.context(), "x", 1).await.unwrap();
        sealed(&t).await;
        let record = &records(&t, AuditFilter::default()).await[0];
        assert_eq!(record.seal.map(|seal| seal.seq), Some(1));
        // What another process wrote, or wrote before this one started, calls nobody.
        let now = t.kernel.source.now();
        let (id, scope) = (t.kernel.source.uuid(), t.scope);
        let context = t.context();
        let written = t.kernel.store.write(move |tx| -> Result<()> {
            let record = NewRecord::of(&context, "tests.say", object("Test", None, "silent"));
            qd_kernel::audit::append_record(tx, now, id, &record)
        });
        written.await.unwrap();
        sealed(&t).await;
        assert_eq!(t.kernel.audit_chain_get(Some(scope.tenant_id)).await.unwrap().seq, 2);
    }

    async fn a_sealer_that_dies_again_and_again_leaves_no_gap(db: TestDatabase) {
        let t = TestKernel::build().audit_key(KEY).idle().on(&db).await;
        let mut sealer = TestKernel::build().audit_key(KEY).store(&t.kernel.store).idle().on(&db).await;
        let scopes = [t.scope, tenant(&t, "other").await];
        let done = Arc::new(AtomicBool::new(false));
        let dying = {
            let done = done.clone();
            async move {
                let mut deaths = 0;
                while !done.load(Ordering::Relaxed) {
                    sealer.start_tasks().await;
                    let _ = sealer.kernel.audit_reading().await;
                    tokio::task::yield_now().await;
                    sealer.crash_tasks();
                    deaths += 1;
                }
                sealer.start_tasks().await;
                (sealer, deaths)
            }
        };
        let writers = async {
            write(&[&t], scopes).await;
            done.store(true, Ordering::Relaxed);
        };
        let ((sealer, deaths), ()) = tokio::join!(dying, writers);
        assert!(deaths > 1, "it died {deaths} times");
        sealed(&sealer).await;
        for scope in scopes {
            whole(&exported(&sealer, Some(scope.tenant_id)).await, WRITERS as usize / 2);
        }
    }

    async fn what_is_changed_in_the_database_is_found(db: TestDatabase) {
        let t = TestKernel::build().audit_key(KEY).idle().on(&db).await;
        for n in 0..9 {
            say(&t.kernel, &t.context(), "x", n).await.unwrap();
        }
        t.kernel.audit_seal().await.unwrap();
        let tenant = Some(t.scope.tenant_id);
        let good = exported(&t, tenant).await;
        assert_eq!(checked(&good).unwrap().to, 9);
        let run = async |sql: &'static str| {
            t.kernel.store.write(move |tx| -> Result<u64> { Ok(tx.exec(sql, &[])?) }).await.unwrap();
        };
        run("UPDATE audit SET actor = 'mallory' WHERE id = (SELECT audit_id FROM audit_seal WHERE seq = 4 AND chain_hash <> record_hash AND chain IN (SELECT tenant_id FROM project))").await;
        let finding = checked(&exported(&t, tenant).await).unwrap_err();
        assert_eq!((finding.kind, finding.seq), (FindingKind::Changed, Some(4)), "{finding:?}");
        run("UPDATE audit SET actor = 'tester'").await;
        assert_eq!(checked(&exported(&t, tenant).await).unwrap().to, 9, "put right, it is as it was sealed");
        run("DELETE FROM audit WHERE id = (SELECT audit_id FROM audit_seal WHERE seq = 6 AND chain IN (SELECT tenant_id FROM project))").await;
        let finding = checked(&exported(&t, tenant).await).unwrap_err();
        assert_eq!((finding.kind, finding.seq), (FindingKind::Missing, Some(6)), "{finding:?}");
        let own = t.kernel.audit_verify(tenant, 100).await.unwrap().unwrap_err();
        assert_eq!((own.kind, own.seq), (FindingKind::Missing, Some(6)), "the server says so itself");
    }
}

/// It draws its place in the queue before the others and commits after they were sealed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_commits_late_is_sealed() {
    let db = TestDatabase::postgres().await;
    let t = TestKernel::build().audit_key(KEY).on(&db).await;
    let (mut foreign, connection) = tokio_postgres::connect(&db.url, NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let held = foreign.transaction().await.unwrap();
    let (id, tenant, project) = (t.kernel.source.uuid(), t.scope.tenant_id.uuid(), t.scope.project_id.uuid());
    held.execute(
        "INSERT INTO audit (id, tenant_id, project_id, at, actor, source, action, kind, object_name, outcome, reason, changes,
           request_id, correlation_id)
         VALUES ($1, $2, $3, now(), 'late', '', 'tests.say', 'Test', 'late', 'success', '', '[]', '', '')",
        &[&id, &tenant, &project],
    )
    .await
    .unwrap();
    held.execute("INSERT INTO audit_unsealed (audit_id) VALUES ($1)", &[&id]).await.unwrap();
    for n in 0..EACH {
        say(&t.kernel, &t.context(), "x", n).await.unwrap();
    }
    sealed(&t).await;
    assert_eq!(t.kernel.audit_chain_get(Some(t.scope.tenant_id)).await.unwrap().seq, EACH as i64);
    held.commit().await.unwrap();
    eventually("the late one is sealed behind all others", async || {
        let late = records(&t, AuditFilter { actor: Some("late".into()), ..AuditFilter::default() }).await;
        late.first()?.seal.filter(|seal| seal.seq == EACH as i64 + 1)
    })
    .await;
    assert_eq!(checked(&exported(&t, Some(t.scope.tenant_id)).await).unwrap().to, EACH as i64 + 1);
    drop(foreign);
    connection.await.unwrap().unwrap();
}

/// Records from before there were chains are sealed as well, in their order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_from_before_there_were_chains_are_sealed() {
    for db in [TestDatabase::sqlite().await, TestDatabase::postgres().await] {
        let store = db.open().await;
        store.migrate_to(7).await.unwrap();
        let ids: Vec<Uuid> = (1..=3u128).map(Uuid::from_u128).collect();
        let old = ids.clone();
        let now = qd_core::Timestamp::EPOCH;
        let written = store.write(move |tx| -> Result<()> {
            for id in &old {
                tx.exec(
                    "INSERT INTO audit (id, tenant_id, project_id, at, actor, source, action, kind, object_id, object_name, outcome,
                       reason, changes, request_id, correlation_id)
                     VALUES ($1, $1, $1, $2, 'old', '', 'tests.say', 'Test', $1, 'x', 'success', '',
                       '[{\"after\":9007199254740993}]', '', '')",
                    params![*id, now],
                )?;
            }
            Ok(())
        });
        written.await.unwrap();
        store.migrate().await.unwrap();
        let t = TestKernel::build().store(&store).audit_key(KEY).idle().on(&db).await;
        t.kernel.audit_seal().await.unwrap();
        for id in ids {
            assert_eq!(checked(&exported(&t, Some(id.into())).await).unwrap().to, 1);
        }
    }
}
