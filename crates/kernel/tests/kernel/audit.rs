//! The audit: what a record says, how it is found, and the chain that it is sealed into.

mod chains;
mod outside;
mod pruning;
mod signing;

use qd_core::audit::{Finding, Outcome, Proof, PublicKey, SigningKey, verify};
use qd_core::diff::Change;
use qd_core::id::{ProjectId, TenantId};
use qd_kernel::audit::{AuditFilter, AuditReach, AuditRecord, NewRecord, object};
use qd_kernel::context::{Context, RequestIds, Scope};
use qd_kernel::mutation::{Act, Object, Subject};
use qd_kernel::page::PageRequest;
use qd_kernel::revisions::publish_request;
use qd_kernel::{Kernel, Result, params};
use qd_testkit::kernel::key;
use qd_testkit::{TestKernel, both_stores, eventually};
use serde_json::json;
use uuid::Uuid;

/// What signs in these tests.
const KEY: u8 = 7;

/// One mutation that leaves a record and an event.
async fn say(kernel: &Kernel, context: &Context, name: &str, n: u64) -> Result<()> {
    let name = name.to_owned();
    kernel
        .mutate(context, Act::new("tests", "say").because("a reason"), move |m| {
            let change = Change::replace("/n", json!(n), json!(n + 1));
            m.audit(&Object { kind: "Test", id: Uuid::from_u128(1), name: &name }, &[change], None)?;
            m.event("test.said", Subject::default(), &json!({ "n": n }))
        })
        .await
}

async fn records(t: &TestKernel, filter: AuditFilter) -> Vec<AuditRecord> {
    t.kernel.audit_list(t.scope, filter, PageRequest::first(500)).await.unwrap().items
}

/// Waits until nothing waits for its seal.
async fn sealed(t: &TestKernel) {
    eventually("every record is sealed", async || {
        (t.number("SELECT count(*) FROM audit_unsealed").await == 0).then_some(())
    })
    .await;
}

/// A tenant's chain as a file.
async fn exported(t: &TestKernel, tenant: Option<TenantId>) -> String {
    let mut export = t.kernel.audit_export(tenant, None, None).await.unwrap();
    let mut text = String::new();
    while let Some(lines) = export.next().await.unwrap() {
        text.push_str(&lines);
    }
    text
}

fn trusted() -> Vec<PublicKey> {
    vec![SigningKey::from_seed(&[KEY; 32]).public()]
}

fn checked(text: &str) -> std::result::Result<Proof, Finding> {
    verify(text.as_bytes(), trusted(), vec![])
}

/// A tenant of its own, with a project.
async fn tenant(t: &TestKernel, name: &str) -> Scope {
    let (tenant_id, project_id) = (t.kernel.source.uuid(), t.kernel.source.uuid());
    let (now, name) = (t.kernel.source.now(), name.to_owned());
    let made = t.kernel.store.write(move |tx| -> Result<()> {
        tx.exec(
            "INSERT INTO tenant (id, name, created_at) VALUES ($1, $2, $3)",
            params![tenant_id, name, now],
        )?;
        tx.exec(
            "INSERT INTO project (id, tenant_id, name, created_at) VALUES ($1, $2, 'default', $3)",
            params![project_id, tenant_id, now],
        )?;
        Ok(())
    });
    made.await.unwrap();
    Scope { tenant_id: tenant_id.into(), project_id: project_id.into() }
}

