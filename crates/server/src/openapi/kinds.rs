//! The routes of each kind, with the kind's own schemas; and the unions over kinds.

use qd_core::document::Metadata;
use qd_kernel::{
    access::sharing::HolderList,
    audit::AuditRecord,
    kind::Kind,
    page::Page,
    plans::StoredPlan,
    registry::Registry,
    resources::{MetadataPatch, Resource, WorkingCopy},
    reviews::{Comment, ReviewDetail},
    revisions::{Revision, RevisionDiff, RevisionSummary},
    runs::Run,
};
use serde_json::{Value, json};

use super::{
    route::{Content, Route},
    schemas::{Schemas, reference},
};
use crate::api::{
    describe::{Accepted, ApproveBody, EventList, EventsQuery, ReasonBody},
    kind::{publish, resource, reviews, revisions, runs, sharing, working_copy},
};
use crate::http::query::PageQuery;

pub fn routes(kind: &dyn Kind, s: &mut Schemas) -> Vec<Route> {
    let info = kind.info();
    let (plural, noun) = (info.plural, info.singular);
    let base = format!("/api/v1/{plural}");
    let one = format!("{base}/{{name}}");
    let id = |verb: &str| format!("{noun}_{verb}");
    let own = Own::new(kind, s);
    let page = s.query::<PageQuery>();
    let (list_query, diff_query, events_query) =
        (s.query::<resource::ListQuery>(), s.query::<revisions::DiffQuery>(), s.query::<EventsQuery>());
    let accepted = s.of::<Accepted>();
    let mut out = vec![
        Route::get(
            &base,
            &id("list"),
            plural,
            &format!("{} by name", info.title),
            Content::Json(own.page.clone()),
        )
        .query(list_query),
        Route::with(
            "post",
            &base,
            &id("create"),
            plural,
            &format!("Make a {noun} with a working copy"),
            Content::Documents(own.document.clone()),
            (201, Content::Json(own.resource.clone())),
        ),
        Route::get(
            &one,
            &id("get"),
            plural,
            &format!("One {noun}, by name or id"),
            Content::Json(own.detail.clone()),
        ),
        Route::with(
            "patch",
            &one,
            &id("update"),
            plural,
            "Change the descriptive fields",
            Content::Json(s.of::<MetadataPatch>()),
            (200, Content::Json(own.resource.clone())),
        )
        .if_match(),
        Route::with(
            "delete",
            &one,
            &id("archive"),
            plural,
            "Archive it; everything is kept",
            Content::None,
            (200, Content::Json(own.resource.clone())),
        )
        .if_match(),
        Route::with(
            "post",
            &format!("{one}/restore"),
            &id("restore"),
            plural,
            "Take it back from the archive",
            Content::None,
            (200, Content::Json(own.resource.clone())),
        ),
        Route::get(
            &format!("{one}/working-copy"),
            &id("working_copy_get"),
            plural,
            "The mutable draft",
            Content::Json(own.working_copy.clone()),
        ),
        Route::with(
            "put",
            &format!("{one}/working-copy"),
            &id("working_copy_put"),
            plural,
            "Save the draft; it may be invalid",
            Content::Json(s.of::<working_copy::PutBody>()),
            (200, Content::Json(own.working_copy.clone())),
        )
        .if_match(),
        Route::with(
            "post",
            &format!("{one}/validate"),
            &id("validate"),
            plural,
            "Everything that is wrong with a spec",
            Content::Json(s.of::<working_copy::ValidateBody>()),
            (200, Content::Json(s.of::<working_copy::Validation>())),
        ),
        Route::get(
            &format!("{one}/revisions"),
            &id("revision_list"),
            plural,
            "Revisions, newest first",
            Content::Json(s.of::<Page<RevisionSummary>>()),
        )
        .query(page.clone()),
        Route::with(
            "post",
            &format!("{one}/revisions"),
            &id("revision_create"),
            plural,
            "Cut a revision from the working copy",
            Content::Json(s.of::<revisions::CreateBody>()),
            (201, Content::Json(own.revision.clone())),
        ),
        Route::get(
            &format!("{one}/revisions/{{number}}"),
            &id("revision_get"),
            plural,
            "One revision",
            Content::Json(own.revision.clone()),
        ),
        Route::get(
            &format!("{one}/revisions/{{number}}/diff"),
            &id("revision_diff"),
            plural,
            "What changed from another revision to this one",
            Content::Json(s.of::<RevisionDiff>()),
        )
        .query(diff_query),
        Route::with(
            "post",
            &format!("{one}/publish"),
            &id("publish"),
            plural,
            "Make a revision the published one",
            Content::Json(s.of::<publish::PublishBody>()),
            (202, Content::Json(accepted.clone())),
        )
        .starts_job_or_previews(s),
        Route::with(
            "post",
            &format!("{one}/rollback"),
            &id("rollback"),
            plural,
            "Publish a new revision with an old spec",
            Content::Json(s.of::<publish::RollbackBody>()),
            (202, Content::Json(accepted.clone())),
        )
        .starts_job_or_previews(s),
        Route::with(
            "post",
            &format!("{one}/plan"),
            &id("plan"),
            plural,
            "Plan to publish a revision, to be looked at and applied by id",
            Content::Json(s.of::<publish::PublishBody>()),
            (201, Content::Json(s.of::<StoredPlan>())),
        ),
        Route::get(
            &format!("{one}/sharing"),
            &id("sharing_list"),
            plural,
            "Whom it belongs to, and with whom it is shared",
            Content::Json(s.of::<HolderList>()),
        ),
        Route::with(
            "put",
            &format!("{one}/sharing/{{holder}}"),
            &id("share"),
            plural,
            "Share it with a person, a service or a team (`team:core`), or change as what",
            Content::Json(s.of::<sharing::ShareBody>()),
            (204, Content::None),
        ),
        Route::with(
            "delete",
            &format!("{one}/sharing/{{holder}}"),
            &id("unshare"),
            plural,
            "Share it no longer",
            Content::None,
            (204, Content::None),
        ),
        Route::get(
            &format!("{one}/events"),
            &id("events"),
            plural,
            "What happened to it",
            Content::Json(s.of::<EventList>()),
        )
        .query(events_query),
        Route::get(
            &format!("{one}/audit"),
            &id("audit"),
            plural,
            "Who did what to it",
            Content::Json(s.of::<Page<AuditRecord>>()),
        )
        .query(page),
    ];
    out.extend(review(&one, &own.revision, (plural, &id), s));
    if info.runnable() {
        let query = s.query::<runs::RunsQuery>();
        out.push(
            Route::get(
                &format!("{one}/runs"),
                &id("run_list"),
                plural,
                "Its runs, newest first",
                Content::Json(s.of::<Page<Run>>()),
            )
            .query(query),
        );
        out.push(
            Route::with(
                "post",
                &format!("{one}/runs"),
                &id("run_start"),
                plural,
                "Start a run",
                Content::Json(s.of::<runs::StartBody>()),
                (202, Content::Json(accepted)),
            )
            .starts_job_or_previews(s),
        );
    }
    out
}

