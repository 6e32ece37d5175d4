//! Exporting tenants and projects: all that one has and nothing of another, nothing of what secrets hold, and proved by digests.

use std::collections::BTreeMap;
use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use qd_core::audit::{SigningKey, verify};
use qd_core::canonical::{Digest, sha256_hex};
use qd_core::document::Document;
use qd_core::state::JobState;
use qd_core::time::Timestamp;
use qd_kernel::access::bindings::Grant;
use qd_kernel::access::{PLATFORM_ADMIN, VIEWER};
use qd_kernel::context::{Context, Scope};
use qd_kernel::credentials::accounts::NewUser;
use qd_kernel::jobs::Job;
use qd_kernel::page::PageRequest;
use qd_kernel::params;
use qd_kernel::quotas::Limits;
use qd_kernel::retention::Swept;
use qd_kernel::reviews::NewComment;
use qd_kernel::store::StoreResult;
use qd_kernel::tenants::admin::{Patch, TenantState};
use qd_kernel::tenants::delete::Deletion;
use qd_kernel::tenants::export::{Export, ExportState};
use qd_testkit::kernel::key;
use qd_testkit::sample::document;
use qd_testkit::{TestKernel, both_stores, eventually};
use serde_json::{Value, json};

use crate::secrets::{KEY, put};

const CANARY: &str = "canary-8c1f0f6e";
const SIGNER: u8 = 7;

/// The files of an archive, by their paths, in their order.
struct Archive {
    paths: Vec<String>,
    files: BTreeMap<String, Vec<u8>>,
}

impl Archive {
    fn read(bytes: &[u8]) -> Self {
        let (mut paths, mut files) = (vec![], BTreeMap::new());
        let mut tar = tar::Archive::new(MultiGzDecoder::new(bytes));
        for entry in tar.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut body = vec![];
            entry.read_to_end(&mut body).unwrap();
            paths.push(path.clone());
            files.insert(path, body);
        }
        Self { paths, files }
    }

    fn text(&self, path: &str) -> &str {
        let file = self.files.get(path).unwrap_or_else(|| panic!("no {path} in {:?}", self.paths));
        std::str::from_utf8(file).unwrap()
    }

    fn lines(&self, path: &str) -> Vec<Value> {
        self.text(path).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn documents(&self, path: &str) -> Vec<Document> {
        let parts = self.text(path).split("---\n").skip(1);
        parts.map(|part| Document::from_value(serde_json::from_str(part).unwrap()).unwrap()).collect()
    }

    fn manifest(&self) -> Value {
        serde_json::from_str(self.text("manifest.json")).unwrap()
    }

    /// The manifest says what is in the archive, and that comes after it.
    fn proved(&self) {
        assert_eq!(self.paths[0], "manifest.json");
        let manifest = self.manifest();
        let listed = manifest["files"].as_array().unwrap();
        assert_eq!(listed.len() + 1, self.paths.len());
        for (said, path) in listed.iter().zip(&self.paths[1..]) {
            let body = &self.files[path];
            assert_eq!((&said["path"], &said["sha256"]), (&json!(path), &json!(sha256_hex(body))));
            assert_eq!(said["bytes"], body.len());
            if path.ends_with(".jsonl") {
                assert_eq!(said["records"], self.text(path).lines().count(), "{path}");
            }
        }
    }

    fn has(&self, word: &str) -> Vec<&str> {
        let within = |body: &Vec<u8>| body.windows(word.len()).any(|part| part == word.as_bytes());
        self.files.iter().filter(|(_, body)| within(body)).map(|(path, _)| path.as_str()).collect()
    }
}

fn platform(t: &TestKernel) -> Context {
    Context { scope: Scope::PLATFORM, ..t.context_as("admin", PLATFORM_ADMIN) }
}

fn of_tenant(t: &TestKernel) -> Context {
    Context { scope: t.scope.of_tenant(), ..t.context() }
}

async fn go_to(t: &mut TestKernel, tenant: &str, project: Option<&str>) {
    t.scope = t.kernel.scope_find(Some(tenant), project).await.unwrap().scope;
}

async fn export(t: &TestKernel, tenant: &str) -> Job {
    let named = t.kernel.scope_find(Some(tenant), None).await.unwrap();
    t.kernel.tenant_export(&of_tenant(t), &named, "moving", key()).await.unwrap()
}

