//! Who is told of what, once, and never of his own doing.

use std::time::Duration;

use qd_kernel::access::PLATFORM_ADMIN;
use qd_kernel::access::bindings::{Binding, Grant};
use qd_kernel::access::matrix::Level;
use qd_kernel::access::{TENANT_ADMIN, VIEWER};
use qd_kernel::context::{Context, PrincipalKind, Scope};
use qd_kernel::credentials::Identity;
use qd_kernel::credentials::accounts::NewUser;
use qd_kernel::notifications::Notification;
use qd_kernel::page::PageRequest;
use qd_kernel::reviews::NewComment;
use qd_testkit::kernel::{foreign_scope, key};
use qd_testkit::sample::{document, document_of};
use qd_testkit::{ManualClock, TestKernel, both_stores, eventually};
use serde_json::json;

async fn person(t: &TestKernel, name: &str, role: Option<&str>) {
    let platform = Context { scope: Scope::PLATFORM, ..t.context() };
    let new = NewUser { name: name.into(), display_name: String::new(), service: false, password_hash: None };
    t.kernel.user_create(&platform, new).await.unwrap();
    if let Some(role) = role {
        let tenant = Context { scope: t.scope.of_tenant(), ..t.context() };
        let grant = Grant { principal: name.into(), role: role.into(), project: None };
        t.kernel.role_grant(&tenant, grant).await.unwrap();
    }
}

fn identity(t: &TestKernel, name: &str) -> Identity {
    let binding = Binding {
        role: TENANT_ADMIN.into(),
        level: Level::Tenant,
        object_id: t.scope.tenant_id.uuid(),
        tenant_id: t.scope.tenant_id,
        team: None,
    };
    Identity {
        id: t.context().principal.id,
        name: name.into(),
        kind: PrincipalKind::User,
        bindings: [binding].into(),
        teams: [].into(),
        held: [].into(),
        limits: None,
        credential_id: uuid::Uuid::nil(),
    }
}

async fn told(t: &TestKernel, name: &str, unread: bool) -> Vec<Notification> {
    let page = t.kernel.notification_list(&identity(t, name), t.scope, unread, PageRequest::first(50)).await;
    page.unwrap().items
}

async fn what(t: &TestKernel, name: &str) -> Vec<String> {
    told(t, name, true).await.into_iter().map(|one| one.what).collect()
}

