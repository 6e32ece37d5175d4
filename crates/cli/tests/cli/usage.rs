//! Exit codes and streams of the simple cases.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;

use crate::stand_in::{StandIn, problem, qd, stderr, stdout};

#[test]
fn a_named_context_goes_before_the_environments_server_and_an_empty_token_is_refused() {
    let named = StandIn::start(Router::new());
    let other = StandIn::start(Router::new());
    let made = named.run(&["context", "set", "named", "--server", &format!("http://{}", named.address)]);
    assert!(made.status.success(), "{}", stderr(&made));
    let mut command = named.command(&["--context", "named", "get", "pipelines"]);
    command.env("QD_SERVER", format!("http://{}", other.address)).output().unwrap();
    assert_eq!((named.seen("GET", "/api").is_empty(), other.seen("GET", "/api").len()), (false, 0));

    let refused = named.command(&["whoami"]).env("QD_TOKEN", "").output().unwrap();
    assert_eq!(refused.status.code(), Some(64));
    assert!(stderr(&refused).contains("QD_TOKEN is empty"), "{}", stderr(&refused));
}

#[test]
fn a_token_that_goes_without_tls_off_this_machine_is_warned_of_once_and_sent() {
    let server = StandIn::start(Router::new());
    // An address of this machine that is not known to be its own.
    let plain = format!("http://0.0.0.0:{}", server.address.port());
    let asked = |words: &[&str]| {
        let words: Vec<&str> = words.iter().copied().chain(["--server", &plain]).collect();
        server.command(&words).env("QD_TOKEN", "qd_x").env_remove("QD_SERVER").output().unwrap()
    };
    let warnings = |out: &std::process::Output| stderr(out).matches("without TLS").count();
    assert_eq!(warnings(&asked(&["whoami"])), 1);
    assert_eq!(server.seen("GET", "/api/v1/me").len(), 1, "and nothing is refused");
    let set = server.run(&["context", "set", "plain", "--server", &plain, "--allow-http"]);
    assert!(set.status.success(), "{}", stderr(&set));
    assert_eq!(warnings(&asked(&["whoami"])), 0);
    assert_eq!(warnings(&server.run(&["whoami"])), 0, "loopback");
}

#[test]
fn what_reads_no_context_needs_no_home() {
    let server = StandIn::start(Router::new());
    let bare = |words: &[&str]| {
        let mut command = qd(words);
        command.env_clear().current_dir(server.home()).output().unwrap()
    };
    let made = bare(&["audit", "keygen", "audit.key"]);
    assert!(made.status.success(), "{}", stderr(&made));
    std::fs::write(server.home().join("audit.pub"), stdout(&made)).unwrap();
    let read = bare(&["audit", "verify", "none.jsonl", "--key", "audit.pub"]);
    assert_eq!(read.status.code(), Some(64), "{}", stderr(&read));
    assert!(stderr(&read).contains("none.jsonl: "), "{}", stderr(&read));
    // Nor does who says which server and as whom.
    let mut asked = qd(&["get", "pipelines", "--server", &format!("http://{}", server.address)]);
    asked.env_clear().env("QD_TOKEN", "qd_x").output().unwrap();
    assert!(!server.seen("GET", "/api/v1/kinds").is_empty());
    for words in [&["context", "list"][..], &["whoami"][..]] {
        let refused = bare(words);
        assert_eq!(refused.status.code(), Some(2), "{words:?}");
        assert!(stderr(&refused).contains("neither HOME nor QD_CONFIG"), "{}", stderr(&refused));
    }
}

#[test]
fn wrong_usage_is_64_and_help_is_0() {
    for (words, code) in [
        (&["frobnicate"][..], 64),
        (&[][..], 64),
        (&["apply"][..], 64),
        (&["apply", "-f", "x.yaml", "--no-wait"][..], 64),
        (&["--help"][..], 0),
        (&["--version"][..], 0),
        (&["run", "--help"][..], 0),
    ] {
        assert_eq!(qd(words).output().unwrap().status.code(), Some(code), "{words:?}");
    }
}

#[test]
fn an_unknown_kind_is_wrong_usage_and_names_the_known_ones() {
    let server = StandIn::start(Router::new());
    let output = server.run(&["get", "pipes"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(stderr(&output).contains("there are: pipelines, runs, jobs"), "{}", stderr(&output));
    assert!(stdout(&output).is_empty());
}

#[test]
fn nobody_listening_is_an_error_with_advice() {
    let output =
        qd(&["get", "runs", "--server", "127.0.0.1:9"]).env("HOME", "/nonexistent").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("what to do: start it with `qd up`"), "{}", stderr(&output));
}

#[test]
fn a_server_that_speaks_tls_at_an_http_address_is_told_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // As a TLS server does with what is no handshake; it ends with the process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            if stream.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {
                let _ = stream.write_all(&[0x15, 3, 3, 0, 2, 2, 50]);
            }
        }
    });
    let began = Instant::now();
    for words in [&["get", "runs"][..], &["events", "-f"][..], &["audit", "export"][..]] {
        let server = format!("http://{address}");
        let words: Vec<&str> = words.iter().copied().chain(["--server", &server]).collect();
        let output = qd(&words).env("HOME", "/nonexistent").output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(stderr(&output).contains(&format!("use https://{address}")), "{}", stderr(&output));
    }
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[test]
fn a_refusal_is_told_with_code_and_correlation_id() {
    let routes = Router::new().route(
        "/api/v1/pipelines/{name}",
        get(|| async {
            problem(404, "resource_not_found", "there is no pipeline \"x\"", serde_json::json!([]))
        }),
    );
    let server = StandIn::start(routes);
    let output = server.run(&["get", "pipeline", "x", "-o", "json"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stdout(&output).is_empty());
    for part in ["(resource_not_found)", "there is no pipeline \"x\"", "correlation id: c-1"] {
        assert!(stderr(&output).contains(part), "{part}: {}", stderr(&output));
    }
    let seen = server.seen("GET", "/api/v1/pipelines/x");
    assert_eq!(seen[0].authorization.as_deref(), Some("Bearer qd_test"));
    let kinds = server.seen("GET", "/api/v1/kinds");
    assert_eq!(seen[0].correlation, kinds[0].correlation, "one command, one correlation id");
}

#[test]
fn a_token_is_printed_and_stays_with_its_server() {
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("config.json");
    let mut set = qd(&["context", "set", "here", "--server", "127.0.0.1:7999", "--token-stdin"]);
    let mut child = set.env("QD_CONFIG", &config).stdin(std::process::Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"qd_secret\n").unwrap();
    assert!(child.wait().unwrap().success());
    let token = |server: &[&str]| {
        let words: Vec<&str> = ["auth", "token"].iter().chain(server).copied().collect();
        qd(&words).env("QD_CONFIG", &config).output().unwrap()
    };
    assert_eq!(stdout(&token(&[])), "qd_secret\n");
    assert_eq!(token(&["--server", "127.0.0.1:8000"]).status.code(), Some(2));
}
