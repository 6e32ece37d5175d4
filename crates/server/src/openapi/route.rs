//! One route as the description says it.

use qd_kernel::changes::Preview;
use serde_json::{Value, json};

use super::schemas::Schemas;
use crate::http::{dry_run::DryRun, problem::ProblemBody};

/// What a body or reply looks like.
pub enum Content {
    Json(Value),
    /// JSON or YAML.
    Documents(Value),
    Bytes,
    /// A tar, compressed with gzip.
    Archive,
    /// Lines of JSON.
    Lines,
    /// What Prometheus reads.
    Metrics,
    /// JSON, or server-sent events where asked for.
    JsonOrStream(Value),
    Stream,
    None,
}

/// Whether a request has to have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Always,
    Sometimes,
}

/// How a request says where it acts.
const SCOPE: [&str; 2] = ["Tenant", "Project"];

/// The parameters that many routes have.
pub fn parameters() -> Value {
    let header = |name: &str, description: &str| {
        json!({
            "name": name,
            "in": "header",
            "required": false,
            "schema": { "type": "string", "pattern": "^[A-Za-z0-9-]{1,64}$" },
            "description": description,
        })
    };
    json!({
        "Tenant": header("X-Tenant-Id", "The name or id of the tenant to act in; without, the one that the caller has a role in."),
        "Project": header("X-Project-Id", "The name or id of the tenant's project to act in; without, its default one."),
    })
}

/// Which callers a route wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    Everybody,
    /// Not those on the server's own machine.
    FromElsewhere,
    Nobody,
}

pub struct Route {
    pub method: &'static str,
    pub path: String,
    pub id: String,
    pub tag: String,
    pub summary: String,
    pub query: Vec<Value>,
    pub body: Content,
    pub status: u16,
    pub reply: Content,
    /// Other successful statuses that come with the same reply.
    pub also: &'static [u16],
    /// What a dry run answers with 200.
    pub preview: Option<Value>,
    pub if_match: bool,
    /// Whether it looks at where the caller acts although it is the caller's own.
    pub placed: bool,
    pub idempotent: Option<Need>,
    /// Who must say who it is.
    pub known: Known,
    /// The level and the actions that it wants.
    pub access: Option<(&'static str, Value)>,
}

impl Route {
    pub fn get(path: &str, id: &str, tag: &str, summary: &str, reply: Content) -> Self {
        Self {
            method: "get",
            path: path.to_owned(),
            id: id.to_owned(),
            tag: tag.to_owned(),
            summary: summary.to_owned(),
            query: vec![],
            body: Content::None,
            status: 200,
            reply,
            also: &[],
            preview: None,
            if_match: false,
            placed: false,
            idempotent: None,
            known: Known::Everybody,
            access: None,
        }
    }

    pub fn with(
        method: &'static str,
        path: &str,
        id: &str,
        tag: &str,
        summary: &str,
        body: Content,
        (status, reply): (u16, Content),
    ) -> Self {
        Self { method, body, status, ..Self::get(path, id, tag, summary, reply) }
    }

    pub fn query(mut self, query: Vec<Value>) -> Self {
        self.query = query;
        self
    }

    pub fn placed(mut self) -> Self {
        self.placed = true;
        self
    }

    pub fn if_match(mut self) -> Self {
        self.if_match = true;
        self
    }

    /// Starts a job: wants an Idempotency-Key.
    pub fn starts_job(mut self) -> Self {
        self.idempotent = Some(Need::Always);
        self
    }

    /// The same, but for `?dry_run=true`, which says what would happen.
    pub fn starts_job_or_previews(mut self, s: &mut Schemas) -> Self {
        self.query.extend(s.query::<DryRun>());
        self.preview = Some(s.of::<Preview>());
        self.may_start_jobs()
    }

    /// Starts jobs where the query asks for it.
    pub fn may_start_jobs(mut self) -> Self {
        self.idempotent = Some(Need::Sometimes);
        self
    }

