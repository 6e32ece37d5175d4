//! Undoing: in reverse, each with its own tries, also by another process, and what is said when it cannot be done.

use qd_core::error::Error;
use qd_core::state::{JobState, StepState};
use qd_kernel::mutation::Mutation;
use qd_kernel::operation::{Apply, Outcome};
use qd_kernel::store::Backend;
use qd_testkit::scripted::Call;
use qd_testkit::{Gate, Scripted, TestKernel, World, both_stores};
use serde_json::json;
use std::sync::{Arc, Mutex};

type Order = Arc<Mutex<Vec<String>>>;

/// Steps take effect once; `fails` fails for good; undoing goes wrong `undo_failures` times for each step.
fn undoing(order: &Order, world: &World, undo_failures: u32) -> Scripted {
    let (order, world, undos) = (order.clone(), world.clone(), world.clone());
    Scripted::new(move |call: Call| {
        let world = world.clone();
        async move {
            if call.step == "fails" {
                return Outcome::Fatal(Error::invalid("nonsense", "that cannot be"));
            }
            world.adopt(&call.step);
            Outcome::done(json!({ "made": call.step }))
        }
    })
    .on_undo(move |call: Call| {
        let (order, world) = (order.clone(), undos.clone());
        async move {
            assert_eq!(call.output["made"], call.step, "an undo sees what the step came to");
            if world.try_once(&format!("undo {}", call.step)) <= undo_failures {
                return Err(Error::unavailable("world_away", "the world is away"));
            }
            order.lock().unwrap().push(call.step.clone());
            Ok(None)
        }
    })
}

