//! Which cluster an attempt belongs to, and what it is called there.

use qd_core::canonical::sha256_hex;
use qd_core::error::{Error, Result};
use qd_kernel::connections::CONNECTION;
use qd_kernel::engine::RunTicket;
use qd_kernel::secrets::SecretUse;
use serde::Deserialize;
use serde_json::Value;

use super::api::Api;
use super::connection::{RAY_CONNECTION, RayConnection};
use super::{RAY, Ray};
use crate::spec::PipelineSpec;
use crate::target::{self, Target};

/// A cluster by the connection that leads to it.
pub(super) struct Cluster {
    pub connection: String,
    /// The connection's revision by which the attempt was submitted, or is about to be.
    pub revision: i64,
    pub spec: RayConnection,
    pub api: Api,
}

/// The job's name: the same for every submit of an attempt, and no other attempt's of any installation.
pub(super) fn submission_id(ticket: &RunTicket) -> String {
    let hash: String = sha256_hex(format!("{} {}", ticket.run_id, ticket.attempt)).chars().take(12).collect();
    format!("qd-{}-{}-{hash}", ticket.run_ref.replace('#', "-"), ticket.attempt)
}

impl Cluster {
    /// The attempt's name at this engine. It holds the revision, so that a connection which leads elsewhere later does not
    /// take its running attempts along.
    pub fn external_id(&self, submission: &str) -> String {
        format!("{RAY}/{}/{}/{submission}", self.connection, self.revision)
    }
}

impl Ray {
    /// The cluster on which the attempt is, or on which it is to be.
    pub(super) async fn cluster_of(&self, ticket: &RunTicket) -> Result<Cluster> {
        match ticket.external_id.as_deref().map(parse_external) {
            Some(Some((connection, revision))) => {
                let pinned = self.connection(ticket, connection, Some(revision)).await?;
                let (_, pinned) = pinned.ok_or_else(|| no_connection(connection))?;
                // Where it leads to the same place, the newest one knows the token best.
                let newest = self.connection(ticket, connection, None).await?.map(|(_, spec)| spec);
                let spec = newest.filter(|newest| newest.address == pinned.address).unwrap_or(pinned);
                self.cluster(ticket, connection, revision, spec).await
            }
            Some(None) => {
                let detail = format!("{} was not started by this engine", ticket.run_ref);
                Err(Error::internal("spec_unreadable", detail))
            }
            None => {
                let name = target_of(ticket)?;
                let found = self.connection(ticket, &name, None).await?;
                let (revision, spec) = found.ok_or_else(|| no_connection(&name))?;
                self.cluster(ticket, &name, revision, spec).await
            }
        }
    }

    async fn connection(
        &self,
        ticket: &RunTicket,
        name: &str,
        revision: Option<i64>,
    ) -> Result<Option<(i64, RayConnection)>> {
        let found = self.specs.find(ticket.scope, CONNECTION, name, revision).await?;
        Ok(found.and_then(|(number, spec)| Some((number, ray_connection(&spec)?))))
    }

    async fn cluster(
        &self,
        ticket: &RunTicket,
        connection: &str,
        revision: i64,
        spec: RayConnection,
    ) -> Result<Cluster> {
        let usage = SecretUse {
            scope: ticket.scope,
            by: format!("engine {RAY}"),
            principal_id: None,
            purpose: format!("run {} over connections/{connection}", ticket.run_ref),
            source: RAY.to_owned(),
            correlation_id: ticket.correlation_id.clone(),
            job_id: None,
            covers: true,
        };
        self.contacts.meet(&spec, &usage);
        let api = self.api(&spec, &usage).await?;
        Ok(Cluster { connection: connection.to_owned(), revision, spec, api })
    }

    /// What speaks to the cluster, with its token as it is now.
    pub(super) async fn api(&self, spec: &RayConnection, usage: &SecretUse) -> Result<Api> {
        let Some(client) = &self.client else {
            return Err(Error::unavailable("ray_unreachable", "this server has no client for Ray clusters"));
        };
        self.outbound.url(&spec.address)?;
        let token = match &spec.token {
            Some(token) => Some(token.read_word(&self.secrets, usage).await?),
            None => None,
        };
        Ok(Api::new(client, &spec.address, token))
    }
}

/// A connection's spec, where it is of this engine's type.
pub(crate) fn ray_connection(spec: &Value) -> Option<RayConnection> {
    let is_ray = spec.get("type").and_then(Value::as_str) == Some(RAY_CONNECTION);
    is_ray.then(|| RayConnection::deserialize(spec).ok()).flatten()
}

fn target_of(ticket: &RunTicket) -> Result<String> {
    let unreadable =
        |error| Error::internal("spec_unreadable", "the revision's spec cannot be read").with_source(error);
    let spec = PipelineSpec::deserialize(&ticket.spec).map_err(unreadable)?;
    let params = ticket.params.as_object().cloned().unwrap_or_default();
    match target::of_run(&spec.runtime.target, &params) {
        Some(Target::Connection(name)) => Ok(name),
        Some(Target::Local) | None => Err(no_connection(&spec.runtime.target)),
    }
}

/// Connection and its revision.
fn parse_external(external_id: &str) -> Option<(&str, i64)> {
    let mut parts = external_id.strip_prefix(RAY)?.strip_prefix('/')?.split('/');
    Some((parts.next()?, parts.next()?.parse().ok()?))
}

fn no_connection(name: &str) -> Error {
    let detail = format!("there is no published connection {name:?} of type ray");
    Error::invalid("connection_not_found", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_attempt_leads_back_to_its_connection() {
        assert_eq!(parse_external("ray/gpu-cluster/3/qd-curate-42-1-ab"), Some(("gpu-cluster", 3)));
        for other in ["xenna/0198/0199/1", "ray/gpu", "ray/gpu/x/qd-1", ""] {
            assert_eq!(parse_external(other), None, "{other}");
        }
    }
}
