//! Who comes to hold a resource: those whom the tenant knows, by what they are called when it is written.

use std::sync::Arc;

use qd_core::document::Document;
use qd_core::error::{Error, Result};
use qd_core::id::ResourceId;
use qd_kernel::access::bindings::Grant;
use qd_kernel::access::sharing::Share;
use qd_kernel::access::sight::Sight;
use qd_kernel::access::{PIPELINE_DEV, PLATFORM_ADMIN, TENANT_ADMIN, VIEWER};
use qd_kernel::context::{Context, Principal, Scope};
use qd_kernel::credentials::Identity;
use qd_kernel::credentials::accounts::NewUser;
use qd_kernel::jobs::JobFilter;
use qd_kernel::operation::Outcome;
use qd_kernel::page::PageRequest;
use qd_kernel::params;
use qd_kernel::resources::MetadataPatch;
use qd_testkit::kernel::key;
use qd_testkit::{Scripted, TestKernel, both_stores};
use serde_json::{Value, json};
use uuid::Uuid;

fn platform(t: &TestKernel) -> Context {
    Context { scope: Scope::PLATFORM, ..t.context_as("admin", PLATFORM_ADMIN) }
}

/// Who may name anybody, at work in a tenant.
fn boss(t: &TestKernel, scope: Scope) -> Context {
    Context { scope: scope.of_tenant(), ..t.context_as("boss", PLATFORM_ADMIN) }
}

fn code<T>(answer: Result<T, Error>) -> &'static str {
    answer.err().map_or("fine", |error| error.code)
}

/// An account that holds a role in the scope's tenant, or nothing anywhere.
async fn account(t: &TestKernel, name: &str, held: Option<(Scope, &str)>) {
    let new = NewUser { name: name.into(), display_name: String::new(), service: true, password_hash: None };
    t.kernel.user_create(&platform(t), new).await.unwrap();
    if let Some((scope, role)) = held {
        let grant = Grant { principal: name.into(), role: role.into(), project: None };
        t.kernel.role_grant(&boss(t, scope), grant).await.unwrap();
    }
}

async fn identity(t: &TestKernel, name: &str) -> Identity {
    t.kernel.identity_named(&boss(t, Scope::PLATFORM), name).await.unwrap()
}

fn sample(name: &str, metadata: Value) -> Document {
    let mut metadata = metadata;
    metadata["name"] = name.into();
    let document =
        json!({ "apiVersion": "quarterdeck/v1", "kind": "Sample", "metadata": metadata, "spec": {} });
    Document::from_value(document).unwrap()
}

/// Another tenant.
async fn acme(t: &TestKernel) -> Scope {
    t.kernel.tenant_create(&platform(t), "acme", "").await.unwrap();
    t.kernel.scope_find(Some("acme"), None).await.unwrap().scope
}

async fn apply(t: &TestKernel, name: &str, metadata: Value) -> Result<()> {
    let documents = vec![sample(name, metadata)];
    t.kernel.apply(&t.context(), documents, String::new(), Some(key())).await.map(drop)
}

/// The pointers of what is wrong.
fn wrong(answer: Result<()>) -> Vec<(String, String)> {
    let error = answer.unwrap_err();
    assert_eq!(error.code, "metadata_invalid");
    error.violations.into_iter().map(|violation| (violation.pointer, violation.code)).collect()
}

