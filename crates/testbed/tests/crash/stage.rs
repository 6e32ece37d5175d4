//! A database, a server on it that dies and comes back, and the world that stays.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use nix::sys::signal::Signal;
use qd_kernel::store::Backend;
use qd_testkit::{TestDatabase, eventually};
use serde_json::{Value, json};

use super::{
    ledger::Ledger,
    scenarios::{Asked, End, Scenario, toy},
};
use crate::{
    api::{Api, Ask, client},
    process::{Server, World},
};

/// Short, so that on Postgres the next process takes over soon.
const LEASE: Duration = Duration::from_millis(500);

/// Of the secrets; a test's own.
const MASTER_KEY: &str = "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e";

/// Stands in places for what a scenario names a job.
pub const NAME: &str = "NAME";

pub struct Stage {
    pub world: World,
    db: TestDatabase,
    server: Server,
    http: reqwest::Client,
    asked: Vec<Asked>,
    /// Jobs that only made what others need.
    others: AtomicUsize,
}

impl Stage {
    pub async fn set(backend: Backend) -> Self {
        let (db, world) = (TestDatabase::on(backend).await, World::start());
        let mut server = Self::server(&db, &world);
        assert!(server.start(), "{}", server.log());
        Self { world, db, server, http: client(), asked: vec![], others: AtomicUsize::new(0) }
    }

    fn server(db: &TestDatabase, world: &World) -> Server {
        // On SQLite a start ends every lease: whoever waits for one there waits too long.
        let lease = match db.backend {
            Backend::Sqlite => Duration::from_mins(10),
            Backend::Postgres => LEASE,
        };
        let lease = lease.as_millis().to_string();
        let words = ["--database-url", &db.url, "--world", &world.url, "--lease-ms", &lease];
        Server::new(&words).env("SECRET_ENCRYPTION_KEY", MASTER_KEY)
    }

    pub fn api(&self) -> Api {
        self.api_of(&self.server)
    }

    fn api_of(&self, server: &Server) -> Api {
        Api { http: self.http.clone(), url: server.url(), token: server.token.clone() }
    }

    /// A job that is only needed by another.
    pub async fn done(&self, ask: &Ask) -> Value {
        let api = self.api();
        let job = api.ask_once(ask).await.expect("the server answers");
        self.others.fetch_add(1, Ordering::Relaxed);
        let job = api.ended(job["id"].as_str().expect("a job"), &ask.key).await;
        assert_eq!(job["state"], "succeeded", "{ask:?}: {job}");
        job
    }

    /// A toy of this name whose runs do what they are told.
    pub async fn published(&self, name: &str) {
        let toys = self.api().get("/toys").await;
        if !toys["items"].as_array().expect("a list").iter().any(|toy| toy["name"] == name) {
            let body = json!({ "documents": [toy(name, 1)] });
            self.done(&Ask { path: "/apply?publish=true".into(), body, key: format!("make-{name}") }).await;
        }
    }

    pub async fn run_in(&self, run: &str, state: &str) {
        eventually(&format!("the run is {state}"), async || {
            (self.api().get(&format!("/runs/{run}")).await["state"] == state).then_some(())
        })
        .await;
    }

    fn name(&self) -> String {
        format!("job-{}", self.asked.len())
    }

    fn note(&mut self, place: &str, name: String, job: Value, end: End) {
        let wanted: &[&str] = match end {
            End::Succeeded => &["succeeded"],
            End::CancelledAt(_) => &["cancelled", "undone"],
            End::CancelledWaiting(_) | End::FailedAt(_) => &["undone"],
        };
        let state = job["state"].as_str().expect("a state");
        assert!(wanted.contains(&state), "{place}: {job}");
        self.asked.push(Asked { place: place.to_owned(), name, job, end });
    }

    /// One job that nothing happens to.
    pub async fn undisturbed(&mut self, scenario: &Scenario) -> (String, Value) {
        let name = self.name();
        let ask = (scenario.ask)(self, &name).await;
        let job = self.api().ask_once(&ask).await.expect("the server answers");
        let job = self.api().ended(id(&job), "the first job").await;
        self.note("nowhere", name.clone(), job.clone(), End::Succeeded);
        (name, job)
    }

    /// One job whose server dies at the place.
    pub async fn dies_at(&mut self, scenario: &Scenario, place: &str) {
        let name = self.name();
        let place = &place.replace(NAME, &name);
        let ask = (scenario.ask)(self, &name).await;
        self.server.arm(&format!("die {place}"));
        let answered = self.api().ask_once(&ask).await;
        self.died(place).await;
        let job = match answered {
            Some(job) => job,
            // Nobody knows whether it was made: the same key finds out.
            None => self.api().ask_once(&ask).await.expect("the server answers"),
        };
        let job = self.api().ended(id(&job), place).await;
        self.note(place, name, job, End::Succeeded);
    }

    async fn died(&mut self, place: &str) {
        self.server.died(place).await;
        self.server.arm("");
        assert!(self.server.start(), "{}", self.server.log());
    }

