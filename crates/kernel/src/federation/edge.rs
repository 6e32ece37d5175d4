//! Passthrough: an edge before the server says in headers who calls.
//!
//! What it trusts is the address that a connection comes from: whoever can open one from a listed network can be anybody. So the
//! networks are those of the edge alone, and the edge removes such headers from what it is sent. Roles follow from groups at each
//! request and are kept nowhere; those that were granted by hand count too.

use std::net::IpAddr;

use ipnet::IpNet;
use qd_core::error::{Error, Result};

use super::accounts::{Person, bindings_of};
use crate::{
    context::RequestIds,
    credentials::{Identity, Origin},
    kernel::Kernel,
};

/// What the headers of a request say.
#[derive(Debug, Clone, Copy, Default)]
pub struct Said<'a> {
    pub user: Option<&'a str>,
    pub groups: Option<&'a str>,
}

const LONGEST: usize = 256;
const MOST_GROUPS: usize = 200;

impl Kernel {
    /// The names of the headers by which an edge says who calls, where one is trusted at all.
    pub fn edge_headers(&self) -> Option<(&str, &str)> {
        let edge = self.federation.edge.as_ref()?;
        Some((&edge.user_header, &edge.groups_header))
    }

    /// Who an edge says that it is; nobody where it says nothing.
    ///
    /// # Errors
    /// `untrusted_edge` (401) where the headers come from elsewhere; `bad_edge_headers` (400) where they name nobody;
    /// `bad_credential` (401) where the account is suspended.
    pub async fn edge_identity(
        &self,
        peer: Option<IpAddr>,
        said: Said<'_>,
        ids: &RequestIds,
    ) -> Result<Option<Identity>> {
        let Some(edge) = &self.federation.edge else { return Ok(None) };
        if said.user.is_none() && said.groups.is_none() {
            return Ok(None);
        }
        if !peer.is_some_and(|peer| trusted(&edge.networks, peer)) {
            return Err(Error::unauthenticated(
                "untrusted_edge",
                "the request says by headers who calls, and comes from an address that is not trusted to",
            ));
        }
        let bad = |why: &str| Error::malformed("bad_edge_headers", why);
        let user = said.user.map(str::trim).filter(|user| !user.is_empty());
        let user = user.ok_or_else(|| bad("the groups are named, and nobody who is in them"))?;
        if user.len() > LONGEST || user.contains(',') {
            return Err(bad("the header names more than one person, or none that could be"));
        }
        let words = said.groups.unwrap_or_default().split(',').map(str::trim).filter(|one| !one.is_empty());
        let groups: Vec<String> = words.map(str::to_owned).collect();
        if groups.len() > MOST_GROUPS {
            return Err(bad("too many groups are named"));
        }
        let now = self.source.now();
        // Not what any credential looks like, and different for other groups.
        let key = format!("edge\n{user}\n{}", groups.join("\n"));
        let since = match self.callers.get(&key, now) {
            Ok(identity) => return Ok(Some(identity)),
            Err(since) => since,
        };
        let rules: Vec<_> = edge.roles.iter().filter(|rule| groups.contains(&rule.group)).cloned().collect();
        let person = Person {
            issuer: "edge".into(),
            subject: user.into(),
            provider: "edge".into(),
            name: user.split('@').next().unwrap_or_default().into(),
            display_name: String::new(),
            groups,
        };
        let origin =
            Origin { source: peer.map(|peer| peer.to_string()).unwrap_or_default(), label: String::new() };
        let id = self.person_account(person, None, &origin, ids).await?;
        let mut identity = self.identity(id, uuid::Uuid::nil()).await?;
        let more = self.store.read(move |tx| -> Result<_> { bindings_of(tx, &rules) }).await?;
        identity.bindings = identity.bindings.iter().cloned().chain(more).collect();
        self.callers.put(&key, &identity, since, now, qd_core::time::Timestamp::MAX);
        Ok(Some(identity))
    }
}

fn trusted(networks: &[IpNet], peer: IpAddr) -> bool {
    let peer = peer.to_canonical();
    networks.iter().any(|network| network.contains(&peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_trusted_in_either_form() {
        let networks: Vec<IpNet> = ["10.0.0.0/24", "fd00::/64"].map(|text| text.parse().unwrap()).into();
        for (peer, is) in [
            ("10.0.0.7", true),
            ("::ffff:10.0.0.7", true),
            ("fd00::1", true),
            ("10.0.1.7", false),
            ("127.0.0.1", false),
            ("::1", false),
        ] {
            assert_eq!(trusted(&networks, peer.parse().unwrap()), is, "{peer}");
        }
        assert!(!trusted(&[], "127.0.0.1".parse().unwrap()));
    }
}
