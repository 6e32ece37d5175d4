//! `qd describe`: everything about one thing, laid out for reading. Scripts use `qd get -o json`.

use serde_json::Value;
use time::OffsetDateTime;

use crate::client::shapes::plan::StoredPlan;
use crate::client::shapes::{AuditRecord, Job, Page, Resource, Revision, Run, actor_name, text_of};
use crate::client::{Client, segment};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::live::stage_table;
use crate::output::age::{age, between};
use crate::output::paint::Paint;
use crate::output::table::{Cell, Table};
use crate::output::{clean, clean_lines, format, lists, plan, records, status};
use crate::targets::{self, Noun, Target};
use crate::verbs::{approve, jobs};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to describe: pipelines/curate, curate#42, jobs/ID, plans/ID
    #[arg(value_name = "KIND/NAME", num_args = 1..=2, required = true)]
    target: Vec<String>,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let (now, paint) = (invocation.clock.now(), invocation.out.paint());
    let text = match args.target.as_slice() {
        [one] if one.contains('#') => describe_run(&targets::run(&client, one).await?.0, now, paint),
        words => {
            let (word, name) = targets::split(words)?;
            match targets::noun(&client, word).await? {
                Noun::Runs => describe_run(&targets::run(&client, name).await?.0, now, paint),
                Noun::Jobs => {
                    let job: Job = client.fetch(&format!("/api/v1/jobs/{}", segment(name))).await?;
                    jobs::describe(&job, now, paint)
                }
                Noun::Plans => {
                    let stored: StoredPlan = client.fetch(&approve::plan_path(name)).await?;
                    plan::describe(&stored, now, paint)
                }
                Noun::Resource(kind) => {
                    resource(&client, &Target { kind, name: name.to_owned() }, now, paint).await?
                }
                Noun::Engines | Noun::Kinds => {
                    return Err(Failure::usage(format!(
                        "`qd get {word} -o yaml` shows all there is about {word}"
                    )));
                }
            }
        }
    };
    invocation.out.data(&text)?;
    Ok(Exit::OK)
}

async fn resource(
    client: &Client,
    target: &Target,
    now: OffsetDateTime,
    paint: Paint,
) -> Result<String, Failure> {
    let detail: Value = client.fetch(&target.path("")).await?;
    let resource: Resource = serde_json::from_value(detail.clone()).map_err(|error| Failure::Answer {
        server: client.server().to_string(),
        detail: error.to_string(),
    })?;
    let mut text = describe_resource(&resource, now, paint);
    if let Some(latest) = resource.latest_revision.as_ref().filter(|latest| latest.state == "in_review") {
        let path = target.path(&format!("/revisions/{}/review", latest.number));
        let asked = match client.fetch(&path).await {
            Ok(asked) => review(&asked, &target.label(), latest.number, paint),
            // It is planned anew for that; what is recorded is told all the same.
            Err(Failure::Problem(problem)) => {
                let why = format!(
                    "cannot be told now: {} ({})",
                    problem.detail.as_ref().unwrap_or(&problem.title),
                    problem.code
                );
                rows(&[("revision", latest.number.to_string()), ("hash", clean(&why))], paint)
            }
            Err(failure) => return Err(failure),
        };
        text.push_str(&format!("\n{}\n{asked}", paint.bold("review")));
    }
    text.push_str(&status::describe(&detail["status"], paint));
    section(&mut text, "params", &params(&detail["params_schema"]), paint);
    if !detail["spec"].is_null() {
        text.push_str(&format!("\n{}\n{}", paint.bold("spec"), format::yaml(&detail["spec"])?));
    }
    let revisions: Page<Revision> =
        client.get(&target.path("/revisions")).query("limit", 5).send().await?.json()?;
    section(&mut text, "revisions", &lists::revisions(&revisions.items, false, now), paint);
    if target.kind.runnable {
        let runs: Page<Run> = client.get(&target.path("/runs")).query("limit", 5).send().await?.json()?;
        section(&mut text, "runs", &lists::runs(&runs.items, false, now), paint);
    }
    let audit: Page<AuditRecord> =
        client.get(&target.path("/audit")).query("limit", 5).send().await?.json()?;
    section(&mut text, "audit", &lists::audit(&audit.items, false), paint);
    Ok(text)
}

/// A revision that waits for a decision. The approval says to which hash it is given, so that it is given to what was read.
fn review(review: &Value, label: &str, number: u64, paint: Paint) -> String {
    let hash = clean(&records::text(review, "hash"));
    let next = match hash.as_str() {
        hash if !hash.is_empty() && review["may_decide"] == true => {
            format!("qd approve {label} --revision {number} --hash {hash}")
        }
        _ => String::new(),
    };
    rows(
        &[
            ("revision", number.to_string()),
            ("authors", records::text(review, "authors")),
            ("hash", hash),
            ("next", next),
        ],
        paint,
    )
}

