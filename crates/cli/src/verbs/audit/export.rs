//! `qd audit export`: a chain as a file.

use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::age::bytes;
use crate::output::file::Place;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write over the file that is there
    #[arg(long, requires = "output")]
    force: bool,
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
    let place = args.output.as_deref().map(|to| Place::new(to, args.force)).transpose()?;
    let client = invocation.client()?;
    let mut query: Vec<(&str, String)> = [("from", args.from), ("to", args.to)]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?.to_string())))
        .collect();
    if args.platform {
        query.push(("reach", "platform".into()));
    }
    let Some(place) = place else {
        client.download(PATH, &query, &mut io::stdout()).await?;
        return Ok(Exit::OK);
    };
    let part = place.part();
    let mut file = BufWriter::new(std::fs::File::create(&part)?);
    let fetched = client.download(PATH, &query, &mut file).await;
    let fetched = fetched.and_then(|size| Ok(file.flush().map(|()| size)?));
    drop(file);
    match fetched {
        Ok(size) => {
            place.take()?;
            invocation.out.note(&format!("{place}: {}", bytes(size)));
            Ok(Exit::OK)
        }
        Err(failure) => {
            std::fs::remove_file(&part)?;
            Err(failure)
        }
    }
}
