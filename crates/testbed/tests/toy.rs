//! A kind that is defined in one file is there everywhere: REST, OpenAPI, command line, runs, audit, and the list of kinds
//! from which the UI makes its pages.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

struct Testbed {
    home: TempDir,
    server: Child,
    url: String,
    token: String,
}

impl Testbed {
    fn start() -> Self {
        let home = TempDir::new().unwrap();
        let token_file = home.path().join("token");
        let mut server = Command::new(env!("CARGO_BIN_EXE_qd-testbed"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(home.path().join("data"))
            .arg("--token-file")
            .arg(&token_file)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut url).unwrap();
        let token = fs::read_to_string(token_file).unwrap().trim().to_owned();
        Self { home, server, url: url.trim().to_owned(), token }
    }

    /// Runs the shipped `qd` against this server: exit code and stdout.
    fn qd(&self, args: &[&str]) -> (i32, String) {
        let qd = PathBuf::from(env!("CARGO_BIN_EXE_qd-testbed")).with_file_name("qd");
        assert!(qd.exists(), "build it first: cargo build -p qd-cli");
        let out = Command::new(qd)
            .args(args)
            .env("QD_SERVER", &self.url)
            .env("QD_TOKEN", &self.token)
            .env("QD_CONFIG", self.home.path().join("contexts.json"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        (out.status.code().unwrap_or(-1), text + &String::from_utf8_lossy(&out.stderr))
    }

    /// The body of a GET.
    fn get(&self, path: &str) -> Value {
        let address = self.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        let token = &self.token;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n")
            .unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let body = reply.split_once("\r\n\r\n").unwrap().1;
        // A long body comes in chunks, each after a line with its length.
        let (start, end) = (body.find(['{', '[']).unwrap(), body.rfind(['}', ']']).unwrap());
        let joined: String = body[start..=end].split("\r\n").step_by(2).collect();
        serde_json::from_str(&body[start..=end]).or_else(|_| serde_json::from_str(&joined)).expect("JSON")
    }
}

impl Drop for Testbed {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[test]
fn a_kind_of_one_file_is_there_everywhere() {
    let testbed = Testbed::start();
    let document = testbed.home.path().join("toy.yaml");
    let text = "apiVersion: quarterdeck/v1\nkind: Toy\nmetadata: {name: duck}\nspec: {size: 12, parts: [{name: wheel}]}\n";
    fs::write(&document, text).unwrap();

    let (code, said) = testbed.qd(&["apply", "-f", document.to_str().unwrap(), "--publish"]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = testbed.qd(&["get", "toys"]);
    assert!(code == 0 && said.contains("duck"), "{said}");
    let (code, said) = testbed.qd(&["run", "toys/duck", "--wait"]);
    assert_eq!(code, 0, "{said}");

    let duck = testbed.get("/api/v1/toys/duck");
    assert_eq!(
        duck["spec"],
        json!({ "color": "red", "size": 12, "parts": [{ "name": "wheel", "count": 1 }] })
    );
    assert_eq!(testbed.get("/api/v1/toys/duck/runs")["items"][0]["state"], "succeeded");

    let audit = testbed.get("/api/v1/toys/duck/audit");
    let actions: Vec<&str> =
        audit["items"].as_array().unwrap().iter().filter_map(|r| r["action"].as_str()).collect();
    assert!(actions.contains(&"toys.run") && actions.contains(&"documents.apply"), "{actions:?}");

    let description = testbed.get("/openapi.json");
    assert_eq!(description["paths"]["/api/v1/toys/{name}/runs"]["post"]["operationId"], "toy_run_start");
    assert_eq!(description["paths"]["/api/v1/jobs"]["post"]["operationId"], "job_ask");
    let of = &description["components"]["schemas"]["AnyResource"]["discriminator"]["mapping"];
    assert_eq!(of["Toy"], "#/components/schemas/ToyDetail");
    assert!(description["components"]["schemas"]["ToySpec"]["properties"]["size"].is_object());

    // What the UI makes its navigation, list, form and detail from.
    let kinds = testbed.get("/api/v1/kinds");
    let toy = kinds["items"].as_array().unwrap().iter().find(|kind| kind["kind"] == "Toy").expect("the toy");
    assert_eq!(
        (&toy["plural"], &toy["runnable"], &toy["group"]),
        (&json!("toys"), &json!(true), &json!("build"))
    );
}
