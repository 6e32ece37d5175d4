//! The engine `ray` against a stand-in head: cut logs, lost answers, late submissions, silence, forgetting. No Ray runs here;
//! `qd`'s own tests run the same on a real one.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

#[path = "ray_jobs/head.rs"]
mod head;

use std::path::Path;
use std::time::Duration;

use head::{Head, TOKEN};
use qd_core::error::ErrorKind;
use qd_core::id::{ResourceId, RunId};
use qd_core::state::RunState;
use qd_kernel::clock;
use qd_kernel::code::CodeStore;
use qd_kernel::connections::CONNECTION;
use qd_kernel::engine::{EngineState, LogLine, Observation, RunEngine, RunTicket, Submitted};
use qd_kernel::outbound::{Outbound, OutboundOptions};
use qd_kernel::resources::SpecReader;
use qd_kernel::secrets::{SecretOptions, Secrets};
use qd_pipelines::code::{Packed, pack};
use qd_pipelines::engine::{Ray, RayOptions, XennaOptions};
use qd_pipelines::kinds::{PIPELINE, register};
use qd_pipelines::supervisor::Program;
use qd_testkit::kernel::key;
use qd_testkit::sample::document_of;
use qd_testkit::{TestDatabase, TestKernel};
use serde_json::{Value, json};
use tempfile::TempDir;

const LONG: Duration = Duration::from_hours(1);

/// A kernel with a published connection `gpu` to a stand-in, and code to run.
struct Bench {
    head: Head,
    kernel: TestKernel,
    folder: TempDir,
    code: Packed,
    _database: TestDatabase,
}

impl Bench {
    async fn new() -> Self {
        let database = TestDatabase::sqlite().await;
        let store = database.migrated().await;
        let folder = tempfile::tempdir().unwrap();
        let xenna = XennaOptions {
            data: folder.path().join("data"),
            code: CodeStore::new(store.clone()),
            clock: clock::system(),
            supervisor: Program::supervise("/nowhere".into()),
        };
        let ray = RayOptions {
            code: CodeStore::new(store.clone()),
            specs: SpecReader::new(store.clone()),
            secrets: Secrets::new(store.clone(), clock::system(), SecretOptions::default()),
            outbound: Outbound::new(&OutboundOptions::default(), true),
            clock: clock::system(),
            lost_after: LONG,
        };
        let register = move |registry: &mut _| drop(register(registry, xenna, ray));
        let kernel = TestKernel::build().store(&store).register(register).on(&database).await;
        let code = folder.path().join("code");
        std::fs::create_dir(&code).unwrap();
        std::fs::write(code.join("work.py"), "x = 1\n").unwrap();
        let code = pack(&code).unwrap();
        let context = kernel.context();
        kernel.kernel.code_put(&context, code.digest.clone(), 1, code.archive.clone()).await.unwrap();
        let bench = Self { head: Head::start(), kernel, folder, code, _database: database };
        bench.connect(&bench.head.url).await;
        bench
    }

    /// Publishes the connection.
    async fn connect(&self, address: &str) {
        let token = self.folder.path().join("token");
        std::fs::write(&token, TOKEN).unwrap();
        let spec = json!({ "type": "ray", "address": address, "token": { "file": token } });
        let context = self.kernel.context();
        let documents = vec![document_of(CONNECTION, "gpu", spec)];
        let (_, jobs) =
            self.kernel.kernel.apply(&context, documents, String::new(), Some(key())).await.unwrap();
        if let Some(job) = jobs {
            self.kernel.job_ended(job.id).await;
        }
    }

    /// An engine that remembers nothing, as after a restart.
    fn engine(&self, lost_after: Duration) -> Ray {
        let store = &self.kernel.kernel.store;
        Ray::new(RayOptions {
            code: CodeStore::new(store.clone()),
            specs: SpecReader::new(store.clone()),
            secrets: Secrets::new(store.clone(), clock::system(), SecretOptions::default()),
            outbound: Outbound::new(&OutboundOptions::default(), true),
            clock: clock::system(),
            lost_after,
        })
    }