fn review(
    one: &str,
    revision: &Value,
    (tag, id): (&str, &dyn Fn(&str) -> String),
    s: &mut Schemas,
) -> Vec<Route> {
    let one = format!("{one}/revisions/{{number}}");
    let reason = s.of::<ReasonBody>();
    let step = |verb: &str, summary: &str, body: Value| {
        let (path, id) = (format!("{one}/{verb}"), id(&format!("revision_{verb}")));
        Route::with(
            "post",
            &path,
            &id,
            tag,
            summary,
            Content::Json(body),
            (200, Content::Json(revision.clone())),
        )
    };
    let page = s.query::<PageQuery>();
    vec![
        Route::get(
            &format!("{one}/review"),
            &id("revision_review"),
            tag,
            "What a reviewer sees: the changes, the plan with its hash, what was decided before",
            Content::Json(s.of::<ReviewDetail>()),
        ),
        step("submit", "Ask for a draft to be reviewed", s.of::<reviews::SubmitBody>()),
        step("withdraw", "Make a draft again of what one submitted", reason.clone()),
        step("approve", "Approve the plan that publishes it, by its hash", s.of::<ApproveBody>()),
        step("reject", "Say no to it", reason),
        Route::get(
            &format!("{one}/comments"),
            &id("revision_comment_list"),
            tag,
            "What people say of it, oldest first",
            Content::Json(s.of::<Page<Comment>>()),
        )
        .query(page),
        Route::with(
            "post",
            &format!("{one}/comments"),
            &id("revision_comment"),
            tag,
            "Say something of it, or of a place in it",
            Content::Json(s.of::<reviews::CommentBody>()),
            (201, Content::Json(s.of::<Comment>())),
        ),
    ]
}

