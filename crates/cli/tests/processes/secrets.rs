//! Secrets from the command line, on a real server that is alone, and a server that was given no key.

use std::os::unix::fs::PermissionsExt as _;

use super::support::{Process, refused};

#[test]
fn a_secret_goes_in_by_a_file_and_is_used_by_a_connection() {
    let server = Process::with(&[]);
    let token = server.token();
    let run = |words: &[&str]| server.run(&token, words);
    let (code, _, said) = run(&["secrets", "list"]);
    assert_eq!((code, said.contains("no secrets")), (0, true), "{said}");

    server.write("password.txt", "canary-4711\n");
    let (code, out, said) = run(&["secrets", "set", "api/token", "--from-file", "password.txt"]);
    assert_eq!((code, out.trim()), (0, "api/token"), "{said}");
    assert!(said.contains("secret://api/token is version 1 now"), "{said}");
    let key = server.home().join("data/secret.key");
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);

    let spec = "apiVersion: quarterdeck/v1\nkind: Connection\nmetadata: {name: api}\nspec:\n  type: http\n  address: http://127.0.0.1:1/\n  token: secret://api/token\n";
    server.write("connection.yaml", spec);
    let (code, _, said) = run(&["apply", "-f", "connection.yaml", "--publish"]);
    assert_eq!(code, 0, "{said}");
    let (code, out, said) = run(&["connections", "test", "api"]);
    assert_eq!(code, 1, "nothing is there: {out}{said}");
    assert!(
        out.starts_with("connections/api does not work: it cannot be connected to [unreachable]"),
        "{out}"
    );
    let (code, out, said) = run(&["secrets", "list"]);
    assert!(code == 0 && out.contains("api/token") && out.contains("Connection api"), "{out}{said}");
    let (code, _, said) = run(&["secrets", "delete", "api/token"]);
    assert!(code == 2 && said.contains("secret_in_use"), "{said}");

    let (code, _, said) = run(&["secrets", "rotate", "--data-key", "--reason", "a test"]);
    assert_eq!(code, 0, "{said}");
    let (code, out, said) = run(&["secrets", "rotate", "--master-key", "--dry-run"]);
    assert!(code == 0 && out.contains("Put the master key"), "{out}{said}");
    let (code, out, said) = run(&["secrets", "keys"]);
    assert!(code == 0 && out.contains("data key              2 since "), "{out}{said}");
    let (_, audit, _) = run(&["audit", "-o", "json"]);
    assert!(audit.contains("secrets.resolve") && !audit.contains("canary"), "{audit}");
    assert!(!server.log().contains("canary"));
}

#[test]
fn a_malformed_key_is_refused_at_the_start_and_not_shown() {
    let home = tempfile::TempDir::new().unwrap();
    let file = home.path().join("key");
    std::fs::write(&file, "canary-4711").unwrap();
    let data = home.path().join("data");
    let words = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--data",
        data.to_str().unwrap(),
        "--secret-key-file",
        file.to_str().unwrap(),
    ];
    let (code, said) = refused(&words);
    assert_ne!(code, 0);
    assert!(said.contains("secret_key_malformed") && !said.contains("canary"), "{said}");
}