    fn ticket(&self) -> RunTicket {
        let clock = clock::system();
        RunTicket {
            run_id: RunId::from(clock.uuid()),
            scope: self.kernel.scope,
            resource_id: ResourceId::from(clock.uuid()),
            run_ref: "curate#42".into(),
            kind: PIPELINE.into(),
            attempt: 1,
            spec: json!({
                "params": { "type": "object", "properties": { "word": { "type": "string" } } },
                "stages": [{ "id": "a", "uses": "work:A", "params": { "word": "${params.word}" } }],
                "io": { "input": { "items": [1] } },
                "runtime": {
                    "target": "gpu", "code": { "digest": self.code.digest }, "requirements": ["inflection==0.5.1"],
                    "env": { "WORD": "${params.word}" }
                }
            }),
            params: json!({ "word": "hello" }),
            correlation_id: "test".into(),
            external_id: None,
            engine_detail: None,
            tried_before: false,
        }
    }

    /// A ticket whose attempt the head has.
    async fn started(&self, engine: &Ray) -> (RunTicket, String) {
        let mut ticket = self.ticket();
        let external = submitted(engine, &ticket).await;
        let job = external.rsplit('/').next().unwrap().to_owned();
        ticket.external_id = Some(external);
        (ticket, job)
    }
}

async fn submitted(engine: &Ray, ticket: &RunTicket) -> String {
    match engine.submit(ticket).await.unwrap() {
        Submitted::Adopted { external_id } => external_id,
        Submitted::NotYet { waiting_for, .. } => panic!("it waits for {waiting_for}"),
    }
}

/// A log as a job writes it, of `lines` lines of a stage, with what Ray writes between.
fn log(job: &str, lines: usize) -> String {
    let record = |n: usize, body: Value| {
        let mut record = json!({ "n": n, "t": 1_000_000 + n });
        record.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        format!("@qd1 {job} {record}\n")
    };
    let stages = json!([{ "id": "a", "name": "A", "xenna_name": "Stage 00 - A" }]);
    let mut text = "Runtime env is setting up.\n".to_owned();
    text += &record(0, json!({ "k": "event", "e": { "type": "hello", "ray": "2.60.0", "xenna": "0.5.12" } }));
    text += &record(1, json!({ "k": "event", "e": { "type": "stages", "stages": stages } }));
    for n in 2..lines + 2 {
        text += &record(
            n,
            json!({ "k": "log", "s": "stdout", "l": "info", "st": "a", "m": format!("line {n} é") }),
        );
        if n % 7 == 0 {
            text += "(raylet) Ray has its say…\n";
        }
    }
    text +=
        &record(lines + 2, json!({ "k": "out", "s": "stderr", "m": "(Stage 00 - A pid=7) WARNING: from C" }));
    let failure =
        json!({ "type": "failure", "stage": "a", "batch": 3, "exception": "ValueError", "message": "no" });
    text += &record(lines + 3, json!({ "k": "event", "e": failure }));
    text += &record(lines + 4, json!({ "k": "exit", "code": 1, "signal": null, "stopped": false }));
    text + "a last word without an end"
}

/// Everything that is observed until the end; `each` may change the engine between two observations.
async fn observe_all(
    bench: &Bench,
    ticket: &RunTicket,
    mut each: impl FnMut(usize) -> bool,
) -> (Vec<LogLine>, Vec<Value>, Observation) {
    let (mut engine, mut cursor) = (bench.engine(LONG), 0);
    let (mut logs, mut failures) = (vec![], vec![]);
    for count in 0..10_000 {
        if each(count) {
            engine = bench.engine(LONG);
        }
        let Ok(seen) = engine.observe(ticket, cursor).await else { continue };
        assert!(seen.cursor >= cursor);
        assert!(seen.cursor > cursor || seen.logs.is_empty(), "logs come with the cursor's move");
        cursor = seen.cursor;
        logs.extend(seen.logs.clone());
        if let (Some(failure), None) = (&seen.failure, &seen.end) {
            failures.push(failure.clone());
        }
        if seen.end.is_some() {
            return (logs, failures, seen);
        }
    }
    panic!("no end after 10,000 observations");
}

