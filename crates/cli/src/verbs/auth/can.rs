//! `qd auth can-i` and `who-can`: what the policies say, and what they would say.

use std::path::Path;

use serde_json::{Value, json};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::format::Format;
use crate::output::{clean, records};
use crate::verbs::get;

pub async fn can_i(
    invocation: &Invocation,
    action: &str,
    object: Option<&String>,
    somebody: Option<&String>,
) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let request = client.get("/api/v1/auth/can-i").query("action", action);
    let request = request.maybe_query("object", object).maybe_query("as", somebody);
    let told: Value = request.send().await?.json()?;
    // A role that names an action also allows it where it is never done, so only the action's own level decides.
    let (may, places): (bool, Vec<&str>) = match object {
        Some(object) => (told["object"] == true, vec![object.as_str()]),
        None => (
            told["level"].as_str().is_some_and(|level| told[level] == true),
            ["project", "tenant", "platform"].into_iter().filter(|level| told[*level] == true).collect(),
        ),
    };
    let out = &invocation.out;
    if may {
        out.line(&clean(&format!("yes ({})", places.join(", "))))?;
    } else {
        out.line("no")?;
    }
    let because = told["because"].as_array().map(Vec::as_slice).unwrap_or_default();
    for reason in because {
        out.note(&clean(&records::text(reason, "sentence")));
    }
    if may {
        return Ok(Exit::OK);
    }
    // Where something else decided, such as a policy, no role would help.
    if because.is_empty() {
        out.note(&format!("roles that allow it: {}", clean(&records::text(&told, "allowed_by"))));
    }
    Ok(Exit::ERROR)
}

pub async fn who_can(
    invocation: &Invocation,
    action: &str,
    object: Option<&String>,
    output: Format,
) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let request = client.get("/api/v1/auth/who-can").query("action", action);
    let told: Value = request.maybe_query("object", object).send().await?.json()?;
    let mut items = told["items"].as_array().cloned().unwrap_or_default();
    for item in &mut items {
        let why = item["because"].as_array().into_iter().flatten();
        let why: Vec<&str> = why.filter_map(|reason| reason["sentence"].as_str()).collect();
        item["why"] = json!(why.join("; "));
    }
    let list = get::List { items, more: false, filtered: false };
    records::print(
        invocation,
        &list,
        ("users", "principal"),
        &[("NAME", "principal"), ("KIND", "kind"), ("WHY", "why")],
        output,
    )?;
    if told["truncated"] == true {
        invocation.out.note("there are more people and services than were asked about");
    }
    Ok(Exit::OK)
}

/// Exit 0 where nothing would change, 1 where something would, as `qd diff` does.
pub async fn what_if(
    invocation: &Invocation,
    action: &str,
    object: Option<&str>,
    somebody: Option<&str>,
    file: &Path,
) -> Result<Exit, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::local(format!("read {}: {error}", file.display())))?;
    let document: Value = serde_saphyr::from_str(&text)
        .map_err(|error| Failure::local(format!("{} is no document: {error}", file.display())))?;
    let (name, cedar) = (document["metadata"]["name"].as_str(), document["spec"]["cedar"].as_str());
    let (Some(name), Some(cedar)) = (name, cedar) else {
        return Err(Failure::local(format!(
            "{} is no policy: it wants metadata.name and spec.cedar",
            file.display()
        )));
    };
    let body = json!({
        "policies": [{ "name": name, "cedar": cedar }],
        "actions": [action],
        "principals": somebody.into_iter().collect::<Vec<_>>(),
    });
    let told: Value = invocation.client()?.post("/api/v1/auth/what-if").json(&body).send().await?.json()?;
    let changes = told["changes"].as_array().into_iter().flatten();
    let changes: Vec<&Value> =
        changes.filter(|change| object.is_none_or(|object| change["object"] == object)).collect();
    let word = |allowed: &Value| if *allowed == true { "yes" } else { "no" };
    for change in &changes {
        let on = change["object"].as_str().unwrap_or("the project");
        let (before, after) = (word(&change["before"]), word(&change["after"]));
        let who = records::text(change, "principal");
        invocation.out.line(&clean(&format!("{who} {action} {on}: {before} -> {after}")))?;
    }
    if changes.is_empty() {
        invocation.out.note("nothing would change");
        return Ok(Exit::OK);
    }
    Ok(Exit::DIFFERS)
}
