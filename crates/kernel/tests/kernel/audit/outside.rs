//! Checkpoints that are sent outside: there, whole and in order, also after their place was away for a while.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use qd_core::audit::{Checkpoint, Signed};
use qd_testkit::{S3, TestKernel, both_stores, eventually};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// A web address that takes checkpoints, or answers 503.
#[derive(Clone, Default)]
struct Web {
    taken: Arc<Mutex<Vec<Signed<Checkpoint>>>>,
    away: Arc<AtomicBool>,
}

impl Web {
    async fn start() -> (Self, String) {
        let (web, listener) = (Self::default(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let url = format!("http://{}/take?key=hidden", listener.local_addr().unwrap());
        let served = web.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let web = served.clone();
                tokio::spawn(async move {
                    let mut text = vec![];
                    let body = loop {
                        let mut part = [0; 4096];
                        let read = stream.read(&mut part).await.unwrap_or(0);
                        text.extend(&part[..read]);
                        let said = String::from_utf8_lossy(&text).into_owned();
                        let Some((head, body)) = said.split_once("\r\n\r\n") else {
                            if read == 0 {
                                return;
                            }
                            continue;
                        };
                        let length =
                            head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                        if body.len() >= length.unwrap_or(0) || read == 0 {
                            break body.to_owned();
                        }
                    };
                    let status = if web.away.load(Ordering::SeqCst) { "503 Away" } else { "204 Taken" };
                    if status.starts_with("204") {
                        web.taken.lock().unwrap().push(Signed::read(body.as_bytes()).unwrap());
                    }
                    let reply =
                        format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                    let _ = stream.write_all(reply.as_bytes()).await;
                });
            }
        });
        (web, url)
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(files(&path)),
            path => found.push(path),
        }
    }
    found.sort();
    found
}

async fn with_sinks(db: &qd_testkit::TestDatabase, sinks: Vec<String>) -> TestKernel {
    let mut build = TestKernel::build().audit_key(KEY);
    build.options.audit.sinks = sinks;
    build.options.audit.s3_keys = Some(("test".into(), "test".into()));
    build.on(db).await
}

/// Says something, and signs it once it is sealed.
async fn say_and_sign(t: &TestKernel, n: u64) {
    say(&t.kernel, &t.context(), "x", n).await.unwrap();
    sealed(t).await;
    t.kernel.audit_checkpoint().await.unwrap();
}