/// Stores what was told of the engine, as the observer does.
fn keep(ticket: &mut RunTicket, seen: &Observation) {
    ticket.engine_detail = seen.engine_detail.clone().or(ticket.engine_detail.take());
}

fn texts(logs: &[LogLine]) -> Vec<&str> {
    logs.iter().map(|line| line.text.as_str()).collect()
}

#[tokio::test]
async fn a_job_log_that_is_cut_again_and_again_is_told_once() {
    let bench = Bench::new().await;
    let (ticket, job) = bench.started(&bench.engine(LONG)).await;
    let text = log(&job, 300);
    bench
        .head
        .job(&job, |job| (job.status, job.exit_code, job.log) = ("FAILED".into(), Some(1), text.clone()));
    let (whole, failures, end) = observe_all(&bench, &ticket, |_| false).await;
    let said = texts(&whole);
    let lines: Vec<String> = (2..302).map(|n| format!("line {n} é")).collect();
    assert_eq!(said.iter().filter(|text| text.starts_with("line ")).copied().collect::<Vec<_>>(), lines);
    assert_eq!(said.iter().filter(|text| text.contains("raylet")).count(), 43);
    let from_c = whole.iter().find(|line| line.text == "WARNING: from C").unwrap();
    assert_eq!(from_c.stage.as_deref(), Some("a"));
    assert_eq!(said.last(), Some(&"a last word without an end"));
    assert_eq!(failures.len(), 1);
    let ended = end.end.unwrap();
    assert_eq!((ended.state, ended.code.as_deref()), (RunState::Failed, Some("stage_failed")));
    assert_eq!(ended.message.as_deref(), Some("stage a, batch 3: ValueError: no"));

    // Cut in the midst of lines, of characters' neighbours, and behind the last byte; with servers that come and go.
    for seed in 0..6_usize {
        let cuts = (0..40).map(|n| (seed * 7919 + n * 104_729) % text.len() + 1);
        bench.head.state().cuts = cuts.collect();
        let (again, failures, end) = observe_all(&bench, &ticket, |count| count % (seed + 2) == 1).await;
        assert_eq!(texts(&again), said, "seed {seed}");
        assert_eq!((failures.len(), end.end.unwrap().code.as_deref()), (1, Some("stage_failed")));
    }
    bench.head.state().cuts.clear();
    bench.head.state().no_sockets = true;
    let (again, ..) = observe_all(&bench, &ticket, |_| false).await;
    assert_eq!(texts(&again), said, "fetched instead of streamed");
}

#[tokio::test]
async fn the_end_of_a_run_asks_for_the_whole_log_only_where_the_runner_s_last_words_are_missing() {
    let bench = Bench::new().await;
    let fetches = || bench.head.state().heard.iter().filter(|(path, _)| path.ends_with("/logs")).count();
    let (ticket, job) = bench.started(&bench.engine(LONG)).await;
    let text = log(&job, 10);
    let cut = text.find("\"k\":\"exit\"").unwrap();
    bench
        .head
        .job(&job, |job| (job.status, job.exit_code, job.log) = ("FAILED".into(), Some(1), text.clone()));
    observe_all(&bench, &ticket, |_| false).await;
    assert_eq!(fetches(), 0);
    bench.head.job(&job, |job| job.log.truncate(cut));
    observe_all(&bench, &ticket, |_| false).await;
    assert_eq!(fetches(), 1);

    // Where nothing but the whole can be had, and that not any more, the run ends all the same.
    (bench.head.state().no_sockets, bench.head.state().no_logs) = (true, true);
    let (logs, _, end) = observe_all(&bench, &ticket, |_| false).await;
    assert_eq!(texts(&logs), ["The rest of this log cannot be read: the node that has it does not answer."]);
    assert_eq!(end.end.unwrap().state, RunState::Failed);
}

