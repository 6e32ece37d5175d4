//! `application/problem+json` (RFC 9457) as the server sends it, and as a person wants to read it.
//!
//! Rendering answers, in this order: what is wrong and its stable code, where (file, line and column when they are
//! known, else the JSON pointer), what to do, and the correlation id under which the server's log has it.

use serde::Deserialize;
use serde_json::Value;

use crate::output::paint::Paint;
use crate::output::{clean, clean_lines};

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Problem {
    pub title: String,
    pub status: u16,
    pub code: String,
    pub detail: Option<String>,
    pub correlation_id: Option<String>,
    pub errors: Vec<Violation>,
    /// Where the documents of the request came from.
    #[serde(skip)]
    pub sources: Sources,
}

/// One thing wrong with a document.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Violation {
    pub pointer: String,
    pub detail: String,
    pub code: Option<String>,
    /// 1-based, in the text that was sent.
    pub line: Option<usize>,
    pub column: Option<usize>,
    /// Which document of a request with several, from 0: its number, or `Kind/name`.
    pub document: Option<Value>,
}

/// Finds the file, line and column of a violation in what the command sent.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// File name and how many lines of the sent text it covers, in order.
    pub files: Vec<SourceFile>,
}

#[derive(Debug, Clone)]
pub struct SourceFile {
    pub name: String,
    /// The first line of this file in the text that was sent, from 1.
    pub first_line: usize,
    pub lines: usize,
    /// Per document of the file: where each pointer stands.
    pub documents: Vec<crate::documents::locate::Positions>,
}

impl Sources {
    /// `file:line:column` of a violation; empty when nothing is known.
    fn place(&self, violation: &Violation) -> String {
        if let Some(line) = violation.line {
            let column = violation.column.map(|column| format!(":{column}")).unwrap_or_default();
            return format!("{}{column}", self.place_of_line(line));
        }
        let index = match &violation.document {
            Some(Value::Number(number)) => number.as_u64().and_then(|n| usize::try_from(n).ok()),
            None if self.files.iter().map(|file| file.documents.len()).sum::<usize>() == 1 => Some(0),
            _ => None,
        };
        if let Some(mut index) = index {
            for file in &self.files {
                if let Some(document) = file.documents.get(index) {
                    let (line, column) = document.nearest(&violation.pointer);
                    return format!("{}:{line}:{column}", file.name);
                }
                index -= file.documents.len();
            }
        }
        match &violation.document {
            Some(Value::String(name)) => name.clone(),
            Some(Value::Number(number)) => format!("document {number}"),
            _ => String::new(),
        }
    }

    /// `file:line` of a line of the text that was sent.
    pub fn place_of_line(&self, line: usize) -> String {
        match self.file_of_line(line) {
            Some(file) => format!("{}:{}", file.name, line - file.first_line + 1),
            None => format!("line {line}"),
        }
    }

    fn file_of_line(&self, line: usize) -> Option<&SourceFile> {
        self.files.iter().find(|file| (file.first_line..file.first_line + file.lines).contains(&line))
    }
}

impl Problem {
    /// A problem for an answer without a problem document, e.g. of a proxy in between.
    pub fn of_status(status: u16, body: &str) -> Self {
        let detail = clean(body.trim());
        Self {
            title: format!("the server answered {status}"),
            status,
            code: format!("http_{status}"),
            detail: (!detail.is_empty()).then(|| detail.chars().take(300).collect()),
            ..Self::default()
        }
    }

    pub fn render(&self, paint: Paint) -> String {
        let mut text = format!(
            "{} {} {}",
            paint.bad("error:"),
            clean(&self.title),
            paint.dim(&format!("({})", clean(&self.code)))
        );
        if let Some(detail) = self.said().filter(|detail| !detail.is_empty() && *detail != self.title) {
            for line in clean_lines(detail).lines() {
                text.push_str(&format!("\n  {line}"));
            }
        }
        for violation in &self.errors {
            text.push_str(&render_violation(violation, &self.sources, paint));
        }
        if let Some(help) = self.help() {
            text.push_str(&format!("\n{} {help}", paint.dim("what to do:")));
        }
        if let Some(id) = &self.correlation_id {
            text.push_str(&format!("\n{} {}", paint.dim("correlation id:"), clean(id)));
        }
        text
    }

    /// The server's own words; where they are of headers and paths, those of a command.
    fn said(&self) -> Option<&str> {
        match self.code.as_str() {
            "scope_needed" => Some("you have roles in several tenants, and the command names none of them"),
            _ => self.detail.as_deref(),
        }
    }

    /// What a person can do about it, by its code where a command has its own way, else by status.
    fn help(&self) -> Option<&'static str> {
        match self.code.as_str() {
            "scope_needed" => Some(
                "name one with --tenant NAME or QD_TENANT, or keep it: `qd context set CONTEXT --tenant NAME`; `qd tenants list` shows yours",
            ),
            "no_role" => Some(
                "ask an administrator for a role: `qd members grant NAME ROLE` gives it; until then there is nothing that you may see",
            ),
            "approval_required" => Some(
                "make a plan of it with `qd plan …`; somebody else approves that, then `qd apply --plan ID`",
            ),
            "bad_sign_in" => Some(
                "check the name and the password; `qd users invite NAME` by an administrator gives another one",
            ),
            "not_a_reviewer" => Some("`qd auth who-can ACTION` lists who may judge it"),
            "project_not_found" => Some("`qd projects list` shows those that you may see"),
            "role_not_found" => Some("`qd members roles` lists the roles"),
            "scope_not_found" => Some("`qd tenants list` and `qd projects list` show those that you may see"),
            "team_not_found" => Some("`qd teams list` shows the teams of the tenant"),
            "user_not_found" => Some(
                "`qd members list` shows whom the tenant knows, `qd users list` everybody to who may see that",
            ),
            _ => self.help_by_status(),
        }
    }

    fn help_by_status(&self) -> Option<&'static str> {
        Some(match self.status {
            401 => {
                "the token is missing, wrong or revoked: sign in with `qd login` (on the server's machine `qd up` writes a context), or set QD_TOKEN"
            }
            403 => "`qd whoami` shows what you may do; ask an owner for the role",
            404 => "check the name: `qd get <kind>` lists what there is, `qd get kinds` the kinds",
            409 => "look at how it stands now, then decide",
            412 => "somebody changed it in the meantime: look at it again and repeat the command",
            413 => "make it smaller; large data belongs beside the pipeline, not into its spec",
            422 if !self.errors.is_empty() => "correct the places above and repeat the command",
            429 => "too much at once: wait a moment and repeat the command",
            500 => "this is a fault of the server: its log has the whole story under the correlation id",
            502..=504 => "the server is not ready for this: `qd doctor` says what is missing",
            _ => return None,
        })
    }
}

