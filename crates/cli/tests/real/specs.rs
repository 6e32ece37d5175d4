//! Bad specs, each refused with the pointer and code of what is wrong. The table is the list.

use reqwest::Method;
use serde_json::{Value, json};

use super::support::{Qd, STAGES, three_stages};

/// A good spec whose code is uploaded, to be broken in one place each.
fn good(digest: &str) -> Value {
    let mut spec = three_stages(4, 0);
    spec["runtime"]["code"] = json!({ "digest": digest });
    spec
}

type Break = fn(&mut Value);

const CASES: &[(&str, Break, &str)] = &[
    ("no stages", |s| s["stages"] = json!([]), "/spec/stages"),
    ("a mode that is none", |s| s["execution_mode"] = json!("stream"), "/spec/execution_mode"),
    ("an unknown field", |s| s["stage"] = json!(1), "/spec/stage"),
    ("duplicate ids", |s| s["stages"][1]["id"] = json!("first"), "/spec/stages/1/id"),
    ("an id outside the grammar", |s| s["stages"][0]["id"] = json!("First Stage"), "/spec/stages/0/id"),
    ("no class", |s| s["stages"][0]["uses"] = json!(""), "/spec/stages/0/uses"),
    ("an import path without a class", |s| s["stages"][0]["uses"] = json!("stages"), "/spec/stages/0/uses"),
    (
        "a module that is not there",
        |s| s["stages"][0]["uses"] = json!("nothing:First"),
        "/spec/stages/0/uses",
    ),
    ("a class that is not there", |s| s["stages"][0]["uses"] = json!("stages:Frist"), "/spec/stages/0/uses"),
    (
        "a class that is no stage",
        |s| s["stages"][0]["uses"] = json!("time:struct_time"),
        "/spec/stages/0/uses",
    ),
    (
        "a param of the wrong type",
        |s| s["stages"][0]["params"]["pause_ms"] = json!("soon"),
        "/spec/stages/0/params/pause_ms",
    ),
    ("an unknown param", |s| s["stages"][0]["params"]["pause"] = json!(1), "/spec/stages/0/params/pause"),
    ("a missing param", |s| s["stages"][0]["params"] = json!({}), "/spec/stages/0/params"),
    (
        "a reference to no param",
        |s| s["stages"][0]["params"]["word"] = json!("${params.none}"),
        "/spec/stages/0/params/word",
    ),
    ("too many CPUs", |s| s["stages"][0]["resources"]["cpus"] = json!(64), "/spec/stages"),
    (
        "a negative resource",
        |s| s["stages"][0]["resources"]["cpus"] = json!(-1),
        "/spec/stages/0/resources/cpus",
    ),
    ("no workers", |s| s["stages"][0]["workers"] = json!(0), "/spec/stages/0/workers"),
    (
        "a config field that Xenna has not",
        |s| s["runtime"]["config"] = json!({ "speed": 1 }),
        "/spec/runtime/config/speed",
    ),
    (
        "a requirement without a version",
        |s| s["runtime"]["requirements"] = json!(["pillow"]),
        "/spec/runtime/requirements/0",
    ),
    (
        "an environment name that is none",
        |s| s["runtime"]["env"] = json!({ "A B": "1" }),
        "/spec/runtime/env",
    ),
    ("an unknown target", |s| s["runtime"]["target"] = json!("moon"), "/spec/runtime/target"),
    ("no input", |s| s["io"] = json!({}), "/spec/io/input"),
    ("two inputs", |s| s["io"]["input"]["jsonl"] = json!({ "path": "x" }), "/spec/io/input"),
    ("serving with input", |s| s["execution_mode"] = json!("serving"), "/spec/io"),
    (
        "params that are no schema",
        |s| s["params"] = json!({ "type": "object", "properties": { "a": { "type": "real" } } }),
        "/spec/params",
    ),
    (
        "a default that does not fit",
        |s| {
            s["params"] =
                json!({ "type": "object", "properties": { "a": { "type": "integer", "default": "x" } } })
        },
        "/spec/params/properties/a/default",
    ),
    (
        "an edge to no stage",
        |s| s["graph"] = graph(&["first", "second", "third"], &[("first", "second"), ("second", "fourth")]),
        "/spec/graph/edges/1/target",
    ),
    (
        "a cycle",
        |s| {
            s["graph"] = graph(
                &["first", "second", "third"],
                &[("first", "second"), ("second", "third"), ("third", "first")],
            )
        },
        "/spec/graph",
    ),
    (
        "two roots",
        |s| s["graph"] = graph(&["first", "second", "third"], &[("second", "third")]),
        "/spec/graph",
    ),
    (
        "an order unlike the stages",
        |s| s["graph"] = graph(&["first", "second", "third"], &[("second", "first"), ("first", "third")]),
        "/spec/stages/0",
    ),
    ("a control character", |s| s["stages"][0]["name"] = json!("a\u{1}b"), "/spec/stages/0/name"),
    (
        "a template that is not there",
        |s| {
            s["stages"][0].as_object_mut().unwrap().remove("uses");
            s["stages"][0]["template"] = json!({ "name": "none" });
        },
        "/spec/stages/0/template",
    ),
];

fn graph(nodes: &[&str], edges: &[(&str, &str)]) -> Value {
    let nodes: Vec<Value> = nodes.iter().map(|id| json!({ "id": id })).collect();
    let edges: Vec<Value> =
        edges.iter().map(|(source, target)| json!({ "source": source, "target": target })).collect();
    json!({ "nodes": nodes, "edges": edges })
}

#[tokio::test]
async fn real_bad_specs_are_refused_with_their_place() {
    let qd = Qd::start().await;
    qd.publish("good", &three_stages(4, 0), &[("stages.py", STAGES)]);
    let revision = qd.get("/api/v1/pipelines/good/revisions/1").await;
    let digest = revision["spec"]["runtime"]["code"]["digest"].as_str().expect("pinned code").to_owned();
    let mut wrong = vec![];
    for (what, break_it, pointer) in CASES {
        let mut spec = good(&digest);
        break_it(&mut spec);
        let document = json!({ "apiVersion": "quarterdeck/v1", "kind": "Pipeline", "metadata": { "name": "bad" }, "spec": spec });
        let reply = qd.request(Method::POST, "/api/v1/apply").json(&document).send().await.unwrap();
        let status = reply.status();
        let problem: Value = reply.json().await.unwrap();
        let found = problem["errors"].as_array().is_some_and(|errors| {
            errors.iter().any(|e| e["pointer"].as_str().is_some_and(|p| p.starts_with(pointer)))
        });
        if !status.is_client_error() || !found {
            wrong.push(format!("{what}: {status}, wanted {pointer}: {problem}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(
        qd.get("/api/v1/pipelines?q=bad").await["items"],
        json!([]),
        "nothing of a refused document is kept"
    );
}
