//! Reviews: what a project publishes only after somebody else has approved it, whichever way it is asked for.

use futures::future::join_all;
use qd_core::error::{Error, ErrorKind, Result};
use qd_core::state::{JobState, RevisionState};
use qd_kernel::access::bindings::Binding;
use qd_kernel::access::matrix::Level;
use qd_kernel::access::sharing::{Held, Share};
use qd_kernel::access::{PLATFORM_ADMIN, TENANT_ADMIN, VIEWER};
use qd_kernel::apply::apply_request;
use qd_kernel::context::{Context, PrincipalKind, Scope};
use qd_kernel::credentials::Identity;
use qd_kernel::credentials::accounts::NewUser;
use qd_kernel::page::PageRequest;
use qd_kernel::reviews::{ApprovalFrom, InboxWhat, NewComment, ReviewMode, ReviewState};
use qd_kernel::revisions::{Revision, publish_request};
use qd_kernel::tenants::admin::{Patch, ProjectInfo};
use qd_testkit::kernel::key;
use qd_testkit::sample::{SAMPLE, document, document_of};
use qd_testkit::{ManualClock, TestKernel, both_stores, eventually};
use serde_json::json;

fn code<T>(answer: Result<T, Error>) -> &'static str {
    answer.err().map_or("fine", |error| error.code)
}

async fn set(t: &TestKernel, patch: Patch) -> Result<ProjectInfo> {
    let tenant = Context { scope: t.scope.of_tenant(), ..t.context() };
    let page = t.kernel.project_list(t.scope, None, PageRequest::first(9)).await.unwrap();
    let version = page.items.iter().find(|project| project.name == "default").unwrap().version;
    t.kernel.project_update(&tenant, "default", version, patch).await
}

async fn review_is(t: &TestKernel, mode: ReviewMode) {
    let patch = Patch { review: Some(mode), reason: "four eyes".into(), ..Patch::default() };
    assert_eq!(set(t, patch).await.unwrap().review, mode);
}

async fn revised(t: &TestKernel, by: &str, count: i64) -> i64 {
    let documents = vec![document("one", json!({ "count": count }))];
    let by = t.context_as(by, PLATFORM_ADMIN);
    t.kernel.apply(&by, documents, String::new(), None).await.unwrap().0[0].revision.unwrap()
}

async fn submit(t: &TestKernel, by: &str, number: i64) -> Result<Revision> {
    let by = t.context_as(by, PLATFORM_ADMIN);
    t.kernel.revision_submit(&by, &*t.sample(), "one", number, "please look".into()).await
}

async fn hash(t: &TestKernel, number: i64) -> String {
    let seen =
        t.kernel.review_get(&t.context_as("reader", VIEWER), &*t.sample(), "one", number).await.unwrap();
    seen.hash.unwrap()
}

async fn approve(t: &TestKernel, by: &str, number: i64) -> Result<Revision> {
    let hash = hash(t, number).await;
    let by = t.context_as(by, PLATFORM_ADMIN);
    t.kernel.revision_approve(&by, &*t.sample(), "one", number, hash, "fine".into()).await
}

async fn publish(t: &TestKernel, number: Option<i64>) -> Result<qd_kernel::jobs::Job> {
    t.kernel.revision_publish(&t.context(), &*t.sample(), "one", number, String::new(), key()).await
}

async fn state(t: &TestKernel, number: i64) -> RevisionState {
    t.kernel.revision_get(t.scope, SAMPLE, "one", number).await.unwrap().summary.state
}

async fn published(t: &TestKernel) -> Option<i64> {
    t.kernel.resource_get(t.scope, SAMPLE, "one").await.unwrap().published.map(|published| published.number)
}

/// A project that wants reviews, with a published revision and a draft above it.
async fn with_draft(db: &qd_testkit::TestDatabase) -> (TestKernel, i64) {
    let t = TestKernel::start(db).await;
    t.published("one", json!({ "count": 1 })).await;
    review_is(&t, ReviewMode::Required).await;
    let number = revised(&t, "ann", 2).await;
    (t, number)
}

