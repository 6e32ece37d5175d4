//! Exchanging keys: everything is readable before, meanwhile and after, and nothing is left under the old key.

use qd_core::error::ErrorKind;
use qd_core::plan::Risk;
use qd_core::state::JobState;
use qd_kernel::access::{PLATFORM_ADMIN, TENANT_ADMIN};
use qd_kernel::changes::Request;
use qd_kernel::context::Context;
use qd_kernel::mutation::Act;
use qd_kernel::operations::secret_rotate::{DATA_KEY, MASTER_KEY, RotatedKey, rotate_request};
use qd_kernel::params;
use qd_kernel::secrets::{MasterKey, Secret};
use qd_kernel::store::StoreResult;
use qd_testkit::kernel::key;
use qd_testkit::{TestDatabase, TestKernel, both_stores, eventually};
use serde_json::json;
use uuid::Uuid;

use super::secrets::{KEY, OTHER_KEY, path, put, read};

async fn rotate(t: &TestKernel, operation: &str) -> qd_kernel::jobs::Job {
    let act = Act::new("secrets", "rotate");
    let job = t.kernel.job_create(&t.context(), act, operation, json!({}), key()).await.unwrap();
    t.job_ended(job.id).await
}

async fn readable(t: &TestKernel, count: usize) {
    for n in 0..count {
        assert_eq!(read(t, &format!("secret://s/{n}#1")).await.unwrap(), format!("old-{n}"));
        assert_eq!(read(t, &format!("secret://s/{n}")).await.unwrap(), format!("new-{n}"));
    }
}

async fn filled(t: &TestKernel, count: usize) {
    for n in 0..count {
        put(t, &format!("s/{n}"), &format!("old-{n}")).await;
        put(t, &format!("s/{n}"), &format!("new-{n}")).await;
    }
}

/// Another tenant with a secret of its own.
async fn second_tenant(t: &TestKernel) -> qd_kernel::context::Context {
    let (tenant, project, now) = (Uuid::from_u128(77), Uuid::from_u128(78), t.kernel.source.now());
    let made = t.kernel.store.write(move |tx| -> StoreResult<()> {
        tx.exec("INSERT INTO tenant (id, name, created_at) VALUES ($1, 'other', $2)", params![tenant, now])?;
        tx.exec(
            "INSERT INTO project (id, tenant_id, name, created_at) VALUES ($1, $2, 'default', $3)",
            params![project, tenant, now],
        )?;
        Ok(())
    });
    made.await.unwrap();
    let mut context = t.context();
    context.scope = t.kernel.scope_find(Some("other"), None).await.unwrap().scope;
    t.kernel.secret_put(&context, path("s/0"), Secret::new("theirs")).await.unwrap();
    context
}