both_stores! {
    /// Told: whom a policy or what they hold lets review. Shown: what one may still read.
    async fn who_is_told_and_shown_is_who_may(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        for (name, role) in [("ann", TENANT_ADMIN), ("bob", TENANT_ADMIN), ("olga", VIEWER), ("vera", VIEWER)] {
            person(&t, name, Some(role)).await;
        }
        let ann = Context { authority: t.kernel.authority.clone(), ..t.context_as("ann", PLATFORM_ADMIN) };
        let mut owned = document("one", json!({}));
        owned.metadata.owners = vec!["olga".into()];
        t.kernel.apply(&ann, vec![owned], String::new(), None).await.unwrap();
        t.kernel.revision_submit(&ann, &*t.sample(), "one", 1, "please".into()).await.unwrap();
        for (name, expected) in [("bob", 1), ("olga", 1), ("vera", 0)] {
            assert_eq!(told(&t, name, true).await.len(), expected, "{name}");
        }
        let nobody = Identity { bindings: [].into(), ..identity(&t, "bob") };
        let shown = t.kernel.notification_list(&nobody, t.scope, true, PageRequest::first(5)).await.unwrap();
        assert!(shown.items.is_empty(), "the role is gone, and so is what it showed");
        let text = "forbid (principal == User::\"bob\", action in Action::\"read\", resource is Resource) when { resource.name == \"one\" };";
        let documents = vec![document_of("Policy", "secret", json!({ "cedar": text }))];
        let (_, job) = t.kernel.apply(&t.context(), documents, String::new(), Some(key())).await.unwrap();
        t.job_ended(job.unwrap().id).await;
        eventually("it is in force", async || told(&t, "bob", false).await.is_empty().then_some(())).await;
        assert_eq!(told(&t, "olga", false).await.len(), 1);
    }

    async fn those_are_told_whom_it_concerns(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let t = TestKernel::build().clock(&clock).idle().on(&db).await;
        for (name, role) in [("ann", Some(TENANT_ADMIN)), ("bob", Some(TENANT_ADMIN)), ("vera", Some(VIEWER)), ("zoe", None)] {
            person(&t, name, role).await;
        }
        let (ann, bob) = (t.context_as("ann", PLATFORM_ADMIN), t.context_as("bob", PLATFORM_ADMIN));
        let kind = t.sample();
        t.kernel.apply(&ann, vec![document("one", json!({}))], String::new(), None).await.unwrap();
        t.kernel.revision_submit(&ann, &*kind, "one", 1, "please".into()).await.unwrap();
        for (name, expected) in [("ann", 0), ("bob", 1), ("vera", 0), ("zoe", 0), ("owner", 0)] {
            assert_eq!(told(&t, name, true).await.len(), expected, "{name}");
        }
        let one = told(&t, "bob", true).await.remove(0);
        assert_eq!((one.what.as_str(), one.name.as_str(), one.revision, one.by.as_str(), one.message.as_str()),
            ("revision.submitted", "one", 1, "ann", "please"));
        let new = NewComment { body: "why?".into(), pointer: None };
        t.kernel.comment_add(&bob, &*kind, "one", 1, new).await.unwrap();
        let new = NewComment { body: "because".into(), pointer: None };
        t.kernel.comment_add(&ann, &*kind, "one", 1, new).await.unwrap();
        t.kernel.revision_reject(&bob, &*kind, "one", 1, "no".into()).await.unwrap();
        assert_eq!(what(&t, "ann").await, ["revision.rejected", "revision.commented"]);
        assert_eq!(what(&t, "bob").await, ["revision.commented", "revision.submitted"]);
        assert_eq!(t.kernel.inbox_counts(&identity(&t, "bob"), t.scope).await.unwrap().unread, 2);

        let at_tenant = |by: &Context| Context { scope: t.scope.of_tenant(), ..by.clone() };
        let newest = told(&t, "bob", true).await[0].id;
        assert_eq!(t.kernel.notification_read(&at_tenant(&ann), vec![newest]).await.unwrap(), 0, "it is another's");
        assert_eq!(t.kernel.notification_read(&at_tenant(&bob), vec![newest]).await.unwrap(), 1);
        assert_eq!(what(&t, "bob").await, ["revision.submitted"]);
        assert_eq!(t.kernel.notification_read(&at_tenant(&bob), vec![]).await.unwrap(), 1);
        assert_eq!(t.kernel.notification_read(&at_tenant(&bob), vec![]).await.unwrap(), 0);
        assert_eq!((told(&t, "bob", true).await.len(), told(&t, "bob", false).await.len()), (0, 2));
        let many = vec![newest; 501];
        assert_eq!(t.kernel.notification_read(&at_tenant(&bob), many).await.unwrap_err().code, "too_many_notifications");
        let elsewhere = t.kernel.notification_list(&identity(&t, "bob"), foreign_scope(), false, PageRequest::first(5)).await;
        assert!(elsewhere.unwrap().items.is_empty());

        clock.advance(Duration::from_hours(24 * 91));
        assert_eq!(t.kernel.retention_sweep().await.unwrap().notifications, 4);
        assert!(told(&t, "bob", false).await.is_empty());
    }

    async fn who_was_asked_is_told_that_it_was_withdrawn(db: TestDatabase) {
        let t = TestKernel::build().clock(&ManualClock::new(1)).idle().on(&db).await;
        for (name, role) in [("ann", TENANT_ADMIN), ("bob", TENANT_ADMIN), ("vera", VIEWER)] {
            person(&t, name, Some(role)).await;
        }
        let (ann, kind) = (t.context_as("ann", PLATFORM_ADMIN), t.sample());
        t.kernel.apply(&ann, vec![document("one", json!({}))], String::new(), None).await.unwrap();
        t.kernel.revision_submit(&ann, &*kind, "one", 1, "please".into()).await.unwrap();
        t.kernel.revision_withdraw(&ann, &*kind, "one", 1, "not yet".into()).await.unwrap();
        assert_eq!(what(&t, "bob").await, ["revision.withdrawn", "revision.submitted"]);
        let one = told(&t, "bob", true).await.remove(0);
        assert_eq!((one.name.as_str(), one.revision, one.by.as_str(), one.message.as_str()), ("one", 1, "ann", "not yet"));
        for name in ["ann", "vera"] {
            assert!(told(&t, name, true).await.is_empty(), "{name}");
        }
    }
}
