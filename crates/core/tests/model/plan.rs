use qd_core::Digest;
use qd_core::diff::diff;
use qd_core::plan::{Affected, Gate, GateState, Plan, PlanStep, Precondition, Risk};
use serde_json::{Value, json};

fn plan() -> Plan {
    let step = |name: &str, title: &str, changes, risk| PlanStep {
        name: name.to_owned(),
        title: title.to_owned(),
        target: "pipelines/curate".to_owned(),
        changes,
        risk,
    };
    Plan {
        operation: "revision.publish".to_owned(),
        input_hash: Digest::of("input"),
        steps: vec![
            step("describe", "Check that the classes exist", vec![], Risk::Low),
            step(
                "publish",
                "Publish revision 4",
                diff(&json!({ "workers": 1 }), &json!({ "workers": 2 })),
                Risk::Medium,
            ),
        ],
        gates: vec![
            Gate {
                name: "capacity".to_owned(),
                state: GateState::Pass,
                evidence: "1.25 of 2 CPUs".to_owned(),
            },
            Gate {
                name: "review".to_owned(),
                state: GateState::Unknown,
                evidence: "not asked yet".to_owned(),
            },
        ],
        preconditions: vec![Precondition {
            subject: "pipelines/curate published revision".to_owned(),
            expected: json!(3),
        }],
        postconditions: vec!["revision 4 is published".to_owned()],
        affected: vec![Affected {
            kind: "Schedule".to_owned(),
            name: "nightly".to_owned(),
            why: "starts revision 4 from now on".to_owned(),
        }],
        locks: vec!["pipelines/curate".to_owned()],
    }
}

#[test]
fn the_bytes_of_a_plan_are_fixed() {
    let plan = plan();
    insta::assert_json_snapshot!(plan);
    // Approvals are given to this value: a change of it is a change of what is stored.
    insta::assert_snapshot!(plan.hash().unwrap());
    let read: Plan = serde_json::from_value(json!(plan)).unwrap();
    assert_eq!((read.hash().unwrap(), read), (plan.hash().unwrap(), plan));
}

/// Whatever leaf is changed, the hash is another.
#[test]
fn the_hash_covers_everything() {
    let original = plan();
    let value = json!(original);
    let mut leaves = Vec::new();
    collect(&value, String::new(), &mut leaves);
    assert!(leaves.len() > 20);
    for pointer in leaves {
        let mut changed = value.clone();
        let leaf = changed.pointer_mut(&pointer).unwrap();
        *leaf = match (pointer.rsplit('/').next().unwrap(), &*leaf) {
            ("risk", _) => json!("high"),
            ("state", _) => json!("fail"),
            ("op", _) => json!("add"),
            ("input_hash", _) => json!(Digest::of("other")),
            (_, Value::String(text)) => json!(format!("{text}.")),
            (_, other) => json!(other.as_i64().unwrap() + 1),
        };
        let changed: Plan = serde_json::from_value(changed).unwrap();
        assert_ne!(changed.hash().unwrap(), original.hash().unwrap(), "{pointer}");
    }
}

fn collect(value: &Value, pointer: String, leaves: &mut Vec<String>) {
    match value {
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(i, v)| collect(v, format!("{pointer}/{i}"), leaves))
        }
        Value::Object(members) => {
            members.iter().for_each(|(k, v)| collect(v, format!("{pointer}/{k}"), leaves))
        }
        _ => leaves.push(pointer),
    }
}

#[test]
fn risk_and_gates() {
    let plan = plan();
    assert_eq!(plan.risk(), Risk::Medium);
    assert_eq!(plan.closed_gates().map(|gate| gate.name.as_str()).collect::<Vec<_>>(), ["review"]);
}

#[test]
fn what_moved_is_said_from_what_to_what() {
    let before = plan();
    let mut now = plan();
    assert_eq!(before.moved(&now), []);
    now.preconditions[0].expected = json!(4);
    now.gates[0].state = GateState::Fail;
    let moved: Vec<_> = before.moved(&now).into_iter().map(|m| (m.subject, m.from, m.to)).collect();
    assert_eq!(
        moved,
        [
            (
                "gate capacity".to_owned(),
                json!({ "state": "pass", "evidence": "1.25 of 2 CPUs" }),
                json!({ "state": "fail", "evidence": "1.25 of 2 CPUs" })
            ),
            ("pipelines/curate published revision".to_owned(), json!(3), json!(4)),
        ]
    );
    let mut now = plan();
    now.steps[1].title = "Publish revision 5".to_owned();
    assert_eq!(before.moved(&now)[0].subject, "/steps/1/title");
}
