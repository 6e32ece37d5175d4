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
