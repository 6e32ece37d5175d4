//! Cutting, publishing and rolling back.

use std::time::Duration;

use futures::future::join_all;
use qd_core::error::ErrorKind;
use qd_core::state::{JobState, RevisionState, StepState};
use qd_kernel::page::PageRequest;
use qd_testkit::kernel::key;
use qd_testkit::sample::{SAMPLE, document};
use qd_testkit::{ManualClock, TestKernel, both_stores};
use serde_json::json;

async fn states(t: &TestKernel) -> Vec<(i64, RevisionState)> {
    let page = PageRequest::first(50);
    let list = t.kernel.revision_list(t.scope, SAMPLE, "one", page).await.unwrap().items;
    list.into_iter().map(|revision| (revision.number, revision.state)).collect()
}

async fn edit(t: &TestKernel, spec: serde_json::Value) {
    let version = t.kernel.working_copy_get(t.scope, SAMPLE, "one").await.unwrap().version;
    t.kernel.working_copy_put(&t.context(), &*t.sample(), "one", version, spec).await.unwrap();
}

async fn publish(t: &TestKernel, number: Option<i64>) -> qd_kernel::jobs::Job {
    let job = t
        .kernel
        .revision_publish(&t.context(), &*t.sample(), "one", number, String::new(), key())
        .await
        .unwrap();
    t.job_ended(job.id).await
}

