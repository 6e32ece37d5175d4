//! Specs that are wrong in one way each, and what is said of them: every violation with pointer, code and words.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::fmt::Write;

use qd_core::violation::Violation;
use qd_pipelines::describe::Description;
use qd_pipelines::validate::{Capacity, validate_described, validate_semantics, validate_shape};
use serde_json::{Value, json};

const TWO_CORES: Capacity = Capacity { cpus: 2.0, gpus: 0.0 };

fn good() -> Value {
    json!({
        "execution_mode": "streaming",
        "params": {
            "type": "object",
            "properties": {
                "threshold": { "type": "number", "default": 0.8, "minimum": 0, "maximum": 1 },
                "source": { "type": "string" }
            }
        },
        "stages": [
            { "id": "load", "uses": "curate.stages:Load", "resources": { "cpus": 0.25 }, "workers": 1 },
            { "id": "filter", "uses": "curate.stages:Filter", "params": { "threshold": "${params.threshold}" } },
            { "id": "write", "uses": "curate.stages:Write" }
        ],
        "graph": {
            "nodes": [{ "id": "load" }, { "id": "filter", "position": { "x": 1, "y": 2.5 } }, { "id": "write" }],
            "edges": [{ "source": "load", "target": "filter" }, { "source": "filter", "target": "write" }]
        },
        "io": {
            "input": { "files": { "glob": "data/*.txt" } },
            "output": { "jsonl": { "path": "results.jsonl" } }
        },
        "runtime": {
            "target": "local",
            "code": { "digest": format!("sha256:{}", "0".repeat(64)), "path": "./code" },
            "requirements": ["pillow==11.0.0"],
            "env": { "SOURCE": "${params.source}" },
            "config": { "logging_interval_s": 2 }
        },
        "observability": { "metrics": true, "log_level": "info" },
        "links": { "datasets": ["articles"], "models": [], "artifacts": [] }
    })
}

fn description() -> Description {
    let class = |schema: Value, cpus: f64| {
        json!({ "ok": true, "doc": null, "name": "C", "params": { "schema": schema }, "batch_size": 1,
                "resources": { "cpus": cpus, "gpus": 0 } })
    };
    let nothing = json!({ "type": "object", "properties": {}, "additionalProperties": false });
    let filter = json!({
        "type": "object", "additionalProperties": false, "required": ["threshold"],
        "properties": { "threshold": { "type": "number" }, "words": { "anyOf": [{ "type": "array", "items": { "type": "string" } }, { "type": "null" }] } }
    });
    serde_json::from_value(json!({
        "runner": "0.1.0", "python": "3.12.1", "xenna": "0.5.12", "ray": "2.60.0", "cpus": 2,
        "config_fields": {
            "logging_interval_s": { "type": "float", "default": 60, "schema": { "type": "number" } },
            "slots_per_actor": { "type": "int", "default": 2, "schema": { "type": "integer" } }
        },
        "stage_spec_fields": {},
        "classes": {
            "curate.stages:Load": class(nothing.clone(), 0.25),
            "curate.stages:Filter": class(filter, 0.5),
            "curate.stages:Write": class(nothing.clone(), 0.25),
            "curate.stages:Greedy": class(nothing, 3.0),
            "curate.stages:Missing": { "ok": false, "code": "not_found", "detail": "module curate.stages has no 'Missing', did you mean 'Write'?" },
            "curate.broken:Load": { "ok": false, "code": "import_error", "detail": "importing curate.broken raised ValueError: no" }
        },
        "callables": { "curate.inputs:gone": { "ok": false, "code": "not_found", "detail": "module curate.inputs has no 'gone'" } }
    }))
    .unwrap()
}

fn everything_wrong_with(spec: &Value) -> Vec<Violation> {
    let parsed = match validate_shape(spec) {
        Ok(parsed) => parsed,
        Err(violations) => return violations,
    };
    let violations = validate_semantics(&parsed, &TWO_CORES);
    if violations.is_empty() { validate_described(&parsed, &description(), &TWO_CORES) } else { violations }
}

/// `pointer = value` sets a place of the good spec, `pointer` alone removes it.
fn changed(changes: &[(&str, Option<Value>)]) -> Value {
    let mut spec = good();
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = spec.pointer_mut(parent).unwrap();
        match (parent, value) {
            (Value::Object(members), Some(value)) => drop(members.insert(key.to_owned(), value.clone())),
            (Value::Object(members), None) => drop(members.shift_remove(key).unwrap()),
            (Value::Array(items), Some(value)) if key == "-" => items.push(value.clone()),
            (Value::Array(items), Some(value)) => items[key.parse::<usize>().unwrap()] = value.clone(),
            (other, _) => unreachable!("{other} has no place {pointer}"),
        }
    }
    spec
}

