//! `qd serve` with a certificate of its own, and `qd` that trusts it; and a server that is heard by others in the clear.

use std::path::Path;

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use super::support::{Process, refused};

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of this test")
}

#[test]
fn a_command_speaks_tls_to_a_server_whose_root_it_is_given() {
    let folder = TempDir::new().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let (code, said) =
        refused(&["serve", "--listen", "127.0.0.1:0", "--tls-cert", text(&cert), "--tls-key", text(&key)]);
    assert!(code == 2 && said.contains("bad_certificate") && said.contains("cert.pem"), "{code}: {said}");
    let pair = KeyPair::generate().unwrap();
    let made = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&pair).unwrap();
    std::fs::write(&cert, made.pem()).unwrap();
    std::fs::write(&key, pair.serialize_pem()).unwrap();
    let server = Process::with(&["--tls-cert", text(&cert), "--tls-key", text(&key)]);
    let token = server.token();
    let (code, _, error) = server.run(&token, &["whoami"]);
    assert!(code == 2 && error.contains("speaks TLS"), "{error}");
    let url = server.url().replace("http://", "https://");
    let (code, said, error) = server.run(&token, &["--server", &url, "--cacert", text(&cert), "whoami"]);
    assert!(code == 0 && said.contains("owner"), "{said}{error}");
    // This machine's own context has its root from the server.
    let (code, said, error) = server.run(&token, &["--context", "local", "whoami"]);
    assert!(code == 0 && said.contains("owner"), "{said}{error}");
    assert_eq!(server.run(&token, &["context", "remove", "local"]).0, 0);
    let (code, _, error) = server.run(&token, &["--server", &url, "whoami"]);
    assert_eq!(code, 2, "without its root it is not trusted: {error}");
    // A context keeps the root.
    let set = ["context", "set", "far", "--server", &url, "--cacert", text(&cert), "--use"];
    assert_eq!(server.run(&token, &set).0, 0);
    let (code, said, error) = server.run(&token, &["--context", "far", "whoami"]);
    assert!(code == 0 && said.contains("owner"), "{said}{error}");
    let (code, _, error) = server.run(&token, &["--server", &url, "--cacert", text(&key), "whoami"]);
    assert!(code == 2 && error.contains("no certificate"), "{error}");
}

#[test]
fn a_server_that_is_heard_in_the_clear_says_so() {
    let open = ["--listen", "0.0.0.0:0"];
    let warned = |more: &[&str]| Process::with(&[&open, more].concat()).log().contains("in the clear");
    assert!(warned(&[]));
    assert!(!warned(&["--behind-proxy"]));
}
