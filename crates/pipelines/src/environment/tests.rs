use super::*;

#[test]
fn the_key_names_what_an_environment_holds() {
    let base = key_of("3.12.1", "ray\n", &[]);
    assert_eq!(base, key_of("3.12.1", "ray\n", &[]));
    assert_eq!(base.len(), 16);
    for other in [
        key_of("3.12.2", "ray\n", &[]),
        key_of("3.12.1", "ray==1\n", &[]),
        key_of("3.12.1", "ray\n", &["a==1".into()]),
    ] {
        assert_ne!(base, other);
    }
}

#[test]
fn the_runner_is_embedded_and_written_out_once() {
    let root = tempfile::tempdir().unwrap();
    let written = runner_files::write_runner(root.path()).unwrap();
    assert!(written.join("qd_runner/__main__.py").is_file());
    assert_eq!(runner_files::write_runner(root.path()).unwrap(), written);
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1);
    assert!(runner_files::base_requirements().contains("cosmos-xenna"));
}

#[test]
fn progress_reads_as_a_sentence() {
    let progress = Progress { step: 3, total: 4, title: "Install".into(), detail: "ray".into() };
    assert_eq!(progress.to_string(), "step 3 of 4, Install (ray)");
    let error = Status::Preparing(progress).into_ready().unwrap_err();
    assert_eq!((error.code, error.retry_after_s), ("environment_preparing", Some(5)));
}

#[tokio::test]
async fn a_failure_is_shown_from_when_it_happened_and_longer_each_time() {
    let failure = |builds| Failure { why: "no".into(), builds, at: Instant::now() };
    let pause = |builds| {
        let failure = failure(builds);
        (failure.over_at() - failure.at).as_secs()
    };
    assert_eq!([1, 2, 3, 4, 99].map(pause), [10, 20, 40, 60, 60]);
    // A file stands where the folder would be made: every build fails.
    let file = tempfile::NamedTempFile::new().unwrap();
    let environments = Environments::new(file.path());
    let (sender, status) = watch::channel(Status::Preparing(Progress::default()));
    environments.known().insert(Vec::new(), status);
    // However long ago the build began, its failure is what the next one to ask sees.
    sender.send_replace(Status::Failed(Failure::now("no network".into(), 0)));
    let error = environments.ready(&[]).unwrap_err();
    assert_eq!((error.code, error.retry_after_s), ("environment_failed", Some(10)));
    let Some(at) = Instant::now().checked_sub(RETRY_AFTER * 3) else { return };
    sender.send_replace(Status::Failed(Failure { why: "no network".into(), builds: 2, at }));
    let mut again = environments.watch(&[]);
    let ended = again.wait_for(|status| !matches!(status, Status::Preparing(_))).await.unwrap().clone();
    assert!(matches!(ended, Status::Failed(Failure { builds: 3, .. })), "{ended:?}");
}