type Changes = Vec<(&'static str, Option<Value>)>;

fn set(pointer: &'static str, value: Value) -> Changes {
    vec![(pointer, Some(value))]
}

fn remove(pointer: &'static str) -> Changes {
    vec![(pointer, None)]
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn table() -> Vec<(&'static str, Changes)> {
    let edge = |source: &str, target: &str| json!({ "source": source, "target": target });
    vec![
        // Shape.
        ("unknown execution mode", set("/execution_mode", json!("streeming"))),
        ("unknown field at the top", set("/stagess", json!([]))),
        ("stages missing", remove("/stages")),
        ("no stages", set("/stages", json!([]))),
        ("stages is an object", set("/stages", json!({}))),
        (
            "several faults of type at once",
            vec![
                ("/stages/0/workers", Some(json!("two"))),
                ("/stages/1/resources", Some(json!({ "cpus": "1", "gpu": 1 }))),
                ("/observability/metrics", Some(json!("yes"))),
                ("/stages/2/ignore_failure", Some(json!(true))),
            ],
        ),
        ("stage without id", remove("/stages/1/id")),
        ("no workers", set("/stages/0/workers", json!(0))),
        ("half a worker", set("/stages/0/workers", json!(1.5))),
        ("negative CPUs", set("/stages/0/resources", json!({ "cpus": -0.5 }))),
        ("no attempts", set("/stages/0/run_attempts", json!(0))),
        ("digest that is none", set("/runtime/code/digest", json!("sha256:12"))),
        ("unknown log level", set("/observability/log_level", json!("inf"))),
        ("env value that is no string", set("/runtime/env/N", json!(1))),
        ("a node without a place", set("/graph/nodes/1/position", json!({ "x": 1 }))),
        // Stages.
        ("duplicate id", set("/stages/2/id", json!("load"))),
        ("id outside the grammar", set("/stages/0", json!({ "id": "Load it", "uses": "a:B" }))),
        ("id with a control character", set("/stages/0", json!({ "id": "lo\u{1}ad", "uses": "a:B" }))),
        ("import path without a class", set("/stages/0/uses", json!("curate.stages"))),
        ("import path with a slash", set("/stages/0/uses", json!("curate/stages:Load"))),
        ("neither class nor template", remove("/stages/0/uses")),
        ("class and template", set("/stages/0/template", json!({ "name": "loader" }))),
        (
            "template name outside the grammar",
            set("/stages/0", json!({ "id": "load", "template": { "name": "My Loader" } })),
        ),
        ("workers in two ways", set("/stages/0/workers_per_node", json!(1))),
        // Graph.
        ("edge to an unknown stage", set("/graph/edges/1/target", json!("wriet"))),
        ("edge from a stage to itself", set("/graph/edges/1/target", json!("filter"))),
        ("the same edge twice", set("/graph/edges/-", edge("load", "filter"))),
        ("cycle", set("/graph/edges/-", edge("write", "load"))),
        ("two roots", set("/graph/edges", json!([edge("load", "write"), edge("filter", "write")]))),
        ("two leaves", set("/graph/edges", json!([edge("load", "filter"), edge("load", "write")]))),
        (
            "cycle beside a line",
            set("/graph/edges", json!([edge("filter", "write"), edge("write", "filter")])),
        ),
        ("no edges", set("/graph/edges", json!([]))),
        (
            "another order than the stages",
            set("/graph/edges", json!([edge("load", "write"), edge("write", "filter")])),
        ),
        ("stage without a node", set("/graph/nodes", json!([{ "id": "load" }, { "id": "filter" }]))),
        ("a node twice", set("/graph/nodes/2", json!({ "id": "load" }))),
        ("a node of no stage", set("/graph/nodes/-", json!({ "id": "fliter" }))),
        // Params.
        ("params that are no schema", set("/params/properties/threshold/type", json!("numbr"))),
        ("params of another type", set("/params", json!({ "type": "array" }))),
        ("params without a type", set("/params", json!({}))),
        ("a default that does not fit", set("/params/properties/threshold/default", json!(1.8))),
        ("a param name with a dash", set("/params/properties/a-b", json!({}))),
        ("reference to an unknown param", set("/stages/1/params/threshold", json!("${params.treshold}"))),
        ("reference to something else", set("/runtime/env/SOURCE", json!("${env.HOME}"))),
        ("reference without an end", set("/io/input/files/glob", json!("data/${params.source"))),
        // IO.
        ("no input", remove("/io/input")),
        ("an empty input", set("/io/input", json!({}))),
        ("two inputs", set("/io/input/items", json!([1]))),
        ("a function that is none", set("/io/input", json!({ "callable": { "uses": "inputs.articles" } }))),
        ("two outputs", set("/io/output/none", json!({}))),
        ("output outside its folder", set("/io/output/jsonl/path", json!("../results.jsonl"))),
        ("absolute output", set("/io/output", json!({ "files": { "dir": "/etc" } }))),
        ("output that is the folder itself", set("/io/output/jsonl/path", json!("."))),
        ("serving with input and output", set("/execution_mode", json!("serving"))),
        // Runtime.
        ("target that is no name", set("/runtime/target", json!("Moon base"))),
        ("target by a param that is not there", set("/runtime/target", json!("${params.where}"))),
        ("code that is not packed", set("/runtime/code", json!("./code"))),
        (
            "requirements that are not pinned",
            set("/runtime/requirements", json!(["pillow>=11", "-e .", "a==1"])),
        ),
        ("a requirement twice", set("/runtime/requirements", json!(["Pillow==11.0.0", "pillow==10.0.0"]))),
        ("a Ray of one's own", set("/runtime/requirements", json!(["ray==2.0.0"]))),
        ("env names", set("/runtime/env", json!({ "A-B": "x", "QD_RUN_ID": "x", "RAY_ADDRESS": "x" }))),
        ("links outside the grammar", set("/links/models", json!(["M 1", "m", "m"]))),
        // Capacity.
        (
            "too many CPUs for streaming on two cores",
            vec![
                ("/stages/0/resources", Some(json!({ "cpus": 0.5 }))),
                ("/stages/1/resources", Some(json!({ "cpus": 0.5 }))),
                ("/stages/2/resources", Some(json!({ "cpus": 0.5 }))),
            ],
        ),
        ("too many workers", set("/stages/0/workers", json!(5))),
        (
            "a batch stage larger than the machine",
            vec![
                ("/execution_mode", Some(json!("batch"))),
                ("/stages/1/resources", Some(json!({ "cpus": 2 }))),
            ],
        ),
        ("a GPU where none is", set("/stages/1/resources", json!({ "cpus": 0.1, "gpus": 1 }))),
        ("the class itself needs too much", set("/stages/2/uses", json!("curate.stages:Greedy"))),
        (
            "the class's CPUs beside GPUs that the stage names",
            vec![
                ("/stages/2/uses", Some(json!("curate.stages:Greedy"))),
                ("/stages/2/resources", Some(json!({ "gpus": 0 }))),
            ],
        ),
        // Described.
        ("a class that is not there", set("/stages/2/uses", json!("curate.stages:Missing"))),
        ("a module that cannot be imported", set("/stages/0/uses", json!("curate.broken:Load"))),
        (
            "a param that the class does not take",
            set("/stages/1/params", json!({ "threshold": 1, "wrods": [] })),
        ),
        (
            "a param of the wrong type",
            set("/stages/1/params", json!({ "threshold": "high", "words": ["a", 1] })),
        ),
        ("a required param missing", set("/stages/1/params", json!({}))),
        (
            "a function that is not there",
            set("/io/input", json!({ "callable": { "uses": "curate.inputs:gone" } })),
        ),
        ("config that Xenna does not know", set("/runtime/config", json!({ "slot_per_actor": 2 }))),
        ("config of the wrong type", set("/runtime/config", json!({ "slots_per_actor": "2" }))),
        ("execution mode in the config", set("/runtime/config", json!({ "execution_mode": "BATCH" }))),
    ]
}

#[test]
fn the_good_spec_is_good_and_written_out() {
    assert_eq!(everything_wrong_with(&good()), []);
    let parsed = validate_shape(&good()).unwrap();
    let once = serde_json::to_value(&parsed).unwrap();
    let twice = serde_json::to_value(validate_shape(&once).unwrap()).unwrap();
    assert_eq!(once, twice, "written out once is written out");

    let least = json!({ "stages": [{ "id": "a", "uses": "m:A", "workers": 2.0, "name": null }], "io": { "input": { "items": [1] } } });
    insta::assert_json_snapshot!("least_spec_written_out", validate_shape(&least).unwrap());
}

#[test]
fn each_bad_spec_says_precisely_what_is_wrong() {
    let mut told = String::new();
    for (title, changes) in table() {
        let violations = everything_wrong_with(&changed(&changes));
        assert!(!violations.is_empty(), "nothing is said of {title:?}");
        writeln!(told, "{title}").unwrap();
        for violation in violations {
            writeln!(told, "    {}  {}\n        {}", violation.pointer, violation.code, violation.detail)
                .unwrap();
        }
    }
    insta::assert_snapshot!("bad_specs", told);
}

#[test]
fn the_schema_is_plain_and_says_what_every_field_is() {
    let schema = qd_pipelines::validate::pipeline_schema();
    let text = schema.to_string();
    assert!(!text.contains("$ref") && !text.contains("anyOf") && !text.contains("oneOf"));
    insta::assert_json_snapshot!("pipeline_schema", schema);
}