/// What a run asks for: one row for each property of the JSON Schema.
fn params(schema: &Value) -> Table {
    let mut table = Table::new(&["PARAM", "TYPE", "DEFAULT", "ABOUT"]);
    let required =
        |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|n| n == name));
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let default = match &property["default"] {
            Value::Null if required(name) => "required".into(),
            default => text_of(default),
        };
        let choices = property["enum"].as_array().map(|choices| {
            let choices: Vec<String> = choices.iter().map(text_of).collect();
            choices.join(" | ")
        });
        let about = property["description"].as_str().or(property["title"].as_str()).unwrap_or_default();
        table.row([
            name.as_str().into(),
            choices.unwrap_or_else(|| text_of(&property["type"])).into(),
            default.into(),
            about.into(),
        ]);
    }
    table
}

fn section(text: &mut String, title: &str, table: &Table, paint: Paint) {
    if !table.is_empty() {
        text.push_str(&format!("\n{}\n{}", paint.bold(title), table.render(paint)));
    }
}

fn describe_resource(resource: &Resource, now: OffsetDateTime, paint: Paint) -> String {
    let published = resource.published.as_ref().map(|published| {
        format!("revision {}, {} ago", published.number, age(published.published_at.as_deref(), now))
    });
    let newest = resource
        .latest_revision
        .as_ref()
        .map(|latest| format!("revision {} ({})", latest.number, latest.state));
    let labels: Vec<String> = resource.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    rows(
        &[
            ("name", resource.name.clone()),
            ("kind", resource.kind.clone()),
            ("title", resource.display_name.clone().unwrap_or_default()),
            ("about", resource.description.clone().unwrap_or_default()),
            ("state", resource.state.clone()),
            ("published", published.unwrap_or_else(|| "nothing yet".into())),
            ("newest", newest.unwrap_or_default()),
            (
                "edited",
                if resource.changed {
                    "the working copy differs from the newest revision".into()
                } else {
                    String::new()
                },
            ),
            ("labels", labels.join(", ")),
            ("tags", resource.tags.join(", ")),
            ("owners", resource.owners.join(", ")),
            ("teams", resource.teams.join(", ")),
            ("made", made(resource.created_at.as_deref(), resource.created_by.as_ref(), now)),
            ("id", resource.id.clone()),
        ],
        paint,
    )
}

fn describe_run(run: &Run, now: OffsetDateTime, paint: Paint) -> String {
    let engine = run.engine_detail.as_ref().and_then(Value::as_object).map(|detail| {
        let parts: Vec<String> = detail
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| format!("{name} {}", text_of(value)))
            .collect();
        parts.join(", ")
    });
    let mut text = rows(
        &[
            ("run", run.label().to_owned()),
            ("state", run.state.clone()),
            ("of", format!("{}/{}", run.kind.as_deref().unwrap_or("-").to_lowercase(), run.resource.name)),
            ("revision", run.revision.map(|revision| revision.to_string()).unwrap_or_default()),
            (
                "params",
                match &run.params {
                    Value::Object(map) if !map.is_empty() => run.params.to_string(),
                    _ => String::new(),
                },
            ),
            (
                "engine",
                run.engine
                    .clone()
                    .map(|name| engine.map_or(name.clone(), |detail| format!("{name} ({detail})")))
                    .unwrap_or_default(),
            ),
            ("made", made(run.created_at.as_deref(), run.created_by.as_ref(), now)),
            ("took", between(run.started_at.as_deref(), run.ended_at.as_deref(), now)),
            ("job", run.job_id.clone().unwrap_or_default()),
            ("id", run.id.clone()),
        ],
        paint,
    );
    if run.attempts.len() > 1 {
        let mut table = Table::new(&["ATTEMPT", "STATE", "TOOK", "EXIT", "MESSAGE"]);
        for attempt in &run.attempts {
            table.row([
                attempt.attempt.to_string().into(),
                Cell::state(&*attempt.state),
                between(attempt.started_at.as_deref(), attempt.ended_at.as_deref(), now).into(),
                attempt.exit_code.map(|code| code.to_string()).unwrap_or_default().into(),
                attempt.message.as_deref().or(attempt.code.as_deref()).unwrap_or_default().into(),
            ]);
        }
        section(&mut text, "attempts", &table, paint);
    }
    let mut lines: Vec<String> = stage_table::progress(run, paint).into_iter().collect();
    lines.extend(run.serving.as_ref().map(|serving| stage_table::serving(serving, paint)));
    lines.extend(stage_table::stages(run, paint));
    for (title, lines) in [("stages", lines), ("outcome", stage_table::ending(run, paint))] {
        if !lines.is_empty() {
            text.push_str(&format!("\n{}\n{}\n", paint.bold(title), lines.join("\n")));
        }
    }
    text
}

