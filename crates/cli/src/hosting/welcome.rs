//! Whom an operator lets say who somebody is: OpenID providers, a gateway, an edge before the server.

use std::path::PathBuf;

use qd_kernel::federation::{EdgeSettings, FederationOptions, GatewaySettings, ProviderSettings};

use crate::failure::Failure;

#[derive(Debug, Clone, Default, clap::Args)]
pub struct Welcome {
    /// A YAML file of OpenID providers that people may sign in with
    #[arg(long, env = "QD_OIDC", value_name = "FILE")]
    pub oidc: Option<PathBuf>,
    /// A YAML file of a gateway whose tokens are taken, and of its IAM
    #[arg(long, env = "QD_GATEWAY", value_name = "FILE")]
    pub gateway: Option<PathBuf>,
    /// Networks of an edge that says by headers who calls: whoever connects from there can be anybody; may have commas between
    #[arg(long, env = "QD_TRUST_EDGE", value_name = "CIDR", value_delimiter = ',')]
    pub trust_edge: Vec<ipnet::IpNet>,
    /// The header that names who calls
    #[arg(
        long,
        env = "QD_TRUST_EDGE_USER_HEADER",
        value_name = "NAME",
        default_value = "X-Forwarded-User",
        requires = "trust_edge"
    )]
    pub trust_edge_user_header: String,
    /// The header that names its groups, with commas between
    #[arg(
        long,
        env = "QD_TRUST_EDGE_GROUPS_HEADER",
        value_name = "NAME",
        default_value = "X-Forwarded-Groups",
        requires = "trust_edge"
    )]
    pub trust_edge_groups_header: String,
    /// A YAML file of the roles that those groups give
    #[arg(long, env = "QD_TRUST_EDGE_ROLES", value_name = "FILE", requires = "trust_edge")]
    pub trust_edge_roles: Option<PathBuf>,
}

impl Welcome {
    pub fn federation(&self) -> Result<FederationOptions, Failure> {
        let providers = self.oidc.as_deref().map(ProviderSettings::read).transpose()?.unwrap_or_default();
        let gateway = self.gateway.as_deref().map(GatewaySettings::read).transpose()?;
        let roles = self.trust_edge_roles.as_deref().map(EdgeSettings::read_roles).transpose()?;
        let edge = (!self.trust_edge.is_empty()).then(|| EdgeSettings {
            networks: self.trust_edge.clone(),
            user_header: self.trust_edge_user_header.to_ascii_lowercase(),
            groups_header: self.trust_edge_groups_header.to_ascii_lowercase(),
            roles: roles.unwrap_or_default(),
        });
        Ok(FederationOptions { providers, gateway, edge })
    }
}
