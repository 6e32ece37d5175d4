//! `qd audit verify`: holds an export against the keys and checkpoints that the reader has. No server is asked.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use qd_core::audit::{Checkpoint, Finding, Proof, PublicKey, Signed, Verifier};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::clean;

/// A line that is longer is none of an export.
const LINE_MOST: u64 = 64 * 1024 * 1024;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 proved · 1 refuted · 64 wrong usage, or a file that cannot be read.\n\nWhat cannot be seen: records cut off the end by somebody who hands out an older export (give a --checkpoint that was kept elsewhere), and what the holder of the key wrote and signed anew."
)]
pub struct Args {
    /// The export; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The public keys that are trusted, as PEM, from a place that the server's operator cannot change; may be repeated
    #[arg(long, required = true, value_name = "PUBKEYFILE")]
    key: Vec<PathBuf>,
    /// Checkpoints that were kept elsewhere, one JSON object a line; may be repeated
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
}

pub fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let mut trusted = vec![];
    for path in &args.key {
        trusted
            .extend(PublicKey::all_from_pem(&text(path)?).map_err(|error| unfit(path, &error.to_string()))?);
    }
    let mut outside = vec![];
    for path in &args.checkpoint {
        outside.extend(checkpoints(path)?);
    }
    let kept = outside.len();
    let out = &invocation.out;
    match read(&args.file, Verifier::new(trusted, outside))? {
        Ok(proof) => {
            out.line(&proved(&proof))?;
            for note in notes(&proof, kept) {
                out.note(&note);
            }
            Ok(Exit::OK)
        }
        Err(finding) => {
            out.line(&refuted(&finding))?;
            Ok(Exit::FAILED)
        }
    }
}

fn read(path: &Path, mut verifier: Verifier) -> Result<Result<Proof, Finding>, Failure> {
    let mut reader: Box<dyn BufRead> = match path.as_os_str() == "-" {
        true => Box::new(BufReader::new(io::stdin())),
        false => Box::new(BufReader::with_capacity(1 << 20, File::open(path).map_err(|e| unfit(path, &e))?)),
    };
    let mut line = vec![];
    while !verifier.is_settled() {
        line.clear();
        let count =
            reader.by_ref().take(LINE_MOST).read_until(b'\n', &mut line).map_err(|e| unfit(path, &e))?;
        if count == 0 {
            break;
        }
        verifier.line(line.strip_suffix(b"\n").unwrap_or(&line));
    }
    Ok(verifier.finish())
}

/// One statement, however it is broken into lines, or one a line.
fn checkpoints(path: &Path) -> Result<Vec<Signed<Checkpoint>>, Failure> {
    let text = text(path)?;
    if let Ok(one) = Signed::<Checkpoint>::read(text.as_bytes()) {
        return Ok(vec![one]);
    }
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let read: Vec<_> = lines
        .map(|line| Signed::<Checkpoint>::read(line.as_bytes()).map_err(|why| unfit(path, &why)))
        .collect::<Result<_, _>>()?;
    if read.is_empty() {
        return Err(unfit(path, &"there is no checkpoint in it"));
    }
    Ok(read)
}

fn text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| unfit(path, &error))
}

fn unfit(path: &Path, why: &(impl std::fmt::Display + ?Sized)) -> Failure {
    Failure::usage(format!("{}: {why}", path.display()))
}

fn proved(proof: &Proof) -> String {
    let what = match proof.to >= proof.from {
        true => format!("records {} to {}", proof.from, proof.to),
        false => "no record".to_owned(),
    };
    format!(
        "proved: {what} of {} are as they were sealed, signed by {} at {}",
        proof.chain, proof.key_id, proof.at
    )
}

/// What this does and does not say.
fn notes(proof: &Proof, kept: usize) -> Vec<String> {
    let mut notes = vec![];
    if let Some((seq, why)) = &proof.pruned {
        notes.push(format!("records up to {seq} were removed, which is signed: {}", clean(why)));
    } else if proof.from > 1 {
        notes.push(format!("the export begins at record {}: what is before it is not in it", proof.from));
    }
    match kept {
        0 => notes.push(format!(
            "not proved: that record {} is the last one; a --checkpoint that was kept elsewhere would show a tail that was cut off",
            proof.to
        )),
        _ => {
            notes.push(format!("{} of {kept} checkpoints that were kept elsewhere agree", proof.outside));
            if !proof.outside_before.is_empty() {
                notes.push(
                    "the others are of records before the export and could not be held against it".to_owned(),
                );
            }
        }
    }
    if proof.untrusted > 0 {
        notes.push(format!(
            "{} checkpoints are by keys that you did not name; they were held against the export and prove nothing by themselves",
            proof.untrusted
        ));
    }
    notes.push("not proved: that whoever holds the key did not write and sign all of it anew".to_owned());
    notes
}

fn refuted(finding: &Finding) -> String {
    let mut place = String::new();
    if let Some(seq) = finding.seq {
        place = match finding.until.filter(|until| *until > seq) {
            Some(until) => format!(" at record {seq} (up to {until})"),
            None => format!(" at record {seq}"),
        };
    }
    if let Some(line) = finding.line {
        place.push_str(&format!(", line {line}"));
    }
    format!("refuted{place}: {}: {}", finding.kind.as_str(), clean(&finding.detail))
}
