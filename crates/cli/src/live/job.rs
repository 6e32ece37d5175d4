//! Waiting for a job: a step table redrawn in place on a terminal, a line per change elsewhere.

use std::time::Duration;

use console::Term;

use super::screen::Screen;
use super::{Turn, Watch, job_table};
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
    let mut show = Show::new(invocation);
    let mut watch =
        Watch::new(client, None, |event| event.job_id.as_deref() == Some(id), Duration::from_millis(500));
    let mut seen: Option<Job> = None;
    let ended = loop {
        match watch.next().await? {
            Turn::Look => {
                let look = client.fetch::<Job>(&path);
                let Some(job) = watch.unless_interrupted(look).await else { break None };
                let job = job?;
                show.now(invocation, &job);
                if job.ended() {
                    break Some(job);
                }
                seen = Some(job);
            }
            // The time that it takes goes on.
            Turn::Tick => seen.iter().for_each(|job| show.tick(invocation, job)),
            Turn::Detached => break None,
            _ => {}
        }
    };
    show.last(invocation, ended.as_ref());
    Ok(ended)
}

/// Where a job is shown while it is followed: standard error.
struct Show {
    screen: Option<Screen>,
    told: String,
}

impl Show {
    fn new(invocation: &Invocation) -> Self {
        let screen = invocation.out.may_redraw().then(|| Screen::new(Term::stderr()));
        Self { screen, told: String::new() }
    }

    fn now(&mut self, invocation: &Invocation, job: &Job) {
        let line = job_table::line(job);
        match &self.screen {
            Some(_) => self.tick(invocation, job),
            None if line != self.told => invocation.out.note(&line),
            None => {}
        }
        self.told = line;
    }

    fn tick(&mut self, invocation: &Invocation, job: &Job) {
        if let Some(screen) = &mut self.screen {
            screen.draw(&job_table::all(job, invocation.clock.now(), invocation.out.error_paint()));
        }
    }

    /// What went well is one line; else the table stays.
    fn last(&mut self, invocation: &Invocation, ended: Option<&Job>) {
        let Some(screen) = &mut self.screen else { return };
        if ended.is_none_or(|job| job.state == "succeeded") {
            screen.clear();
            if !self.told.is_empty() {
                invocation.out.note(&self.told);
            }
        }
    }
}

/// Follows a job that a command created, and turns its end into an exit code.
pub async fn conclude(invocation: &Invocation, client: &Client, id: &str) -> Result<Exit, Failure> {
    match follow(invocation, client, id).await? {
        Some(job) if job.state == "succeeded" => Ok(Exit::OK),
        Some(job) => {
            let paint = invocation.out.error_paint();
            let why = job.error.map(|error| format!(": {} ({})", clean(&error.message), clean(&error.code)));
            invocation.out.error_line(&format!(
                "{} job {} is {}{}\n{} `qd explain jobs/{1}` says why, `qd jobs show {1}` has every step",
                paint.bad("error:"),
                clean(&job.id),
                clean(&job.state),
                why.unwrap_or_default(),
                paint.dim("what to do:"),
            ));
            Ok(Exit::FAILED)
        }
        None => {
            let id = clean(id);
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
