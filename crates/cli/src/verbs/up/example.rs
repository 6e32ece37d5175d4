//! The example: applied and published where it is not there yet, run until it has succeeded once.

use std::path::Path;

use serde_json::json;

use crate::client::Client;
use crate::client::shapes::{Accepted, Applied, Page, Resource, Run};
use crate::documents::{self, Bundle};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::live;
use crate::live::run::{Outcome, View, follow};
use crate::output::clean;
use crate::targets::Target;
use crate::verbs::apply::{Order, describe, send};

pub async fn run(
    invocation: &Invocation,
    client: &Client,
    folder: &Path,
    data: &Path,
) -> Result<(), Failure> {
    if !folder.is_dir() {
        invocation.out.note(&format!("no example in {}: nothing is set up", folder.display()));
        return Ok(());
    }
    let bundle = documents::read(&[folder.to_owned()])?;
    let target = named(client, &bundle).await?;
    if published(client, &target).await?.is_none() {
        apply(invocation, client, &bundle).await?;
    }
    if let Some(run) = newest(client, &target, Some("succeeded")).await? {
        let again = format!("`qd run {}` runs it again", target.label());
        invocation.out.line(&format!(
            "  {} has succeeded before ({}); {again}",
            target.label(),
            clean(run.label())
        ))?;
        return results(invocation, &run, data);
    }
    let under_way = newest(client, &target, None).await?.filter(|run| !run.ended());
    let run = match under_way {
        Some(run) => run,
        None => start(client, &target).await?,
    };
    match follow(invocation, client, &run.id, View::Data, false).await? {
        Outcome::Ended(run) => {
            results(invocation, &run, data)?;
            if run.state != "succeeded" {
                invocation.out.line(&format!(
                    "  `qd logs {0}` has its log, `qd retry {0}` tries again",
                    clean(run.label())
                ))?;
            }
            Ok(())
        }
        Outcome::Detached => Ok(()),
    }
}

/// The first document's kind and name.
async fn named(client: &Client, bundle: &Bundle) -> Result<Target, Failure> {
    let first = bundle.sources.files.iter().find_map(|file| file.documents.first());
    let scalar = |pointer: &str| Some(first?.scalar(pointer)?.value.clone());
    match (scalar("/kind"), scalar("/metadata/name")) {
        (Some(kind), Some(name)) => Target::parse(client, &[kind, name]).await,
        _ => Err(Failure::local("the example's first document has no kind and name")),
    }
}

async fn published(client: &Client, target: &Target) -> Result<Option<u64>, Failure> {
    match client.fetch::<Resource>(&target.path("")).await {
        Ok(resource) => Ok(resource.published.map(|published| published.number)),
        Err(failure) if failure.status() == Some(404) => Ok(None),
        Err(failure) => Err(failure),
    }
}

async fn apply(invocation: &Invocation, client: &Client, bundle: &Bundle) -> Result<(), Failure> {
    let order = Order { publish: true, message: Some("the example"), ..Order::default() };
    let applied: Applied = send(invocation, client, bundle, &order).await?.json()?;
    for item in &applied.items {
        let line = describe(item, false, false, &bundle.sources, invocation.out.paint());
        invocation.out.data(&format!("  {line}"))?;
    }
    if let Some(job) = &applied.job
        && live::job::conclude(invocation, client, &job.id).await? != Exit::OK
    {
        return Err(Failure::local("the example could not be published"));
    }
    Ok(())
}

async fn newest(client: &Client, target: &Target, state: Option<&str>) -> Result<Option<Run>, Failure> {
    let request = client.get(&target.path("/runs")).query("limit", 1).maybe_query("state", state);
    let page: Page<Run> = request.send().await?.json()?;
    Ok(page.items.into_iter().next())
}

async fn start(client: &Client, target: &Target) -> Result<Run, Failure> {
    let request = client.post(&target.path("/runs")).json(&json!({})).idempotent(None)?;
    let Accepted { run, .. } = request.send().await?.json()?;
    run.ok_or_else(|| Failure::Answer {
        server: client.server().to_string(),
        detail: "the run is missing in the answer".into(),
    })
}

/// Where the results of a run lie.
fn results(invocation: &Invocation, run: &Run, data: &Path) -> Result<(), Failure> {
    let output = data.join("runs").join(&run.id).join("output");
    if output.is_dir() {
        invocation.out.line(&format!("  results   {}/", output.display()))?;
    }
    Ok(())
}
