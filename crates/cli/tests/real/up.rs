//! `qd up` on an empty data folder: the first thing that anybody types. It must end with the example's results.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    os::unix::fs::symlink,
    path::Path,
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use super::support::QD;

/// Ends with the test, however it ends.
struct Up(Child);

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn real_up_runs_the_example_and_stays_until_it_is_told() {
    let home = TempDir::new().unwrap();
    let data = home.path().join("data");
    fs::create_dir(&data).unwrap();
    if let Some(shared) = std::env::var_os("QD_TEST_ENV") {
        fs::create_dir_all(&shared).unwrap();
        symlink(shared, data.join("env")).unwrap();
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let log = fs::File::create(home.path().join("log")).unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/curate");
    let mut up = Up(Command::new(QD)
        .args(["up", "--port", &port.to_string(), "--data"])
        .arg(&data)
        .arg("--example")
        .arg(example)
        .env("QD_CONFIG", home.path().join("contexts.json"))
        .current_dir(home.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap());
    // What it says last, before it stays up.
    let lines = BufReader::new(up.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let said: Vec<String> = lines.take_while(|line| !line.trim_start().starts_with("Ctrl-C")).collect();
    let log = || fs::read_to_string(home.path().join("log")).unwrap_or_default();
    let folder = said.iter().find_map(|line| line.trim_start().strip_prefix("results")).map(str::trim);
    let folder = folder.unwrap_or_else(|| panic!("the example has no results: {said:#?}\n{}", log()));
    assert!(Path::new(folder).join("corpus.jsonl").is_file(), "{folder}\n{}", log());
    kill(Pid::from_raw(i32::try_from(up.0.id()).unwrap()), Signal::SIGINT).unwrap();
    assert!(up.0.wait().unwrap().success(), "{}", log());
}
