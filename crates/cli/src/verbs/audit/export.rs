//! `qd audit export`: a chain as a file.

use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::age::bytes;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The first record's number; without, the first that is kept
    #[arg(long, value_name = "NUMBER")]
    from: Option<u64>,
    /// The last record's number; without, the last that is sealed
    #[arg(long, value_name = "NUMBER")]
    to: Option<u64>,
    /// The platform's chain instead of the tenant's
    #[arg(long)]
    platform: bool,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    const PATH: &str = "/api/v1/audit/export";
    let client = invocation.client()?;
    let mut query: Vec<(&str, String)> = [("from", args.from), ("to", args.to)]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?.to_string())))
        .collect();
    if args.platform {
        query.push(("reach", "platform".into()));
    }
    let Some(to) = &args.output else {
        client.download(PATH, &query, &mut io::stdout()).await?;
        return Ok(Exit::OK);
    };
    // Beside its place until it is whole, so that nobody takes a part for the file.
    let mut part = to.clone().into_os_string();
    part.push(".part");
    let part = PathBuf::from(part);
    let mut file = BufWriter::new(std::fs::File::create(&part)?);
    let fetched = client.download(PATH, &query, &mut file).await;
    let fetched = fetched.and_then(|size| Ok(file.flush().map(|()| size)?));
    drop(file);
    match fetched {
        Ok(size) => {
            std::fs::rename(&part, to)?;
            invocation.out.note(&format!("{}: {}", to.display(), bytes(size)));
            Ok(Exit::OK)
        }
        Err(failure) => {
            std::fs::remove_file(&part)?;
            Err(failure)
        }
    }
}
