//! What people say of a revision, each time of the whole or of a place in its spec. What was said stays.

use std::collections::BTreeSet;

use qd_core::{
    diff::Change,
    error::{Error, Result},
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{authors, tell};
use crate::{
    access::objects::On,
    context::{Context, Scope},
    kernel::Kernel,
    kind::Kind,
    mutation::{Act, Mutation},
    page::{Page, PageRequest},
    params,
    query::Query,
    resources::{self, Locked},
    revisions::no_revision,
    store::{Row, StoreResult},
};

/// Characters of one comment.
const LONGEST: usize = 10_000;

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Comment {
    pub id: Uuid,
    pub author: String,
    pub created_at: Timestamp,
    pub body: String,
    /// The place in the spec that it is about, as a JSON pointer; none for the whole.
    pub pointer: Option<String>,
}

#[derive(Debug, Clone)]
pub struct NewComment {
    pub body: String,
    pub pointer: Option<String>,
}

const COLUMNS: &str = "id, author, created_at, body, pointer";

impl Kernel {
    /// # Errors
    /// `bad_comment` (400) for one without words or with too many; `bad_pointer` (400) where neither the revision's spec nor the published
    /// one has such a place.
    pub async fn comment_add(
        &self,
        context: &Context,
        kind: &dyn Kind,
        name: &str,
        number: i64,
        new: NewComment,
    ) -> Result<Comment> {
        let length = new.body.trim().chars().count();
        if length == 0 || new.body.chars().count() > LONGEST || new.body.contains('\0') {
            let detail = format!("a comment has 1 to {LONGEST} characters, and no NUL");
            return Err(Error::malformed("bad_comment", detail));
        }
        let (kind_name, plural, wanted) = (kind.info().kind, kind.info().plural, name.to_owned());
        self.mutate(context, Act::new(plural, "comment").on(On::resource(kind_name, name)), move |m| {
            let resource = resources::lock(m.tx, m.context.scope, kind_name, &wanted)?;
            place(m, &resource, number, new.pointer.as_deref())?;
            let comment = Comment {
                id: m.id(),
                author: m.context.principal.name.clone(),
                created_at: m.now,
                body: new.body.clone(),
                pointer: new.pointer.clone(),
            };
            let scope = m.context.scope;
            m.tx.exec(
                "INSERT INTO review_comment (id, tenant_id, project_id, resource_id, number, author, created_at, body, pointer)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                params![
                    comment.id,
                    scope.tenant_id,
                    scope.project_id,
                    resource.id,
                    number,
                    comment.author,
                    comment.created_at,
                    comment.body,
                    comment.pointer
                ],
            )?;
            let mut told: BTreeSet<String> = authors::of(m.tx, resource.id, number)?.into_iter().collect();
            told.extend(m.tx.rows(
                "SELECT DISTINCT author FROM review_comment WHERE resource_id = $1 AND number = $2 LIMIT 100",
                params![resource.id, number],
                |row| row.get::<String>(0),
            )?);
            let words: String = comment.body.chars().take(200).collect();
            tell(m, (kind_name, &resource), number, told, "revision.commented", &words)?;
            let data = json!({ "revision": number, "comment": comment.id, "pointer": comment.pointer });
            m.event("revision.commented", resources::subject(kind_name, resource.id, &resource.name), &data)?;
            let change = Change::add(format!("/revisions/{number}/comments/-"), json!(comment));
            m.audit(&resource.object(kind_name), &[change], None)?;
            Ok(comment)
        })
        .await
    }

    /// Oldest first.
    pub async fn comment_list(
        &self,
        scope: Scope,
        kind: &str,
        name: &str,
        number: i64,
        page: PageRequest,
    ) -> Result<Page<Comment>> {
        let id = self.resource_get(scope, kind, name).await?.id;
        let list = format!("comments/{id}/{number}");
        let (after, fetch, wanted) = (page.after_uuid(&list)?, page.fetch(), name.to_owned());
        let items = self
            .store
            .read(move |tx| -> Result<Vec<Comment>> {
                let found = tx.opt(
                    "SELECT 1 FROM revision WHERE resource_id = $1 AND number = $2",
                    params![id, number],
                    |row| row.get::<i64>(0),
                )?;
                found.ok_or_else(|| no_revision(&wanted, number))?;
                let mut query = Query::new(&format!("SELECT {COLUMNS} FROM review_comment WHERE"));
                query.push(" resource_id = ?", id).push(" AND number = ?", number);
                if let Some(after) = after {
                    query.push(" AND id > ?", after);
                }
                query.text(" ORDER BY id").limit(fetch);
                Ok(query.rows(tx, row)?)
            })
            .await?;
        Ok(page.cut(&list, items, |comment| comment.id.to_string()))
    }
}

/// The revision must be there, and one of the two specs must have the place.
fn place(m: &mut Mutation<'_, '_>, resource: &Locked, number: i64, pointer: Option<&str>) -> Result<()> {
    let mut spec = |number: i64| -> Result<Option<Value>> {
        Ok(m.tx.opt(
            "SELECT spec FROM revision WHERE resource_id = $1 AND number = $2",
            params![resource.id, number],
            |row| row.get(0),
        )?)
    };
    let of_revision = spec(number)?.ok_or_else(|| no_revision(&resource.name, number))?;
    let Some(pointer) = pointer else { return Ok(()) };
    let published = resource.published_number.map(&mut spec).transpose()?.flatten();
    if pointer.len() <= 500
        && [Some(of_revision), published].iter().flatten().any(|spec| spec.pointer(pointer).is_some())
    {
        return Ok(());
    }
    Err(Error::malformed("bad_pointer", "the spec has no such place; a pointer is written /stages/0/uses"))
}

fn row(row: &Row<'_>) -> StoreResult<Comment> {
    Ok(Comment {
        id: row.get(0)?,
        author: row.get(1)?,
        created_at: row.get(2)?,
        body: row.get(3)?,
        pointer: row.get(4)?,
    })
}
