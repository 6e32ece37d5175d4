use qd_core::id::{ResourceId, RunId};
use qd_kernel::engine::RunEngine as _;
use qd_kernel::{clock, code::CodeStore};
use qd_testkit::database::TestDatabase;
use serde_json::json;

use super::*;
use crate::engine::XennaOptions;
use crate::environment::Environments;

/// A supervisor that only leaves a mark.
fn marking() -> Program {
    Program { path: "/bin/sh".into(), arguments: vec!["-c".into(), "touch \"$0/began\"".into()] }
}

fn plan(root: &Path) -> Plan {
    let run_dir = root.join("run");
    let launch = Launch {
        argv: vec!["true".into()],
        env: BTreeMap::new(),
        cwd: root.to_owned(),
        run_id: "run".into(),
        attempt: 1,
        grace_ms: 0,
        serving: false,
        max_log_bytes: 0,
    };
    let (dir, output) = (run_dir.join("attempt-1"), run_dir.join("output"));
    Plan { run_dir, dir, output, run_file: json!({}), launch }
}

#[test]
fn what_was_stopped_before_its_start_is_never_started() {
    let root = tempfile::tempdir().unwrap();
    let plan = plan(root.path());
    stop(&plan.run_dir, &plan.dir).unwrap();
    assert_eq!(start(&plan, &marking()).unwrap(), Started::CalledOff);
    assert!(!plan.dir.join("began").exists());

    let next = Plan { dir: plan.run_dir.join("attempt-2"), ..plan };
    start(&next, &marking()).unwrap_err();
    assert!(next.dir.join("began").exists(), "the next attempt is another matter");
}

#[tokio::test]
async fn another_servers_attempt_is_an_error_and_never_an_end() {
    let root = tempfile::tempdir().unwrap();
    let database = TestDatabase::sqlite().await;
    let store = database.migrated().await;
    let engine = |name: &str| {
        let data = root.path().join(name);
        let environments = Environments::new(&data);
        let options = XennaOptions {
            data,
            code: CodeStore::new(store.clone()),
            clock: clock::system(),
            supervisor: marking(),
        };
        Xenna::new(options, environments)
    };
    let (one, other) = (engine("one"), engine("other"));
    let clock = clock::system();
    let mut ticket = RunTicket {
        run_id: RunId::from(clock.uuid()),
        scope: qd_kernel::context::Scope { tenant_id: clock.uuid().into(), project_id: clock.uuid().into() },
        resource_id: ResourceId::from(clock.uuid()),
        run_ref: "test#1".into(),
        kind: "Pipeline".into(),
        attempt: 1,
        spec: json!({}),
        params: json!({}),
        correlation_id: String::new(),
        external_id: None,
        engine_detail: None,
        tried_before: false,
    };
    ticket.external_id = Some(external_id(&one.folder_id().await.unwrap(), &ticket));
    assert_eq!(other.observe(&ticket, 0).await.unwrap_err().code, "another_servers_run");
    assert_eq!(other.stop(&ticket).await.unwrap_err().code, "another_servers_run");
    // Its own folder was taken away: that run is lost, also for a server started later.
    let again = engine("one");
    assert_eq!(again.observe(&ticket, 0).await.unwrap().end.unwrap().code.as_deref(), Some("lost"));
}
