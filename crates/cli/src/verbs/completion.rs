//! `qd completion`: a script that teaches a shell the words of `qd`.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Out;

#[derive(Debug, clap::Args)]
#[command(after_help = "For bash: qd completion bash > ~/.local/share/bash-completion/completions/qd")]
pub struct Args {
    #[arg(value_enum)]
    shell: Shell,
}

pub fn run(args: &Args, out: &Out) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "qd", &mut script);
    out.bytes(&script)?;
    Ok(Exit::OK)
}