async fn ended(t: &TestKernel, job: &Job) -> Export {
    let id = job.id.to_string();
    eventually("the export ends", async || {
        let export = t.kernel.export_get(&of_tenant(t), &id).await.unwrap();
        (export.state != ExportState::Preparing).then_some(export)
    })
    .await
}

async fn bytes(t: &TestKernel, id: &str) -> Vec<u8> {
    let mut download = t.kernel.export_fetch(&of_tenant(t), id).await.unwrap();
    let mut bytes = vec![];
    while let Some(part) = download.next().await.unwrap() {
        bytes.extend(part);
    }
    bytes
}

/// A finished export, read.
async fn archive(t: &TestKernel, job: &Job) -> Archive {
    let export = ended(t, job).await;
    assert_eq!(export.state, ExportState::Ready, "{export:?}");
    let bytes = bytes(t, &job.id.to_string()).await;
    assert_eq!(export.bytes, Some(bytes.len() as i64));
    assert_eq!(export.digest, Some(Digest::of(&bytes).to_string()));
    let archive = Archive::read(&bytes);
    assert_eq!(export.files, Some(archive.paths.len() as i64));
    archive.proved();
    archive
}

/// A project with something of everything.
async fn furnished(t: &TestKernel, mark: &str) {
    t.published("one", json!({ "mark": format!("{mark}-old") })).await;
    t.published("one", json!({ "mark": format!("{mark}-new") })).await;
    let draft = vec![document("two", json!({ "mark": format!("{mark}-draft") }))];
    t.kernel.apply(&t.context(), draft, String::new(), None).await.unwrap();
    let kind = t.sample();
    t.kernel.revision_submit(&t.context(), &*kind, "two", 1, format!("{mark}-please")).await.unwrap();
    let comment = NewComment { body: format!("{mark}-comment"), pointer: None };
    t.kernel.comment_add(&t.context(), &*kind, "two", 1, comment).await.unwrap();
    put(t, "warehouse/password", &format!("{CANARY}-{mark}")).await;
    t.run("one").await;
}

async fn tenant(t: &mut TestKernel, name: &str) {
    t.kernel.tenant_create(&platform(t), name, "").await.unwrap();
    go_to(t, name, None).await;
    t.kernel.project_create(&of_tenant(t), "lab", "The lab").await.unwrap();
    let limits = Limits { resources: Some(900), ..Limits::default() };
    t.kernel.tenant_quotas_set(&platform(t), name, 0, limits).await.unwrap();
    furnished(t, name).await;
    let code = format!("code of {name}").into_bytes();
    t.kernel.code_put(&t.context(), Digest::of(&code), 1, code).await.unwrap();
    go_to(t, name, Some("lab")).await;
    furnished(t, &format!("{name}-lab")).await;
    go_to(t, name, None).await;
}