/// The schemas that a kind has for itself.
struct Own {
    resource: Value,
    detail: Value,
    page: Value,
    document: Value,
    working_copy: Value,
    revision: Value,
}

impl Own {
    fn new(of: &dyn Kind, s: &mut Schemas) -> Self {
        let info = of.info();
        let kind = info.kind;
        let spec = s.add_spec(kind, &info.schema);
        let named =
            json!({ "type": "object", "properties": { "kind": { "const": kind } }, "required": ["kind"] });
        let (any, metadata) = (s.of::<Resource>(), s.of::<Metadata>());
        let resource = s.add(kind, json!({ "allOf": [any, named] }));
        let mut beside = json!({
            "type": "object",
            "properties": {
                "spec": { "anyOf": [spec, { "type": "null" }] },
                "params_schema": { "type": ["object", "null"], "additionalProperties": true },
                "allowed": {
                    "type": "array",
                    "items": { "type": "string" },
                    "description": "The actions that one may do to it, of those of its kind",
                },
            },
            "required": ["spec", "params_schema", "allowed"],
        });
        if let Some(status) = of.status_schema() {
            beside["properties"]["status"] = s.add_part(kind, "Status", &status);
            beside["required"] = json!(["spec", "params_schema", "allowed", "status"]);
        }
        let detail = s.add(&format!("{kind}Detail"), json!({ "allOf": [resource, beside] }));
        let page = json!({
            "type": "object",
            "properties": { "items": { "type": "array", "items": resource }, "next_cursor": { "type": ["string", "null"] } },
            "required": ["items", "next_cursor"],
        });
        let document = s.add(&format!("{kind}Document"), json!({
            "type": "object",
            "properties": {
                "apiVersion": { "const": qd_core::document::API_VERSION }, "kind": { "const": kind }, "metadata": metadata, "spec": spec,
            },
            "required": ["apiVersion", "kind", "metadata", "spec"],
            "additionalProperties": false,
        }));
        // A working copy may hold what is not valid yet.
        let working_copy = s.of::<WorkingCopy>();
        let any_revision = s.of::<Revision>();
        let revision = s.add(&format!("{kind}Revision"), json!({ "allOf": [any_revision, { "type": "object", "properties": { "spec": spec }, "required": ["spec"] }] }));
        Self { resource, detail, page, document, working_copy, revision }
    }
}

/// `Document` and `AnyResource`: one of the kinds', told apart by `kind`.
pub fn unions(registry: &Registry, s: &mut Schemas) {
    for (name, suffix) in [("Document", "Document"), ("AnyResource", "Detail")] {
        let of: Vec<Value> =
            registry.kinds().map(|kind| reference(&format!("{}{suffix}", kind.info().kind))).collect();
        let mapping: Value = registry
            .kinds()
            .map(|kind| {
                (
                    kind.info().kind.to_owned(),
                    json!(format!("#/components/schemas/{}{suffix}", kind.info().kind)),
                )
            })
            .collect::<serde_json::Map<_, _>>()
            .into();
        s.add(name, json!({ "oneOf": of, "discriminator": { "propertyName": "kind", "mapping": mapping } }));
    }
}
