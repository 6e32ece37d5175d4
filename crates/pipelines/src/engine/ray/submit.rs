//! Starting and stopping an attempt. Each step finds what an earlier try has done, by the job's name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use qd_core::canonical::Digest;
use qd_core::error::{Error, ErrorKind, Result};
use qd_kernel::engine::{RunTicket, Submitted};
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::{Fault, Job, submission};
use super::cluster::{Cluster, submission_id};
use super::{Ray, package};
use crate::run_file::{RunFacts, run_file};
use crate::spec::{ExecutionMode, PipelineSpec};
use crate::templates::{Resolved, resolve};

/// Metadata of our jobs: whose it is, so that another's of the same name is not taken for it.
const RUN: &str = "quarterdeck_run";
const ATTEMPT: &str = "quarterdeck_attempt";
/// Marks a job that holds the place of an attempt which is not to be.
const CALLED_OFF: &str = "quarterdeck_called_off";

impl Ray {
    pub(super) async fn attempt_submit(&self, ticket: &RunTicket) -> Result<Submitted> {
        let cluster = self.cluster_of(ticket).await?;
        let id = submission_id(ticket);
        match self.told(&cluster, cluster.api.job(&id).await) {
            Ok(job) => return adopted(&cluster, ticket, &id, &job),
            Err(Fault::NotFound) => {}
            Err(fault) => return Err(fault.into_error()),
        }
        let order = self.order(ticket, &cluster, &id).await?;
        for (name, zip) in order.packages {
            cluster.api.package_put(&format!("{name}.zip"), zip).await.map_err(Fault::into_error)?;
        }
        self.attempts.sends(ticket);
        if cluster.api.submit(&order.job).await.map_err(Fault::into_error)? {
            return Ok(Submitted::Adopted { external_id: cluster.external_id(&id) });
        }
        // Another try of the same attempt was there first.
        let job = cluster.api.job(&id).await.map_err(Fault::into_error)?;
        adopted(&cluster, ticket, &id, &job)
    }

    /// Asks the job to end. One that was not submitted yet never will be: its name is taken by a job that does nothing, for
    /// a submission whose sender has given up may still arrive.
    ///
    /// What nobody lets in has started nothing: a first try that is refused for its connection or its token can be given up
    /// although the cluster cannot be asked. A head that does not answer may have the job, and so may one that an earlier
    /// try has reached, be it of a server that has died: they are asked until they answer.
    pub(super) async fn attempt_stop(&self, ticket: &RunTicket) -> Result<()> {
        let nothing_sent =
            ticket.external_id.is_none() && !ticket.tried_before && !self.attempts.sent(ticket);
        let cluster = match self.cluster_of(ticket).await {
            Err(error) if nothing_sent && matches!(error.code, "connection_not_found" | "secret_missing") => {
                return Ok(());
            }
            found => found?,
        };
        let id = submission_id(ticket);
        match cluster.api.stop(&id).await {
            Err(Fault::NotFound) if ticket.external_id.is_none() => {}
            Err(Fault::Token) if nothing_sent => return Ok(()),
            // Nobody to be asked is no error: the observation tells what became of the attempt.
            Err(Fault::NotFound) => return Ok(()),
            other => return other.map_err(Fault::into_error),
        }
        let metadata = whose(ticket).into_iter().chain([(CALLED_OFF, "true".to_owned())]);
        let nothing = submission(&id, "true", &metadata.collect::<Vec<_>>(), &json!({}));
        if !cluster.api.submit(&nothing).await.map_err(Fault::into_error)? {
            cluster.api.stop(&id).await.map_err(Fault::into_error)?;
        }
        Ok(())
    }

    /// Keeps what was learnt of the cluster's health.
    fn told<T>(&self, cluster: &Cluster, answer: Result<T, Fault>) -> Result<T, Fault> {
        self.contacts.heard(&cluster.spec.address, &answer, self.clock.now());
        answer
    }

