//! The words of the command line, as clap understands them. Each verb's own words are in its file.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::output::format::Format;
use crate::verbs;

#[derive(Debug, Parser)]
#[command(
    name = "qd",
    version,
    about = "One control plane for data and ML: pipelines, runs, and everything underneath.",
    after_help = "Exit codes: 0 done · 1 the run failed, the job failed or was undone, or diff found differences · 2 error · 3 the run could not start · 4 the run was stopped · 64 wrong usage.\nEnvironment: QD_SERVER, QD_TOKEN, QD_TENANT, QD_PROJECT, QD_CACERT, QD_CONFIG, NO_COLOR.",
    arg_required_else_help = true,
    propagate_version = false,
    max_term_width = 110
)]
pub struct Cli {
    /// Use this context of the context file instead of the current one
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Talk to this server (environment: QD_SERVER)
    #[arg(long, global = true, value_name = "URL")]
    pub server: Option<String>,
    /// A PEM file with the roots that the server's certificate may go back to, instead of the system's (environment: QD_CACERT)
    #[arg(long, global = true, value_name = "FILE")]
    pub cacert: Option<PathBuf>,
    /// Work in this tenant (environment: QD_TENANT)
    #[arg(long, global = true, value_name = "NAME")]
    pub tenant: Option<String>,
    /// Work in this project of the tenant; without, in its default one (environment: QD_PROJECT)
    #[arg(long, global = true, value_name = "NAME")]
    pub project: Option<String>,
    /// Say nothing on standard error but errors
    #[arg(long, short, global = true)]
    pub quiet: bool,
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Start Quarterdeck on this machine, run the example, and stay up
    Up(verbs::up::Args),
    /// Run the server, and nothing else
    Serve(verbs::serve::Args),
    /// Create or update what documents describe
    Apply(verbs::apply::Args),
    /// What a change would do, kept for somebody else to approve and to be applied by id
    Plan(verbs::plan::Args),
    /// List plans
    Plans(verbs::plans::Args),
    /// What waits for your decision, and what was decided of yours
    Inbox(verbs::inbox::Args),
    /// Ask for a revision to be reviewed
    Submit(verbs::review::SubmitArgs),
    /// Take back a revision that you submitted
    Withdraw(verbs::review::WithdrawArgs),
    /// Say something of a revision, or list what was said
    Comment(verbs::review::CommentArgs),
    /// Approve somebody else's revision or plan
    Approve(verbs::approve::Args),
    /// Reject a revision or a plan
    Reject(verbs::approve::RejectArgs),
    /// Why something is in the state that it is in, in one sentence
    Explain(verbs::explain::Args),
    /// List resources, runs, jobs, plans, engines or kinds, or show one
    #[command(visible_alias = "list")]
    Get(verbs::get::Args),
    /// Everything about one thing, for reading
    Describe(verbs::describe::Args),
    /// What an apply would change, or what changed between two revisions
    Diff(verbs::diff::Args),
    /// Publish a revision
    Publish(verbs::publish::Args),
    /// Publish the spec of an older revision again
    Rollback(verbs::rollback::Args),
    /// Put a resource away: it keeps everything and does nothing
    Archive(verbs::archive::Args),
    /// Take a resource back that was archived
    Restore(verbs::archive::Args),
    /// The revisions of a resource
    History(verbs::history::Args),
    /// Start a run
    Run(verbs::run::Args),
    /// List runs
    Runs(verbs::runs::Args),
    /// Stop a run
    Stop(verbs::stop::Args),
    /// Start a new attempt of a run
    Retry(verbs::retry::Args),
    /// The log of a run
    Logs(verbs::logs::Args),
    /// What a run wrote: the list, or one file
    Results(verbs::results::Args),
    /// Follow a run's stages until it ends
    Watch(verbs::watch::Args),
    /// Send one item to a serving run and print its result
    Request(verbs::request::Args),
    /// List, show, watch or cancel jobs
    Jobs(verbs::jobs::Args),
    /// Write, list and remove secrets, and exchange the keys that seal them
    Secrets(verbs::secrets::Args),
    /// Test a connection
    Connections(verbs::connections::Args),
    /// What has happened, and what happens
    Events(verbs::events::Args),
    /// Who did what
    Audit(verbs::audit::Args),
    /// Sign in with a name and a password, or with a provider, and keep the session in a context
    Login(verbs::login::Args),
    /// End the session of a context that `qd login` opened
    Logout(verbs::logout::Args),
    /// People and services
    Users(verbs::users::Args),
    /// Who holds which role
    Members(verbs::members::Args),
    /// Share a resource with a person or a team, or list with whom it is shared
    Share(verbs::share::Args),
    /// Share a resource no longer
    Unshare(verbs::share::UnshareArgs),
    /// Teams of the tenant
    Teams(verbs::teams::Args),
    /// Tenants
    Tenants(verbs::tenants::Args),
    /// The projects of the tenant
    Projects(verbs::tenants::ProjectArgs),
    /// One's tokens, sessions, password and sign-in links, and what one may do
    Auth(verbs::auth::Args),
    /// Who you are and what you may do
    Whoami(verbs::whoami::Args),
    /// The servers that this machine knows
    Context(verbs::context::Args),
    /// Look for what is missing or broken, and say what to do
    Doctor(verbs::doctor::Args),
    /// Versions of this program and of the server
    Version(verbs::version::Args),
    /// Print a completion script for a shell
    Completion(verbs::completion::Args),
    /// The small process that stands between the server and a run
    #[command(hide = true)]
    Supervise(verbs::supervise::Args),
}

