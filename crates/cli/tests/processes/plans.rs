//! A change in four hands: one plans it, another approves it, it is applied by its id; and what moved meanwhile refuses it.

use serde_json::Value;

use super::support::Process;

/// A stage template: what can be published without any Python.
fn template(cpus: f64) -> String {
    format!(
        "apiVersion: quarterdeck/v1\nkind: StageTemplate\nmetadata: {{name: load}}\nspec: {{description: A stage., uses: \"stages:Only\", resources: {{cpus: {cpus}}}}}\n"
    )
}

struct People {
    server: Process,
    owner: String,
    second: String,
}

impl People {
    fn start() -> Self {
        let server = Process::with(&["--require-approval", "medium"]);
        let owner = server.token();
        let (code, second, said) = server.run(&owner, &["auth", "token", "--as", "second"]);
        assert_eq!(code, 0, "{said}");
        let second = second.trim().to_owned();
        let (code, _, said) = server.run(&second, &["auth", "token", "--as", "third"]);
        assert_eq!(code, 2, "only the owner makes tokens: {said}");
        Self { server, owner, second }
    }

    fn owner(&self, words: &[&str]) -> (i32, String, String) {
        self.server.run(&self.owner, words)
    }

    fn second(&self, words: &[&str]) -> (i32, String, String) {
        self.server.run(&self.second, words)
    }

    /// Plans to apply and publish; answers the plan.
    fn planned(&self, cpus: f64) -> Value {
        self.server.write("load.yaml", &template(cpus));
        let (code, plan, said) = self.owner(&["plan", "-f", "load.yaml", "--publish", "-o", "json"]);
        assert_eq!(code, 0, "{said}");
        serde_json::from_str(&plan).expect("a plan as JSON")
    }
}

fn word<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}"))
}

#[test]
fn a_plan_is_approved_by_somebody_else_and_applied_by_its_id() {
    let people = People::start();
    people.server.write("load.yaml", &template(0.25));
    let (code, _, said) = people.owner(&["apply", "-f", "load.yaml", "--publish"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("approval_required"), "{said}");
    let (code, shown, said) = people.owner(&["apply", "-f", "load.yaml", "--publish", "--dry-run"]);
    assert_eq!(code, 0, "{said}");
    assert!(shown.contains("1. Publish revision 1  stagetemplates/load  medium risk"), "{shown}");
    let (_, none, _) = people.owner(&["get", "stagetemplates", "-o", "name"]);
    assert_eq!(none, "", "a dry run writes nothing");

    let plan = people.planned(0.25);
    let id = word(&plan, "id");
    let (code, _, said) = people.owner(&["approve", id]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("own_plan"), "{said}");
    let (code, _, said) = people.owner(&["apply", "--plan", id]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("approval_required"), "{said}");
    let (code, why, _) = people.second(&["explain", &format!("plans/{id}")]);
    assert!(
        code == 0 && why.starts_with("It waits for a second person's approval, because its risk is medium"),
        "{why}"
    );
    let (code, described, _) = people.second(&["describe", &format!("plans/{id}")]);
    assert!(code == 0 && described.contains("approval     wanted from a second person"), "{described}");
    let approve = format!("qd approve {id} --hash {}", word(&plan, "hash"));
    assert!(described.contains(&approve), "{described}");
    let (code, _, said) = people.second(&["approve", id, "--hash", "sha256:0"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("plan_hash_mismatch"), "{said}");
    let (code, _, said) =
        people.second(&["approve", id, "--hash", word(&plan, "hash"), "--reason", "looks right"]);
    assert_eq!(code, 0, "{said}");

    let (code, job, said) = people.owner(&["apply", "--plan", id, "-o", "json"]);
    assert_eq!(code, 0, "{said}");
    let job: Value = serde_json::from_str(&job).expect("a job as JSON");
    assert_eq!((word(&job, "state"), word(&job, "plan_id")), ("succeeded", id));
    let (_, described, _) = people.owner(&["describe", &format!("jobs/{}", word(&job, "id"))]);
    for said in [
        &format!("plan         plans/{id}") as &str,
        "stagetemplates/load   free",
        "documents.apply",
        "job.succeeded",
    ] {
        assert!(described.contains(said), "{said} is not in {described}");
    }
    let (_, listed, _) = people.owner(&["plans", "--state", "applied", "-o", "name"]);
    assert_eq!(listed, format!("plans/{id}\n"));
    let (_, why, _) = people.owner(&["explain", "stagetemplates/load"]);
    assert!(why.starts_with("Revision 1 is the published one since "), "{why}");
}

#[test]
fn what_moved_since_the_plan_refuses_it_by_name() {
    let people = People::start();
    let apply = |plan: &Value| people.owner(&["apply", "--plan", word(plan, "id")]);
    let first = people.planned(0.25);
    assert_eq!(people.second(&["approve", word(&first, "id")]).0, 0);
    assert_eq!(apply(&first).0, 0);
    let (second, third) = (people.planned(0.5), people.planned(0.75));
    for plan in [&second, &third] {
        assert_eq!(people.second(&["approve", word(plan, "id")]).0, 0);
    }
    assert_eq!(apply(&third).0, 0);
    let (code, _, said) = apply(&second);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("stagetemplates/load published revision: from 1 to 2"), "{said}");
    let (_, why, _) = people.owner(&["explain", &format!("plans/{}", word(&second, "id"))]);
    assert!(why.starts_with("It is stale and can never be applied, because something moved: "), "{why}");

    let fourth = people.planned(1.0);
    let (code, _, said) = people.second(&["reject", word(&fourth, "id"), "--reason", "not today"]);
    assert_eq!(code, 0, "{said}");
    let (code, _, said) = apply(&fourth);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("second rejected this plan: not today"), "{said}");
}
