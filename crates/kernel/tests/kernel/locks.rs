//! Locks of jobs: one holder at a time, a fence that only grows, a wait that says for whom and costs no slot.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::future::join_all;
use qd_core::state::JobState;
use qd_kernel::operation::Outcome;
use qd_testkit::scripted::Call;
use qd_testkit::{Gate, Scripted, TestKernel, both_stores, eventually};
use serde_json::json;

both_stores! {
    async fn a_second_job_waits_for_the_first_and_says_for_which(db: TestDatabase) {
        let gate = Gate::closed();
        let pass = gate.clone();
        let scripted = Scripted::new(move |call: Call| {
            let pass = pass.clone();
            async move {
                if call.step == "hold" {
                    pass.pass().await;
                }
                Outcome::done(json!({}))
            }
        });
        // One slot: who waits for a lock must not need it.
        let t = TestKernel::build().scripted(scripted).slots(2).on(&db).await;
        let first = t.job_of(Scripted::locked(&["hold"], &["things/a", "things/b"])).await;
        t.job_in(first, JobState::Running).await;
        let second = t.job_of(Scripted::locked(&["go"], &["things/b", "things/c"])).await;
        let waiting = t.job_in(second, JobState::Waiting).await;
        let why = waiting.waiting_for.unwrap();
        assert!(why.starts_with("things/b, which test.scripted of tester holds") && why.contains(&first.to_string()), "{why}");
        let free = t.job_of(Scripted::locked(&["go"], &["things/c"])).await;
        assert_eq!(t.job_ended(free).await.state, JobState::Succeeded, "a job that waits holds nothing");
        gate.open();
        assert_eq!(t.job_ended(first).await.state, JobState::Succeeded);
        assert_eq!(t.job_ended(second).await.state, JobState::Succeeded);
        assert_eq!(t.number("SELECT count(*) FROM job_lock WHERE job_id IS NOT NULL").await, 0);
        assert_eq!(t.number("SELECT count(*) FROM job_lock_wait").await, 0);
    }

    async fn who_waits_for_a_lock_can_be_cancelled(db: TestDatabase) {
        let gate = Gate::closed();
        let pass = gate.clone();
        let scripted = Scripted::new(move |_| {
            let pass = pass.clone();
            async move {
                pass.pass().await;
                Outcome::done(json!({}))
            }
        });
        let t = TestKernel::build().scripted(scripted).on(&db).await;
        let first = t.job_of(Scripted::locked(&["hold"], &["things/a"])).await;
        t.job_in(first, JobState::Running).await;
        let second = t.job_of(Scripted::locked(&["go"], &["things/a"])).await;
        t.job_in(second, JobState::Waiting).await;
        t.kernel.job_cancel(&t.context(), second, String::new()).await.unwrap();
        assert_eq!(t.job_ended(second).await.state, JobState::Cancelled);
        assert_eq!(t.number("SELECT count(*) FROM job_lock WHERE job_id IS NOT NULL").await, 1, "the first still holds it");
        gate.open();
        t.job_ended(first).await;
    }

    /// Three processes, jobs with overlapping keys: the world refuses whoever comes with a lower fence than it has seen, and
    /// counts who is inside.
    async fn holders_never_overlap_and_fences_only_grow(db: TestDatabase) {
        #[derive(Default)]
        struct Seen {
            fences: BTreeMap<String, i64>,
            inside: BTreeMap<String, String>,
            wrong: Vec<String>,
        }
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let scripted = |seen: &Arc<Mutex<Seen>>| {
            let seen = seen.clone();
            Scripted::new(move |call: Call| {
                let seen = seen.clone();
                async move {
                    let mut seen = seen.lock().unwrap();
                    let me = call.job_id.to_string();
                    for (key, fence) in &call.fences {
                        let highest = seen.fences.entry(key.clone()).or_default();
                        if *fence < *highest || *fence == 0 {
                            let wrong = format!("{key}: {fence} after {highest}");
                            seen.wrong.push(wrong);
                        } else {
                            *highest = *fence;
                        }
                        let inside = seen.inside.get(key).cloned();
                        if call.step == "in" {
                            seen.inside.insert(key.clone(), me.clone());
                        }
                        if inside.is_some_and(|other| other != me) {
                            seen.wrong.push(format!("{key}: two inside"));
                        }
                        if call.step == "out" {
                            seen.inside.remove(key);
                        }
                    }
                    Outcome::done(json!({}))
                }
            })
        };
        let t = TestKernel::build().scripted(scripted(&seen)).on(&db).await;
        let mut others = vec![];
        if t.kernel.store.backend() == qd_kernel::store::Backend::Postgres {
            for _ in 0..2 {
                others.push(TestKernel::build().store(&t.kernel.store).scripted(scripted(&seen)).on(&db).await);
            }
        }
        let jobs = join_all((0..60).map(|n| {
            let keys = [format!("things/{}", n % 4), format!("things/{}", (n * 7 + 1) % 5)];
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let input = Scripted::locked(&["in", "middle", "out"], &keys);
            t.job_of(input)
        }))
        .await;
        for job in jobs {
            assert_eq!(t.job_ended(job).await.state, JobState::Succeeded);
        }
        eventually("no lock is left", async || {
            (t.number("SELECT count(*) FROM job_lock WHERE job_id IS NOT NULL").await == 0).then_some(())
        })
        .await;
        assert_eq!(seen.lock().unwrap().wrong, Vec::<String>::new());
    }
}
