//! The tables of `get` and its relatives: which columns, from which fields. Newest state first comes from the server.

use serde_json::Value;
use time::OffsetDateTime;

use crate::client::shapes::plan::StoredPlan;
use crate::client::shapes::{
    AuditRecord, Engine, Event, Job, Kind, Resource, Revision, Run, actor_name, text_of,
};
use crate::output::age::{age, between};
use crate::output::table::{Cell, Table, Tone};

pub fn resources(items: &[Resource], wide: bool, now: OffsetDateTime) -> Table {
    let mut headers = vec!["NAME", "STATE", "PUBLISHED", "NEWEST", "LAST RUN", "AGE"];
    if wide {
        headers.extend(["DISPLAY NAME", "LABELS", "OWNERS", "ID"]);
    }
    let mut table = Table::new(&headers);
    for item in items {
        let newest = item.latest_revision.as_ref().map(|latest| {
            let changed = if item.changed { " (edited since)" } else { "" };
            format!("{} {}{changed}", latest.number, latest.state)
        });
        let run = item.last_run.as_ref();
        let mut row: Vec<Cell> = vec![
            item.name.as_str().into(),
            Cell::state(&*item.state),
            item.published.as_ref().map(|published| published.number.to_string()).unwrap_or_default().into(),
            newest.unwrap_or_else(|| if item.changed { "edited".into() } else { String::new() }).into(),
            run.map(|run| format!("#{} {}", run.number, run.state)).unwrap_or_default().into(),
            age(item.created_at.as_deref(), now).into(),
        ];
        if wide {
            let labels: Vec<String> =
                item.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            row.push(item.display_name.as_deref().unwrap_or_default().into());
            row.push(labels.join(",").into());
            row.push(item.owners.join(",").into());
            row.push(Cell::toned(&*item.id, Tone::Dim));
        }
        table.row(row);
    }
    table
}

pub fn runs(items: &[Run], wide: bool, now: OffsetDateTime) -> Table {
    let mut headers = vec!["RUN", "STATE", "REVISION", "PROGRESS", "DURATION", "AGE"];
    if wide {
        headers.extend(["BY", "MESSAGE", "ID"]);
    }
    let mut table = Table::new(&headers);
    for run in items {
        let progress = run.progress.as_ref().and_then(|progress| {
            let total = progress.inputs_total.filter(|total| *total > 0)?;
            Some(format!("{}/{total}", progress.inputs_done))
        });
        let mut row: Vec<Cell> = vec![
            run.label().into(),
            Cell::state(&*run.state),
            run.revision.map(|revision| revision.to_string()).unwrap_or_default().into(),
            progress.unwrap_or_default().into(),
            between(run.started_at.as_deref(), run.ended_at.as_deref(), now).into(),
            age(run.created_at.as_deref(), now).into(),
        ];
        if wide {
            row.push(actor_name(run.created_by.as_ref()).into());
            row.push(run.message.as_deref().unwrap_or_default().into());
            row.push(Cell::toned(&*run.id, Tone::Dim));
        }
        table.row(row);
    }
    table
}

pub fn jobs(items: &[Job], wide: bool, now: OffsetDateTime) -> Table {
    let mut headers = vec!["JOB", "OPERATION", "OBJECT", "STATE", "DURATION", "AGE", "WAITS FOR"];
    if wide {
        headers.extend(["BY", "REASON"]);
    }
    let mut table = Table::new(&headers);
    for job in items {
        let mut row: Vec<Cell> = vec![
            job.id.as_str().into(),
            job.operation.as_str().into(),
            job.resource.as_ref().map(|resource| resource.name.clone()).unwrap_or_default().into(),
            Cell::state(&*job.state),
            between(job.started_at.as_deref(), job.ended_at.as_deref(), now).into(),
            age(job.created_at.as_deref(), now).into(),
            job.waiting_for.as_deref().unwrap_or_default().into(),
        ];
        if wide {
            row.push(actor_name(job.created_by.as_ref()).into());
            row.push(job.reason.as_deref().unwrap_or_default().into());
        }
        table.row(row);
    }
    table
}

pub fn plans(items: &[StoredPlan], wide: bool, now: OffsetDateTime) -> Table {
    let mut headers = vec!["PLAN", "OPERATION", "TARGETS", "STATE", "RISK", "BY", "AGE"];
    if wide {
        headers.extend(["DECIDED BY", "REASON", "JOB", "HASH"]);
    }
    let mut table = Table::new(&headers);
    for plan in items {
        // Lists name the targets; of one plan they are those of its steps.
        let mut targets = plan.targets.clone();
        targets.extend(plan.plan.steps.iter().map(|step| step.target.clone()));
        targets.dedup();
        let mut row: Vec<Cell> = vec![
            plan.id.as_str().into(),
            plan.operation.as_str().into(),
            targets.join(", ").into(),
            Cell::state(&*plan.state),
            plan.risk.as_str().into(),
            plan.created_by.as_str().into(),
            age(plan.created_at.as_deref(), now).into(),
        ];
        if wide {
            row.push(plan.decided_by.as_deref().unwrap_or_default().into());
            row.push(plan.reason.as_str().into());
            row.push(Cell::toned(plan.job_id.as_deref().unwrap_or_default(), Tone::Dim));
            row.push(Cell::toned(plan.hash.as_str(), Tone::Dim));
        }
        table.row(row);
    }
    table
}

