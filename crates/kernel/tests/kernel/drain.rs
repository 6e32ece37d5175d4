//! A process that stops hands over what it has not begun: others go on at once, not after a lease.

use std::time::Duration;

use qd_core::state::JobState;
use qd_kernel::operation::Outcome;
use qd_testkit::{Gate, Scripted, TestDatabase, TestKernel, World, eventually};
use serde_json::json;

/// So long that a test which waits for it fails.
const LEASE: Duration = Duration::from_hours(1);

/// A step named `hold` waits at the gate; every one leaves its effect.
fn scripted(world: &World, gate: &Gate) -> Scripted {
    let (world, gate) = (world.clone(), gate.clone());
    Scripted::new(move |call| {
        let (world, gate) = (world.clone(), gate.clone());
        async move {
            world.try_once(&call.step);
            if call.step == "hold" {
                gate.pass().await;
            }
            world.effect(&call.step);
            Outcome::done(json!({}))
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_stops_finishes_its_step_and_leaves_the_rest_to_others() {
    let db = TestDatabase::postgres().await;
    // Each with a world of its own, to see who did what.
    let (here, there, gate) = (World::default(), World::default(), Gate::closed());
    let build = || TestKernel::build().lease(LEASE);
    let mut first = build().scripted(scripted(&here, &gate)).on(&db).await;
    let mut second =
        build().scripted(scripted(&there, &gate)).store(&first.kernel.store).idle().on(&db).await;
    let job = first.job(&["hold", "after"]).await;
    eventually("the step is under way", async || (here.tries("hold") == 1).then_some(())).await;
    // Told to stop while its step is under way: only then may the step end.
    let stopping = first.stopping_tasks();
    second.start_tasks().await;
    gate.open();
    stopping.await;
    let ended = second.job_ended(job).await;
    assert_eq!(ended.state, JobState::Succeeded, "{:?}", ended.error);
    assert_eq!((here.tries("hold"), here.tries("after")), (1, 0), "what was under way is finished");
    assert_eq!((there.tries("hold"), there.tries("after")), (0, 1), "the rest is done by the other");
    assert_eq!(ended.steps.iter().map(|step| step.attempts).collect::<Vec<_>>(), [1, 1]);
}
