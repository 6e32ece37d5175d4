//! What cargo knows of the workspace, and what follows for licences and for how often a library is compiled.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use serde::Deserialize;

use crate::{assert_tidy, tree};

#[derive(Deserialize)]
pub struct Package {
    pub name: String,
    pub dependencies: Vec<Dependency>,
    license: Option<String>,
    manifest_path: PathBuf,
}

#[derive(Deserialize)]
pub struct Dependency {
    pub name: String,
    /// Cargo says null for a normal one.
    #[serde(deserialize_with = "kind")]
    pub kind: Kind,
    path: Option<PathBuf>,
    source: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Normal,
    Dev,
    Build,
}

fn kind<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Kind, D::Error> {
    Option::deserialize(value).map(|kind| kind.unwrap_or(Kind::Normal))
}

/// The crates of the workspace with what they ask for.
pub fn packages() -> Vec<Package> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    let metadata: Metadata =
        serde_json::from_str(&cargo(&["metadata", "--format-version=1", "--no-deps"])).unwrap();
    metadata.packages
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(tree::root()).output().unwrap();
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_licence_is_apache() {
    let mut broken = Vec::new();
    for package in packages() {
        if package.license.as_deref() != Some("Apache-2.0") {
            broken.push(format!("{}: license is {:?}", package.name, package.license));
        }
    }
    for (file, said) in [
        ("LICENSE", "Apache License"),
        ("ui/package.json", r#""license": "Apache-2.0""#),
        ("runner/pyproject.toml", "Apache-2.0"),
    ] {
        if !std::fs::read_to_string(tree::root().join(file)).is_ok_and(|text| text.contains(said)) {
            broken.push(format!("{file}: does not say {said:?}"));
        }
    }
    assert_tidy("everything is under Apache-2.0", &broken);
}

#[test]
fn dependencies_come_from_the_registry_and_their_features_from_the_workspace() {
    let mut broken = Vec::new();
    for package in packages() {
        for dependency in package.dependencies.iter().filter(|found| found.path.is_none()) {
            if !dependency.source.as_ref().is_some_and(|source| source.starts_with("registry+")) {
                broken.push(format!("{} → {}: not from a registry", package.name, dependency.name));
            }
        }
        let manifest = std::fs::read_to_string(&package.manifest_path).unwrap();
        let own = manifest.lines().skip_while(|line| !line.ends_with("dependencies]"));
        for line in own.filter(|line| line.contains('=') && !line.contains(".workspace = true")) {
            broken.push(format!("{}: `{line}` names a version or features of its own", package.name));
        }
    }
    assert_tidy("dependencies stand in the workspace's table", &broken);
}

/// What a build script stands on, and what stands on it, compile in seconds.
const CHEAP: [&str; 1] = ["memchr "];

/// What a test alone switches on in a library compiles it, and all that stand on it, a second time on a cold machine.
#[test]
fn up_and_test_compile_each_library_once() {
    let libraries = |arguments: &[&str]| -> BTreeSet<String> {
        let tree = cargo(
            &[&["tree", "--locked", "--prefix=none", "--format={p} [{f}]", "--no-dedupe"], arguments]
                .concat(),
        );
        let own = |line: &&str| !line.contains("(/") && line.contains(" v");
        tree.lines().filter(own).map(|line| line.replace(" (*)", "")).collect()
    };
    let up = libraries(&["--package=qd-cli", "--edges=normal,build"]);
    let test = libraries(&["--workspace", "--edges=normal,build,dev"]);
    assert!(up.len() > 50 && test.len() > up.len(), "{} and {} libraries", up.len(), test.len());
    // What tests start is built by itself, without what only tests ask for.
    let started = libraries(&["--workspace", "--edges=normal,build"]);
    let twice: Vec<String> = up
        .union(&started)
        .filter(|library| !test.contains(*library) && !CHEAP.iter().any(|cheap| library.starts_with(cheap)))
        .cloned()
        .collect();
    assert_tidy("a library has the same features in `./x up` and `./x test`", &twice);
}
