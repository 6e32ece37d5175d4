//! Variables and files of the server: what its operator lets connections name, what is its own, and that each use is written down.

use std::path::Path;

use qd_core::audit::Outcome;
use qd_kernel::audit::{AuditFilter, AuditRecord};
use qd_kernel::connections::{CONNECTION, SecretRef};
use qd_kernel::page::PageRequest;
use qd_testkit::kernel::{Build, key};
use qd_testkit::sample::document_of;
use qd_testkit::{HttpServer, Reply, TestKernel, both_stores};
use serde_json::json;

use super::secrets::{KEY, usage};

const REFUSED: &str = "secret_place_refused";

fn build() -> Build {
    TestKernel::build().master_keys(&[KEY])
}

fn variable(name: &str) -> SecretRef {
    SecretRef::Env(name.into())
}

async fn read(t: &TestKernel, reference: &SecretRef) -> Result<String, &'static str> {
    let read = reference.read(&t.kernel.secrets, &usage(t, "a test", false)).await;
    read.map(|secret| secret.expose().to_owned()).map_err(|error| error.code)
}

async fn uses(t: &TestKernel) -> Vec<AuditRecord> {
    let all = t.kernel.audit_list(t.scope, AuditFilter::default(), PageRequest::first(200)).await.unwrap();
    all.items.into_iter().filter(|record| record.action == "secrets.resolve").collect()
}

fn written(at: &Path) -> SecretRef {
    std::fs::write(at, "canary\n").unwrap();
    SecretRef::File(at.to_owned())
}

both_stores! {
    async fn what_an_operator_lists_may_be_named_and_each_use_is_written_down(db: TestDatabase) {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut build = build().idle();
        build.options.secrets.places.variables = vec!["CARGO_PKG_*".into(), "HOME".into()];
        build.options.secrets.places.folders = vec![folder.path().to_owned()];
        let t = build.on(&db).await;
        let (listed, elsewhere) = (written(&folder.path().join("token")), written(&other.path().join("token")));
        assert_eq!(read(&t, &listed).await.unwrap(), "canary");
        assert_eq!(read(&t, &variable("CARGO_PKG_NAME")).await.unwrap(), env!("CARGO_PKG_NAME"));
        let out = folder.path().join("out");
        std::os::unix::fs::symlink(other.path().join("token"), &out).unwrap();
        for refused in [&elsewhere, &SecretRef::File(out), &variable("PATH"), &variable("HOMER")] {
            assert_eq!(read(&t, refused).await, Err(REFUSED), "{refused}");
        }
        let came: Vec<_> = uses(&t).await.into_iter().map(|record| (record.object.name.clone(), record.outcome)).collect();
        assert_eq!(came.len(), 6, "{came:?}");
        let of = |outcome: Outcome| came.iter().filter(|(_, came)| *came == outcome).count();
        assert_eq!((of(Outcome::Success), of(Outcome::Denied)), (2, 4), "{came:?}");
        assert!(!format!("{came:?}").contains("canary"));
    }

    async fn the_servers_own_is_refused_whatever_is_listed(db: TestDatabase) {
        let (data, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut build = build().idle();
        let given = keys.path().join("given.key");
        build.options.secrets.folder = Some(data.path().to_owned());
        build.options.secrets.places.own = vec![given.clone()];
        build.options.secrets.places.variables = vec!["*".into()];
        build.options.secrets.places.folders = vec!["/".into()];
        let t = build.on(&db).await;
        let own = data.path().join("secret.key");
        let (link, twin) = (keys.path().join("link"), keys.path().join("twin"));
        let mut refused = vec![written(&own), written(&given), SecretRef::File(link.clone()), SecretRef::File(twin.clone())];
        std::os::unix::fs::symlink(&own, &link).unwrap();
        std::fs::hard_link(&own, &twin).unwrap();
        refused.push(SecretRef::File("/proc/self/environ".into()));
        let names = ["SECRET_ENCRYPTION_KEY", "SECRET_ENCRYPTION_KEY_PREVIOUS", "QD_DATABASE_URL", "QD_TOKEN", "VAULT_TOKEN"];
        refused.extend(names.map(variable));
        for one in &refused {
            assert_eq!(read(&t, one).await, Err(REFUSED), "{one}");
        }
        assert_eq!(read(&t, &written(&keys.path().join("token"))).await.unwrap(), "canary");
    }

    async fn where_nothing_is_listed_a_shared_server_reads_nothing(db: TestDatabase) {
        let folder = tempfile::tempdir().unwrap();
        let t = build().idle().on(&db).await;
        let (file, name) = (written(&folder.path().join("token")), variable("CARGO_PKG_NAME"));
        let (read_file, read_name) = (read(&t, &file).await, read(&t, &name).await);
        match t.kernel.store.is_shared() {
            true => assert_eq!((read_file, read_name), (Err(REFUSED), Err(REFUSED))),
            false => assert_eq!((read_file.unwrap().as_str(), read_name.unwrap().as_str()), ("canary", "qd-kernel")),
        }
        // With these the server itself signs in to its buckets and its Vault.
        assert_eq!(read(&t, &variable("AWS_SECRET_ACCESS_KEY")).await, Err(REFUSED));
    }

    async fn a_connection_cannot_send_the_servers_keys_out(db: TestDatabase) {
        let folder = tempfile::tempdir().unwrap();
        let mut build = build();
        build.options.secrets.folder = Some(folder.path().to_owned());
        build.options.outbound.private = Some(true);
        let t = build.on(&db).await;
        let server = HttpServer::start(|_| Reply::new(200, String::new()));
        written(&folder.path().join("secret.key"));
        let tokens = [json!({ "env": "SECRET_ENCRYPTION_KEY" }), json!({ "file": folder.path().join("secret.key") })];
        for (n, token) in tokens.into_iter().enumerate() {
            let (name, spec) = (format!("c{n}"), json!({ "type": "http", "address": server.url, "token": token }));
            let documents = vec![document_of(CONNECTION, &name, spec)];
            let (_, job) = t.kernel.apply(&t.context(), documents, String::new(), Some(key())).await.unwrap();
            t.job_ended(job.unwrap().id).await;
            let reading = t.kernel.connection_test(&t.context(), &name, None).await.unwrap();
            assert_eq!((reading.ok, reading.code.as_deref()), (false, Some(REFUSED)), "{reading:?}");
        }
        assert!(server.heard().is_empty());
        assert_eq!(uses(&t).await.iter().filter(|record| record.outcome == Outcome::Denied).count(), 2);
    }
}
