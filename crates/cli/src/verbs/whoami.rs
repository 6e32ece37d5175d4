//! `qd whoami`: the principal of the token, its scope and permissions.

use serde_json::Value;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::clean;
use crate::output::format::{self, Format};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let access = invocation.access()?;
    let client = invocation.client()?;
    let me: Value = client.fetch("/api/v1/me").await?;
    let out = &invocation.out;
    match args.output {
        Format::Json => out.data(&format::json(&me)?)?,
        Format::Yaml => out.data(&format::yaml(&me)?)?,
        Format::Name => out.line(&clean(&text(&me, "/principal/name")))?,
        Format::Table | Format::Wide => {
            out.data(&table(
                &me,
                access.server.as_str().trim_end_matches('/'),
                access.context.as_deref(),
                args.output == Format::Wide,
            ))?;
        }
    }
    Ok(Exit::OK)
}

fn text(me: &Value, pointer: &str) -> String {
    match me.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        _ => String::new(),
    }
}

fn table(me: &Value, server: &str, context: Option<&str>, wide: bool) -> String {
    let mut rows = vec![
        ("name", format!("{} ({})", text(me, "/principal/name"), text(me, "/principal/kind"))),
        ("roles", text(me, "/principal/roles")),
        ("tenant", text(me, "/tenant/name")),
        ("project", text(me, "/project/name")),
        ("server", server.to_owned()),
        ("context", context.unwrap_or("-").to_owned()),
    ];
    if wide {
        rows.push(("permissions", text(me, "/permissions")));
    }
    rows.iter().map(|(name, value)| format!("{name:<12} {}\n", clean(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_table_says_who_and_where() {
        let me = json!({"principal": {"id": "1", "name": "owner", "kind": "user", "roles": ["PLATFORM_ADMIN", "viewer"]}, "tenant": {"name": "default"}, "project": {"name": "main"}, "permissions": ["*"]});
        insta::assert_snapshot!(table(&me, "http://127.0.0.1:7070", Some("local"), true), @r"
        name         owner (user)
        roles        PLATFORM_ADMIN, viewer
        tenant       default
        project      main
        server       http://127.0.0.1:7070
        context      local
        permissions  *
        ");
    }
}