both_stores! {
    async fn a_data_key_is_exchanged_for_one_tenant_alone(db: TestDatabase) {
        let t = TestKernel::build().master_keys(&[KEY]).on(&db).await;
        filled(&t, 5).await;
        second_tenant(&t).await;
        let job = rotate(&t, DATA_KEY).await;
        assert_eq!(job.state, JobState::Succeeded, "{:?}", job.error);
        let keys = t.kernel.secret_keys(t.scope).await.unwrap();
        assert_eq!(keys.data_key.unwrap().number, 2);
        assert_eq!(keys.values_under_older_keys, 0);
        // Theirs is as it was; the old one of ours is gone.
        assert_eq!(t.number("SELECT count(*) FROM secret_key WHERE number = 1").await, 1);
        readable(&t, 5).await;
        assert_eq!(put(&t, "s/0", "newest").await.version, 3);
    }

    async fn a_master_key_is_exchanged_for_all_tenants(db: TestDatabase) {
        let store = db.migrated().await;
        {
            let t = TestKernel::build().store(&store).master_keys(&[OTHER_KEY]).on(&db).await;
            filled(&t, 3).await;
            second_tenant(&t).await;
        }
        let t = TestKernel::build().store(&store).master_keys(&[KEY, OTHER_KEY]).on(&db).await;
        let health = t.kernel.secrets.health().await;
        assert!(health.ok && health.detail.contains("rotate --master-key"), "{health:?}");
        let job = rotate(&t, MASTER_KEY).await;
        assert_eq!(job.state, JobState::Succeeded, "{:?}", job.error);
        readable(&t, 3).await;
        assert_eq!(t.number("SELECT count(*) FROM secret_key").await, 2, "one for each tenant");

        // The old key opens nothing any more, the new one alone opens all.
        let old = TestKernel::build().store(&store).master_keys(&[OTHER_KEY]).idle().on(&db).await;
        assert_eq!(read(&old, "secret://s/0").await.unwrap_err().code, "secret_key_wrong");
        let new = TestKernel::build().store(&store).master_keys(&[KEY]).idle().on(&db).await;
        readable(&new, 3).await;
        assert!(new.kernel.secrets.health().await.ok);
        let again = rotate(&t, MASTER_KEY).await;
        assert_eq!(again.state, JobState::Succeeded, "with the same key every tenant gets another data key");
        readable(&new, 3).await;
    }

    async fn who_does_not_hold_both_keys_does_not_begin(db: TestDatabase) {
        let store = db.migrated().await;
        let t = TestKernel::build().store(&store).master_keys(&[OTHER_KEY]).idle().on(&db).await;
        let none = t.kernel.job_create(&t.context(), Act::new("secrets", "rotate"), DATA_KEY, json!({}), key()).await;
        assert_eq!(none.unwrap_err().code, "no_secret_key");
        put(&t, "s/0", "canary").await;
        let stranger = TestKernel::build().store(&store).master_keys(&[KEY]).idle().on(&db).await;
        let act = Act::new("secrets", "rotate-master");
        let refused = stranger.kernel.job_create(&stranger.context(), act, MASTER_KEY, json!({}), key()).await.unwrap_err();
        assert_eq!((refused.kind, refused.code), (ErrorKind::Conflict, "gate_closed"), "{refused:?}");
        assert!(refused.violations[0].detail.contains("sealed under the master key"), "{refused:?}");
    }

    async fn the_key_that_was_planned_is_put_in_force_whoever_does_it(db: TestDatabase) {
        let store = db.migrated().await;
        let asked = TestKernel::build().store(&store).master_keys(&[KEY, OTHER_KEY]).idle().on(&db).await;
        let before = TestKernel::build().store(&store).master_keys(&[OTHER_KEY]).idle().on(&db).await;
        filled(&before, 2).await;
        let act = Act::new("secrets", "rotate-master");
        let job = asked.kernel.job_create(&asked.context(), act, MASTER_KEY, json!({}), key()).await.unwrap();
        // One that does not hold it waits, and seals nothing under another.
        let without = TestKernel::build().store(&store).master_keys(&[OTHER_KEY]).on(&db).await;
        let waiting = without.job_in(job.id, JobState::Waiting).await;
        let why = waiting.waiting_for.unwrap();
        assert!(why.contains("is to come, and this server holds"), "{why}");
        let mut without = without;
        without.stopping_tasks().await;
        let other_way_round = TestKernel::build().store(&store).master_keys(&[OTHER_KEY, KEY]).on(&db).await;
        let job = other_way_round.job_ended(job.id).await;
        assert_eq!(job.state, JobState::Succeeded, "{:?}", job.error);
        let to_come = MasterKey::parse(KEY, "here").unwrap();
        let in_force = asked.kernel.secret_keys(asked.scope).await.unwrap().master;
        assert_eq!(in_force.as_deref(), Some(to_come.id()));
        let new = TestKernel::build().store(&store).master_keys(&[KEY]).idle().on(&db).await;
        readable(&new, 2).await;
    }

    async fn keys_are_exchanged_by_a_plan_where_a_second_person_is_wanted(db: TestDatabase) {
        let t = TestKernel::build().master_keys(&[KEY]).approval(Risk::Medium).on(&db).await;
        filled(&t, 1).await;
        let tenants = t.context_as("ann", TENANT_ADMIN);
        let second = t.context_as("second", PLATFORM_ADMIN);
        assert_eq!(rotate_request(&tenants, RotatedKey::Master, String::new()).unwrap_err().code, "action_denied");
        for rotated in [RotatedKey::Data, RotatedKey::Master] {
            let request = rotate_request(&t.context(), rotated, "a year is over".into()).unwrap();
            let Request { act, operation, input } = request.clone();
            let direct = t.kernel.job_create(&t.context(), act, &operation, input, key()).await.unwrap_err();
            assert_eq!(direct.code, "approval_required");
            let plan = t.kernel.plan_create(&t.context(), request).await.unwrap();
            let by_tenant = t.kernel.plan_approve(&tenants, plan.id, plan.hash.clone(), String::new()).await;
            match rotated {
                RotatedKey::Data => by_tenant.map(drop).unwrap(),
                RotatedKey::Master => {
                    assert_eq!(by_tenant.unwrap_err().code, "not_a_reviewer");
                    t.kernel.plan_approve(&second, plan.id, plan.hash.clone(), String::new()).await.unwrap();
                    let refused = t.kernel.plan_apply(&tenants, plan.id, key()).await.unwrap_err();
                    assert_eq!(refused.code, "action_denied");
                }
            }
            let job = t.kernel.plan_apply(&t.context(), plan.id, key()).await.unwrap().unwrap();
            assert_eq!(t.job_ended(job.id).await.state, JobState::Succeeded);
        }
        readable(&t, 1).await;
    }

    async fn an_exchange_for_all_tenants_is_the_platforms_and_alone(db: TestDatabase) {
        let t = TestKernel::build().master_keys(&[KEY]).idle().on(&db).await;
        filled(&t, 1).await;
        let create = async |context: &Context| {
            t.kernel.job_create(context, Act::new("secrets", "rotate-master"), MASTER_KEY, json!({}), key()).await
        };
        let tenants = t.context_as("ann", TENANT_ADMIN);
        assert_eq!(create(&tenants).await.unwrap_err().code, "action_denied");
        let job = create(&t.context()).await.unwrap();
        let refused = t.kernel.job_cancel(&tenants, job.id, String::new()).await.unwrap_err();
        assert_eq!(refused.code, "action_denied");
        t.kernel.job_cancel(&t.context(), job.id, String::new()).await.unwrap();
        // Of another project of the tenant, and of another tenant.
        let mut t = t;
        let theirs = second_tenant(&t).await;
        t.start_tasks().await;
        let data = Act::new("secrets", "rotate");
        for context in [t.context(), theirs] {
            let job = t.kernel.job_create(&context, data.clone(), DATA_KEY, json!({}), key()).await.unwrap();
            eventually("it ends", async || {
                let job = t.kernel.job_get(context.scope, job.id).await.unwrap();
                job.state.is_terminal().then_some(())
            })
            .await;
        }
        assert_eq!(rotate(&t, MASTER_KEY).await.state, JobState::Succeeded);
        assert_eq!(t.number("SELECT count(*) FROM job_lock WHERE key LIKE '%/tenant:secret-keys'").await, 2);
        assert_eq!(t.number("SELECT count(*) FROM job_lock WHERE key = 'platform:secret-keys'").await, 1);
    }

    async fn what_is_written_and_removed_meanwhile_is_right_after(db: TestDatabase) {
        let t = TestKernel::build().master_keys(&[KEY]).on(&db).await;
        filled(&t, 30).await;
        let writing = {
            let (kernel, context) = (t.kernel.clone(), t.context());
            tokio::spawn(async move {
                for n in 0..60 {
                    kernel.secret_put(&context, path(&format!("w/{n}")), Secret::new(format!("w-{n}"))).await.unwrap();
                    if n % 3 == 0 {
                        kernel.secret_delete(&context, &path(&format!("w/{n}")), String::new()).await.unwrap();
                    }
                }
            })
        };
        for operation in [DATA_KEY, MASTER_KEY, DATA_KEY] {
            let job = rotate(&t, operation).await;
            assert_eq!(job.state, JobState::Succeeded, "{:?}", job.error);
        }
        writing.await.unwrap();
        readable(&t, 30).await;
        for n in (0..60).filter(|n| n % 3 != 0) {
            assert_eq!(read(&t, &format!("secret://w/{n}")).await.unwrap(), format!("w-{n}"));
        }
        rotate(&t, DATA_KEY).await;
        assert_eq!(t.number("SELECT count(*) FROM secret_key").await, 1);
    }

    async fn a_value_that_does_not_open_stops_the_exchange_and_is_not_thrown_away(db: TestDatabase) {
        let t = TestKernel::build().master_keys(&[KEY]).on(&db).await;
        filled(&t, 2).await;
        let garbage = t.kernel.store.write(|tx| -> StoreResult<u64> {
            tx.exec(
                "UPDATE secret_version SET sealed = $1 WHERE version = 1 AND secret_id = (SELECT id FROM secret WHERE path = 's/1')",
                params![vec![1u8; 40]],
            )
        });
        assert_eq!(garbage.await.unwrap(), 1);
        let job = rotate(&t, DATA_KEY).await;
        let error = job.error.unwrap();
        assert_eq!((job.state, error.code.as_str()), (JobState::Failed, "secret_unreadable"));
        assert!(error.message.contains("version 1 of the secret s/1"), "{}", error.message);
        assert_eq!(t.number("SELECT count(*) FROM secret_key").await, 2, "the key that it was sealed with is kept");
        assert_eq!(read(&t, "secret://s/0").await.unwrap(), "new-0");
        t.kernel.secret_delete(&t.context(), &path("s/1"), "broken".into()).await.unwrap();
        assert_eq!(rotate(&t, DATA_KEY).await.state, JobState::Succeeded);
        assert_eq!(t.number("SELECT count(*) FROM secret_key").await, 1);
    }
}