both_stores! {
    async fn a_tenant_is_exported_whole_and_without_what_its_secrets_hold(db: TestDatabase) {
        let mut t = TestKernel::build().master_keys(&[KEY]).audit_key(SIGNER).on(&db).await;
        let ann = NewUser { name: "ann".into(), display_name: String::new(), service: false, password_hash: Some(bcrypt::hash("a password", 4).unwrap()) };
        t.kernel.user_create(&platform(&t), ann).await.unwrap();
        tenant(&mut t, "beta").await;
        tenant(&mut t, "acme").await;
        let boss = of_tenant(&t);
        t.kernel.team_create(&boss, "core", "Core").await.unwrap();
        t.kernel.team_member_add(&boss, "core", "ann").await.unwrap();
        for name in ["ann", "team:core"] {
            let grant = Grant { principal: name.into(), role: VIEWER.into(), project: None };
            t.kernel.role_grant(&boss, grant).await.unwrap();
        }
        let job = export(&t, "acme").await;
        let archive = archive(&t, &job).await;

        for secret in [CANARY, "$2b$", "$argon2id$", "beta"] {
            assert_eq!(archive.has(secret), [""; 0], "{secret}");
        }
        let manifest = archive.manifest();
        assert_eq!((&manifest["format"], &manifest["tenant"]["name"]), (&json!(1), &json!("acme")));
        assert_eq!(manifest["project"], Value::Null);
        for project in ["default", "lab"] {
            let mark = if project == "lab" { "acme-lab" } else { "acme" };
            let path = |file: &str| format!("projects/{project}/{file}");
            let documents = archive.documents(&path("documents/samples-0001.yaml"));
            assert_eq!(documents.len(), 2);
            assert_eq!(documents[0].spec["mark"], format!("{mark}-new"), "what is published");
            assert_eq!(documents[1].spec["mark"], format!("{mark}-draft"), "or else the working copy");
            let revisions = archive.lines(&path("revisions.jsonl"));
            let said: Vec<_> = revisions.iter().map(|r| (r["name"].as_str().unwrap(), r["number"].as_i64().unwrap(), r["state"].as_str().unwrap())).collect();
            assert_eq!(said, [("one", 1, "superseded"), ("one", 2, "published"), ("two", 1, "in_review")]);
            assert_eq!(revisions[0]["document"]["spec"]["mark"], format!("{mark}-old"));
            assert_eq!(archive.lines(&path("working-copies.jsonl")).len(), 2);
            assert_eq!(archive.lines(&path("resources.jsonl"))[0]["published"], 2);
            assert_eq!(archive.lines(&path("reviews.jsonl"))[0]["message"], format!("{mark}-please"));
            assert_eq!(archive.lines(&path("review-comments.jsonl"))[0]["body"], format!("{mark}-comment"));
            let secrets = archive.lines(&path("secrets.jsonl"));
            assert_eq!((secrets.len(), &secrets[0]["path"], &secrets[0]["version"]), (1, &json!("warehouse/password"), &json!(1)));
            assert_eq!(archive.lines(&path("runs.jsonl"))[0]["name"], "one");
            let jobs = archive.lines(&path("jobs.jsonl"));
            assert!(jobs.iter().any(|job| job["operation"] == "run.start"), "{jobs:?}");
            assert!(!archive.lines(&path("events.jsonl")).is_empty());
        }
        assert_eq!(archive.lines("projects/lab/project.jsonl")[0]["display_name"], "The lab");
        assert_eq!(archive.lines("members.jsonl")[0]["account"], "ann");
        assert_eq!(archive.lines("team-members.jsonl")[0]["account"], "ann");
        assert_eq!(archive.lines("team-roles.jsonl")[0]["team"], "core");
        assert_eq!(archive.lines("quotas.jsonl")[0]["resources"], 900);
        let code: Vec<&String> = archive.paths.iter().filter(|path| path.starts_with("code/")).collect();
        assert_eq!((code.len(), archive.text(code[0])), (1, "code of acme"));

        // The audit is what is verified without a server, and has the export itself.
        let audit = archive.text("audit.jsonl");
        let proof = verify(audit.as_bytes(), vec![SigningKey::from_seed(&[SIGNER; 32]).public()], vec![]);
        assert!(proof.unwrap().to > 10);
        assert!(audit.contains("\"tenants.export\"") && audit.contains(&job.id.to_string()));
    }

    async fn one_project_is_exported_without_its_neighbours(db: TestDatabase) {
        let mut t = TestKernel::build().master_keys(&[KEY]).audit_key(SIGNER).on(&db).await;
        tenant(&mut t, "acme").await;
        let whole = of_tenant(&t);
        assert_eq!(t.kernel.project_export(&whole, "none", "", key()).await.unwrap_err().code, "project_not_found");
        let job = t.kernel.project_export(&whole, "lab", "", key()).await.unwrap();
        let archive = archive(&t, &job).await;
        assert_eq!(archive.manifest()["project"]["name"], "lab");
        assert!(archive.paths[1..].iter().all(|path| path.starts_with("projects/lab/")), "{:?}", archive.paths);
        assert_eq!(archive.has("acme-new"), [""; 0]);
        assert_eq!(archive.has("acme-lab-new").len(), 3, "documents, a revision, a working copy");
        // It goes with its project.
        let gone = Deletion { name: "lab".into(), confirm: "lab".into(), reason: "done".into() };
        let deletion = t.kernel.project_delete(&whole, gone, key()).await.unwrap();
        assert_eq!(t.job_ended(deletion.id).await.state, JobState::Succeeded);
        assert_eq!(t.kernel.export_get(&whole, &job.id.to_string()).await.unwrap_err().code, "export_not_found");
        assert_eq!(t.number("SELECT count(*) FROM export_part").await, 0);
    }

    async fn a_suspended_tenant_is_exported_and_its_archive_goes_with_it(db: TestDatabase) {
        let mut t = TestKernel::build().master_keys(&[KEY]).audit_key(SIGNER).on(&db).await;
        tenant(&mut t, "acme").await;
        let admin = platform(&t);
        let suspend = Patch { state: Some(TenantState::Suspended), ..Patch::default() };
        t.kernel.tenant_update(&admin, "acme", 1, suspend).await.unwrap();
        let job = export(&t, "acme").await;
        let found = archive(&t, &job).await;
        assert_eq!(found.manifest()["tenant"]["state"], "suspended");
        let records = t.kernel.export_list(&of_tenant(&t), PageRequest::first(5)).await.unwrap().items;
        assert_eq!(records.len(), 1);
        let gone = Deletion { name: "acme".into(), confirm: "acme".into(), reason: "done".into() };
        t.kernel.tenant_delete(&admin, gone, key()).await.unwrap();
        eventually("nothing of the archive is left", async || {
            (t.number("SELECT (SELECT count(*) FROM export) + (SELECT count(*) FROM export_part)").await == 0).then_some(())
        })
        .await;
    }

    async fn many_resources_come_in_files_that_one_apply_takes(db: TestDatabase) {
        let t = TestKernel::build().audit_key(SIGNER).on(&db).await;
        for page in 0..3 {
            let documents = (0..90).map(|n| document(&format!("s{:03}", page * 90 + n), json!({ "count": n }))).collect();
            t.kernel.apply(&t.context(), documents, String::new(), None).await.unwrap();
        }
        let job = export(&t, "default").await;
        let archive = archive(&t, &job).await;
        let counts: Vec<usize> =
            (1..=3).map(|n| archive.documents(&format!("projects/default/documents/samples-{n:04}.yaml")).len()).collect();
        assert_eq!(counts, [100, 100, 70]);
        let names: Vec<String> = archive.lines("projects/default/revisions.jsonl").iter().map(|r| r["name"].as_str().unwrap().to_owned()).collect();
        assert_eq!(names, (0..270).map(|n| format!("s{n:03}")).collect::<Vec<_>>(), "each once, over all pages");
    }

    async fn what_is_over_is_removed_and_what_was_cancelled_leaves_nothing(db: TestDatabase) {
        let t = TestKernel::build().audit_key(SIGNER).idle().on(&db).await;
        let mut t = t;
        let cancelled = export(&t, "default").await;
        let id = cancelled.id.to_string();
        assert_eq!(t.kernel.export_fetch(&of_tenant(&t), &id).await.err().unwrap().code, "export_not_ready");
        t.kernel.job_cancel(&t.context(), cancelled.id, "no need".into()).await.unwrap();
        t.start_tasks().await;
        assert_eq!(ended(&t, &cancelled).await.state, ExportState::Cancelled);
        assert_eq!(t.number("SELECT count(*) FROM export_part").await, 0);
        let done = export(&t, "default").await;
        archive(&t, &done).await;
        assert_eq!(t.kernel.retention_sweep().await.unwrap(), Swept::default(), "its time is not over");
        let aged = t.kernel.store.write(move |tx| -> StoreResult<u64> { tx.exec("UPDATE export SET expires_at = $1", params![Timestamp::EPOCH]) });
        assert_eq!(aged.await.unwrap(), 2);
        assert_eq!(t.kernel.retention_sweep().await.unwrap(), Swept { exports: 2, ..Swept::default() });
        let gone = t.kernel.export_get(&of_tenant(&t), &done.id.to_string()).await;
        assert_eq!(gone.unwrap_err().code, "export_not_found");
    }

    async fn who_may_not_export_gets_nothing(db: TestDatabase) {
        let t = TestKernel::build().audit_key(SIGNER).on(&db).await;
        let job = export(&t, "default").await;
        archive(&t, &job).await;
        let viewer = Context { scope: t.scope.of_tenant(), ..t.context_as("reader", VIEWER) };
        let named = t.kernel.scope_find(None, None).await.unwrap();
        let id = job.id.to_string();
        assert_eq!(t.kernel.tenant_export(&viewer, &named, "", key()).await.unwrap_err().code, "action_denied");
        assert_eq!(t.kernel.project_export(&viewer, "default", "", key()).await.unwrap_err().code, "action_denied");
        assert_eq!(t.kernel.export_list(&viewer, PageRequest::first(5)).await.unwrap_err().code, "action_denied");
        assert_eq!(t.kernel.export_get(&viewer, &id).await.unwrap_err().code, "action_denied");
        assert_eq!(t.kernel.export_fetch(&viewer, &id).await.err().unwrap().code, "action_denied");
    }
}
