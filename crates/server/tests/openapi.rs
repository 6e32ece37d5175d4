//! The committed description is that of this build, and it holds together. `QD_UPDATE=1` writes it anew.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may fail by panicking"
)]

use std::{net::SocketAddr, path::Path, time::Duration};

use qd_kernel::{KernelOptions, access::matrix::RoleInfo, store::StoreOptions};
use qd_server::{Boot, BuildInfo};
use serde_json::Value;

async fn description() -> Value {
    built().await.0
}

/// The description and the roles, of everything that is registered.
async fn built() -> (Value, Vec<RoleInfo>) {
    let data = tempfile::TempDir::new().expect("make a folder");
    let boot = Boot {
        build: BuildInfo::new("qd"),
        data_dir: data.path().join("data"),
        database_url: None,
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        drain_delay: Duration::ZERO,
        public_url: None,
        edge: qd_server::EdgeOptions::default(),
        base_domain: None,
        prepare: false,
        ray_lost_after: qd_pipelines::engine::LOST_AFTER,
        supervisor: "/nonexistent".into(),
        kernel: KernelOptions::default(),
        store: StoreOptions::default(),
        register: Box::new(|_| {}),
    };
    let server = boot.start().await.expect("start a server");
    let (text, roles) = (server.app.openapi.clone(), server.app.kernel.authority.roles().to_vec());
    server.run(async {}).await.expect("stop the server");
    (serde_json::from_str(&text).expect("JSON"), roles)
}

#[tokio::test]
async fn the_roles_of_the_docs_are_those_that_decide() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/access.md");
    let (begin, end) = ("<!-- roles -->\n", "<!-- /roles -->");
    let committed = std::fs::read_to_string(&path).expect("read docs/access.md");
    let (before, rest) = committed.split_once(begin).expect("the mark where the roles begin");
    let (_, after) = rest.split_once(end).expect("the mark where they end");
    let mut table = String::from("| role | level | allows | for |\n|---|---|---|---|\n");
    for role in built().await.1 {
        let levels: Vec<&str> = role.levels.iter().map(|level| level.as_str()).collect();
        let allows: Vec<String> = role.allows.iter().map(|pattern| format!("`{pattern}`")).collect();
        let (levels, allows) = (levels.join(", "), allows.join(" "));
        table.push_str(&format!("| `{}` | {levels} | {allows} | {} |\n", role.name, role.summary));
    }
    let current = format!("{before}{begin}{table}{end}{after}");
    if std::env::var_os("QD_UPDATE").is_some() {
        std::fs::write(&path, &current).expect("write docs/access.md");
        return;
    }
    assert!(
        committed == current,
        "docs/access.md has other roles than this build; write it anew with QD_UPDATE=1"
    );
}

#[tokio::test]
async fn the_committed_description_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let mut current = serde_json::to_string_pretty(&description().await).expect("JSON");
    current.push('\n');
    if std::env::var_os("QD_UPDATE").is_some() {
        std::fs::write(&path, &current).expect("write docs/openapi.json");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == current,
        "docs/openapi.json is not that of this build; write it anew with QD_UPDATE=1 and look at the difference"
    );
}

#[tokio::test]
async fn every_reference_of_the_description_leads_somewhere() {
    let description = description().await;
    let mut references = vec![];
    collect(&description, &mut references);
    assert!(references.len() > 100);
    for reference in references {
        let pointer = reference.strip_prefix('#').expect("a local reference");
        assert!(description.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

#[tokio::test]
async fn operations_have_ids_of_their_own() {
    let description = description().await;
    let mut seen = std::collections::BTreeSet::new();
    for (path, methods) in description["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let id = operation["operationId"].as_str().expect("an id");
            assert!(seen.insert(id.to_owned()), "{method} {path} repeats the id {id}");
        }
    }
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(text) if key == "$ref" => references.push(text.clone()),
                    _ => collect(value, references),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        _ => {}
    }
}
