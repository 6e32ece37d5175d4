//! Why something is in its state: the sentence, and the facts that it rests on.

use qd_core::error::Error;
use qd_core::plan::Risk;
use qd_core::state::{JobState, RunState};
use qd_kernel::access::{PLATFORM_ADMIN, VIEWER};
use qd_kernel::engine::Observation;
use qd_kernel::explain::Explanation;
use qd_kernel::operation::Outcome;
use qd_kernel::revisions::publish_request;
use qd_testkit::kernel::{context_in, foreign_scope, key};
use qd_testkit::sample::document;
use qd_testkit::scripted::Call;
use qd_testkit::{Gate, Scripted, TestKernel, both_stores, eventually};
use serde_json::{Value, json};
use std::time::Duration;

/// The sentence, with each time of day as `TIME` and each id as `ID`.
async fn why(t: &TestKernel, object: &str) -> String {
    plain(&explain(t, object).await.sentence)
}

async fn explain(t: &TestKernel, object: &str) -> Explanation {
    let said = t.kernel.explain(&t.context_as("looks", VIEWER), object).await;
    said.unwrap_or_else(|error| panic!("explain {object}: {error:?}"))
}

fn plain(sentence: &str) -> String {
    let is_time = |word: &str| word.len() == 8 && word.split(':').count() == 3;
    let is_id = |word: &str| word.len() == 36 && word.split('-').count() == 5;
    let part = |word: &str| {
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let bare = bare.strip_prefix("jobs/").unwrap_or(bare);
        match () {
            () if is_time(bare) => word.replace(bare, "TIME"),
            () if is_id(bare) => word.replace(bare, "ID"),
            () => word.to_owned(),
        }
    };
    sentence.split(' ').map(part).collect::<Vec<_>>().join(" ")
}

fn fact<'e>(said: &'e Explanation, what: &str) -> &'e Value {
    let found = said.evidence.iter().find(|fact| fact.what == what);
    &found.unwrap_or_else(|| panic!("no {what} in {:?}", said.evidence)).value
}

fn gated(gate: &Gate) -> Scripted {
    let pass = gate.clone();
    Scripted::new(move |call: Call| {
        let pass = pass.clone();
        async move {
            match call.step.as_str() {
                "hold" => pass.pass().await,
                "wait" => {
                    let waiting_for = "the tide".into();
                    return Outcome::Wait { after: Duration::from_secs(3600), waiting_for };
                }
                "stumble" => return Outcome::Retry(Error::unavailable("world_away", "the world is away")),
                "fail" => return Outcome::Fatal(Error::invalid("nonsense", "that cannot be")),
                _ => {}
            }
            Outcome::done(json!({}))
        }
    })
    .max_attempts(1000)
}