pub fn revisions(items: &[Revision], wide: bool, now: OffsetDateTime) -> Table {
    let mut headers = vec!["REVISION", "STATE", "FROM", "BY", "AGE", "PUBLISHED", "MESSAGE"];
    if wide {
        headers.push("SPEC HASH");
    }
    let mut table = Table::new(&headers);
    for revision in items {
        let mut row: Vec<Cell> = vec![
            revision.number.to_string().into(),
            Cell::state(&*revision.state),
            revision.origin.as_deref().unwrap_or_default().replace('_', " ").into(),
            actor_name(revision.created_by.as_ref()).into(),
            age(revision.created_at.as_deref(), now).into(),
            age(revision.published_at.as_deref(), now).into(),
            revision.message.as_deref().unwrap_or_default().into(),
        ];
        if wide {
            row.push(Cell::toned(revision.spec_hash.as_deref().unwrap_or_default(), Tone::Dim));
        }
        table.row(row);
    }
    table
}

pub fn engines(items: &[Engine], now: OffsetDateTime) -> Table {
    let mut table = Table::new(&["ENGINE", "STATE", "VERSION", "SEEN", "DETAIL"]);
    for engine in items {
        table.row([
            engine.name.as_str().into(),
            Cell::state(&*engine.state),
            engine.version.as_ref().map(text_of).unwrap_or_default().into(),
            age(engine.observed_at.as_deref(), now).into(),
            engine.detail_text().into(),
        ]);
    }
    table
}

pub fn kinds(items: &[Kind]) -> Table {
    let mut table = Table::new(&["PLURAL", "KIND", "SCOPE", "RUNS", "TITLE"]);
    for kind in items {
        table.row([
            kind.plural.as_str().into(),
            kind.kind.as_str().into(),
            kind.scope.as_deref().unwrap_or_default().into(),
            if kind.runnable { "yes" } else { "no" }.into(),
            kind.title.as_deref().unwrap_or_default().into(),
        ]);
    }
    table
}

/// One line of `qd events`, the same in a list and while following: columns of fixed width.
pub fn event_line(event: &Event) -> String {
    let number = event.data.get("number").and_then(Value::as_i64).filter(|_| event.run_id.is_some());
    let object = match (&event.resource_name, &event.run_id, &event.job_id) {
        (Some(name), ..) if number.is_some() => format!("{name}#{}", number.unwrap_or_default()),
        (Some(name), ..) => format!("{}/{name}", event.kind.as_deref().unwrap_or("-").to_lowercase()),
        (None, Some(run), _) => format!("run/{run}"),
        (None, None, Some(job)) => format!("job/{job}"),
        _ => "-".into(),
    };
    let at = event.at.as_deref().unwrap_or("-");
    let told = ["message", "operation", "waiting_for"];
    let about = told.iter().find_map(|key| event.data.get(*key)?.as_str()).unwrap_or_default();
    let about = about.lines().next().unwrap_or_default();
    let line = format!(
        "{:<7} {at:<27} {:<20} {object:<30} {:<12} {about}",
        event.pos,
        event.event_type,
        actor_name(event.actor.as_ref())
    );
    super::clean(line.trim_end())
}

