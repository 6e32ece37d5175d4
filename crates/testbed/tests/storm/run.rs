//! One storm from its seed to its report.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use qd_testkit::{Nats, eventually, postgres::Postgres};
use tokio_postgres::{Client, NoTls};

use super::{
    calm, chaos,
    clients::Clients,
    ledger,
    plan::{Form, LONG, Plan, SHORT},
};
use crate::process::{Server, World};

/// Longer than this nobody is silent once the lease of whoever died has ended.
const GRACE: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_storm_loses_nothing_and_doubles_nothing() {
    let long = std::env::var("QD_STORM").is_ok_and(|form| form == "long");
    let seed = match std::env::var("QD_STORM_SEED") {
        Ok(seed) => seed.parse().expect("QD_STORM_SEED is a number"),
        Err(_) if long => RandomState::new().build_hasher().finish() >> 32,
        Err(_) => 1,
    };
    let replay = if long {
        format!("./x test --storm --seed {seed}")
    } else {
        format!("QD_STORM_SEED={seed} ./x test rust -E 'binary(storm)'")
    };
    println!("replay: {replay}");
    storm(seed, if long { &LONG } else { &SHORT }, &replay).await;
}

async fn storm(seed: u64, form: &Form, replay: &str) {
    let plan = Plan::of(seed, form);
    let (postgres, mut nats, world) = (Postgres::start().await, Nats::start().await, World::start());
    let database = postgres.fresh_database().await;
    let lease = form.lease.as_millis().to_string();
    let words = [
        "--database-url",
        &database.url,
        "--nats-url",
        &nats.url(),
        "--lease-ms",
        &lease,
        "--world",
        &world.url,
    ];
    let mut servers: Vec<Server> = (0..form.servers).map(|_| Server::new(&words)).collect();
    for server in &mut servers {
        assert!(server.start(), "{}", server.log());
    }
    let db = connect(&database.url).await;
    make_tenants(&db, form).await;
    let urls = servers.iter().map(Server::url).collect();
    let clients = Clients::new(urls, servers[0].token.clone(), world.url.clone());

    let (wishes, began) = (Arc::new(plan.wishes), Instant::now());
    let asking = tokio::spawn(clients.clone().ask_all(wishes.clone(), began));
    let (form_, blows) = (*form, plan.blows);
    let (counts, servers, nats, postgres) = tokio::task::spawn_blocking(move || {
        let counts = chaos::rage(&form_, &blows, &mut servers, &mut nats, &postgres);
        (counts, servers, nats, postgres)
    })
    .await
    .expect("the storm rages to its end");
    asking.await.expect("all was asked for");
    let raged = began.elapsed();

    let db = connect(&database.url).await;
    let calm = calm::watch(&db).await;
    eventually("every event has its position", async || {
        let left: i64 = db.query_one("SELECT count(*) FROM event_outbox", &[]).await.ok()?.get(0);
        (left == 0).then_some(())
    })
    .await;
    let answered = clients.answered.lock().expect("the answers").clone();
    let verdict = ledger::judge(&db, &world.report().await, &wishes, &answered).await;
    drop((servers, nats, postgres));

    let ends: Vec<String> = verdict.ends.iter().map(|(state, jobs)| format!("{jobs} {state}")).collect();
    let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
    let rows = [
        ("seed", seed.to_string()),
        ("jobs asked for, and accepted", format!("{}, {}", wishes.len(), answered.len())),
        ("how they ended", ends.join(", ")),
        ("servers killed, stood still", format!("{}, {}", counts.kills, counts.stood_still)),
        ("requests sent again", clients.again.load(Ordering::Relaxed).to_string()),
        ("NATS away, then wiped", seconds(counts.nats_away)),
        ("Postgres away", seconds(counts.postgres_away)),
        ("the storm", seconds(raged)),
        ("the calm, and jobs left then", format!("{}, {}", seconds(calm.took), calm.left)),
        ("longest silence in the calm", format!("{} ({})", seconds(calm.silence), calm.silent)),
        ("late deeds refused by the world", verdict.refused.to_string()),
        ("accepted jobs lost", verdict.lost.to_string()),
        ("effects doubled", verdict.doubled.to_string()),
        ("overlaps of locks", verdict.overlaps.to_string()),
    ];
    for (what, value) in &rows {
        println!("{what:<34} {value}");
    }
    assert!(verdict.faults.is_empty(), "replay: {replay}\n{}", verdict.faults.join("\n"));
    let limit = form.lease + GRACE;
    assert!(
        calm.silence <= limit,
        "{} was silent for {:?}, longer than {limit:?}; {replay}",
        calm.silent,
        calm.silence
    );
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("connect to Postgres");
    tokio::spawn(connection);
    client
}

/// There is no other way yet.
async fn make_tenants(db: &Client, form: &Form) {
    for tenant in 0..form.tenants {
        let sql = format!(
            "WITH made AS (INSERT INTO tenant (id, name, created_at) VALUES (gen_random_uuid(), 't{tenant:02}', now()) RETURNING id)
             INSERT INTO project (id, tenant_id, name, created_at) SELECT gen_random_uuid(), id, 'default', now() FROM made"
        );
        db.batch_execute(&sql).await.expect("make a tenant");
    }
}
