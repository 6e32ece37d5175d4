//! The test of a connection, against what it leads to: a server of HTTP, a real Postgres, a stand-in for S3. And what
//! is not called.

use qd_core::error::ErrorKind;
use qd_kernel::audit::AuditFilter;
use qd_kernel::connections::webhook::{self, sign};
use qd_kernel::connections::{CONNECTION, ConnectionReading};
use qd_kernel::events::EventFilter;
use qd_kernel::outbound::OutboundOptions;
use qd_kernel::page::PageRequest;
use qd_kernel::secrets::Secret;
use qd_testkit::kernel::key;
use qd_testkit::postgres::Postgres;
use qd_testkit::sample::document_of;
use qd_testkit::{HttpServer, Reply, TestDatabase, TestKernel, both_stores};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::secrets::{KEY, put};

const CANARY: &str = "canary-4711-of-a-connection";

async fn kernel(db: &TestDatabase, private: bool) -> TestKernel {
    let mut build = TestKernel::build().master_keys(&[KEY]);
    build.options.outbound = OutboundOptions { private: Some(private), networks: vec![] };
    let t = build.on(db).await;
    put(&t, "conn/secret", CANARY).await;
    t
}

async fn publish(t: &TestKernel, name: &str, spec: Value) {
    let documents = vec![document_of(CONNECTION, name, spec)];
    let (_, job) = t.kernel.apply(&t.context(), documents, String::new(), Some(key())).await.unwrap();
    if let Some(job) = job {
        t.job_ended(job.id).await;
    }
}

async fn test(t: &TestKernel, name: &str) -> ConnectionReading {
    t.kernel.connection_test(&t.context(), name, None).await.unwrap()
}

fn http(address: &str) -> Value {
    json!({ "type": "http", "address": address, "token": "secret://conn/secret" })
}

/// Repeats all that it was sent, as some servers do when they refuse.
fn echo() -> HttpServer {
    HttpServer::start(|heard| {
        let sent = heard.headers.get("authorization").cloned().unwrap_or_default();
        let status = heard.path.trim_start_matches('/').parse().unwrap_or(200);
        Reply::new(status, format!("I do not like {sent} nor {}", hex::encode(&sent)))
            .header("location", "http://127.0.0.1:1/")
    })
}

