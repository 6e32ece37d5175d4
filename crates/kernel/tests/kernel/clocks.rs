//! Clocks that are set an hour ahead or back, and processes whose clocks differ: what waits, waits for as long as it was to, and
//! who is alive keeps its leases.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use qd_core::state::JobState;
use qd_core::time::Timestamp;
use qd_kernel::clock::{Clock as _, System};
use qd_kernel::operation::Outcome;
use qd_kernel::params;
use qd_testkit::scripted::Call;
use qd_testkit::{Gate, Scripted, SetClock, TestDatabase, TestKernel, both_stores};
use serde_json::json;

const HOUR_S: i64 = 3600;
const LEASE: Duration = Duration::from_secs(3);

type Tries = Arc<Mutex<BTreeMap<String, u32>>>;

fn tried(tries: &Tries, call: &Call) -> u32 {
    let mut tries = tries.lock().unwrap();
    let tries = tries.entry(format!("{}/{}", call.job_id, call.step)).or_default();
    *tries += 1;
    *tries
}

/// Each step waits once.
fn waiting(after: Duration) -> Scripted {
    let tries = Tries::default();
    Scripted::new(move |call: Call| {
        let tries = tried(&tries, &call);
        async move {
            match tries {
                1 => Outcome::Wait { after, waiting_for: "the world".into() },
                _ => Outcome::done(json!({})),
            }
        }
    })
}

