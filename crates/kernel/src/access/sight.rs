//! Which resources of a project a caller may know of, for lists: of them, and of what is about them.
//!
//! Whoever may read all of it has [`Sight::All`], found without a look at any resource unless a policy singles some out.

use std::collections::BTreeSet;
use std::sync::Arc;

use qd_core::{error::Result, id::ResourceId};

use super::{cedar::Verdict, objects};
use crate::{
    context::Context,
    kernel::Kernel,
    query::Query,
    store::{Backend, Tx},
};

/// Whether what is about a resource, or about none, is shown.
#[derive(Debug, Clone, Default)]
pub enum Sight {
    #[default]
    All,
    /// Everything but these.
    Except(Arc<BTreeSet<ResourceId>>),
    /// These, and what is about no resource not either.
    Only(Arc<BTreeSet<ResourceId>>),
}

impl Sight {
    pub fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }

    pub fn shows(&self, resource: Option<ResourceId>) -> bool {
        match (self, resource) {
            (Self::All, _) | (Self::Except(_), None) => true,
            (Self::Only(_), None) => false,
            (Self::Except(hidden), Some(id)) => !hidden.contains(&id),
            (Self::Only(shown), Some(id)) => shown.contains(&id),
        }
    }

    /// Of what is about several resources: all must be shown.
    pub fn shows_all(&self, resources: &[ResourceId]) -> bool {
        match resources {
            [] => self.shows(None),
            ids => ids.iter().all(|id| self.shows(Some(*id))),
        }
    }

    /// Narrows a query to what is about a resource that is shown, by the column of its id.
    pub(crate) fn narrow(&self, query: &mut Query, backend: Backend, column: &str) {
        match self {
            Self::All => {}
            Self::Except(hidden) => {
                query.text(&format!(" AND ({column} IS NULL OR NOT "));
                query.among(backend, column, hidden.iter().map(|id| id.uuid())).text(")");
            }
            Self::Only(shown) => {
                query.text(" AND ").among(backend, column, shown.iter().map(|id| id.uuid()));
            }
        }
    }

    pub(crate) fn ids(&self) -> Option<&BTreeSet<ResourceId>> {
        match self {
            Self::All => None,
            Self::Except(ids) | Self::Only(ids) => Some(ids),
        }
    }
}

/// Rows that one request looks at, of which it may keep none.
const LOOKED_AT: usize = 1_000;

/// What was kept, and from below which key to go on where not all was looked at for it.
pub(crate) type Sifted<T, K> = (Vec<T>, Option<K>);

/// Reads page after page, each from below the last one's id, until as many as are wanted were kept, or as many as one request
/// looks at were not.
pub(crate) fn sifted<T, K: Copy>(
    tx: &mut Tx<'_>,
    (fetch, first): (i64, Option<K>),
    mut read: impl FnMut(&mut Tx<'_>, Option<K>) -> Result<Vec<T>>,
    key: impl Fn(&T) -> K,
    mut keep: impl FnMut(&mut Tx<'_>, &T) -> Result<bool>,
) -> Result<Sifted<T, K>> {
    let wanted = usize::try_from(fetch).unwrap_or(usize::MAX);
    let (mut kept, mut before, mut looked_at) = (vec![], first, 0);
    loop {
        let page = read(tx, before)?;
        let last = page.len() < wanted;
        looked_at += page.len();
        before = page.last().map(&key).or(before);
        for item in page {
            if kept.len() < wanted && keep(tx, &item)? {
                kept.push(item);
            }
        }
        if last || kept.len() >= wanted {
            return Ok((kept, None));
        }
        if looked_at >= LOOKED_AT {
            return Ok((kept, before));
        }
    }
}

impl Kernel {
    /// What the caller may see of the project in a list that wants `action`.
    ///
    /// # Errors
    /// `action_denied` (403) where it neither may do the action nor holds anything that it may read.
    pub async fn sight(&self, context: &Context, action: &str) -> Result<Sight> {
        let (authority, scope) = (&context.authority, context.scope);
        let usual = match authority.verdict(&context.principal, scope, action) {
            Verdict::Deny => return Err(super::denied(context, action)),
            Verdict::Allow => true,
            Verdict::Depends { allowed } => allowed,
        };
        let special = authority.reads_singled_out(scope);
        if usual && !special {
            return Ok(Sight::All);
        }
        let (registry, asked) = (self.registry.clone(), context.clone());
        let (shown, hidden) = self
            .store
            .read(move |tx| -> Result<_> {
                let Context { authority, principal, scope, .. } = &asked;
                let facts = if special {
                    objects::all(tx, &registry, *scope)?
                } else {
                    let ids: BTreeSet<ResourceId> =
                        principal.held.iter().map(|held| held.resource_id).collect();
                    objects::by_ids(tx, &registry, *scope, &ids.into_iter().collect::<Vec<_>>())?
                };
                let (mut shown, mut hidden) = (BTreeSet::new(), BTreeSet::new());
                for facts in &facts {
                    let Some(id) = facts.id else { continue };
                    let read = format!("{}.read", facts.plural);
                    if authority.decide(principal, *scope, &read, Some(facts)).allowed {
                        shown.insert(id);
                    } else if authority.decide(principal, *scope, &read, None).allowed {
                        hidden.insert(id);
                    }
                }
                Ok((shown, hidden))
            })
            .await?;
        match usual {
            true if hidden.is_empty() => Ok(Sight::All),
            true => Ok(Sight::Except(Arc::new(hidden))),
            false if shown.is_empty() => Err(super::denied(context, action)),
            false => Ok(Sight::Only(Arc::new(shown))),
        }
    }
}