#[tokio::test]
async fn a_log_that_is_larger_than_what_is_held_at_once_is_told_in_parts() {
    let bench = Bench::new().await;
    let (ticket, job) = bench.started(&bench.engine(LONG)).await;
    let line = |n: usize| format!("{n:06} {}", "é".repeat(500));
    let lines: Vec<String> = (0..10_000).map(line).collect();
    bench.head.job(&job, |job| (job.status, job.log) = ("SUCCEEDED".into(), lines.join("\n")));
    bench.head.state().no_sockets = true;
    let (logs, ..) = observe_all(&bench, &ticket, |_| false).await;
    assert!(texts(&logs) == lines, "{} lines", logs.len());
    let fetches = bench.head.state().heard.iter().filter(|(path, _)| path.ends_with("/logs")).count();
    assert_eq!(fetches, 3, "4 MiB each");
}

#[tokio::test]
async fn what_was_told_and_not_stored_is_told_again_and_what_another_stored_is_not() {
    let bench = Bench::new().await;
    let engine = bench.engine(LONG);
    let (ticket, job) = bench.started(&engine).await;
    let text = log(&job, 20);
    bench.head.job(&job, |job| job.log = text.clone());
    // The stand-in sends it in pieces: as many observations as it takes until all whole lines are there.
    let (mut cursor, mut first) = (0, vec![]);
    let all = i64::try_from(text.rfind('\n').unwrap() + 1).unwrap();
    while cursor < all {
        let seen = bench.until_told(&engine, &ticket, cursor).await;
        (cursor, first) = (seen.cursor, [first, seen.logs].concat());
    }
    let (mut cursor, mut again) = (0, vec![]);
    while cursor < all {
        let seen = bench.until_told(&engine, &ticket, cursor).await;
        (cursor, again) = (seen.cursor, [again, seen.logs].concat());
    }
    assert_eq!(texts(&again), texts(&first));

    let other = bench.engine(LONG);
    bench.until_told(&other, &ticket, 0).await;
    let more = "(raylet) more\n";
    bench.head.job(&job, |job| job.log += more);
    let seen = bench.until_told(&other, &ticket, all).await;
    assert_eq!(texts(&seen.logs), ["a last word without an end(raylet) more"]);
}

#[tokio::test]
async fn a_lost_answer_makes_no_second_job_and_a_stranger_s_is_not_adopted() {
    let bench = Bench::new().await;
    let (engine, ticket) = (bench.engine(LONG), bench.ticket());
    bench.head.state().lose_answer = true;
    assert_eq!(engine.submit(&ticket).await.unwrap_err().kind, ErrorKind::Unavailable);
    let external = submitted(&bench.engine(LONG), &ticket).await;
    assert_eq!(submitted(&engine, &ticket).await, external);
    let job = external.rsplit('/').next().unwrap().to_owned();
    {
        let state = bench.head.state();
        assert_eq!((state.jobs.keys().collect::<Vec<_>>(), state.submissions), (vec![&job], 1));
        let order = &state.jobs[&job];
        assert_eq!(order.runtime_env["pip"], json!(["inflection==0.5.1"]));
        assert_eq!(order.runtime_env["env_vars"]["WORD"], "hello");
        for uri in [&order.runtime_env["working_dir"], &order.runtime_env["py_modules"][0]] {
            let name = uri.as_str().unwrap().strip_prefix("gcs://").unwrap();
            assert!(state.packages.contains_key(name), "{name} was uploaded");
        }
        assert!(order.entrypoint.ends_with(&format!("--attempt 1 --mark {job}")), "{}", order.entrypoint);
    }
    // Two at once: the one that comes second is told that the name is taken.
    let other = bench.ticket();
    let both = futures::future::join(submitted(&engine, &other), submitted(&engine, &other)).await;
    assert_eq!(both.0, both.1);
    assert_eq!(bench.head.state().jobs.len(), 2);

    let unrelated = "Traceback …\nFileExistsError: /tmp/ray/session_latest already exists";
    bench.head.state().refuse = Some(unrelated.to_owned());
    let refused = engine.submit(&bench.ticket()).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Unavailable, "{refused}");

    let id = both.0.rsplit('/').next().unwrap().to_owned();
    bench.head.job(&id, |job| job.metadata = json!({ "owner": "somebody" }));
    assert_eq!(engine.submit(&other).await.unwrap_err().code, "submission_taken");
}

