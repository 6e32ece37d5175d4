//! Who serves the subscriptions: a task for each that is published, in every worker; which of the processes sends is a duty.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use qd_core::{
    error::Result,
    id::{ProjectId, ResourceId, TenantId},
};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{PLURAL, Sender, SubscriptionSpec, consumer_name};
use crate::{context::Scope, kernel::Kernel, params};

/// A subscription that was published is served after this time at the latest.
const LOOK: Duration = Duration::from_secs(2);

struct Served {
    revision: i64,
    stop: CancellationToken,
    /// One task; it ends with this where the process is not given the time to stop it.
    task: JoinSet<()>,
}

impl Kernel {
    pub(crate) async fn subscriptions_run(self, stop: CancellationToken) {
        let mut served: HashMap<ResourceId, Served> = HashMap::new();
        loop {
            match self.subscriptions_published().await {
                Ok(published) => {
                    self.subscriptions_serve(&mut served, published, &stop).await;
                    if let Err(error) = self.subscriptions_forget().await {
                        tracing::warn!(%error, "forget where subscriptions were: will try again");
                    }
                }
                Err(error) => tracing::warn!(%error, "look for subscriptions: will try again"),
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        for (_, mut one) in served {
            while one.task.join_next().await.is_some() {}
        }
        self.duties_leave().await;
    }

    /// Ends what is no longer published, and begins what is.
    async fn subscriptions_serve(
        &self,
        served: &mut HashMap<ResourceId, Served>,
        published: Vec<Sender>,
        stop: &CancellationToken,
    ) {
        let now: HashSet<(ResourceId, i64)> = published.iter().map(|one| (one.id, one.revision)).collect();
        let gone: Vec<ResourceId> = served
            .iter()
            .filter(|(id, one)| !now.contains(&(**id, one.revision)))
            .map(|(id, _)| *id)
            .collect();
        for id in gone {
            if let Some(mut one) = served.remove(&id) {
                one.stop.cancel();
                while one.task.join_next().await.is_some() {}
            }
        }
        for sender in published {
            served.entry(sender.id).or_insert_with(|| {
                let (stop, revision) = (stop.child_token(), sender.revision);
                let (kernel, until) = (self.clone(), stop.clone());
                let mut task = JoinSet::new();
                task.spawn(async move { kernel.consumer_serve(Arc::new(sender), &until).await });
                Served { revision, stop, task }
            });
        }
    }

    /// Forgets the places of those that are no longer published, or no longer there: one that comes back begins with what happens
    /// from then on.
    async fn subscriptions_forget(&self) -> Result<()> {
        let gone = self
            .store
            .read(|tx| -> Result<Vec<(String, ResourceId)>> {
                let sql = format!("SELECT name FROM consumer WHERE name LIKE '{PLURAL}/%'");
                let names: Vec<String> = tx.rows(&sql, &[], |row| row.get(0))?;
                let mut gone = vec![];
                for name in names {
                    let Some(id) = name.rsplit('/').next().and_then(|id| id.parse().ok()) else { continue };
                    gone.push((name, id));
                }
                let published: HashSet<ResourceId> = tx
                    .rows(
                        "SELECT id FROM resource WHERE kind = 'Subscription' AND state = 'active' AND published_number IS NOT NULL",
                        &[],
                        |row| row.get(0),
                    )?
                    .into_iter()
                    .collect();
                gone.retain(|(_, id)| !published.contains(id));
                Ok(gone)
            })
            .await?;
        for (name, id) in gone {
            self.store
                .write(move |tx| -> Result<u64> {
                    Ok(tx.exec(
                        "DELETE FROM consumer WHERE name = $1 AND NOT EXISTS (SELECT 1 FROM resource r
                           WHERE r.id = $2 AND r.state = 'active' AND r.published_number IS NOT NULL)",
                        params![name, id],
                    )?)
                })
                .await?;
        }
        Ok(())
    }

    async fn subscriptions_published(&self) -> Result<Vec<Sender>> {
        type Found = (ResourceId, TenantId, ProjectId, String, i64, Value, String);
        let found = self
            .store
            .read(|tx| -> Result<Vec<Found>> {
                Ok(tx.rows(
                    "SELECT r.id, r.tenant_id, r.project_id, r.name, v.number, v.spec, v.created_by
                     FROM resource r JOIN revision v ON v.resource_id = r.id AND v.number = r.published_number
                     WHERE r.kind = 'Subscription' AND r.state = 'active' ORDER BY r.id",
                    &[],
                    |row| {
                        Ok((
                            row.get(0)?,
                            row.get(1)?,
                            row.get(2)?,
                            row.get(3)?,
                            row.get(4)?,
                            row.get(5)?,
                            row.get(6)?,
                        ))
                    },
                )?)
            })
            .await?;
        let sender = |(id, tenant_id, project_id, name, revision, spec, author): Found| {
            Some(Sender {
                kernel: self.clone(),
                id,
                scope: Scope { tenant_id, project_id },
                consumer: consumer_name(&name, id),
                subscription: name,
                revision,
                spec: SubscriptionSpec::read(&spec).ok()?,
                author,
            })
        };
        Ok(found.into_iter().filter_map(sender).collect())
    }
}