both_stores! {
    async fn checkpoints_get_outside_and_wait_while_their_place_is_away(db: TestDatabase) {
        let folder = TempDir::new().unwrap();
        let (web, url) = Web::start().await;
        web.away.store(true, Ordering::SeqCst);
        let t = with_sinks(&db, vec![format!("file://{}", folder.path().display()), url]).await;
        for n in 0..3 {
            say_and_sign(&t, n).await;
        }
        let chain = t.kernel.audit_chain_get(Some(t.scope.tenant_id)).await.unwrap();
        let place = folder.path().join(chain.chain.to_string());
        eventually("the folder has the newest one", async || {
            place.join("000000000003.json").exists().then_some(())
        })
        .await;
        let reading = eventually("it is said what is away, and why", async || {
            let reading = t.kernel.audit_reading().await.unwrap();
            let told = reading.sinks[0].behind == 0 && reading.sinks[1].failing_since.is_some();
            told.then_some(reading)
        })
        .await;
        let [here, there] = &reading.sinks[..] else { panic!("{:?}", reading.sinks) };
        assert_eq!((here.behind, &here.error), (0, &None));
        assert!(there.error.as_deref().unwrap().contains("503"), "{there:?}");
        assert!(!there.name.contains("hidden"), "{}", there.name);
        // Neither writing nor sealing nor signing waited for it.
        web.away.store(false, Ordering::SeqCst);
        eventually("the other one has caught up", async || {
            let reading = t.kernel.audit_reading().await.unwrap();
            reading.sinks.iter().all(|sink| sink.behind == 0 && sink.error.is_none()).then_some(())
        })
        .await;
        let taken = web.taken.lock().unwrap().clone();
        assert!(taken.iter().all(|checkpoint| checkpoint.is_by(&trusted()[0])));
        // What was kept outside proves the export, and finds a tail that was cut off.
        let text = exported(&t, Some(t.scope.tenant_id)).await;
        let kept = std::fs::read(files(&place).last().unwrap()).unwrap();
        let kept = Signed::<Checkpoint>::read(&kept).unwrap();
        assert!(taken.contains(&kept));
        assert_eq!(verify(text.as_bytes(), trusted(), vec![kept.clone()]).unwrap().outside, 1);
        let mut older = t.kernel.audit_export(Some(t.scope.tenant_id), None, Some(2)).await.unwrap();
        let mut cut = String::new();
        while let Some(lines) = older.next().await.unwrap() {
            cut.push_str(&lines);
        }
        assert!(checked(&cut).is_ok());
        let finding = verify(cut.as_bytes(), trusted(), vec![kept]).unwrap_err();
        assert_eq!((finding.kind, finding.seq), (qd_core::audit::FindingKind::Cut, Some(3)));
    }

    async fn what_was_not_signed_is_not_sent_and_what_is_there_stays(db: TestDatabase) {
        let folder = TempDir::new().unwrap();
        let t = TestKernel::build().audit_key(KEY).idle().on(&db).await;
        for n in 0..2 {
            say(&t.kernel, &t.context(), "x", n).await.unwrap();
            t.kernel.audit_seal().await.unwrap();
            t.kernel.audit_checkpoint().await.unwrap();
        }
        let (tenant, store) = (t.scope.tenant_id.uuid(), t.kernel.store.clone());
        let place = folder.path().join(t.kernel.audit_chain_get(Some(t.scope.tenant_id)).await.unwrap().chain.to_string());
        let body = async || -> String {
            let sql = "SELECT body FROM audit_checkpoint WHERE chain = $1 AND seq = 2";
            let read = store.read(move |tx| -> Result<String> { Ok(tx.one(sql, qd_kernel::params![tenant], |row| row.get(0))?) });
            read.await.unwrap()
        };
        let put = async |body: String| {
            let sql = "UPDATE audit_checkpoint SET body = $2 WHERE chain = $1 AND seq = 2";
            store.write(move |tx| -> Result<u64> { Ok(tx.exec(sql, qd_kernel::params![tenant, body])?) }).await.unwrap();
        };
        let signed = body().await;
        let mut forged: serde_json::Value = serde_json::from_str(&signed).unwrap();
        forged["chain_hash"] = format!("sha256:{}", "ab".repeat(32)).into();
        put(forged.to_string()).await;
        let mut build = TestKernel::build().audit_key(KEY).store(&store);
        build.options.audit.sinks = vec![format!("file://{}", folder.path().display())];
        let sender = build.on(&db).await;
        let failing = async |words: &str| {
            eventually(words, async || {
                let error = sender.kernel.audit_reading().await.unwrap().sinks[0].error.clone();
                error.filter(|error| error.contains(words)).map(drop)
            })
            .await;
        };
        failing("is not what was signed").await;
        let file = place.join("000000000002.json");
        assert!(!file.exists());
        // Somebody else's words under its name are an alarm, and stay.
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(&file, "other").unwrap();
        put(signed.clone()).await;
        failing("is there already and says something else").await;
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "other");
        std::fs::write(&file, format!("{signed}\n")).unwrap();
        eventually("the same bytes are a repeat", async || {
            let sink = sender.kernel.audit_reading().await.unwrap().sinks[0].clone();
            (sink.error.is_none() && sink.behind == 0).then_some(())
        })
        .await;
    }

    async fn a_new_place_begins_with_the_newest_checkpoint_of_each_chain(db: TestDatabase) {
        let t = TestKernel::build().audit_key(KEY).on(&db).await;
        for n in 0..3 {
            say_and_sign(&t, n).await;
        }
        let store = t.kernel.store.clone();
        let folder = TempDir::new().unwrap();
        let mut build = TestKernel::build().audit_key(KEY).store(&store);
        build.options.audit.sinks = vec![format!("file://{}", folder.path().display())];
        let later = build.on(&db).await;
        eventually("both chains are there", async || (files(folder.path()).len() == 2).then_some(())).await;
        say_and_sign(&later, 4).await;
        eventually("and what comes after", async || (files(folder.path()).len() == 3).then_some(())).await;
    }
}

/// A stand-in for S3, as it is for logs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_get_into_an_s3_bucket() {
    let Some(s3) = S3::start() else { return };
    let db = qd_testkit::TestDatabase::sqlite().await;
    let t = with_sinks(&db, vec![s3.url()]).await;
    say_and_sign(&t, 1).await;
    eventually("the bucket has it", async || {
        let reading = t.kernel.audit_reading().await.unwrap();
        let sink = reading.sinks[0].clone();
        let sent = t.number("SELECT count(*) FROM audit_sink WHERE number > 0").await;
        (sent == 1 && sink.behind == 0).then_some(())
    })
    .await;
}
