//! What must be so after a simulation: that nothing wrong ever happened (safety), and that everything came to its end (liveness).

use qd_core::id::JobId;
use qd_core::state::JobState;
use qd_kernel::Kernel;
use qd_kernel::context::Scope;
use qd_kernel::events::EventFilter;
use qd_testkit::kernel::number;

use crate::storm::STEPS;
use crate::world::World;

pub async fn liveness(kernel: &Kernel, scope: Scope, jobs: &[JobId]) -> Vec<String> {
    let mut wrong = vec![];
    for id in jobs {
        match kernel.job_get(scope, *id).await {
            Ok(job) if job.state.is_terminal() => {
                let left_alone = !job.cancel_requested && !fails(kernel, *id).await;
                if left_alone && job.state != JobState::Succeeded {
                    let why = job.error.map(|error| error.message);
                    wrong.push(format!("liveness: job {id} was let alone and is {}: {why:?}", job.state));
                }
            }
            Ok(job) => {
                wrong.push(format!("liveness: job {id} is still {}: {:?}", job.state, job.waiting_for))
            }
            Err(error) => wrong.push(format!("safety: job {id} was acknowledged and is lost: {error}")),
        }
    }
    for (what, sql) in [
        ("places in the queue", "SELECT count(*) FROM job_queue"),
        ("locks", "SELECT count(*) FROM job_lock WHERE job_id IS NOT NULL"),
        ("waits for locks", "SELECT count(*) FROM job_lock_wait"),
    ] {
        let left = number(&kernel.store, sql).await;
        if left != 0 {
            wrong.push(format!("liveness: {left} {what} are left"));
        }
    }
    wrong
}

pub async fn safety(kernel: &Kernel, scope: Scope, jobs: &[JobId], world: &World) -> Vec<String> {
    let mut wrong = vec![];
    let all = number(&kernel.store, "SELECT count(*) FROM job").await;
    if all != i64::try_from(jobs.len()).unwrap() {
        wrong.push(format!("safety: {all} jobs for {} keys", jobs.len()));
    }
    for id in jobs {
        let Ok(job) = kernel.job_get(scope, *id).await else { continue };
        if !job.state.is_terminal() {
            continue;
        }
        let name = id.to_string();
        let left: Vec<&str> = STEPS.into_iter().filter(|step| world.has(&name, step)).collect();
        match job.state {
            JobState::Succeeded if left != STEPS => {
                wrong.push(format!("safety: job {id} succeeded and only {left:?} took effect"));
            }
            JobState::Undone | JobState::Cancelled if !left.is_empty() => {
                wrong.push(format!("safety: job {id} is {} and {left:?} is still done", job.state));
            }
            JobState::Failed
                if job.error.as_ref().is_none_or(|error| error.code != "undo_failed") && !left.is_empty() =>
            {
                wrong.push(format!("safety: job {id} failed ({:?}) and {left:?} is still done", job.error));
            }
            _ => {}
        }
        wrong.extend(events_in_order(kernel, scope, *id).await);
    }
    wrong
}

/// Queued first, then running once, one end, and nothing after it.
async fn events_in_order(kernel: &Kernel, scope: Scope, id: JobId) -> Vec<String> {
    let filter = EventFilter { job_id: Some(id), ..EventFilter::default() };
    let events = kernel.events_after(scope, filter, 0, 1000).await.unwrap();
    let types: Vec<&str> = events.iter().map(|event| event.event_type.as_str()).collect();
    let end =
        |kind: &&&str| matches!(**kind, "job.succeeded" | "job.failed" | "job.cancelled" | "job.undone");
    let good = types.first() == Some(&"job.queued")
        && types.iter().filter(|kind| **kind == "job.queued").count() == 1
        && types.iter().filter(|kind| **kind == "job.running").count() <= 1
        && types.iter().filter(end).count() == 1
        && types.last().is_some_and(|last| end(&last));
    if good { vec![] } else { vec![format!("safety: the events of job {id} are {types:?}")] }
}

pub async fn story(kernel: &Kernel, scope: Scope) -> Vec<String> {
    let events = kernel.events_after(scope, EventFilter::default(), 0, 10_000).await.unwrap();
    events
        .iter()
        .map(|event| format!("{} {} {:?} {}", event.at, event.event_type, event.job_id, event.data))
        .collect()
}

/// Whether the job was asked to fail.
async fn fails(kernel: &Kernel, id: JobId) -> bool {
    let input: String = kernel
        .store
        .read(move |tx| {
            tx.one("SELECT input FROM job WHERE id = $1", qd_kernel::params![id], |row| row.get(0))
        })
        .await
        .unwrap();
    input.contains("\"fails\":true")
}