    async fn order(&self, ticket: &RunTicket, cluster: &Cluster, id: &str) -> Result<Order> {
        let spec = PipelineSpec::deserialize(&ticket.spec).map_err(|error| {
            Error::internal("spec_unreadable", "the revision's spec cannot be read").with_source(error)
        })?;
        if spec.execution_mode == ExecutionMode::Serving {
            let detail = format!("{} would serve where nothing reaches it: on a cluster", ticket.run_ref);
            return Err(Error::conflict("not_serving", detail));
        }
        let Resolved { spec, code } = resolve(&spec);
        let mut archives: Vec<(Digest, Vec<u8>)> = Vec::new();
        for (digest, _) in code {
            match self.code.get(ticket.scope, &digest).await {
                Ok(archive) => archives.push((digest, archive.to_vec())),
                Err(error) if error.kind == ErrorKind::NotFound => {
                    let detail = format!("the code {digest} is not in the store");
                    return Err(Error::invalid("code_missing", detail));
                }
                Err(error) => return Err(error),
            }
        }
        let (ticket, output, id) =
            (ticket.clone(), cluster.spec.output_of(&ticket.run_id.to_string()), id.to_owned());
        let packed =
            tokio::task::spawn_blocking(move || Order::pack(&ticket, &spec, &archives, &output, &id));
        packed.await.map_err(|error| {
            Error::internal("engine_task", "could not pack the run for the cluster").with_source(error)
        })?
    }
}

/// All that a submission sends.
struct Order {
    packages: Vec<(String, Vec<u8>)>,
    job: Value,
}

impl Order {
    fn pack(
        ticket: &RunTicket,
        spec: &PipelineSpec,
        archives: &[(Digest, Vec<u8>)],
        output: &Path,
        id: &str,
    ) -> Result<Self> {
        // The first is the working folder, each other one an archive of code.
        let names: Vec<String> = (0..=archives.len()).map(|place| package::name(id, place)).collect();
        let (working_dir, code) = names.split_first().map_or(("", &names[..]), |(first, rest)| (first, rest));
        let folders: Vec<PathBuf> = code.iter().map(PathBuf::from).collect();
        let params = ticket.params.as_object().cloned().unwrap_or_default();
        let facts = RunFacts {
            run_id: ticket.run_id.to_string(),
            run_ref: &ticket.run_ref,
            params: &params,
            code: &folders,
            output,
            spec_dir: Path::new("."),
        };
        let file = run_file(spec, &facts).map_err(|violations| {
            Error::invalid("bad_run_spec", "the spec refers to params that the run does not have")
                .with_violations(violations)
        })?;
        let mut env = variables(&file["env"]);
        env.insert("PYTHON_LOG".into(), spec.observability.log_level.as_str().into());
        // Ray would leave out lines that several workers say alike.
        env.insert("RAY_DEDUP_LOGS".into(), "0".into());
        let uri = |name: &str| format!("gcs://{name}.zip");
        let mut runtime_env = json!({ "working_dir": uri(working_dir), "env_vars": env });
        if !code.is_empty() {
            runtime_env["py_modules"] = code.iter().map(|name| uri(name)).collect();
        }
        if !spec.runtime.requirements.is_empty() {
            runtime_env["pip"] = json!(spec.runtime.requirements);
        }
        let entrypoint = format!(
            "exec python -m qd_runner job --spec {} --attempt {} --mark {id}",
            package::RUN_FILE,
            ticket.attempt
        );
        let job = submission(id, &entrypoint, &whose(ticket), &runtime_env);
        let mut packages = vec![(working_dir.to_owned(), package::of_run(file.to_string().as_bytes())?)];
        for (name, (digest, archive)) in code.iter().zip(archives) {
            packages.push((name.clone(), package::of_code(archive, digest)?));
        }
        Ok(Self { packages, job })
    }
}

fn variables(env: &Value) -> BTreeMap<String, String> {
    let members = env.as_object().into_iter().flatten();
    members.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

fn whose(ticket: &RunTicket) -> Vec<(&'static str, String)> {
    vec![(RUN, ticket.run_id.to_string()), (ATTEMPT, ticket.attempt.to_string())]
}

/// A job that is there already is this attempt's, if it says so.
fn adopted(cluster: &Cluster, ticket: &RunTicket, id: &str, job: &Job) -> Result<Submitted> {
    let said = |name: &str| job.metadata.as_ref()?.get(name)?.as_str();
    if whose(ticket).iter().any(|(name, value)| said(name) != Some(value)) {
        let detail = format!("the cluster has a job {id} that is not this run's");
        return Err(Error::conflict("submission_taken", detail));
    }
    if said(CALLED_OFF).is_some() {
        let detail = "the run was stopped before its engine had started it";
        return Err(Error::conflict("attempt_stopped", detail));
    }
    Ok(Submitted::Adopted { external_id: cluster.external_id(id) })
}