both_stores! {
    async fn what_was_approved_is_published_and_nothing_else(db: TestDatabase) {
        let (t, n) = with_draft(&db).await;
        let early = publish(&t, Some(n)).await.unwrap_err();
        assert_eq!((early.kind, early.code), (ErrorKind::Conflict, "review_required"));
        assert!(early.detail.contains("qd submit samples/one --revision 2"), "{}", early.detail);
        assert_eq!(submit(&t, "ann", n).await.unwrap().summary.state, RevisionState::InReview);
        assert_eq!(code(publish(&t, Some(n)).await), "review_required");
        assert_eq!(code(submit(&t, "ann", n).await), "illegal_revision_move");
        assert_eq!(approve(&t, "bob", n).await.unwrap().summary.state, RevisionState::Approved);
        let job = publish(&t, None).await.unwrap();
        assert_eq!(t.job_ended(job.id).await.state, JobState::Succeeded);
        assert_eq!((published(&t).await, state(&t, 1).await), (Some(2), RevisionState::Superseded));
        let seen = t.kernel.review_get(&t.context(), &*t.sample(), "one", n).await.unwrap();
        let review = &seen.reviews[0];
        assert_eq!((review.state, review.decided_by.as_deref()), (ReviewState::Published, Some("bob")));
        let other = revised(&t, "ann", 3).await;
        assert_eq!(code(publish(&t, Some(other)).await), "review_required", "other content wants another approval");
    }

    async fn nobody_approves_what_he_had_a_hand_in(db: TestDatabase) {
        let (t, n) = with_draft(&db).await;
        submit(&t, "sam", n).await.unwrap();
        for author in ["ann", "sam"] {
            let own = approve(&t, author, n).await.unwrap_err();
            assert_eq!((own.kind, own.code), (ErrorKind::Forbidden, "own_revision"), "{author}");
        }
        let on_behalf = Context { on_behalf_of: Some("ann".into()), ..t.context_as("gateway", PLATFORM_ADMIN) };
        let hash = hash(&t, n).await;
        let asked = t.kernel.revision_approve(&on_behalf, &*t.sample(), "one", n, hash.clone(), String::new()).await;
        assert_eq!(code(asked), "own_revision");
        let mut robot = t.context_as("robot", PLATFORM_ADMIN);
        robot.principal.kind = PrincipalKind::Service;
        let asked = t.kernel.revision_approve(&robot, &*t.sample(), "one", n, hash.clone(), String::new()).await;
        assert_eq!(code(asked), "persons_only");
        let viewer = t.context_as("vera", VIEWER);
        let asked = t.kernel.revision_approve(&viewer, &*t.sample(), "one", n, hash, String::new()).await;
        assert_eq!(code(asked), "action_denied");

        // Who wrote the draft is an author whoever cuts it, and so is whoever wrote what it builds on.
        let copy = t.kernel.working_copy_get(t.scope, SAMPLE, "one").await.unwrap();
        let eve = t.context_as("eve", PLATFORM_ADMIN);
        t.kernel.working_copy_put(&eve, &*t.sample(), "one", copy.version, json!({ "count": 9 })).await.unwrap();
        let cut = t.kernel.revision_create(&t.context_as("max", PLATFORM_ADMIN), &*t.sample(), "one", String::new()).await;
        let n = cut.unwrap().summary.number;
        submit(&t, "max", n).await.unwrap();
        for author in ["eve", "max", "ann", "sam"] {
            assert_eq!(code(approve(&t, author, n).await), "own_revision", "{author}");
        }
        approve(&t, "bob", n).await.unwrap();
    }

    /// A rollback leaves the working copy, and with it whoever wrote what is in it.
    async fn a_rollback_in_between_makes_nobody_a_stranger_to_his_own_content(db: TestDatabase) {
        let (t, n) = with_draft(&db).await;
        let as_one = |name: &str| t.context_as(name, PLATFORM_ADMIN);
        let rolled_back = async || {
            let back = t.kernel.revision_rollback(&as_one("bob"), &*t.sample(), "one", 1, "as it was".into(), key()).await;
            t.job_ended(back.unwrap().id).await;
            let newest = t.kernel.resource_get(t.scope, SAMPLE, "one").await.unwrap().latest_revision.unwrap().number;
            approve(&t, "dave", newest).await.unwrap();
            assert_eq!(t.job_ended(publish(&t, Some(newest)).await.unwrap().id).await.state, JobState::Succeeded);
        };
        let put = async |name: &str, count: i64| {
            let copy = t.kernel.working_copy_get(t.scope, SAMPLE, "one").await.unwrap();
            let spec = json!({ "count": count });
            t.kernel.working_copy_put(&as_one(name), &*t.sample(), "one", copy.version, spec).await.unwrap();
        };
        let cut = async |name: &str| {
            let cut = t.kernel.revision_create(&as_one(name), &*t.sample(), "one", String::new()).await;
            let number = cut.unwrap().summary.number;
            submit(&t, name, number).await.unwrap();
            number
        };
        // What Ann cut is rejected, and Carol goes on from it.
        submit(&t, "ann", n).await.unwrap();
        t.kernel.revision_reject(&as_one("bob"), &*t.sample(), "one", n, "no".into()).await.unwrap();
        rolled_back().await;
        put("carol", 7).await;
        let of_both = cut("carol").await;
        assert_eq!(code(approve(&t, "ann", of_both).await), "own_revision");
        approve(&t, "bob", of_both).await.unwrap();
        assert_eq!(t.job_ended(publish(&t, Some(of_both)).await.unwrap().id).await.state, JobState::Succeeded);
        // What Ann wrote nobody had cut before.
        put("ann", 8).await;
        rolled_back().await;
        let anns = cut("carol").await;
        assert_eq!(code(approve(&t, "ann", anns).await), "own_revision");
        approve(&t, "bob", anns).await.unwrap();
    }

    async fn a_service_counts_as_those_who_answer_for_it(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        let platform = Context { scope: Scope::PLATFORM, ..t.context_as("ann", PLATFORM_ADMIN) };
        let robot = NewUser { name: "robot".into(), display_name: String::new(), service: true, password_hash: None };
        let robot = t.kernel.user_create(&platform, robot).await.unwrap().0;
        let mut acting = t.context_as("robot", PLATFORM_ADMIN);
        (acting.principal.id, acting.principal.kind) = (robot.id, PrincipalKind::Service);
        t.kernel.apply(&acting, vec![document("one", json!({ "count": 1 }))], String::new(), None).await.unwrap();
        t.kernel.revision_submit(&acting, &*t.sample(), "one", 1, String::new()).await.unwrap();
        assert_eq!(code(approve(&t, "ann", 1).await), "own_revision");
        approve(&t, "bob", 1).await.unwrap();
    }

    async fn a_rejection_and_a_withdrawal_want_a_reason(db: TestDatabase) {
        let (t, n) = with_draft(&db).await;
        let (ann, bob, kind) = (t.context_as("ann", PLATFORM_ADMIN), t.context_as("bob", PLATFORM_ADMIN), t.sample());
        let withdraw = |by: Context, why: &'static str| {
            let (t, kind) = (&t, &kind);
            async move { t.kernel.revision_withdraw(&by, &**kind, "one", n, why.into()).await }
        };
        assert_eq!(code(withdraw(ann.clone(), "not yet").await), "illegal_revision_move", "a draft is not in review");
        submit(&t, "ann", n).await.unwrap();
        let refused = withdraw(ann.clone(), " ").await.unwrap_err();
        assert_eq!((refused.kind, refused.code), (ErrorKind::Malformed, "reason_required"));
        assert_eq!(code(withdraw(bob.clone(), "mine").await), "not_its_author");
        assert_eq!(withdraw(ann.clone(), "not yet").await.unwrap().summary.state, RevisionState::Draft);
        submit(&t, "ann", n).await.unwrap();
        let reject = |why: &'static str| t.kernel.revision_reject(&bob, &*kind, "one", n, why.into());
        assert_eq!(code(reject("").await), "reason_required");
        assert_eq!(reject("too much").await.unwrap().summary.state, RevisionState::Rejected);
        for after in [code(submit(&t, "ann", n).await), code(reject("again").await), code(withdraw(ann, "x").await)] {
            assert_eq!(after, "illegal_revision_move");
        }
        assert_eq!(code(publish(&t, Some(n)).await), "illegal_revision_move");
        let seen = t.kernel.review_get(&bob, &*kind, "one", n).await.unwrap();
        let states: Vec<ReviewState> = seen.reviews.iter().map(|review| review.state).collect();
        assert_eq!(states, [ReviewState::Rejected, ReviewState::Withdrawn]);
        assert!(seen.plan.is_none() && seen.reviews[0].decision.as_deref() == Some("too much"));
        // The same content comes back as another revision.
        assert_eq!(revised(&t, "ann", 2).await, n);
        let documents = vec![document("one", json!({ "count": 2 }))];
        let (applied, _) = t.kernel.apply(&t.context_as("ann", PLATFORM_ADMIN), documents, String::new(), Some(key())).await.unwrap();
        assert_eq!((applied[0].revision, state(&t, n + 1).await), (Some(n + 1), RevisionState::InReview));
    }

    async fn an_approval_can_be_taken_back_until_it_is_used(db: TestDatabase) {
        let (t, n) = with_draft(&db).await;
        submit(&t, "ann", n).await.unwrap();
        approve(&t, "bob", n).await.unwrap();
        let bob = t.context_as("bob", PLATFORM_ADMIN);
        t.kernel.revision_reject(&bob, &*t.sample(), "one", n, "on second thoughts".into()).await.unwrap();
        assert_eq!(code(publish(&t, Some(n)).await), "illegal_revision_move");
    }

    async fn an_approval_is_of_the_hash_that_was_seen(db: TestDatabase) {
        let (t, n) = with_draft(&db).await;
        submit(&t, "ann", n).await.unwrap();
        let (bob, seen, kind) = (t.context_as("bob", PLATFORM_ADMIN), hash(&t, n).await, t.sample());
        let decide = |hash: String| t.kernel.revision_approve(&bob, &*kind, "one", n, hash, String::new());
        assert_eq!(code(decide("sha256:0".into()).await), "plan_hash_mismatch");
        // Another revision is published below it meanwhile: what was seen is not what would be done.
        let other = revised(&t, "max", 3).await;
        submit(&t, "max", other).await.unwrap();
        approve(&t, "bob", other).await.unwrap();
        t.job_ended(publish(&t, Some(other)).await.unwrap().id).await;
        assert_eq!(code(decide(seen).await), "plan_hash_mismatch");
        assert_eq!(approve(&t, "bob", n).await.unwrap().summary.state, RevisionState::Approved);
    }

    async fn an_approval_goes_stale_when_another_revision_is_published(db: TestDatabase) {
        let (t, n) = with_draft(&db).await;
        let other = revised(&t, "max", 3).await;
        for (by, number) in [("ann", n), ("max", other)] {
            submit(&t, by, number).await.unwrap();
            approve(&t, "bob", number).await.unwrap();
        }
        // Both are asked for: the second was approved against what is published now, and no longer when its turn comes.
        let (first, second) = (publish(&t, Some(other)).await.unwrap(), publish(&t, Some(n)).await);
        assert_eq!(t.job_ended(first.id).await.state, JobState::Succeeded);
        match second {
            Ok(second) => {
                let second = t.job_ended(second.id).await;
                assert_eq!((second.state, second.error.unwrap().code), (JobState::Failed, "review_required".into()));
            }
            Err(error) => assert!(matches!(error.code, "approval_stale" | "review_required"), "{error:?}"),
        }
        assert_eq!((published(&t).await, state(&t, n).await), (Some(other), RevisionState::Draft));
        let seen = t.kernel.review_get(&t.context(), &*t.sample(), "one", n).await.unwrap();
        assert_eq!(seen.reviews[0].state, ReviewState::Stale);
        assert_eq!(seen.reviews[0].decision.as_deref(), Some("the published revision went from 1 to 3"));
        let recorded = "SELECT count(*) FROM audit WHERE action = 'reviews.stale' AND reason = 'the published revision went from 1 to 3'";
        assert_eq!(t.number(recorded).await, 1);
        submit(&t, "ann", n).await.unwrap();
        approve(&t, "bob", n).await.unwrap();
        assert_eq!(t.job_ended(publish(&t, Some(n)).await.unwrap().id).await.state, JobState::Succeeded);
    }

    async fn what_moved_since_the_approval_is_named(db: TestDatabase) {
        let (t, n) = with_draft(&db).await;
        submit(&t, "ann", n).await.unwrap();
        approve(&t, "bob", n).await.unwrap();
        // As a restored database or a repair by hand leaves it.
        let moved = t.kernel.store.write(|tx| tx.exec("UPDATE resource SET published_number = NULL", &[])).await;
        moved.unwrap();
        let refused = publish(&t, Some(n)).await.unwrap_err();
        assert_eq!((refused.kind, refused.code), (ErrorKind::Conflict, "approval_stale"));
        assert!(refused.detail.contains("samples/one published revision: from 1 to nothing"), "{}", refused.detail);
        assert_eq!(refused.violations.len(), 1);
        assert_eq!(state(&t, n).await, RevisionState::Draft);
    }

    async fn an_approval_expires(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let t = TestKernel::build().clock(&clock).on(&db).await;
        review_is(&t, ReviewMode::Required).await;
        revised(&t, "ann", 1).await;
        submit(&t, "ann", 1).await.unwrap();
        approve(&t, "bob", 1).await.unwrap();
        clock.advance(t.kernel.options.plan_ttl);
        assert_eq!(code(publish(&t, None).await), "approval_stale");
        assert_eq!(state(&t, 1).await, RevisionState::Draft);
        let recorded = "SELECT count(*) FROM audit WHERE action = 'reviews.stale' AND actor = 'tester' AND object_name = 'one'";
        assert_eq!(t.number(recorded).await, 1, "who found it out, and that it holds no more");
    }

    async fn apply_and_rollback_submit_where_review_is_required(db: TestDatabase) {
        let (t, _) = with_draft(&db).await;
        let (context, kind) = (t.context_as("ann", PLATFORM_ADMIN), t.sample());
        let documents = || vec![document("one", json!({ "count": 5 })), document("two", json!({ "count": 6 }))];
        let (planned, preview) = t.kernel.apply_dry_run(&context, documents(), true).await.unwrap();
        assert!(planned.iter().all(|item| item.waits_for_review));
        let steps: Vec<&str> = preview.plan.steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(steps, ["submit:samples/one", "submit:samples/two"]);
        let (applied, job) = t.kernel.apply(&context, documents(), "both".into(), Some(key())).await.unwrap();
        assert!(applied.iter().all(|item| item.waits_for_review));
        let job = t.job_ended(job.unwrap().id).await;
        assert_eq!(job.state, JobState::Succeeded, "{:?}", job.error);
        assert_eq!((published(&t).await, state(&t, 3).await), (Some(1), RevisionState::InReview));
        // Asked again, there is nothing to do.
        let (again, job) = t.kernel.apply(&context, documents(), "both".into(), Some(key())).await.unwrap();
        assert!(job.is_none() && again.iter().all(|item| item.waits_for_review));
        assert_eq!(code(approve(&t, "ann", 3).await), "own_revision");
        approve(&t, "bob", 3).await.unwrap();
        assert_eq!(t.job_ended(publish(&t, Some(3)).await.unwrap().id).await.state, JobState::Succeeded);

        let back = t.kernel.revision_rollback(&context, &*kind, "one", 1, "three is broken".into(), key()).await.unwrap();
        assert_eq!(t.job_ended(back.id).await.state, JobState::Succeeded);
        assert_eq!((published(&t).await, state(&t, 4).await), (Some(3), RevisionState::InReview));
        assert_eq!(code(approve(&t, "ann", 4).await), "own_revision");
        assert_eq!(code(approve(&t, "tester", 4).await), "own_revision", "its content is whose revision 1 was");
        approve(&t, "bob", 4).await.unwrap();
        assert_eq!(t.job_ended(publish(&t, Some(4)).await.unwrap().id).await.state, JobState::Succeeded);
    }

    /// What was asked for while nothing was reviewed is not published any more once the project wants reviews.
    async fn a_plan_or_a_job_from_before_does_not_get_around_the_review(db: TestDatabase) {
        let mut t = TestKernel::build().idle().on(&db).await;
        revised(&t, "ann", 1).await;
        let plan = t.kernel.plan_create(&t.context(), publish_request(&*t.sample(), "one", None, String::new())).await.unwrap();
        let apply = apply_request(vec![document("two", json!({ "count": 1 }))], String::new(), true);
        let apply = t.kernel.plan_create(&t.context(), apply).await.unwrap();
        let job = publish(&t, Some(1)).await.unwrap();
        review_is(&t, ReviewMode::Required).await;
        for id in [plan.id, apply.id] {
            assert_eq!(code(t.kernel.plan_apply(&t.context(), id, key()).await), "plan_stale");
        }
        let asked = publish_request(&*t.sample(), "one", None, String::new());
        assert_eq!(code(t.kernel.plan_create(&t.context(), asked.clone()).await), "review_required");
        assert_eq!(code(t.kernel.change_preview(&t.context(), &asked).await), "review_required");
        t.start_tasks().await;
        let job = t.job_ended(job.id).await;
        assert_eq!((job.state, job.error.unwrap().code), (JobState::Failed, "review_required".into()));
        assert_eq!((published(&t).await, state(&t, 1).await), (None, RevisionState::Draft));
        review_is(&t, ReviewMode::None).await;
        assert_eq!(t.job_ended(publish(&t, None).await.unwrap().id).await.state, JobState::Succeeded);
    }

    async fn of_those_who_decide_at_once_one_wins(db: TestDatabase) {
        let (t, n) = with_draft(&db).await;
        submit(&t, "ann", n).await.unwrap();
        let reviewers: Vec<String> = (0..6).map(|i| format!("reviewer-{i}")).collect();
        let decided = join_all(reviewers.iter().map(|by| approve(&t, by, n))).await;
        assert_eq!(decided.iter().filter(|one| one.is_ok()).count(), 1);
        assert!(decided.into_iter().filter_map(Result::err).all(|error| error.code == "illegal_revision_move"));
        assert_eq!(t.number("SELECT count(*) FROM plan WHERE state = 'approved'").await, 1);

        for round in 0..6 {
            let n = revised(&t, "ann", 10 + round).await;
            submit(&t, "ann", n).await.unwrap();
            let (ann, bob, seen) = (t.context_as("ann", PLATFORM_ADMIN), t.context_as("bob", PLATFORM_ADMIN), hash(&t, n).await);
            let kind = t.sample();
            let (yes, no) = tokio::join!(
                t.kernel.revision_approve(&bob, &*kind, "one", n, seen, String::new()),
                t.kernel.revision_reject(&ann, &*kind, "one", n, "no".into()),
            );
            let now = state(&t, n).await;
            match (yes, no) {
                (Err(late), Ok(_)) => assert_eq!((late.code, now), ("illegal_revision_move", RevisionState::Rejected)),
                // What was approved may still be rejected after it.
                (Ok(_), Ok(_)) => assert_eq!(now, RevisionState::Rejected),
                other => panic!("{other:?}"),
            }
            let n = revised(&t, "ann", 100 + round).await;
            submit(&t, "ann", n).await.unwrap();
            let seen = hash(&t, n).await;
            let (yes, back) = tokio::join!(
                t.kernel.revision_approve(&bob, &*kind, "one", n, seen, String::new()),
                t.kernel.revision_withdraw(&ann, &*kind, "one", n, "not yet".into()),
            );
            let (won, late) = match (yes, back) {
                (Ok(_), Err(late)) => (RevisionState::Approved, late),
                (Err(late), Ok(_)) => (RevisionState::Draft, late),
                other => panic!("{other:?}"),
            };
            assert_eq!((late.code, state(&t, n).await), ("illegal_revision_move", won));
        }
    }

    async fn what_is_said_of_a_revision_stays(db: TestDatabase) {
        let (t, n) = with_draft(&db).await;
        let say = |body: &str, pointer: Option<&str>| {
            let new = NewComment { body: body.into(), pointer: pointer.map(Into::into) };
            let by = t.context_as("bob", PLATFORM_ADMIN);
            let t = &t;
            async move { t.kernel.comment_add(&by, &*t.sample(), "one", n, new).await }
        };
        assert_eq!(code(say(" ", None).await), "bad_comment");
        assert_eq!(code(say(&"x".repeat(10_001), None).await), "bad_comment");
        for nowhere in ["/nothing", "count", ""] {
            let fine = nowhere.is_empty();
            assert_eq!(code(say("why?", Some(nowhere)).await), if fine { "fine" } else { "bad_pointer" }, "{nowhere}");
        }
        say("is two enough?", Some("/count")).await.unwrap();
        let page = t.kernel.comment_list(t.scope, SAMPLE, "one", n, PageRequest::first(1)).await.unwrap();
        assert_eq!(page.items[0].body, "why?");
        let next = PageRequest::new(Some(5), page.next_cursor.as_deref()).unwrap();
        let rest = t.kernel.comment_list(t.scope, SAMPLE, "one", n, next).await.unwrap().items;
        assert_eq!((rest.len(), rest[0].author.as_str(), rest[0].pointer.as_deref()), (1, "bob", Some("/count")));
        assert_eq!(code(t.kernel.comment_list(t.scope, SAMPLE, "one", 99, PageRequest::first(1)).await), "revision_not_found");
    }

    async fn an_inbox_has_what_waits_for_one_in_all_projects_where_one_may(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({ "count": 1 })).await;
        let tenant = Context { scope: t.scope.of_tenant(), ..t.context() };
        t.kernel.project_create(&tenant, "lab", "").await.unwrap();
        let lab = t.kernel.scope_find(None, Some("lab")).await.unwrap().scope;
        let in_lab = Context { scope: lab, ..t.context_as("ann", PLATFORM_ADMIN) };
        let documents = vec![document("far", json!({ "count": 1 }))];
        t.kernel.apply(&in_lab, documents, String::new(), None).await.unwrap();
        t.kernel.revision_submit(&in_lab, &*t.sample(), "far", 1, "in the lab".into()).await.unwrap();
        let n = revised(&t, "ann", 2).await;
        submit(&t, "ann", n).await.unwrap();
        let patch = Patch { approval_from: Some(ApprovalFrom::Medium), reason: "why not".into(), ..Patch::default() };
        set(&t, patch).await.unwrap();
        let request = publish_request(&*t.sample(), "one", Some(n), String::new());
        assert_eq!(code(t.kernel.plan_create(&t.context_as("ann", PLATFORM_ADMIN), request).await), "review_required");
        let request = apply_request(vec![document("new", json!({}))], String::new(), true);
        t.kernel.plan_create(&t.context_as("ann", PLATFORM_ADMIN), request).await.unwrap();

        let holding = |name: &str, level: Level, object: uuid::Uuid| Identity {
            id: t.context().principal.id,
            name: name.into(),
            kind: PrincipalKind::User,
            bindings: [Binding { role: TENANT_ADMIN.into(), level, object_id: object, tenant_id: t.scope.tenant_id, team: None }].into(),
            teams: [].into(),
            held: [].into(),
            limits: None,
            credential_id: uuid::Uuid::nil(),
        };
        let of = async |identity: &Identity| {
            let page = t.kernel.inbox(identity, t.scope, PageRequest::first(50)).await.unwrap();
            page.items.into_iter().map(|item| (item.what, item.target)).collect::<Vec<_>>()
        };
        let bob = holding("bob", Level::Tenant, t.scope.tenant_id.uuid());
        let (review, plan) = (InboxWhat::Review, InboxWhat::Plan);
        let far = (review, "samples/far".to_owned());
        assert_eq!(of(&bob).await, [(plan, "samples/new".to_owned()), (review, "samples/one".to_owned()), far.clone()]);
        let counts = t.kernel.inbox_counts(&bob, t.scope).await.unwrap();
        assert_eq!((counts.review, counts.plan, counts.to_decide), (2, 1, 3));
        let first = t.kernel.inbox(&bob, t.scope, PageRequest::first(2)).await.unwrap();
        let next = PageRequest::new(Some(2), first.next_cursor.as_deref()).unwrap();
        assert_eq!(t.kernel.inbox(&bob, t.scope, next).await.unwrap().items[0].target, "samples/far");
        assert_eq!(of(&holding("lea", Level::Project, lab.project_id.uuid())).await, [far]);
        let ann = holding("ann", Level::Tenant, t.scope.tenant_id.uuid());
        assert_eq!(of(&ann).await, [], "nobody decides on what is his own");
        let mut robot = bob.clone();
        robot.kind = PrincipalKind::Service;
        assert_eq!(of(&robot).await, []);
        assert_eq!(of(&Identity { bindings: [].into(), ..bob.clone() }).await, []);

        approve(&t, "bob", n).await.unwrap();
        let bob_there = Context { scope: lab, ..t.context_as("bob", PLATFORM_ADMIN) };
        t.kernel.revision_reject(&bob_there, &*t.sample(), "far", 1, "too far".into()).await.unwrap();
        let own = [(InboxWhat::Approved, "samples/one".to_owned()), (InboxWhat::Rejected, "samples/far".to_owned())];
        assert_eq!(of(&ann).await, own);
    }

    async fn an_inbox_shows_what_policies_and_shares_show(db: TestDatabase) {
        let (t, n) = with_draft(&db).await;
        submit(&t, "ann", n).await.unwrap();
        let one = t.kernel.resource_get(t.scope, SAMPLE, "one").await.unwrap().id;
        let holding = |name: &str, role: Option<&str>, share: Option<Share>| {
            let binding = |role: &str| Binding {
                role: role.into(),
                level: Level::Tenant,
                object_id: t.scope.tenant_id.uuid(),
                tenant_id: t.scope.tenant_id,
                team: None,
            };
            let held = |share| Held {
                resource_id: one,
                project_id: t.scope.project_id,
                tenant_id: t.scope.tenant_id,
                share,
                team: None,
            };
            Identity {
                id: t.context().principal.id,
                name: name.into(),
                kind: PrincipalKind::User,
                bindings: role.map(binding).into_iter().collect(),
                teams: [].into(),
                held: share.map(held).into_iter().collect(),
                limits: None,
                credential_id: uuid::Uuid::nil(),
            }
        };
        let sees = async |identity: &Identity| {
            let page = t.kernel.inbox(identity, t.scope, PageRequest::first(50)).await.unwrap();
            page.items.len()
        };
        let bob = holding("bob", Some(TENANT_ADMIN), None);
        assert_eq!(sees(&bob).await, 1);
        assert_eq!(sees(&holding("olga", None, Some(Share::Owner))).await, 1, "it is hers");
        assert_eq!(sees(&holding("ed", None, Some(Share::Editor))).await, 0, "an editor does not review");
        let vera = holding("vera", Some(VIEWER), None);
        assert_eq!(sees(&vera).await, 0);
        let text = "forbid (principal == User::\"bob\", action in Action::\"read\", resource is Resource) when { resource.name == \"one\" };
            permit (principal == User::\"vera\", action == Action::\"samples.review\", resource is Resource);";
        let documents = vec![document_of("Policy", "secret", json!({ "cedar": text }))];
        t.kernel.apply(&t.context(), documents, String::new(), None).await.unwrap();
        let open = Patch { review: Some(ReviewMode::None), reason: "to publish it".into(), ..Patch::default() };
        set(&t, open).await.unwrap();
        let kind = t.kernel.registry.find_kind("Policy").unwrap().clone();
        let job = t.kernel.revision_publish(&t.context(), &*kind, "secret", None, String::new(), key()).await.unwrap();
        assert_eq!(t.job_ended(job.id).await.state, JobState::Succeeded);
        eventually("it is in force", async || (sees(&bob).await == 0).then_some(())).await;
        assert_eq!(sees(&vera).await, 1, "a policy makes her a reviewer");
    }

    async fn a_project_says_from_which_risk_on_a_second_person_is_wanted(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        let patch = Patch { approval_from: Some(ApprovalFrom::Medium), ..Patch::default() };
        assert_eq!(code(set(&t, patch.clone()).await), "reason_required");
        set(&t, Patch { reason: "a new team".into(), ..patch }).await.unwrap();
        assert_eq!(t.number("SELECT count(*) FROM audit WHERE action = 'projects.update' AND reason = 'a new team'").await, 1);
        revised(&t, "ann", 1).await;
        assert_eq!(code(publish(&t, None).await), "approval_required");
        let request = publish_request(&*t.sample(), "one", None, String::new());
        let plan = t.kernel.plan_create(&t.context(), request).await.unwrap();
        assert!(plan.needs_approval);
        let mut robot = t.context_as("robot", PLATFORM_ADMIN);
        robot.principal.kind = PrincipalKind::Service;
        assert_eq!(code(t.kernel.plan_approve(&robot, plan.id, plan.hash.clone(), String::new()).await), "persons_only");
        t.kernel.plan_approve(&t.context_as("bob", PLATFORM_ADMIN), plan.id, plan.hash, String::new()).await.unwrap();
        let job = t.kernel.plan_apply(&t.context(), plan.id, key()).await.unwrap().unwrap();
        assert_eq!(t.job_ended(job.id).await.state, JobState::Succeeded);
        // What a review approved has had its second person.
        let n = revised(&t, "ann", 2).await;
        submit(&t, "ann", n).await.unwrap();
        approve(&t, "bob", n).await.unwrap();
        assert_eq!(t.job_ended(publish(&t, Some(n)).await.unwrap().id).await.state, JobState::Succeeded);
    }
}
