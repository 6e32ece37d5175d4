//! A job in lines of text: what it is, what it waits for, and one line a step.
//!
//! A pure function of the job and the time; [`super::job`] decides where the lines go.

use time::OffsetDateTime;

use crate::client::shapes::{Job, Step, text_of};
use crate::output::age::{self, between};
use crate::output::clean;
use crate::output::paint::Paint;
use crate::output::table::{Cell, Table, Tone};

/// `revision.publish curate  waiting  1m05s`
pub fn head(job: &Job, now: OffsetDateTime, paint: Paint) -> String {
    let mut parts = vec![paint.bold(&clean(&job.operation))];
    parts.extend(job.resource.as_ref().map(|resource| clean(&resource.name)));
    parts.push(paint.state(&clean(&job.state)));
    if job.cancel_requested && !job.ended() && job.state != "undoing" {
        parts.push(paint.warn("cancelling"));
    }
    let start = job.started_at.as_deref().or(job.created_at.as_deref());
    let took = between(start, job.ended_at.as_deref(), now);
    parts.extend((!took.is_empty()).then_some(took));
    parts.join("  ")
}

/// The steps, each with what it waits for or what went wrong in it.
pub fn steps(job: &Job, now: OffsetDateTime, paint: Paint) -> Vec<String> {
    if job.steps.is_empty() {
        return vec![];
    }
    let mut table = Table::new(&["STEP", "STATE", "TRIES", "TOOK", ""]);
    for step in &job.steps {
        // A blank note is no dash.
        let note = Some(note(job, step)).filter(|note| !note.is_empty()).unwrap_or_else(|| " ".into());
        table.row([
            step.title.as_deref().filter(|title| !title.is_empty()).unwrap_or(&step.name).into(),
            Cell::state(&*step.state),
            if step.attempts > 0 { step.attempts.to_string() } else { String::new() }.into(),
            took(step, now).into(),
            Cell::toned(note, Tone::Warn),
        ]);
    }
    let mut lines = table.lines(paint);
    lines.iter_mut().for_each(|line| line.truncate(line.trim_end().len()));
    lines
}

fn took(step: &Step, now: OffsetDateTime) -> String {
    match step.state.as_str() {
        "pending" | "skipped" => String::new(),
        _ => between(step.started_at.as_deref(), step.ended_at.as_deref(), now),
    }
}

fn note(job: &Job, step: &Step) -> String {
    let error = step.error.as_ref().map(text_of).unwrap_or_default();
    match step.state.as_str() {
        "waiting" if error.is_empty() => {
            job.waiting_for.as_ref().map(|why| format!("waits for {why}")).unwrap_or_default()
        }
        "waiting" => format!("tried again after: {error}"),
        "undoing" if error.is_empty() => "is taken back".into(),
        "undoing" => format!("is taken back; tried again after: {error}"),
        _ => error,
    }
}

/// Everything while it goes on.
pub fn all(job: &Job, now: OffsetDateTime, paint: Paint) -> Vec<String> {
    let mut lines = vec![head(job, now, paint)];
    let in_a_step = job.steps.iter().any(|step| matches!(step.state.as_str(), "waiting" | "undoing"));
    if let Some(why) = job.waiting_for.as_deref().filter(|_| !job.ended() && !in_a_step) {
        lines.push(paint.warn(&format!("waits for {}", clean(why))));
    }
    if let Some(error) = job.error.as_ref().filter(|_| job.state == "undoing") {
        lines.push(paint.bad(&format!("undone because: {} ({})", clean(&error.message), clean(&error.code))));
    }
    lines.extend(steps(job, now, paint));
    lines
}

