//! Readable pages of the API and of the error codes, made from the same data as the description. Plain HTML and one script
//! of our own, so that they work where nothing else can be reached.

use std::fmt::Write as _;

use axum::{
    http::header,
    response::{Html, IntoResponse as _, Response},
};
use qd_core::error::{CODES, END_CODES, VIOLATION_CODES};

const HEAD: &str = "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width,initial-scale=1'><style>
:root{color-scheme:light dark}body{font:14px/1.5 system-ui,sans-serif;max-width:1000px;margin:2rem auto;padding:0 1rem}
code,pre{font:12px/1.5 ui-monospace,monospace}table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid #8884}
details{border-bottom:1px solid #8884;padding:.4rem 0}summary{cursor:pointer}summary b{display:inline-block;min-width:4rem;text-transform:uppercase;font-size:12px}pre{overflow:auto;background:#8881;padding:.6rem}h2{margin-top:2rem}:target{background:#fc08}</style>";

pub fn serve(path: &str) -> Response {
    let html = match path {
        "docs/api.js" => {
            return ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT).into_response();
        }
        "docs/errors" => errors(),
        _ => api(),
    };
    ([(header::CACHE_CONTROL, "no-cache")], Html(html)).into_response()
}

fn api() -> String {
    format!(
        "{HEAD}<title>Quarterdeck API</title><h1>Quarterdeck API</h1><p>The machine-readable form is <a href=/openapi.json>/openapi.json</a>; \
         error codes are <a href=/docs/errors>listed here</a>.<div id=api>Loading…</div><script src=/docs/api.js></script></html>"
    )
}

fn errors() -> String {
    let mut html = format!(
        "{HEAD}<title>Error codes</title><h1>Error codes</h1><table><tr><th>Code<th>Status<th>Meaning"
    );
    for (code, kind, meaning) in CODES {
        // Writing into a String cannot fail.
        let _ = write!(
            html,
            "<tr id={code}><td><code>{code}</code><td>{}<td>{}",
            kind.http_status(),
            escape(meaning)
        );
    }
    html.push_str("</table><h2>Ends</h2><p>Why a run or a job ended, beside the codes above.<table><tr><th>Code<th>Meaning");
    for (code, meaning) in END_CODES {
        let _ = write!(html, "<tr id={code}><td><code>{code}</code><td>{}", escape(meaning));
    }
    html.push_str("</table><h2>Violations</h2><p>What <code>errors[]</code> of a refused document can say.<table><tr><th>Code<th>Meaning");
    for (code, meaning) in VIOLATION_CODES {
        let _ = write!(html, "<tr id={code}><td><code>{code}</code><td>{}", escape(meaning));
    }
    html.push_str("</table></html>");
    html
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// Lists the routes of the description by tag.
const SCRIPT: &str = r#"
fetch("/openapi.json").then((reply) => reply.json()).then((api) => {
  const root = document.getElementById("api");
  root.textContent = "";
  const make = (parent, tag, text) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    parent.append(element);
    return element;
  };
  const tags = new Map();
  for (const [path, methods] of Object.entries(api.paths))
    for (const [method, operation] of Object.entries(methods))
      (tags.get(operation.tags[0]) ?? tags.set(operation.tags[0], []).get(operation.tags[0])).push([method, path, operation]);
  for (const [tag, operations] of tags) {
    make(root, "h2", tag);
    for (const [method, path, operation] of operations) {
      const details = make(root, "details");
      const summary = make(details, "summary");
      make(summary, "b", method);
      make(summary, "code", path);
      make(summary, "span", " · " + operation.summary);
      make(details, "pre", JSON.stringify({ parameters: operation.parameters, requestBody: operation.requestBody, responses: operation.responses }, null, 2));
    }
  }
  make(root, "h2", "Schemas");
  for (const [name, schema] of Object.entries(api.components.schemas)) {
    const details = make(root, "details");
    details.id = name;
    make(make(details, "summary"), "code", name);
    make(details, "pre", JSON.stringify(schema, null, 2));
  }
});
"#;
