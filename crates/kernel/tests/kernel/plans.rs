//! Plans: pure, stored, decided on by somebody else, applied by id, and refused with what moved.

use qd_core::error::ErrorKind;
use qd_core::plan::{GateState, Risk};
use qd_core::state::{JobState, PlanState, RunState};
use qd_kernel::access::{PIPELINE_DEV, PLATFORM_ADMIN, VIEWER};
use qd_kernel::apply::apply_request;
use qd_kernel::context::{Context, PrincipalKind, Scope};
use qd_kernel::credentials::accounts::NewUser;
use qd_kernel::page::PageRequest;
use qd_kernel::plans::PlanFilter;
use qd_kernel::revisions::{publish_request, rollback_request};
use qd_kernel::runs::start_request;
use qd_testkit::kernel::key;
use qd_testkit::sample::{SAMPLE, document};
use qd_testkit::{ManualClock, TestKernel, both_stores};
use serde_json::json;

const ROWS: &str = "SELECT (SELECT count(*) FROM audit) + (SELECT count(*) FROM job) + (SELECT count(*) FROM plan) + (SELECT count(*) FROM revision)";

async fn revised(t: &TestKernel, name: &str, count: i64) {
    let documents = vec![document(name, json!({ "count": count }))];
    t.kernel.apply(&t.context(), documents, String::new(), None).await.unwrap();
}

