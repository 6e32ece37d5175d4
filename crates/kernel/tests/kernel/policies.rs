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
use qd_kernel::context::{Context, Scope};
use qd_kernel::credentials::Identity;
use qd_kernel::credentials::TokenRequest;
use qd_kernel::credentials::accounts::NewUser;
use qd_kernel::params;
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
        assert_eq!(code(job), "action_denied");

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
        let kind = t.kernel.registry.find_kind("Policy").unwrap().clone();
        assert_eq!(code(t.kernel.resource_set_state(&dev, &*kind, "lock", None, qd_core::state::ResourceState::Archived).await), "action_denied");
        t.kernel.resource_set_state(&admin, &*kind, "lock", None, qd_core::state::ResourceState::Archived).await.unwrap();
        let admin = t.kernel.identity_named(&t.context(), "adm").await.unwrap();
        until(&t, &admin, "samples.read", "one", true).await;
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
