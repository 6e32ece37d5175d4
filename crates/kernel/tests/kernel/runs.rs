//! Starting, stopping and retrying runs.

use std::time::Duration;

use futures::future::join_all;
use qd_core::error::{Error, ErrorKind};
use qd_core::state::{JobState, RunState, StepState};
use qd_testkit::engine::OnSubmit;
use qd_testkit::eventually::within;
use qd_testkit::kernel::key;
use qd_testkit::sample::document;
use qd_testkit::{ManualClock, TestKernel, both_stores};
use serde_json::json;

/// Longer than any test runs: what waits for it waits for something else.
const NEVER: Duration = Duration::from_secs(3600);
/// Well below [`NEVER`], and above what a busy machine takes.
const SOON: Duration = Duration::from_secs(10);

both_stores! {
    async fn only_what_was_published_runs(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        let (context, kind) = (t.context(), t.sample());
        t.kernel.resource_create(&context, &*kind, document("one", json!({}))).await.unwrap();
        assert_eq!(t.run_with("one", json!({}), key()).await.unwrap_err().code, "nothing_published");
        t.published("one", json!({})).await;
        t.kernel.revision_create(&context, &*kind, "one", String::new()).await.unwrap();
        let run = |revision| t.kernel.run_start(&context, &*kind, "one", json!({}), Some(revision), key());
        assert_eq!(run(2).await.unwrap_err().code, "revision_never_published");
        assert_eq!(run(9).await.unwrap_err().code, "revision_not_found");
        assert_eq!(run(1).await.unwrap().1.revision, 1);
        assert_eq!(t.run_with("two", json!({}), key()).await.unwrap_err().kind, ErrorKind::NotFound);
    }

    async fn all_that_is_wrong_with_the_parameters_is_said(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({ "wants": "x" })).await;
        let refused = t.run_with("one", json!({ "y": 1, "z": 2 }), key()).await.unwrap_err();
        let mut pointers: Vec<&str> = refused.violations.iter().map(|v| v.pointer.as_str()).collect();
        pointers.sort_unstable();
        assert_eq!((refused.kind, refused.code), (ErrorKind::Invalid, "params_invalid"));
        assert_eq!(pointers, ["/params/x", "/params/y", "/params/z"]);
        assert_eq!(t.number("SELECT count(*) FROM run").await, 0);
        let (_, run) = t.run_with("one", json!({ "x": 1 }), key()).await.unwrap();
        assert_eq!(run.params.0.get(), r#"{"x":1}"#);
    }

    async fn a_run_from_queued_to_succeeded(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({})).await;
        let (job, run) = t.run("one").await;
        assert_eq!((run.number, run.run_ref.as_str(), run.attempt), (1, "one#1", 1));
        assert_eq!(t.job_ended(job.id).await.state, JobState::Succeeded);
        let running = t.run_in(run.id, RunState::Running).await;
        let name = t.external(&run);
        assert_eq!(running.attempts[0].external_id.as_deref(), Some(name.as_str()));
        t.engine.end(&name, RunState::Succeeded);
        let done = t.run_in(run.id, RunState::Succeeded).await;
        assert!(done.started_at.is_some() && done.ended_at.is_some() && done.code.is_none());
        assert_eq!((done.attempts[0].state, done.attempts[0].exit_code), (RunState::Succeeded, Some(0)));
        assert_eq!(t.engine.submits(&name), 1);
        assert_eq!(t.kernel.run_get(t.scope, "one#1").await.unwrap().id, run.id);
        let audits = t.number("SELECT count(*) FROM audit WHERE action = 'samples.run'").await;
        assert_eq!(audits, 1);
    }

    async fn numbers_are_dense_when_twenty_start_at_once(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({})).await;
        t.published("two", json!({})).await;
        let starts = (0..20).flat_map(|_| ["one", "two"]).map(|name| t.run_with(name, json!({}), key()));
        let runs: Vec<_> = join_all(starts).await.into_iter().map(|started| started.unwrap().1).collect();
        for name in ["one", "two"] {
            let mut numbers: Vec<i64> =
                runs.iter().filter(|run| run.resource.name == name).map(|run| run.number).collect();
            numbers.sort_unstable();
            assert_eq!(numbers, (1..=20).collect::<Vec<_>>(), "{name}");
        }
        for run in &runs {
            t.run_in(run.id, RunState::Running).await;
            assert_eq!(t.engine.submits(&t.external(run)), 1);
        }
    }

    async fn stopping_before_the_engine_has_it(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({})).await;
        t.engine.on_submit([OnSubmit::NotYet(NEVER)]);
        let (start, run) = t.run("one").await;
        let waiting = t.job_in(start.id, JobState::Waiting).await;
        assert_eq!(waiting.waiting_for.as_deref(), Some("the engine to be ready"));
        let (stop, asked) = t.kernel.run_stop(&t.context(), "one#1", "not today".into(), key()).await.unwrap();
        assert!(asked.stop_requested_at.is_some());
        let name = t.external(&run);
        within(SOON, "the run is stopped, not after its wait", async || {
            (t.run_now(run.id).await.state == RunState::Stopped).then_some(())
        })
        .await;
        assert_eq!(t.job_ended(start.id).await.state, JobState::Cancelled);
        assert_eq!(t.job_ended(stop.id).await.state, JobState::Succeeded);
        assert!(!t.engine.is_started(&name));
        let again = t.kernel.run_stop(&t.context(), "one#1", String::new(), key()).await.unwrap_err();
        assert_eq!((again.kind, again.code), (ErrorKind::Conflict, "run_ended"));
    }

    async fn stopping_while_the_engine_is_asked(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({})).await;
        t.engine.on_submit([OnSubmit::Hang]);
        let (start, run) = t.run("one").await;
        let name = t.external(&run);
        qd_testkit::eventually("the submit is under way", async || (t.engine.submits(&name) == 1).then_some(())).await;
        let (stop, _) = t.kernel.run_stop(&t.context(), &run.id.to_string(), String::new(), key()).await.unwrap();
        t.run_in(run.id, RunState::Stopped).await;
        assert_eq!(t.job_ended(start.id).await.state, JobState::Cancelled);
        assert_eq!(t.job_ended(stop.id).await.state, JobState::Succeeded);
    }

    async fn a_start_that_is_called_off_leaves_nothing_running_in_the_engine(db: TestDatabase) {
        // The engine has the attempt, its answer was lost, and before the next try somebody stops the run.
        let clock = ManualClock::new(1);
        let t = TestKernel::build().clock(&clock).on(&db).await;
        t.published("one", json!({})).await;
        t.engine.on_submit([OnSubmit::AdoptAndLose(Error::unavailable("lost", "the answer was lost"))]);
        let (start, run) = t.run("one").await;
        t.job_in(start.id, JobState::Waiting).await;
        let name = t.external(&run);
        assert!(t.engine.is_started(&name));
        t.kernel.run_stop(&t.context(), "one#1", String::new(), key()).await.unwrap();
        t.run_in(run.id, RunState::Stopped).await;
        assert_eq!(t.job_ended(start.id).await.state, JobState::Cancelled);
        assert_eq!((t.engine.submits(&name), t.engine.stops(&name)), (1, 1));
    }

    async fn stopping_what_runs(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({})).await;
        let (_, run) = t.run("one").await;
        t.run_in(run.id, RunState::Running).await;
        let (stop, _) = t.kernel.run_stop(&t.context(), "one#1", "enough".into(), key()).await.unwrap();
        assert_eq!(stop.reason, "enough");
        assert_eq!(t.run_in(run.id, RunState::Stopped).await.code, None);
        let stopped = t.job_ended(stop.id).await;
        assert_eq!(stopped.state, JobState::Succeeded);
        assert!(stopped.steps.iter().all(|step| step.state == StepState::Succeeded));
        assert_eq!(t.engine.stops(&t.external(&run)), 1);
    }

    async fn the_end_of_a_run_wakes_the_job_that_stops_it(db: TestDatabase) {
        // The clock stands still, so that the wait of the stop job never ends by itself.
        let clock = ManualClock::new(1);
        let t = TestKernel::build().clock(&clock).on(&db).await;
        t.published("one", json!({})).await;
        t.engine.set_ignore_stop();
        let (_, run) = t.run("one").await;
        t.run_in(run.id, RunState::Running).await;
        let (stop, _) = t.kernel.run_stop(&t.context(), "one#1", String::new(), key()).await.unwrap();
        t.job_in(stop.id, JobState::Waiting).await;
        t.engine.end(&t.external(&run), RunState::Stopped);
        assert_eq!(t.job_ended(stop.id).await.state, JobState::Succeeded);
    }

    async fn a_retry_is_the_next_attempt_of_the_same_run(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({})).await;
        let (_, run) = t.run("one").await;
        t.run_in(run.id, RunState::Running).await;
        let context = t.context();
        let early = t.kernel.run_retry(&context, "one#1", String::new(), key()).await.unwrap_err();
        assert_eq!(early.code, "run_not_retryable");
        t.engine.end(&t.external(&run), RunState::Failed);
        let failed = t.run_in(run.id, RunState::Failed).await;
        assert_eq!(failed.code.as_deref(), Some("fake_failure"));
        let (job, second) = t.kernel.run_retry(&context, "one#1", "once more".into(), key()).await.unwrap();
        assert_eq!((second.id, second.attempt, second.state), (run.id, 2, RunState::Queued));
        assert_eq!((second.code.as_deref(), second.ended_at), (None, None));
        assert_eq!(t.job_ended(job.id).await.state, JobState::Succeeded);
        t.run_in(run.id, RunState::Running).await;
        t.engine.end(&t.external(&second), RunState::Succeeded);
        let done = t.run_in(run.id, RunState::Succeeded).await;
        let attempts: Vec<_> = done.attempts.iter().map(|a| (a.attempt, a.state)).collect();
        assert_eq!(attempts, [(1, RunState::Failed), (2, RunState::Succeeded)]);
        assert_ne!(done.attempts[0].external_id, done.attempts[1].external_id);
        assert_eq!(t.engine.names().len(), 2);
    }

    async fn an_engine_that_refuses_for_good_fails_the_run_with_its_code(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({})).await;
        t.engine.on_submit([OnSubmit::Fail(Error::conflict("no_capacity", "there are 2 CPUs, 3 are wanted"))]);
        let (job, run) = t.run("one").await;
        let failed = t.run_in(run.id, RunState::Failed).await;
        assert_eq!(failed.code.as_deref(), Some("no_capacity"));
        assert_eq!(failed.message.as_deref(), Some("there are 2 CPUs, 3 are wanted"));
        assert_eq!((failed.attempts[0].state, failed.attempts[0].code.as_deref()), (RunState::Failed, Some("no_capacity")));
        let job = t.job_ended(job.id).await;
        assert_eq!((job.state, job.error.map(|error| error.code)), (JobState::Failed, Some("no_capacity".into())));
        assert_eq!(t.engine.submits(&t.external(&run)), 1);
    }

    async fn a_start_that_is_refused_after_a_try_is_called_off_as_one_that_may_have_begun(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({})).await;
        let refused = || OnSubmit::Fail(Error::forbidden("no_token", "the token is not taken"));
        t.engine.on_submit([refused()]);
        let (_, once) = t.run("one").await;
        t.run_in(once.id, RunState::Failed).await;
        assert_eq!(t.engine.stopped_after_a_try(&t.external(&once)), [false]);
        t.engine.on_submit([OnSubmit::Fail(Error::unavailable("away", "nobody answers")), refused()]);
        let (_, twice) = t.run("one").await;
        t.run_in(twice.id, RunState::Failed).await;
        assert_eq!(t.engine.stopped_after_a_try(&t.external(&twice)), [true]);
    }

    async fn an_answer_that_was_lost_leads_to_adoption(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({})).await;
        t.engine.on_submit([OnSubmit::AdoptAndLose(Error::unavailable("lost", "the answer was lost"))]);
        let (job, run) = t.run("one").await;
        let job = t.job_ended(job.id).await;
        assert_eq!((job.state, job.steps[0].attempts), (JobState::Succeeded, 2));
        let name = t.external(&run);
        assert_eq!((t.engine.submits(&name), t.engine.names().len()), (2, 1));
        t.run_in(run.id, RunState::Running).await;
    }

    async fn a_start_whose_answers_are_all_lost_leaves_nothing_running_in_the_engine(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let t = TestKernel::build().clock(&clock).on(&db).await;
        t.published("one", json!({})).await;
        t.engine.on_submit((0..5).map(|_| OnSubmit::AdoptAndLose(Error::unavailable("lost", "the answer was lost"))));
        let (job, run) = t.run("one").await;
        let name = t.external(&run);
        for submits in 1..5 {
            qd_testkit::eventually("it waits for its next try", async || {
                // In this order: a job that was submitted and waits now, waits because of that.
                let submitted = t.engine.submits(&name) == submits;
                (submitted && t.job_now(job.id).await.state == JobState::Waiting).then_some(())
            })
            .await;
            clock.advance(Duration::from_mins(2));
        }
        let job = t.job_ended(job.id).await;
        assert_eq!((job.state, job.error.unwrap().code.as_str()), (JobState::Failed, "lost"));
        assert_eq!((t.engine.submits(&name), t.engine.stops(&name)), (5, 1));
        assert_eq!(t.run_now(run.id).await.code.as_deref(), Some("lost"));
    }

    async fn a_run_waits_for_a_process_that_has_its_engine(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let mut t = TestKernel::build().clock(&clock).on(&db).await;
        t.published("one", json!({})).await;
        t.crash_tasks();
        let (job, run) = t.run("one").await;
        let mut without = TestKernel::build().clock(&clock).store(&t.kernel.store).without_engine().on(&db).await;
        let waiting = without.job_in(job.id, JobState::Waiting).await;
        assert_eq!(waiting.waiting_for.as_deref(), Some("no engine fake in this process"));
        without.crash_tasks();
        clock.advance(Duration::from_mins(1));
        t.start_tasks().await;
        t.run_in(run.id, RunState::Running).await;
    }

    async fn a_run_does_not_end_before_it_began(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({})).await;
        t.engine.on_submit([OnSubmit::AdoptUnstarted]);
        let (job, run) = t.run("one").await;
        t.job_ended(job.id).await;
        t.engine.end(&t.external(&run), RunState::Failed);
        let ended = t.run_in(run.id, RunState::Failed).await;
        assert!(ended.started_at <= ended.ended_at, "{:?} and {:?}", ended.started_at, ended.ended_at);
    }

    async fn not_yet_waits_without_a_slot(db: TestDatabase) {
        let t = TestKernel::build().slots(1).on(&db).await;
        t.published("one", json!({})).await;
        t.engine.on_submit((0..20).map(|_| OnSubmit::NotYet(NEVER)));
        let mut waiting = vec![];
        for _ in 0..20 {
            waiting.push(t.run("one").await.0.id);
        }
        for id in &waiting {
            t.job_in(*id, JobState::Waiting).await;
        }
        let (job, run) = t.run("one").await;
        assert_eq!(t.job_ended(job.id).await.state, JobState::Succeeded, "the one slot is free");
        t.run_in(run.id, RunState::Running).await;
        assert_eq!(t.job_now(waiting[0]).await.state, JobState::Waiting);
    }

    async fn not_yet_is_asked_again_when_its_time_has_come(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let t = TestKernel::build().clock(&clock).on(&db).await;
        t.published("one", json!({})).await;
        t.engine.on_submit([OnSubmit::NotYet(NEVER), OnSubmit::NotYet(NEVER)]);
        let (job, run) = t.run("one").await;
        let name = t.external(&run);
        for submits in 1..=2 {
            qd_testkit::eventually("it waits", async || {
                // In this order: a job that was submitted and waits now, waits because of that.
                let submitted = t.engine.submits(&name) == submits;
                (submitted && t.job_now(job.id).await.state == JobState::Waiting).then_some(())
            })
            .await;
            clock.advance(NEVER);
        }
        let job = t.job_ended(job.id).await;
        assert_eq!((job.state, job.steps[0].attempts), (JobState::Succeeded, 1), "waiting is no attempt");
        assert_eq!(t.engine.submits(&name), 3);
    }
}
