//! A run in lines of text: what it is, how far it is, and one line a stage with the bottleneck named.
//!
//! A pure function of the run and the time; [`super`] decides where the lines go.

use time::OffsetDateTime;

use crate::client::shapes::{Actors, Run, RunFailure, Serving, Stage};
use crate::output::paint::Paint;
use crate::output::table::{Cell, Table, Tone};
use crate::output::{age, clean, clean_lines};

const BAR: usize = 24;

/// The head line: reference, state, revision, time, progress.
pub fn head(run: &Run, now: OffsetDateTime, paint: Paint) -> String {
    let mut parts = vec![paint.bold(&clean(run.label())), paint.state(&clean(&run.state))];
    if !run.ended()
        && let Some(phase) = run.progress.as_ref().and_then(|progress| progress.phase.as_deref())
        && phase != run.state
    {
        parts.push(paint.dim(&clean(phase)));
    }
    if run.stop_requested_at.is_some() && !run.ended() {
        parts.push(paint.warn("stopping"));
    }
    if let Some(revision) = run.revision {
        parts.push(format!("revision {revision}"));
    }
    if run.attempt > 1 {
        parts.push(format!("attempt {}", run.attempt));
    }
    let elapsed = age::between(run.started_at.as_deref(), run.ended_at.as_deref(), now);
    if !elapsed.is_empty() {
        let usual = run.usual_duration_s.filter(|_| !run.ended());
        let usual = usual.map(|usual| format!(" (usually {})", age::duration(usual))).unwrap_or_default();
        parts.push(format!("{elapsed}{usual}"));
    }
    parts.join("  ")
}

/// `[██████······]  120/400 inputs  95 outputs  3 dropped`.
pub fn progress(run: &Run, paint: Paint) -> Option<String> {
    let progress = run.progress.as_ref()?;
    let mut parts = Vec::new();
    match progress.inputs_total.filter(|total| *total > 0) {
        Some(total) => {
            let filled = (progress.inputs_done.min(total) as usize * BAR) / total as usize;
            parts.push(format!("[{}{}]", "█".repeat(filled), "·".repeat(BAR - filled)));
            parts.push(format!("{}/{total} inputs", progress.inputs_done));
        }
        None if progress.inputs_done > 0 => parts.push(format!("{} inputs", progress.inputs_done)),
        None => {}
    }
    if progress.outputs > 0 {
        parts.push(format!("{} outputs", progress.outputs));
    }
    if progress.dropped > 0 {
        parts.push(paint.warn(&format!("{} dropped", progress.dropped)));
    }
    (!parts.is_empty()).then(|| parts.join("  "))
}

/// The stages as an aligned table; empty when nothing is known yet.
pub fn stages(run: &Run, paint: Paint) -> Vec<String> {
    let Some(progress) = run.progress.as_ref().filter(|progress| !progress.stages.is_empty()) else {
        return Vec::new();
    };
    let mut table = Table::new(&["STAGE", "STATE", "ACTORS", "QUEUE", "DONE", "ITEMS/S", "PER ITEM", ""]);
    for stage in &progress.stages {
        let slowest = !run.ended() && progress.bottleneck.as_deref() == Some(stage.id.as_str());
        table.row(stage_row(stage, slowest));
    }
    let mut lines = table.lines(paint);
    for line in &mut lines {
        line.truncate(line.trim_end().len());
    }
    lines
}

fn stage_row(stage: &Stage, slowest: bool) -> Vec<Cell> {
    let mut notes = Vec::new();
    if slowest {
        notes.push("◀ bottleneck".to_owned());
    }
    if stage.dropped > 0 {
        notes.push(format!("{} dropped", stage.dropped));
    }
    let notes = if notes.is_empty() { " ".to_owned() } else { notes.join(", ") };
    vec![
        stage.name.as_deref().filter(|name| !name.is_empty()).unwrap_or(&stage.id).into(),
        Cell::state(&*stage.state),
        actors(stage.actors).into(),
        stage.queue_in.to_string().into(),
        stage.items_out.to_string().into(),
        stage.items_per_s.map(rate).unwrap_or_default().into(),
        stage.process_time_s.map(age::duration).unwrap_or_default().into(),
        Cell::toned(notes, Tone::Warn),
    ]
}