both_stores! {
    async fn a_record_says_who_for_whom_and_by_which_plan(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({ "count": 1 })).await;
        let mut context = t.context();
        context.ids.trace_id = Some("4bf92f3577b34da6a3ce929d0e0e4736".into());
        let request = publish_request(&*t.sample(), "one", Some(1), String::new());
        let plan = t.kernel.plan_create(&context, request).await.unwrap();
        let of_plan = records(&t, AuditFilter { plan_id: Some(plan.id), ..AuditFilter::default() }).await;
        let record = &of_plan[0];
        assert_eq!((record.actor.as_str(), record.principal_id), ("tester", Some(context.principal.id)));
        assert_eq!((record.plan_hash.as_deref(), &record.on_behalf_of), (Some(plan.hash.as_str()), &None));
        assert_eq!(record.trace_id, context.ids.trace_id);
        let (job, _) = t.run("one").await;
        let of_job = records(&t, AuditFilter { job_id: Some(job.id), ..AuditFilter::default() }).await;
        let hash = t.kernel.job_detail(t.scope, job.id).await.unwrap().plan_hash;
        assert_eq!(of_job[0].plan_hash.as_deref(), Some(hash.as_str()));
        // What is called a secret never gets into a record, whoever forgot to take it out.
        t.kernel
            .mutate(&context, Act::new("tests", "say"), |m| {
                let change = Change::add("/spec", json!({ "password": "hunter2", "url": "https://a:hunter2@b/" }));
                m.audit(&Object { kind: "Test", id: Uuid::from_u128(2), name: "x" }, &[change], None)?;
                m.event("test.said", Subject::default(), &json!({}))
            })
            .await
            .unwrap();
        assert_eq!(t.number("SELECT count(*) FROM audit WHERE changes LIKE '%hunter2%'").await, 0);
    }

    async fn a_record_outside_of_a_mutation_is_kept_and_sealed(db: TestDatabase) {
        let t = TestKernel::build().audit_key(KEY).on(&db).await;
        let about = || object("Sample", None, "one");
        let denied = NewRecord::of(&t.context(), "samples.publish", about()).denied("the role viewer does not allow it");
        t.kernel.audit_append(denied).await.unwrap();
        let ids = RequestIds { request_id: "r".into(), correlation_id: "c".into(), trace_id: None };
        let stranger = NewRecord::platform("nobody", "10.0.0.1", ids, "auth.sign_in", object("Principal", None, "nobody"));
        t.kernel.audit_append(stranger.failed("wrong name or password")).await.unwrap();
        sealed(&t).await;
        let here = records(&t, AuditFilter { outcome: Some(Outcome::Denied), ..AuditFilter::default() }).await;
        assert_eq!((here.len(), here[0].reason.as_str()), (1, "the role viewer does not allow it"));
        assert_eq!((here[0].object.id, here[0].seal.unwrap().seq), (None, 1));
        let platform = AuditFilter { actor: Some("nobody".into()), ..AuditFilter::default() };
        let page = t.kernel.audit_list_of(AuditReach::Platform, platform, PageRequest::first(5)).await.unwrap();
        assert_eq!((page.items.len(), page.items[0].tenant_id), (1, None));
        assert_eq!(checked(&exported(&t, Some(t.scope.tenant_id)).await).unwrap().to, 1);
        let proof = checked(&exported(&t, None).await).unwrap();
        assert!(proof.chain.to_string().ends_with("/platform"));
        assert_eq!(proof.to, 2, "the key's own record, and the stranger's");
    }

    async fn records_are_found_by_each_of_their_ids(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        let other = tenant(&t, "other").await;
        for n in 0..6u64 {
            let mut context = t.context_as(&format!("user-{}", n % 2), qd_kernel::access::PLATFORM_ADMIN);
            context.principal.id = Uuid::from_u128(u128::from(n % 3 + 1)).into();
            context.ids = RequestIds {
                request_id: format!("request-{n}"),
                correlation_id: format!("correlation-{}", n / 2),
                trace_id: (n == 4).then(|| "trace-4".to_owned()),
            };
            say(&t.kernel, &context, &format!("thing-{n}"), n).await.unwrap();
            context.scope = other;
            say(&t.kernel, &context, &format!("thing-{n}"), n).await.unwrap();
        }
        let found = async |filter: AuditFilter| -> Vec<String> {
            records(&t, filter).await.iter().map(|record| record.object.name.clone()).collect()
        };
        let none = AuditFilter::default;
        assert_eq!(found(none()).await.len(), 6);
        assert_eq!(found(AuditFilter { request_id: Some("request-3".into()), ..none() }).await, ["thing-3"]);
        assert_eq!(
            found(AuditFilter { correlation_id: Some("correlation-1".into()), ..none() }).await,
            ["thing-3", "thing-2"]
        );
        assert_eq!(found(AuditFilter { trace_id: Some("trace-4".into()), ..none() }).await, ["thing-4"]);
        assert_eq!(
            found(AuditFilter { principal_id: Some(Uuid::from_u128(2).into()), ..none() }).await,
            ["thing-4", "thing-1"]
        );
        assert_eq!(
            found(AuditFilter { actor: Some("user-1".into()), ..none() }).await,
            ["thing-5", "thing-3", "thing-1"]
        );
        assert_eq!(found(AuditFilter { object_id: Some(Uuid::from_u128(9)), ..none() }).await, [""; 0]);
        let all = records(&t, none()).await;
        let since = AuditFilter { since: Some(all[1].at), until: Some(all[0].at), ..none() };
        assert!(found(since).await.contains(&"thing-4".to_owned()));
        let tenant_wide = t.kernel.audit_list_of(AuditReach::Tenant(t.scope.tenant_id), none(), PageRequest::first(99));
        assert_eq!(tenant_wide.await.unwrap().items.len(), 6, "the other tenant's are not among them");
        let elsewhere = Scope { project_id: ProjectId::from(Uuid::nil()), ..t.scope };
        let nothing = t.kernel.audit_list(elsewhere, none(), PageRequest::first(9)).await.unwrap();
        assert!(nothing.items.is_empty());
    }

    async fn a_dry_run_leaves_no_record(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({ "count": 1 })).await;
        let before = t.number("SELECT count(*) FROM audit").await;
        let request = publish_request(&*t.sample(), "one", Some(1), String::new());
        t.kernel.change_preview(&t.context(), &request).await.unwrap();
        assert_eq!(t.number("SELECT count(*) FROM audit").await, before);
        t.kernel.revision_publish(&t.context(), &*t.sample(), "one", Some(1), String::new(), key()).await.unwrap();
        assert!(t.number("SELECT count(*) FROM audit").await > before, "what is not dry does");
    }
}
