//! Deleting tenants and projects: what runs is stopped first, nothing is left but the audit, and the neighbour keeps all it has.

use std::collections::{BTreeMap, BTreeSet};

use qd_core::state::{JobState, RunState};
use qd_kernel::access::bindings::Grant;
use qd_kernel::access::deletions::Unseen;
use qd_kernel::access::objects::On;
use qd_kernel::access::{PIPELINE_DEV, PLATFORM_ADMIN, TENANT_ADMIN};
use qd_kernel::audit::{AuditFilter, AuditReach};
use qd_kernel::context::{Context, Scope};
use qd_kernel::credentials::accounts::NewUser;
use qd_kernel::events::EventFilter;
use qd_kernel::jobs::{Job, JobFilter};
use qd_kernel::operation::Outcome;
use qd_kernel::page::PageRequest;
use qd_kernel::params;
use qd_kernel::plans::PlanFilter;
use qd_kernel::quotas::Limits;
use qd_kernel::runs::Run;
use qd_kernel::schedules::SCHEDULE;
use qd_kernel::store::{Backend, StoreResult};
use qd_kernel::tenants::admin::{Patch, TenantState};
use qd_kernel::tenants::delete::Deletion;
use qd_kernel::tenants::removal::{KEPT, removed_tables};
use qd_testkit::engine::line;
use qd_testkit::kernel::key;
use qd_testkit::sample::document_of;
use qd_testkit::{Scripted, TestKernel, both_stores, eventually};
use serde_json::json;
use uuid::Uuid;

use crate::secrets::{KEY, put};

fn platform(t: &TestKernel) -> Context {
    Context { scope: Scope::PLATFORM, ..t.context_as("admin", PLATFORM_ADMIN) }
}

fn of_tenant(t: &TestKernel) -> Context {
    Context { scope: t.scope.of_tenant(), ..t.context() }
}

fn deletion(name: &str) -> Deletion {
    Deletion { name: name.into(), confirm: name.into(), reason: "it has ended".into() }
}

/// Lets the test go on in another tenant or project.
async fn go_to(t: &mut TestKernel, tenant: &str, project: Option<&str>) {
    t.scope = t.kernel.scope_find(Some(tenant), project).await.unwrap().scope;
}

/// Something of everything, with a run that is under way.
async fn furnished(t: &mut TestKernel) -> Run {
    t.published("one", json!({})).await;
    let spec = json!({ "cron": "@yearly", "target": { "kind": "Sample", "name": "one" } });
    let (_, job) = t
        .kernel
        .apply(&t.context(), vec![document_of(SCHEDULE, "yearly", spec)], String::new(), Some(key()))
        .await
        .unwrap();
    t.job_ended(job.unwrap().id).await;
    put(t, "a/secret", "canary").await;
    let limits = Limits { active_runs: Some(7), ..Limits::default() };
    let project = t
        .kernel
        .scope_find(Some(&t.scope.tenant_id.to_string()), Some(&t.scope.project_id.to_string()))
        .await;
    t.kernel.project_quotas_set(&of_tenant(t), &project.unwrap().project.name, 0, limits).await.unwrap();
    let (_, run) = t.run("one").await;
    let run = t.run_in(run.id, RunState::Running).await;
    t.engine.log(&t.external(&run), [line("hello")]);
    eventually("the line is stored", async || {
        let page = t.kernel.log_after(t.scope, run.id, Default::default(), 0, 1).await.unwrap();
        (page.last == 1).then_some(())
    })
    .await;
    run
}

/// How many rows of each table have the id in this column; only tables that have the column.
async fn rows(t: &TestKernel, column: &'static str, id: Uuid) -> BTreeMap<String, i64> {
    let read = t.kernel.store.read(move |tx| -> StoreResult<BTreeMap<String, i64>> {
        let mut counts = BTreeMap::new();
        for table in tables_with(tx, &[column])? {
            let sql = format!("SELECT count(*) FROM {table} WHERE {column} = $1");
            let count: i64 = tx.one(&sql, params![id], |row| row.get(0))?;
            if count > 0 {
                counts.insert(table, count);
            }
        }
        Ok(counts)
    });
    read.await.unwrap()
}

