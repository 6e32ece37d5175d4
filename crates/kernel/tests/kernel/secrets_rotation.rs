//! Exchanging keys: everything is readable before, meanwhile and after, and nothing is left under the old key.

use qd_core::error::ErrorKind;
use qd_core::state::JobState;
use qd_kernel::mutation::Act;
use qd_kernel::operations::secret_rotate::{DATA_KEY, MASTER_KEY};
use qd_kernel::params;
use qd_kernel::secrets::Secret;
use qd_kernel::store::StoreResult;
use qd_testkit::kernel::key;
use qd_testkit::{TestKernel, both_stores};
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
