//! Servers whose clocks are set while they work, an hour ahead and back: real processes whose system clock is faked, and only that
//! one, by libfaketime. Every job ends, each step was tried once and took effect once.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may fail by panicking"
)]

#[path = "support/api.rs"]
mod api;
#[path = "support/process.rs"]
mod process;

use std::collections::BTreeSet;
use std::time::Duration;

use api::{Api, Ask, client};
use process::{Server, World};
use qd_kernel::store::Backend;
use qd_testkit::{Faketime, TestDatabase, eventually, postgres::Postgres};
use serde_json::{Value, json};
use tempfile::TempDir;

const HOUR: i64 = 3600;
const SKIPPED: &str = "skipped: install libfaketime to set the clock of a program";

/// A server and its clock.
struct Clocked {
    server: Server,
    clock: Faketime,
    _folder: TempDir,
}

impl Clocked {
    /// None where its clock cannot be set, which is said.
    fn start(words: &[&str], ahead_s: i64) -> Option<Self> {
        let folder = TempDir::new().expect("make a folder");
        let Some(clock) = Faketime::in_folder(folder.path()) else {
            println!("{SKIPPED}");
            return None;
        };
        clock.set(ahead_s);
        let env = clock.env();
        let server = env.iter().fold(Server::new(words), |server, (name, value)| server.env(name, value));
        let mut clocked = Self { server, clock, _folder: folder };
        assert!(clocked.server.start(), "{}", clocked.server.log());
        Some(clocked)
    }

    fn api(&self) -> Api {
        api(&self.server)
    }
}

fn api(server: &Server) -> Api {
    Api { http: client(), url: server.url(), token: server.token.clone() }
}

async fn five(api: &Api, world: &World, name: &str, more: Value) -> String {
    let mut input = json!({ "name": name, "world": world.url });
    input.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    let body = json!({ "operation": "toy.five", "input": input });
    let ask = Ask { path: "/jobs".into(), body, key: name.into() };
    api.ask_once(&ask).await.expect("an answer")["id"].as_str().expect("an id").to_owned()
}

async fn waits(api: &Api, job: &str) {
    eventually("the job waits for the world", async || {
        (api.get(&format!("/jobs/{job}")).await["state"] == "waiting").then_some(())
    })
    .await;
}

async fn succeeds(api: &Api, job: &str, what: &str) {
    let job = api.ended(job, what).await;
    assert_eq!(job["state"], "succeeded", "{what}: {job}");
}

/// Every effect is there once, and who acted was the only one who tried.
async fn once(world: &World, jobs: usize) {
    let report = world.report().await;
    let effects = report["effects"].as_object().expect("effects");
    assert_eq!(effects.len(), jobs * 5, "{effects:?}");
    for (name, effect) in effects {
        // A step that waits for the world looks twice, and again where a clock that was set brings it too early.
        let most = if name.ends_with("/ready") { 6 } else { 1 };
        assert_eq!(effect["made"], 1, "{name}: {effect}");
        assert!(effect["tries"].as_u64().is_some_and(|tries| tries <= most), "{name}: {effect}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_clock_is_set_an_hour_back_and_ahead_goes_on_with_its_work() {
    let world = World::start();
    let db = TestDatabase::on(Backend::Sqlite).await;
    let words = ["--database-url", &db.url, "--world", &world.url];
    let Some(mut server) = Clocked::start(&words, HOUR) else { return };
    let api = server.api();
    let waiting = five(&api, &world, "waiting", json!({ "wait_ms": 4000 })).await;
    waits(&api, &waiting).await;
    server.clock.set(0);
    succeeds(&api, &waiting, "the job that waited when the clock was set back").await;

    let working = five(&api, &world, "working", json!({ "act_ms": 3000 })).await;
    server.clock.set(HOUR);
    succeeds(&api, &working, "the job that was at work when the clock was set ahead").await;

    // What waits while the server is gone and the clock is set back.
    let left = five(&api, &world, "left", json!({ "wait_ms": 5000 })).await;
    waits(&api, &left).await;
    server.server.kill();
    server.clock.set(0);
    assert!(server.server.start(), "{}", server.server.log());
    let api = server.api();
    succeeds(&api, &left, "the job that was left waiting").await;
    once(&world, 3).await;
    let events = api.get("/events?limit=500").await;
    let positions: Vec<i64> =
        events["items"].as_array().unwrap().iter().map(|event| event["pos"].as_i64().unwrap()).collect();
    let sorted: BTreeSet<i64> = positions.iter().copied().collect();
    assert_eq!(sorted.len(), positions.len(), "no event is doubled");
    let gaps = sorted.last().unwrap() - sorted.first().unwrap() + 1 - i64::try_from(sorted.len()).unwrap();
    assert_eq!(
        gaps, 1,
        "none is missing but the platform's own, of the token that the second start made: {sorted:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_whose_clocks_differ_by_an_hour_and_are_set_share_the_work() {
    let world = World::start();
    let db = TestDatabase::postgres().await;
    let words = ["--database-url", &db.url, "--world", &world.url, "--lease-ms", "6000"];
    let Some(ahead) = Clocked::start(&words, HOUR) else { return };
    let Some(right) = Clocked::start(&words, 0) else { return };
    let (mut jobs, apis) = (vec![], [ahead.api(), right.api()]);
    for n in 0..12 {
        // At work for longer than a lease, and waiting in between.
        let more = json!({ "act_ms": 7000, "wait_ms": 1500, "locks": [format!("lock-{}", n % 6)] });
        jobs.push(five(&apis[n % 2], &world, &format!("job-{n}"), more).await);
    }
    for ahead_s in [0, HOUR, -HOUR, 0] {
        ahead.clock.set(ahead_s);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    for job in &jobs {
        succeeds(&apis[1], job, "a job of two servers").await;
    }
    once(&world, jobs.len()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_go_on_when_the_clock_of_their_postgres_is_set_an_hour_ahead_and_back() {
    let Some((postgres, clock)) = Postgres::with_clock().await else {
        println!("{SKIPPED}");
        return;
    };
    let (world, db) = (World::start(), postgres.fresh_database().await);
    let words = ["--database-url", &db.url, "--world", &world.url, "--lease-ms", "20000"];
    let mut servers = [Server::new(&words), Server::new(&words)];
    for server in &mut servers {
        assert!(server.start(), "{}", server.log());
    }
    let apis = servers.each_ref().map(api);
    let mut jobs = vec![];
    for (round, ahead_s) in [HOUR, 0, -HOUR, 0].into_iter().enumerate() {
        for n in 0..4 {
            // At work while the clock is set; those of the round before wait then.
            let more = json!({ "act_ms": 3000, "wait_ms": 2000 });
            jobs.push(five(&apis[n % 2], &world, &format!("job-{round}-{n}"), more).await);
        }
        waits(&apis[0], jobs.last().unwrap()).await;
        clock.set(ahead_s);
    }
    for job in &jobs {
        succeeds(&apis[0], job, "a job of two servers").await;
    }
    once(&world, jobs.len()).await;
}