/// `2/3 (1 busy)`: ready of wanted, and how many work right now.
fn actors(actors: Actors) -> String {
    if actors.target == 0 && actors.ready == 0 {
        return String::new();
    }
    let busy = if actors.running > 0 { format!(" ({} busy)", actors.running) } else { String::new() };
    format!("{}/{}{busy}", actors.ready, actors.target.max(actors.ready))
}

fn rate(items_per_s: f64) -> String {
    if items_per_s >= 100.0 { format!("{items_per_s:.0}") } else { format!("{items_per_s:.1}") }
}

/// `serving  12.5 requests/s  p50 3.1 ms  p95 8.0 ms  2 in flight  0 queued  1200 answered`.
pub fn serving(serving: &Serving, paint: Paint) -> String {
    let mut parts =
        vec![if serving.ready { paint.good("serving") } else { paint.active("getting ready to serve") }];
    if let Some(rate) = serving.rate {
        parts.push(format!("{rate:.1} requests/s"));
    }
    for (name, value) in [("p50", serving.p50_ms), ("p95", serving.p95_ms)] {
        if let Some(value) = value {
            parts.push(format!("{name} {value:.1} ms"));
        }
    }
    parts.push(format!("{} in flight", serving.in_flight));
    parts.push(format!("{} queued", serving.queued));
    parts.push(format!("{} answered", serving.answered));
    if serving.failed > 0 {
        parts.push(paint.bad(&format!("{} failed", serving.failed)));
    }
    parts.join("  ")
}

/// Everything while it runs.
pub fn all(run: &Run, now: OffsetDateTime, paint: Paint) -> Vec<String> {
    let mut lines = vec![head(run, now, paint)];
    lines.extend(progress(run, paint));
    lines.extend(run.serving.as_ref().map(|state| serving(state, paint)));
    lines.extend(stages(run, paint));
    lines
}

/// What is said once a run has ended: results, or where and why it failed.
pub fn ending(run: &Run, paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(results) = &run.results {
        let dropped = if results.dropped > 0 {
            format!(", {}", paint.warn(&format!("{} dropped", results.dropped)))
        } else {
            String::new()
        };
        lines.push(format!("{} outputs{dropped}", results.outputs));
        for file in &results.files {
            let items = file.items.map(|items| format!(", {items} items")).unwrap_or_default();
            lines.push(format!(
                "  {}  {}",
                clean(&file.path),
                paint.dim(&format!("{}{items}", age::bytes(file.bytes)))
            ));
        }
        let more = results.files_total.unwrap_or_default().saturating_sub(results.files.len() as u64);
        if more > 0 {
            lines.push(format!("  and {more} more: `qd results '{}'`", clean(run.label())));
        }
    }
    match &run.failure {
        Some(failure) => lines.extend(failure_lines(run, failure, paint)),
        None => {
            if let Some(message) = run.message.as_deref().filter(|_| run.state != "succeeded") {
                let code = run.code.as_deref().map(|code| format!(" ({})", clean(code))).unwrap_or_default();
                lines.extend(clean_lines(&format!("{message}{code}")).lines().map(str::to_owned));
            }
        }
    }
    lines
}

/// Stage, batch, item and exception on top, the traceback below.
pub fn failure_lines(run: &Run, failure: &RunFailure, paint: Paint) -> Vec<String> {
    let mut place = Vec::new();
    if let Some(stage) = &failure.stage {
        place.push(format!("stage {}", paint.bold(&clean(&stage_name(run, stage)))));
    }
    if let Some(batch) = failure.batch {
        let size = failure.batch_size.map(|size| format!(" ({size} items)")).unwrap_or_default();
        place.push(format!("batch {batch}{size}"));
    }
    if let Some(item) = failure.item {
        place.push(format!("item {item}"));
    }
    let mut lines = vec![format!(
        "{} {}",
        paint.bad("failed:"),
        if place.is_empty() { "outside of the stages".to_owned() } else { place.join(", ") }
    )];
    if let Some(preview) = &failure.item_preview {
        lines.push(format!("  item: {}", clean(preview)));
    }
    let text = match (&failure.exception, &failure.message) {
        (Some(exception), Some(message)) if !message.starts_with(exception.as_str()) => {
            format!("{exception}: {message}")
        }
        (_, Some(message)) => message.clone(),
        (Some(exception), None) => exception.clone(),
        (None, None) => run.message.clone().unwrap_or_default(),
    };
    lines.extend(clean_lines(&text).lines().map(|line| format!("  {line}")));
    if let Some(traceback) = failure.traceback.as_deref().filter(|text| !text.trim().is_empty()) {
        lines.push(String::new());
        lines.extend(clean_lines(traceback).trim_end().lines().map(|line| format!("  {}", paint.dim(line))));
    }
    lines
}

