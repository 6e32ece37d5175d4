//! The whole way of a proof through the real binary: a server signs and sends its checkpoints away, a file is exported, and who has
//! that file, a public key and an old checkpoint finds what was done to it.

use std::fs;

use qd_testkit::eventually;
use serde_json::Value;

use super::support::{Process, refused};

fn template(cpus: f64) -> String {
    format!(
        "apiVersion: quarterdeck/v1\nkind: StageTemplate\nmetadata: {{name: load}}\nspec: {{description: A stage., uses: \"stages:Only\", resources: {{cpus: {cpus}}}}}\n"
    )
}

#[tokio::test]
async fn an_export_is_verified_without_a_server() {
    let outside = tempfile::tempdir().unwrap();
    let sink = format!("file://{}", outside.path().display());
    let mut server = Process::with(&["--audit-checkpoint-every", "1", "--audit-sink", &sink]);
    let token = server.token();
    for n in 1..=3 {
        server.write("load.yaml", &template(f64::from(n)));
        let (code, _, said) = server.run(&token, &["apply", "-f", "load.yaml", "--publish"]);
        assert_eq!(code, 0, "{said}");
    }
    let (_, listed, _) =
        server.run(&token, &["audit", "--object", "stagetemplates/load", "-o", "json", "--actor", "owner"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert!(listed["items"].as_array().unwrap().len() >= 3, "{listed}");
    let sealed = async |least: i64| {
        eventually("what was done is sealed, signed and outside", async || {
            let (code, checkpoint, _) = server.run(&token, &["audit", "checkpoint"]);
            let checkpoint: Value = serde_json::from_str(&checkpoint).ok().filter(|_| code == 0)?;
            let (chain, seq) = (checkpoint["chain"].as_str()?, checkpoint["seq"].as_i64()?);
            let file = outside.path().join(format!("{chain}/{seq:012}.json"));
            (seq >= least && file.exists()).then_some((seq, file))
        })
        .await
    };
    let (early, _) = sealed(3).await;
    let ok = |words: &[&str]| {
        let (code, out, said) = server.run(&token, words);
        assert_eq!(code, 0, "{words:?}: {said}");
        out
    };
    let keys = ok(&["audit", "keys"]);
    assert!(keys.ends_with("-----END PUBLIC KEY-----\n"), "{keys:?}");
    server.write("audit.pub", &keys);
    ok(&["audit", "export", "-o", "early.jsonl", "--to", &early.to_string()]);
    server.write("load.yaml", &template(4.0));
    ok(&["apply", "-f", "load.yaml", "--publish"]);
    let (late, kept) = sealed(early + 1).await;
    fs::copy(kept, server.folder().join("kept.json")).unwrap();
    ok(&["audit", "export", "-o", "audit.jsonl"]);
    let (code, _, said) = server.run(&token, &["audit", "export", "-o", "audit.jsonl"]);
    assert_eq!((code, said.contains("audit.jsonl is there already")), (2, true), "{said}");
    ok(&["audit", "export", "-o", "audit.jsonl", "--force"]);
    let audit = fs::read_to_string(server.folder().join("audit.jsonl")).unwrap();

    // From here on nobody asks the server.
    server.terminate();
    server.ended().await;
    let verify = |file: &str, more: &[&str]| {
        let words: Vec<&str> =
            ["audit", "verify", file, "--key", "audit.pub"].iter().chain(more).copied().collect();
        server.run("none", &words)
    };
    let (code, out, notes) = verify("audit.jsonl", &[]);
    assert_eq!(code, 0, "{out}{notes}");
    assert!(out.starts_with("proved: records 1 to "), "{out}");
    assert!(notes.contains("not proved: that record") && notes.contains("holds the key"), "{notes}");
    let (code, out, notes) = verify("audit.jsonl", &["--checkpoint", "kept.json"]);
    assert_eq!(code, 0, "{out}");
    assert!(notes.contains("1 of 1 checkpoints that were kept elsewhere agree"), "{notes}");

    assert_eq!(verify("early.jsonl", &[]).0, 0, "an older export is whole in itself");
    let (code, out, _) = verify("early.jsonl", &["--checkpoint", "kept.json"]);
    assert_eq!(code, 1);
    assert!(
        out.starts_with(&format!("refuted at record {}", early + 1)) && out.contains("cut"),
        "{out} ({late})"
    );

    let third = audit.lines().nth(3).unwrap();
    server.write(
        "changed.jsonl",
        &audit.replace(third, &third.replace("\"actor\":\"owner\"", "\"actor\":\"mallory\"")),
    );
    let (code, out, _) = verify("changed.jsonl", &[]);
    assert_eq!((code, out.starts_with("refuted at record 3, line 4: changed: ")), (1, true), "{out}");

    let (code, public, said) = server.run("none", &["audit", "keygen", "other.key"]);
    assert_eq!(code, 0, "{said}");
    server.write("other.pub", &public);
    let (code, out, _) = server.run("none", &["audit", "verify", "audit.jsonl", "--key", "other.pub"]);
    assert_eq!((code, out.contains("wrong key")), (1, true), "{out}");
    assert_eq!(server.run("none", &["audit", "keygen", "other.key"]).0, 2, "a key is never written over");

    for wrong in [
        &["audit", "verify", "audit.jsonl"][..],
        &["audit", "verify", "none.jsonl", "--key", "audit.pub"],
        &["audit", "verify", "audit.jsonl", "--key", "other.key"],
        &["audit", "verify", "audit.jsonl", "--key", "audit.pub", "--checkpoint", "audit.pub"],
    ] {
        let (code, _, said) = server.run("none", wrong);
        assert_eq!(code, 64, "{wrong:?}: {said}");
    }
}

#[test]
fn another_key_than_the_one_that_signs_is_refused_at_the_start() {
    let first = Process::with(&[]);
    let key = |name: &str| {
        assert_eq!(first.run("none", &["audit", "keygen", name]).0, 0);
        first.folder().join(name).display().to_string()
    };
    let data = first.folder().join("data").display().to_string();
    let other = key("other.key");
    let stopped = first.stop();
    let words = ["serve", "--listen", "127.0.0.1:0", "--data", &data, "--audit-key", &other];
    let (code, said) = refused(&words);
    assert_eq!(code, 2);
    assert!(said.contains("audit_key_mismatch") && said.contains("--audit-key-rotate"), "{said}");
    drop(stopped);
}