    pub fn also(mut self, statuses: &'static [u16]) -> Self {
        self.also = statuses;
        self
    }

    pub fn public(mut self) -> Self {
        self.known = Known::Nobody;
        self
    }

    pub fn open_on_loopback(mut self) -> Self {
        self.known = Known::FromElsewhere;
        self
    }

    pub fn operation(&self, schemas: &mut Schemas) -> Value {
        let mut parameters: Vec<Value> = self
            .path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .map(|name| {
                let kind = if name == "number" { "integer" } else { "string" };
                json!({ "name": name, "in": "path", "required": true, "schema": { "type": kind } })
            })
            .collect();
        parameters.extend(self.query.iter().cloned());
        let header = |name: &str, required: bool, description: &str| json!({ "name": name, "in": "header", "required": required, "schema": { "type": "string" }, "description": description });
        if self.if_match {
            parameters.push(header("If-Match", true, "The ETag that was last read."));
        }
        if let Some(need) = self.idempotent {
            parameters.push(header("Idempotency-Key", need == Need::Always, "1 to 255 visible characters, such as a new UUID: a repeat with the same key starts nothing twice."));
        }
        if self.placed || matches!(self.access, Some(("project" | "tenant", _))) {
            parameters.extend(SCOPE.map(|name| json!({ "$ref": format!("#/components/parameters/{name}") })));
        }
        let problem = schemas.of::<ProblemBody>();
        let mut operation = json!({
            "operationId": self.id,
            "tags": [self.tag],
            "summary": self.summary,
            "parameters": parameters,
            "responses": {
                self.status.to_string(): response(&self.reply),
                "default": { "description": "What went wrong", "content": { "application/problem+json": { "schema": problem } } },
            },
        });
        for status in self.also {
            operation["responses"][status.to_string()] = response(&self.reply);
        }
        if let Some(schema) = &self.preview {
            operation["responses"]["200"] = json!({
                "description": "What it would do; nothing was written",
                "content": { "application/json": { "schema": schema } },
            });
        }
        match &self.body {
            Content::Json(schema) => {
                operation["requestBody"] =
                    json!({ "required": true, "content": { "application/json": { "schema": schema } } })
            }
            Content::Documents(schema) => {
                operation["requestBody"] = json!({ "required": true, "content": {
                    "application/json": { "schema": schema },
                    "application/yaml": { "schema": schema },
                } });
            }
            Content::Bytes => {
                operation["requestBody"] =
                    json!({ "required": true, "content": { "application/octet-stream": {} } })
            }
            _ => {}
        }
        if let Some((level, actions)) = &self.access {
            operation["x-level"] = json!(level);
            operation["x-actions"] = actions.clone();
        }
        match self.known {
            Known::Everybody => {}
            Known::FromElsewhere => operation["security"] = json!([{}, { "bearer": [] }, { "session": [] }]),
            Known::Nobody => operation["security"] = json!([]),
        }
        operation
    }
}

fn response(content: &Content) -> Value {
    let content = match content {
        Content::None => return json!({ "description": "Done" }),
        Content::Json(schema) | Content::Documents(schema) => {
            json!({ "application/json": { "schema": schema } })
        }
        Content::Bytes => json!({ "application/octet-stream": {} }),
        Content::Archive => json!({ "application/gzip": {} }),
        Content::Metrics => json!({
            "application/openmetrics-text; version=1.0.0; charset=utf-8": { "schema": { "type": "string" } },
        }),
        Content::Lines => json!({ "application/x-ndjson": { "schema": { "type": "string" } } }),
        Content::JsonOrStream(schema) => json!({
            "application/json": { "schema": schema },
            "text/event-stream": { "schema": { "type": "string" } },
        }),
        Content::Stream => json!({ "text/event-stream": { "schema": { "type": "string" } } }),
    };
    json!({ "description": "Done", "content": content })
}
