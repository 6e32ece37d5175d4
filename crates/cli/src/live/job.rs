//! Waiting for a job, saying what it waits for and which step it is at.

use std::time::Duration;

use super::{Turn, Watch};
use crate::client::shapes::Job;
use crate::client::{Client, segment};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::format::Format;
use crate::output::{clean, object};

/// Follows a job to its end; `None` after Ctrl-C.
pub async fn follow(invocation: &Invocation, client: &Client, id: &str) -> Result<Option<Job>, Failure> {
    let path = format!("/api/v1/jobs/{}", segment(id));
    let spinner = spinner(invocation);
    let mut told = String::new();
    let mut watch =
        Watch::new(client, None, |event| event.job_id.as_deref() == Some(id), Duration::from_secs(1));
    let ended = loop {
        match watch.next().await? {
            Turn::Look => {
                let look = client.fetch::<Job>(&path);
                let Some(job) = watch.unless_interrupted(look).await else { break None };
                let job = job?;
                let line = line_of(&job);
                if line != told {
                    match &spinner {
                        Some(spinner) => spinner.set_message(line.clone()),
                        None => invocation.out.note(&line),
                    }
                    told = line;
                }
                if job.ended() {
                    break Some(job);
                }
            }
            Turn::Detached => break None,
            _ => {}
        }
    };
    if let Some(spinner) = spinner {
        spinner.finish_and_clear();
        invocation.out.note(&told);
    }
    Ok(ended)
}

/// Follows a job that a command created, and turns its end into an exit code.
pub async fn conclude(invocation: &Invocation, client: &Client, id: &str) -> Result<Exit, Failure> {
    match follow(invocation, client, id).await? {
        Some(job) if job.state == "succeeded" => Ok(Exit::OK),
        Some(job) => {
            let paint = invocation.out.error_paint();
            let why = job.error.map(|error| format!(": {} ({})", clean(&error.message), clean(&error.code)));
            invocation.out.error_line(&format!(
                "{} job {} is {}{}\n{} `qd jobs show {}` has every step",
                paint.bad("error:"),
                clean(&job.id),
                clean(&job.state),
                why.unwrap_or_default(),
                paint.dim("what to do:"),
                clean(&job.id),
            ));
            Ok(Exit::FAILED)
        }
        None => {
            invocation
                .out
                .error_line(&format!("detached: job {id} goes on. `qd jobs watch {id}` looks again."));
            Ok(Exit::DETACHED)
        }
    }
}

/// The same, and prints the job as it ended.
pub async fn conclude_and_print(
    invocation: &Invocation,
    client: &Client,
    id: &str,
    output: Format,
) -> Result<Exit, Failure> {
    let exit = conclude(invocation, client, id).await?;
    if exit != Exit::DETACHED {
        let job = client.fetch(&format!("/api/v1/jobs/{}", segment(id))).await?;
        object::job(invocation, &job, output)?;
    }
    Ok(exit)
}

fn line_of(job: &Job) -> String {
    let what =
        job.resource.as_ref().map(|resource| format!(" {}", clean(&resource.name))).unwrap_or_default();
    let step = job
        .steps
        .iter()
        .enumerate()
        .find(|(_, step)| matches!(step.state.as_str(), "running" | "waiting"))
        .map(|(index, step)| {
            let title = step.title.as_deref().unwrap_or(&step.name);
            format!(", step {} of {}: {}", index + 1, job.steps.len(), clean(title))
        });
    let waiting = job.waiting_for.as_deref().map(|why| format!(", waiting for {}", clean(why)));
    format!(
        "{}{what}: {}{}{}",
        clean(&job.operation),
        clean(&job.state),
        step.unwrap_or_default(),
        waiting.unwrap_or_default()
    )
}

fn spinner(invocation: &Invocation) -> Option<indicatif::ProgressBar> {
    invocation.out.may_redraw().then(|| {
        let spinner = indicatif::ProgressBar::new_spinner();
        spinner.enable_steady_tick(Duration::from_millis(120));
        spinner
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_line_says_step_and_wait() {
        let job: Job = serde_json::from_value(json!({
            "id": "j", "operation": "run.start", "state": "waiting", "resource": {"name": "curate"},
            "waiting_for": "the Xenna environment is being prepared: step 2 of 4",
            "steps": [{"name": "submit", "title": "Submit to Xenna", "state": "waiting"}, {"name": "adopt", "state": "pending"}],
        }))
        .unwrap();
        assert_eq!(
            line_of(&job),
            "run.start curate: waiting, step 1 of 2: Submit to Xenna, waiting for the Xenna environment is being prepared: step 2 of 4"
        );
    }
}