fn made(at: Option<&str>, by: Option<&Value>, now: OffsetDateTime) -> String {
    let by = actor_name(by);
    let by = if by.is_empty() { String::new() } else { format!(" by {by}") };
    match at {
        Some(at) => format!("{} ago{by} ({at})", age(Some(at), now)),
        None => String::new(),
    }
}

/// `name   value` lines; what is empty is left out, what has several lines is indented.
fn rows(rows: &[(&str, String)], paint: Paint) -> String {
    let mut text = String::new();
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        let value = if *name == "state" { paint.state(&clean(value)) } else { clean_lines(value.trim_end()) };
        text.push_str(&format!("{name:<12} {}\n", value.replace('\n', &format!("\n{:13}", ""))));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-11-20 12:00:00 UTC);

    #[test]
    fn a_resource_reads_from_top_to_bottom() {
        let resource: Resource = serde_json::from_value(json!({
            "id": "0193", "kind": "Pipeline", "name": "curate", "display_name": "Curate", "description": "Cleans the corpus.\nTwice.",
            "labels": {"team": "data"}, "state": "active", "created_at": "2026-11-20T10:00:00.000000Z", "created_by": {"name": "owner"},
            "published": {"number": 3, "published_at": "2026-11-20T11:00:00Z"}, "latest_revision": {"number": 4, "state": "draft"}, "changed": true,
        })).unwrap();
        insta::assert_snapshot!(describe_resource(&resource, NOW, Paint::plain()), @r"
        name         curate
        kind         Pipeline
        title        Curate
        about        Cleans the corpus.
                     Twice.
        state        active
        published    revision 3, 60m ago
        newest       revision 4 (draft)
        edited       the working copy differs from the newest revision
        labels       team=data
        made         2h ago by owner (2026-11-20T10:00:00.000000Z)
        id           0193
        ");
    }

    #[test]
    fn a_revision_in_review_says_how_it_is_approved() {
        let mut detail = json!({"hash": "sha256:ab", "authors": ["owner", "ann"], "may_decide": true});
        insta::assert_snapshot!(review(&detail, "pipelines/curate", 4, Paint::plain()), @r"
        revision     4
        authors      owner,ann
        hash         sha256:ab
        next         qd approve pipelines/curate --revision 4 --hash sha256:ab
        ");
        let shows_the_way =
            |detail: &Value| review(detail, "pipelines/curate", 4, Paint::plain()).contains("next");
        detail["may_decide"] = json!(false);
        assert!(!shows_the_way(&detail), "whoever reads it may not approve it");
        detail["may_decide"] = json!(true);
        detail["hash"] = json!(null);
        assert!(!shows_the_way(&detail), "something moved");
    }

    #[test]
    fn a_run_is_described_with_attempts_and_stages() {
        let mut run = stage_table::tests::running();
        run.kind = Some("Pipeline".into());
        run.resource.name = "curate".into();
        run.engine = Some("xenna".into());
        run.engine_detail = Some(json!({"xenna": "0.5.1", "ray": "2.50.0", "python": "3.12.4"}));
        run.attempts = serde_json::from_value(json!([
            {"attempt": 1, "state": "failed", "started_at": "2026-11-20T11:57:00Z", "ended_at": "2026-11-20T11:57:30Z", "exit_code": 1, "message": "stage filter failed"},
            {"attempt": 2, "state": "running", "started_at": "2026-11-20T11:59:00Z"},
        ])).unwrap();
        run.params = json!({"threshold": 0.9});
        insta::assert_snapshot!(describe_run(&run, NOW, Paint::plain()), @r#"
        run          curate#42
        state        running
        of           pipeline/curate
        revision     3
        params       {"threshold":0.9}
        engine       xenna (xenna 0.5.1, ray 2.50.0, python 3.12.4)
        took         1m00s
        id           01936f2e-7c1a-7000-8000-000000000001

        attempts
        ATTEMPT   STATE     TOOK    EXIT   MESSAGE
        1         failed    30.0s   1      stage filter failed
        2         running   1m00s   -      -

        stages
        [███████·················]  120/400 inputs  95 outputs  3 dropped
        STAGE            STATE       ACTORS         QUEUE   DONE   ITEMS/S   PER ITEM
        Load             succeeded   1/1            0       400    132       2ms
        Quality filter   running     2/3 (2 busy)   18      120    12.5      80ms       ◀ bottleneck, 3 dropped
        write            pending     -              0       0      -         -
        "#);
    }
}
