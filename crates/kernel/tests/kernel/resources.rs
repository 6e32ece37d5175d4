//! Resources and their working copies.

use futures::future::join_all;
use qd_core::error::ErrorKind;
use qd_core::state::ResourceState;
use qd_kernel::audit::AuditFilter;
use qd_kernel::page::PageRequest;
use qd_kernel::resources::{MetadataPatch, ResourceFilter};
use qd_testkit::kernel::key;
use qd_testkit::sample::{SAMPLE, document, document_of};
use qd_testkit::{TestKernel, both_stores};
use serde_json::{Value, json};

async fn create(t: &TestKernel, name: &str, spec: Value) -> qd_kernel::resources::Resource {
    t.kernel.resource_create(&t.context(), &*t.sample(), document(name, spec)).await.unwrap()
}

both_stores! {
    async fn a_new_resource_is_found_by_name_and_by_id(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let made = create(&t, "one", json!({ "count": 1 })).await;
        assert_eq!((made.version, made.state, made.changed), (1, ResourceState::Active, true));
        assert!(made.published.is_none() && made.latest_revision.is_none() && made.last_run.is_none());
        let by_id = t.kernel.resource_get(t.scope, SAMPLE, &made.id.to_string()).await.unwrap();
        assert_eq!((by_id.id, by_id.name.as_str()), (made.id, "one"));
        let copy = t.kernel.working_copy_get(t.scope, SAMPLE, "one").await.unwrap();
        assert_eq!((copy.spec, copy.version, copy.base_revision), (json!({ "count": 1 }), 1, None));
        let audit = AuditFilter { object_id: Some(made.id.uuid()), ..AuditFilter::default() };
        let records = t.kernel.audit_list(t.scope, audit, PageRequest::first(5)).await.unwrap().items;
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].action, "samples.create");
    }

    async fn a_nul_in_what_somebody_sends_is_their_mistake(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        create(&t, "one", json!({})).await;
        let (context, kind) = (t.context(), t.sample());
        t.kernel.apply(&context, vec![document("two", json!({}))], String::new(), None).await.unwrap();
        let text = || "a\0b".to_owned();
        let filter = ResourceFilter { text: Some(text()), ..ResourceFilter::default() };
        let refused = [
            t.kernel.resource_get(t.scope, SAMPLE, &text()).await.map(drop),
            t.kernel.resource_list(t.scope, SAMPLE, filter, PageRequest::first(5)).await.map(drop),
            t.kernel.revision_create(&context, &*kind, "one", text()).await.map(drop),
            t.kernel.revision_publish(&context, &*kind, "two", None, text(), key()).await.map(drop),
            t.kernel.apply(&context, vec![document("three", json!({}))], text(), None).await.map(drop),
        ];
        for (index, result) in refused.into_iter().enumerate() {
            let error = result.unwrap_err();
            assert_eq!((error.kind, error.code), (ErrorKind::Malformed, "control_character"), "{index}");
        }
    }

    async fn a_name_of_hexadecimal_digits_is_no_id(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        let name = "cafebabecafebabecafebabecafebabe";
        t.published(name, json!({})).await;
        let found = t.kernel.resource_get(t.scope, SAMPLE, name).await.unwrap();
        assert_eq!(found.name, name);
        t.run(name).await;
        assert!(t.kernel.resource_get(t.scope, SAMPLE, &found.id.uuid().simple().to_string()).await.is_err());
        let project = t.kernel.scope_find(None, None).await.unwrap().project.id;
        assert!(t.kernel.scope_find(None, Some(&project.to_string())).await.is_ok());
        assert!(t.kernel.scope_find(None, Some(&project.uuid().simple().to_string())).await.is_err());
    }

    async fn a_patch_that_changes_nothing_leaves_no_trace(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let made = create(&t, "one", json!({})).await;
        let patch = MetadataPatch { description: Some(String::new()), ..MetadataPatch::default() };
        let same = t.kernel.resource_patch(&t.context(), &*t.sample(), "one", made.version, patch).await.unwrap();
        assert_eq!((same.version, same.updated_at), (made.version, made.updated_at));
        assert_eq!(t.number("SELECT count(*) FROM audit").await, 1);
    }

    async fn a_name_is_taken_once(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        create(&t, "one", json!({})).await;
        let again = t.kernel.resource_create(&t.context(), &*t.sample(), document("one", json!({}))).await;
        let refused = again.unwrap_err();
        assert_eq!((refused.kind, refused.code), (ErrorKind::Conflict, "resource_exists"));
        assert_eq!(t.number("SELECT count(*) FROM resource").await, 1);
        assert_eq!(t.number("SELECT count(*) FROM audit").await, 1);
    }

    async fn of_twenty_who_want_a_name_one_gets_it(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let (context, kind) = (t.context(), t.sample());
        let all = join_all((0..20).map(|_| t.kernel.resource_create(&context, &*kind, document("one", json!({}))))).await;
        assert_eq!(all.iter().filter(|made| made.is_ok()).count(), 1);
        assert!(all.iter().filter_map(|made| made.as_ref().err()).all(|error| error.code == "resource_exists"));
    }

    async fn a_document_of_another_kind_is_refused(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let made = t.kernel.resource_create(&t.context(), &*t.sample(), document_of("Other", "one", json!({}))).await;
        assert_eq!(made.unwrap_err().code, "wrong_kind");
    }

    async fn a_patch_with_a_stale_version_is_refused(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        create(&t, "one", json!({})).await;
        let patch = |text: &str| MetadataPatch { description: Some(text.into()), ..MetadataPatch::default() };
        let (context, kind) = (t.context(), t.sample());
        let done = t.kernel.resource_patch(&context, &*kind, "one", 1, patch("first")).await.unwrap();
        assert_eq!((done.version, done.description.as_str()), (2, "first"));
        let refused = t.kernel.resource_patch(&context, &*kind, "one", 1, patch("second")).await.unwrap_err();
        assert_eq!((refused.kind, refused.code), (ErrorKind::Stale, "stale_version"));
        assert_eq!(t.kernel.resource_get(t.scope, SAMPLE, "one").await.unwrap().description, "first");
    }

    async fn a_patch_obeys_the_limits_of_documents(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        create(&t, "one", json!({})).await;
        let patch = MetadataPatch {
            display_name: Some("x".repeat(201)),
            tags: Some(vec!["a".into(), "a".into()]),
            ..MetadataPatch::default()
        };
        let refused = t.kernel.resource_patch(&t.context(), &*t.sample(), "one", 1, patch).await.unwrap_err();
        let pointers: Vec<&str> = refused.violations.iter().map(|v| v.pointer.as_str()).collect();
        assert_eq!((refused.kind, pointers), (ErrorKind::Invalid, vec!["/display_name", "/tags/1"]));
    }

    async fn of_twenty_who_save_the_same_version_one_wins_each_round(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        create(&t, "one", json!({ "saved": "start" })).await;
        let (context, kind) = (t.context(), t.sample());
        for round in 1..=5i64 {
            let saves = (0..20).map(|who| {
                let spec = json!({ "saved": format!("{round}/{who}") });
                t.kernel.working_copy_put(&context, &*kind, "one", round, spec)
            });
            let (won, lost): (Vec<_>, Vec<_>) = join_all(saves).await.into_iter().partition(Result::is_ok);
            assert_eq!((won.len(), lost.len()), (1, 19), "round {round}");
            assert!(lost.iter().all(|lost| lost.as_ref().is_err_and(|error| error.kind == ErrorKind::Stale)));
            let copy = t.kernel.working_copy_get(t.scope, SAMPLE, "one").await.unwrap();
            assert_eq!(copy.version, round + 1);
            assert!(copy.spec["saved"].as_str().unwrap().starts_with(&format!("{round}/")));
        }
        assert_eq!(t.number("SELECT count(*) FROM audit WHERE action = 'samples.edit'").await, 5);
    }

    async fn saving_what_is_there_changes_nothing(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        create(&t, "one", json!({ "count": 1 })).await;
        let (context, kind) = (t.context(), t.sample());
        let copy = t.kernel.working_copy_put(&context, &*kind, "one", 1, json!({ "count": 1.0 })).await.unwrap();
        assert_eq!(copy.version, 1);
        assert_eq!(t.number("SELECT count(*) FROM audit").await, 1);
    }

    async fn a_working_copy_may_break_rules_but_not_the_form(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        create(&t, "one", json!({})).await;
        let (context, kind) = (t.context(), t.sample());
        let put = async |version, spec| t.kernel.working_copy_put(&context, &*kind, "one", version, spec).await;
        assert_eq!(put(1, json!({ "count": -1 })).await.unwrap().version, 2);
        assert_eq!(put(2, json!([])).await.unwrap_err().code, "spec_not_object");
        assert_eq!(put(2, json!({ "text": "a\u{0}b" })).await.unwrap_err().code, "control_character");
        assert_eq!(put(2, json!({ "text": "x".repeat(1024 * 1024) })).await.unwrap_err().code, "spec_too_large");
        let deep = (0..70).fold(json!({}), |inner, _| json!({ "in": inner }));
        assert_eq!(put(2, deep).await.unwrap_err().code, "too_deep");
    }

    async fn an_archived_resource_does_nothing_until_it_is_restored(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({ "count": 1 })).await;
        let (context, kind) = (t.context(), t.sample());
        let version = t.kernel.resource_get(t.scope, SAMPLE, "one").await.unwrap().version;
        let to = async |version, state| t.kernel.resource_set_state(&context, &*kind, "one", version, state).await;
        assert_eq!(to(Some(version - 1), ResourceState::Archived).await.unwrap_err().kind, ErrorKind::Stale);
        let archived = to(Some(version), ResourceState::Archived).await.unwrap();
        assert_eq!((archived.state, archived.version), (ResourceState::Archived, version + 1));
        let audits = t.number("SELECT count(*) FROM audit").await;
        assert_eq!(to(None, ResourceState::Archived).await.unwrap().version, version + 1, "a repeat changes nothing");
        let refusals = [
            t.run_with("one", json!({}), key()).await.err(),
            t.kernel.working_copy_put(&context, &*kind, "one", 2, json!({ "count": 2 })).await.err(),
            t.kernel.revision_create(&context, &*kind, "one", String::new()).await.err(),
            t.kernel.revision_publish(&context, &*kind, "one", None, String::new(), key()).await.err(),
            t.kernel.revision_rollback(&context, &*kind, "one", 1, "because".into(), key()).await.err(),
            t.kernel.apply(&context, vec![document("one", json!({ "count": 2 }))], String::new(), None).await.err(),
            t.kernel.apply_dry_run(&context, vec![document("one", json!({ "count": 2 }))], true).await.err(),
        ];
        for (index, refused) in refusals.iter().enumerate() {
            assert_eq!(refused.as_ref().map(|error| error.code), Some("resource_archived"), "refusal {index}");
        }
        assert_eq!(t.number("SELECT count(*) FROM audit").await, audits);
        let active = t.kernel.resource_list(t.scope, SAMPLE, ResourceFilter::default(), PageRequest::first(5)).await;
        assert!(active.unwrap().items.is_empty());
        to(None, ResourceState::Active).await.unwrap();
        t.run("one").await;
    }
}
