//! The same request twice is one request.

use futures::future::join_all;
use qd_core::error::ErrorKind;
use qd_core::state::RunState;
use qd_kernel::idempotency::IdempotencyKey;
use qd_testkit::kernel::key_of;
use qd_testkit::sample::document;
use qd_testkit::{TestKernel, both_stores};
use serde_json::json;

both_stores! {
    async fn the_same_key_answers_the_same_job(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({})).await;
        let (job, run) = t.run_with("one", json!({}), key_of("k", "body")).await.unwrap();
        let (again, same) = t.run_with("one", json!({}), key_of("k", "body")).await.unwrap();
        assert_eq!((again.id, same.id), (job.id, run.id));
        assert_eq!(t.number("SELECT count(*) FROM run").await, 1);
        assert_eq!(t.number("SELECT count(*) FROM audit WHERE action = 'samples.run'").await, 1);
    }

    async fn sixteen_at_once_with_one_key_start_one_run(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({})).await;
        for round in 0..5 {
            let key = format!("round-{round}");
            let all = join_all((0..16).map(|_| t.run_with("one", json!({}), key_of(&key, "body")))).await;
            let ids: Vec<_> = all.into_iter().map(|started| started.unwrap().1.id).collect();
            assert!(ids.iter().all(|id| *id == ids[0]), "round {round}");
        }
        assert_eq!(t.number("SELECT count(*) FROM run").await, 5);
        assert_eq!(t.number("SELECT last_run FROM resource").await, 5);
    }

    async fn the_same_key_with_another_body_is_refused(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({})).await;
        t.run_with("one", json!({}), key_of("k", "body")).await.unwrap();
        let refused = t.run_with("one", json!({}), key_of("k", "other body")).await.unwrap_err();
        assert_eq!((refused.kind, refused.code), (ErrorKind::Invalid, "idempotency_mismatch"));
        assert_eq!(t.number("SELECT count(*) FROM run").await, 1);
    }

    async fn a_key_is_remembered_across_a_restart(db: TestDatabase) {
        let first = TestKernel::start(&db).await;
        first.published("one", json!({})).await;
        let (job, run) = first.run_with("one", json!({}), key_of("k", "body")).await.unwrap();
        let engine = first.engine.clone();
        first.stop().await;
        let second = TestKernel::build().engine(&engine).on(&db).await;
        let (again, same) = second.run_with("one", json!({}), key_of("k", "body")).await.unwrap();
        assert_eq!((again.id, same.id), (job.id, run.id));
        second.run_in(run.id, RunState::Running).await;
        assert_eq!(second.number("SELECT count(*) FROM run").await, 1);
    }

    async fn a_repeat_is_answered_also_where_it_would_be_refused_today(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({})).await;
        let (job, _) = t.run_with("one", json!({}), key_of("k", "body")).await.unwrap();
        t.published("one", json!({ "wants": "x" })).await;
        assert_eq!(t.run_with("one", json!({}), key_of("new", "body")).await.unwrap_err().code, "params_invalid");
        assert_eq!(t.run_with("one", json!({}), key_of("k", "body")).await.unwrap().0.id, job.id);
        let mismatch = t.run_with("one", json!({}), key_of("k", "other")).await.unwrap_err();
        assert_eq!(mismatch.code, "idempotency_mismatch");
        let archived = qd_core::state::ResourceState::Archived;
        t.kernel.resource_set_state(&t.context(), &*t.sample(), "one", None, archived).await.unwrap();
        assert_eq!(t.run_with("one", json!({}), key_of("k", "body")).await.unwrap().0.id, job.id);
    }

    async fn a_refused_request_leaves_its_key_free(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({})).await;
        let archived = qd_core::state::ResourceState::Archived;
        t.kernel.resource_set_state(&t.context(), &*t.sample(), "one", None, archived).await.unwrap();
        let refused = t.run_with("one", json!({}), key_of("k", "body")).await.unwrap_err();
        assert_eq!(refused.code, "resource_archived");
        let active = qd_core::state::ResourceState::Active;
        t.kernel.resource_set_state(&t.context(), &*t.sample(), "one", None, active).await.unwrap();
        t.run_with("one", json!({}), key_of("k", "body")).await.unwrap();
    }

    async fn keys_of_two_projects_do_not_meet(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        let (tenant, project) = (t.scope.tenant_id, uuid::Uuid::from_u128(7));
        t.kernel
            .store
            .write(move |tx| {
                tx.exec(
                    "INSERT INTO project (id, tenant_id, name, created_at) SELECT $1, $2, 'other', created_at FROM tenant",
                    qd_kernel::params![project, tenant],
                )
            })
            .await
            .unwrap();
        let apply = async |context| {
            let documents = vec![document("one", json!({}))];
            t.kernel.apply(&context, documents, String::new(), Some(key_of("k", "body"))).await.unwrap().1.unwrap().id
        };
        let mine = apply(t.context()).await;
        let mut other = t.context();
        other.scope = t.kernel.scope_find(None, Some("other")).await.unwrap().scope;
        assert_ne!(apply(other).await, mine);
    }

    async fn keys_of_two_callers_do_not_meet(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({})).await;
        let (_, mine) = t.run_with("one", json!({}), key_of("k", "body")).await.unwrap();
        let mut other = t.context();
        other.principal.id = uuid::Uuid::from_u128(99).into();
        let theirs = t.kernel.run_start(&other, &*t.sample(), "one", json!({}), None, key_of("k", "other body")).await;
        assert_ne!(theirs.unwrap().1.id, mine.id);
    }
}

#[test]
fn a_key_is_visible_ascii_of_bounded_length() {
    for bad in ["", "a b", "ä", "a\n", &"x".repeat(256)] {
        assert_eq!(
            IdempotencyKey::new(bad, String::new()).unwrap_err().code,
            "bad_idempotency_key",
            "{bad:?}"
        );
    }
    assert!(IdempotencyKey::new(&"x".repeat(255), String::new()).is_ok());
}
