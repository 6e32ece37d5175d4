//! Rolling restarts: a client that knows two addresses and tries the other one when a connection is refused sees no failed
//! request, and a reader of events neither a gap nor a repeat.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use futures::{StreamExt as _, future::join_all};
use qd_testkit::{Nats, TestDatabase, eventually::DEADLINE};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};

use super::support::{Process, client, document};

/// Each of the two is stopped and started again so many times.
const ROUNDS: usize = 6;
/// Created when all is over.
const LAST: &str = "last";

/// Knows both addresses.
#[derive(Clone)]
struct Both {
    client: Client,
    urls: [String; 2],
    token: String,
    turn: Arc<AtomicUsize>,
}

impl Both {
    /// Sends to one, and where it refuses the connection once to the other; everything else is an answer or a failure.
    async fn send(
        &self,
        method: Method,
        path: &str,
        with: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, String> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut said = String::new();
        for at in [first, first + 1] {
            let url = format!("{}{path}", self.urls[at % 2]);
            let request = self.client.request(method.clone(), url).bearer_auth(&self.token);
            match with(request).send().await {
                Ok(reply) if reply.status().is_success() => return Ok(reply),
                Ok(reply) => {
                    return Err(format!("{method} {path}: {} {:?}", reply.status(), reply.text().await));
                }
                Err(error) if error.is_connect() => said = format!("{error:?}"),
                Err(error) => return Err(format!("{method} {path}: {error:?}")),
            }
        }
        Err(format!("{method} {path}: both refused: {said}"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_with_two_addresses_sees_no_failed_request_while_each_is_restarted() {
    let db = TestDatabase::postgres().await;
    let nats = Nats::start().await;
    let mut servers = [(); 2].map(|()| Process::start(&db, &nats, "api,worker,observer"));
    let token = servers[0].token();
    let urls = [servers[0].url(), servers[1].url()];
    let both =
        |client: Client| Both { client, urls: urls.clone(), token: token.clone(), turn: Arc::default() };
    // One keeps its connections, the other makes one for each request.
    let clients =
        [both(client().build().unwrap()), both(client().pool_max_idle_per_host(0).build().unwrap())];
    let done = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn(follow(clients[0].clone()));
    let asking = join_all(
        clients
            .iter()
            .cloned()
            .enumerate()
            .flat_map(|(who, both)| (0..3).map(move |what| (who, what, both.clone())))
            .map(|(who, what, both)| tokio::spawn(ask(who, what, both, done.clone()))),
    );
    let restarts = async {
        for _ in 0..ROUNDS {
            for server in &mut servers {
                server.terminate();
                server.ended().await;
                server.restart();
            }
        }
        done.store(true, Ordering::Relaxed);
    };
    let (asked, ()) = tokio::join!(asking, restarts);
    let mut applied = BTreeSet::new();
    let mut answered = 0;
    for asked in asked {
        let (count, names) = asked
            .unwrap()
            .unwrap_or_else(|failed| panic!("{failed}\n{}\n{}", servers[0].log(), servers[1].log()));
        answered += count;
        applied.extend(names);
    }
    println!("{answered} requests answered, {} of them applied documents", applied.len());
    assert!(applied.len() > 5 * ROUNDS, "requests went on all the while: {}", applied.len());

    // What began after all others were committed stands behind them.
    let body = json!({ "documents": [document(LAST)] });
    clients[0].send(Method::POST, "/api/v1/apply", |request| request.json(&body)).await.unwrap();
    // Each that was answered is there once; none of them twice.
    let (head, created) =
        tokio::time::timeout(DEADLINE, reader).await.expect("the last one is read").unwrap();
    assert_eq!(created.len(), created.iter().collect::<BTreeSet<_>>().len(), "none twice");
    let created: BTreeSet<String> = created.into_iter().collect();
    assert_eq!(
        applied.difference(&created).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "none missed up to {head}"
    );
}

/// Asks for one thing again and again; how often it was answered, and what was made by it.
async fn ask(
    who: usize,
    what: usize,
    both: Both,
    done: Arc<AtomicBool>,
) -> Result<(usize, Vec<String>), String> {
    let (mut count, mut names) = (0, vec![]);
    while !done.load(Ordering::Relaxed) {
        let name = format!("p{who}-{what}-{count}");
        let body = json!({ "documents": [document(&name)] });
        match what {
            0 => drop(both.send(Method::GET, "/api/v1/stagetemplates?limit=5", |request| request).await?),
            1 => {
                both.send(Method::POST, "/api/v1/apply", |request| request.json(&body)).await?;
                names.push(name);
            }
            _ => {
                let publish = |request: RequestBuilder| request.header("idempotency-key", &name).json(&body);
                let reply = both.send(Method::POST, "/api/v1/apply?publish=true", publish).await?;
                let reply: Value =
                    reply.json().await.map_err(|error| format!("read the reply: {error:?}"))?;
                assert!(reply["job"]["id"].is_string(), "{reply}");
                names.push(name);
            }
        }
        count += 1;
    }
    Ok((count, names))
}

/// Follows the events from the first on, over all restarts, until the last document is created; its position, and the names
/// of what was created before.
async fn follow(both: Both) -> (i64, Vec<String>) {
    let (mut seen, mut names) = (0i64, vec![]);
    loop {
        let last = seen.to_string();
        let request = |request: RequestBuilder| {
            request.header("accept", "text/event-stream").header("last-event-id", &last)
        };
        let reply = both.send(Method::GET, "/api/v1/events", request).await.expect("open the stream");
        let (mut body, mut text) = (reply.bytes_stream(), String::new());
        // A stream ends with its server: the next one goes on behind the last frame that came whole.
        while let Some(Ok(bytes)) = body.next().await {
            text.push_str(std::str::from_utf8(&bytes).expect("UTF-8"));
            while let Some(end) = text.find("\n\n") {
                let frame: String = text.drain(..end + 2).collect();
                let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name));
                let (Some(id), Some(data)) = (field("id: "), field("data: ")) else { continue };
                let (id, event): (i64, Value) = (id.parse().unwrap(), serde_json::from_str(data).unwrap());
                assert!(id > seen, "{id} after {seen}");
                seen = id;
                if event["type"] == "resource.created" {
                    match event["resource_name"].as_str().unwrap() {
                        LAST => return (seen, names),
                        name => names.push(name.to_owned()),
                    }
                }
            }
        }
    }
}
