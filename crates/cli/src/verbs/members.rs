//! `qd members`: who holds which role, in the tenant or everywhere.

use clap::Subcommand;

use crate::client::segment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::format::Format;
use crate::output::{clean, records};
use crate::verbs::get;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List who holds which role
    List {
        /// Those who hold a role everywhere, not in the tenant
        #[arg(long)]
        platform: bool,
        /// At most this many; 0 for all
        #[arg(long, default_value_t = 50)]
        limit: usize,
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Give somebody a role
    Grant(Place),
    /// Take a role from somebody
    Revoke(Place),
    /// List the roles with what they allow
    Roles {
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
}

#[derive(Debug, clap::Args)]
struct Place {
    /// Of a user or service; team:NAME for a team
    name: String,
    role: String,
    /// In this project alone, not in the whole tenant
    #[arg(long, conflicts_with = "platform")]
    project: Option<String>,
    /// Everywhere: on the platform and in every tenant
    #[arg(long)]
    platform: bool,
}

impl Place {
    fn path(&self) -> String {
        format!("{}/{}/{}", base(self.platform), segment(&self.name), segment(&self.role))
    }
}

fn base(platform: bool) -> &'static str {
    if platform { "/api/v1/administrators" } else { "/api/v1/members" }
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    match &args.what {
        What::List { platform, limit, output } => {
            let list = get::pages(&client, base(*platform), &[], *limit).await?;
            let columns = [
                ("NAME", "name"),
                ("ROLE", "role"),
                ("LEVEL", "level"),
                ("PROJECT", "project"),
                ("TEAM", "team"),
                ("GRANTED BY", "granted_by"),
            ];
            records::print(invocation, &list, ("members", "name"), &columns, *output)?;
        }
        What::Grant(place) => {
            let request = client.request(reqwest::Method::PUT, &place.path());
            request.maybe_query("project", place.project.as_ref()).send().await?;
            invocation.out.note(&format!("{} holds {}", clean(&place.name), clean(&place.role)));
        }
        What::Revoke(place) => {
            let request = client.request(reqwest::Method::DELETE, &place.path());
            request.maybe_query("project", place.project.as_ref()).send().await?;
            invocation.out.note(&format!("{} no longer holds {}", clean(&place.name), clean(&place.role)));
        }
        What::Roles { output } => {
            let matrix: serde_json::Value = client.fetch("/api/v1/roles").await?;
            let items = matrix.get("roles").and_then(|roles| roles.as_array()).cloned().unwrap_or_default();
            let list = get::List { items, more: false, filtered: false };
            let columns = [("ROLE", "name"), ("LEVELS", "levels"), ("ALLOWS", "allows"), ("", "summary")];
            records::print(invocation, &list, ("roles", "name"), &columns, *output)?;
        }
    }
    Ok(Exit::OK)
}