/// Words shared by the verbs that make a job which takes as long as the world does.
#[derive(Debug, Clone, Args)]
pub struct JobWords {
    /// Wait until the job has ended
    #[arg(long)]
    pub wait: bool,
    /// Say what would happen, and write nothing
    #[arg(long, conflicts_with_all = ["wait", "idempotency_key"])]
    pub dry_run: bool,
    /// How to print the job that was made; with --wait, what it came to
    #[arg(short, long, value_enum, default_value_t = Format::Name)]
    pub output: Format,
    /// Use this key instead of a new one: the same key starts nothing twice
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
}

/// Words shared by the verbs that publish: what comes after such a command counts on it, so they wait.
#[derive(Debug, Clone, Args)]
pub struct PublishWords {
    /// Return as soon as the job is made
    #[arg(long)]
    pub no_wait: bool,
    /// Say what would happen, and write nothing
    #[arg(long, conflicts_with_all = ["no_wait", "idempotency_key"])]
    pub dry_run: bool,
    /// How to print the job
    #[arg(short, long, value_enum, default_value_t = Format::Name)]
    pub output: Format,
    /// Use this key instead of a new one: the same key starts nothing twice
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_words_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_people_type_is_understood() {
        for line in [
            "qd up --port 7071 --data d --example e --bare --stop-runs",
            "qd serve --listen 127.0.0.1:0 --data d --log-format json",
            "qd supervise some/dir",
            "qd apply -f spec.yaml --dry-run",
            "qd apply -f a -f - --publish --no-wait --message why",
            "qd get pipelines -o json -l team=data --limit 10",
            "qd get pipeline curate other -o yaml",
            "qd list runs --state failed",
            "qd diff -f spec.yaml",
            "qd diff pipelines/curate --from 2 --to 3",
            "qd publish pipelines/curate --revision 3 --no-wait",
            "qd rollback pipeline curate --to 2 --reason broken",
            "qd archive pipelines/curate",
            "qd archive pipeline curate -o json",
            "qd restore pipelines/curate -o yaml",
            "qd run pipelines/curate -p a=1 -p b=x --wait --logs",
            "qd stop curate#4 --reason enough --wait",
            "qd logs curate#4 -f --stage load --level warning --tail 20",
            "qd logs curate#4 --since-line 7 --json",
            "qd plan -f spec.yaml --publish -o yaml",
            "qd plan publish pipelines/curate --revision 3 --reason why",
            "qd plan rollback pipeline curate --to 2 --reason broken -o json",
            "qd plan run pipelines/curate -p a=1",
            "qd plan stop curate#4 -o name",
            "qd plan retry curate#4",
            "qd plans --state open",
            "qd get plans",
            "qd approve 0193 --hash sha256:ab --reason fine",
            "qd reject plans/0193 --reason no",
            "qd inbox --limit 5 -o json",
            "qd submit pipelines/curate --revision 3 -m why",
            "qd withdraw pipeline curate --reason early",
            "qd approve pipelines/curate --revision 3 --hash sha256:ab",
            "qd reject pipelines/curate --reason no",
            "qd comment pipelines/curate -m why --at /stages/0",
            "qd projects review lab --mode required --reason audited",
            "qd projects review lab --approval-from high --reason audited",
            "qd apply --plan 0193 --no-wait",
            "qd apply -f a --publish --dry-run",
            "qd publish pipelines/curate --dry-run",
            "qd run pipelines/curate --dry-run",
            "qd explain jobs/0193",
            "qd explain curate#4 -o json",
            "qd auth token --as second --role viewer",
            "qd serve --require-approval medium",
            "qd secrets set warehouse/password",
            "qd secrets set warehouse/password --from-file p.txt",
            "qd secrets list -o json",
            "qd secrets delete warehouse/password --reason unused",
            "qd secrets rotate --data-key",
            "qd secrets rotate --master-key --no-wait --reason leaked",
            "qd secrets keys",
            "qd connections test warehouse --revision 2 -o json",
            "qd serve --secret-key-file new --secret-key-file old --allow-private-addresses --allow-network 10.0.0.0/8",
            "qd serve --allow-private-addresses=false --secret-vault-url https://vault:8200/transit/qd",
            "qd jobs",
            "qd jobs cancel 0193",
            "qd events -f --after 10",
            "qd request serve#1 --item {} -q",
            "qd audit --object pipelines/curate --actor owner --outcome denied --correlation c --since 2026-11-20T00:00:00Z",
            "qd audit --reach platform -o wide",
            "qd audit --since 7d --until 2h",
            "qd audit export -o audit.jsonl --from 1 --to 9 --platform --force",
            "qd audit verify audit.jsonl --key audit.pub --checkpoint one.json --checkpoint two.json",
            "qd audit keygen audit.key",
            "qd audit keys -o json",
            "qd audit checkpoint --platform",
            "qd serve --audit-key k --audit-key-rotate --audit-sink file:///a --audit-sink https://b --audit-checkpoint-every 5",
            "qd serve --audit-retention 365d",
            "qd auth token",
            "qd auth token --new --label ci --days 30 --allow read --allow jobs.*",
            "qd auth can-i pipelines.publish",
            "qd auth can-i pipelines.publish pipelines/curate --as ann",
            "qd auth can-i pipelines.publish --policy night.yaml",
            "qd auth who-can pipelines.publish pipelines/curate -o json",
            "qd share pipelines/curate team:core --as operator",
            "qd share pipelines/curate",
            "qd unshare pipeline curate ann",
            "qd auth sessions -o json",
            "qd auth revoke 0193",
            "qd auth password",
            "qd auth keys list",
            "qd auth keys rotate",
            "qd login ann --keep work --password-stdin",
            "qd login --provider corp",
            "qd logout --context work",
            "qd logout --local",
            "qd serve --oidc a.yaml --gateway b.yaml --trust-edge 10.0.0.0/24,fd00::/64 --trust-edge-roles c.yaml",
            "qd users create ann --display-name Ann",
            "qd users create robot --service",
            "qd users token robot --days 7 --allow read",
            "qd users tokens robot -o json",
            "qd users revoke-token robot 0193",
            "qd users suspend ann",
            "qd members grant ann PIPELINE_DEV --project lab",
            "qd members revoke ann viewer --platform",
            "qd members roles",
            "qd members grant team:core viewer",
            "qd teams create core --display-name Core",
            "qd teams add core ann",
            "qd teams show core -o json",
            "qd tenants create acme",
            "qd tenants rename acme acme-2",
            "qd tenants quota acme --resources 500 --runs 20 --log-bytes none",
            "qd tenants export acme --output acme.tar.gz --reason moving",
            "qd projects export lab --fetch 0193 --force",
            "qd results curate#4 a.txt --to a.txt --force",
            "qd tenants delete acme --confirm acme --reason gone",
            "qd projects delete lab --dry-run",
            "qd projects list",
            "qd context set local --server http://127.0.0.1:7070 --token-stdin --use",
            "qd context set plain --server http://10.0.0.9:7070 --allow-http",
            "qd doctor --data x",
            "qd completion bash",
        ] {
            Cli::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "qd",
            "qd frobnicate",
            "qd apply",
            "qd apply --plan 0193 -f a",
            "qd plan",
            "qd reject 0193",
            "qd withdraw pipelines/curate",
            "qd projects review lab --mode required",
            "qd projects review lab --reason why",
            "qd explain",
            "qd auth token --role viewer",
            "qd audit verify audit.jsonl",
            "qd audit --actor owner export",
            "qd serve --audit-key-rotate",
            "qd serve --require-approval some",
            "qd rollback pipelines/x --to 2",
            "qd archive",
            "qd restore",
            "qd diff",
            "qd diff pipelines/x -f spec.yaml",
            "qd run pipelines/x -p novalue",
            "qd request serve#1",
            "qd secrets set warehouse/password hunter2",
            "qd secrets rotate",
            "qd secrets rotate --data-key --master-key",
            "qd connections test",
            "qd serve --allow-network everywhere",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