/// A violation on lines of its own, for problems and for dry runs.
pub fn render_violation(violation: &Violation, sources: &Sources, paint: Paint) -> String {
    let place = clean(&sources.place(violation));
    let pointer = match violation.pointer.as_str() {
        "" => String::new(),
        pointer => clean(pointer),
    };
    let gap = if place.is_empty() || pointer.is_empty() { "" } else { "  " };
    let mut text = String::new();
    if !(place.is_empty() && pointer.is_empty()) {
        text.push_str(&format!("\n  {}{gap}{pointer}", paint.bold(&place)));
    }
    let indent = if text.is_empty() { "  " } else { "      " };
    let code = violation.code.as_deref().map(|code| format!(" {}", paint.dim(&format!("({})", clean(code)))));
    let detail = clean_lines(&violation.detail);
    for (number, line) in detail.lines().enumerate() {
        let code = if number == 0 { code.as_deref().unwrap_or_default() } else { "" };
        text.push_str(&format!("\n{indent}{line}{code}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::locate::positions;
    use serde_json::json;

    fn problem(value: Value) -> Problem {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn violations_are_told_with_file_line_and_column() {
        let text = "kind: Pipeline\nspec:\n  stages:\n    - id: load\n      workers: many\n";
        let mut problem = problem(json!({
            "type": "about:blank", "title": "the spec has 3 violations", "status": 422, "code": "invalid_spec",
            "detail": "nothing was written", "correlation_id": "0198-c",
            "errors": [
                {"pointer": "/spec/stages/0/workers", "detail": "expected a number, found \"many\"", "code": "wrong_type", "document": 1},
                {"pointer": "/spec/stages/0/uses", "detail": "is required", "code": "required", "document": 1},
                {"pointer": "/metadata/name", "detail": "is required\nin every document", "line": 2, "column": 1},
            ],
        }));
        problem.sources = Sources {
            files: vec![
                SourceFile {
                    name: "a.yaml".into(),
                    first_line: 1,
                    lines: 10,
                    documents: positions("kind: X\n").unwrap(),
                },
                SourceFile {
                    name: "b.yaml".into(),
                    first_line: 11,
                    lines: 6,
                    documents: positions(text).unwrap(),
                },
            ],
        };
        insta::assert_snapshot!(problem.render(Paint::plain()), @r#"
        error: the spec has 3 violations (invalid_spec)
          nothing was written
          b.yaml:5:16  /spec/stages/0/workers
              expected a number, found "many" (wrong_type)
          b.yaml:4:7  /spec/stages/0/uses
              is required (required)
          a.yaml:2:1  /metadata/name
              is required
              in every document
        what to do: correct the places above and repeat the command
        correlation id: 0198-c
        "#);
    }

    #[test]
    fn without_sources_the_pointer_and_document_stay() {
        let problem = problem(json!({
            "title": "the request is malformed", "status": 400, "code": "malformed", "correlation_id": "c",
            "errors": [{"pointer": "", "detail": "found a tab", "line": 3, "column": 9}, {"pointer": "/x", "detail": "no", "document": "Pipeline/a"}],
        }));
        insta::assert_snapshot!(problem.render(Paint::plain()), @r"
        error: the request is malformed (malformed)
          line 3:9
              found a tab
          Pipeline/a  /x
              no
        correlation id: c
        ");
    }

    #[test]
    fn what_rest_names_by_a_header_is_told_as_a_command_names_it() {
        let several = problem(json!({
            "title": "the request is malformed", "status": 400, "code": "scope_needed",
            "detail": "you have roles in several tenants: name one by X-Tenant-Id, or by /t/<tenant> before the path",
        }));
        insta::assert_snapshot!(several.render(Paint::plain()), @r"
        error: the request is malformed (scope_needed)
          you have roles in several tenants, and the command names none of them
        what to do: name one with --tenant NAME or QD_TENANT, or keep it: `qd context set CONTEXT --tenant NAME`; `qd tenants list` shows yours
        ");
        // `qd whoami` is what is refused.
        let none = problem(json!({
            "title": "not allowed", "status": 403, "code": "no_role",
            "detail": "ann holds no role anywhere; ask an administrator for one",
        }));
        let text = none.render(Paint::plain());
        assert!(text.contains("ann holds no role anywhere") && text.contains("qd members grant"), "{text}");
        assert!(!text.contains("whoami"), "{text}");
    }

    #[test]
    fn control_characters_in_an_answer_stay_harmless() {
        let problem =
            problem(json!({"title": "no \u{1b}[2J", "status": 500, "code": "internal", "detail": "a\u{0}b"}));
        assert!(!problem.render(Paint::plain()).contains(['\u{1b}', '\u{0}']));
    }
}