both_stores! {
    async fn what_waits_since_the_clock_was_ahead_goes_on_when_it_is_set_back(db: TestDatabase) {
        let clock = SetClock::default();
        clock.set(HOUR_S);
        let t = TestKernel::build().source(clock.source()).scripted(waiting(Duration::from_secs(4))).on(&db).await;
        let job = t.job(&["a"]).await;
        t.job_in(job, JobState::Waiting).await;
        clock.set(0);
        assert_eq!(t.job_ended(job).await.state, JobState::Succeeded);
        clock.set(-HOUR_S);
        let behind = t.job(&["a"]).await;
        t.job_in(behind, JobState::Waiting).await;
        clock.set(0);
        assert_eq!(t.job_ended(behind).await.state, JobState::Succeeded);
    }

    /// As the clock of a database that was ahead leaves it, or that of a process that has ended since.
    async fn what_was_stored_ahead_is_put_right_at_the_next_start(db: TestDatabase) {
        let mut t = TestKernel::build().idle().scripted(waiting(Duration::from_secs(1))).on(&db).await;
        let job = t.job(&["a"]).await;
        let ahead = |s: u64| System.now().checked_add(Duration::from_secs(s)).unwrap();
        let (set_at, due_at): (Timestamp, Timestamp) = (ahead(3600), ahead(3602));
        let stored = t.kernel.store.write(move |tx| {
            tx.exec("UPDATE job_queue SET set_at = $2, due_at = $3 WHERE job_id = $1", params![job, set_at, due_at])
        });
        assert_eq!(stored.await.unwrap(), 1);
        t.start_tasks().await;
        assert_eq!(t.job_ended(job).await.state, JobState::Succeeded);
    }

    async fn a_wait_that_was_asked_for_stays_as_long_as_it_is(db: TestDatabase) {
        let t = TestKernel::build().scripted(waiting(Duration::from_hours(48))).on(&db).await;
        let job = t.job(&["a"]).await;
        t.job_in(job, JobState::Waiting).await;
        let due = "SELECT count(*) FROM job_queue WHERE due_at > set_at";
        assert_eq!(t.number(due).await, 1);
        t.stop().await;
        let t = TestKernel::build().scripted(waiting(Duration::ZERO)).on(&db).await;
        // What is looked at at a start has been looked at once another job has come and gone.
        let other = t.job(&["b"]).await;
        assert_eq!(t.job_ended(other).await.state, JobState::Succeeded);
        assert_eq!((t.job_now(job).await.state, t.number(due).await), (JobState::Waiting, 1));
    }

    async fn a_step_under_way_keeps_its_lease_when_the_clock_is_set(db: TestDatabase) {
        let (clock, gate, tries) = (SetClock::default(), Gate::closed(), Tries::default());
        let (held, seen) = (gate.clone(), tries.clone());
        let scripted = Scripted::new(move |call: Call| {
            let held = held.clone();
            tried(&seen, &call);
            async move {
                if call.step == "long" {
                    held.pass().await;
                }
                Outcome::done(json!({}))
            }
        });
        let t = TestKernel::build().source(clock.source()).lease(LEASE).scripted(scripted).on(&db).await;
        let long = t.job(&["long"]).await;
        t.job_in(long, JobState::Running).await;
        for ahead in [HOUR_S, 0, HOUR_S] {
            clock.set(ahead);
            // Each is a second look at the clock and at the queue, by which a lease that is over would have been taken.
            for step in ["one", "two"] {
                let other = t.job(&["short", step]).await;
                assert_eq!(t.job_ended(other).await.state, JobState::Succeeded);
                tokio::time::sleep(LEASE / 2).await;
            }
        }
        gate.open();
        assert_eq!(t.job_ended(long).await.state, JobState::Succeeded);
        assert!(tries.lock().unwrap().values().all(|tries| *tries == 1), "{:?}", tries.lock().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_whose_clocks_differ_by_hours_leave_each_other_their_work() {
    let db = TestDatabase::postgres().await;
    let tries = Tries::default();
    let slow = |tries: &Tries| {
        let tries = tries.clone();
        Scripted::new(move |call: Call| {
            tried(&tries, &call);
            async move {
                // Longer than a lease.
                tokio::time::sleep(LEASE + LEASE / 2).await;
                Outcome::done(json!({}))
            }
        })
    };
    let mut processes = vec![];
    for ahead in [HOUR_S, 0, -2 * HOUR_S] {
        let clock = SetClock::default();
        clock.set(ahead);
        let build = TestKernel::build().source(clock.source()).slots(4).lease(LEASE).scripted(slow(&tries));
        processes.push(build.on(&db).await);
    }
    let mut jobs = vec![];
    for n in 0..12 {
        jobs.push(processes[n % 3].job(&["a", "b"]).await);
    }
    for job in jobs {
        assert_eq!(processes[1].job_ended(job).await.state, JobState::Succeeded);
    }
    assert_eq!(tries.lock().unwrap().len(), 24);
    assert!(tries.lock().unwrap().values().all(|tries| *tries == 1), "{:?}", tries.lock().unwrap());
}

/// As where the database's clock was set back and the others put the queue right before this one noticed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_reckons_ahead_of_the_database_takes_nothing_from_the_others() {
    let db = TestDatabase::postgres().await;
    let (clock, gate, tries) = (SetClock::default(), Gate::closed(), Tries::default());
    let build = || {
        let (gate, tries) = (gate.clone(), tries.clone());
        let scripted = Scripted::new(move |call: Call| {
            let gate = gate.clone();
            tried(&tries, &call);
            async move {
                if call.step == "long" {
                    gate.pass().await;
                }
                Outcome::done(json!({}))
            }
        });
        TestKernel::build().lease(Duration::from_mins(1)).scripted(scripted)
    };
    let one = build().on(&db).await;
    let long = one.job(&["long"]).await;
    one.job_in(long, JobState::Running).await;
    let other = build().source(clock.source()).on(&db).await;
    for _ in 0..3 {
        clock.jump(HOUR_S.unsigned_abs());
        other.kernel.bus.call_workers();
        // By then the other has looked at the queue.
        let short = other.job(&["short"]).await;
        assert_eq!(one.job_ended(short).await.state, JobState::Succeeded);
    }
    gate.open();
    assert_eq!(one.job_ended(long).await.state, JobState::Succeeded);
    assert!(tries.lock().unwrap().values().all(|tries| *tries == 1), "{:?}", tries.lock().unwrap());
}
