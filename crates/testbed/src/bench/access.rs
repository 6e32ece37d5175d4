//! One access check, with fifty policies of a project's own and a caller in five teams; and what a sign-in with a password costs.
//!
//! The floor is Cedar's bare evaluation of the same policies on the same request, with everything around it made before.

use std::{
    collections::{BTreeMap, HashSet},
    hint::black_box,
    str::FromStr as _,
    sync::Arc,
    time::{Duration, Instant},
};

use cedar_policy::{Authorizer, Context as Circumstances, Entities, Entity, EntityUid, PolicySet, Request};
use qd_kernel::{
    access::{
        VIEWER,
        objects::{Facts, Place},
    },
    context::{Context, Principal, PrincipalKind, Scope},
    credentials::{Origin, SignIn, accounts::NewUser},
};

use super::{
    Bench, Fallible,
    kernel::{BenchKernel, sqlite},
    report::{Aim, Row},
    spread::Spread,
};

const POLICIES: usize = 50;
const CHECKS: usize = 20_000;
const SIGN_INS: usize = 20;
const ACTION: &str = "toys.publish";

pub async fn measure(bench: &Bench) -> Fallible<Vec<Row>> {
    let folder = bench.folder()?;
    let idle = BenchKernel::idle(&sqlite(folder.path()), None).await?;
    let mut rows = checks(&idle.context)?;
    rows.push(sign_in(&idle).await?);
    idle.stop().await;
    Ok(rows)
}

/// A statement of each sort: of a person, of a team, of labels, of a place.
fn policy(number: usize) -> String {
    match number % 4 {
        0 => format!("forbid (principal == User::\"p{number}\", action in Action::\"*.publish\", resource);"),
        1 => {
            format!("permit (principal in Team::\"team-{number}\", action in Action::\"toys.*\", resource);")
        }
        2 => format!(
            "forbid (principal, action in Action::\"*.publish\", resource is Resource)
             when {{ resource.hasTag(\"stage\") && resource.getTag(\"stage\") == \"stage-{number}\" }};"
        ),
        _ => format!(
            "forbid (principal, action == Action::\"toys.run\", resource is Resource)
             when {{ resource has cluster && resource.cluster == \"cluster-{number}\" }};"
        ),
    }
}

fn checks(context: &Context) -> Fallible<Vec<Row>> {
    let texts: BTreeMap<String, String> =
        (0..POLICIES).map(|number| (format!("p{number}"), policy(number))).collect();
    let authority = context.authority.with_policies(&texts);
    let principal = Principal {
        name: "ann".into(),
        kind: PrincipalKind::User,
        roles: vec![VIEWER.into(), "PIPELINE_DEV".into()],
        teams: (0..5).map(|number| format!("team-{}", 4 * number + 1)).collect(),
        held: Arc::default(),
        ..context.principal.clone()
    };
    let facts = Facts {
        kind: "Toy".into(),
        plural: "toys".into(),
        name: "one".into(),
        labels: [("stage".to_owned(), "test".to_owned())].into(),
        places: vec![Place { cluster: Some("here".into()), namespace: Some("lab".into()) }],
        ..Facts::default()
    };
    if !authority.allows_on(&principal, context.scope, ACTION, &facts) {
        return Err("the team's policy does not allow the action".into());
    }
    let ours = timed(|| {
        black_box(authority.allows_on(&principal, context.scope, ACTION, black_box(&facts)));
    });
    let project = timed(|| {
        black_box(authority.allows(&principal, context.scope, black_box("toys.list")));
    });
    let bare = bare(&texts)?;
    let us = |spread: &Spread, share: f64| spread.ms(share) * 1000.0;
    let note = format!("{POLICIES} policies, 5 teams, one resource with labels and a place");
    Ok(vec![
        Row::new("access.check.p50", us(&ours, 0.5), "µs").floor(us(&bare, 0.5)).note(&note),
        Row::new("access.check.p99", us(&ours, 0.99), "µs")
            .floor(us(&bare, 0.99))
            .aim(Aim::ValueAtMost(100.0)),
        Row::new("access.check.project.p99", us(&project, 0.99), "µs")
            .note("the same of the project as a whole"),
    ])
}

/// The policies without the roles, and a request that is made once.
fn bare(texts: &BTreeMap<String, String>) -> Fallible<Spread> {
    let policies = PolicySet::from_str(&texts.values().cloned().collect::<Vec<_>>().join("\n"))?;
    let uid = |text: &str| EntityUid::from_str(text).map_err(Box::new);
    let (user, action, resource) =
        (uid("User::\"ann\"")?, uid("Action::\"toys.publish\"")?, uid("Resource::\"toys/one\"")?);
    let groups: HashSet<EntityUid> =
        [uid("Action::\"toys.*\"")?, uid("Action::\"*.publish\"")?].into_iter().collect();
    let teams = (0..5).map(|number| uid(&format!("Team::\"team-{}\"", 4 * number + 1)));
    let entities = Entities::from_entities(
        [
            Entity::new_no_attrs(user.clone(), teams.collect::<Result<_, _>>()?),
            Entity::new_no_attrs(action.clone(), groups),
            Entity::new_no_attrs(resource.clone(), HashSet::new()),
        ],
        None,
    )?;
    let request = Request::new(user, action, resource, Circumstances::empty(), None)?;
    let authorizer = Authorizer::new();
    Ok(timed(|| {
        black_box(authorizer.is_authorized(black_box(&request), &policies, &entities));
    }))
}

fn timed(mut once: impl FnMut()) -> Spread {
    for _ in 0..CHECKS / 10 {
        once();
    }
    let mut times = Vec::with_capacity(CHECKS);
    for _ in 0..CHECKS {
        let began = Instant::now();
        once();
        times.push(began.elapsed());
    }
    Spread::new(times)
}

async fn sign_in(idle: &BenchKernel) -> Fallible<Row> {
    let on_platform = Context { scope: Scope::PLATFORM, ..idle.context.clone() };
    let new =
        NewUser { name: "ann".into(), display_name: String::new(), service: false, password_hash: None };
    let (_, invitation) = idle.kernel.user_create(&on_platform, new).await?;
    let invitation = invitation.ok_or("a person is invited")?;
    let (password, ids) = ("correct horse battery", idle.context.ids.clone());
    idle.kernel.invitation_accept(&invitation.secret, password, Origin::default(), ids.clone()).await?;
    let mut times: Vec<Duration> = vec![];
    for _ in 0..SIGN_INS {
        let asked = SignIn { name: "ann".into(), password: password.into(), origin: Origin::default() };
        let began = Instant::now();
        idle.kernel.sign_in(asked, ids.clone()).await?;
        times.push(began.elapsed());
    }
    let spread = Spread::new(times);
    let note = format!("argon2id, one after another; slowest {:.0} ms", spread.ms(1.0));
    Ok(Row::new("access.sign-in.p50", spread.p50(), "ms").note(&note))
}
