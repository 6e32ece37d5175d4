//! Policies of a project: checked when they are written, in force soon after, never beyond it, and asked what they would change.

use std::collections::BTreeMap;
use std::time::Duration;

use qd_core::document::Document;
use qd_core::error::{Error, Result};
use qd_kernel::access::bindings::Grant;
use qd_kernel::access::objects::On;
use qd_kernel::access::questions::{Candidate, CandidatePolicy};
use qd_kernel::access::sharing::Share;
use qd_kernel::access::{PIPELINE_DEV, PLATFORM_ADMIN, TENANT_ADMIN, VIEWER};
use qd_kernel::apply::apply_request;
use qd_kernel::changes::Request;
use qd_kernel::context::{Context, Scope};
use qd_kernel::credentials::Identity;
use qd_kernel::credentials::TokenRequest;
use qd_kernel::credentials::accounts::NewUser;
use qd_kernel::params;
use qd_kernel::revisions::publish_request;
use qd_testkit::kernel::key;
use qd_testkit::{ManualClock, TestKernel, both_stores, eventually};
use serde_json::{Value, json};

fn code<T>(answer: Result<T, Error>) -> &'static str {
    answer.err().map_or("fine", |error| error.code)
}

fn policy(name: &str, cedar: &str) -> Document {
    let spec = json!({ "cedar": cedar });
    of_kind("Policy", json!({ "name": name }), spec)
}

fn of_kind(kind: &str, metadata: Value, spec: Value) -> Document {
    let document =
        json!({ "apiVersion": "quarterdeck/v1", "kind": kind, "metadata": metadata, "spec": spec });
    Document::from_value(document).unwrap()
}

/// To apply and publish them.
fn documents(documents: Vec<Document>) -> Request {
    apply_request(documents, String::new(), true)
}

/// A service that holds a role in the tenant.
async fn robot(t: &TestKernel, name: &str, role: Option<&str>) -> Identity {
    let admin = Context { scope: Scope::PLATFORM, ..t.context_as("admin", PLATFORM_ADMIN) };
    let new = NewUser { name: name.into(), display_name: String::new(), service: true, password_hash: None };
    t.kernel.user_create(&admin, new).await.unwrap();
    if let Some(role) = role {
        let grant = Grant { principal: name.into(), role: role.into(), project: None };
        t.kernel.role_grant(&boss(t), grant).await.unwrap();
    }
    let token = t.kernel.service_token_create(&admin, name, TokenRequest::default()).await.unwrap();
    t.kernel.authenticate(&token.secret).await.unwrap()
}

/// Somebody who may name anybody.
fn boss(t: &TestKernel) -> Context {
    Context { scope: t.scope.of_tenant(), ..t.context_as("boss", PLATFORM_ADMIN) }
}

/// The identity at work in the scope, by what is in force now.
async fn at(t: &TestKernel, identity: &Identity, scope: Scope) -> Context {
    let authority = t.kernel.authority_in(scope).await.unwrap();
    Context { authority, principal: identity.principal(scope), scope, ..t.context() }
}

/// Publishes documents as the owner, and waits until what they say is known.
async fn publish(t: &TestKernel, documents: Vec<Document>) {
    let (_, job) = t.kernel.apply(&t.context(), documents, String::new(), Some(key())).await.unwrap();
    let job = t.job_ended(job.unwrap().id).await;
    assert_eq!(job.error.map(|error| error.message), None);
}

async fn may(t: &TestKernel, identity: &Identity, action: &str, sample: &str) -> bool {
    let context = at(t, identity, t.scope).await;
    t.kernel.permit(&context, action, On::resource("Sample", sample)).await.is_ok()
}

async fn until(t: &TestKernel, identity: &Identity, action: &str, sample: &str, allowed: bool) {
    eventually(&format!("{action} on {sample} is {allowed}"), async || {
        (may(t, identity, action, sample).await == allowed).then_some(())
    })
    .await;
}

