//! What a crash does: at every step, before and after it took effect, the job goes on with the next start and each effect
//! is there once.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use qd_core::{
    error::Error,
    state::{JobState, RunState},
};
use qd_kernel::operation::Outcome;
use qd_testkit::engine::OnSubmit;
use qd_testkit::scripted::Call;
use qd_testkit::{Scripted, TestKernel, World, both_stores, eventually};
use serde_json::json;

/// Short, so that on Postgres the next process takes over soon.
const LEASE: Duration = Duration::from_secs(1);
const STEPS: [&str; 4] = ["a", "b", "c", "d"];

#[derive(Clone, Copy, PartialEq, Debug)]
enum Moment {
    Before,
    After,
}

/// Hangs once, at the stated step and moment; with adopt-if-exists otherwise.
fn crashing(world: &World, at: &Arc<Mutex<Option<(&'static str, Moment)>>>) -> Scripted {
    let (world, at) = (world.clone(), at.clone());
    Scripted::new(move |call: Call| {
        let (world, at) = (world.clone(), at.clone());
        async move {
            world.try_once(&call.step);
            let crash = at.lock().unwrap().take_if(|(step, _)| *step == call.step).map(|(_, moment)| moment);
            if crash == Some(Moment::Before) {
                world.effect("crashed");
                std::future::pending::<()>().await;
            }
            world.adopt(&call.step);
            if crash == Some(Moment::After) {
                world.effect("crashed");
                std::future::pending::<()>().await;
            }
            Outcome::done(json!({ "seen": call.outputs.len() }))
        }
    })
}

both_stores! {
    async fn at_every_step_the_job_goes_on_and_each_effect_is_there_once(db: TestDatabase) {
        for moment in [Moment::Before, Moment::After] {
            for step in STEPS {
                let world = World::default();
                let at = Arc::new(Mutex::new(Some((step, moment))));
                let first = TestKernel::build().scripted(crashing(&world, &at)).lease(LEASE).on(&db).await;
                let id = first.job(&STEPS).await;
                eventually("the first comes to its crash", async || (world.effects("crashed") == 1).then_some(())).await;
                first.crash().await;
                let second = TestKernel::build().scripted(crashing(&world, &at)).lease(LEASE).on(&db).await;
                let job = second.job_ended(id).await;
                assert_eq!(job.state, JobState::Succeeded, "{moment:?} {step}");
                for (index, name) in STEPS.iter().enumerate() {
                    assert_eq!(world.effects(name), 1, "{name}, crashed {moment:?} {step}");
                    assert_eq!(world.tries(name), if *name == step { 2 } else { 1 }, "{name}, crashed {moment:?} {step}");
                    assert_eq!(job.steps[index].output, Some(json!({ "seen": index })), "outputs survive");
                }
                second.stop().await;
            }
        }
    }

    async fn a_worker_that_dies_each_time_does_not_try_for_ever(db: TestDatabase) {
        let world = World::default();
        let build = || {
            let world = world.clone();
            let scripted = Scripted::new(move |call: Call| {
                world.try_once(&call.step);
                std::future::pending::<Outcome>()
            })
            .max_attempts(2);
            TestKernel::build().scripted(scripted).lease(LEASE)
        };
        let mut t = build().on(&db).await;
        let id = t.job(&["deadly"]).await;
        for tries in 1..=2 {
            eventually("it is tried", async || (world.tries("deadly") == tries).then_some(())).await;
            t.crash().await;
            t = build().on(&db).await;
        }
        let job = t.job_ended(id).await;
        assert_eq!((job.state, job.error.unwrap().code.as_str()), (JobState::Failed, "attempts_exhausted"));
        assert_eq!(world.tries("deadly"), 2);
    }

    async fn what_failed_is_not_run_again_when_its_worker_dies_calling_it_off(db: TestDatabase) {
        let world = World::default();
        let failing = |hangs: bool| {
            let (runs, calls) = (world.clone(), world.clone());
            Scripted::new(move |_| {
                runs.effect("run");
                async { Outcome::Fatal(Error::invalid("nonsense", "that cannot be")) }
            })
            .on_call_off(move |_| {
                calls.effect("called off");
                async move {
                    if hangs {
                        std::future::pending::<()>().await;
                    }
                    Ok(())
                }
            })
        };
        let first = TestKernel::build().scripted(failing(true)).lease(LEASE).on(&db).await;
        let id = first.job(&["a"]).await;
        eventually("it is called off", async || (world.effects("called off") == 1).then_some(())).await;
        first.crash().await;
        let second = TestKernel::build().scripted(failing(false)).lease(LEASE).on(&db).await;
        let job = second.job_ended(id).await;
        assert_eq!((job.state, job.error.unwrap().code.as_str()), (JobState::Failed, "nonsense"));
        assert_eq!((world.effects("run"), world.effects("called off")), (1, 2));
    }

    async fn a_start_that_hangs_in_the_engine_is_adopted_after_the_crash(db: TestDatabase) {
        let first = TestKernel::build().lease(LEASE).on(&db).await;
        first.published("one", json!({})).await;
        first.engine.on_submit([OnSubmit::Hang]);
        let (_, run) = first.run("one").await;
        let (engine, name) = (first.engine.clone(), first.external(&run));
        eventually("the submit is under way", async || (engine.submits(&name) == 1).then_some(())).await;
        first.crash().await;
        let second = TestKernel::build().lease(LEASE).engine(&engine).on(&db).await;
        second.run_in(run.id, RunState::Running).await;
        assert_eq!((engine.submits(&name), engine.names().len()), (2, 1));
        engine.end(&name, RunState::Succeeded);
        second.run_in(run.id, RunState::Succeeded).await;
    }

    async fn a_run_that_ended_while_nobody_looked_is_found_ended(db: TestDatabase) {
        let first = TestKernel::start(&db).await;
        first.published("one", json!({})).await;
        let (_, run) = first.run("one").await;
        first.run_in(run.id, RunState::Running).await;
        let (engine, name) = (first.engine.clone(), first.external(&run));
        first.crash().await;
        engine.log(&name, (1..=100).map(|n| qd_testkit::engine::line(format!("line {n}"))));
        engine.end(&name, RunState::Failed);
        let second = TestKernel::build().engine(&engine).on(&db).await;
        let ended = second.run_in(run.id, RunState::Failed).await;
        assert_eq!(ended.code.as_deref(), Some("fake_failure"));
        let log = second.kernel.log_after(second.scope, run.id, Default::default(), 0, 500).await.unwrap();
        assert_eq!((log.items.len(), log.last), (100, 100));
    }
}
