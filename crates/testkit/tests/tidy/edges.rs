//! Which crate may import which: floors, imports only downward, and planes never each other.

use std::collections::BTreeMap;

use crate::assert_tidy;
use crate::workspace::{Kind, packages};

const PLANE: u8 = 3;
const FLOORS: &[(&str, u8)] = &[
    ("qd-core", 0),
    ("qd-kernel", 1),
    ("qd-kubernetes", 2),
    ("qd-pipelines", PLANE),
    ("qd-operators", PLANE),
    ("qd-models", PLANE),
    ("qd-datasources", PLANE),
    ("qd-platform", PLANE),
    ("qd-insight", PLANE),
    ("qd-server", 4),
    ("qd-cli", 5),
    ("qd-testbed", 5),
];
/// Beside the floors: real services and doubles for tests, built on the kernel and imported by tests only.
const TESTKIT: &str = "qd-testkit";
const TESTKIT_FLOOR: u8 = 2;

/// Libraries that one crate alone is to know. The unshipped crates may use them: they measure against them.
const OWNED: &[(&str, &str)] = &[
    ("axum", "qd-server"),
    ("rusqlite", "qd-kernel"),
    ("tokio-postgres", "qd-kernel"),
    ("rust-embed", "qd-server"),
];
const UNSHIPPED: &[&str] = &[TESTKIT, "qd-testbed"];

/// What the model does not touch: it has no IO, no clock and no runtime.
const NOT_IN_CORE: &[&str] = &["tokio", "nix", "rand", "reqwest", "tempfile", "tracing"];

/// What is wrong with `from` importing `to`, if anything.
fn complaint(from: &str, to: &str, kind: Kind) -> Option<String> {
    let floors: BTreeMap<&str, u8> = FLOORS.iter().copied().collect();
    let floor = |name: &str| if name == TESTKIT { Some(TESTKIT_FLOOR) } else { floors.get(name).copied() };
    let (Some(above), Some(below)) = (floor(from), floor(to)) else {
        return Some(format!("{from} → {to}: one of them has no floor; give it one here"));
    };
    if to == TESTKIT {
        let allowed = kind == Kind::Dev || UNSHIPPED.contains(&from);
        return (!allowed).then(|| format!("{from} → {to}: a dev-dependency only"));
    }
    (above <= below).then(|| match (above, below) {
        (PLANE, PLANE) => format!("{from} → {to}: planes never import each other"),
        _ => format!("{from} → {to}: imports go downward only"),
    })
}

#[test]
fn crates_import_downward_only() {
    let members = packages();
    let names: Vec<&str> = members.iter().map(|package| package.name.as_str()).collect();
    assert!(names.contains(&"qd-core") && names.contains(&"qd-server"), "{names:?}");
    let mut broken = Vec::new();
    let mut edges = 0;
    for package in &members {
        for dependency in package.dependencies.iter().filter(|found| names.contains(&found.name.as_str())) {
            edges += 1;
            broken.extend(complaint(&package.name, &dependency.name, dependency.kind));
        }
    }
    assert!(edges > 4, "only {edges} edges found");
    assert_tidy("crates import downward only", &broken);
}

#[test]
fn the_rule_for_edges_refuses_what_it_should() {
    use Kind::{Dev, Normal};
    for (from, to, kind) in [
        ("qd-core", "qd-kernel", Normal),
        ("qd-kernel", "qd-server", Dev),
        ("qd-pipelines", "qd-models", Normal),
        ("qd-cli", "qd-testbed", Normal),
        ("qd-cli", TESTKIT, Normal),
        ("qd-testkit", "qd-pipelines", Normal),
        ("qd-cli", "qd-new", Normal),
    ] {
        assert!(complaint(from, to, kind).is_some(), "{from} → {to} passes");
    }
    for (from, to, kind) in [
        ("qd-cli", "qd-core", Normal),
        ("qd-kernel", TESTKIT, Dev),
        ("qd-testbed", TESTKIT, Normal),
        (TESTKIT, "qd-kernel", Normal),
    ] {
        assert_eq!(complaint(from, to, kind), None);
    }
}

#[test]
fn libraries_stay_in_the_crates_that_own_them() {
    let mut broken = Vec::new();
    for package in packages() {
        let name = package.name.as_str();
        for dependency in package.dependencies.iter().filter(|found| found.kind == Kind::Normal) {
            let library = dependency.name.as_str();
            let owner = OWNED.iter().find(|(owned, _)| *owned == library).map(|(_, owner)| *owner);
            if let Some(owner) = owner.filter(|owner| *owner != name && !UNSHIPPED.contains(&name)) {
                broken.push(format!("{name} → {library}: only {owner} knows it"));
            }
            if name == "qd-core" && NOT_IN_CORE.contains(&library) {
                broken.push(format!("{name} → {library}: the model is pure"));
            }
        }
    }
    assert_tidy("libraries have owners", &broken);
}