both_stores! {
    async fn what_is_wrong_with_a_policy_is_said_with_its_place(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        for (cedar, expected, place) in [
            ("permit (principal, action, resource)\nwhen { principal.nmae == \"ann\" };", "policy_invalid", "line 2, column 8"),
            ("permit (principal, action == Action::\"samples.publsh\", resource);", "policy_invalid", "line 1"),
            ("forbid (principal, action, resource)\n  when { resource.name == \"one\" };", "policy_invalid", "line 2"),
            ("forbid (principal, action, resource is Resource) when { resource.cluster == \"a\" };", "policy_invalid", "line 1"),
            ("permit (principal, action, resource) when { principal.name == 7 };", "policy_invalid", "line 1"),
            ("permit (principal, action\nresource);", "policy_syntax", "line 2, column 1"),
            ("permit (principal == ?principal, action, resource);", "policy_template", ""),
            ("// nothing", "policy_empty", ""),
        ] {
            let error = t.kernel.apply(&t.context(), vec![policy("one", cedar)], String::new(), None).await.unwrap_err();
            let found = &error.violations[0];
            assert_eq!((found.pointer.as_str(), found.code.as_str()), ("/spec/cedar", expected), "{cedar}: {found:?}");
            assert!(found.detail.contains(place), "{cedar}: {}", found.detail);
        }
        let two = "permit (principal, action == Action::\"samples.run\", resource);\n\
            forbid (principal, action in [Action::\"*.publish\"], resource is Resource) when { resource has cluster && resource.cluster == \"a\" };";
        t.kernel.apply(&t.context(), vec![policy("one", two)], String::new(), None).await.unwrap();
    }

    async fn a_policy_forbids_whom_a_role_allows_and_allows_whom_none_does(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        let (dev, eve) = (robot(&t, "dev", Some(TENANT_ADMIN)).await, robot(&t, "eve", None).await);
        t.kernel.team_create(&boss(&t), "guests", "").await.unwrap();
        t.kernel.team_member_add(&boss(&t), "guests", "eve").await.unwrap();
        let labelled = |name: &str, stage: &str| {
            of_kind("Sample", json!({ "name": name, "labels": { "stage": stage } }), json!({}))
        };
        publish(&t, vec![labelled("live", "production"), labelled("try", "test")]).await;
        assert!(may(&t, &dev, "samples.publish", "live").await && !may(&t, &eve, "samples.run", "try").await);
        let text = "forbid (principal, action in Action::\"*.publish\", resource is Resource)
            when { resource.hasTag(\"stage\") && resource.getTag(\"stage\") == \"production\" }
            unless { principal.service == false };
            permit (principal == User::\"eve\", action in [Action::\"read\", Action::\"samples.run\"], resource is Resource)
            when { resource.name == \"try\" };";
        publish(&t, vec![policy("stages", text)]).await;
        until(&t, &dev, "samples.publish", "live", false).await;
        assert!(may(&t, &dev, "samples.publish", "try").await && may(&t, &dev, "samples.run", "live").await);
        assert!(may(&t, &eve, "samples.run", "try").await && !may(&t, &eve, "samples.publish", "try").await);
        assert!(!may(&t, &eve, "samples.read", "live").await);
        let dev_context = at(&t, &dev, t.scope).await;
        let job = t.kernel.revision_publish(&dev_context, &*t.sample(), "live", None, String::new(), key()).await;
        let refused = job.map(drop).unwrap_err();
        let why = "statement 1 of policies/stages forbids it";
        assert_eq!((refused.code, refused.detail), ("action_denied", format!("dev may not do samples.publish: {why}")));
        assert_eq!(dev_context.denials.take(), [("samples.publish".to_owned(), why.to_owned())]);
        let back = t.kernel.revision_rollback(&dev_context, &*t.sample(), "live", 1, "why".into(), key()).await.map(drop).unwrap_err();
        assert!(back.code == "action_denied" && back.detail.contains("samples.publish"), "a rollback publishes: {back}");
        // Whoever may not see it learns nothing of what is said of it.
        let eve_context = at(&t, &eve, t.scope).await;
        let hidden = t.kernel.permit(&eve_context, "samples.publish", On::resource("Sample", "live")).await.unwrap_err();
        let absent = t.kernel.permit(&eve_context, "samples.publish", On::resource("Sample", "none")).await.unwrap_err();
        assert_eq!((hidden.code, &hidden.detail), (absent.code, &absent.detail));
        // What is forbidden of some is allowed of none by that.
        let partly = t.kernel.access_partly(&eve_context);
        assert!(partly.iter().any(|action| action == "samples.run") && !partly.iter().any(|action| action == "samples.publish"), "{partly:?}");

        let told = t.kernel.access_told(&dev_context, &dev, "samples.publish", Some("samples/live")).await.unwrap();
        assert_eq!((told.allowed, told.because[0].sentence.as_str()), (false, "statement 1 of policies/stages forbids it"));
        let able = t.kernel.access_able(&dev_context, "samples.run", Some("samples/try")).await.unwrap();
        let names: BTreeMap<&str, &str> = able.items.iter().map(|able| (able.principal.as_str(), able.because[0].sentence.as_str())).collect();
        assert_eq!(names["eve"], "statement 2 of policies/stages allows it");
        assert_eq!(names["dev"], "the role TENANT_ADMIN, held in the tenant");
        assert_eq!(names["owner"], "the role PLATFORM_ADMIN, held everywhere");

        // In its project and nowhere else.
        t.kernel.project_create(&boss(&t), "lab", "").await.unwrap();
        let lab = t.kernel.scope_find(None, Some("lab")).await.unwrap().scope;
        assert!(at(&t, &dev, lab).await.authority.allows(&dev.principal(lab), lab, "samples.publish"));
    }

    async fn who_approves_a_plan_may_review_each_thing_that_it_publishes(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        let sample = |name: &str, stage: &str, count: i64| {
            of_kind("Sample", json!({ "name": name, "labels": { "stage": stage } }), json!({ "count": count }))
        };
        publish(&t, vec![sample("live", "production", 1), sample("try", "test", 1)]).await;
        let text = "forbid (principal == User::\"judge\", action == Action::\"samples.review\", resource is Resource)
            when { resource.hasTag(\"stage\") && resource.getTag(\"stage\") == \"production\" };";
        publish(&t, vec![policy("stages", text)]).await;
        let judge = async || {
            let authority = t.kernel.authority_in(t.scope).await.unwrap();
            Context { authority, ..t.context_as("judge", TENANT_ADMIN) }
        };
        eventually("the policy is in force", async || {
            let live = On::resource("Sample", "live");
            t.kernel.permit(&judge().await, "samples.review", live).await.is_err().then_some(())
        })
        .await;
        // What is there, what is to come, and what would no longer be what it is.
        for (name, stage, approved) in
            [("live", "production", false), ("new", "production", false), ("live", "test", false), ("try", "production", false), ("try", "test", true)]
        {
            // Beside something that he may not be asked about as if it were that.
            let documents = vec![sample(name, stage, 2), policy("more", "permit (principal, action == Action::\"jobs.cancel\", resource);")];
            let plan = t.kernel.plan_create(&t.context(), self::documents(documents)).await.unwrap();
            assert_eq!(t.kernel.plan_get(&judge().await, plan.id).await.unwrap().may_decide, approved, "{name} {stage}");
            let told = t.kernel.plan_approve(&judge().await, plan.id, plan.hash, String::new()).await;
            assert_eq!(told.map_err(|error| error.code).map(drop), if approved { Ok(()) } else { Err("not_a_reviewer") }, "{name} {stage}");
        }
        t.kernel.apply(&t.context(), vec![sample("live", "production", 3)], String::new(), None).await.unwrap();
        let request = publish_request(&*t.sample(), "live", None, String::new());
        let plan = t.kernel.plan_create(&t.context(), request).await.unwrap();
        let refused = t.kernel.plan_approve(&judge().await, plan.id, plan.hash, String::new()).await.unwrap_err();
        assert_eq!(refused.code, "not_a_reviewer");
        assert!(refused.detail.contains("judge may not do samples.review: statement 1 of policies/stages forbids it"), "{refused}");
    }

    async fn nobody_is_locked_out_of_the_policies_and_only_administrators_publish_them(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        let (admin, dev) = (robot(&t, "adm", Some(TENANT_ADMIN)).await, robot(&t, "dev", Some(PIPELINE_DEV)).await);
        publish(&t, vec![of_kind("Sample", json!({ "name": "one" }), json!({}))]).await;
        let locks = "forbid (principal, action, resource);\npermit (principal, action in Action::\"policies.*\", resource);";
        publish(&t, vec![policy("lock", locks)]).await;
        until(&t, &admin, "samples.read", "one", false).await;
        let (admin, dev) = (at(&t, &admin, t.scope).await, at(&t, &dev, t.scope).await);
        assert!(admin.authority.allows(&admin.principal, t.scope, "policies.publish"));
        assert!(!dev.authority.allows(&dev.principal, t.scope, "policies.publish"), "a policy gives nobody a say in policies");
        assert!(dev.authority.allows(&dev.principal, t.scope, "policies.read"));
        let tenant = Context { scope: t.scope.of_tenant(), ..admin.clone() };
        assert!(tenant.authority.allows(&tenant.principal, tenant.scope, "members.grant"));
        // By documents too, and by these nothing but policies.
        let context = admin.clone();
        let mended = |documents| t.kernel.apply(&context, documents, String::new(), None);
        mended(vec![policy("lock", "permit (principal, action in Action::\"read\", resource);")]).await.unwrap();
        let more = of_kind("Sample", json!({ "name": "two" }), json!({}));
        assert_eq!(code(mended(vec![more]).await), "action_denied");
        let kind = t.kernel.registry.find_kind("Policy").unwrap().clone();
        assert_eq!(code(t.kernel.resource_set_state(&dev, &*kind, "lock", None, qd_core::state::ResourceState::Archived).await), "action_denied");
        t.kernel.resource_set_state(&admin, &*kind, "lock", None, qd_core::state::ResourceState::Archived).await.unwrap();
        let admin = t.kernel.identity_named(&t.context(), "adm").await.unwrap();
        until(&t, &admin, "samples.read", "one", true).await;
    }

    async fn a_policy_gives_a_viewer_the_right_to_apply_documents_and_takes_it_from_nobody(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        let (dev, eve) = (robot(&t, "dev", Some(PIPELINE_DEV)).await, robot(&t, "eve", Some(VIEWER)).await);
        publish(&t, vec![of_kind("Sample", json!({ "name": "one" }), json!({}))]).await;
        let text = "permit (principal == User::\"eve\", action in [Action::\"documents.apply\", Action::\"samples.*\"], resource);
            forbid (principal == User::\"dev\", action in [Action::\"documents.apply\", Action::\"samples.*\"], resource);";
        publish(&t, vec![policy("some", text)]).await;
        until(&t, &eve, "samples.publish", "one", true).await;
        let (eve, dev) = (at(&t, &eve, t.scope).await, at(&t, &dev, t.scope).await);
        for (context, may_change) in [(&eve, true), (&dev, false)] {
            t.kernel.permit(context, "documents.apply", On::Scope).await.unwrap();
            let changed = of_kind("Sample", json!({ "name": "one", "labels": { "by": "hand" } }), json!({}));
            let applied = t.kernel.apply(context, vec![changed], String::new(), None).await;
            assert_eq!(applied.is_ok(), may_change, "{}", context.principal.name);
        }
    }

    async fn what_a_policy_exempts_from_what_it_forbids_is_known_to_be_allowed(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        let eve = robot(&t, "eve", Some(VIEWER)).await;
        publish(&t, vec![of_kind("Sample", json!({ "name": "one" }), json!({}))]).await;
        let text = "forbid (principal == User::\"eve\", action, resource) unless { resource is Resource && resource.name == \"one\" };";
        publish(&t, vec![policy("some", text)]).await;
        let partly = eventually("the policy is in force", async || {
            let context = at(&t, &eve, t.scope).await;
            let allowed = context.authority.allows(&context.principal, t.scope, "samples.read");
            (!allowed).then(|| t.kernel.access_partly(&context))
        })
        .await;
        assert!(may(&t, &eve, "samples.read", "one").await);
        let told = |action: &str| partly.iter().any(|one| one == action);
        assert!(told("samples.read") && told("runs.list") && !told("samples.publish"), "{partly:?}");
    }

    async fn what_documents_would_change_is_shown_to_who_may_read_it(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        let mut people = vec![];
        for name in ["all", "reading", "one"] {
            people.push(robot(&t, name, Some(PIPELINE_DEV)).await);
        }
        let sample = |name: &str| of_kind("Sample", json!({ "name": name, "labels": { "by": "hand" } }), json!({}));
        publish(&t, vec![sample("one"), sample("two")]).await;
        let text = "forbid (principal == User::\"all\", action, resource);
            forbid (principal == User::\"reading\", action == Action::\"samples.read\", resource);
            forbid (principal == User::\"one\", action == Action::\"samples.read\", resource is Resource) when { resource.name == \"one\" };";
        publish(&t, vec![policy("some", text)]).await;
        until(&t, &people[2], "samples.read", "one", false).await;
        for (identity, expected) in people.iter().zip([
            ["action_denied", "action_denied", "action_denied"],
            ["action_denied", "action_denied", "action_denied"],
            ["resource_not_found", "ok", "ok"],
        ]) {
            let context = at(&t, identity, t.scope).await;
            for (name, expected) in ["one", "two", "new"].into_iter().zip(expected) {
                let shown = t.kernel.change_preview(&context, &documents(vec![sample(name)])).await;
                let found = shown.map_or_else(|error| error.code, |_| "ok");
                assert_eq!(found, expected, "{} {name}", identity.name);
            }
        }
    }

    async fn a_cluster_and_a_namespace_narrow_what_a_policy_allows(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        let dev = robot(&t, "dev", Some(VIEWER)).await;
        let place = |name: &str, namespace: &str| {
            of_kind("Sample", json!({ "name": name }), json!({ "cluster": "north", "namespace": namespace }))
        };
        publish(&t, vec![place("lab", "lab"), place("live", "live")]).await;
        let text = "permit (principal in Role::\"viewer\", action in Action::\"samples.*\", resource is Resource)
            when { resource has cluster && resource.cluster == \"north\" && resource has namespace && resource.namespace == \"lab\" };";
        publish(&t, vec![policy("lab", text)]).await;
        until(&t, &dev, "samples.publish", "lab", true).await;
        assert!(!may(&t, &dev, "samples.publish", "live").await && may(&t, &dev, "samples.read", "live").await);
        // What is to be published somewhere else must be allowed there as well.
        let (context, sample) = (at(&t, &dev, t.scope).await, t.sample());
        let copy = t.kernel.working_copy_get(t.scope, "Sample", "lab").await.unwrap();
        let elsewhere = json!({ "cluster": "north", "namespace": "live" });
        t.kernel.working_copy_put(&context, &*sample, "lab", copy.version, elsewhere).await.unwrap();
        assert_eq!(code(t.kernel.revision_create(&context, &*sample, "lab", String::new()).await), "action_denied");
    }

    async fn a_policy_about_those_who_hold_a_resource_is_about_that_resource(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        robot(&t, "dev", Some(TENANT_ADMIN)).await;
        let sample = |name: &str| of_kind("Sample", json!({ "name": name }), json!({}));
        publish(&t, vec![sample("one"), sample("two")]).await;
        t.kernel.resource_share(&t.context(), &*t.sample(), "one", "dev", Share::Operator).await.unwrap();
        let dev = t.kernel.identity_named(&t.context(), "dev").await.unwrap();
        assert!(may(&t, &dev, "samples.publish", "one").await);
        publish(&t, vec![policy("held", "forbid (principal in Share::\"operator\", action == Action::\"samples.publish\", resource);")]).await;
        until(&t, &dev, "samples.publish", "one", false).await;
        assert!(may(&t, &dev, "samples.publish", "two").await && may(&t, &dev, "samples.run", "one").await);
        let asked = "forbid (principal, action == Action::\"samples.run\", resource) when { principal in Share::\"operator\" };";
        publish(&t, vec![policy("held", asked)]).await;
        until(&t, &dev, "samples.run", "one", false).await;
        assert!(may(&t, &dev, "samples.run", "two").await && may(&t, &dev, "samples.publish", "one").await);
        let context = at(&t, &dev, t.scope).await;
        let job = t.kernel.run_start(&context, &*t.sample(), "one", json!({}), None, key()).await;
        assert_eq!(code(job), "action_denied");
    }

    async fn what_would_change_is_told_before_it_does(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        robot(&t, "dev", Some(PIPELINE_DEV)).await;
        publish(&t, vec![of_kind("Sample", json!({ "name": "one" }), json!({}))]).await;
        let with = |cedar: &str| Candidate {
            policies: vec![CandidatePolicy { name: "night".into(), cedar: cedar.into() }],
            principals: vec!["dev".into(), "owner".into()],
            actions: vec!["samples.*".into(), "jobs.cancel".into()],
            ..Candidate::default()
        };
        let context = Context { authority: t.kernel.authority_in(t.scope).await.unwrap(), ..t.context() };
        let told = t.kernel.access_what_if(&context, with("forbid (principal == User::\"dev\", action == Action::\"jobs.cancel\", resource);")).await.unwrap();
        let changes: Vec<_> = told.changes.iter().map(|c| (c.principal.as_str(), c.action.as_str(), c.object.as_deref(), c.before, c.after)).collect();
        assert_eq!(changes, [("dev", "jobs.cancel", None, true, false)]);
        let told = t.kernel.access_what_if(&context, with("permit (principal == User::\"dev\", action == Action::\"samples.publish\", resource is Resource);")).await.unwrap();
        let changes: Vec<_> = told.changes.iter().map(|c| (c.principal.as_str(), c.object.as_deref(), c.after)).collect();
        assert_eq!(changes, [("dev", Some("samples/one"), true)]);
        assert_eq!(told.changes[0].because[0].policy, "policy:night#1");
        let wrong = t.kernel.access_what_if(&context, with("permit (principal, action == Action::\"no\", resource);")).await.unwrap_err();
        assert_eq!((wrong.code, wrong.violations[0].pointer.as_str()), ("spec_invalid", "/policies/0/cedar"));
    }

    async fn a_what_if_takes_no_more_than_it_can_compare(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let text = "permit (principal, action == Action::\"samples.run\", resource);";
        let with = |name: &str, cedar: String| CandidatePolicy { name: name.into(), cedar };
        let asked = async |candidate: Candidate| {
            let error = t.kernel.access_what_if(&t.context(), candidate).await.unwrap_err();
            let first = &error.violations[0];
            (error.code, first.pointer.clone(), first.code.clone())
        };
        let of = |policies: Vec<CandidatePolicy>| Candidate { policies, ..Candidate::default() };
        let said = |pointer: &str, code: &str| ("spec_invalid", pointer.to_owned(), code.to_owned());
        let long = format!("{text}//{}", "x".repeat(65_536));
        assert_eq!(asked(of(vec![with("night", long)])).await, said("/policies/0/cedar", "too_long"));
        let many = (0..21).map(|n| with(&format!("p{n}"), text.into())).collect();
        assert_eq!(asked(of(many)).await, said("/policies", "too_many"));
        let large = (0..5).map(|n| with(&format!("p{n}"), format!("{text}//{}", "x".repeat(60_000)))).collect();
        assert_eq!(asked(of(large)).await, said("/policies", "too_long"));
        assert_eq!(asked(of(vec![with("no name", text.into())])).await, said("/policies/0/name", "invalid_name"));
        let names = Candidate { principals: vec!["ann".into(); 501], ..Candidate::default() };
        assert_eq!(asked(names).await, said("/principals", "too_many"));
    }

    async fn a_set_that_cannot_be_read_denies_and_says_so(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let t = TestKernel::build().clock(&clock).on(&db).await;
        publish(&t, vec![policy("one", "permit (principal, action == Action::\"samples.run\", resource);")]).await;
        let owner = t.kernel.identity_named(&t.context(), "owner").await.unwrap();
        assert_eq!(t.kernel.policies_broken(), [""; 0]);
        let spoilt = t.kernel.store.write(move |tx| -> Result<()> {
            tx.exec("UPDATE revision SET spec = $1, spec_hash = 'other' WHERE spec LIKE '%samples.run%'", params!["{\"cedar\":\"permit\"}".to_owned()])?;
            Ok(())
        });
        spoilt.await.unwrap();
        let denied = async || {
            clock.advance(Duration::from_secs(1));
            let context = at(&t, &owner, t.scope).await;
            (!context.authority.allows(&context.principal, t.scope, "samples.read")).then_some(context)
        };
        let context = eventually("the set is found broken", denied).await;
        assert!(context.authority.allows(&context.principal, t.scope, "policies.publish"), "it can be put right");
        let sample = of_kind("Sample", json!({ "name": "one" }), json!({}));
        assert_eq!(code(t.kernel.change_preview(&context, &documents(vec![sample])).await), "action_denied");
        assert!(t.kernel.policies_broken()[0].contains("policies/one cannot be read"), "{:?}", t.kernel.policies_broken());
        clock.advance(Duration::from_mins(2));
        assert_eq!(t.kernel.policies_broken(), [""; 0], "nobody has asked for a while: it may be put right, or gone");
    }

    async fn a_share_counts_for_a_team_and_no_policy_of_another_project(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        let tom = robot(&t, "tom", None).await;
        let boss = boss(&t);
        publish(&t, vec![of_kind("Sample", json!({ "name": "one" }), json!({})), of_kind("Sample", json!({ "name": "two" }), json!({}))]).await;
        t.kernel.team_create(&boss, "core", "").await.unwrap();
        t.kernel.team_member_add(&boss, "core", "tom").await.unwrap();
        t.kernel.resource_share(&t.context(), &*t.sample(), "one", "team:core", Share::Operator).await.unwrap();
        let tom = t.kernel.identity_named(&t.context(), &tom.name).await.unwrap();
        assert!(may(&t, &tom, "samples.run", "one").await && may(&t, &tom, "runs.read", "one").await);
        assert!(!may(&t, &tom, "samples.edit", "one").await && !may(&t, &tom, "samples.read", "two").await);
        let context = at(&t, &tom, t.scope).await;
        let told = t.kernel.access_told(&context, &tom, "samples.run", Some("samples/one")).await.unwrap();
        assert_eq!(told.because[0].sentence, "it is shared with tom as operator through the team core");
        t.kernel.team_delete(&boss, "core").await.unwrap();
        let tom = t.kernel.identity_named(&t.context(), "tom").await.unwrap();
        assert!(tom.held.is_empty() && !may(&t, &tom, "samples.run", "one").await);
    }
}
