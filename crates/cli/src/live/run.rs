//! Following one run: a table redrawn in place on a terminal, a line per change elsewhere, log lines if asked for.

use std::time::Duration;

use console::Term;
use tokio::time::Instant;

use super::narrator::Narrator;
use super::screen::Screen;
use super::stage_table;
use super::{Turn, Watch};
use crate::client::shapes::{Job, LogLine, Run};
use crate::client::{Client, segment};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::paint::Paint;
use crate::output::{Out, clean};
use crate::targets::run_path;

/// How long the rest of an ended run's log is waited for.
const LOG_PATIENCE: Duration = Duration::from_secs(10);

/// How a run is shown while it is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The run is what was asked for: standard output.
    Data,
    /// The run is shown along the way: standard error.
    Progress,
}

#[derive(Debug)]
pub enum Outcome {
    Ended(Box<Run>),
    /// Ctrl-C: the run goes on.
    Detached,
}

/// Follows the run with the id `id` until it has ended, or until Ctrl-C.
pub async fn follow(
    invocation: &Invocation,
    client: &Client,
    id: &str,
    view: View,
    logs: bool,
) -> Result<Outcome, Failure> {
    let mut show = Show::new(invocation, view);
    let outcome = follow_with(invocation, client, id, logs, &mut show).await;
    show.clear();
    if let Ok(Outcome::Ended(run)) = &outcome {
        show.last(run)?;
    }
    outcome
}

async fn follow_with(
    invocation: &Invocation,
    client: &Client,
    id: &str,
    logs: bool,
    show: &mut Show,
) -> Result<Outcome, Failure> {
    let mut watch = Watch::new(
        client,
        logs.then_some(id),
        |event| event.run_id.as_deref() == Some(id),
        Duration::from_millis(500),
    );
    let mut run = Run::default();
    let mut ended_at: Option<Instant> = None;
    let mut log_complete = !logs;
    loop {
        match watch.next().await? {
            Turn::Look => {
                let look = async {
                    let run: Run = client.fetch(&run_path(id)).await?;
                    let waiting = waiting_for(client, &run).await?;
                    Ok::<_, Failure>((run, waiting))
                };
                let Some(looked) = watch.unless_interrupted(look).await else {
                    return Ok(Outcome::Detached);
                };
                let (now, waiting) = looked?;
                run = now;
                show.now(&run, waiting.as_deref())?;
                if run.ended() {
                    ended_at.get_or_insert_with(Instant::now);
                }
            }
            Turn::Log(line) if logs => show.log(&invocation.out, &line)?,
            Turn::LogEnd => log_complete = true,
            Turn::Tick => show.again(&run)?,
            Turn::Log(_) => {}
            Turn::Detached => return Ok(Outcome::Detached),
        }
        if ended_at.is_some_and(|since| log_complete || since.elapsed() > LOG_PATIENCE) {
            return Ok(Outcome::Ended(Box::new(run)));
        }
    }
}

/// Why a queued run is not running yet: the words of its job.
async fn waiting_for(client: &Client, run: &Run) -> Result<Option<String>, Failure> {
    let Some(job) = run.job_id.as_deref().filter(|_| run.state == "queued") else { return Ok(None) };
    let job: Job = client.fetch(&format!("/api/v1/jobs/{}", segment(job))).await?;
    Ok(job.waiting_for)
}

/// The exit code of a run that was followed to its end; one that never started has its own.
pub fn exit_of(run: &Run) -> Exit {
    if run.state == "failed" && run.started_at.is_none() {
        Exit::COULD_NOT_START
    } else {
        Exit::of_run_state(&run.state)
    }
}

/// What is said after Ctrl-C.
pub fn tell_detached(invocation: &Invocation, reference: &str) {
    invocation.out.error_line(&format!(
        "detached: {0} goes on. `qd watch {0}` looks again, `qd stop {0}` stops it.",
        clean(reference)
    ));
}

struct Show {
    out: Out,
    view: View,
    paint: Paint,
    clock: crate::clock::Clock,
    screen: Option<Screen>,
    narrator: Narrator,
    waiting: Option<String>,
}

impl Show {
    fn new(invocation: &Invocation, view: View) -> Self {
        let out = invocation.out;
        let screen = match view {
            View::Data if out.may_redraw_data() => Some(Screen::new(Term::stdout())),
            View::Progress if out.may_redraw() => Some(Screen::new(Term::stderr())),
            _ => None,
        };
        let paint = if view == View::Data { out.paint() } else { out.error_paint() };
        let clock = invocation.clock.clone();
        Self { out, view, paint, clock, screen, narrator: Narrator::default(), waiting: None }
    }

    fn now(&mut self, run: &Run, waiting: Option<&str>) -> Result<(), Failure> {
        self.waiting = waiting.map(str::to_owned);
        if self.screen.is_some() {
            return self.again(run);
        }
        for line in self.narrator.tell(run, waiting, self.clock.now(), self.paint) {
            self.say(&line)?;
        }
        Ok(())
    }

    fn again(&mut self, run: &Run) -> Result<(), Failure> {
        if let Some(screen) = self.screen.as_mut().filter(|_| !run.id.is_empty()) {
            let mut lines = stage_table::all(run, self.clock.now(), self.paint);
            lines.extend(self.waiting.as_deref().map(|why| format!("waiting for {}", clean(why))));
            screen.draw(&lines);
        }
        Ok(())
    }

    fn log(&mut self, out: &Out, line: &LogLine) -> Result<(), Failure> {
        self.clear();
        out.line(&out.foreign(&line.text))
    }

    fn clear(&mut self) {
        if let Some(screen) = &mut self.screen {
            screen.clear();
        }
    }

    /// The last picture, which stays.
    fn last(&mut self, run: &Run) -> Result<(), Failure> {
        if self.screen.is_some() {
            for line in stage_table::all(run, self.clock.now(), self.paint) {
                self.say(&line)?;
            }
        }
        for line in stage_table::ending(run, self.paint) {
            self.say(&line)?;
        }
        Ok(())
    }

    fn say(&self, line: &str) -> Result<(), Failure> {
        match self.view {
            View::Data => self.out.line(line),
            View::Progress => {
                self.out.note(line);
                Ok(())
            }
        }
    }
}
