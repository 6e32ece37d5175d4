//! The exchange of a master key, killed again and again on the way by SIGKILL: every value is readable after, and none is under
//! the old key. 10,000 secrets and 20 kills with `QD_STORM=long`; a tenth of both without.

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

use std::{collections::BTreeSet, time::Instant};

use api::{Api, client};
use futures::StreamExt as _;
use process::Server;
use qd_kernel::{
    clock,
    context::Scope,
    secrets::{MasterKey, SecretOptions, SecretUse, Secrets},
    store::{Backend, Store, StoreResult},
};
use qd_testkit::TestDatabase;
use serde_json::json;

const OLD: &str = "01d01d01d01d01d01d01d01d01d01d01d01d01d01d01d01d01d01d01d01d01d0";
const NEW: &str = "4e34e34e34e34e34e34e34e34e34e34e34e34e34e34e34e34e34e34e34e34e34";

struct Form {
    secrets: usize,
    kills: usize,
}

fn form() -> Form {
    match std::env::var("QD_STORM").is_ok_and(|form| form == "long") {
        true => Form { secrets: 10_000, kills: 20 },
        false => Form { secrets: 1_000, kills: 2 },
    }
}

fn value(n: usize) -> String {
    format!("value-{n}-of-a-secret")
}

fn api(server: &Server) -> Api {
    Api { http: client(), url: server.url(), token: server.token.clone() }
}

/// The values as whoever holds these keys reads them; an error's code in place of one that he cannot read.
async fn opened(store: &Store, scope: Scope, key: &str, count: usize) -> Vec<String> {
    let options = SecretOptions::default().with(MasterKey::parse(key, "a test's key").unwrap());
    let secrets = Secrets::new(store.clone(), clock::system(), options);
    let usage = SecretUse {
        scope,
        by: "test".into(),
        principal_id: None,
        purpose: "to see that it is readable".into(),
        source: "test".into(),
        correlation_id: "test".into(),
        job_id: None,
        covers: true,
    };
    let (secrets, usage) = (&secrets, &usage);
    let reading = (0..count).map(|n| async move {
        let reference = format!("secret://many/s{n}").parse().unwrap();
        match secrets.resolve(&reference, usage).await {
            Ok(secret) => secret.expose().to_owned(),
            Err(error) => error.code.to_owned(),
        }
    });
    futures::stream::iter(reading).buffered(64).collect().await
}

async fn rotated_under_kills(backend: Backend) {
    let Form { secrets, kills } = form();
    let db = TestDatabase::on(backend).await;
    let words = ["--database-url", &db.url, "--lease-ms", "500"];
    let began = Instant::now();
    {
        let mut server = Server::new(&words).env("SECRET_ENCRYPTION_KEY", OLD);
        assert!(server.start(), "{}", server.log());
        let api = &api(&server);
        let writing = (0..secrets).map(|n| async move {
            api.put(&format!("/secrets/many/s{n}"), &json!({ "value": value(n) })).await;
        });
        futures::stream::iter(writing).buffer_unordered(32).collect::<Vec<()>>().await;
        server.stop().await;
    }
    println!("{secrets} secrets written in {:.1} s", began.elapsed().as_secs_f64());
    let mut server =
        Server::new(&words).env("SECRET_ENCRYPTION_KEY", NEW).env("SECRET_ENCRYPTION_KEY_PREVIOUS", OLD);
    assert!(server.start(), "{}", server.log());
    let began = Instant::now();
    // Each life seals one batch or two anew, and dies before it can say so.
    server.arm("die secret.resealed#2");
    let ask = api::Ask {
        path: "/secret-keys/rotate".into(),
        body: json!({ "key": "master" }),
        key: "rotate".into(),
    };
    let job = api(&server).ask_once(&ask).await.expect("an answer")["id"].as_str().expect("an id").to_owned();
    for kill in 1..=kills {
        server.died(&format!("a batch, kill {kill}")).await;
        if kill == kills {
            server.arm("");
        }
        assert!(server.start(), "{}", server.log());
    }
    let done = api(&server).ended(&job, "the exchange").await;
    assert_eq!(done["state"], "succeeded", "{done}");
    println!("killed {kills} times, exchanged in {:.1} s", began.elapsed().as_secs_f64());
    assert!(server.stop().await.success());

    let store = db.open().await;
    let (tenant, project, masters, keys): (uuid::Uuid, uuid::Uuid, Vec<String>, i64) = store
        .read(|tx| -> StoreResult<_> {
            let (tenant, project) =
                tx.one("SELECT tenant_id, project_id FROM secret LIMIT 1", &[], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?;
            let masters = tx.rows("SELECT master FROM secret_key", &[], |row| row.get(0))?;
            let keys =
                tx.one("SELECT count(DISTINCT key_number) FROM secret_version", &[], |row| row.get(0))?;
            Ok((tenant, project, masters, keys))
        })
        .await
        .unwrap();
    let id = MasterKey::parse(NEW, "the new key").unwrap().id().to_owned();
    assert_eq!((masters, keys), (vec![id], 1), "one data key is left, under the new master key");
    let scope = Scope { tenant_id: tenant.into(), project_id: project.into() };
    let readable = opened(&store, scope, NEW, secrets).await;
    let wrong: Vec<&String> =
        readable.iter().enumerate().filter(|(n, text)| **text != value(*n)).map(|(_, text)| text).collect();
    assert!(
        wrong.is_empty() && readable.len() == secrets,
        "{} of {secrets} are not readable: {:?}",
        wrong.len(),
        wrong.first()
    );
    let under_the_old: BTreeSet<String> = opened(&store, scope, OLD, secrets).await.into_iter().collect();
    assert_eq!(under_the_old, BTreeSet::from(["secret_key_wrong".to_owned()]), "the old key opens nothing");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_key_is_exchanged_under_kills_on_sqlite() {
    rotated_under_kills(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_key_is_exchanged_under_kills_on_postgres() {
    rotated_under_kills(Backend::Postgres).await;
}
