//! `qd results`: what a run wrote, listed, or one file of it fetched.

use std::io::{self, BufWriter};
use std::path::PathBuf;

use serde_json::Value;

use crate::client::segment;
use crate::client::shapes::ResultFile;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::age::bytes;
use crate::output::clean;
use crate::output::file::Place;
use crate::output::format::{self, Format};
use crate::output::table::Table;
use crate::targets::{self, run_path};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run: curate#42, its id, or pipelines/curate for the newest
    run: String,
    /// Prints this file, as `qd results RUN` names it, instead of the list
    path: Option<String>,
    /// Writes the file here instead of printing it
    #[arg(long, value_name = "FILE", requires = "path")]
    to: Option<PathBuf>,
    /// Writes over the file that is there
    #[arg(long, requires = "to")]
    force: bool,
    #[arg(short, long, value_enum, default_value_t, conflicts_with = "path")]
    output: Format,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let place = args.to.as_deref().map(|to| Place::new(to, args.force)).transpose()?;
    let client = invocation.client()?;
    let (run, _) = targets::run(&client, &args.run).await?;
    let base = format!("{}/results", run_path(&run.id));
    let Some(path) = &args.path else {
        list(invocation, run.label(), &client.fetch(&base).await?, args.output)?;
        return Ok(Exit::OK);
    };
    let segments: Vec<String> = path.split('/').map(segment).collect();
    let from = format!("{base}/{}", segments.join("/"));
    match place {
        None => {
            client.download(&from, &[], &mut io::stdout()).await?;
        }
        Some(place) => {
            let part = place.part();
            let mut file = BufWriter::new(std::fs::File::create(&part)?);
            let fetched = client.download(&from, &[], &mut file).await;
            drop(file);
            match fetched {
                Ok(size) => {
                    place.take()?;
                    invocation.out.note(&format!("{place}: {}", bytes(size)));
                }
                Err(failure) => {
                    std::fs::remove_file(&part)?;
                    return Err(failure);
                }
            }
        }
    }
    Ok(Exit::OK)
}

fn list(invocation: &Invocation, run: &str, answer: &Value, output: Format) -> Result<(), Failure> {
    let out = &invocation.out;
    let files: Vec<ResultFile> = serde_json::from_value(answer["items"].clone())
        .map_err(|error| Failure::Answer { server: "the server".into(), detail: error.to_string() })?;
    match output {
        Format::Json => out.data(&format::json(answer)?)?,
        Format::Yaml => out.data(&format::yaml(answer)?)?,
        Format::Name => files.iter().try_for_each(|file| out.line(&clean(&file.path)))?,
        Format::Table | Format::Wide if files.is_empty() => {
            out.note(&format!("{} has written no files", clean(run)));
        }
        Format::Table | Format::Wide => {
            let mut table = Table::new(&["PATH", "SIZE"]);
            for file in &files {
                table.row([file.path.as_str().into(), bytes(file.bytes).into()]);
            }
            out.data(&table.render(out.paint()))?;
        }
    }
    if answer["truncated"] == true {
        out.note("there are more files than are listed");
    }
    Ok(())
}
