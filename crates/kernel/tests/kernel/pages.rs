//! Keyset lists: complete while others insert, filtered, and with cursors of their own.

use qd_core::state::{JobState, ResourceState, RunState};
use qd_kernel::audit::AuditFilter;
use qd_kernel::jobs::JobFilter;
use qd_kernel::page::PageRequest;
use qd_kernel::resources::{MetadataPatch, ResourceFilter};
use qd_kernel::runs::RunFilter;
use qd_testkit::sample::{SAMPLE, document};
use qd_testkit::{TestKernel, both_stores};
use serde_json::json;

fn page(limit: u32, cursor: Option<&str>) -> PageRequest {
    PageRequest::new(Some(limit), cursor).unwrap()
}

async fn create(t: &TestKernel, name: &str) {
    t.kernel.resource_create(&t.context(), &*t.sample(), document(name, json!({}))).await.unwrap();
}

async fn names(t: &TestKernel, filter: ResourceFilter) -> Vec<String> {
    let found = t.kernel.resource_list(t.scope, SAMPLE, filter, page(100, None)).await.unwrap();
    found.items.into_iter().map(|resource| resource.name).collect()
}

both_stores! {
    async fn a_list_is_complete_and_in_order_while_others_insert(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let first: Vec<String> = (0..30).map(|n| format!("n-{n:02}")).collect();
        for name in &first {
            create(&t, name).await;
        }
        let (mut seen, mut cursor, mut round) = (vec![], None::<String>, 0);
        loop {
            let filter = ResourceFilter::default();
            let found = t.kernel.resource_list(t.scope, SAMPLE, filter, page(7, cursor.as_deref())).await.unwrap();
            seen.extend(found.items.into_iter().map(|resource| resource.name));
            let Some(next) = found.next_cursor else { break };
            cursor = Some(next);
            // One before and one after where the reader is.
            create(&t, &format!("a-{round}")).await;
            create(&t, &format!("z-{round}")).await;
            round += 1;
        }
        assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "in order, none twice: {seen:?}");
        assert_eq!(seen.iter().filter(|name| name.starts_with("n-")).cloned().collect::<Vec<_>>(), first);
    }

    async fn runs_of_a_resource_page_by_number_while_others_start(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({})).await;
        t.published("two", json!({})).await;
        for _ in 0..9 {
            t.run("one").await;
            t.run("two").await;
        }
        let one = t.kernel.resource_get(t.scope, SAMPLE, "one").await.unwrap();
        let (mut numbers, mut cursor) = (vec![], None::<String>);
        loop {
            let filter = RunFilter { resource_id: Some(one.id), ..RunFilter::default() };
            let found = t.kernel.run_list(t.scope, filter, page(2, cursor.as_deref())).await.unwrap();
            numbers.extend(found.items.iter().map(|run| run.number));
            let Some(next) = found.next_cursor else { break };
            cursor = Some(next);
            t.run("one").await;
        }
        assert_eq!(numbers, (1..=9).rev().collect::<Vec<_>>());
        assert_eq!(one.recent_runs.first().map(|run| run.number), Some(9));
        let all = t.kernel.run_list(t.scope, RunFilter::default(), page(100, None)).await.unwrap().items;
        assert!(all.windows(2).all(|pair| pair[0].created_at >= pair[1].created_at), "newest first");
    }

    async fn filters_by_text_label_and_state(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        for name in ["curate-web", "curate-books", "embed"] {
            create(&t, name).await;
        }
        let patch = async |name: &str, patch: MetadataPatch| {
            t.kernel.resource_patch(&t.context(), &*t.sample(), name, 1, patch).await.unwrap();
        };
        let labels = |pairs: &[(&str, &str)]| {
            Some(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
        };
        patch("curate-web", MetadataPatch { labels: labels(&[("team", "data"), ("tier", "1")]), ..MetadataPatch::default() }).await;
        patch("curate-books", MetadataPatch { labels: labels(&[("team", "data"), ("x-tier", "1")]), ..MetadataPatch::default() }).await;
        patch("embed", MetadataPatch { display_name: Some("CURATE of vectors".into()), ..MetadataPatch::default() }).await;
        let text = |text: &str| ResourceFilter { text: Some(text.into()), ..ResourceFilter::default() };
        assert_eq!(names(&t, text("Curate")).await, ["curate-books", "curate-web", "embed"]);
        assert_eq!(names(&t, text("web")).await, ["curate-web"]);
        assert_eq!(names(&t, text("%")).await, Vec::<String>::new());
        let label = |pairs: &[(&str, &str)]| ResourceFilter {
            labels: pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            ..ResourceFilter::default()
        };
        assert_eq!(names(&t, label(&[("team", "data")])).await, ["curate-books", "curate-web"]);
        assert_eq!(names(&t, label(&[("team", "data"), ("tier", "1")])).await, ["curate-web"]);
        assert_eq!(names(&t, label(&[("team", "dat")])).await, Vec::<String>::new());
        t.kernel.resource_set_state(&t.context(), &*t.sample(), "embed", None, ResourceState::Archived).await.unwrap();
        let archived = ResourceFilter { state: Some(ResourceState::Archived), ..ResourceFilter::default() };
        assert_eq!(names(&t, archived).await, ["embed"]);
        assert_eq!(names(&t, text("curate")).await, ["curate-books", "curate-web"]);
    }

    async fn runs_and_jobs_are_listed_by_state(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({})).await;
        let (job, run) = t.run("one").await;
        t.job_ended(job.id).await;
        t.engine.end(&t.external(&run), RunState::Failed);
        t.run_in(run.id, RunState::Failed).await;
        let (_, other) = t.run("one").await;
        t.run_in(other.id, RunState::Running).await;
        let runs = async |state| {
            let filter = RunFilter { state: Some(state), ..RunFilter::default() };
            let found = t.kernel.run_list(t.scope, filter, page(10, None)).await.unwrap().items;
            found.into_iter().map(|run| run.id).collect::<Vec<_>>()
        };
        assert_eq!(runs(RunState::Failed).await, [run.id]);
        assert_eq!(runs(RunState::Running).await, [other.id]);
        assert!(runs(RunState::Stopped).await.is_empty());
        let jobs = JobFilter { state: Some(JobState::Failed), ..JobFilter::default() };
        assert!(t.kernel.job_list(t.scope, jobs, page(10, None)).await.unwrap().items.is_empty());
    }

    async fn a_cursor_of_another_list_is_refused(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({})).await;
        create(&t, "two").await;
        for _ in 0..2 {
            t.run("one").await;
        }
        let one = t.kernel.resource_get(t.scope, SAMPLE, "one").await.unwrap();
        let of_one = RunFilter { resource_id: Some(one.id), ..RunFilter::default() };
        let k = &t.kernel;
        let cursors = [
            k.resource_list(t.scope, SAMPLE, ResourceFilter::default(), page(1, None)).await.unwrap().next_cursor,
            k.run_list(t.scope, RunFilter::default(), page(1, None)).await.unwrap().next_cursor,
            k.run_list(t.scope, of_one.clone(), page(1, None)).await.unwrap().next_cursor,
            k.job_list(t.scope, JobFilter::default(), page(1, None)).await.unwrap().next_cursor,
            k.audit_list(t.scope, AuditFilter::default(), page(1, None)).await.unwrap().next_cursor,
        ];
        for (from, cursor) in cursors.iter().enumerate() {
            let cursor = cursor.as_deref().expect("each list has a second page");
            let refused = [
                k.resource_list(t.scope, SAMPLE, ResourceFilter::default(), page(1, Some(cursor))).await.err(),
                k.run_list(t.scope, RunFilter::default(), page(1, Some(cursor))).await.err(),
                k.run_list(t.scope, of_one.clone(), page(1, Some(cursor))).await.err(),
                k.job_list(t.scope, JobFilter::default(), page(1, Some(cursor))).await.err(),
                k.audit_list(t.scope, AuditFilter::default(), page(1, Some(cursor))).await.err(),
            ];
            for (to, refused) in refused.iter().enumerate() {
                let wanted = (from != to).then_some("bad_cursor");
                assert_eq!(refused.as_ref().map(|error| error.code), wanted, "list {to} given a cursor of list {from}");
            }
        }
    }
}
