//! `qd doctor`: looks at this machine and at the server, and says what to do about what is wrong.

mod machine;
mod server;

use serde::Serialize;

use crate::context::ContextFile;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::clean;
use crate::output::format::{self, Format};
use crate::output::paint::Paint;

#[derive(Debug, clap::Args)]
#[command(after_help = "Exits 0 when nothing failed (warnings are allowed), else 2.")]
pub struct Args {
    /// The data folder of the server on this machine, if not the one that the context knows
    #[arg(long, value_name = "DIR")]
    data: Option<std::path::PathBuf>,
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// What one check found.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    pub check: String,
    pub verdict: Verdict,
    pub found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub todo: Option<String>,
}

impl Finding {
    pub fn ok(check: &str, found: impl Into<String>) -> Self {
        Self { check: check.into(), verdict: Verdict::Ok, found: found.into(), todo: None }
    }

    pub fn warn(check: &str, found: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { check: check.into(), verdict: Verdict::Warn, found: found.into(), todo: Some(todo.into()) }
    }

    pub fn fail(check: &str, found: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { check: check.into(), verdict: Verdict::Fail, found: found.into(), todo: Some(todo.into()) }
    }
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let access = invocation.access()?;
    let mut findings = vec![machine::context(invocation.place.as_ref(), &access)];
    let local = access.is_loopback();
    if local {
        findings.push(machine::python());
        let contexts = invocation.place.as_ref().map(ContextFile::read).transpose()?.unwrap_or_default();
        let known = access.context.as_ref().and_then(|name| contexts.contexts.get(name)?.data.clone());
        let data = args.data.clone().or(known).unwrap_or_else(|| ".quarterdeck".into());
        findings.extend(machine::data_folder(&data));
        findings.push(machine::environment(&data));
    }
    findings.extend(server::check(invocation, &access).await?);
    let out = &invocation.out;
    match args.output {
        Format::Json => out.data(&format::json(&findings)?)?,
        Format::Yaml => out.data(&format::yaml(&findings)?)?,
        _ => out.data(&render(&findings, out.paint()))?,
    }
    let failed = findings.iter().any(|finding| finding.verdict == Verdict::Fail);
    Ok(if failed { Exit::ERROR } else { Exit::OK })
}

fn render(findings: &[Finding], paint: Paint) -> String {
    let width = findings.iter().map(|finding| finding.check.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for finding in findings {
        let verdict = match finding.verdict {
            Verdict::Ok => paint.good("ok  "),
            Verdict::Warn => paint.warn("warn"),
            Verdict::Fail => paint.bad("fail"),
        };
        text.push_str(&format!("{verdict}  {:<width$}  {}\n", finding.check, clean(&finding.found)));
        if let Some(todo) = &finding.todo {
            text.push_str(&format!("      {:<width$}  {} {}\n", "", paint.dim("→"), clean(todo)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_say_what_to_do() {
        let findings = [
            Finding::ok("python", "python3.12 (3.12.4)"),
            Finding::warn("free disk", "3.0 GB", "free some"),
            Finding::fail("server", "cannot reach http://127.0.0.1:7070", "start it with `qd up`"),
        ];
        insta::assert_snapshot!(render(&findings, Paint::plain()), @r"
        ok    python     python3.12 (3.12.4)
        warn  free disk  3.0 GB
                         → free some
        fail  server     cannot reach http://127.0.0.1:7070
                         → start it with `qd up`
        ");
    }
}