    /// One job that is cancelled when the step at this index is about to act; its server dies at the place where one is given.
    pub async fn cancelled_at(
        &mut self,
        scenario: &Scenario,
        (index, step): (usize, &str),
        place: Option<&str>,
    ) -> (String, Value) {
        let name = self.name();
        let (step, place) = (step.replace(NAME, &name), place.map(|place| place.replace(NAME, &name)));
        let ask = (scenario.ask)(self, &name).await;
        let about = format!("step.before:{}/{step}", scenario.operation);
        self.server.arm(&format!("hold {about}"));
        let job = self.api().ask_once(&ask).await.expect("the server answers");
        self.server.held(&about).await;
        self.api().cancel(id(&job)).await;
        let what = format!("cancelled at {step}, {}", place.as_deref().unwrap_or("nowhere"));
        match place {
            None => self.server.arm(""),
            Some(place) => {
                self.server.arm(&format!("die {place}"));
                self.died(&what).await;
            }
        }
        let job = self.api().ended(id(&job), &what).await;
        self.note(&what, name.clone(), job.clone(), End::CancelledAt(index));
        (name, job)
    }

    /// One job whose last step, at this index, acts and fails for good; its server dies at the place where one is given.
    pub async fn fails(&mut self, scenario: &Scenario, index: usize, place: Option<&str>) {
        let name = self.name();
        let ask = (scenario.fails.expect("a way to fail"))(self, &name);
        let what = format!("failed for good, {}", place.unwrap_or("nowhere"));
        if let Some(place) = place {
            self.server.arm(&format!("die {place}"));
        }
        let job = self.api().ask_once(&ask).await.expect("the server answers");
        if place.is_some() {
            self.died(&what).await;
        }
        let job = self.api().ended(id(&job), &what).await;
        assert_eq!(job["error"]["code"], "five_failed", "{what}: {job}");
        self.note(&what, name, job, End::FailedAt(index));
    }

    /// One job that is cancelled while its step at this index waits for the world; its server dies at the place where one is given.
    pub async fn cancelled_waiting(&mut self, scenario: &Scenario, index: usize, place: Option<&str>) {
        let name = self.name();
        let ask = (scenario.waits.expect("a way to wait").1)(self, &name);
        let what = format!("cancelled while it waits, {}", place.unwrap_or("nowhere"));
        let job = self.api().ask_once(&ask).await.expect("the server answers");
        eventually("it waits for the world", async || {
            let job = self.api().get(&format!("/jobs/{}", id(&job))).await;
            (job["state"] == "waiting").then_some(())
        })
        .await;
        match place {
            None => self.api().cancel(id(&job)).await,
            Some(place) => {
                self.server.arm(&format!("die {place}"));
                let asked = self.api().cancel_once(id(&job)).await;
                self.died(&what).await;
                if !asked {
                    self.api().cancel_if_going_on(id(&job)).await;
                }
            }
        }
        let job = self.api().ended(id(&job), &what).await;
        self.note(&what, name, job, End::CancelledWaiting(index));
    }

    /// One job whose server is stopped at the place, past its lease; another ends the job, and what the first one does when it
    /// wakes up changes nothing.
    pub async fn overtaken_at(&mut self, scenario: &Scenario, place: &str) {
        let name = self.name();
        let place = &place.replace(NAME, &name);
        let ask = (scenario.ask)(self, &name).await;
        self.server.arm(&format!("stop {place}"));
        // Its answer may come too late to come at all.
        let answered = tokio::time::timeout(Duration::from_secs(1), self.api().ask_once(&ask)).await;
        self.server.stopped(place).await;
        let mut other = Self::server(&self.db, &self.world);
        other.signs_as(&self.server);
        assert!(other.start(), "{}", other.log());
        let api = self.api_of(&other);
        let job = match answered.ok().flatten() {
            Some(job) => job,
            None => api.ask_once(&ask).await.expect("the other server answers"),
        };
        let job = api.ended(id(&job), place).await;
        self.server.arm("");
        self.server.signal(Signal::SIGCONT);
        eventually("the first server finds that it was overtaken", async || {
            let overtaken = |line: &str| line.contains("the lease was taken over") && line.contains(id(&job));
            self.server.log().lines().any(overtaken).then_some(())
        })
        .await;
        other.stop().await;
        self.note(&format!("overtaken at {place}"), name, job, End::Succeeded);
    }

    /// Stops the server and reads what is left.
    pub async fn close(mut self, scenario: &Scenario) -> (Ledger, Vec<Asked>) {
        for asked in &self.asked {
            if asked.end == End::Succeeded
                && scenario.operation.starts_with("run.")
                && scenario.operation != "run.stop"
            {
                let run = asked.job["run_id"].as_str().expect("a run");
                let state = if scenario.operation == "run.start" { "succeeded" } else { "failed" };
                self.run_in(run, state).await;
            }
        }
        let status = self.server.stop().await;
        assert!(status.success(), "{status}: {}", self.server.log());
        let store = self.db.open().await;
        let ledger = Ledger::read(&store, self.world.report().await).await;
        store.close().await;
        let faults = ledger.faults(scenario, &self.asked, self.others.into_inner());
        assert!(faults.is_empty(), "{}:\n{}", scenario.operation, faults.join("\n"));
        (ledger, self.asked)
    }
}

fn id(job: &Value) -> &str {
    job["id"].as_str().expect("a job's id")
}
