//! One wrapper, one transaction: access check, change, audit record and event, or nothing at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use qd_core::diff::Change;
use qd_core::error::{Error, ErrorKind, Result};
use qd_kernel::access::VIEWER;
use qd_kernel::audit::AuditFilter;
use qd_kernel::mutation::{Act, Mutation, Object, Subject};
use qd_kernel::page::PageRequest;
use qd_kernel::params;
use qd_kernel::store::Backend;
use qd_testkit::{TestKernel, both_stores};
use serde_json::json;
use uuid::Uuid;

/// Rows that a mutation may leave: renamed tenants, audit records, events.
async fn left(t: &TestKernel) -> (i64, i64, i64) {
    let events = match t.kernel.store.backend() {
        Backend::Sqlite => "SELECT count(*) FROM event",
        Backend::Postgres => "SELECT (SELECT count(*) FROM event) + (SELECT count(*) FROM event_outbox)",
    };
    let renamed = t.number("SELECT count(*) FROM tenant WHERE name = 'renamed'").await;
    (renamed, t.number("SELECT count(*) FROM audit").await, t.number(events).await)
}

fn change(m: &mut Mutation<'_, '_>) -> Result<()> {
    m.tx.exec("UPDATE tenant SET name = $1", params!["renamed"])?;
    Ok(())
}

fn audit(m: &mut Mutation<'_, '_>) -> Result<()> {
    let changes = [Change::replace("/name", "default".into(), "renamed".into())];
    m.audit(&Object { kind: "Tenant", id: Uuid::from_u128(7), name: "renamed" }, &changes, None)
}

fn event(m: &mut Mutation<'_, '_>) -> Result<()> {
    m.event("tenant.renamed", Subject::default(), &json!({ "to": "renamed" }))
}

fn act() -> Act {
    Act::new("tenants", "rename").because("a better name")
}

both_stores! {
    async fn a_change_its_audit_record_and_its_event_are_kept_together(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        t.kernel.mutate(&t.context(), act(), |m| { change(m)?; audit(m)?; event(m) }).await.unwrap();
        assert_eq!(left(&t).await, (1, 1, 1));
        let records =
            t.kernel.audit_list(t.scope, AuditFilter::default(), PageRequest::first(10)).await.unwrap().items;
        let record = &records[0];
        assert_eq!((record.actor.as_str(), record.action.as_str()), ("tester", "tenants.rename"));
        assert_eq!((record.reason.as_str(), record.outcome.as_str()), ("a better name", "success"));
        assert_eq!((record.source.as_str(), record.request_id.as_str()), ("test", "request-1"));
        assert_eq!(record.changes[0]["after"], "renamed");
    }

    async fn without_an_audit_record_nothing_is_kept(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let refused = t.kernel.mutate(&t.context(), act(), |m| { change(m)?; event(m) }).await.unwrap_err();
        assert_eq!(refused.code, "mutation_without_audit");
        assert_eq!(left(&t).await, (0, 0, 0));
    }

    async fn without_an_event_nothing_is_kept(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let refused = t.kernel.mutate(&t.context(), act(), |m| { change(m)?; audit(m) }).await.unwrap_err();
        assert_eq!(refused.code, "mutation_without_event");
        assert_eq!(left(&t).await, (0, 0, 0));
    }

    async fn a_change_that_calls_itself_a_repeat_still_answers_for_what_it_said(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        t.kernel.mutate(&t.context(), act(), |m| { m.unchanged(); Ok(()) }).await.unwrap();
        let refused =
            t.kernel.mutate(&t.context(), act(), |m| { m.unchanged(); change(m)?; event(m) }).await.unwrap_err();
        assert_eq!(refused.code, "mutation_without_audit");
        assert_eq!(left(&t).await, (0, 0, 0));
    }

    async fn a_failing_change_leaves_neither_record_nor_event(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let refused = t
            .kernel
            .mutate(&t.context(), act(), |m| {
                change(m)?;
                audit(m)?;
                event(m)?;
                Err::<(), _>(Error::conflict("changed_my_mind", "after all of it was written"))
            })
            .await
            .unwrap_err();
        assert_eq!(refused.code, "changed_my_mind");
        assert_eq!(left(&t).await, (0, 0, 0));
    }

    async fn those_that_fail_do_not_take_those_beside_them_along(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let (kernel, context) = (t.kernel.clone(), t.context());
        let all = (0..64).map(|n| {
            let (kernel, context) = (kernel.clone(), context.clone());
            async move {
                kernel
                    .mutate(&context, act(), move |m| {
                        audit(m)?;
                        event(m)?;
                        if n % 2 == 0 { Ok(()) } else { Err(Error::conflict("odd", "odd ones fail")) }
                    })
                    .await
            }
        });
        let kept = futures::future::join_all(all).await.into_iter().filter(Result::is_ok).count();
        assert_eq!(kept, 32);
        assert_eq!(left(&t).await, (0, 32, 32));
    }

    async fn who_may_not_changes_nothing(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let ran = Arc::new(AtomicU32::new(0));
        for role in [VIEWER, "stranger", ""] {
            let ran = ran.clone();
            let denied = t
                .kernel
                .mutate(&t.context_as("nobody", role), act(), move |m| {
                    ran.fetch_add(1, Ordering::Relaxed);
                    change(m)?;
                    audit(m)?;
                    event(m)
                })
                .await
                .unwrap_err();
            assert_eq!((denied.kind, denied.code), (ErrorKind::Forbidden, "action_denied"));
        }
        assert_eq!(ran.load(Ordering::Relaxed), 0, "the closure must not even start");
        assert_eq!(left(&t).await, (0, 0, 0));
    }
}