/// Who makes a tenant's first data key while another master key is put in force waits, and wraps it under that one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_key_is_never_wrapped_under_a_master_key_that_was_replaced() {
    let db = TestDatabase::postgres().await;
    let store = db.migrated().await;
    let before = TestKernel::build().store(&store).master_keys(&[OTHER_KEY]).idle().on(&db).await;
    put(&before, "s/0", "ours").await;
    let t = TestKernel::build().store(&store).master_keys(&[OTHER_KEY, KEY]).idle().on(&db).await;
    let to_come = MasterKey::parse(KEY, "here").unwrap().id().to_owned();
    let (begun, seen) = std::sync::mpsc::channel::<()>();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let replacing = {
        let store = store.clone();
        tokio::spawn(async move {
            store
                .write(move |tx| -> StoreResult<()> {
                    tx.exec("UPDATE secret_master SET id = $1 WHERE one = 1", params![to_come])?;
                    begun.send(()).unwrap();
                    released.lock().unwrap().recv().unwrap();
                    Ok(())
                })
                .await
        })
    };
    tokio::task::spawn_blocking(move || seen.recv().unwrap()).await.unwrap();
    let kernel = TestKernel::build().store(&store).master_keys(&[OTHER_KEY, KEY]).idle().on(&db).await;
    let writing = tokio::spawn(async move { second_tenant(&kernel).await });
    eventually("the write waits for the row, or has not looked at it", async || {
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        (writing.is_finished() || t.number(waits).await > 0).then_some(())
    })
    .await;
    release.send(()).unwrap();
    replacing.await.unwrap().unwrap();
    writing.await.unwrap();
    let strays = "SELECT count(*) FROM secret_key k JOIN secret_master f ON f.one = 1 WHERE k.master <> f.id";
    assert_eq!(
        t.number(strays).await,
        1,
        "the first tenant's, which the exchange wraps anew; not the second's"
    );
}
