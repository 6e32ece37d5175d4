//! What may not stand in a file: unfinished work, silenced checks, places of one machine, words about how the text
//! came to be. This file names all of it and is the only one that is not searched.

use std::collections::BTreeSet;

use regex::Regex;

use crate::assert_tidy;
use crate::tree::{Source, sources};

struct Rule {
    what: &'static str,
    pattern: &'static str,
    /// Of the files that are searched; empty = all.
    extensions: &'static [&'static str],
    /// Lines that it must find, so that the rule itself is tested.
    finds: &'static [&'static str],
    passes: &'static [&'static str],
}

const SCRIPTS: &[&str] = &["ts", "tsx", "js", "mjs"];
const RULES: &[Rule] = &[
    Rule {
        what: "unfinished work",
        pattern: r"\b(TODO|FIXME|XXX)\b|\b(todo|unimplemented|dbg)!\(",
        extensions: &[],
        finds: &["// TODO: later", "todo!()", "dbg!(x)"],
        passes: &["mktemp /tmp/XXXXXX", "fn todo_list()"],
    },
    Rule {
        what: "a test that does not run",
        pattern: r"#\[ignore\b",
        extensions: &["rs"],
        finds: &["#[ignore]", r#"#[ignore = "slow"]"#],
        passes: &["words.iter().skip(1)"],
    },
    Rule {
        what: "a test that does not run",
        pattern: r"\b(test|it|describe)(\.\w+)*\.(only|skip|todo|fixme|fails)\b|\bx(it|describe)\(",
        extensions: SCRIPTS,
        finds: &["test.only('x')", "describe.concurrent.skip(", "it.todo('y')"],
        passes: &["await it.next()", "test.describe('x')"],
    },
    Rule {
        what: "a test that does not run",
        pattern: r"\bxfail\b|\bmark\.skip\b",
        extensions: &["py"],
        finds: &["@pytest.mark.xfail", "@pytest.mark.skip"],
        passes: &["@pytest.mark.skipif(sys.version_info < (3, 12), reason='no Xenna')"],
    },
    Rule {
        what: "a silenced check",
        pattern: r"@ts-(ignore|expect-error|nocheck)|eslint-disable(-next-line|-line)?\s*(\*/|$)",
        extensions: SCRIPTS,
        finds: &["// @ts-ignore", "/* eslint-disable */", "// eslint-disable-next-line"],
        passes: &["// eslint-disable-next-line no-control-regex"],
    },
    Rule {
        what: "a silenced check",
        pattern: r"#!?\[allow\([^\]=]*\)\]",
        extensions: &["rs"],
        finds: &["#[allow(dead_code)]", "#![allow(clippy::unwrap_used, clippy::panic)]"],
        passes: &[r#"#[expect(dead_code, reason = "kept")]"#, r#"#[allow(dead_code, reason = "x")]"#],
    },
    Rule {
        what: "a silenced check",
        pattern: r"#\s*(noqa|type:\s*ignore)\s*$",
        extensions: &["py"],
        finds: &["import x  # noqa", "y = z  # type: ignore"],
        passes: &["import x  # noqa: F401"],
    },
    Rule {
        what: "a test that sleeps instead of waiting for a condition",
        pattern: r"\bwaitForTimeout\(",
        extensions: SCRIPTS,
        finds: &["await page.waitForTimeout(500)"],
        passes: &["await expect(row).toBeVisible()"],
    },
    Rule {
        what: "text that a browser would run",
        pattern: r"dangerouslySetInnerHTML|\.(inner|outer)HTML\b|insertAdjacentHTML|document\.write|\beval\(|\bnew Function\(",
        extensions: SCRIPTS,
        finds: &["<p dangerouslySetInnerHTML={{ __html: x }} />", "node.innerHTML = x", "eval(x)"],
        passes: &["node.textContent = x", "retrieval(x)"],
    },
    Rule {
        what: "a place of one machine",
        pattern: r"(^|[^A-Za-z0-9_.$}<-])/(home|Users)/",
        extensions: &[],
        finds: &["cd /home/me/x", "path = \"/Users/me\""],
        passes: &["a/home/b", "./home/x"],
    },
];

fn searched(source: &&Source) -> bool {
    let path = source.path.as_str();
    let locked = path.ends_with("Cargo.lock") || path.ends_with("package-lock.json");
    !locked && path != "LICENSE" && !path.ends_with("testkit/tests/tidy/text.rs")
}

#[test]
fn nothing_stands_in_a_file_that_should_not() {
    let mut broken = Vec::new();
    for rule in RULES {
        let pattern = Regex::new(rule.pattern).unwrap();
        let of_rule =
            |source: &&Source| rule.extensions.is_empty() || rule.extensions.contains(&source.extension());
        for source in sources().iter().filter(searched).filter(of_rule) {
            for (number, line) in source.lines().filter(|(_, line)| pattern.is_match(line)) {
                broken.push(format!("{}:{number}: {}: {}", source.path, rule.what, line.trim()));
            }
        }
    }
    assert_tidy("texts are finished and belong to no machine", &broken);
}

#[test]
fn each_rule_finds_what_it_names() {
    for rule in RULES {
        let pattern = Regex::new(rule.pattern).unwrap();
        assert!(rule.finds.iter().all(|line| pattern.is_match(line)), "{}: {:?}", rule.what, rule.finds);
        assert!(!rule.passes.iter().any(|line| pattern.is_match(line)), "{}: {:?}", rule.what, rule.passes);
    }
}

/// The registries that this machine is set up to use are nobody else's.
#[test]
fn no_file_names_a_registry_of_this_machine() {
    let hosts = configured_hosts();
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| source.path != "Cargo.lock") {
        for (number, line) in source.lines() {
            broken.extend(
                hosts
                    .iter()
                    .filter(|host| line.contains(host.as_str()))
                    .map(|host| format!("{}:{number}: {host}", source.path)),
            );
        }
    }
    assert_tidy("no registry's host is written down", &broken);
}

fn configured_hosts() -> BTreeSet<String> {
    let home = std::env::var("HOME").unwrap_or_default();
    let mut said: Vec<String> =
        ["NPM_CONFIG_REGISTRY", "npm_config_registry", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"]
            .iter()
            .filter_map(|name| std::env::var(name).ok())
            .collect();
    let files = [".npmrc", ".config/pip/pip.conf", ".pip/pip.conf", ".cargo/config.toml"]
        .map(|file| format!("{home}/{file}"));
    let of_system = ["/etc/pip.conf", "/etc/apt/sources.list"].map(str::to_owned);
    said.extend(files.iter().chain(&of_system).filter_map(|file| std::fs::read_to_string(file).ok()));
    let host = Regex::new(r"https?://(?:[^/@\s]*@)?([\w.-]+\.[a-z]{2,})").unwrap();
    let known = said.iter().flat_map(|text| host.captures_iter(text).map(|found| found[1].to_owned()));
    // A Git host in a registry's index address serves everybody.
    known.filter(|host| host != "github.com").collect()
}

#[test]
fn the_lock_names_no_download() {
    let lock = sources().iter().find(|source| source.path == "ui/package-lock.json").unwrap();
    let broken: Vec<String> = lock
        .lines()
        .filter(|(_, line)| line.contains("\"resolved\"") || line.contains("http://"))
        .map(|(number, line)| format!("{}:{number}: {}", lock.path, line.trim()))
        .collect();
    assert_tidy("the lock holds versions and hashes, no addresses", &broken);
}