/// The whole of it in one line, for logs and pipes.
pub fn line(job: &Job) -> String {
    let what =
        job.resource.as_ref().map(|resource| format!(" {}", clean(&resource.name))).unwrap_or_default();
    let step = job
        .steps
        .iter()
        .enumerate()
        .find(|(_, step)| matches!(step.state.as_str(), "running" | "waiting" | "undoing"))
        .map(|(index, step)| {
            let title = step.title.as_deref().unwrap_or(&step.name);
            let tries = if step.attempts > 1 { format!(", try {}", step.attempts) } else { String::new() };
            format!(", step {} of {}: {}{tries}", index + 1, job.steps.len(), clean(title))
        });
    let waiting = job.waiting_for.as_deref().filter(|_| !job.ended());
    let waiting = waiting.map(|why| format!(", waiting for {}", clean(why))).unwrap_or_default();
    let took = match job.ended_at.as_deref().and_then(age::parse) {
        Some(ended) => {
            let took = between(job.started_at.as_deref(), job.ended_at.as_deref(), ended);
            if took.is_empty() { took } else { format!(" after {took}") }
        }
        None => String::new(),
    };
    format!(
        "{}{what}: {}{took}{}{waiting}",
        clean(&job.operation),
        clean(&job.state),
        step.unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use time::macros::datetime;

    fn job(state: &str, rest: serde_json::Value) -> Job {
        let mut job = json!({
            "id": "0193", "operation": "toys.move", "state": state, "resource": {"name": "train"},
            "created_at": "2026-11-20T11:58:00Z", "started_at": "2026-11-20T11:58:01Z",
        });
        job.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        serde_json::from_value(job).unwrap()
    }

    const NOW: OffsetDateTime = datetime!(2026-11-20 12:00:00 UTC);

    #[test]
    fn a_job_under_way_has_a_line_a_step() {
        let waits = job(
            "waiting",
            json!({
                "waiting_for": "the depot to open",
                "steps": [
                    {"name": "reserve", "title": "Reserve the track", "state": "succeeded", "attempts": 1, "started_at": "2026-11-20T11:58:01Z", "ended_at": "2026-11-20T11:58:02Z"},
                    {"name": "open", "title": "Open the depot", "state": "waiting", "attempts": 0, "started_at": "2026-11-20T11:58:02Z"},
                    {"name": "go", "title": "Go", "state": "pending", "attempts": 0},
                ],
            }),
        );
        insta::assert_snapshot!("waits", all(&waits, NOW, Paint::plain()).join("\n"));
        assert_eq!(
            line(&waits),
            "toys.move train: waiting, step 2 of 3: Open the depot, waiting for the depot to open"
        );
    }

    #[test]
    fn a_job_that_waits_for_a_lock_says_who_has_it() {
        let locked = job(
            "waiting",
            json!({
                "waiting_for": "toys/train, which toys.paint of owner holds (job 0192)", "started_at": null,
                "steps": [{"name": "reserve", "title": "Reserve the track", "state": "pending", "attempts": 0}],
            }),
        );
        insta::assert_snapshot!("locked", all(&locked, NOW, Paint::plain()).join("\n"));
    }

    #[test]
    fn an_undo_shows_what_is_taken_back_and_why() {
        let undoing = job(
            "undoing",
            json!({
                "error": {"code": "derailed", "message": "the train left the track"},
                "steps": [
                    {"name": "reserve", "title": "Reserve the track", "state": "undoing", "attempts": 2, "error": "the world is away", "started_at": "2026-11-20T11:58:01Z", "ended_at": "2026-11-20T11:58:02Z"},
                    {"name": "open", "title": "Open the depot", "state": "undone", "attempts": 1, "started_at": "2026-11-20T11:58:02Z", "ended_at": "2026-11-20T11:59:00Z"},
                    {"name": "go", "title": "Go", "state": "failed", "attempts": 5, "error": "the train left the track", "started_at": "2026-11-20T11:58:03Z", "ended_at": "2026-11-20T11:58:50Z"},
                ],
            }),
        );
        insta::assert_snapshot!("undoing", all(&undoing, NOW, Paint::plain()).join("\n"));
    }

    #[test]
    fn an_end_says_how_long_it_took() {
        let ended = job("undone", json!({"ended_at": "2026-11-20T11:58:03.5Z"}));
        assert_eq!(line(&ended), "toys.move train: undone after 2.5s");
    }
}
