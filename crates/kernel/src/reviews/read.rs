//! What a reviewer sees, in one read: the revision against what is published, the plan of publishing it with the hash that an
//! approval is given to, who had a hand in it, what was decided before.

use qd_core::{
    diff::{Change, diff},
    error::Result,
    plan::Plan,
    state::{ResourceState, RevisionState},
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::{COLUMNS, Review, ReviewMode, authors, mode, row};
use crate::{
    changes::canonical,
    context::{Context, PrincipalKind},
    kernel::Kernel,
    kind::Kind,
    params,
    revisions::{RevisionSummary, publish_request},
};

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ReviewDetail {
    /// `Pipeline`
    pub kind: String,
    pub name: String,
    pub revision: RevisionSummary,
    /// What the project asks of a revision before it is published.
    pub mode: ReviewMode,
    /// The revision that is published now.
    pub published: Option<i64>,
    /// Its spec against that of the published one.
    pub changes: Vec<Change>,
    /// What publishing it would do, while it can be submitted, decided on or published.
    pub plan: Option<Plan>,
    /// Of that plan: what an approval is given to.
    pub hash: Option<String>,
    /// Who had a hand in it, and so cannot approve it.
    pub authors: Vec<String>,
    /// Whether the caller may approve or reject it now.
    pub may_decide: bool,
    /// The times that it was submitted, newest first.
    pub reviews: Vec<Review>,
    /// How many comments there are.
    pub comments: i64,
}

impl Kernel {
    pub async fn review_get(
        &self,
        context: &Context,
        kind: &dyn Kind,
        name: &str,
        number: i64,
    ) -> Result<ReviewDetail> {
        let info = kind.info();
        let resource = self.resource_get(context.scope, info.kind, name).await?;
        let revision = self.revision_get(context.scope, info.kind, name, number).await?;
        let published = resource.published.as_ref().map(|published| published.number);
        let before = match published {
            Some(published) => self.revision_get(context.scope, info.kind, name, published).await?.spec,
            None => json!({}),
        };
        let state = revision.summary.state;
        let open = matches!(state, RevisionState::Draft | RevisionState::InReview | RevisionState::Approved);
        let plan = match open && resource.state == ResourceState::Active {
            true => Some(self.review_plan(context, kind, &resource.name, number).await?),
            false => None,
        };
        let (scope, id) = (context.scope, resource.id);
        let (mode, authors, reviews, comments) = self
            .store
            .read(move |tx| -> Result<_> {
                let reviews = tx.rows(
                    &format!(
                        "SELECT {COLUMNS} FROM review WHERE resource_id = $1 AND number = $2 ORDER BY id DESC LIMIT 100"
                    ),
                    params![id, number],
                    row,
                )?;
                let comments = tx.one(
                    "SELECT count(*) FROM review_comment WHERE resource_id = $1 AND number = $2",
                    params![id, number],
                    |row| row.get(0),
                )?;
                Ok((mode(tx, scope)?, authors::of(tx, id, number)?, reviews, comments))
            })
            .await?;
        let allowed = context.authority.allows(&context.principal, scope, &format!("{}.review", info.plural));
        let own = authors.contains(&context.principal.name);
        let person = context.principal.kind == PrincipalKind::User;
        Ok(ReviewDetail {
            kind: info.kind.into(),
            name: resource.name,
            changes: diff(&before, &revision.spec),
            revision: revision.summary,
            mode,
            published,
            hash: plan.as_ref().map(canonical).transpose()?.map(|(_, hash)| hash.to_string()),
            plan,
            authors,
            may_decide: state == RevisionState::InReview && allowed && person && !own,
            reviews,
            comments,
        })
    }

    async fn review_plan(&self, context: &Context, kind: &dyn Kind, name: &str, number: i64) -> Result<Plan> {
        let request = publish_request(kind, name, Some(number), String::new());
        let operation = self.operation(&request.operation)?;
        self.preflighted(context, &*operation, &request.input, |preflight| {
            let (kernel, operation, scope) = (self.clone(), operation.clone(), context.scope);
            let input = request.input.clone();
            self.store.read(move |tx| -> Result<Plan> {
                Ok(kernel.plan_reviewed(tx, scope, &*operation, &input, &preflight, false)?.plan)
            })
        })
        .await
    }
}