both_stores! {
    async fn the_same_inputs_give_the_same_bytes_and_nothing_is_written(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({ "count": 1 })).await;
        revised(&t, "one", 2).await;
        let request = publish_request(&*t.sample(), "one", None, String::new());
        let rows = t.number(ROWS).await;
        let first = t.kernel.change_preview(&t.context(), &request).await.unwrap();
        let second = t.kernel.change_preview(&t.context_as("looks", VIEWER), &request).await.unwrap();
        assert_eq!((serde_json::to_string(&first).unwrap(), &first.hash), (serde_json::to_string(&second).unwrap(), &second.hash));
        assert_eq!(t.number(ROWS).await, rows);
        insta::assert_json_snapshot!("a_plan_to_publish", first.plan);
    }

    async fn a_stored_plan_is_applied_once_and_its_job_holds_it(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({ "count": 1 })).await;
        revised(&t, "one", 2).await;
        let request = publish_request(&*t.sample(), "one", None, "because".into());
        let plan = t.kernel.plan_create(&t.context(), request).await.unwrap();
        assert_eq!((plan.state, plan.risk, plan.reason.as_str()), (PlanState::Open, Risk::Medium, "because"));
        let again = key();
        let job = t.kernel.plan_apply(&t.context(), plan.id, again.clone()).await.unwrap().unwrap();
        assert_eq!(t.job_ended(job.id).await.state, JobState::Succeeded);
        let repeat = t.kernel.plan_apply(&t.context(), plan.id, again).await.unwrap().unwrap();
        assert_eq!(repeat.id, job.id);
        let detail = t.kernel.job_detail(t.scope, job.id).await.unwrap();
        assert_eq!((detail.plan_id, detail.plan_hash.as_str(), &detail.plan), (Some(plan.id), plan.hash.as_str(), &plan.plan));
        let stored = t.kernel.plan_get(&t.context(), plan.id).await.unwrap();
        assert_eq!((stored.state, stored.job_id), (PlanState::Applied, Some(job.id)));
        let twice = t.kernel.plan_apply(&t.context(), plan.id, key()).await.unwrap_err();
        assert_eq!(twice.code, "plan_applied");
        assert_eq!(t.kernel.resource_get(t.scope, SAMPLE, "one").await.unwrap().published.unwrap().number, 2);
    }

    async fn applying_wants_its_own_right_beside_that_to_the_change(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let request = apply_request(vec![document("one", json!({}))], String::new(), true);
        let plan = t.kernel.plan_create(&t.context(), request).await.unwrap();
        let mut limited = t.context();
        let may = |actions: &[&str]| Some(actions.iter().map(|one| (*one).to_owned()).collect());
        limited.principal.limits = may(&["samples.*", "documents.apply", "plans.read"]);
        let refused = t.kernel.plan_apply(&limited, plan.id, key()).await.unwrap_err();
        assert_eq!(refused.code, "action_denied");
        assert!(refused.detail.contains("plans.apply"), "{refused}");
        limited.principal.limits = may(&["samples.*", "documents.apply", "plans.read", "plans.apply"]);
        assert!(t.kernel.plan_apply(&limited, plan.id, key()).await.unwrap().is_some());
    }

    async fn a_plan_that_publishes_nothing_is_applied(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        let request = |publish| apply_request(vec![document("one", json!({ "count": 1 }))], String::new(), publish);
        let plan = t.kernel.plan_create(&t.context(), request(false)).await.unwrap();
        let job = t.kernel.plan_apply(&t.context(), plan.id, key()).await.unwrap().unwrap();
        assert_eq!(t.job_ended(job.id).await.state, JobState::Succeeded);
        let one = t.kernel.resource_get(t.scope, SAMPLE, "one").await.unwrap();
        assert_eq!((one.latest_revision.unwrap().number, one.published.is_none()), (1, true));

        t.published("one", json!({ "count": 1 })).await;
        let plan = t.kernel.plan_create(&t.context(), request(true)).await.unwrap();
        assert!(plan.plan.steps.is_empty());
        assert!(t.kernel.plan_apply(&t.context(), plan.id, key()).await.unwrap().is_none(), "there is nothing to do");
        assert_eq!(t.kernel.plan_get(&t.context(), plan.id).await.unwrap().state, PlanState::Applied);
        let records = t.number("SELECT count(*) FROM audit a JOIN plan p ON p.hash = a.plan_hash WHERE a.action = 'documents.apply'").await;
        assert_eq!(records, 2, "each plan that was applied has its record");
    }

    async fn a_job_that_is_older_than_plans_is_shown(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({})).await;
        let job = t.run("one").await.0;
        t.kernel.store.write(|tx| tx.exec("UPDATE job SET plan = '{}', plan_hash = ''", &[])).await.unwrap();
        assert!(t.kernel.job_detail(t.scope, job.id).await.unwrap().plan.steps.is_empty());
    }

    async fn what_moved_is_refused_by_name(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({ "count": 1 })).await;
        revised(&t, "one", 2).await;
        let request = publish_request(&*t.sample(), "one", Some(2), String::new());
        let plan = t.kernel.plan_create(&t.context(), request).await.unwrap();
        t.published("one", json!({ "count": 3 })).await;
        let rows = t.number("SELECT count(*) FROM job").await;
        let refused = t.kernel.plan_apply(&t.context(), plan.id, key()).await.unwrap_err();
        assert_eq!((refused.kind, refused.code), (ErrorKind::Conflict, "plan_stale"));
        assert!(refused.detail.contains("samples/one published revision: from 1 to 3"), "{}", refused.detail);
        assert_eq!(t.number("SELECT count(*) FROM job").await, rows);
        let stale = t.kernel.plan_get(&t.context(), plan.id).await.unwrap();
        assert_eq!(stale.state, PlanState::Stale);
        assert!(stale.stale.unwrap().contains("from 1 to 3"));
    }

    async fn an_approval_is_somebody_elses_and_of_what_was_seen(db: TestDatabase) {
        let t = TestKernel::build().approval(Risk::Medium).on(&db).await;
        revised(&t, "one", 1).await;
        let request = || publish_request(&*t.sample(), "one", None, String::new());
        let direct = t.kernel.revision_publish(&t.context(), &*t.sample(), "one", None, String::new(), key()).await.unwrap_err();
        assert_eq!(direct.code, "approval_required");
        let plan = t.kernel.plan_create(&t.context(), request()).await.unwrap();
        assert!(plan.needs_approval && !plan.may_decide);
        let early = t.kernel.plan_apply(&t.context(), plan.id, key()).await.unwrap_err();
        assert_eq!(early.code, "approval_required");
        let own = t.kernel.plan_approve(&t.context(), plan.id, plan.hash.clone(), String::new()).await.unwrap_err();
        assert_eq!((own.kind, own.code), (ErrorKind::Forbidden, "own_plan"));
        let second = t.context_as("second", PLATFORM_ADMIN);
        let other = t.kernel.plan_approve(&second, plan.id, "another".into(), String::new()).await.unwrap_err();
        assert_eq!(other.code, "plan_hash_mismatch");
        assert!(t.kernel.plan_get(&second, plan.id).await.unwrap().may_decide);
        let approved = t.kernel.plan_approve(&second, plan.id, plan.hash.clone(), "looks right".into()).await.unwrap();
        assert!(!approved.may_decide, "once");
        assert_eq!((approved.state, approved.decided_by.as_deref(), approved.decision.as_deref()), (PlanState::Approved, Some("second"), Some("looks right")));
        let job = t.kernel.plan_apply(&t.context(), plan.id, key()).await.unwrap().unwrap();
        assert_eq!(t.job_ended(job.id).await.state, JobState::Succeeded);

        revised(&t, "one", 2).await;
        let plan = t.kernel.plan_create(&t.context(), request()).await.unwrap();
        assert_eq!(t.kernel.plan_reject(&second, plan.id, " ".into()).await.unwrap_err().code, "reason_required");
        t.kernel.plan_reject(&second, plan.id, "not now".into()).await.unwrap();
        let refused = t.kernel.plan_apply(&t.context(), plan.id, key()).await.unwrap_err();
        assert_eq!(refused.code, "plan_rejected");
        assert!(refused.detail.contains("second rejected this plan: not now"));
    }

    async fn approving_wants_the_right_to_review_what_is_published_or_to_do_the_rest(db: TestDatabase) {
        let t = TestKernel::build().approval(Risk::Low).on(&db).await;
        revised(&t, "one", 1).await;
        let publish = publish_request(&*t.sample(), "one", None, String::new());
        let documents = apply_request(vec![document("two", json!({}))], String::new(), true);
        let dev = t.context_as("dev", PIPELINE_DEV);
        for (request, wanted) in [(publish, "samples.review"), (documents, "samples.review")] {
            let plan = t.kernel.plan_create(&t.context(), request).await.unwrap();
            let refused = t.kernel.plan_approve(&dev, plan.id, plan.hash.clone(), String::new()).await.unwrap_err();
            assert_eq!((refused.kind, refused.code), (ErrorKind::Forbidden, "not_a_reviewer"));
            assert!(refused.detail.contains(wanted), "{refused}");
            assert!(!t.kernel.plan_get(&dev, plan.id).await.unwrap().may_decide);
            assert!(dev.denials.take().is_empty(), "it is one refusal, of approving");
            let second = t.context_as("second", PLATFORM_ADMIN);
            t.kernel.plan_approve(&second, plan.id, plan.hash.clone(), String::new()).await.unwrap();
            let job = t.kernel.plan_apply(&t.context(), plan.id, key()).await.unwrap().unwrap();
            assert_eq!(t.job_ended(job.id).await.state, JobState::Succeeded);
        }
        let start = start_request(&*t.sample(), "one", json!({}), None).unwrap();
        let plan = t.kernel.plan_create(&t.context(), start).await.unwrap();
        let refused = t.kernel.plan_approve(&dev, plan.id, plan.hash.clone(), String::new()).await.unwrap_err();
        assert!(refused.code == "not_a_reviewer" && refused.detail.contains("samples.run"), "{refused}");
        let refused = t.kernel.plan_reject(&dev, plan.id, "not now".into()).await.unwrap_err();
        assert_eq!(refused.code, "not_a_reviewer", "who may not judge it does not end it either");
        t.kernel.plan_reject(&t.context(), plan.id, "its author may".into()).await.unwrap();
    }

    async fn a_second_person_is_not_who_answers_for_the_service_that_made_the_plan(db: TestDatabase) {
        let t = TestKernel::build().approval(Risk::Medium).on(&db).await;
        let ann = t.context_as("ann", PLATFORM_ADMIN);
        let at_platform = Context { scope: Scope::PLATFORM, ..ann.clone() };
        let robot = NewUser { name: "robot".into(), display_name: String::new(), service: true, password_hash: None };
        let robot = t.kernel.user_create(&at_platform, robot).await.unwrap().0;
        let mut acting = t.context_as("robot", PLATFORM_ADMIN);
        (acting.principal.id, acting.principal.kind) = (robot.id, PrincipalKind::Service);
        revised(&t, "one", 1).await;
        let request = publish_request(&*t.sample(), "one", None, String::new());
        let plan = t.kernel.plan_create(&acting, request).await.unwrap();
        let own = t.kernel.plan_approve(&ann, plan.id, plan.hash.clone(), String::new()).await.unwrap_err();
        assert_eq!((own.kind, own.code), (ErrorKind::Forbidden, "own_plan"));
        let on_behalf = Context { on_behalf_of: Some("ann".into()), ..t.context_as("gate", PLATFORM_ADMIN) };
        let mut service = t.context_as("other", PLATFORM_ADMIN);
        service.principal.kind = PrincipalKind::Service;
        for (who, may) in [(&ann, false), (&on_behalf, false), (&service, false), (&t.context_as("bob", PLATFORM_ADMIN), true)] {
            assert_eq!(t.kernel.plan_get(who, plan.id).await.unwrap().may_decide, may, "{}", who.principal.name);
        }
        let own = t.kernel.plan_approve(&on_behalf, plan.id, plan.hash.clone(), String::new()).await.unwrap_err();
        assert_eq!(own.code, "own_plan");
        let bob = t.context_as("bob", PLATFORM_ADMIN);
        t.kernel.plan_approve(&bob, plan.id, plan.hash, String::new()).await.unwrap();
    }

    async fn a_plan_expires(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let t = TestKernel::build().clock(&clock).on(&db).await;
        t.published("one", json!({})).await;
        let request = start_request(&*t.sample(), "one", json!({}), None).unwrap();
        let plan = t.kernel.plan_create(&t.context(), request).await.unwrap();
        clock.advance(std::time::Duration::from_secs(8 * 24 * 3600));
        assert_eq!(t.kernel.plan_get(&t.context(), plan.id).await.unwrap().state, PlanState::Expired);
        assert_eq!(t.kernel.plan_apply(&t.context(), plan.id, key()).await.unwrap_err().code, "plan_expired");
        let listed = t.kernel.plan_list(t.scope, PlanFilter { state: Some(PlanState::Expired), ..PlanFilter::default() }, PageRequest::default()).await.unwrap();
        assert_eq!(listed.items.len(), 1);
    }

    async fn a_closed_gate_refuses_and_a_plan_shows_it(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({ "count": 1 })).await;
        revised(&t, "one", 2).await;
        t.kernel.store.write(|tx| tx.exec("UPDATE revision SET spec = '{\"count\":-1}' WHERE number = 2", &[])).await.unwrap();
        let request = publish_request(&*t.sample(), "one", Some(2), String::new());
        let preview = t.kernel.change_preview(&t.context(), &request).await.unwrap();
        assert_eq!((preview.plan.gates[0].name.as_str(), preview.plan.gates[0].state), ("spec", GateState::Fail));
        let refused = t.kernel.revision_publish(&t.context(), &*t.sample(), "one", Some(2), String::new(), key()).await.unwrap_err();
        assert_eq!((refused.kind, refused.code), (ErrorKind::Conflict, "gate_closed"));
        assert_eq!(refused.violations[0].pointer, "/gates/spec");
    }

    async fn every_move_of_a_resource_and_a_run_can_be_planned(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({ "count": 1 })).await;
        t.published("one", json!({ "count": 2 })).await;
        let rollback = rollback_request(&*t.sample(), "one", 1, "why not".into()).unwrap();
        let plan = t.kernel.plan_create(&t.context(), rollback).await.unwrap();
        let job = t.kernel.plan_apply(&t.context(), plan.id, key()).await.unwrap().unwrap();
        assert_eq!(t.job_ended(job.id).await.state, JobState::Succeeded);
        let start = start_request(&*t.sample(), "one", json!({}), None).unwrap();
        let plan = t.kernel.plan_create(&t.context(), start).await.unwrap();
        let job = t.kernel.plan_apply(&t.context(), plan.id, key()).await.unwrap().unwrap();
        // A plan to stop it rests on its state.
        let run = t.run_in(job.run_id.unwrap(), RunState::Running).await;
        assert_eq!((run.number, run.revision), (1, 3));
        let stop = t.kernel.stop_request(&t.context(), "one#1", "enough".into()).await.unwrap();
        let plan = t.kernel.plan_create(&t.context(), stop).await.unwrap();
        assert_eq!(plan.plan.steps.iter().map(|step| step.name.as_str()).collect::<Vec<_>>(), ["stop", "ended"]);
        let job = t.kernel.plan_apply(&t.context(), plan.id, key()).await.unwrap().unwrap();
        assert_eq!(t.job_ended(job.id).await.state, JobState::Succeeded);
        let retry = t.kernel.retry_request(&t.context(), "one#1", String::new()).await.unwrap();
        assert_eq!(t.kernel.plan_create(&t.context(), retry).await.unwrap().plan.steps.len(), 1);
    }
}