both_stores! {
    async fn from_working_copy_to_published_to_superseded(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        let (context, kind) = (t.context(), t.sample());
        t.kernel.resource_create(&context, &*kind, document("one", json!({ "count": 1 }))).await.unwrap();
        let early = t.kernel.revision_publish(&context, &*kind, "one", None, String::new(), key()).await.unwrap_err();
        assert_eq!(early.code, "no_revision");
        let first = t.kernel.revision_create(&context, &*kind, "one", "the first".into()).await.unwrap();
        assert_eq!((first.summary.number, first.summary.state), (1, RevisionState::Draft));
        assert_eq!((first.spec.clone(), first.summary.message.as_str()), (json!({ "count": 1 }), "the first"));
        let resource = t.kernel.resource_get(t.scope, SAMPLE, "one").await.unwrap();
        assert!(!resource.changed && resource.published.is_none());
        let job = publish(&t, None).await;
        assert_eq!(job.state, JobState::Succeeded, "{:?}", job.error);
        assert!(job.steps.iter().all(|step| step.state == StepState::Succeeded), "{:?}", job.steps);
        edit(&t, json!({ "count": 2 })).await;
        assert!(t.kernel.resource_get(t.scope, SAMPLE, "one").await.unwrap().changed);
        t.kernel.revision_create(&context, &*kind, "one", String::new()).await.unwrap();
        assert_eq!(states(&t).await, [(2, RevisionState::Draft), (1, RevisionState::Published)]);
        publish(&t, Some(2)).await;
        assert_eq!(states(&t).await, [(2, RevisionState::Published), (1, RevisionState::Superseded)]);
        let published = t.kernel.resource_get(t.scope, SAMPLE, "one").await.unwrap().published.unwrap();
        assert_eq!(published.number, 2);
        let diff = t.kernel.revision_diff(t.scope, SAMPLE, "one", 1, 2).await.unwrap();
        assert_eq!(diff.changes.len(), 1);
        assert_eq!((diff.changes[0].pointer.as_str(), &diff.changes[0].after), ("/count", &Some(json!(2))));
    }

    async fn a_spec_that_breaks_rules_is_not_cut(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let (context, kind) = (t.context(), t.sample());
        t.kernel.resource_create(&context, &*kind, document("one", json!({ "count": -1, "also": -1 }))).await.unwrap();
        let refused = t.kernel.revision_create(&context, &*kind, "one", String::new()).await.unwrap_err();
        let pointers: Vec<&str> = refused.violations.iter().map(|v| v.pointer.as_str()).collect();
        assert_eq!((refused.kind, pointers), (ErrorKind::Invalid, vec!["/count", "/also"]));
        assert_eq!(t.number("SELECT count(*) FROM revision").await, 0);
    }

    async fn numbers_are_dense_when_twenty_cut_at_once(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let (context, kind) = (t.context(), t.sample());
        t.kernel.resource_create(&context, &*kind, document("one", json!({ "count": 1 }))).await.unwrap();
        let cuts = join_all((0..20).map(|_| t.kernel.revision_create(&context, &*kind, "one", String::new()))).await;
        let mut numbers: Vec<i64> =
            cuts.iter().filter_map(|cut| cut.as_ref().ok()).map(|cut| cut.summary.number).collect();
        numbers.sort_unstable();
        assert!(!numbers.is_empty());
        assert_eq!(numbers, (1..=numbers.len() as i64).collect::<Vec<_>>());
        assert!(cuts.iter().filter_map(|cut| cut.as_ref().err()).all(|error| error.kind == ErrorKind::Stale));
    }

    async fn a_rollback_is_a_new_revision_with_the_old_spec(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        let (context, kind) = (t.context(), t.sample());
        t.published("one", json!({ "count": 1 })).await;
        t.published("one", json!({ "count": 2 })).await;
        let back = |reason: &str| t.kernel.revision_rollback(&context, &*kind, "one", 1, reason.into(), key());
        assert_eq!(back("  ").await.unwrap_err().code, "reason_required");
        let job = back("two is broken").await.unwrap();
        assert_eq!((job.operation.as_str(), job.reason.as_str()), ("revision.rollback", "two is broken"));
        assert_eq!(t.job_ended(job.id).await.state, JobState::Succeeded);
        let newest = t.kernel.revision_get(t.scope, SAMPLE, "one", 3).await.unwrap();
        let oldest = t.kernel.revision_get(t.scope, SAMPLE, "one", 1).await.unwrap();
        assert_eq!((&newest.spec, &newest.summary.spec_hash), (&oldest.spec, &oldest.summary.spec_hash));
        assert_eq!(
            states(&t).await,
            [(3, RevisionState::Published), (2, RevisionState::Superseded), (1, RevisionState::Superseded)]
        );
    }

    async fn a_superseded_revision_is_not_published_again_but_rolled_back_to(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({ "count": 1 })).await;
        t.published("one", json!({ "count": 2 })).await;
        let refused =
            t.kernel.revision_publish(&t.context(), &*t.sample(), "one", Some(1), String::new(), key()).await.unwrap_err();
        assert_eq!((refused.kind, refused.code), (ErrorKind::Conflict, "illegal_revision_move"));
        assert!(refused.detail.contains("roll back to it"), "{}", refused.detail);
        assert_eq!(states(&t).await, [(2, RevisionState::Published), (1, RevisionState::Superseded)]);
    }

    async fn an_older_request_to_publish_does_not_overtake_a_newer_one(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let mut t = TestKernel::build().clock(&clock).idle().on(&db).await;
        let (context, kind) = (t.context(), t.sample());
        t.kernel.resource_create(&context, &*kind, document("one", json!({ "count": 1 }))).await.unwrap();
        t.kernel.revision_create(&context, &*kind, "one", String::new()).await.unwrap();
        t.kernel.revision_create(&context, &*kind, "one", String::new()).await.unwrap();
        let ask = async |number| {
            t.kernel.revision_publish(&context, &*kind, "one", Some(number), String::new(), key()).await.unwrap().id
        };
        let (older, newer) = (ask(1).await, ask(2).await);
        let later = clock.source().now().checked_add(Duration::from_hours(1)).unwrap();
        let delayed = t.kernel.store.write(move |tx| {
            tx.exec("UPDATE job_queue SET due_at = $2 WHERE job_id = $1", qd_kernel::params![older, later])
        });
        assert_eq!(delayed.await.unwrap(), 1);
        t.start_tasks().await;
        assert_eq!(t.job_ended(newer).await.state, JobState::Succeeded);
        clock.advance(Duration::from_hours(2));
        let older = t.job_ended(older).await;
        assert_eq!(older.state, JobState::Cancelled);
        assert_eq!(older.error.unwrap().message, "superseded by revision 2, which was asked for later");
        assert_eq!(states(&t).await, [(2, RevisionState::Published), (1, RevisionState::Draft)]);
    }

    async fn what_was_archived_meanwhile_is_not_published(db: TestDatabase) {
        let mut t = TestKernel::build().idle().on(&db).await;
        let (context, kind) = (t.context(), t.sample());
        t.kernel.resource_create(&context, &*kind, document("one", json!({ "count": 1 }))).await.unwrap();
        t.kernel.revision_create(&context, &*kind, "one", String::new()).await.unwrap();
        let job = t.kernel.revision_publish(&context, &*kind, "one", None, String::new(), key()).await.unwrap();
        let archived = qd_core::state::ResourceState::Archived;
        t.kernel.resource_set_state(&context, &*kind, "one", None, archived).await.unwrap();
        t.start_tasks().await;
        let job = t.job_ended(job.id).await;
        assert_eq!((job.state, job.error.unwrap().code.as_str()), (JobState::Failed, "resource_archived"));
        assert_eq!(states(&t).await, [(1, RevisionState::Draft)]);
    }

    async fn publishing_twice_is_publishing_once(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({ "count": 1 })).await;
        assert_eq!(publish(&t, Some(1)).await.state, JobState::Succeeded);
        assert_eq!(t.number("SELECT count(*) FROM revision WHERE state = 'published'").await, 1);
    }

    async fn a_revision_that_is_not_there_is_not_found(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let (context, kind) = (t.context(), t.sample());
        t.kernel.resource_create(&context, &*kind, document("one", json!({}))).await.unwrap();
        let missing = t.kernel.revision_publish(&context, &*kind, "one", Some(7), String::new(), key()).await.unwrap_err();
        assert_eq!((missing.kind, missing.code), (ErrorKind::NotFound, "revision_not_found"));
        assert_eq!(t.number("SELECT count(*) FROM job").await, 0);
    }
}