#[tokio::test]
async fn a_submission_that_arrives_after_its_stop_starts_nothing() {
    let bench = Bench::new().await;
    let (engine, ticket) = (bench.engine(LONG), bench.ticket());
    engine.stop(&ticket).await.unwrap();
    engine.stop(&ticket).await.unwrap();
    assert_eq!(engine.submit(&ticket).await.unwrap_err().code, "attempt_stopped");
    {
        let state = bench.head.state();
        let entrypoints: Vec<&str> = state.jobs.values().map(|job| job.entrypoint.as_str()).collect();
        assert_eq!(entrypoints, ["true"], "the name is taken by a job that does nothing");
    }
    let (ticket, job) = bench.started(&engine).await;
    engine.stop(&ticket).await.unwrap();
    assert_eq!(bench.head.state().jobs[&job].stops, 1);
    bench.head.state().jobs.clear();
    engine.stop(&ticket).await.unwrap();
}

#[tokio::test]
async fn silence_is_told_once_and_only_a_job_that_stays_forgotten_is_lost() {
    let bench = Bench::new().await;
    let engine = bench.engine(Duration::from_millis(1));
    let (mut ticket, job) = bench.started(&engine).await;
    bench.head.job(&job, |job| job.log = "Runtime env is setting up.\n".into());
    let cursor = engine.observe(&ticket, 0).await.unwrap().cursor;
    assert!(cursor > 0);

    bench.head.state().silent = true;
    let told = bench.until_told(&engine, &ticket, cursor).await;
    assert_eq!((told.cursor, told.end.is_none()), (cursor, true));
    assert_eq!(told.facts[0].event_type, "run.unknown");
    assert_eq!(told.engine_detail.as_ref().unwrap()["observation"]["state"], "unknown");
    keep(&mut ticket, &told);
    for _ in 0..3 {
        assert_eq!(engine.observe(&ticket, cursor).await.unwrap_err().code, "run_unknown");
    }
    assert_eq!(engine.health().await.state, EngineState::Unknown);

    bench.head.state().silent = false;
    let back = bench.until_told(&engine, &ticket, cursor).await;
    assert_eq!(back.facts[0].event_type, "run.known");
    assert!(back.engine_detail.as_ref().unwrap().get("observation").is_none());
    keep(&mut ticket, &back);
    assert_eq!(engine.health().await.state, EngineState::Healthy);

    let kept = bench.head.state().jobs.remove(&job).unwrap();
    let told = bench.until_told(&engine, &ticket, cursor).await;
    assert!(told.end.is_none(), "not at once: {:?}", told.end);
    keep(&mut ticket, &told);
    bench.head.job(&job, |job| *job = kept);
    let back = bench.until_told(&engine, &ticket, cursor).await;
    assert_eq!(back.facts[0].event_type, "run.known");
    keep(&mut ticket, &back);

    bench.head.state().jobs.clear();
    let told = bench.until_told(&engine, &ticket, cursor).await;
    assert!(told.end.is_none());
    keep(&mut ticket, &told);
    // A silence between: the head may know the job when it speaks again, so the time starts anew.
    bench.head.state().silent = true;
    let told = bench.until_told(&engine, &ticket, cursor).await;
    assert!(told.end.is_none());
    keep(&mut ticket, &told);
    bench.head.state().silent = false;
    let told = bench.until_told(&engine, &ticket, cursor).await;
    assert!(told.end.is_none(), "not at once: {:?}", told.end);
    keep(&mut ticket, &told);
    let end = bench.until_told(&engine, &ticket, cursor).await.end.unwrap();
    assert_eq!((end.state, end.code.as_deref()), (RunState::Failed, Some("lost")));
}

