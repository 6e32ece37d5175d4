//! What belongs to one scope is not found from another, on every read and every change that takes a name or an id.

use std::time::Duration;

use qd_core::error::{Error, ErrorKind};
use qd_core::state::{ResourceState, RunState};
use qd_kernel::access::PLATFORM_ADMIN;
use qd_kernel::audit::AuditFilter;
use qd_kernel::events::EventFilter;
use qd_kernel::jobs::JobFilter;
use qd_kernel::page::PageRequest;
use qd_kernel::resources::{MetadataPatch, ResourceFilter};
use qd_kernel::runs::RunFilter;
use qd_testkit::kernel::{context_in, foreign_scope, key};
use qd_testkit::sample::SAMPLE;
use qd_testkit::{TestKernel, both_stores};
use serde_json::json;

fn refused<T>(what: &str, answer: Result<T, Error>) {
    let kind = answer.err().map(|error| error.kind);
    assert_eq!(kind, Some(ErrorKind::NotFound), "{what}");
}

both_stores! {
    async fn another_scope_finds_nothing_by_name_or_id(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({})).await;
        let (job, run) = t.run("one").await;
        t.run_in(run.id, RunState::Running).await;
        let (id, run_id) = (run.resource.id.to_string(), run.id.to_string());
        let scope = foreign_scope();
        let (k, foreign, kind) = (&t.kernel, context_in(scope, "stranger", PLATFORM_ADMIN), t.sample());
        for name in ["one", &id] {
            refused("resource", k.resource_get(scope, SAMPLE, name).await);
            refused("working copy", k.working_copy_get(scope, SAMPLE, name).await);
            refused("save", k.working_copy_put(&foreign, &*kind, name, 1, json!({ "count": 9 })).await);
            refused("patch", k.resource_patch(&foreign, &*kind, name, 1, MetadataPatch::default()).await);
            refused("archive", k.resource_set_state(&foreign, &*kind, name, None, ResourceState::Archived).await);
            refused("revisions", k.revision_list(scope, SAMPLE, name, PageRequest::first(5)).await);
            refused("revision", k.revision_get(scope, SAMPLE, name, 1).await);
            refused("cut", k.revision_create(&foreign, &*kind, name, String::new()).await);
            refused("publish", k.revision_publish(&foreign, &*kind, name, None, String::new(), key()).await);
            refused("rollback", k.revision_rollback(&foreign, &*kind, name, 1, "why".into(), key()).await);
            refused("start", k.run_start(&foreign, &*kind, name, json!({}), None, key()).await);
        }
        for name in ["one#1", &run_id] {
            refused("run", k.run_get(scope, name).await);
            refused("stop", k.run_stop(&foreign, name, String::new(), key()).await);
            refused("retry", k.run_retry(&foreign, name, String::new(), key()).await);
            refused("log", k.run_log_info(scope, name).await);
            refused("log forwards", k.log_after(scope, run.id, Default::default(), 0, 5).await);
            refused("log back", k.log_before(scope, run.id, Default::default(), None, 5).await);
            refused("charts", k.run_charts(scope, name, None).await);
            refused("request", k.run_request(&foreign, name, json!(1), Duration::from_secs(1)).await);
            refused("results", k.run_output_dir(scope, name).await);
        }
        refused("job", k.job_get(scope, job.id).await);
        refused("cancel", k.job_cancel(&foreign, job.id, String::new()).await);
        refused("scope", k.scope_find(Some("elsewhere"), None).await);
        assert_eq!(k.run_get(t.scope, "one#1").await.unwrap().stop_requested_at, None);
    }

    async fn the_lists_of_another_scope_are_empty(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({})).await;
        let (_, run) = t.run("one").await;
        t.run_in(run.id, RunState::Running).await;
        let (k, page) = (&t.kernel, || PageRequest::first(5));
        for (scope, empty) in [(t.scope, false), (foreign_scope(), true)] {
            let resources = k.resource_list(scope, SAMPLE, ResourceFilter::default(), page()).await.unwrap();
            assert_eq!(resources.items.is_empty(), empty);
            assert_eq!(k.run_list(scope, RunFilter::default(), page()).await.unwrap().items.is_empty(), empty);
            assert_eq!(k.job_list(scope, JobFilter::default(), page()).await.unwrap().items.is_empty(), empty);
            assert_eq!(k.audit_list(scope, AuditFilter::default(), page()).await.unwrap().items.is_empty(), empty);
            let of_run = EventFilter { run_id: Some(run.id), ..EventFilter::default() };
            let events = qd_testkit::eventually("events have their positions", async || {
                let events = k.events_after(scope, of_run, 0, 50).await.unwrap();
                (empty || !events.is_empty()).then_some(events)
            })
            .await;
            assert_eq!(events.is_empty(), empty);
        }
    }
}
