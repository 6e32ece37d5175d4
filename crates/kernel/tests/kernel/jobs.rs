//! The job engine: leases and fences, retries, time-outs, waits and cancels. What a crash does is in `jobs_crash`.

use std::sync::Arc;
use std::time::Duration;

use qd_core::error::Error;
use qd_core::state::{JobState, StepState};
use qd_core::time::Timestamp;
use qd_kernel::access::VIEWER;
use qd_kernel::context::Context;
use qd_kernel::events::EventFilter;
use qd_kernel::mutation::Act;
use qd_kernel::operation::{Ending, Outcome};
use qd_kernel::params;
use qd_testkit::eventually::within;
use qd_testkit::kernel::key;
use qd_testkit::scripted::{Call, SCRIPTED};
use qd_testkit::{Gate, ManualClock, Scripted, TestDatabase, TestKernel, World, both_stores, eventually};
use serde_json::json;

const NEVER: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_secs(10);

/// Every step takes effect under its job's and its own name.
fn counting(world: &World) -> Scripted {
    let world = world.clone();
    Scripted::new(move |call: Call| {
        let world = world.clone();
        async move {
            let name = format!("{}/{}", call.job_id, call.step);
            let tries = world.try_once(&name);
            world.effect(&name);
            Outcome::done(json!({ "tries": tries }))
        }
    })
}

fn error() -> Error {
    Error::unavailable("world_away", "the world is away")
}