#[tokio::test]
async fn a_doubt_outlives_the_server_that_told_of_it() {
    let bench = Bench::new().await;
    let first = bench.engine(LONG);
    let (mut ticket, job) = bench.started(&first).await;
    bench.head.job(&job, |head| head.log = log(&job, 2));
    let mut cursor = 0;
    while ticket.engine_detail.is_none() {
        let seen = bench.until_told(&first, &ticket, cursor).await;
        cursor = seen.cursor;
        keep(&mut ticket, &seen);
    }
    assert_eq!(ticket.engine_detail.as_ref().unwrap()["ray"], "2.60.0");

    bench.head.state().silent = true;
    while ticket.engine_detail.as_ref().unwrap()["observation"].is_null() {
        let told = bench.until_told(&first, &ticket, cursor).await;
        cursor = told.cursor;
        keep(&mut ticket, &told);
    }
    let since = ticket.engine_detail.as_ref().unwrap()["observation"]["since"].clone();
    let second = bench.engine(LONG);
    // In other words perhaps, but as the same doubt.
    while let Ok(told) = second.observe(&ticket, cursor).await {
        keep(&mut ticket, &told);
    }
    assert_eq!(ticket.engine_detail.as_ref().unwrap()["observation"]["since"], since);

    bench.head.state().silent = false;
    let kept = bench.head.state().jobs.remove(&job).unwrap();
    let told = bench.until_told(&second, &ticket, cursor).await;
    assert_eq!(
        told.engine_detail.as_ref().unwrap()["observation"]["since"],
        since,
        "another reason, the same doubt"
    );
    keep(&mut ticket, &told);

    bench.head.job(&job, |job| *job = kept);
    for engine in [&second, &bench.engine(LONG), &first] {
        // As long as it is not stored, it is told again by whoever looks.
        let back = bench.until_told(engine, &ticket, cursor).await;
        assert_eq!(back.facts[0].event_type, "run.known");
        let detail = back.engine_detail.unwrap();
        assert_eq!((detail.get("observation"), &detail["ray"]), (None, &json!("2.60.0")));
    }
    // Another attempt's doubt is none of this one's.
    ticket.attempt = 2;
    ticket.external_id = Some(submitted(&first, &ticket).await);
    assert!(first.observe(&ticket, 0).await.unwrap().facts.is_empty());
}

#[tokio::test]
async fn a_connection_that_leads_elsewhere_does_not_take_running_attempts_along() {
    let bench = Bench::new().await;
    let engine = bench.engine(LONG);
    let (ticket, job) = bench.started(&engine).await;
    let other = Head::start();
    bench.connect(&other.url).await;
    bench.head.job(&job, |job| (job.status, job.log) = ("SUCCEEDED".into(), "done\n".into()));
    let (.., end) = observe_all(&bench, &ticket, |_| false).await;
    assert_eq!(end.end.unwrap().state, RunState::Succeeded);
    bench.started(&engine).await;
    assert_eq!((bench.head.state().jobs.len(), other.state().jobs.len()), (1, 1), "the next one goes there");
}

#[tokio::test]
async fn a_token_goes_where_the_connection_says_and_nowhere_else() {
    let bench = Bench::new().await;
    let (engine, elsewhere) = (bench.engine(LONG), Head::start());
    bench.head.state().redirect = Some(elsewhere.url.clone());
    assert_eq!(engine.submit(&bench.ticket()).await.unwrap_err().kind, ErrorKind::Unavailable);
    assert!(bench.head.state().heard.iter().all(|(_, with)| *with == format!("Bearer {TOKEN}")));
    assert!(elsewhere.state().heard.is_empty(), "a redirect is not followed");

    bench.head.state().redirect = None;
    let token = bench.folder.path().join("token");
    for (text, code) in [("another", "ray_token_refused"), ("", "secret_missing")] {
        std::fs::write(&token, text).unwrap();
        let error = engine.submit(&bench.ticket()).await.unwrap_err();
        assert_eq!(error.code, code, "{error}");
        assert!(!format!("{error:?}").contains("another"), "{error:?}");
        engine.stop(&bench.ticket()).await.unwrap();
    }
    let (ticket, lost) = (bench.ticket(), bench.engine(LONG));
    std::fs::write(&token, TOKEN).unwrap();
    bench.head.state().lose_answer = true;
    lost.submit(&ticket).await.unwrap_err();
    std::fs::write(&token, "another").unwrap();
    let error = lost.stop(&ticket).await.unwrap_err();
    assert_eq!(error.code, "ray_token_refused", "what may have been started is not given up");
    let tried = RunTicket { tried_before: true, ..ticket.clone() };
    let error = bench.engine(LONG).stop(&tried).await.unwrap_err();
    assert_eq!(error.code, "ray_token_refused", "nor by a server that did not start it");
    std::fs::remove_file(Path::new(&token)).unwrap();
    assert_eq!(engine.submit(&bench.ticket()).await.unwrap_err().code, "secret_missing");
}