fn stage_name(run: &Run, id: &str) -> String {
    let stages = run.progress.as_ref().map(|progress| progress.stages.as_slice()).unwrap_or_default();
    match stages.iter().find(|stage| stage.id == id).and_then(|stage| stage.name.as_deref()) {
        Some(name) if name != id => format!("{name} ({id})"),
        _ => id.to_owned(),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use serde_json::json;
    use time::macros::datetime;

    pub fn running() -> Run {
        serde_json::from_value(json!({
            "id": "01936f2e-7c1a-7000-8000-000000000001", "ref": "curate#42", "number": 42, "state": "running", "revision": 3,
            "attempt": 2, "started_at": "2026-11-20T11:59:00.000000Z", "usual_duration_s": 42.0,
            "progress": {
                "inputs_total": 400, "inputs_done": 120, "outputs": 95, "dropped": 3, "bottleneck": "filter", "phase": "running",
                "stages": [
                    {"id": "load", "name": "Load", "state": "succeeded", "actors": {"target": 1, "ready": 1, "idle": 1}, "queue_in": 0, "items_out": 400, "items_per_s": 132.4, "process_time_s": 0.0021},
                    {"id": "filter", "name": "Quality filter", "state": "running", "actors": {"target": 3, "ready": 2, "running": 2, "pending": 1}, "queue_in": 18, "items_out": 120, "dropped": 3, "items_per_s": 12.52, "process_time_s": 0.08},
                    {"id": "write", "state": "pending", "actors": {"target": 0}, "queue_in": 0, "items_out": 0},
                ],
            },
        }))
        .unwrap()
    }

    #[test]
    fn a_running_run_names_its_bottleneck() {
        let lines = all(&running(), datetime!(2026-11-20 12:00:12 UTC), Paint::plain());
        insta::assert_snapshot!(lines.join("\n"), @r"
        curate#42  running  revision 3  attempt 2  1m12s (usually 42.0s)
        [███████·················]  120/400 inputs  95 outputs  3 dropped
        STAGE            STATE       ACTORS         QUEUE   DONE   ITEMS/S   PER ITEM
        Load             succeeded   1/1            0       400    132       2ms
        Quality filter   running     2/3 (2 busy)   18      120    12.5      80ms       ◀ bottleneck, 3 dropped
        write            pending     -              0       0      -         -
        ");
    }

    #[test]
    fn a_failure_names_stage_batch_item_and_traceback() {
        let mut run = running();
        run.state = "failed".into();
        run.failure = serde_json::from_value(json!({
            "stage": "filter", "batch": 7, "batch_size": 16, "item": 3, "item_preview": "{'id': 115}",
            "exception": "ValueError", "message": "score is not a number",
            "traceback": "Traceback (most recent call last):\n  File \"stages.py\", line 12, in process_data\nValueError: score is not a number\n",
        }))
        .unwrap();
        insta::assert_snapshot!(ending(&run, Paint::plain()).join("\n"), @r#"
        failed: stage Quality filter (filter), batch 7 (16 items), item 3
          item: {'id': 115}
          ValueError: score is not a number

          Traceback (most recent call last):
            File "stages.py", line 12, in process_data
          ValueError: score is not a number
        "#);
    }

    #[test]
    fn a_success_lists_its_results_and_what_was_dropped() {
        let mut run = running();
        run.state = "succeeded".into();
        run.results = serde_json::from_value(
            json!({"outputs": 397, "dropped": 3, "files": [{"path": "results.jsonl", "bytes": 48213, "items": 397}]}),
        )
        .unwrap();
        insta::assert_snapshot!(ending(&run, Paint::plain()).join("\n"), @r"
        397 outputs, 3 dropped
          results.jsonl  48.2 kB, 397 items
        ");
    }

    #[test]
    fn a_serving_run_shows_rate_and_latency() {
        let state = Serving {
            ready: true,
            rate: Some(12.52),
            p50_ms: Some(3.12),
            p95_ms: Some(8.0),
            in_flight: 2,
            answered: 1200,
            failed: 1,
            ..Serving::default()
        };
        assert_eq!(
            serving(&state, Paint::plain()),
            "serving  12.5 requests/s  p50 3.1 ms  p95 8.0 ms  2 in flight  0 queued  1200 answered  1 failed"
        );
    }
}