both_stores! {
    async fn a_queued_job_says_who_is_before_it(db: TestDatabase) {
        let t = TestKernel::build().scripted(gated(&Gate::closed())).idle().on(&db).await;
        t.job(&["a"]).await;
        let second = t.job(&["a"]).await;
        assert_eq!(why(&t, &format!("jobs/{second}")).await, "It has waited for a worker since TIME UTC: one other job is before it.");
    }

    async fn a_job_under_way_says_where_and_for_what(db: TestDatabase) {
        let gate = Gate::closed();
        let t = TestKernel::build().scripted(gated(&gate)).on(&db).await;
        let first = t.job_of(Scripted::locked(&["a", "hold"], &["things/a"])).await;
        eventually("it is at its second step", async || (t.job_now(first).await.steps[1].attempts == 1).then_some(())).await;
        assert_eq!(why(&t, &format!("jobs/{first}")).await, "It is at step 2 of 2, \"hold\" since TIME UTC.");
        let second = t.job_of(Scripted::locked(&["a"], &["things/a"])).await;
        t.job_in(second, JobState::Waiting).await;
        let said = explain(&t, &format!("jobs/{second}")).await;
        assert_eq!(plain(&said.sentence), "It has waited since TIME UTC for the lock things/a, which test.scripted of tester holds (job ID).");
        assert_eq!(fact(&said, "lock things/a")["holder"], json!(first));
        let tide = t.job(&["wait"]).await;
        t.job_in(tide, JobState::Waiting).await;
        let wanted = "At step 1 of 1, \"wait\", it has waited since TIME UTC for the tide; next look at TIME UTC.";
        // Since when is an event's word, which on Postgres has its position a moment later.
        eventually("it says since when", async || {
            let said = why(&t, &format!("jobs/{tide}")).await;
            assert!(said == wanted || said == wanted.replace(" since TIME UTC", ""), "{said}");
            (said == wanted).then_some(())
        })
        .await;
        gate.open();
        t.job_ended(second).await;
        assert_eq!(why(&t, &format!("jobs/{second}")).await, "It succeeded at TIME UTC: its step took effect.");
    }

    async fn trouble_is_told_with_what_is_left(db: TestDatabase) {
        let t = TestKernel::build().scripted(gated(&Gate::closed())).on(&db).await;
        let stumbles = t.job(&["stumble"]).await;
        t.job_in(stumbles, JobState::Waiting).await;
        let said = explain(&t, &format!("jobs/{stumbles}")).await;
        assert!(said.sentence.starts_with("Step 1 of 1, \"stumble\", is tried again at "), "{}", said.sentence);
        assert!(said.sentence.ends_with(" failed: the world is away."), "{}", said.sentence);
        assert_eq!(fact(&said, "last error"), "the world is away");
        t.kernel.job_cancel(&t.context(), stumbles, String::new()).await.unwrap();
        t.job_ended(stumbles).await;
        assert_eq!(why(&t, &format!("jobs/{stumbles}")).await, "It was cancelled at TIME UTC: cancelled on request; nothing of it is left in place.");
        let fails = t.job(&["a", "fail", "b"]).await;
        t.job_ended(fails).await;
        assert_eq!(
            why(&t, &format!("jobs/{fails}")).await,
            "It failed at TIME UTC in step 2 of 3, \"fail\": that cannot be; step \"a\" stays done."
        );
    }

    async fn an_undone_job_says_why(db: TestDatabase) {
        let scripted = gated(&Gate::closed()).on_undo(|_| async { Ok(None) });
        let t = TestKernel::build().scripted(scripted).on(&db).await;
        let undone = t.job(&["a", "fail"]).await;
        t.job_ended(undone).await;
        let said = explain(&t, &format!("jobs/{undone}")).await;
        assert_eq!(plain(&said.sentence), "It was undone at TIME UTC because that cannot be; nothing of it is left in place.");
        assert_eq!(fact(&said, "taken back"), &json!(["a"]));
    }

    async fn a_run_of_which_nothing_is_known_says_since_when(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({})).await;
        let (_, run) = t.run("one").await;
        let run = t.run_in(run.id, RunState::Running).await;
        assert_eq!(why(&t, "one#1").await, "It runs on fake since 1970-01-01 TIME UTC.");
        let detail = json!({ "observation": { "state": "unknown", "since": "2020-01-02T03:04:05Z", "reason": "its cluster does not answer" } });
        t.engine.see(&t.external(&run), Observation { engine_detail: Some(detail), ..Observation::default() });
        let said = eventually("it is unknown", async || {
            let said = explain(&t, "runs/one#1").await;
            said.sentence.contains("unknown").then_some(said)
        })
        .await;
        let head = "It was last seen running on fake; how it is has been unknown since 2020-01-02 TIME UTC (";
        assert!(plain(&said.sentence).starts_with(head), "{}", said.sentence);
        assert!(said.sentence.ends_with(" days): its cluster does not answer."), "{}", said.sentence);
        t.engine.end(&t.external(&run), RunState::Failed);
        t.run_in(run.id, RunState::Failed).await;
        let failed = why(&t, &format!("runs/{}", run.id)).await;
        assert!(failed.starts_with("It failed at 1970-01-01 TIME UTC: "), "{failed}");
    }

    async fn a_plan_says_whom_it_waits_for_and_what_moved(db: TestDatabase) {
        let t = TestKernel::build().approval(Risk::Medium).on(&db).await;
        let documents = vec![document("one", json!({ "count": 1 }))];
        t.kernel.apply(&t.context(), documents, String::new(), None).await.unwrap();
        let request = publish_request(&*t.sample(), "one", None, String::new());
        let plan = t.kernel.plan_create(&t.context(), request).await.unwrap();
        let object = format!("plans/{}", plan.id);
        assert_eq!(
            why(&t, &object).await,
            "It waits for a second person's approval, because its risk is medium; tester made it and cannot give it."
        );
        let second = t.context_as("second", PLATFORM_ADMIN);
        t.kernel.plan_approve(&second, plan.id, plan.hash.clone(), "looks right".into()).await.unwrap();
        let approved = why(&t, &object).await;
        assert!(approved.starts_with("second approved it at TIME UTC (looks right); it can be applied until "), "{approved}");
        let documents = vec![document("one", json!({ "count": 2 }))];
        t.kernel.apply(&t.context(), documents, String::new(), None).await.unwrap();
        let said = explain(&t, &object).await;
        assert_eq!(
            plain(&said.sentence),
            "second approved it at TIME UTC (looks right), but it cannot be applied: something moved: samples/one newest revision: from 1 to 2."
        );
        t.kernel.plan_apply(&t.context(), plan.id, key()).await.unwrap_err();
        assert_eq!(
            why(&t, &object).await,
            "It is stale and can never be applied, because something moved: samples/one newest revision: from 1 to 2."
        );
    }

    async fn a_resource_says_what_is_published_and_what_is_newer(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        let revised = async |count: i64| {
            let documents = vec![document("one", json!({ "count": count }))];
            t.kernel.apply(&t.context(), documents, String::new(), None).await.unwrap();
        };
        revised(1).await;
        assert_eq!(
            why(&t, "samples/one").await,
            "None of its revisions is published, so nothing can be started from it; the newest, 1, is draft."
        );
        t.published("one", json!({ "count": 1 })).await;
        revised(2).await;
        assert_eq!(why(&t, "samples/one").await, "Revision 1 is the published one since TIME UTC; revision 2 is newer and draft.");
        for (object, code) in [("samples/none", "resource_not_found"), ("nothings/one", "resource_not_found"), ("one", "malformed_object")] {
            assert_eq!(t.kernel.explain(&t.context(), object).await.unwrap_err().code, code, "{object}");
        }
        let other = context_in(foreign_scope(), "other", PLATFORM_ADMIN);
        assert_eq!(t.kernel.explain(&other, "samples/one").await.unwrap_err().code, "resource_not_found");
    }
}
