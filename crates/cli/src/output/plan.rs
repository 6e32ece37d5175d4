//! A plan for reading: its steps with target, risk and difference, then what must hold, what will, and who feels it.

use time::OffsetDateTime;

use super::age::age;
use super::paint::Paint;
use super::table::{Cell, Table};
use super::{changes, clean};
use crate::client::shapes::plan::{Plan, StoredPlan};
use crate::client::shapes::text_of;

/// What a plan says, without whose it is.
pub fn render(plan: &Plan, hash: &str, paint: Paint) -> String {
    let mut text = String::new();
    if plan.steps.is_empty() {
        text.push_str("there is nothing to do\n");
    }
    for (index, step) in plan.steps.iter().enumerate() {
        text.push_str(&format!(
            "{} {}  {}  {}\n",
            paint.bold(&format!("{}.", index + 1)),
            clean(&step.title),
            paint.dim(&clean(&step.target)),
            risk(&step.risk, paint)
        ));
        for line in changes::render(&step.changes, paint).lines() {
            text.push_str(&format!("  {line}\n"));
        }
    }
    if !plan.gates.is_empty() {
        let mut gates = Table::new(&["GATE", "STATE", "EVIDENCE"]);
        for gate in &plan.gates {
            gates.row([gate.name.as_str().into(), Cell::state(&*gate.state), gate.evidence.as_str().into()]);
        }
        text.push_str(&format!("\n{}", gates.render(paint)));
    }
    let found = |value: &serde_json::Value| match value {
        serde_json::Value::Null => "nothing".to_owned(),
        other => text_of(other),
    };
    let holds = plan.preconditions.iter().map(|p| format!("{}: {}", p.subject, found(&p.expected)));
    section(&mut text, "refused unless", holds, paint);
    section(&mut text, "afterwards", plan.postconditions.iter().cloned(), paint);
    let affected = plan.affected.iter().map(|a| format!("{}/{}: {}", a.kind.to_lowercase(), a.name, a.why));
    section(&mut text, "affected", affected, paint);
    section(&mut text, "locks", plan.locks.iter().cloned(), paint);
    text.push_str(&format!("\n{:<12} {}\n", "hash", clean(hash)));
    text
}

/// A plan that is kept: whose, in which state, and what it says.
pub fn describe(stored: &StoredPlan, now: OffsetDateTime, paint: Paint) -> String {
    let decided = stored.decided_by.as_ref().map(|who| {
        let why = stored.decision.as_deref().filter(|why| !why.is_empty());
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        format!("{who}, {} ago{why}", age(stored.decided_at.as_deref(), now))
    });
    let approval = match (stored.needs_approval, stored.state.as_str()) {
        (true, "open") => "wanted from a second person",
        (true, _) => "was wanted from a second person",
        (false, _) => "",
    };
    let mut rows = vec![
        ("plan", stored.id.clone()),
        ("operation", stored.operation.clone()),
        ("state", stored.state.clone()),
        ("risk", stored.risk.clone()),
        ("approval", approval.to_owned()),
        ("decided by", decided.unwrap_or_default()),
        ("stale", stored.stale.clone().unwrap_or_default()),
        ("job", stored.job_id.as_ref().map(|id| format!("jobs/{id}")).unwrap_or_default()),
        ("reason", stored.reason.clone()),
        ("by", format!("{}, {} ago", stored.created_by, age(stored.created_at.as_deref(), now))),
        ("expires", stored.expires_at.clone().unwrap_or_default()),
    ];
    rows.retain(|(_, value)| !value.is_empty());
    let mut text = String::new();
    for (name, value) in rows {
        let value = match name {
            "state" => paint.state(&clean(&value)),
            _ => clean(&value),
        };
        text.push_str(&format!("{name:<12} {value}\n"));
    }
    text.push('\n');
    text.push_str(&render(&stored.plan, &stored.hash, paint));
    if let Some(next) = next(stored) {
        text.push_str(&format!("{:<12} {next}\n", "next"));
    }
    text
}

