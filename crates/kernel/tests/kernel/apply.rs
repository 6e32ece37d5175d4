//! Applying documents: all of them or none, and a dry run that says the same and writes nothing.

use futures::future::join_all;
use qd_core::error::ErrorKind;
use qd_core::state::{JobState, ResourceState, StepState};
use qd_kernel::apply::ApplyOutcome;
use qd_testkit::kernel::key_of;
use qd_testkit::sample::{SAMPLE, document, document_of};
use qd_testkit::{TestKernel, both_stores};
use serde_json::json;

/// Every table that applying may write to.
const ROWS: &str = "SELECT (SELECT count(*) FROM resource) + (SELECT count(*) FROM working_copy) + (SELECT count(*) FROM revision)
  + (SELECT count(*) FROM audit) + (SELECT count(*) FROM job) + (SELECT count(*) FROM job_step) + (SELECT count(*) FROM event)
  + (SELECT count(*) FROM idempotency)";

both_stores! {
    async fn created_then_unchanged_then_changed(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let apply = async |spec| {
            let applied = t.kernel.apply(&t.context(), vec![document("one", spec)], "why".into(), None).await.unwrap();
            assert!(applied.1.is_none(), "no job without publish");
            applied.0.into_iter().next().unwrap()
        };
        let first = apply(json!({ "count": 1 })).await;
        assert_eq!((first.outcome, first.revision), (ApplyOutcome::Created, Some(1)));
        let rows = t.number(ROWS).await;
        let again = apply(json!({ "count": 1.0 })).await;
        assert_eq!((again.outcome, again.revision, again.changes.len()), (ApplyOutcome::Unchanged, Some(1), 0));
        assert_eq!(t.number(ROWS).await, rows, "an unchanged document writes nothing");
        let second = apply(json!({ "count": 2 })).await;
        assert_eq!((second.outcome, second.revision), (ApplyOutcome::Changed, Some(2)));
        assert_eq!(second.changes.len(), 1);
        assert_eq!(second.changes[0].pointer, "/spec/count");
        let copy = t.kernel.working_copy_get(t.scope, SAMPLE, "one").await.unwrap();
        assert_eq!((copy.spec, copy.base_revision, copy.changed), (json!({ "count": 2 }), Some(2), false));
    }

    async fn metadata_alone_changes_no_revision(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let context = t.context();
        t.kernel.apply(&context, vec![document("one", json!({}))], String::new(), None).await.unwrap();
        let mut described = document("one", json!({}));
        described.metadata.description = "what it is".into();
        let (applied, _) = t.kernel.apply(&context, vec![described], String::new(), None).await.unwrap();
        assert_eq!((applied[0].outcome, applied[0].revision), (ApplyOutcome::Changed, Some(1)));
        assert_eq!(applied[0].changes[0].pointer, "/metadata/description");
    }

    async fn one_bad_document_keeps_the_good_ones_out(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let rows = t.number(ROWS).await;
        let documents = vec![
            document("good", json!({ "count": 1 })),
            document("bad", json!({ "count": -1, "also": -2 })),
            document_of("Unheard", "x", json!({})),
            document("typed", json!({ "count": "many" })),
            document("good", json!({ "count": 2 })),
        ];
        for publish in [None, Some(key_of("apply", "x"))] {
            let refused = t.kernel.apply(&t.context(), documents.clone(), String::new(), publish).await.unwrap_err();
            assert_eq!(refused.kind, ErrorKind::Invalid);
            let found: Vec<(Option<usize>, &str, &str)> =
                refused.violations.iter().map(|v| (v.document, v.pointer.as_str(), v.code.as_str())).collect();
            assert_eq!(found, [
                (Some(1), "/spec/count", "negative"),
                (Some(1), "/spec/also", "negative"),
                (Some(2), "/kind", "unknown_kind"),
                (Some(3), "/spec/count", "wrong_type"),
                (Some(4), "/metadata/name", "duplicate_document"),
            ]);
        }
        assert_eq!(t.number(ROWS).await, rows);
    }

    async fn a_conflict_in_the_last_document_undoes_the_first(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let context = t.context();
        t.kernel.apply(&context, vec![document("old", json!({}))], String::new(), None).await.unwrap();
        let archived = qd_core::state::ResourceState::Archived;
        t.kernel.resource_set_state(&context, &*t.sample(), "old", None, archived).await.unwrap();
        let rows = t.number(ROWS).await;
        let documents = vec![document("new", json!({})), document("old", json!({ "count": 1 }))];
        let refused = t.kernel.apply(&context, documents, String::new(), None).await.unwrap_err();
        assert_eq!(refused.code, "resource_archived");
        assert_eq!(t.number(ROWS).await, rows);
    }

    async fn a_dry_run_says_what_applying_does_and_writes_nothing(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let context = t.context();
        let seed = vec![document("same", json!({ "count": 1 })), document("other", json!({ "count": 1 }))];
        t.kernel.apply(&context, seed, String::new(), None).await.unwrap();
        let documents = vec![
            document("same", json!({ "count": 1 })),
            document("other", json!({ "count": 2 })),
            document("new", json!({ "count": 3 })),
        ];
        let rows = t.number(ROWS).await;
        let (said, preview) = t.kernel.apply_dry_run(&context, documents.clone(), false).await.unwrap();
        let steps: Vec<&str> = preview.plan.steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(steps, ["revise:samples/other", "revise:samples/new"]);
        assert_eq!(t.number(ROWS).await, rows, "a dry run writes nothing");
        let (done, _) = t.kernel.apply(&context, documents, String::new(), None).await.unwrap();
        let outcomes = [ApplyOutcome::Unchanged, ApplyOutcome::Changed, ApplyOutcome::Created];
        for ((said, done), outcome) in said.iter().zip(&done).zip(outcomes) {
            assert_eq!((said.outcome, done.outcome), (outcome, outcome), "{}", said.name);
            assert_eq!(said.changes, done.changes, "{}", said.name);
        }
    }

    async fn a_repeat_with_the_same_key_writes_nothing(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        let context = t.context();
        let apply = async |spec, key| t.kernel.apply(&context, vec![document("one", spec)], String::new(), key).await.unwrap();
        let (_, first) = apply(json!({ "count": 1 }), Some(key_of("k", "body"))).await;
        assert_eq!(t.job_ended(first.as_ref().unwrap().id).await.state, JobState::Succeeded);
        apply(json!({ "count": 2 }), None).await;
        let (applied, again) = apply(json!({ "count": 1 }), Some(key_of("k", "body"))).await;
        assert_eq!(again.unwrap().id, first.unwrap().id);
        assert_eq!((applied[0].outcome, applied[0].revision), (ApplyOutcome::Unchanged, Some(1)));
        assert_eq!(t.number("SELECT count(*) FROM revision").await, 2);
        let copy = t.kernel.working_copy_get(t.scope, SAMPLE, "one").await.unwrap();
        assert_eq!(copy.spec, json!({ "count": 2 }));
        let other = vec![document("one", json!({ "count": 3 }))];
        let mismatch = t.kernel.apply(&context, other, String::new(), Some(key_of("k", "other"))).await.unwrap_err();
        assert_eq!(mismatch.code, "idempotency_mismatch");
    }

    async fn sixteen_first_applies_of_one_document_all_succeed(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let context = t.context();
        let all = join_all((0..16).map(|_| t.kernel.apply(&context, vec![document("one", json!({}))], String::new(), None))).await;
        let outcomes: Vec<ApplyOutcome> = all.into_iter().map(|applied| applied.unwrap().0[0].outcome).collect();
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == ApplyOutcome::Created).count(), 1);
        assert_eq!(t.number("SELECT count(*) FROM revision").await, 1);
    }

    async fn sixteen_applies_at_once_with_one_key_are_one(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let context = t.context();
        let all = join_all((0..16).map(|_| {
            t.kernel.apply(&context, vec![document("one", json!({}))], String::new(), Some(key_of("k", "body")))
        }))
        .await;
        let ids: Vec<_> = all.into_iter().map(|applied| applied.unwrap().1.unwrap().id).collect();
        assert!(ids.iter().all(|id| *id == ids[0]));
        assert_eq!(t.number("SELECT count(*) FROM job").await, 1);
    }

    async fn apply_with_publish_is_one_job_for_all_that_is_not_published(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        let documents = vec![document("one", json!({})), document("two", json!({}))];
        let apply = async |key: &str| {
            let key = key_of(key, "same body");
            t.kernel.apply(&t.context(), documents.clone(), String::new(), Some(key)).await.unwrap().1
        };
        let job = t.job_ended(apply("first").await.unwrap().id).await;
        let steps: Vec<_> = job.steps.iter().map(|step| (step.name.as_str(), step.state)).collect();
        let done = StepState::Succeeded;
        assert_eq!(steps, [("publish:samples/one", done), ("publish:samples/two", done)]);
        assert_eq!(t.number("SELECT count(*) FROM resource WHERE published_number = 1").await, 2);
        assert_eq!(apply("first").await.unwrap().id, job.id, "a repeat");
        assert!(apply("second").await.is_none(), "both are published");
        assert!(apply("second").await.is_none(), "and a repeat of that finds no job that was never made");
    }

    async fn what_others_refer_to_is_published_first(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let documents = vec![
            document("last", json!({ "after": "middle" })),
            document("middle", json!({ "after": "first" })),
            document("first", json!({})),
        ];
        let (_, preview) = t.kernel.apply_dry_run(&t.context(), documents.clone(), true).await.unwrap();
        let targets: Vec<&str> = preview.plan.steps.iter().map(|step| step.target.as_str()).collect();
        assert_eq!(targets, ["samples/first", "samples/middle", "samples/last"]);
        let mut circle = documents;
        circle[2] = document("first", json!({ "after": "last" }));
        let refused = t.kernel.apply_dry_run(&t.context(), circle, true).await.unwrap_err();
        assert_eq!(refused.violations[0].code, "circular_documents");
    }

    async fn when_one_cannot_be_published_those_before_it_go_back(db: TestDatabase) {
        let mut t = TestKernel::start(&db).await;
        t.published("kept", json!({ "count": 1 })).await;
        let documents =
            vec![document("fresh", json!({ "count": 1 })), document("kept", json!({ "count": 2 })), document("put-away", json!({}))];
        let held = TestKernel::build().store(&t.kernel.store).idle().on(&db).await;
        t.stopping_tasks().await;
        let (_, job) = held.kernel.apply(&held.context(), documents, String::new(), Some(key_of("k", "b"))).await.unwrap();
        let kind = held.sample();
        held.kernel
            .resource_set_state(&held.context(), &*kind, "put-away", None, ResourceState::Archived)
            .await
            .unwrap();
        let worker = TestKernel::build().store(&held.kernel.store).on(&db).await;
        let job = worker.job_ended(job.unwrap().id).await;
        assert_eq!((job.state, job.error.as_ref().unwrap().code.as_str()), (JobState::Undone, "resource_archived"));
        let states: Vec<StepState> = job.steps.iter().map(|step| step.state).collect();
        assert_eq!(states, [StepState::Undone, StepState::Undone, StepState::Failed]);
        let published = async |name: &str| {
            let resource = worker.kernel.resource_get(worker.scope, SAMPLE, name).await.unwrap();
            match resource.published {
                Some(published) => Some(worker.kernel.revision_get(worker.scope, SAMPLE, name, published.number).await.unwrap().spec),
                None => None,
            }
        };
        assert_eq!(published("fresh").await, None, "what was never published is no more");
        assert_eq!(published("kept").await, Some(json!({ "count": 1 })), "the old spec is back");
        assert_eq!(t.number("SELECT count(*) FROM job_lock WHERE job_id IS NOT NULL").await, 0);

        // What was taken back can be applied again: its spec comes as a new revision.
        let again = vec![document("fresh", json!({ "count": 1 }))];
        let (applied, preview) = worker.kernel.apply_dry_run(&worker.context(), again.clone(), true).await.unwrap();
        assert_eq!((applied[0].revision, preview.plan.steps.len()), (Some(2), 1));
        let (applied, job) =
            worker.kernel.apply(&worker.context(), again, String::new(), Some(key_of("again", "b"))).await.unwrap();
        assert_eq!(applied[0].revision, Some(2));
        assert_eq!(worker.job_ended(job.unwrap().id).await.state, JobState::Succeeded);
        assert_eq!(published("fresh").await, Some(json!({ "count": 1 })));
    }
}