pub fn audit(items: &[AuditRecord], wide: bool) -> Table {
    let mut headers = vec!["AT", "WHO", "ACTION", "OBJECT", "OUTCOME", "REASON"];
    if wide {
        headers.extend(["FOR", "CHANGES", "JOB", "SEALED AS"]);
    }
    let mut table = Table::new(&headers);
    for record in items {
        let object = record.object.as_ref().map(|object| match &object.kind {
            Some(kind) => format!("{}/{}", kind.to_lowercase(), object.name),
            None => object.name.clone(),
        });
        let mut row: Vec<Cell> = vec![
            record.at.as_deref().unwrap_or_default().into(),
            actor_name(record.actor.as_ref()).into(),
            record.action.as_str().into(),
            object.unwrap_or_default().into(),
            Cell::state(&*record.outcome),
            record.reason.as_deref().unwrap_or_default().into(),
        ];
        if wide {
            row.push(record.on_behalf_of.as_deref().unwrap_or_default().into());
            row.push(
                record
                    .changes
                    .iter()
                    .map(|change| change.pointer.as_str())
                    .collect::<Vec<_>>()
                    .join(" ")
                    .into(),
            );
            row.push(Cell::toned(record.job_id.as_deref().unwrap_or_default(), Tone::Dim));
            row.push(record.seal.as_ref().map(|seal| seal.seq.to_string()).unwrap_or_default().into());
        }
        table.row(row);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::paint::Paint;
    use serde_json::json;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-11-20 12:00:00 UTC);

    fn curate() -> Resource {
        serde_json::from_value(json!({
            "id": "01936f2e", "kind": "Pipeline", "name": "curate", "display_name": "Curate the corpus", "labels": {"team": "data"},
            "owners": ["owner"], "state": "active", "created_at": "2026-11-17T12:00:00.000000Z", "published": {"number": 3},
            "latest_revision": {"number": 4, "state": "draft"}, "last_run": {"number": 42, "state": "succeeded"}, "changed": true,
        }))
        .unwrap()
    }

    #[test]
    fn resources_show_what_is_published_and_what_is_newer() {
        let fresh = Resource {
            name: "new".into(),
            state: "active".into(),
            created_at: Some("2026-11-20T11:59:30Z".into()),
            ..Resource::default()
        };
        insta::assert_snapshot!(resources(&[curate(), fresh], false, NOW).render(Paint::plain()), @r"
        NAME     STATE    PUBLISHED   NEWEST                   LAST RUN        AGE
        curate   active   3           4 draft (edited since)   #42 succeeded   3d
        new      active   -           -                        -               30s
        ");
        insta::assert_snapshot!(resources(&[curate()], true, NOW).render(Paint::plain()), @r"
        NAME     STATE    PUBLISHED   NEWEST                   LAST RUN        AGE   DISPLAY NAME        LABELS      OWNERS   ID
        curate   active   3           4 draft (edited since)   #42 succeeded   3d    Curate the corpus   team=data   owner    01936f2e
        ");
    }

    #[test]
    fn runs_jobs_and_revisions_have_their_columns() {
        let run = crate::live::stage_table::tests::running();
        insta::assert_snapshot!(runs(&[run], false, NOW).render(Paint::plain()), @r"
        RUN         STATE     REVISION   PROGRESS   DURATION   AGE
        curate#42   running   3          120/400    1m00s      -
        ");
        let job: Job = serde_json::from_value(json!({"id": "0193", "operation": "run.start", "state": "waiting", "resource": {"name": "curate"}, "created_at": "2026-11-20T11:00:00Z", "started_at": "2026-11-20T11:59:58Z", "waiting_for": "the lock of curate"})).unwrap();
        insta::assert_snapshot!(jobs(&[job], false, NOW).render(Paint::plain()), @r"
        JOB    OPERATION   OBJECT   STATE     DURATION   AGE   WAITS FOR
        0193   run.start   curate   waiting   2.0s       60m   the lock of curate
        ");
        let revision: Revision = serde_json::from_value(json!({"number": 3, "state": "published", "origin": "working_copy", "created_by": {"name": "owner"}, "created_at": "2026-11-20T10:00:00Z", "published_at": "2026-11-20T11:00:00Z", "message": "raise the threshold"})).unwrap();
        insta::assert_snapshot!(revisions(&[revision], false, NOW).render(Paint::plain()), @r"
        REVISION   STATE       FROM           BY      AGE   PUBLISHED   MESSAGE
        3          published   working copy   owner   2h    60m         raise the threshold
        ");
    }

    #[test]
    fn plans_say_what_they_are_about_and_how_they_stand() {
        let listed: StoredPlan = serde_json::from_value(json!({
            "id": "0194", "operation": "documents.apply", "state": "open", "risk": "medium", "hash": "sha256:ab", "steps": 2,
            "targets": ["pipelines/curate", "stagetemplates/load"], "created_by": "owner", "created_at": "2026-11-20T11:59:00Z",
        }))
        .unwrap();
        let whole = crate::output::plan::tests::stored();
        insta::assert_snapshot!(plans(&[listed, whole], true, NOW).render(Paint::plain()));
    }

    #[test]
    fn an_event_is_one_line() {
        let event: Event = serde_json::from_value(json!({"pos": 12, "type": "run.running", "at": "2026-11-20T11:00:00.000000Z", "kind": "Pipeline", "resource_name": "curate", "run_id": "r", "actor": {"name": "owner"}})).unwrap();
        insta::assert_snapshot!(event_line(&event), @"12      2026-11-20T11:00:00.000000Z run.running          pipeline/curate                owner");
        let event: Event = serde_json::from_value(json!({"pos": 13, "type": "run.failed", "at": "2026-11-20T11:00:00.000000Z", "kind": "Pipeline", "resource_name": "curate", "run_id": "r", "actor": {"name": "owner"}, "data": {"number": 7, "message": "stage filter failed"}})).unwrap();
        insta::assert_snapshot!(event_line(&event), @"13      2026-11-20T11:00:00.000000Z run.failed           curate#7                       owner        stage filter failed");
    }
}