both_stores! {
    async fn a_test_says_what_answered_and_is_kept_with_its_age(db: TestDatabase) {
        let (t, server) = (kernel(&db, true).await, echo());
        publish(&t, "api", http(&format!("{}/200", server.url))).await;
        let kind = t.kernel.registry.find_kind(CONNECTION).unwrap().clone();
        let status = async || {
            let resource = t.kernel.resource_get(t.scope, CONNECTION, "api").await.unwrap();
            kind.status(&t.kernel, t.scope, &resource).await.unwrap().unwrap()
        };
        assert_eq!(status().await, json!({ "sentence": "It was never tested", "last_test": null }));
        let reading = test(&t, "api").await;
        assert!(reading.ok && reading.code.is_none() && reading.latency_ms > 0.0, "{reading:?}");
        assert_eq!((reading.revision, reading.tested_by.as_str()), (1, "tester"));
        assert_eq!(server.heard()[0].headers["authorization"], format!("Bearer {CANARY}"));
        let told = status().await;
        assert_eq!(told["last_test"]["ok"], true);
        assert!(told["sentence"].as_str().unwrap().starts_with("The last test, of revision 1, worked "), "{told}");
        let records = t.kernel.audit_list(t.scope, AuditFilter::default(), PageRequest::first(50)).await.unwrap().items;
        let of = |action: &str| records.iter().filter(|record| record.action == action).count();
        assert_eq!((of("connections.test"), of("secrets.resolve")), (1, 1), "that it was asked for, and with which secret");
        let resolved = records.iter().find(|record| record.action == "secrets.resolve").unwrap();
        assert_eq!(resolved.principal_id, Some(t.context().principal.id), "who asked, by id");
    }

    async fn what_does_not_work_says_why_and_never_the_secret(db: TestDatabase) {
        let (t, server) = (kernel(&db, true).await, echo());
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for (name, address, code, words) in [
            ("five", format!("{}/500", server.url), "upstream_failed", "it answers 500"),
            ("none", format!("{}/404", server.url), "connection_refused", "it answers 404"),
            ("denied", format!("{}/401", server.url), "connection_refused", "does not take the secret"),
            ("moved", format!("{}/302", server.url), "connection_refused", "redirects are not followed"),
            ("gone", format!("http://{gone}/"), "unreachable", "cannot be connected to"),
        ] {
            publish(&t, name, http(&address)).await;
            let reading = test(&t, name).await;
            assert!(!reading.ok && reading.detail.contains(words), "{reading:?}");
            assert_eq!(reading.code.as_deref(), Some(code), "{reading:?}");
        }
        let five = test(&t, "five").await;
        assert_eq!(five.detail, "it answers 500 Internal Server Error", "what it says may be the secret in any spelling");
        let spec = json!({ "type": "webhook", "address": format!("{}/503", server.url), "secret": "secret://conn/secret" });
        publish(&t, "hook", spec).await;
        let hook = test(&t, "hook").await;
        assert_eq!((hook.ok, hook.code.as_deref()), (false, Some("upstream_failed")), "{hook:?}");
        let records = t.kernel.audit_list(t.scope, AuditFilter::default(), PageRequest::first(100)).await.unwrap().items;
        let events = t.kernel.events_after(t.scope, EventFilter::default(), 0, 500).await.unwrap();
        let all = format!("{}{}", json!(records), json!(events));
        assert!(!all.contains("canary") && !all.contains(&hex::encode(CANARY)), "{all}");
        assert_eq!(server.heard().len(), 6, "no redirect was followed");
    }

    async fn addresses_that_are_not_for_everybody_are_not_called(db: TestDatabase) {
        let (t, server) = (kernel(&db, false).await, echo());
        let port = server.url.rsplit(':').next().unwrap();
        let specs = [
            http(&server.url),
            http(&format!("http://localhost:{port}/")),
            http("http://169.254.169.254/latest/meta-data"),
            json!({ "type": "webhook", "address": server.url, "secret": "secret://conn/secret" }),
            json!({ "type": "postgres", "host": "localhost", "port": 5432, "database": "d", "user": "u", "password": "secret://conn/secret" }),
            json!({ "type": "s3", "bucket": "models", "address": format!("http://localhost:{port}"), "access_key_id": "k", "secret_access_key": "secret://conn/secret" }),
            json!({ "type": "s3", "bucket": "models", "address": server.url, "access_key_id": "k", "secret_access_key": "secret://conn/secret" }),
        ];
        for (n, spec) in specs.into_iter().enumerate() {
            let name = format!("c{n}");
            publish(&t, &name, spec).await;
            let reading = test(&t, &name).await;
            assert_eq!((reading.ok, reading.code.as_deref()), (false, Some("address_refused")), "{n}: {reading:?}");
        }
        assert!(server.heard().is_empty());
    }
}

#[tokio::test]
async fn who_goes_away_while_it_is_called_leaves_a_record_all_the_same() {
    let db = TestDatabase::sqlite().await;
    let t = kernel(&db, true).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    publish(&t, "slow", http(&format!("http://{}/", listener.local_addr().unwrap()))).await;
    let (testing, context) = (t.kernel.clone(), t.context());
    let testing = tokio::spawn(async move { testing.connection_test(&context, "slow", None).await });
    // It is called, and never answered.
    let held = listener.accept().await.unwrap();
    testing.abort();
    assert!(testing.await.unwrap_err().is_cancelled());
    let filter = AuditFilter { action: Some("connections.test".into()), ..AuditFilter::default() };
    let records = t.kernel.audit_list(t.scope, filter, PageRequest::first(9)).await.unwrap().items;
    assert_eq!(records.len(), 1, "{records:?}");
    drop(held);
}

#[tokio::test]
async fn an_answer_without_an_end_is_not_waited_for() {
    let db = TestDatabase::sqlite().await;
    let t = kernel(&db, true).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                // An answer to nothing is none.
                let _ = stream.read(&mut [0; 4096]).await;
                let head = b"HTTP/1.1 500 Broken\r\nconnection: close\r\n\r\nout of order\n";
                let mut sent = stream.write_all(head).await;
                while sent.is_ok() {
                    sent = stream.write_all(&[b'x'; 4096]).await;
                }
            });
        }
    });
    publish(&t, "endless", http(&format!("http://{address}/"))).await;
    let reading = test(&t, "endless").await;
    assert_eq!(reading.code.as_deref(), Some("upstream_failed"), "{reading:?}");
    assert_eq!(reading.detail, "it answers 500 Internal Server Error");
    let bucket = json!({
        "type": "s3", "bucket": "models", "address": format!("http://{address}"), "access_key_id": "k",
        "secret_access_key": "secret://conn/secret",
    });
    publish(&t, "bucket", bucket).await;
    let reading = test(&t, "bucket").await;
    assert!(!reading.ok && reading.code.as_deref() != Some("test_timeout"), "{reading:?}");
}

