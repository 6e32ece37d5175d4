//! The verbs, one a file. Each has its words (`Args`) and one function that carries it out.

pub mod apply;
pub mod approve;
pub mod archive;
pub mod audit;
pub mod auth;
pub mod completion;
pub mod connections;
pub mod context;
pub mod describe;
pub mod diff;
pub mod doctor;
pub mod events;
pub mod explain;
pub mod get;
pub mod history;
pub mod inbox;
pub mod jobs;
pub mod login;
pub mod logout;
pub mod logs;
pub mod members;
pub mod plan;
pub mod plans;
pub mod publish;
pub mod request;
pub mod results;
pub mod retry;
pub mod review;
pub mod rollback;
pub mod run;
pub mod runs;
pub mod secrets;
pub mod serve;
pub mod share;
pub mod stop;
pub mod supervise;
pub mod teams;
pub mod tenants;
pub mod up;
pub mod users;
pub mod version;
pub mod watch;
pub mod whoami;

use std::process::ExitCode;

use crate::args::Verb;
use crate::failure::Failure;
use crate::invocation::Invocation;

pub async fn dispatch(verb: Verb, invocation: &Invocation) -> Result<ExitCode, Failure> {
    let exit = match verb {
        Verb::Apply(args) => apply::run(&args, invocation).await,
        Verb::Plan(args) => plan::run(&args, invocation).await,
        Verb::Plans(args) => plans::run(&args, invocation).await,
        Verb::Approve(args) => approve::run(&args, invocation).await,
        Verb::Reject(args) => approve::reject(&args, invocation).await,
        Verb::Submit(args) => review::submit(&args, invocation).await,
        Verb::Withdraw(args) => review::withdraw(&args, invocation).await,
        Verb::Inbox(args) => inbox::run(&args, invocation).await,
        Verb::Comment(args) => review::comment(&args, invocation).await,
        Verb::Explain(args) => explain::run(&args, invocation).await,
        Verb::Get(args) => get::run(&args, invocation).await,
        Verb::Describe(args) => describe::run(&args, invocation).await,
        Verb::Diff(args) => diff::run(&args, invocation).await,
        Verb::Publish(args) => publish::run(&args, invocation).await,
        Verb::Rollback(args) => rollback::run(&args, invocation).await,
        Verb::Archive(args) => archive::run(&args, invocation).await,
        Verb::Restore(args) => archive::restore(&args, invocation).await,
        Verb::History(args) => history::run(&args, invocation).await,
        Verb::Run(args) => run::run(&args, invocation).await,
        Verb::Runs(args) => runs::run(&args, invocation).await,
        Verb::Stop(args) => stop::run(&args, invocation).await,
        Verb::Retry(args) => retry::run(&args, invocation).await,
        Verb::Logs(args) => logs::run(&args, invocation).await,
        Verb::Watch(args) => watch::run(&args, invocation).await,
        Verb::Request(args) => request::run(&args, invocation).await,
        Verb::Results(args) => results::run(&args, invocation).await,
        Verb::Jobs(args) => jobs::run(&args, invocation).await,
        Verb::Secrets(args) => secrets::run(&args, invocation).await,
        Verb::Connections(args) => connections::run(&args, invocation).await,
        Verb::Events(args) => events::run(&args, invocation).await,
        Verb::Audit(args) => audit::run(&args, invocation).await,
        Verb::Auth(args) => auth::run(&args, invocation).await,
        Verb::Login(args) => login::run(&args, invocation).await,
        Verb::Logout(args) => logout::run(&args, invocation).await,
        Verb::Users(args) => users::run(&args, invocation).await,
        Verb::Members(args) => members::run(&args, invocation).await,
        Verb::Share(args) => share::run(&args, invocation).await,
        Verb::Unshare(args) => share::unshare(&args, invocation).await,
        Verb::Teams(args) => teams::run(&args, invocation).await,
        Verb::Tenants(args) => tenants::run(&args, invocation).await,
        Verb::Projects(args) => tenants::projects(&args, invocation).await,
        Verb::Whoami(args) => whoami::run(&args, invocation).await,
        Verb::Context(args) => context::run(&args, invocation).await,
        Verb::Doctor(args) => doctor::run(&args, invocation).await,
        Verb::Version(args) => version::run(&args, invocation).await,
        Verb::Up(args) => up::run(&args, invocation).await,
        Verb::Serve(args) => serve::run(&args, invocation).await,
        Verb::Supervise(args) => return Ok(supervise::run(&args)),
        Verb::Completion(args) => completion::run(&args, &invocation.out),
    };
    exit.map(ExitCode::from)
}