both_stores! {
    async fn what_took_effect_is_taken_back_in_reverse(db: TestDatabase) {
        let (order, world) = (Order::default(), World::default());
        let t = TestKernel::build().scripted(undoing(&order, &world, 1)).on(&db).await;
        let job = t.job_ended(t.job(&["a", "b", "fails", "never"]).await).await;
        let error = job.error.unwrap();
        assert_eq!((job.state, error.code.as_str()), (JobState::Undone, "nonsense"));
        let states: Vec<StepState> = job.steps.iter().map(|step| step.state).collect();
        assert_eq!(states, [StepState::Undone, StepState::Undone, StepState::Failed, StepState::Skipped]);
        assert_eq!(*order.lock().unwrap(), ["b", "a"]);
        assert_eq!(t.number("SELECT count(*) FROM job_queue").await, 0);
    }

    async fn what_something_newer_made_pointless_is_taken_back_as_well(db: TestDatabase) {
        let order = Order::default();
        let undone = order.clone();
        let scripted = Scripted::new(async |call: Call| match call.step.as_str() {
            "b" => Outcome::Superseded { by: "a newer one".into() },
            _ => Outcome::done(json!({ "made": call.step })),
        })
        .on_undo(move |call: Call| {
            undone.lock().unwrap().push(call.step);
            async { Ok(None) }
        });
        let t = TestKernel::build().scripted(scripted).on(&db).await;
        let job = t.job_ended(t.job(&["a", "b", "c"]).await).await;
        let error = job.error.unwrap();
        assert_eq!((job.state, error.message.as_str()), (JobState::Undone, "superseded by a newer one"));
        assert_eq!(*order.lock().unwrap(), ["a"]);
    }

    async fn an_undo_whose_write_is_refused_ends_and_frees_its_locks(db: TestDatabase) {
        let clock = qd_testkit::ManualClock::new(1);
        let refuse = || -> Option<Apply> {
            Some(Box::new(|_: &mut Mutation<'_, '_>| Err(Error::conflict("nonsense", "that cannot be written"))))
        };
        let scripted = Scripted::new(async |call: Call| match call.step.as_str() {
            "fails" => Outcome::Fatal(Error::invalid("nonsense", "that cannot be")),
            _ => Outcome::done(json!({})),
        })
        .on_undo(move |_| {
            let apply = refuse();
            async { Ok(apply) }
        })
        .on_end(move |_, _| refuse());
        // The clock is moved while a step is under way, which shall not cost it its lease.
        let lease = std::time::Duration::from_hours(1000);
        let t = TestKernel::build().scripted(scripted).clock(&clock).lease(lease).on(&db).await;
        let ends = async |steps: &[&str]| {
            let id = t.job_of(Scripted::locked(steps, &["key"])).await;
            qd_testkit::eventually("the job ends", async || {
                clock.advance(std::time::Duration::from_secs(90));
                t.kernel.bus.call_workers();
                let job = t.job_now(id).await;
                job.state.is_terminal().then_some(job)
            })
            .await
        };
        let job = ends(&["a", "fails"]).await;
        let error = job.error.unwrap();
        assert_eq!((job.state, error.code.as_str()), (JobState::Failed, "undo_failed"));
        assert!(error.message.contains("that cannot be written"), "{}", error.message);
        let job = ends(&["fails"]).await;
        assert_eq!((job.state, job.error.unwrap().code.as_str()), (JobState::Failed, "nonsense"));
        assert_eq!(t.number("SELECT count(*) FROM job_lock WHERE job_id IS NOT NULL").await, 0);
    }

    async fn a_cancelled_job_is_undone(db: TestDatabase) {
        let (order, world) = (Order::default(), World::default());
        let gate = Gate::closed();
        let (pass, inner) = (gate.clone(), order.clone());
        let scripted = Scripted::new(move |call: Call| {
            let pass = pass.clone();
            async move {
                if call.step == "b" {
                    tokio::select! {
                        () = pass.pass() => {}
                        () = call.cancelled.cancelled() => return Outcome::Retry(Error::unavailable("stopped", "stopped")),
                    }
                }
                Outcome::done(json!({ "made": call.step }))
            }
        })
        .on_call_off(async |call: Call| {
            assert!(!call.cancelled.is_cancelled(), "the cancel is no reason to stop calling off");
            Ok(())
        })
        .on_undo(move |call: Call| {
            assert!(!call.cancelled.is_cancelled(), "nor to stop undoing");
            inner.lock().unwrap().push(call.step);
            async { Ok(None) }
        });
        let t = TestKernel::build().scripted(scripted).world(&world).on(&db).await;
        let id = t.job(&["a", "b"]).await;
        qd_testkit::eventually("b began", async || {
            (t.job_now(id).await.steps[1].state == StepState::Running).then_some(())
        })
        .await;
        t.kernel.job_cancel(&t.context(), id, String::new()).await.unwrap();
        let job = t.job_ended(id).await;
        assert_eq!((job.state, job.error.unwrap().code.as_str()), (JobState::Undone, "cancelled"));
        assert_eq!(*order.lock().unwrap(), ["a"]);
        let again = t.kernel.job_cancel(&t.context(), id, String::new()).await.unwrap_err();
        assert_eq!(again.code, "job_ended");
    }

    async fn an_undo_that_cannot_be_done_says_what_is_left(db: TestDatabase) {
        let clock = qd_testkit::ManualClock::new(1);
        let (order, world) = (Order::default(), World::default());
        // The clock is moved while an undo is under way, which shall not cost it its lease.
        let lease = std::time::Duration::from_hours(1000);
        let build = TestKernel::build().scripted(undoing(&order, &world, 1000)).clock(&clock).lease(lease);
        let t = build.on(&db).await;
        let id = t.job(&["a", "b", "fails"]).await;
        let job = qd_testkit::eventually("the job ends", async || {
            clock.advance(std::time::Duration::from_secs(90));
            t.kernel.bus.call_workers();
            let job = t.job_now(id).await;
            job.state.is_terminal().then_some(job)
        })
        .await;
        let error = job.error.unwrap();
        assert_eq!((job.state, error.code.as_str()), (JobState::Failed, "undo_failed"));
        assert!(error.message.contains("Still done, to be taken back by hand: b, a"), "{}", error.message);
        assert_eq!(job.steps[1].attempts, 10);
        assert_eq!(t.number("SELECT count(*) FROM job_lock WHERE job_id IS NOT NULL").await, 0);
    }

    /// The process dies after an undo took effect and before that is written: the next one undoes it again, and goes on. On
    /// SQLite it does so at once, however long the lease is.
    async fn another_process_goes_on_undoing(db: TestDatabase) {
        let lease = match db.backend {
            Backend::Sqlite => std::time::Duration::from_mins(10),
            Backend::Postgres => std::time::Duration::from_millis(300),
        };
        let (order, world) = (Order::default(), World::default());
        let gate = Gate::closed();
        let (pass, inner) = (gate.clone(), order.clone());
        let stuck = Scripted::new(async |call: Call| {
            if call.step == "fails" {
                return Outcome::Fatal(Error::invalid("nonsense", "that cannot be"));
            }
            Outcome::done(json!({ "made": call.step }))
        })
        .on_undo(move |call: Call| {
            let pass = pass.clone();
            inner.lock().unwrap().push(format!("first {}", call.step));
            async move {
                pass.pass().await;
                Ok(None)
            }
        });
        let mut t = TestKernel::build().scripted(stuck).lease(lease).on(&db).await;
        let id = t.job(&["a", "b", "fails"]).await;
        qd_testkit::eventually("b is being undone", async || order.lock().unwrap().contains(&"first b".into()).then_some(())).await;
        t.crash_tasks();
        let next = TestKernel::build().store(&t.kernel.store).scripted(undoing(&order, &world, 0)).on(&db).await;
        let job = next.job_ended(id).await;
        assert_eq!(job.state, JobState::Undone);
        assert_eq!(*order.lock().unwrap(), ["first b", "b", "a"]);
    }
}