#[tokio::test]
async fn a_webhook_is_sent_a_signed_message() {
    let db = TestDatabase::sqlite().await;
    let (t, server) = (kernel(&db, true).await, echo());
    publish(
        &t,
        "hook",
        json!({ "type": "webhook", "address": server.url, "secret": "secret://conn/secret" }),
    )
    .await;
    assert!(test(&t, "hook").await.ok);
    let heard = &server.heard()[0];
    let header = |name: &str| heard.headers[name].clone();
    let seconds: i64 = header(webhook::TIME_HEADER).parse().unwrap();
    let signed = sign(&Secret::new(CANARY), &header(webhook::ID_HEADER), seconds, &heard.body);
    assert_eq!(header(webhook::SIGNATURE_HEADER), signed);
    assert!(
        heard.method == "POST" && heard.body.contains("quarterdeck.test") && !heard.body.contains("canary")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_postgres_is_asked_for_its_version() {
    let db = TestDatabase::sqlite().await;
    let (t, postgres) = (kernel(&db, true).await, Postgres::shared().await);
    let database = postgres.fresh_database().await;
    let config: tokio_postgres::Config = database.url.parse().unwrap();
    let spec = |database: &str| {
        json!({
            "type": "postgres", "host": "127.0.0.1", "port": config.get_ports()[0], "user": config.get_user().unwrap(),
            "database": database, "password": "secret://conn/secret",
        })
    };
    publish(&t, "db", spec(config.get_dbname().unwrap())).await;
    let reading = test(&t, "db").await;
    assert!(reading.ok && reading.detail.starts_with("PostgreSQL "), "{reading:?}");
    publish(&t, "db", spec("no-such-database")).await;
    let reading = test(&t, "db").await;
    assert_eq!(reading.code.as_deref(), Some("connection_refused"), "{reading:?}");
    assert!(reading.detail.contains("does not exist (3D000)"), "{reading:?}");
}

#[tokio::test]
async fn a_stand_in_for_s3_is_listed() {
    let db = TestDatabase::sqlite().await;
    let t = kernel(&db, true).await;
    // Written from the API of S3: the answer to ListObjectsV2, and to a signature that does not fit.
    let server = HttpServer::start(|heard| {
        let signed =
            heard.headers.get("authorization").is_some_and(|text| text.contains("Credential=right/"));
        match (signed, heard.path.starts_with("/models?") || heard.path.starts_with("/models/?")) {
            (true, true) => Reply::new(
                200,
                concat!(
                    r#"<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">"#,
                    "<Name>models</Name><KeyCount>0</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>",
                ),
            ),
            _ => Reply::new(
                403,
                format!("<Error><Code>SignatureDoesNotMatch</Code><Message>not {CANARY}</Message></Error>"),
            ),
        }
    });
    let spec = |id: &str| {
        json!({
            "type": "s3", "bucket": "models", "address": server.url, "access_key_id": id, "secret_access_key": "secret://conn/secret",
        })
    };
    publish(&t, "right", spec("right")).await;
    let reading = test(&t, "right").await;
    assert!(reading.ok && reading.detail.contains("the bucket models can be listed"), "{reading:?}");
    publish(&t, "wrong", spec("wrong")).await;
    let reading = test(&t, "wrong").await;
    assert!(!reading.ok && !reading.detail.contains("canary"), "{reading:?}");
    assert!(
        server.heard().iter().all(|heard| !format!("{heard:?}").contains(CANARY)),
        "the key itself is not sent"
    );
}

#[tokio::test]
async fn what_is_not_there_cannot_be_tested() {
    let db = TestDatabase::sqlite().await;
    let t = kernel(&db, true).await;
    let missing = t.kernel.connection_test(&t.context(), "nothing", None).await.unwrap_err();
    assert_eq!(missing.kind, ErrorKind::NotFound);
    let kind = t.kernel.registry.find_kind(CONNECTION).unwrap().clone();
    let document = document_of(CONNECTION, "draft", http("https://api.example.org"));
    t.kernel.resource_create(&t.context(), &*kind, document).await.unwrap();
    let refused = t.kernel.connection_test(&t.context(), "draft", None).await.unwrap_err();
    assert_eq!((refused.kind, refused.code), (ErrorKind::Conflict, "no_revision"));
}