/// What can be done with it now. An approval says to which hash it is given, so that it is given to what was read here.
fn next(stored: &StoredPlan) -> Option<String> {
    if stored.plan.gates.iter().any(|gate| gate.state != "pass") {
        return None;
    }
    let id = clean(&stored.id);
    match (stored.state.as_str(), stored.needs_approval) {
        ("open", true) => {
            let who = if stored.may_decide { "" } else { "somebody else: " };
            let hash = clean(&stored.hash);
            Some(format!("{who}qd approve {id} --hash {hash}, or qd reject {id} --reason WHY"))
        }
        ("open" | "approved", _) => Some(format!("qd apply --plan {id}")),
        _ => None,
    }
}

fn section(text: &mut String, title: &str, lines: impl Iterator<Item = String>, paint: Paint) {
    let lines: Vec<String> = lines.map(|line| format!("  {}\n", clean(&line))).collect();
    if !lines.is_empty() {
        text.push_str(&format!("\n{}\n{}", paint.bold(title), lines.concat()));
    }
}

fn risk(risk: &str, paint: Paint) -> String {
    let text = format!("{} risk", clean(risk));
    match risk {
        "high" => paint.bad(&text),
        "medium" => paint.warn(&text),
        _ => paint.dim(&text),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use serde_json::json;
    use time::macros::datetime;

    pub fn stored() -> StoredPlan {
        serde_json::from_value(json!({
            "id": "0193-plan", "operation": "revision.publish", "state": "approved", "hash": "sha256:ab", "risk": "medium",
            "reason": "raise the threshold", "created_by": "owner", "created_at": "2026-11-20T11:00:00Z",
            "expires_at": "2026-11-27T11:00:00.000000Z", "needs_approval": true, "decided_by": "second",
            "decided_at": "2026-11-20T11:58:30Z", "decision": "looks right",
            "plan": {
                "operation": "revision.publish", "input_hash": "sha256:cd",
                "steps": [
                    {"name": "check", "title": "Check the spec once more", "target": "pipelines/curate", "changes": [], "risk": "low"},
                    {"name": "publish", "title": "Publish revision 4", "target": "pipelines/curate", "risk": "medium", "changes": [
                        {"pointer": "/published", "op": "replace", "before": 3, "after": 4},
                        {"pointer": "/spec/stages/1/params/threshold", "op": "replace", "before": 0.8, "after": 0.9},
                    ]},
                ],
                "gates": [{"name": "spec", "state": "pass", "evidence": "the spec has no violations"}],
                "preconditions": [
                    {"subject": "pipelines/curate newest revision", "expected": 4},
                    {"subject": "pipelines/curate published revision", "expected": null},
                ],
                "postconditions": ["revision 4 of pipelines/curate is the published one"],
                "affected": [{"kind": "Pipeline", "name": "curate", "why": "what starts from now on uses revision 4"}],
                "locks": ["pipelines/curate"],
            },
        }))
        .unwrap()
    }

    #[test]
    fn a_plan_reads_from_its_steps_to_its_hash() {
        insta::assert_snapshot!(describe(&stored(), datetime!(2026-11-20 12:00:00 UTC), Paint::plain()));
    }

    #[test]
    fn a_plan_says_what_comes_next() {
        let next_of = |state: &str, needs_approval, may_decide| {
            let plan = StoredPlan { state: state.into(), needs_approval, may_decide, ..stored() };
            describe(&plan, datetime!(2026-11-20 12:00:00 UTC), Paint::plain())
                .lines()
                .find_map(|line| line.strip_prefix("next         ").map(str::to_owned))
        };
        let next = |state: &str, needs_approval| next_of(state, needs_approval, false);
        assert_eq!(
            next_of("open", true, true).as_deref(),
            Some("qd approve 0193-plan --hash sha256:ab, or qd reject 0193-plan --reason WHY")
        );
        assert_eq!(
            next("open", true).as_deref(),
            Some("somebody else: qd approve 0193-plan --hash sha256:ab, or qd reject 0193-plan --reason WHY")
        );
        assert_eq!(next("open", false).as_deref(), Some("qd apply --plan 0193-plan"));
        assert_eq!(next("approved", true).as_deref(), Some("qd apply --plan 0193-plan"));
        assert_eq!(next("applied", true), None);
    }

    #[test]
    fn a_plan_of_nothing_says_so() {
        let text = render(&Plan::default(), "sha256:ab", Paint::plain());
        assert_eq!(text, "there is nothing to do\n\nhash         sha256:ab\n");
    }
}
