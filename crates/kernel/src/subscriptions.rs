//! The kind `Subscription`: which events of a project are sent to an address outside, over a connection of type `webhook`.
//!
//! Each published subscription is a consumer of its own ([`crate::events::Consumer`]): its place in the events is kept in the database and
//! moves behind what was delivered, so that neither a crash nor a receiver that is away loses anything, and one that is broken holds up no
//! other. What a receiver does not take in the end is a dead letter of the project, and can be sent again.
//!
//! A message has the id of its event and its subscription: one that comes twice has the same id both times.
//!
//! It tells what its publisher may see at that moment, and nothing while he is suspended or may see nothing here ([`may`]): what is
//! withheld is not sent later either.
//!
//! Not done here: exactly once. A receiver that must not do a thing twice remembers the ids.

mod may;
mod serve;
mod spec;
mod status;

use async_trait::async_trait;
use qd_core::{
    error::{Error, Result},
    id::{PrincipalId, ResourceId},
    violation::Violation,
};
use serde_json::{Value, json};

pub use spec::SubscriptionSpec;
pub use status::{DeliveryState, SubscriptionStatus};

use crate::{
    connections::{CONNECTION, webhook},
    context::Scope,
    events::{Consumer, Event, Patience},
    kernel::Kernel,
    kind::{Kind, KindInfo, KindScope, SpecView},
    mutation::Mutation,
    params,
    registry::Registry,
    resources::{Resource, SpecReader},
    secrets::SecretUse,
};

/// The kind's name in documents.
pub const SUBSCRIPTION: &str = "Subscription";
const PLURAL: &str = "subscriptions";

pub(crate) fn register(registry: &mut Registry) {
    let info = KindInfo {
        kind: SUBSCRIPTION,
        plural: PLURAL,
        singular: "subscription",
        title: "Subscriptions",
        summary: "Which events are sent outside, over a connection of type webhook.",
        group: "platform",
        scope: KindScope::Project,
        engine: None,
        actions: vec![],
        schema: schemars::schema_for!(SubscriptionSpec).to_value(),
        example: json!({ "connection": "chat", "events": ["revision.*", "run.failed"] }),
    };
    registry.kind(Subscriptions { info });
}

/// What the place of a subscription in the events is kept under, and what its dead letters name.
fn consumer_name(name: &str, id: ResourceId) -> String {
    format!("{PLURAL}/{name}/{id}")
}

struct Subscriptions {
    info: KindInfo,
}

#[async_trait]
impl Kind for Subscriptions {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn parse(&self, spec: &Value) -> std::result::Result<Value, Vec<Violation>> {
        SubscriptionSpec::read(spec).map(|spec| json!(spec))
    }

    fn depends_on(&self, spec: &Value) -> Vec<(&'static str, String)> {
        spec["connection"].as_str().map(|name| (CONNECTION, name.to_owned())).into_iter().collect()
    }

    async fn validate(&self, spec: &Value, view: &SpecView) -> Result<Vec<Violation>> {
        let spec = match SubscriptionSpec::read(spec) {
            Ok(spec) => spec,
            Err(violations) => return Ok(violations),
        };
        let found = view.specs.find(view.scope, CONNECTION, &spec.connection, None).await?;
        let wrong = match found {
            Some((_, connection)) if connection["type"] == webhook::TYPE => return Ok(vec![]),
            Some(_) => {
                format!("the connection {:?} is of another type than {}", spec.connection, webhook::TYPE)
            }
            None => format!("there is no published connection {:?}", spec.connection),
        };
        Ok(vec![Violation::new("/connection", "unknown_connection", wrong)])
    }

    /// A subscription begins with what happens from its first publication on, and goes on where it was with each later one.
    fn published(
        &self,
        m: &mut Mutation<'_, '_>,
        id: ResourceId,
        _revision: i64,
        by: Option<PrincipalId>,
    ) -> Result<()> {
        m.tx.exec(
            "INSERT INTO subscription (resource_id, published_by) VALUES ($1, $2) ON CONFLICT (resource_id)
             DO UPDATE SET published_by = COALESCE(excluded.published_by, subscription.published_by)",
            params![id, by],
        )?;
        let name: String =
            m.tx.one("SELECT name FROM resource WHERE id = $1", params![id], |row| row.get(0))?;
        let pos: i64 = m.tx.one("SELECT COALESCE(MAX(pos), 0) FROM event", &[], |row| row.get(0))?;
        m.tx.exec(
            "INSERT INTO consumer (name, pos, failures, due_at) VALUES ($1, $2, 0, $3) ON CONFLICT (name) DO NOTHING",
            params![consumer_name(&name, id), pos, m.due_now],
        )?;
        Ok(())
    }

    fn status_schema(&self) -> Option<Value> {
        Some(schemars::schema_for!(SubscriptionStatus).to_value())
    }

    async fn status(&self, kernel: &Kernel, scope: Scope, resource: &Resource) -> Result<Option<Value>> {
        Ok(Some(json!(status::status(kernel, scope, resource).await?)))
    }
}

/// One subscription as it is published.
#[derive(Clone)]
struct Sender {
    kernel: Kernel,
    id: ResourceId,
    scope: Scope,
    consumer: String,
    subscription: String,
    revision: i64,
    spec: SubscriptionSpec,
    /// Who wrote the revision: the secret is read for him.
    author: String,
}

#[async_trait]
impl Consumer for Sender {
    fn name(&self) -> &str {
        &self.consumer
    }

    fn scope(&self) -> Option<Scope> {
        Some(self.scope)
    }

    fn wants(&self, event_type: &str) -> bool {
        self.spec.wants(event_type)
    }

    fn patience(&self) -> Patience {
        self.kernel.options.webhook_patience
    }

    async fn withheld(&self, scope: Scope, event: &Event) -> Result<Option<Error>> {
        may::withheld(&self.kernel, scope, self.id, event).await
    }

    async fn deliver(&self, scope: Scope, event: &Event) -> Result<()> {
        let specs = SpecReader::new(self.kernel.store.clone());
        let found = specs.find(scope, CONNECTION, &self.spec.connection, None).await?;
        let (_, connection) = found.ok_or_else(|| {
            let detail = format!("there is no published connection {:?} any more", self.spec.connection);
            Error::unavailable("connection_missing", detail)
        })?;
        let usage = SecretUse {
            scope,
            by: self.author.clone(),
            principal_id: None,
            purpose: format!("{PLURAL}/{}, revision {}", self.subscription, self.revision),
            source: "webhook".into(),
            correlation_id: event.correlation_id.clone(),
            job_id: None,
            covers: true,
        };
        let message = webhook::Message {
            id: format!("msg_{}_{}", self.id.uuid().simple(), event.pos),
            // As it is sent again, so that the same id has the same content.
            body: json!({ "type": event.event_type, "timestamp": event.at, "data": event }).to_string(),
        };
        webhook::send(&self.kernel, &connection, &usage, &message).await
    }
}