/// The tables but for those that are as soon empty as not.
fn lasting(rows: BTreeMap<String, i64>) -> Vec<String> {
    rows.into_keys()
        .filter(|table| !["event_outbox", "job_queue", "job_lock_wait"].contains(&table.as_str()))
        .collect()
}

fn tables_with(tx: &mut qd_kernel::store::Tx<'_>, columns: &[&str]) -> StoreResult<BTreeSet<String>> {
    let list = columns.iter().map(|column| format!("'{column}'")).collect::<Vec<_>>().join(", ");
    let sql = match tx.backend() {
        Backend::Sqlite => format!(
            "SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND c.name IN ({list})"
        ),
        Backend::Postgres => format!(
            "SELECT CAST(table_name AS text) FROM information_schema.columns
             WHERE table_schema = current_schema() AND column_name IN ({list})"
        ),
    };
    Ok(tx.rows(&sql, &[], |row| row.get::<String>(0))?.into_iter().collect())
}

/// In the default project of the default tenant, where the job lives.
async fn ended(t: &TestKernel, job: Job, scope: Scope) -> Job {
    eventually("the deletion ends", async || {
        let job = t.kernel.job_get(scope, job.id).await.unwrap();
        job.state.is_terminal().then_some(job)
    })
    .await
}

both_stores! {
    async fn every_table_of_a_tenant_is_removed_with_it_or_said_to_stay(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let columns = ["tenant_id", "project_id", "resource_id", "run_id", "job_id", "secret_id"];
        let there = t.kernel.store.read(move |tx| tables_with(tx, &columns)).await.unwrap();
        let known: BTreeSet<String> = removed_tables().into_iter().chain(KEPT).map(str::to_owned).collect();
        let forgotten: Vec<&String> = there.difference(&known).collect();
        assert!(forgotten.is_empty(), "say in tenants/removal.rs how the rows of a tenant are found in {forgotten:?}");
    }

    async fn a_deletion_is_there_for_whoever_may_ask_for_one_alone(db: TestDatabase) {
        let t = TestKernel::build().idle().scripted(Scripted::new(async |_| Outcome::done(json!({})))).on(&db).await;
        let (admin, tenants_own) = (platform(&t), of_tenant(&t));
        t.kernel.tenant_create(&admin, "acme", "").await.unwrap();
        let suspend = Patch { state: Some(TenantState::Suspended), ..Patch::default() };
        t.kernel.tenant_update(&admin, "acme", 1, suspend).await.unwrap();
        t.kernel.project_create(&tenants_own, "lab", "").await.unwrap();
        let (of_acme, request) = t.kernel.tenant_delete_request(&admin, "acme", "why").await.unwrap();
        let acme_plan = t.kernel.plan_create(&of_acme, request).await.unwrap().id;
        let (of_lab, request) = t.kernel.project_delete_request(&tenants_own, "lab", "why").await.unwrap();
        let lab_plan = t.kernel.plan_create(&of_lab, request).await.unwrap().id;
        let acme = t.kernel.tenant_delete(&admin, deletion("acme"), key()).await.unwrap().id;
        let lab = t.kernel.project_delete(&tenants_own, deletion("lab"), key()).await.unwrap().id;
        let other = t.job(&["one"]).await;
        // Without a relay events have no position on Postgres, and nobody sees them.
        let is_told = t.kernel.store.backend() == Backend::Sqlite;
        for (role, seen) in [(PIPELINE_DEV, [false, false]), (TENANT_ADMIN, [false, true]), (PLATFORM_ADMIN, [true, true])] {
            let context = t.context_as("somebody", role);
            let (unseen, page) = (Unseen::of(&context), || PageRequest::first(100));
            let jobs = t.kernel.job_list(t.scope, JobFilter { unseen, ..JobFilter::default() }, page()).await.unwrap().items;
            let plans = t.kernel.plan_list(t.scope, PlanFilter { unseen, ..PlanFilter::default() }, page()).await.unwrap().items;
            let filter = EventFilter { unseen, ..EventFilter::default() };
            let events = t.kernel.events_after(t.scope, filter, 0, 500).await.unwrap();
            let filter = AuditFilter { unseen, ..AuditFilter::default() };
            let audit = t.kernel.audit_list(t.scope, filter, page()).await.unwrap().items;
            assert!(jobs.iter().any(|job| job.id == other), "{role}");
            for ((job, plan, operation), seen) in [(acme, acme_plan, "tenants.delete"), (lab, lab_plan, "projects.delete")].into_iter().zip(seen) {
                assert_eq!(jobs.iter().any(|one| one.id == job), seen, "{role} {operation}");
                assert_eq!(plans.iter().any(|one| one.id == plan), seen, "{role} {operation}");
                assert_eq!(events.iter().any(|event| event.job_id == Some(job)), seen && is_told, "{role} {operation}");
                assert_eq!(json!(events).to_string().contains(operation), seen && is_told, "{role} {operation}");
                assert_eq!(json!(audit).to_string().contains(operation), seen, "{role} {operation}");
                for (action, on) in [("jobs.read", On::Job(job)), ("plans.read", On::Plan(plan))] {
                    let answer = t.kernel.permit(&context, action, on).await.map_err(|error| error.code.ends_with("_not_found"));
                    assert_eq!(answer, if seen { Ok(()) } else { Err(true) }, "{role} {operation}");
                }
                if !seen {
                    let cancelled = t.kernel.job_cancel(&context, job, "to be in the way".into()).await;
                    assert_eq!(cancelled.unwrap_err().code, "job_not_found", "{role} {operation}");
                    let rejected = t.kernel.plan_reject(&context, plan, "to be in the way".into()).await;
                    assert_eq!(rejected.unwrap_err().code, "plan_not_found", "{role} {operation}");
                }
            }
        }
        let boss = t.context_as("boss", TENANT_ADMIN);
        assert!(t.kernel.job_cancel(&boss, lab, String::new()).await.unwrap().cancel_requested);
        assert!(t.kernel.job_cancel(&t.context(), acme, String::new()).await.unwrap().cancel_requested);
    }

    async fn a_deleted_tenant_leaves_nothing_but_its_audit(db: TestDatabase) {
        let mut t = TestKernel::build().master_keys(&[KEY]).on(&db).await;
        let home = t.scope;
        for tenant in ["acme", "beta"] {
            t.kernel.tenant_create(&platform(&t), tenant, "").await.unwrap();
            go_to(&mut t, tenant, None).await;
            t.kernel.project_create(&of_tenant(&t), "lab", "").await.unwrap();
            t.kernel.tenant_quotas_set(&platform(&t), tenant, 0, Limits { resources: Some(9), ..Limits::default() }).await.unwrap();
        }
        let ann = NewUser { name: "ann".into(), display_name: String::new(), service: false, password_hash: None };
        t.kernel.user_create(&platform(&t), ann).await.unwrap();
        let mut runs = vec![];
        for tenant in ["beta", "acme"] {
            go_to(&mut t, tenant, None).await;
            let grant = Grant { principal: "ann".into(), role: "viewer".into(), project: None };
            t.kernel.role_grant(&of_tenant(&t), grant).await.unwrap();
            furnished(&mut t).await;
            go_to(&mut t, tenant, Some("lab")).await;
            runs.push(furnished(&mut t).await);
        }
        let (acme, beta) = (t.scope.tenant_id, t.kernel.scope_find(Some("beta"), None).await.unwrap().scope.tenant_id);
        let before = rows(&t, "tenant_id", beta.uuid()).await;
        let admin = platform(&t);
        let mut wrong = deletion("acme");
        assert_eq!(t.kernel.tenant_delete(&admin, deletion("acme"), key()).await.unwrap_err().code, "tenant_not_suspended");
        assert_eq!(t.kernel.tenant_delete(&admin, deletion("default"), key()).await.unwrap_err().code, "default_tenant");
        wrong.confirm = "beta".into();
        assert_eq!(t.kernel.tenant_delete(&admin, wrong.clone(), key()).await.unwrap_err().code, "name_not_confirmed");
        wrong = Deletion { reason: " ".into(), ..deletion("acme") };
        assert_eq!(t.kernel.tenant_delete(&admin, wrong, key()).await.unwrap_err().code, "reason_required");
        let suspend = Patch { state: Some(TenantState::Suspended), ..Patch::default() };
        t.kernel.tenant_update(&admin, "acme", 1, suspend).await.unwrap();
        let (context, request) = t.kernel.tenant_delete_request(&admin, "acme", "").await.unwrap();
        let plan = t.kernel.change_preview(&context, &request).await.unwrap().plan;
        let gone = plan.steps[1].changes[0].before.clone().unwrap();
        assert_eq!((&gone["projects"], &gone["resources"], &gone["active_runs"]), (&json!(2), &json!(4), &json!(2)));

        let again = key();
        let job = t.kernel.tenant_delete(&admin, deletion("acme"), again.clone()).await.unwrap();
        let done = ended(&t, job, home).await;
        assert_eq!(done.state, JobState::Succeeded, "{:?}", done.error);
        assert_eq!(t.kernel.tenant_delete(&admin, deletion("acme"), again).await.unwrap().id, done.id, "asked for before");
        assert_eq!(t.kernel.scope_find(Some("acme"), None).await.unwrap_err().code, "scope_not_found");
        assert!(t.engine.is_ended(&t.external(&runs[1])) && !t.engine.is_ended(&t.external(&runs[0])));
        eventually("only the audit has its id", async || {
            let left = rows(&t, "tenant_id", acme.uuid()).await;
            left.keys().eq(["audit"]).then_some(())
        })
        .await;
        assert_eq!(lasting(rows(&t, "tenant_id", beta.uuid()).await), lasting(before));
        go_to(&mut t, "beta", Some("lab")).await;
        assert_eq!(t.run_now(runs[0].id).await.state, RunState::Running);
        let records = t.kernel.audit_list_of(AuditReach::Tenant(acme), AuditFilter::default(), PageRequest::first(5)).await.unwrap().items;
        let last = &records.iter().max_by_key(|record| record.record.id).unwrap().record;
        assert_eq!((last.action.as_str(), last.actor.as_str()), ("tenants.delete", "system"));
        assert!(last.reason.contains("data keys of its secrets destroyed"), "{}", last.reason);
        // The name is free again.
        t.kernel.tenant_create(&admin, "acme", "").await.unwrap();
    }

    async fn a_deleted_project_leaves_its_tenant_as_it_was(db: TestDatabase) {
        let mut t = TestKernel::build().master_keys(&[KEY]).on(&db).await;
        let home = t.scope;
        furnished(&mut t).await;
        t.kernel.project_create(&of_tenant(&t), "lab", "").await.unwrap();
        go_to(&mut t, "default", Some("lab")).await;
        let (lab, run) = (t.scope, furnished(&mut t).await);
        let before = rows(&t, "project_id", home.project_id.uuid()).await;
        let whole = of_tenant(&t);
        assert_eq!(t.kernel.project_delete(&whole, deletion("default"), key()).await.unwrap_err().code, "default_project");
        assert_eq!(t.kernel.project_delete(&whole, deletion("none"), key()).await.unwrap_err().code, "project_not_found");
        let job = t.kernel.project_delete(&whole, deletion("lab"), key()).await.unwrap();
        let done = ended(&t, job, home).await;
        assert_eq!(done.state, JobState::Succeeded, "{:?}", done.error);
        assert!(t.engine.is_ended(&t.external(&run)));
        eventually("only the audit has its id", async || {
            rows(&t, "project_id", lab.project_id.uuid()).await.keys().eq(["audit"]).then_some(())
        })
        .await;
        assert_eq!(lasting(rows(&t, "project_id", home.project_id.uuid()).await), lasting(before));
        t.scope = home;
        t.run("one").await;
    }
}