both_stores! {
    async fn a_name_owns_something_only_where_the_tenant_knows_it(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let acme = acme(&t).await;
        account(&t, "ann", Some((t.scope, VIEWER))).await;
        account(&t, "amy", Some((acme, PIPELINE_DEV))).await;
        let unknown = |at: &str| (at.to_owned(), "unknown_holder".to_owned());
        let owners = json!({ "owners": ["ann", "bob", "amy", "team:none"], "teams": ["none"] });
        let expected = ["owners/1", "owners/2", "owners/3", "teams/0"].map(|at| unknown(&format!("/metadata/{at}")));
        assert_eq!(wrong(apply(&t, "one", owners).await), expected);
        assert_eq!(t.number("SELECT count(*) FROM resource_holder").await, 0, "nor is the resource made");

        apply(&t, "one", json!({ "owners": ["ann"] })).await.unwrap();
        let of_one = async |name: &str| identity(&t, name).await.held.iter().map(|held| held.share).collect::<Vec<_>>();
        assert_eq!(of_one("ann").await, [Share::Owner]);
        let one = t.kernel.resource_get(t.scope, "Sample", "one").await.unwrap();
        let patch = |names: &[&str]| MetadataPatch {
            owners: Some(names.iter().map(|name| (*name).to_owned()).collect()),
            ..MetadataPatch::default()
        };
        let refused = t.kernel.resource_patch(&t.context(), &*t.sample(), "one", one.version, patch(&["ann", "amy"])).await;
        assert_eq!(wrong(refused.map(drop)), [unknown("/owners/1")]);
        // Who comes to hold something in the tenant may own something from then on.
        let grant = Grant { principal: "amy".into(), role: VIEWER.into(), project: None };
        t.kernel.role_grant(&boss(&t, t.scope), grant).await.unwrap();
        t.kernel.resource_patch(&t.context(), &*t.sample(), "one", one.version, patch(&["amy"])).await.unwrap();
        assert_eq!((of_one("ann").await, of_one("amy").await), (vec![], vec![Share::Owner]));
    }

    async fn a_name_that_stood_there_before_is_nobodys_who_gets_it_later(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        apply(&t, "one", json!({})).await.unwrap();
        // As a server wrote it that did not look.
        let id: ResourceId = t.kernel.resource_get(t.scope, "Sample", "one").await.unwrap().id;
        let written = t.kernel.store.write(move |tx| -> Result<()> {
            tx.exec(
                "UPDATE resource SET metadata = $2 WHERE id = $1",
                params![id, json!({ "labels": {}, "tags": [], "owners": ["bob"], "teams": [] }).to_string()],
            )?;
            Ok(())
        });
        written.await.unwrap();
        account(&t, "bob", None).await;
        let bob = identity(&t, "bob").await;
        assert!(bob.held.is_empty() && !bob.sees_tenant(t.scope.tenant_id));
        // It does not stand in the way of other changes.
        let one = t.kernel.resource_get(t.scope, "Sample", "one").await.unwrap();
        let patch = MetadataPatch { description: Some("other".into()), ..MetadataPatch::default() };
        t.kernel.resource_patch(&t.context(), &*t.sample(), "one", one.version, patch).await.unwrap();
        assert!(identity(&t, "bob").await.held.is_empty());
    }

    async fn an_owner_shares_with_those_whom_the_tenant_knows_and_hears_of_no_others(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let acme = acme(&t).await;
        account(&t, "ann", Some((t.scope, VIEWER))).await;
        account(&t, "tom", Some((t.scope, VIEWER))).await;
        account(&t, "amy", Some((acme, PIPELINE_DEV))).await;
        apply(&t, "one", json!({ "owners": ["ann"] })).await.unwrap();
        let principal: Principal = identity(&t, "ann").await.principal(t.scope);
        let authority = t.kernel.authority_in(t.scope).await.unwrap();
        let ann = Context { principal, authority, ..t.context() };
        let share = async |context: &Context, with: &str| {
            t.kernel.resource_share(context, &*t.sample(), "one", with, Share::Viewer).await
        };
        share(&ann, "tom").await.unwrap();
        let said = |error: Error, name: &str| (error.code, error.detail.replace(name, "NAME"));
        let (foreign, missing) = (share(&ann, "amy").await.unwrap_err(), share(&ann, "bob").await.unwrap_err());
        assert_eq!(said(foreign, "amy"), said(missing, "bob"));
        assert_eq!(code(t.kernel.resource_unshare(&ann, &*t.sample(), "one", "amy").await), "user_not_found");
        let tenants_own = t.context_as("boss", TENANT_ADMIN);
        assert_eq!(code(share(&tenants_own, "amy").await), "user_not_found");
        // Whoever makes accounts may name anybody.
        share(&t.context_as("boss", PLATFORM_ADMIN), "amy").await.unwrap();
        assert!(identity(&t, "amy").await.sees_tenant(t.scope.tenant_id));
    }

    async fn one_request_looks_at_so_many_jobs_and_says_where_to_go_on(db: TestDatabase) {
        let t = TestKernel::build().idle().scripted(Scripted::new(async |_| Outcome::done(json!({})))).on(&db).await;
        let one = t.kernel.resource_create(&t.context(), &*t.sample(), sample("one", json!({}))).await.unwrap().id;
        let (like, oldest) = (t.job(&["one"]).await, Uuid::from_u128(1));
        let written = t.kernel.store.write(move |tx| -> Result<()> {
            let sql = "INSERT INTO job (id, tenant_id, project_id, operation, state, resource_id, input, reason, cancel_requested,
                 created_by, created_at, request_id, correlation_id, plan, plan_hash, locks)
               SELECT $2, tenant_id, project_id, operation, state, $3, input, reason, cancel_requested,
                 created_by, created_at, request_id, correlation_id, plan, plan_hash, locks FROM job WHERE id = $1";
            tx.exec(sql, params![like, oldest, one])?;
            for n in 2..1_200 {
                tx.exec(sql, params![like, Uuid::from_u128(n), None::<ResourceId>])?;
            }
            Ok(())
        });
        written.await.unwrap();
        let sight = Sight::Only(Arc::new([one].into()));
        let list = async |cursor: Option<&str>| {
            let filter = JobFilter { sight: sight.clone(), ..JobFilter::default() };
            t.kernel.job_list(t.scope, filter, PageRequest::new(Some(10), cursor).unwrap()).await.unwrap()
        };
        let first = list(None).await;
        assert!(first.items.is_empty(), "{}", first.items.len());
        let second = list(Some(first.next_cursor.as_deref().unwrap())).await;
        assert_eq!(second.items.iter().map(|job| job.id.uuid()).collect::<Vec<_>>(), [oldest]);
        assert_eq!(second.next_cursor, None);
    }

    async fn a_tenant_is_listed_for_whoever_holds_anything_in_it(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        acme(&t).await;
        for name in ["ann", "tom", "eve"] {
            account(&t, name, None).await;
        }
        let boss = boss(&t, t.scope);
        t.kernel.team_create(&boss, "core", "").await.unwrap();
        t.kernel.team_member_add(&boss, "core", "tom").await.unwrap();
        apply(&t, "one", json!({})).await.unwrap();
        t.kernel.resource_share(&t.context(), &*t.sample(), "one", "ann", Share::Viewer).await.unwrap();
        let listed = async |name: &str| {
            let page = t.kernel.tenant_list(&identity(&t, name).await, PageRequest::first(10)).await.unwrap();
            page.items.into_iter().map(|tenant| tenant.name).collect::<Vec<_>>()
        };
        assert_eq!(listed("ann").await, ["default"], "by a share");
        assert_eq!(listed("tom").await, ["default"], "by a team");
        assert_eq!(listed("eve").await, [""; 0]);
        assert_eq!(listed("owner").await, ["acme", "default"]);
    }
}
