//! Why a resource is where it is: what is published, what is newer than that, and which job is about to change it.

use qd_core::{
    error::{Error, Result},
    id::{JobId, ResourceId},
    state::{JobState, ResourceState},
    time::Timestamp,
};

use super::{Said, clause};
use crate::{context::Scope, kernel::Kernel, params};

/// A job about a resource that has not ended.
struct Underway {
    id: JobId,
    operation: String,
    state: JobState,
    created_at: Timestamp,
}

pub(super) async fn explain(kernel: &Kernel, scope: Scope, plural: &str, name: &str) -> Result<Said> {
    let Some(kind) = kernel.registry.find_plural(plural).cloned() else {
        return Err(Error::not_found("resource_not_found", format!("there is no kind {plural} here")));
    };
    let info = kind.info();
    let resource = kernel.resource_get(scope, info.kind, name).await?;
    let mut said = Said::of(format!("{plural}/{}", resource.name), kernel.source.now());
    said.fact("state", resource.state.as_str(), Some(resource.updated_at));
    let newest = resource.latest_revision.as_ref();
    if let Some(newest) = newest {
        said.fact("newest revision", format!("{} {}", newest.number, newest.state), None);
    }
    let mut sentence = match (&resource.published, newest) {
        _ if resource.state == ResourceState::Archived => {
            "It is archived: everything is kept, and nothing of it can be published or started until it is restored".into()
        }
        (None, None) => "It has no revision yet: what is in the working copy is nobody's until it is published".into(),
        (None, Some(newest)) => {
            let starts = if info.runnable() { ", so nothing can be started from it" } else { "" };
            format!("None of its revisions is published{starts}; the newest, {}, is {}", newest.number, newest.state)
        }
        (Some(published), newest) => {
            said.fact("published revision", published.number, published.published_at);
            let since = said.since(published.published_at);
            match newest.filter(|newest| newest.number > published.number) {
                Some(newest) => format!(
                    "Revision {} is the published one{since}; revision {} is newer and {}",
                    published.number, newest.number, newest.state
                ),
                None => format!("Revision {} is the published one{since}, and none is newer", published.number),
            }
        }
    };
    if resource.changed && newest.is_some() && resource.state == ResourceState::Active {
        said.fact("working copy", "changed since the newest revision was cut", None);
        sentence.push_str("; the working copy has changes that no revision holds");
    }
    for job in underway(kernel, scope, resource.id).await? {
        said.fact(
            "job under way",
            format!("jobs/{} {} {}", job.id, job.operation, job.state),
            Some(job.created_at),
        );
        sentence.push_str(&format!("; {} is under way (jobs/{}, {})", job.operation, job.id, job.state));
    }
    if let Some(run) = &resource.last_run {
        said.fact("last run", format!("#{} {}", run.number, run.state), run.ended_at.or(run.started_at));
    }
    if let Some(status) = kind.status(kernel, scope, &resource).await? {
        if let Some(told) = status["sentence"].as_str() {
            sentence.push_str(&format!(". {}", clause(told)));
        }
        // Of a list the first one; what needs more than a word stands in the sentence.
        for (what, value) in status.as_object().into_iter().flatten().filter(|(what, _)| *what != "sentence")
        {
            let first = value.as_array().map_or(Some(value), |list| list.first());
            if let Some(first) = first.filter(|first| !first.is_object()) {
                said.fact(what, first.clone(), None);
            }
        }
    }
    sentence.push('.');
    Ok(said.say(sentence))
}

/// Runs have their own jobs; these change what is published.
async fn underway(kernel: &Kernel, scope: Scope, id: ResourceId) -> Result<Vec<Underway>> {
    kernel
        .store
        .read(move |tx| -> Result<_> {
            Ok(tx.rows(
                "SELECT id, operation, state, created_at FROM job
                 WHERE project_id = $1 AND state IN ('queued', 'running', 'waiting', 'undoing') AND resource_id = $2
                   AND run_id IS NULL ORDER BY id LIMIT 3",
                params![scope.project_id, id],
                |row| {
                    Ok(Underway { id: row.get(0)?, operation: row.get(1)?, state: row.get(2)?, created_at: row.get(3)? })
                },
            )?)
        })
        .await
}
