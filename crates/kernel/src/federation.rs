//! People whom somebody else recognises: OpenID providers, a trusted gateway, an edge that stands before the server.
//!
//! Each says who somebody is by a subject that only it gives out, and the account is found by issuer and subject
//! ([`accounts`]); a name or an e-mail address links nothing. What they may do comes from groups, by rules that the operator
//! wrote, or from the gateway's own IAM.

mod accounts;
pub mod edge;
pub mod gateway;
mod http;
pub mod oidc;
pub mod settings;

use std::sync::Arc;

use qd_core::{
    error::{Error, Result},
    id::PrincipalId,
};
use uuid::Uuid;

pub use accounts::Person;
pub use settings::{EdgeSettings, GatewaySettings, GroupRole, ProviderSettings};

use crate::{
    access::matrix::RoleInfo,
    audit::{self, NewRecord},
    context::{RequestIds, Scope},
    credentials::{Grounds, Identity, Origin, Proof, Secret},
    kernel::Kernel,
    outbound::OutboundOptions,
};
use gateway::Gateway;
use oidc::Provider;

/// Whom an operator trusts to say who somebody is.
#[derive(Debug, Clone, Default)]
pub struct FederationOptions {
    pub providers: Vec<ProviderSettings>,
    pub gateway: Option<GatewaySettings>,
    pub edge: Option<EdgeSettings>,
}

/// The same at work.
pub(crate) struct Federation {
    pub providers: Vec<Arc<Provider>>,
    pub gateway: Option<Gateway>,
    pub edge: Option<EdgeSettings>,
}

impl Federation {
    /// # Errors
    /// `federation_settings` where a rule names a role that is not there, or that cannot be held where it says.
    pub fn open(options: &FederationOptions, outbound: &OutboundOptions, roles: &[RoleInfo]) -> Result<Self> {
        let edge_rules = options.edge.iter().flat_map(|edge| &edge.roles);
        for rule in options.providers.iter().flat_map(|one| &one.roles).chain(edge_rules) {
            rule.check(roles)?;
        }
        let names: Vec<&str> = options.providers.iter().map(|one| one.name.as_str()).collect();
        if let Some(twice) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
            return Err(settings::wrong(format!("two providers are named {}", twice.1)));
        }
        let provider = |one: &ProviderSettings| Provider::new(one.clone(), outbound).map(Arc::new);
        Ok(Self {
            providers: options.providers.iter().map(provider).collect::<Result<_>>()?,
            gateway: options.gateway.clone().map(|one| Gateway::new(one, outbound)).transpose()?,
            edge: options.edge.clone(),
        })
    }

    pub fn provider(&self, name: &str) -> Result<Arc<Provider>> {
        let found = self.providers.iter().find(|one| one.settings.name.as_str() == name).cloned();
        found.ok_or_else(|| Error::not_found("provider_not_found", format!("there is no provider {name:?}")))
    }
}

impl Kernel {
    /// A session of somebody whom another recognised.
    pub async fn person_session(
        &self,
        id: PrincipalId,
        origin: Origin,
        ids: RequestIds,
    ) -> Result<(Identity, Secret)> {
        self.session_open(Grounds::new(id, Proof::Elsewhere), origin, ids).await
    }

    /// The same as a one-time sign-in code, for another program on the person's machine.
    pub async fn person_link(&self, id: PrincipalId, origin: Origin, ids: RequestIds) -> Result<Secret> {
        let identity = self.identity(id, Uuid::nil()).await?;
        let context = self.context(&identity, Scope::PLATFORM, ids, origin.source).await?;
        self.link_create(&context).await
    }

    /// Puts a sign-in that a provider's word did not suffice for on record.
    pub async fn person_refused(
        &self,
        provider: &str,
        error: &Error,
        origin: &Origin,
        ids: RequestIds,
    ) -> Result<()> {
        // What a stranger wrote into an address is kept only where it is a name that we gave.
        let found = self.federation.provider(provider).ok();
        let name = found.as_ref().map_or("unknown", |found| found.settings.name.as_str());
        let object = audit::object("Provider", None, name);
        let record = NewRecord::platform("unknown", &origin.source, ids, "own.sign-in", object);
        self.audit_append(record.failed(error.code)).await
    }
}