both_stores! {
    async fn steps_run_in_order_and_see_the_outputs_before_them(db: TestDatabase) {
        let scripted = Scripted::new(async |call: Call| {
            Outcome::done(json!({ "step": call.step, "before": call.outputs, "attempt": call.attempt }))
        });
        let t = TestKernel::build().scripted(scripted).on(&db).await;
        let job = t.job_ended(t.job(&["a", "b", "c"]).await).await;
        assert_eq!((job.state, job.created_by.as_str()), (JobState::Succeeded, "tester"));
        assert_eq!((job.request_id.as_str(), job.correlation_id.as_str()), ("request-1", "correlation-1"));
        let names: Vec<&str> = job.steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        for (index, step) in job.steps.iter().enumerate() {
            let output = step.output.as_ref().unwrap();
            assert_eq!((step.state, step.attempts), (StepState::Succeeded, 1));
            assert_eq!(output["before"].as_array().unwrap().len(), index);
            assert!(step.started_at.is_some() && step.started_at <= step.ended_at);
        }
        assert_eq!(t.number("SELECT count(*) FROM job_queue").await, 0);
    }

    async fn what_a_step_writes_is_kept_with_its_result(db: TestDatabase) {
        let scripted = Scripted::new(async |_| {
            Outcome::done_with(json!({}), |m| Ok(m.tx.exec("UPDATE tenant SET name = 'renamed'", &[]).map(drop)?))
        });
        let t = TestKernel::build().scripted(scripted).on(&db).await;
        t.job_ended(t.job(&["a"]).await).await;
        assert_eq!(t.number("SELECT count(*) FROM tenant WHERE name = 'renamed'").await, 1);
    }

    async fn a_failing_step_is_tried_again_with_growing_pauses(db: TestDatabase) {
        let times = Arc::new(std::sync::Mutex::new(Vec::<Timestamp>::new()));
        let seen = times.clone();
        let scripted = Scripted::new(move |call: Call| {
            seen.lock().unwrap().push(call.now);
            async move { if call.attempt < 3 { Outcome::Retry(error()) } else { Outcome::done(json!({})) } }
        });
        let t = TestKernel::build().scripted(scripted).on(&db).await;
        let job = t.job_ended(t.job(&["a"]).await).await;
        assert_eq!((job.state, job.steps[0].attempts, job.steps[0].error.clone()), (JobState::Succeeded, 3, None));
        let times = times.lock().unwrap();
        let pauses: Vec<Duration> = times.windows(2).map(|pair| pair[1].since(pair[0])).collect();
        assert!(pauses[0] >= Duration::from_millis(500) && pauses[1] >= Duration::from_secs(1), "{pauses:?}");
    }

    async fn attempts_are_used_up_in_the_end(db: TestDatabase) {
        let ended = World::default();
        let ends = ended.clone();
        let scripted = Scripted::new(async |_| Outcome::Retry(error())).max_attempts(2).on_end(move |_, ending| {
            let Ending::Failed { code, .. } = ending else { panic!("it failed") };
            ends.effect(code);
            Some(Box::new(|m| Ok(m.tx.exec("UPDATE tenant SET name = 'renamed'", &[]).map(drop)?)))
        });
        let t = TestKernel::build().scripted(scripted).on(&db).await;
        let job = t.job_ended(t.job(&["a", "b"]).await).await;
        let failed = job.error.expect("it failed");
        assert_eq!((job.state, failed.code.as_str()), (JobState::Failed, "world_away"));
        assert_eq!(failed.message, "the world is away (tried 2 times)");
        assert_eq!((job.steps[0].state, job.steps[0].attempts), (StepState::Failed, 2));
        assert_eq!(job.steps[1].state, StepState::Skipped);
        assert_eq!(ended.effects("world_away"), 1);
        assert_eq!(t.number("SELECT count(*) FROM tenant WHERE name = 'renamed'").await, 1, "the end's own write");
    }

    async fn an_error_for_good_is_not_tried_again(db: TestDatabase) {
        let world = World::default();
        let tries = world.clone();
        let scripted = Scripted::new(move |_| {
            tries.try_once("a");
            async { Outcome::Fatal(Error::invalid("nonsense", "that cannot be")) }
        });
        let t = TestKernel::build().scripted(scripted).on(&db).await;
        let job = t.job_ended(t.job(&["a"]).await).await;
        assert_eq!((job.state, job.error.unwrap().code.as_str()), (JobState::Failed, "nonsense"));
        assert_eq!(world.tries("a"), 1);
    }

    async fn what_a_step_may_not_write_fails_the_job(db: TestDatabase) {
        let scripted = Scripted::new(async |_| {
            Outcome::done_with(json!({}), |_| Err(Error::conflict("moved_on", "it is not so any more")))
        });
        let t = TestKernel::build().scripted(scripted).on(&db).await;
        let id = t.job(&["a", "b"]).await;
        let job = within(SOON, "the job fails, well before its lease ends", async || {
            let job = t.job_now(id).await;
            job.state.is_terminal().then_some(job)
        })
        .await;
        assert_eq!((job.state, job.error.unwrap().code.as_str()), (JobState::Failed, "moved_on"));
        assert_eq!(job.steps[0].output, None);
    }

    async fn a_step_that_panics_gives_its_slot_back_and_is_tried_again(db: TestDatabase) {
        let scripted = Scripted::new(async |call: Call| {
            assert!(call.attempt > 1, "a test's own panic");
            Outcome::done(json!({}))
        });
        let t = TestKernel::build().scripted(scripted).slots(1).on(&db).await;
        let id = t.job(&["a"]).await;
        let job = within(SOON, "the job succeeds, well before its lease ends", async || {
            let job = t.job_now(id).await;
            job.state.is_terminal().then_some(job)
        })
        .await;
        assert_eq!((job.state, job.steps[0].attempts), (JobState::Succeeded, 2));
    }

    async fn a_step_that_takes_too_long_is_cut_off_and_tried_again(db: TestDatabase) {
        let scripted = Scripted::new(async |call: Call| {
            if call.attempt == 1 {
                std::future::pending::<()>().await;
            }
            Outcome::done(json!({}))
        })
        .timeout(Duration::from_millis(100));
        let t = TestKernel::build().scripted(scripted).on(&db).await;
        let job = t.job_ended(t.job(&["a"]).await).await;
        assert_eq!((job.state, job.steps[0].attempts), (JobState::Succeeded, 2));
    }

    async fn a_job_whose_operation_is_unknown_here_waits_for_a_server_that_knows_it(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let first = TestKernel::build().scripted(counting(&World::default())).clock(&clock).idle().on(&db).await;
        let (id, other) = (first.job(&["a"]).await, first.job(&["a"]).await);
        first.stop().await;
        let older = TestKernel::build().clock(&clock).on(&db).await;
        let job = older.job_in(id, JobState::Waiting).await;
        assert_eq!(job.waiting_for.as_deref(), Some("a server that knows the operation test.scripted"));
        older.kernel.job_cancel(&older.context(), other, String::new()).await.unwrap();
        assert_eq!(older.job_ended(other).await.state, JobState::Cancelled, "it never began");
        older.stop().await;
        clock.advance(Duration::from_secs(60));
        let newer = TestKernel::build().scripted(counting(&World::default())).clock(&clock).on(&db).await;
        let job = newer.job_ended(id).await;
        assert_eq!((job.state, job.steps[0].attempts), (JobState::Succeeded, 1));
    }

    async fn a_tenant_with_many_jobs_leaves_a_slot_for_the_next_one(db: TestDatabase) {
        let gate = Gate::closed();
        let scripted = |gate: Gate| {
            Scripted::new(move |call: Call| {
                let gate = gate.clone();
                async move {
                    if call.step == "many" {
                        gate.pass().await;
                    }
                    Outcome::done(json!({}))
                }
            })
        };
        let t = TestKernel::build().scripted(scripted(gate.clone())).idle().on(&db).await;
        let mut many = vec![];
        for _ in 0..20 {
            many.push(t.job(&["many"]).await);
        }
        let (tenant, project, now) = (t.kernel.source.uuid(), t.kernel.source.uuid(), t.kernel.source.now());
        let make = move |tx: &mut qd_kernel::store::Tx<'_>| {
            tx.exec("INSERT INTO tenant (id, name, created_at) VALUES ($1, 'other', $2)", params![tenant, now])?;
            let sql = "INSERT INTO project (id, tenant_id, name, created_at) VALUES ($1, $2, 'default', $3)";
            tx.exec(sql, params![project, tenant, now])
        };
        t.kernel.store.write(make).await.unwrap();
        let other = Context { scope: t.kernel.scope_find(Some("other"), None).await.unwrap().scope, ..t.context() };
        let worker =
            TestKernel::build().store(&t.kernel.store).scripted(scripted(gate.clone())).slots(8).on(&db).await;
        eventually("the many have all that they may have", async || {
            (t.number("SELECT count(*) FROM job WHERE state = 'running'").await == 7).then_some(())
        })
        .await;
        let act = Act::new("tests", "script");
        let job = t.kernel.job_create(&other, act, SCRIPTED, Scripted::input(&["one"]), key()).await.unwrap();
        t.kernel.bus.call_workers();
        worker.kernel.bus.call_workers();
        eventually("the other tenant's job ends", async || {
            let job = t.kernel.job_get(other.scope, job.id).await.unwrap();
            (job.state == JobState::Succeeded).then_some(())
        })
        .await;
        assert_eq!(t.number("SELECT count(*) FROM job WHERE state = 'running'").await, 7);
        gate.open();
        for id in many {
            worker.job_ended(id).await;
        }
    }

    async fn a_wait_ends_when_its_time_has_come_and_counts_no_attempt(db: TestDatabase) {
        let world = World::default();
        let looks = world.clone();
        let scripted = Scripted::new(move |call: Call| {
            let look = looks.try_once(&call.step);
            async move {
                if look <= 3 {
                    Outcome::Wait { after: NEVER, waiting_for: format!("look {look}") }
                } else {
                    Outcome::done(json!({}))
                }
            }
        });
        let clock = ManualClock::new(1);
        let t = TestKernel::build().scripted(scripted).clock(&clock).on(&db).await;
        let id = t.job(&["a"]).await;
        for look in 1..=3 {
            eventually("it waits for its next look", async || {
                (t.job_now(id).await.waiting_for == Some(format!("look {look}"))).then_some(())
            })
            .await;
            assert_eq!(world.tries("a"), look);
            clock.advance(NEVER);
        }
        let job = t.job_ended(id).await;
        assert_eq!((job.state, job.steps[0].attempts, job.waiting_for), (JobState::Succeeded, 1, None));
    }

    async fn a_thousand_that_wait_hold_no_slot(db: TestDatabase) {
        let scripted = Scripted::new(async |call: Call| {
            if call.step == "wait" {
                Outcome::Wait { after: NEVER, waiting_for: "nothing".into() }
            } else {
                Outcome::done(json!({}))
            }
        });
        let t = TestKernel::build().scripted(scripted).slots(2).on(&db).await;
        for _ in 0..1000 {
            t.job(&["wait"]).await;
        }
        eventually("all of them wait", async || {
            (t.number("SELECT count(*) FROM job WHERE state = 'waiting'").await == 1000).then_some(())
        })
        .await;
        assert_eq!(t.job_ended(t.job(&["go"]).await).await.state, JobState::Succeeded);
    }

    async fn a_wait_gives_the_fencing_token_up(db: TestDatabase) {
        // Else a heartbeat that was on its way would move the wait to the end of a lease that is over.
        let held = Arc::new(std::sync::Mutex::new(0));
        let seen = held.clone();
        let scripted = Scripted::new(move |call: Call| {
            *seen.lock().unwrap() = call.fencing_token;
            async { Outcome::Wait { after: NEVER, waiting_for: "nothing".into() } }
        });
        let t = TestKernel::build().scripted(scripted).on(&db).await;
        t.job_in(t.job(&["a"]).await, JobState::Waiting).await;
        let stored = t.number("SELECT token FROM job_queue").await;
        let held = *held.lock().unwrap();
        assert!(stored > held, "the token held was {held}, stored is {stored}");
    }

    async fn cancelled_while_it_is_queued(db: TestDatabase) {
        let world = World::default();
        let mut t = TestKernel::build().scripted(counting(&world)).idle().on(&db).await;
        let id = t.job(&["a"]).await;
        let asked = t.kernel.job_cancel(&t.context(), id, "changed my mind".into()).await.unwrap();
        assert!(asked.cancel_requested);
        t.start_tasks().await;
        let job = t.job_ended(id).await;
        assert_eq!((job.state, job.steps[0].state), (JobState::Cancelled, StepState::Cancelled));
        assert!(world.all_effects().is_empty());
        let again = t.kernel.job_cancel(&t.context(), id, String::new()).await.unwrap_err();
        assert_eq!(again.code, "job_ended");
    }

    async fn cancelled_while_it_runs_it_stops_after_its_step(db: TestDatabase) {
        let world = World::default();
        let running = world.clone();
        let scripted = Scripted::new(move |call: Call| {
            running.effect(&call.step);
            async move {
                call.cancelled.cancelled().await;
                Outcome::done(json!({}))
            }
        });
        let t = TestKernel::build().scripted(scripted).on(&db).await;
        let id = t.job(&["a", "b", "c"]).await;
        eventually("the first step is under way", async || (world.effects("a") == 1).then_some(())).await;
        t.kernel.job_cancel(&t.context(), id, "enough".into()).await.unwrap();
        let job = t.job_ended(id).await;
        let states: Vec<StepState> = job.steps.iter().map(|step| step.state).collect();
        assert_eq!(job.state, JobState::Cancelled);
        assert_eq!(states, [StepState::Succeeded, StepState::Cancelled, StepState::Skipped]);
        assert_eq!(world.effects("b"), 0);
        assert_eq!(t.number("SELECT count(*) FROM audit WHERE action = 'jobs.cancel' AND reason = 'enough'").await, 1);
    }

    async fn cancelled_while_it_waits(db: TestDatabase) {
        let scripted =
            Scripted::new(async |_| Outcome::Wait { after: NEVER, waiting_for: "nothing".into() });
        let t = TestKernel::build().scripted(scripted).on(&db).await;
        let id = t.job(&["a"]).await;
        t.job_in(id, JobState::Waiting).await;
        t.kernel.job_cancel(&t.context(), id, String::new()).await.unwrap();
        assert_eq!(t.job_ended(id).await.state, JobState::Cancelled);
    }

    async fn cancelled_just_before_it_waits_it_does_not_wait(db: TestDatabase) {
        let (gate, world) = (Gate::closed(), World::default());
        let (held, running) = (gate.clone(), world.clone());
        let scripted = Scripted::new(move |call: Call| {
            let held = held.clone();
            running.try_once(&call.step);
            async move {
                held.pass().await;
                Outcome::Wait { after: NEVER, waiting_for: "nothing".into() }
            }
        });
        let t = TestKernel::build().scripted(scripted).on(&db).await;
        let id = t.job(&["a"]).await;
        eventually("the step is under way", async || (world.tries("a") == 1).then_some(())).await;
        t.kernel.job_cancel(&t.context(), id, String::new()).await.unwrap();
        gate.open();
        assert_eq!(t.job_ended(id).await.state, JobState::Cancelled);
    }

    async fn a_cancel_between_steps_is_seen_before_the_next(db: TestDatabase) {
        let (gate, world) = (Gate::closed(), World::default());
        let (held, running) = (gate.clone(), world.clone());
        let scripted = Scripted::new(move |call: Call| {
            let held = held.clone();
            running.try_once(&call.step);
            async move {
                held.pass().await;
                Outcome::done(json!({}))
            }
        });
        let t = TestKernel::build().scripted(scripted).on(&db).await;
        // Another process: the worker of the first is told nothing but by the rows.
        let other = TestKernel::build().store(&t.kernel.store).idle().on(&db).await;
        let id = t.job(&["a", "b"]).await;
        eventually("the step is under way", async || (world.tries("a") == 1).then_some(())).await;
        other.kernel.job_cancel(&other.context(), id, String::new()).await.unwrap();
        gate.open();
        assert_eq!(t.job_ended(id).await.state, JobState::Cancelled);
        assert_eq!(world.tries("b"), 0);
    }

    async fn a_cancel_that_cannot_be_carried_out_is_tried_until_it_can_be(db: TestDatabase) {
        const FAILURES: u32 = 4;
        let world = World::default();
        let calls = world.clone();
        let scripted = Scripted::new(async |_| Outcome::Wait { after: NEVER, waiting_for: "nothing".into() })
            .max_attempts(2)
            .on_call_off(move |_| {
                let call = calls.try_once("call off");
                async move { if call <= FAILURES { Err(error()) } else { Ok(()) } }
            });
        let clock = ManualClock::new(1);
        let t = TestKernel::build().scripted(scripted).clock(&clock).on(&db).await;
        let id = t.job(&["a"]).await;
        t.job_in(id, JobState::Waiting).await;
        t.kernel.job_cancel(&t.context(), id, String::new()).await.unwrap();
        for failures in 1..=FAILURES {
            eventually("it waits for its next try, and not for nothing", async || {
                // The try before the state: what is read as waiting then waits for the next one.
                let tried = world.tries("call off") == failures;
                (tried && t.job_now(id).await.state == JobState::Waiting).then_some(())
            })
            .await;
            clock.advance(Duration::from_mins(2));
        }
        assert_eq!(t.job_ended(id).await.state, JobState::Cancelled);
        assert_eq!(world.tries("call off"), FAILURES + 1);
    }

    async fn a_step_that_fails_in_the_end_is_called_off_first(db: TestDatabase) {
        let world = World::default();
        let calls = world.clone();
        let scripted = Scripted::new(async |_| Outcome::Fatal(Error::invalid("nonsense", "that cannot be"))).on_call_off(move |_| {
            let call = calls.try_once("call off");
            async move { if call == 1 { Err(error()) } else { Ok(()) } }
        });
        let clock = ManualClock::new(1);
        let t = TestKernel::build().scripted(scripted).clock(&clock).on(&db).await;
        let id = t.job(&["a"]).await;
        let waiting = t.job_in(id, JobState::Waiting).await;
        assert_eq!(waiting.error.unwrap().code, "nonsense");
        assert_eq!(waiting.waiting_for.as_deref(), Some("its step to be called off after: the world is away"));
        clock.advance(Duration::from_mins(2));
        let job = t.job_ended(id).await;
        assert_eq!((job.state, job.error.unwrap().code.as_str()), (JobState::Failed, "nonsense"));
        assert_eq!(world.tries("call off"), 2);
    }

    async fn what_is_waited_for_is_said_once(db: TestDatabase) {
        let world = World::default();
        let looks = world.clone();
        let scripted = Scripted::new(move |call: Call| {
            let look = looks.try_once(&call.step);
            async move {
                match look {
                    1..=3 => Outcome::Wait { after: NEVER, waiting_for: "the world".into() },
                    4 => Outcome::Wait { after: NEVER, waiting_for: "the moon".into() },
                    _ => Outcome::done(json!({})),
                }
            }
        });
        let clock = ManualClock::new(1);
        let t = TestKernel::build().scripted(scripted).clock(&clock).on(&db).await;
        let id = t.job(&["a"]).await;
        for look in 1..=4 {
            eventually("it waits", async || {
                // The look before the state: what is read as waiting then waits for the next one.
                let looked = world.tries("a") == look;
                (looked && t.job_now(id).await.state == JobState::Waiting).then_some(())
            })
            .await;
            clock.advance(NEVER);
        }
        t.job_ended(id).await;
        let said = eventually("the end has its position", async || {
            let events = t.kernel.events_after(t.scope, EventFilter::default(), 0, 500).await.unwrap();
            let said = |wanted: &str| events.iter().filter(|event| event.event_type == wanted).count();
            (said("job.succeeded") == 1).then(|| said("job.waiting"))
        })
        .await;
        assert_eq!(said, 2);
    }

    async fn who_may_not_cancel_does_not(db: TestDatabase) {
        let t = TestKernel::build().scripted(counting(&World::default())).idle().on(&db).await;
        let id = t.job(&["a"]).await;
        let denied = t.kernel.job_cancel(&t.context_as("viewer", VIEWER), id, String::new()).await.unwrap_err();
        assert_eq!(denied.code, "action_denied");
        assert!(!t.job_now(id).await.cancel_requested);
    }

    async fn a_thousand_jobs_of_three_steps_end_exactly_once(db: TestDatabase) {
        let world = World::default();
        let t = TestKernel::build().scripted(counting(&world)).slots(16).on(&db).await;
        let mut ids = vec![];
        for chunk in 0..20 {
            let made = futures::future::join_all((0..50).map(|_| t.job(&["a", "b", "c"]))).await;
            assert_eq!(made.len(), 50, "chunk {chunk}");
            ids.extend(made);
        }
        eventually("all have succeeded", async || {
            (t.number("SELECT count(*) FROM job WHERE state = 'succeeded'").await == 1000).then_some(())
        })
        .await;
        let effects = world.all_effects();
        assert_eq!(effects.len(), 3000);
        assert!(effects.values().all(|times| *times == 1));
        assert_eq!(t.number("SELECT count(*) FROM job_queue").await, 0);
        assert_eq!(t.number("SELECT count(*) FROM job_step WHERE state = 'succeeded' AND attempts = 1").await, 3000);
    }

    async fn whoever_lost_its_lease_writes_nothing(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let (world, gate) = (World::default(), Gate::closed());
        // The lease is so long that no heartbeat comes within the test: it ends because the clock is moved.
        let build = |scripted| TestKernel::build().scripted(scripted).clock(&clock).slots(1).lease(NEVER);
        let slow = {
            let (world, gate) = (world.clone(), gate.clone());
            Scripted::new(move |call: Call| {
                let (world, gate) = (world.clone(), gate.clone());
                async move {
                    world.try_once(&call.step);
                    world.adopt(&call.step);
                    if call.step == "held" {
                        gate.pass().await;
                    }
                    Outcome::done_with(json!({ "by": "first" }), |m| {
                        Ok(m.tx.exec("UPDATE tenant SET name = $1", params!["renamed"]).map(drop)?)
                    })
                }
            })
        };
        let first = build(slow).on(&db).await;
        let id = first.job(&["held"]).await;
        eventually("the first holds the job", async || (world.tries("held") == 1).then_some(())).await;
        let fast = {
            let world = world.clone();
            Scripted::new(move |call: Call| {
                world.try_once(&call.step);
                world.adopt(&call.step);
                async { Outcome::done(json!({ "by": "second" })) }
            })
        };
        // On SQLite the two share the store: another process could not hold its file.
        let second = match first.kernel.store.backend() {
            qd_kernel::store::Backend::Sqlite => build(fast).store(&first.kernel.store).idle().on(&db).await,
            qd_kernel::store::Backend::Postgres => build(fast).idle().on(&db).await,
        };
        let mut second = second;
        clock.advance(NEVER + NEVER);
        second.start_tasks().await;
        let job = second.job_ended(id).await;
        assert_eq!((job.state, job.steps[0].attempts), (JobState::Succeeded, 2));
        // In order: a claim that it has under way must not take the next job along.
        second.stopping_tasks().await;
        gate.open();
        // The first has one slot: when it carries out another job, it is done with the one that it lost.
        let next = first.job(&["next"]).await;
        eventually("the first has tried the next job", async || (world.tries("next") == 1).then_some(())).await;
        first.job_ended(next).await;
        let job = first.job_now(id).await;
        assert_eq!(job.steps[0].output, Some(json!({ "by": "second" })));
        assert_eq!((world.tries("held"), world.effects("held")), (2, 1));
    }

    async fn an_attempt_that_lost_its_lease_writes_nothing_beside_its_successor(db: TestDatabase) {
        let (clock, world, gate) = (ManualClock::new(1), World::default(), Gate::closed());
        let scripted = {
            let (world, gate) = (world.clone(), gate.clone());
            Scripted::new(move |call: Call| {
                let (world, gate) = (world.clone(), gate.clone());
                async move {
                    world.try_once(&call.step);
                    gate.pass().await;
                    Outcome::done(json!({ "attempt": call.attempt }))
                }
            })
        };
        let t = TestKernel::build().scripted(scripted).clock(&clock).lease(NEVER).on(&db).await;
        let mut jobs = vec![];
        for _ in 0..20 {
            jobs.push(t.job(&["held"]).await);
        }
        eventually("each is held", async || (world.tries("held") == 20).then_some(())).await;
        clock.advance(NEVER + NEVER);
        eventually("each is held by two attempts", async || (world.tries("held") == 40).then_some(())).await;
        // The results of both come at once, and go into one commit.
        gate.open();
        for id in jobs {
            let job = t.job_ended(id).await;
            assert_eq!(job.steps[0].output, Some(json!({ "attempt": 2 })));
        }
        assert_eq!(t.number("SELECT count(*) FROM job WHERE state = 'succeeded'").await, 20);
        let filter = EventFilter::default();
        let said = eventually("the end of each is told", async || {
            let events = t.kernel.events_after(t.scope, filter, 0, 1000).await.unwrap();
            let ends = events.iter().filter(|event| event.event_type == "job.succeeded").count();
            (ends >= 20).then_some(ends)
        })
        .await;
        assert_eq!(said, 20);
    }

    async fn a_heartbeat_keeps_a_step_that_outlasts_its_lease(db: TestDatabase) {
        let lease = Duration::from_secs(2);
        let world = World::default();
        let tries = world.clone();
        let scripted = move || {
            let tries = tries.clone();
            Scripted::new(move |call: Call| {
                tries.try_once(&call.step);
                async move {
                    // The work that takes this long, not a wait for something that the test could look at.
                    tokio::time::sleep(lease * 2).await;
                    Outcome::done(json!({}))
                }
            })
        };
        let first = TestKernel::build().scripted(scripted()).lease(lease).on(&db).await;
        let id = first.job(&["long"]).await;
        eventually("the first holds the job", async || (world.tries("long") == 1).then_some(())).await;
        let _second = match first.kernel.store.backend() {
            qd_kernel::store::Backend::Sqlite => None,
            qd_kernel::store::Backend::Postgres => {
                Some(TestKernel::build().scripted(scripted()).lease(lease).on(&db).await)
            }
        };
        assert_eq!(first.job_ended(id).await.state, JobState::Succeeded);
        assert_eq!(world.tries("long"), 1);
    }
}

/// Only one process may hold a SQLite file, so there is nothing to share there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_kernels_on_one_postgres_share_the_work() {
    let db = TestDatabase::postgres().await;
    let (worlds, mut kernels) = ([World::default(), World::default()], vec![]);
    for world in &worlds {
        kernels.push(TestKernel::build().scripted(counting(world)).slots(4).on(&db).await);
    }
    for chunk in 0..10 {
        let from = &kernels[chunk % 2];
        futures::future::join_all((0..40).map(|_| from.job(&["a", "b", "c"]))).await;
    }
    eventually("all have succeeded", async || {
        (kernels[0].number("SELECT count(*) FROM job WHERE state = 'succeeded'").await == 400).then_some(())
    })
    .await;
    let (mine, theirs) = (worlds[0].all_effects(), worlds[1].all_effects());
    assert!(!mine.is_empty() && !theirs.is_empty(), "both work: {} and {}", mine.len(), theirs.len());
    assert_eq!(mine.len() + theirs.len(), 1200);
    assert!(mine.keys().all(|name| !theirs.contains_key(name)), "no step was carried out by both");
    assert!(mine.values().chain(theirs.values()).all(|times| *times == 1));
}
