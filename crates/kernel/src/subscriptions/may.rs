//! Whose eyes a subscription has: those of who published it, as he is at the moment of each message.

use qd_core::{
    error::{Error, ErrorKind, Result},
    id::{PrincipalId, ResourceId},
};

use super::PLURAL;
use crate::{
    access::{deletions::Unseen, sight::Sight},
    context::{RequestIds, Scope},
    events::{self, Event},
    kernel::Kernel,
    params,
};

/// What decides on a message.
pub(super) struct Publisher {
    pub name: Option<String>,
    /// What he may see; or why that is nothing.
    pub sight: std::result::Result<(Sight, Unseen), String>,
}

pub(super) async fn publisher(kernel: &Kernel, scope: Scope, id: ResourceId) -> Result<Publisher> {
    let found = kernel
        .store
        .read(move |tx| -> Result<Option<(Option<PrincipalId>, Option<String>)>> {
            Ok(tx.opt(
                "SELECT s.published_by, p.name FROM subscription s JOIN resource r ON r.id = s.resource_id
                 LEFT JOIN principal p ON p.id = s.published_by WHERE s.resource_id = $1 AND r.project_id = $2",
                params![id, scope.project_id],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?)
        })
        .await?;
    let (id, name) = found.unwrap_or_default();
    let Some(who) = name.clone() else {
        let why = "it is not known who published it, so that nobody's rights hold for it".to_owned();
        return Ok(Publisher { name, sight: Err(why) });
    };
    let ids = RequestIds::own(kernel.source.uuid());
    let Some(context) = kernel.context_of(id, scope, ids, "webhook").await? else {
        return Ok(Publisher { name, sight: Err(format!("{who}, who published it, is suspended")) });
    };
    let sight = match kernel.sight(&context, "events.list").await {
        Ok(sight) => Ok((sight, Unseen::of(&context))),
        Err(error) if error.kind == ErrorKind::Forbidden => {
            Err(format!("{who}, who published it, may not see the events of the project now"))
        }
        Err(error) => return Err(error),
    };
    Ok(Publisher { name, sight })
}

/// Why the event is not sent.
pub(super) async fn withheld(
    kernel: &Kernel,
    scope: Scope,
    id: ResourceId,
    event: &Event,
) -> Result<Option<Error>> {
    let Publisher { name, sight } = publisher(kernel, scope, id).await?;
    let shown = match &sight {
        Ok((sight, unseen)) => {
            let (unseen, event) = (*unseen, event.clone());
            events::shown(sight, &event)
                && !kernel.store.read(move |tx| unseen.hides_event(tx, scope, &event)).await?
        }
        Err(_) => false,
    };
    let why = match sight {
        Ok(_) if shown => return Ok(None),
        Ok(_) => format!("{}, who published it, may not see it", name.unwrap_or_default()),
        Err(why) => why,
    };
    let detail = format!("the event is not sent by {PLURAL}: {why}");
    Ok(Some(Error::forbidden("subscription_withheld", detail)))
}