#[tokio::test]
async fn a_target_is_checked_before_anything_runs_on_it() {
    let bench = Bench::new().await;
    let kernel = &bench.kernel.kernel;
    let kind = kernel.registry.find_kind(PIPELINE).unwrap().clone();
    let of = async |change: fn(&mut Value)| {
        let mut spec = bench.ticket().spec;
        change(&mut spec);
        let prepared =
            kernel.spec_prepare(&*kind, &spec, &kernel.spec_view(bench.kernel.scope)).await.unwrap();
        let found = prepared.err().unwrap_or_default();
        found.into_iter().map(|one| (one.pointer.to_string(), one.code.to_string())).collect::<Vec<_>>()
    };
    let at = |pointer: &str, code: &str| vec![(pointer.to_owned(), code.to_owned())];
    assert_eq!(
        of(|spec| spec["runtime"]["target"] = json!("moon")).await,
        at("/runtime/target", "unknown_target")
    );
    assert_eq!(of(|spec| spec["runtime"]["target"] = json!("A moon")).await[0].0, "/runtime/target");
    let serving = of(|spec| {
        spec["execution_mode"] = json!("serving");
        spec["io"] = json!({});
    });
    assert_eq!(serving.await, at("/execution_mode", "not_allowed"));
    let by_param = of(|spec| {
        spec["params"]["properties"]["where"] = json!({ "type": "string", "default": "moon" });
        spec["runtime"]["target"] = json!("${params.where}");
    });
    assert_eq!(by_param.await, at("/runtime/target", "unknown_target"));

    let mut serving = bench.ticket();
    serving.spec["execution_mode"] = json!("serving");
    serving.spec["io"] = json!({});
    serving.spec["params"]["properties"]["where"] = json!({ "type": "string", "default": "local" });
    serving.spec["runtime"]["target"] = json!("${params.where}");
    kind.run_params(&serving.spec, &json!({})).unwrap();
    let refused = kind.run_params(&serving.spec, &json!({ "where": "gpu" })).unwrap_err();
    assert_eq!(
        (refused[0].pointer.to_string().as_str(), refused[0].code.as_ref()),
        ("/params", "not_allowed")
    );
    serving.params = json!({ "where": "gpu" });
    assert_eq!(bench.engine(LONG).submit(&serving).await.unwrap_err().code, "not_serving");
    assert!(bench.head.state().jobs.is_empty());

    let engine = |target: &str, params: Value| {
        let mut spec = bench.ticket().spec;
        spec["runtime"]["target"] = json!(target);
        kind.engine(&spec, &params)
    };
    assert_eq!(engine("local", json!({})), Some("xenna"));
    assert_eq!(engine("gpu", json!({})), Some("ray"));
    assert_eq!(engine("${params.where}", json!({ "where": "gpu" })), Some("ray"));
    assert_eq!(engine("${params.where}", json!({ "where": "local" })), Some("xenna"));
}

impl Bench {
    /// The next observation that tells more than that nothing is new.
    async fn until_told(&self, engine: &Ray, ticket: &RunTicket, cursor: i64) -> Observation {
        qd_testkit::eventually("something is told", async || {
            engine.observe(ticket, cursor).await.ok().filter(|seen| seen.cursor > cursor || !seen.is_silent())
        })
        .await
    }
}
